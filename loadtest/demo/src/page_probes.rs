//! Probes of the pages that people have open during the burst: customers at the storefront, operators at
//! their view.
//!
//! A page that does not respond during a burst loses the users' trust, so the calls of these pages are sent
//! here at a steady rate and timed. A round starts at its scheduled time regardless of the previous one: a
//! response that stalls delays the next call of its page, and the delay counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use customers::http::{Authority, Connection};
use customers::latency::{Latencies, ms};
use customers::request;
use terminal::{Style, Table, heading, styled, thousands};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The number of open pages of customers.
const STOREFRONTS: usize = 8;
/// The number of open pages of operators.
const OPERATORS: usize = 2;
/// The interval at which an open page refreshes.
const ROUND: Duration = Duration::from_millis(500);
/// A page is usable while the 95th percentile of its calls is below this.
const P95_MAX: Duration = Duration::from_millis(500);
/// The longest wait for a response; a call without a response by then counts as this, and as failed.
const RESPONSE_LIMIT: Duration = Duration::from_secs(10);

/// A call of a page.
struct Call {
    label: &'static str,
    request: Vec<u8>,
}

/// A page with the calls of each round.
struct Page {
    name: &'static str,
    server: Authority,
    calls: Vec<Call>,
}

/// The results of one call of a page.
#[derive(Debug, Default)]
struct CallStats {
    latencies: Latencies,
    failed: u64,
}

impl CallStats {
    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.failed += other.failed;
    }

    fn is_usable(&self) -> bool {
        self.failed == 0 && self.latencies.ms_at(95.0) <= P95_MAX.as_secs_f64() * 1000.0
    }
}

/// The label and the results of each call, by page and by position on the page.
type PageLog = BTreeMap<(&'static str, usize), (&'static str, CallStats)>;

/// The probes of all open pages.
pub(super) struct PageProbes {
    stop: watch::Sender<bool>,
    running: JoinSet<PageLog>,
}

impl PageProbes {
    /// Opens the pages of a sale.
    pub(super) fn start(gateways: &[Authority], admin_url: &str, sale: &str) -> anyhow::Result<Self> {
        let admin = Authority::resolve(admin_url).context("--admin-url")?;
        let operators = Arc::new(operators_view(admin, sale));
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        for n in 0..STOREFRONTS {
            let page = Arc::new(storefront(gateways[n % gateways.len()].clone(), sale, n));
            running.spawn(probe(page, ROUND * n as u32 / STOREFRONTS as u32, stopped.clone()));
        }
        for n in 0..OPERATORS {
            let offset = ROUND * n as u32 / OPERATORS as u32;
            running.spawn(probe(Arc::clone(&operators), offset, stopped.clone()));
        }
        Ok(Self { stop, running })
    }

    /// Closes the pages and returns the results.
    pub(super) async fn finish(mut self) -> anyhow::Result<PageReport> {
        self.stop.send_replace(true);
        let mut all = PageLog::new();
        while let Some(log) = self.running.join_next().await {
            for (call, (label, stats)) in log.context("a page probe")? {
                all.entry(call).or_insert_with(|| (label, CallStats::default())).1.add(&stats);
            }
        }
        Ok(PageReport(all))
    }
}

/// The results of all pages.
#[derive(Debug)]
pub(super) struct PageReport(PageLog);

impl PageReport {
    /// Returns the latencies of each call, and whether the pages were usable.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&["page", "call", "responses", "failed", "p50 ms", "p95 ms", "max ms"]);
        let mut pages: BTreeMap<&str, CallStats> = BTreeMap::new();
        for ((page, _), (label, stats)) in &self.0 {
            table.row(row(page, label, stats));
            pages.entry(page).or_default().add(stats);
        }
        let mut text = format!("{}\n{table}\n", heading("Open pages during the burst"));
        for (page, stats) in pages {
            let style = if stats.is_usable() { Style::Good } else { Style::Bad };
            let line = format!(
                "The 95th percentile of the {page}'s calls was {} ms (limit {} ms); {} of {} failed.",
                ms(stats.latencies.ms_at(95.0)),
                P95_MAX.as_millis(),
                thousands(stats.failed),
                thousands(stats.latencies.count())
            );
            text.push_str(&format!("  {}\n", styled(style, &line)));
        }
        text
    }
}

fn row(page: &str, label: &str, stats: &CallStats) -> [String; 7] {
    let latencies = &stats.latencies;
    let at = |percentile| ms(latencies.ms_at(percentile));
    [
        page.to_owned(),
        label.to_owned(),
        thousands(latencies.count()),
        thousands(stats.failed),
        at(50.0),
        at(95.0),
        ms(latencies.ms_max()),
    ]
}

/// Returns the calls of the customer's page (`storefront/shop/`).
fn storefront(gateway: Authority, sale: &str, n: usize) -> Page {
    let host = gateway.host.clone();
    let as_customer = |path: &str| request::get_with_token(&host, path, &format!("dev:onlooker-{n}"));
    let calls = vec![
        Call { label: "the page", request: request::get(&host, "/") },
        Call { label: "sales", request: request::get(&host, "/v1/sales") },
        Call { label: "the sale", request: request::get(&host, &format!("/v1/sales/{sale}")) },
        Call { label: "my orders", request: as_customer(&format!("/v1/sales/{sale}/orders")) },
        Call { label: "my wallet", request: as_customer("/v1/wallet") },
    ];
    Page { name: "storefront", server: gateway, calls }
}

/// Returns the calls of the operator's page (`storefront/operator/`).
fn operators_view(admin: Authority, sale: &str) -> Page {
    let host = admin.host.clone();
    let as_operator = |path: &str| request::get_with_token(&host, path, "dev-admin");
    let calls = vec![
        Call { label: "the page", request: request::get(&host, "/") },
        Call { label: "overview", request: as_operator("/admin/v1/overview") },
        Call { label: "sales", request: as_operator("/admin/v1/sales") },
        Call { label: "inventory", request: as_operator(&format!("/admin/v1/sales/{sale}/inventory")) },
        Call { label: "orders", request: as_operator(&format!("/admin/v1/sales/{sale}/orders")) },
        Call { label: "report", request: as_operator(&format!("/admin/v1/sales/{sale}/report")) },
        Call { label: "dead letters", request: as_operator("/admin/v1/dead-letters") },
    ];
    Page { name: "operator's view", server: admin, calls }
}

/// Refreshes one open page until the burst ends.
async fn probe(page: Arc<Page>, offset: Duration, mut stopped: watch::Receiver<bool>) -> PageLog {
    let mut log = PageLog::new();
    let mut connection = None;
    let mut intended = Instant::now() + offset;
    loop {
        tokio::select! {
            // The sender is dropped only after it has sent `true`.
            _ = stopped.wait_for(|stopped| *stopped) => return log,
            () = tokio::time::sleep_until(intended.into()) => {}
        }
        let mut begun = intended;
        for (n, call) in page.calls.iter().enumerate() {
            let status = send(&page.server, &mut connection, &call.request).await;
            let (_, stats) = log.entry((page.name, n)).or_insert_with(|| (call.label, CallStats::default()));
            stats.latencies.record(begun.elapsed());
            stats.failed += u64::from(status != Some(200));
            begun = Instant::now();
        }
        intended += ROUND;
    }
}

/// Sends a call. Returns the status of the response, or `None` without a response in time.
async fn send(server: &Authority, connection: &mut Option<Connection>, request: &[u8]) -> Option<u16> {
    let response = tokio::time::timeout(RESPONSE_LIMIT, async {
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
    response.await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_usable_while_every_call_succeeds_in_time() {
        let stats = |slow: u64, failed: u64| {
            let mut stats = CallStats { failed, ..CallStats::default() };
            (0..100)
                .for_each(|n| stats.latencies.record(Duration::from_millis(if n < slow { 600 } else { 20 })));
            stats
        };
        assert!(stats(0, 0).is_usable() && stats(5, 0).is_usable());
        assert!(!stats(6, 0).is_usable() && !stats(0, 1).is_usable());
    }
}
