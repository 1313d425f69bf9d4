//! People with a page open while the burst goes on: customers at the storefront, operators at their view.
//!
//! A sale that nobody can watch is one that nobody trusts, so what these pages ask for is asked for here at a steady
//! pace, and timed. A round begins when it was meant to, whatever became of the one before: an answer that stalls
//! delays what its page asks next, and that counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use customers::http::{Authority, Connection};
use customers::latency::{Latencies, ms};
use customers::request;
use terminal::{Style, Table, heading, styled, thousands};

/// Open pages of customers and of operators.
const STOREFRONTS: usize = 8;
const OPERATORS: usize = 2;
/// How often an open page asks for news.
const ROUND: Duration = Duration::from_millis(500);
/// A page is usable while 95 of 100 of its calls are answered within this.
const P95_MAX: Duration = Duration::from_millis(500);
/// Longest wait for one answer; one that has not come by then counts as this, and as failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A call that a page makes.
struct Call {
    label: &'static str,
    request: Vec<u8>,
}

/// A page, and what it asks for in each round.
struct Page {
    name: &'static str,
    server: Authority,
    calls: Vec<Call>,
}

/// What one page's calls came to.
#[derive(Debug, Default)]
struct Seen {
    latencies: Latencies,
    failed: u64,
}

impl Seen {
    fn is_usable(&self) -> bool {
        self.failed == 0 && self.latencies.ms_at(95.0) <= P95_MAX.as_secs_f64() * 1000.0
    }
}

/// By page and call, in the order of the page.
type Log = BTreeMap<(&'static str, usize), (&'static str, Seen)>;

/// Pages that are open.
pub(super) struct Onlookers {
    over: watch::Sender<bool>,
    running: JoinSet<Log>,
}

impl Onlookers {
    /// Opens the pages of a sale.
    pub(super) fn start(gateways: &[Authority], admin_url: &str, sale: &str) -> anyhow::Result<Self> {
        let admin = Authority::resolve(admin_url).context("--admin-url")?;
        let operators = Arc::new(operators_view(admin, sale));
        let (over, told) = watch::channel(false);
        let mut running = JoinSet::new();
        for n in 0..STOREFRONTS {
            let page = Arc::new(storefront(gateways[n % gateways.len()].clone(), sale, n));
            running.spawn(look(page, ROUND * n as u32 / STOREFRONTS as u32, told.clone()));
        }
        for n in 0..OPERATORS {
            running.spawn(look(Arc::clone(&operators), ROUND * n as u32 / OPERATORS as u32, told.clone()));
        }
        Ok(Self { over, running })
    }

    /// Closes them.
    pub(super) async fn finish(mut self) -> anyhow::Result<Sight> {
        self.over.send_replace(true);
        let mut all = Log::new();
        while let Some(log) = self.running.join_next().await {
            for (call, (label, seen)) in log.context("an onlooker")? {
                let entry = all.entry(call).or_insert_with(|| (label, Seen::default()));
                entry.1.latencies.add(&seen.latencies);
                entry.1.failed += seen.failed;
            }
        }
        Ok(Sight(all))
    }
}

/// What they saw.
#[derive(Debug)]
pub(super) struct Sight(Log);

impl Sight {
    /// How long each call took, and whether the pages were usable.
    pub(super) fn report(&self) -> String {
        let mut table = Table::new(&["page", "asks for", "answers", "failed", "p50 ms", "p95 ms", "max ms"]);
        let mut pages: BTreeMap<&str, Seen> = BTreeMap::new();
        for ((page, _), (label, seen)) in &self.0 {
            table.row(row(page, label, seen));
            let all = pages.entry(page).or_default();
            all.latencies.add(&seen.latencies);
            all.failed += seen.failed;
        }
        let mut text = format!("{}\n{table}\n", heading("Pages open during the burst"));
        for (page, seen) in pages {
            let style = if seen.is_usable() { Style::Good } else { Style::Bad };
            let line = format!(
                "The {page}'s calls were answered within {} ms (95th percentile; limit {} ms), {} of {} failed.",
                ms(seen.latencies.ms_at(95.0)),
                P95_MAX.as_millis(),
                thousands(seen.failed),
                thousands(seen.latencies.count())
            );
            text.push_str(&format!("  {}\n", styled(style, &line)));
        }
        text
    }
}

fn row(page: &str, label: &str, seen: &Seen) -> [String; 7] {
    let latencies = &seen.latencies;
    let at = |percentile| ms(latencies.ms_at(percentile));
    [
        page.to_owned(),
        label.to_owned(),
        thousands(latencies.count()),
        thousands(seen.failed),
        at(50.0),
        at(95.0),
        ms(latencies.ms_max()),
    ]
}

/// What the customer's page asks for (`storefront/shop/`).
fn storefront(gateway: Authority, sale: &str, n: usize) -> Page {
    let host = gateway.host.clone();
    let mine = |path: &str| request::get_as(&host, path, &format!("dev:onlooker-{n}"));
    let calls = vec![
        Call { label: "the page", request: request::get(&host, "/") },
        Call { label: "sales", request: request::get(&host, "/v1/sales") },
        Call { label: "the sale", request: request::get(&host, &format!("/v1/sales/{sale}")) },
        Call { label: "my orders", request: mine(&format!("/v1/sales/{sale}/orders")) },
        Call { label: "my wallet", request: mine("/v1/wallet") },
    ];
    Page { name: "storefront", server: gateway, calls }
}

/// What the operator's page asks for (`storefront/operator/`).
fn operators_view(admin: Authority, sale: &str) -> Page {
    let host = admin.host.clone();
    let admins = |path: &str| request::get_as(&host, path, "dev-admin");
    let calls = vec![
        Call { label: "the page", request: request::get(&host, "/") },
        Call { label: "overview", request: admins("/admin/v1/overview") },
        Call { label: "sales", request: admins("/admin/v1/sales") },
        Call { label: "inventory", request: admins(&format!("/admin/v1/sales/{sale}/inventory")) },
        Call { label: "orders", request: admins(&format!("/admin/v1/sales/{sale}/orders")) },
        Call { label: "report", request: admins(&format!("/admin/v1/sales/{sale}/report")) },
        Call { label: "dead letters", request: admins("/admin/v1/dead-letters") },
    ];
    Page { name: "operator's view", server: admin, calls }
}

/// One open page, until the burst is over.
async fn look(page: Arc<Page>, offset: Duration, mut over: watch::Receiver<bool>) -> Log {
    let mut log = Log::new();
    let mut connection = None;
    let mut intended = Instant::now() + offset;
    loop {
        tokio::select! {
            // Its sender is dropped only after it has said so.
            _ = over.wait_for(|over| *over) => return log,
            () = tokio::time::sleep_until(intended.into()) => {}
        }
        let mut begun = intended;
        for (n, call) in page.calls.iter().enumerate() {
            let status = ask(&page.server, &mut connection, &call.request).await;
            let (_, seen) = log.entry((page.name, n)).or_insert_with(|| (call.label, Seen::default()));
            seen.latencies.record(begun.elapsed());
            seen.failed += u64::from(status != Some(200));
            begun = Instant::now();
        }
        intended += ROUND;
    }
}

/// The answer's status; `None`: there was none in time.
async fn ask(server: &Authority, connection: &mut Option<Connection>, request: &[u8]) -> Option<u16> {
    let answered = tokio::time::timeout(ANSWER_LIMIT, async {
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(server.address).await?,
        };
        let head = open.call(request).await?;
        if !head.close {
            *connection = Some(open);
        }
        std::io::Result::Ok(head.status)
    });
    answered.await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_usable_while_it_answers_everything_and_in_time() {
        let seen = |slow: u64, failed: u64| {
            let mut seen = Seen { failed, ..Seen::default() };
            (0..100)
                .for_each(|n| seen.latencies.record(Duration::from_millis(if n < slow { 600 } else { 20 })));
            seen
        };
        assert!(seen(0, 0).is_usable() && seen(5, 0).is_usable());
        assert!(!seen(6, 0).is_usable() && !seen(0, 1).is_usable());
    }
}
