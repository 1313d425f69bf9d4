//! The customers of a scenario: a burst while something fails, probes that detect the recovery, and then
//! enough customers to sell everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::OrderId;
use contract::order::{OrderRequest, PaymentRequest};
use tokio::sync::mpsc;

use super::receiver::Receiver;
use checker::postgres;
use customers::customer_client::{CustomerClient, Request, RetryPolicy};
use customers::http::Authority;
use customers::intent::Payment;
use customers::journal::{self, Entry, Journal, Writer};
use customers::personas::{self, PendingRepeat};
use customers::pool::Pool;
use customers::population::{self, Customer};
use customers::{arrivals, request};

/// The SKUs of the sale.
pub const SKUS: [&str; 2] = ["SHIRT", "POSTER"];
/// The highest number of customers; far more than there are units.
const CUSTOMERS_MAX: u64 = 20_000;
/// Connections to each gateway.
const CONNECTIONS: usize = 256;
/// Customers do not wait for the end of a long outage: others arrive later.
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempts_max: 8,
    response_limit: Duration::from_secs(8),
    pause: Duration::from_millis(200),
};
/// The longest time until a gateway sells again after the fault has ended.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
/// The pause between two attempts of a probe.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// The longest wait for the response to an attempt of a probe.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// The number of customers in one round of selling out.
const ROUND_CUSTOMERS: u64 = 200;
/// The time within which the customers of a round arrive.
const ROUND: Duration = Duration::from_millis(300);
/// The longest time of selling out.
const SELL_OUT_LIMIT: Duration = Duration::from_secs(60);

/// Whether an order is cancelled, the id of the message about its payment, and whether analytics has counted
/// the payment.
const SERVED: &str = "SELECT o.status = 'cancelled', (SELECT 'order_' || e.partition || '-' || e.seq FROM order_event e \
      WHERE e.order_id = o.order_id AND e.status = 'payment_completed'), \
     (SELECT a.paid_at IS NOT NULL FROM analytics_order a WHERE a.order_id = o.order_id) \
     FROM customer_order o WHERE o.order_id = $1";

/// The customers of one sale.
pub struct Load {
    client: Arc<CustomerClient>,
    sale: Arc<str>,
    population: Vec<Customer>,
    arrived: std::sync::atomic::AtomicUsize,
    gateways: usize,
    journal: PathBuf,
    writer: Writer,
    repeats: mpsc::UnboundedSender<PendingRepeat>,
    pending_repeats: mpsc::UnboundedReceiver<PendingRepeat>,
    /// The number of customers outside the population.
    extra: std::sync::atomic::AtomicU64,
}

/// The result of a load.
#[derive(Debug)]
pub struct LoadResult {
    /// The number of customers who arrived.
    pub offered: u64,
    /// The number of orders that a 202 acknowledged.
    pub accepted: u64,
    /// The entries of the journal.
    pub entries: Vec<Entry>,
}

impl Load {
    /// Creates the customers; none of them has arrived.
    pub fn new(sale: &str, gateways: Vec<Authority>, seed: u64, folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("journal.jsonl");
        let (journal, writer): (Journal, Writer) = journal::create(&path).context("the journal")?;
        let count = gateways.len();
        let pools = gateways.into_iter().map(|gateway| Pool::new(gateway, CONNECTIONS)).collect();
        #[expect(clippy::disallowed_methods, reason = "bounded by the number of customers")]
        let (repeats, pending_repeats) = mpsc::unbounded_channel();
        Ok(Self {
            client: Arc::new(CustomerClient::new(pools, journal).with_retry_policy(RETRY_POLICY)),
            sale: sale.into(),
            population: population::generate(CUSTOMERS_MAX, SKUS, seed),
            arrived: 0.into(),
            gateways: count,
            journal: path,
            writer,
            repeats,
            pending_repeats,
            extra: 0.into(),
        })
    }

    /// Returns the client with which the customers call the gateways.
    pub(super) fn client(&self) -> &Arc<CustomerClient> {
        &self.client
    }

    /// Returns the sale's id.
    pub(super) fn sale(&self) -> &Arc<str> {
        &self.sale
    }

    /// Returns the number of customers of the population who have arrived.
    fn arrived(&self) -> usize {
        self.arrived.load(std::sync::atomic::Ordering::Relaxed).min(self.population.len())
    }

    /// Counts customers outside the population.
    pub(super) fn count_extra_customers(&self, count: u64) {
        self.extra.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    }

    /// Returns the next `count` customers of the population, changed by the scenario.
    fn next(&self, count: u64, change: impl Fn(&mut Customer)) -> Arc<[Customer]> {
        let from = self.arrived.fetch_add(count as usize, std::sync::atomic::Ordering::Relaxed);
        let until = self.population.len().min(from + count as usize);
        let mut customers = self.population.get(from..until).unwrap_or_default().to_vec();
        customers.iter_mut().for_each(change);
        customers.into()
    }

    /// Lets `count` customers arrive within `within`, and waits until each has finished.
    pub async fn run_burst(&self, count: u64, within: Duration, change: impl Fn(&mut Customer)) {
        let customers = self.next(count, change);
        let (client, sale, repeats) = (&self.client, &self.sale, &self.repeats);
        let customer = |n: u64, intended| {
            let customer = customers[n as usize].clone();
            let (client, sale, repeats) = (Arc::clone(client), Arc::clone(sale), repeats.clone());
            async move {
                if let Some(repeat) = personas::act(client, sale, customer, intended).await {
                    let _ = repeats.send(repeat); // received by `finish`
                }
            }
        };
        arrivals::run(customers.len() as u64, within, |_| {}, customer).await;
    }

    /// Waits until every gateway has responded definitely to a new customer, and their orders are settled.
    pub async fn wait_until_selling(&self, database_url: &str) -> anyhow::Result<()> {
        let probes = (0..self.gateways).map(|gateway| self.probe(gateway, None));
        let orders = futures_util::future::try_join_all(probes).await?;
        let orders: Vec<_> = orders.into_iter().flatten().map(|order| order.0).collect();
        let database = postgres::connect(database_url).await?;
        let begun = Instant::now();
        loop {
            let settled = "SELECT count(*) FROM customer_order WHERE order_id = ANY ($1)";
            let settled: i64 = database.query_one(settled, &[&orders]).await?.try_get(0)?;
            if settled == orders.len() as i64 {
                return Ok(());
            }
            anyhow::ensure!(
                begun.elapsed() < RECOVERY_LIMIT,
                "orders are not settled within {RECOVERY_LIMIT:?}"
            );
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// Waits until a new customer of every gateway has paid by card, was notified, and was counted.
    pub async fn wait_until_serving(&self, database_url: &str, receiver: &Receiver) -> anyhow::Result<()> {
        let database = postgres::connect(database_url).await?;
        let served = (0..self.gateways).map(|gateway| self.serve_one(gateway, &database, receiver));
        futures_util::future::try_join_all(served).await.map(drop)
    }

    /// Sends one customer after another, because a hold may expire before the payment is processed.
    async fn serve_one(
        &self,
        gateway: usize,
        database: &tokio_postgres::Client,
        receiver: &Receiver,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let payment = Some(Payment::Card.request());
            let Some(order) = self.probe(gateway, payment).await? else {
                anyhow::bail!("gateway {} refused a new customer", gateway + 1);
            };
            let mut missing = "is not settled";
            while missing != "is cancelled" {
                anyhow::ensure!(
                    begun.elapsed() < RECOVERY_LIMIT,
                    "a new customer's order {missing} after {RECOVERY_LIMIT:?}"
                );
                tokio::time::sleep(PROBE_EVERY).await;
                let Some(row) = database.query_opt(SERVED, &[&order.0]).await? else { continue };
                let (cancelled, message, counted): (bool, Option<String>, Option<bool>) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                missing = match message {
                    _ if cancelled => "is cancelled",
                    None => "is not paid",
                    Some(id) if !receiver.contains(&id) => "is paid and its customer is not notified",
                    Some(_) if counted != Some(true) => "is paid and not counted",
                    Some(_) => return Ok(()),
                };
            }
        }
    }

    async fn probe(
        &self,
        gateway: usize,
        payment: Option<PaymentRequest>,
    ) -> anyhow::Result<Option<OrderId>> {
        let n = self.extra.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("probe-{n}");
        let order = OrderRequest { payment, ..request::order_with_lines(&[(SKUS[0], 1)]) };
        let request = Request::order(&self.sale, &name, &name, order);
        let begun = Instant::now();
        loop {
            let response = self.client.send_once(&request, gateway, PROBE_LIMIT).await.response;
            if !response.should_retry() {
                return Ok(response.order_id.filter(|_| response.is_accepted()));
            }
            anyhow::ensure!(
                begun.elapsed() < RECOVERY_LIMIT,
                "gateway {} did not sell again within {} s: {} {:?}",
                gateway + 1,
                RECOVERY_LIMIT.as_secs(),
                response.status,
                response.code
            );
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// Lets customers arrive until Postgres has no units left. Whether everything was sold is for the checker
    /// to decide.
    pub async fn sell_out(&self, database: &tokio_postgres::Client) -> anyhow::Result<()> {
        let left = "SELECT coalesce(sum(total - held - sold - dead_lettered), 0)::bigint \
                    FROM sale_item WHERE sale_id = $1 AND total IS NOT NULL";
        let begun = Instant::now();
        while begun.elapsed() < SELL_OUT_LIMIT && self.arrived() < self.population.len() {
            self.run_burst(ROUND_CUSTOMERS, ROUND, |_| {}).await;
            let left: i64 = database.query_one(left, &[&&*self.sale]).await?.try_get(0)?;
            if left <= 0 {
                break;
            }
        }
        Ok(())
    }

    /// Sends the pending repeats and ends the load.
    pub async fn finish(self) -> anyhow::Result<LoadResult> {
        let mut repeating = tokio::task::JoinSet::new();
        let offered = self.arrived() as u64 + self.extra.load(std::sync::atomic::Ordering::Relaxed);
        let mut pending_repeats = self.pending_repeats;
        while let Ok(repeat) = pending_repeats.try_recv() {
            repeating.spawn(personas::repeat(Arc::clone(&self.client), repeat, Instant::now()));
        }
        repeating.join_all().await;
        Arc::into_inner(self.client).context("a customer is still running")?.into_stats();
        self.writer.finish().context("the journal")?;
        let entries = journal::read(&self.journal, &self.sale)?;
        let accepted: std::collections::HashSet<_> =
            entries.iter().filter(|entry| entry.is_accepted()).filter_map(|entry| entry.order_id).collect();
        Ok(LoadResult { offered, accepted: accepted.len() as u64, entries })
    }
}
