//! The customers of a scenario: a burst while something breaks, single customers who find out when it
//! works again, and then as many as it takes to sell everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::OrderId;
use contract::order::{OrderRequest, PaymentRequest};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::receiver::Receiver;
use checker::postgres;
use customers::crowd::{Customer, crowd};
use customers::http::Authority;
use customers::intent::Payment;
use customers::journal::{self, Entry, Journal, Writer};
use customers::manners::{self, ToRepeat};
use customers::pool::Pool;
use customers::shop::{Patience, Request, Shop};
use customers::{arrivals, request};

/// What the sale offers.
pub const SKUS: [&str; 2] = ["SHIRT", "POSTER"];
/// Customers who may ever come; far more than there are units.
const CUSTOMERS_MAX: u64 = 20_000;
/// Connections to each gateway.
const CONNECTIONS: usize = 256;
/// Customers who do not live through a whole outage: others come.
const PATIENCE: Patience =
    Patience { attempts_max: 8, answer_limit: Duration::from_secs(8), pause: Duration::from_millis(200) };
/// How long a gateway may take to sell again after the cause has ended.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts of a customer who waits for that.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// A probe gives one attempt this long.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Customers of one round of selling out.
const ROUND_CUSTOMERS: u64 = 200;
/// How long a round takes to come.
const ROUND: Duration = Duration::from_millis(300);
/// Longest time of selling out.
const SELL_OUT_LIMIT: Duration = Duration::from_secs(60);

/// Whether an order is cancelled, the id of the message that it is paid, and whether analytics knows of it.
const SERVED: &str = "SELECT o.status = 'cancelled', (SELECT 'order_' || e.partition || '-' || e.seq FROM order_event e \
      WHERE e.order_id = o.order_id AND e.status = 'payment_completed'), \
     (SELECT a.paid_at IS NOT NULL FROM analytics_order a WHERE a.order_id = o.order_id) \
     FROM customer_order o WHERE o.order_id = $1";

/// The customers of one sale.
pub struct Load {
    shop: Arc<Shop>,
    sale: Arc<str>,
    crowd: Vec<Customer>,
    came: std::sync::atomic::AtomicUsize,
    gateways: usize,
    journal: PathBuf,
    writer: Writer,
    later: mpsc::UnboundedSender<ToRepeat>,
    to_repeat: mpsc::UnboundedReceiver<ToRepeat>,
    /// Also who came beside the crowd.
    probes: std::sync::atomic::AtomicU64,
}

/// What customers were told in all.
#[derive(Debug)]
pub struct Told {
    /// Customers who came.
    pub offered: u64,
    /// Orders that somebody was told of.
    pub accepted: u64,
    /// The journal.
    pub entries: Vec<Entry>,
}

impl Load {
    /// Nobody has come yet.
    pub fn new(sale: &str, gateways: Vec<Authority>, seed: u64, folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("journal.jsonl");
        let (journal, writer): (Journal, Writer) = journal::create(&path).context("the journal")?;
        let count = gateways.len();
        let pools = gateways.into_iter().map(|gateway| Pool::new(gateway, CONNECTIONS)).collect();
        let (later, to_repeat) = mpsc::unbounded_channel();
        Ok(Self {
            shop: Arc::new(Shop::open(pools, journal).with(PATIENCE)),
            sale: sale.into(),
            crowd: crowd(CUSTOMERS_MAX, SKUS, seed),
            came: 0.into(),
            gateways: count,
            journal: path,
            writer,
            later,
            to_repeat,
            probes: 0.into(),
        })
    }

    /// Where they go.
    pub(super) fn shop(&self) -> &Arc<Shop> {
        &self.shop
    }

    /// What they want.
    pub(super) fn sale(&self) -> &Arc<str> {
        &self.sale
    }

    /// How many of the crowd have come.
    fn came(&self) -> usize {
        self.came.load(std::sync::atomic::Ordering::Relaxed).min(self.crowd.len())
    }

    /// Customers who are not of the crowd.
    pub(super) fn also_came(&self, count: u64) {
        self.probes.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    }

    /// The next so many customers of the crowd, changed as the scenario wants them.
    fn next(&self, count: u64, change: impl Fn(&mut Customer)) -> Arc<[Customer]> {
        let from = self.came.fetch_add(count as usize, std::sync::atomic::Ordering::Relaxed);
        let until = self.crowd.len().min(from + count as usize);
        let mut customers = self.crowd.get(from..until).unwrap_or_default().to_vec();
        customers.iter_mut().for_each(change);
        customers.into()
    }

    /// So many customers come within this time, and each comes to an end.
    pub async fn come(&self, count: u64, within: Duration, change: impl Fn(&mut Customer)) {
        let customers = self.next(count, change);
        let (shop, sale, later) = (&self.shop, &self.sale, &self.later);
        arrivals::run(
            customers.len() as u64,
            within,
            &ProgressBar::hidden(),
            |_| {},
            move |n, intended| {
                let customer = customers[n as usize].clone();
                let (shop, sale, later) = (Arc::clone(shop), Arc::clone(sale), later.clone());
                async move {
                    if let Some(again) = manners::act(shop, sale, customer, intended).await {
                        let _ = later.send(again); // received at the end, if at all
                    }
                }
            },
        )
        .await;
    }

    /// Waits until every gateway has given a definite answer to a new customer, and what they bought is
    /// settled.
    pub async fn until_selling(&self, database_url: &str) -> anyhow::Result<()> {
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

    /// Waits until a new customer of every gateway has paid by card, was told so, and was counted.
    pub async fn until_serving(&self, database_url: &str, receiver: &Receiver) -> anyhow::Result<()> {
        let database = postgres::connect(database_url).await?;
        let served = (0..self.gateways).map(|gateway| self.until_served(gateway, &database, receiver));
        futures_util::future::try_join_all(served).await.map(drop)
    }

    /// One customer after another, as long as their holds end before.
    async fn until_served(
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
            while missing != "gone" {
                anyhow::ensure!(
                    begun.elapsed() < RECOVERY_LIMIT,
                    "a new customer's order {missing} within {RECOVERY_LIMIT:?}"
                );
                tokio::time::sleep(PROBE_EVERY).await;
                let Some(row) = database.query_opt(SERVED, &[&order.0]).await? else { continue };
                let (cancelled, message, counted): (bool, Option<String>, Option<bool>) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                missing = match message {
                    _ if cancelled => "gone",
                    None => "is not paid",
                    Some(id) if !receiver.has(&id) => "is paid and its customer is not told",
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
        let n = self.probes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("probe-{n}");
        let order = OrderRequest { payment, ..request::body(&[(SKUS[0], 1)]) };
        let request = Request::order(&self.sale, &name, &name, order);
        let begun = Instant::now();
        loop {
            let told = self.shop.attempt_within(&request, gateway, PROBE_LIMIT).await;
            if !told.answer.wants_retry() {
                return Ok(told.answer.order_id.filter(|_| told.answer.is_accepted()));
            }
            anyhow::ensure!(
                begun.elapsed() < RECOVERY_LIMIT,
                "gateway {} does not sell again within {} s: {} {:?}",
                gateway + 1,
                RECOVERY_LIMIT.as_secs(),
                told.answer.status,
                told.answer.code
            );
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// Customers come until nothing is left, as far as Postgres knows. Whether that is so is for the
    /// checker to say.
    pub async fn sell_out(&self, database: &tokio_postgres::Client) -> anyhow::Result<()> {
        let left = "SELECT coalesce(sum(total - held - sold - dead_lettered), 0)::bigint \
                    FROM sale_item WHERE sale_id = $1 AND total IS NOT NULL";
        let begun = Instant::now();
        while begun.elapsed() < SELL_OUT_LIMIT && self.came() < self.crowd.len() {
            self.come(ROUND_CUSTOMERS, ROUND, |_| {}).await;
            let left: i64 = database.query_one(left, &[&&*self.sale]).await?.try_get(0)?;
            if left <= 0 {
                break;
            }
        }
        Ok(())
    }

    /// Who was to repeat a request does so, and then nobody is left.
    pub async fn end(self) -> anyhow::Result<Told> {
        let mut repeating = tokio::task::JoinSet::new();
        let came = self.came() as u64 + self.probes.load(std::sync::atomic::Ordering::Relaxed);
        let mut to_repeat = self.to_repeat;
        while let Ok(again) = to_repeat.try_recv() {
            repeating.spawn(manners::repeat(Arc::clone(&self.shop), again, Instant::now()));
        }
        repeating.join_all().await;
        Arc::into_inner(self.shop).context("a customer is still there")?.close();
        self.writer.finish().context("the journal")?;
        let entries = journal::read(&self.journal, &self.sale)?;
        let accepted: std::collections::HashSet<_> =
            entries.iter().filter(|entry| entry.is_accepted()).filter_map(|entry| entry.order_id).collect();
        Ok(Told { offered: came, accepted: accepted.len() as u64, entries })
    }
}
