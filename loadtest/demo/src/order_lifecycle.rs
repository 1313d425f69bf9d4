//! The lifecycle of the orders after the burst. Customers pay, are declined, cancel, or let their orders
//! expire; returned units are sold to other customers, who pay in the order request; goods are delivered, and
//! some are sent back. All of it goes through the gateways; Postgres is polled only for the number of orders
//! and units that are not final.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use checker::postgres;
use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::order::Fulfilment;
use contract::sale::SaleTerms;
use customers::admin::{self, Admin};
use customers::customer_client::{CustomerClient, Request};
use customers::follow_up::{Command, CommandResult, CommandStats, CustomerOrder, FollowUp, is_shipped};
use customers::http::Authority;
use customers::intent::{Intent, Payment};
use customers::journal::{Entry, Journal};
use customers::pool::Pool;
use customers::stats::Stats;
use customers::{progress, request};
use indicatif::ProgressBar;
use rustc_hash::FxHashSet;
use terminal::thousands;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Arguments;
use super::sales::DemoSales;

/// The number of customers per gateway who act at the same time.
const CONNECTIONS: usize = 64;
/// The connections to each gateway that are opened beforehand.
const WARM_CONNECTIONS: usize = 8;
/// The number of concurrent credits.
const CREDITS: usize = 16;
/// The number of attempts of one credit: a busy database may request a retry.
const CREDIT_ATTEMPTS_MAX: u32 = 10;
/// The polling interval of a customer who waits for the payment.
const PAID_POLL_EVERY: Duration = Duration::from_millis(300);
/// The polling interval of a customer who waits for the goods.
const SHIPPED_POLL_EVERY: Duration = Duration::from_secs(1);
/// The longest wait of a customer for the payment or the shipment.
const CUSTOMER_LIMIT: Duration = Duration::from_secs(20);
/// The interval at which the orders and the returned units are polled.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// The highest number of customers per item who order returned units at the same time.
const ROUND_MAX: u64 = 500;
/// Orders that do not change for this time are considered final.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// The time limit, counted from the end of the holds.
const LIMIT: Duration = Duration::from_secs(60);

const COUNT_BY_STATUS: &str =
    "SELECT status, count(*) FROM customer_order WHERE sale_id = $1 GROUP BY status ORDER BY status";
const AVAILABLE_UNITS: &str = "SELECT coalesce(sum(total - held - sold - dead_lettered), 0)::bigint FROM sale_item \
                               WHERE sale_id = $1 AND total IS NOT NULL";

/// The result of the lifecycle.
#[derive(Debug)]
pub(super) struct LifecycleResult {
    /// The counts of the commands of the burst's customers.
    pub(super) commands: CommandStats,
    /// The counts of the customers who ordered returned units.
    pub(super) stats: Stats,
    /// Whether the payments program charged cards.
    pub(super) cards: bool,
    /// Whether everything was sold, and no unit could be returned any more, before the time was up.
    pub(super) sold_out: bool,
    /// The time from the first payment until all orders were final.
    pub(super) took: Duration,
}

impl LifecycleResult {
    /// Returns the number of responses that were not as documented.
    pub(super) fn unexpected_responses(&self) -> u64 {
        self.commands.count(CommandResult::Unexpected) + self.stats.unexpected
    }
}

/// The state that all customers share.
struct Shared {
    sale: Arc<str>,
    client: CustomerClient,
    admin: Admin,
    credits: Semaphore,
    seed: u64,
    cards: bool,
}

/// Runs the lifecycle of the burst's orders. The time is limited; orders that are not final by then are
/// reported as they are.
pub(super) async fn run(
    arguments: &Arguments,
    sales: &DemoSales,
    gateways: Vec<Authority>,
    journal: Journal,
    burst: &[Entry],
) -> anyhow::Result<LifecycleResult> {
    let begun = Instant::now();
    let cards = arguments.programs.cards_are_charged().await;
    let pools = Pool::open_all(gateways.clone(), CONNECTIONS, WARM_CONNECTIONS).await?;
    let shared = Arc::new(Shared {
        sale: sales.burst.as_str().into(),
        client: CustomerClient::new(pools, journal),
        admin: Admin::new(&arguments.programs.admin_url)?,
        credits: Semaphore::new(CREDITS),
        seed: arguments.seed,
        cards,
    });
    let spinner = progress::spinner("lifecycle");
    let orders = accepted_orders(&shared.sale, burst);
    let acting = tokio::spawn(act_for_all(Arc::clone(&shared), orders));
    let database = SaleQueries::connect(&arguments.services.database_url, &shared.sale).await?;
    let deadline = begun + Duration::from_secs(sales.terms.hold_seconds.into()) + LIMIT;
    let seller = Seller { shared: &shared, database: &database, gateway: &gateways[0], terms: &sales.terms };
    let sold_out = seller.sell_returned_units(&spinner, deadline, || acting.is_finished()).await?;
    wait_until_final(&database, &spinner, deadline).await?;
    let took = begun.elapsed();
    let commands = acting.await.context("customers of the burst")??;
    spinner.finish_and_clear();
    let shared = Arc::into_inner(shared).context("a customer is still running")?;
    Ok(LifecycleResult { commands, stats: shared.client.into_stats(), cards, sold_out, took })
}

/// Returns the accepted orders of the burst, each once, with their customers.
fn accepted_orders(sale: &Arc<str>, entries: &[Entry]) -> Vec<CustomerOrder> {
    let mut known: FxHashSet<OrderId> = FxHashSet::default();
    let accepted = entries.iter().filter(|entry| entry.is_accepted());
    let orders = accepted.filter_map(|entry| {
        let order = entry.order_id.filter(|order| known.insert(*order))?;
        Some(CustomerOrder {
            sale: Arc::clone(sale),
            customer: entry.customer.clone(),
            order,
            total: entry.total?,
            gateway: (order.0.as_u128() % 1024) as usize, // spreads the orders over the gateways
        })
    });
    orders.collect()
}

/// Lets all customers of the burst act on their intents.
async fn act_for_all(shared: Arc<Shared>, orders: Vec<CustomerOrder>) -> anyhow::Result<CommandStats> {
    let mut acting = JoinSet::new();
    for order in orders {
        let shared = Arc::clone(&shared);
        acting.spawn(async move { act(&shared, &order).await });
    }
    let mut all = CommandStats::default();
    for stats in acting.join_all().await {
        all.merge(stats?);
    }
    Ok(all)
}

/// Acts for the customer of one order.
async fn act(shared: &Shared, order: &CustomerOrder) -> anyhow::Result<CommandStats> {
    let mut customer = FollowUp::new(&shared.client);
    let intent = Intent::choose(&order.customer, shared.seed, shared.cards);
    if let Some(payment) = intent.payment() {
        if payment == Payment::Wallet {
            shared.credit(&order.customer, order.total).await?;
        }
        if customer.send(order, Command::Pay(payment.request())).await != CommandResult::Recorded {
            return Ok(customer.into_stats());
        }
    }
    match intent {
        Intent::Keep(_) | Intent::Forget => {}
        Intent::CancelUnpaid => {
            customer.send(order, Command::Cancel).await;
        }
        Intent::CancelPaid(_) => {
            let is_paid = OrderStatus::is_paid;
            let status = customer.wait_for_status(order, is_paid, PAID_POLL_EVERY, CUSTOMER_LIMIT).await;
            if status.is_some_and(is_paid) {
                customer.send(order, Command::Cancel).await;
            }
        }
        Intent::SendBack(_) => {
            let status =
                customer.wait_for_status(order, is_shipped, SHIPPED_POLL_EVERY, CUSTOMER_LIMIT).await;
            if status.is_some_and(is_shipped) {
                customer.send(order, Command::Refund).await;
            }
        }
    }
    Ok(customer.into_stats())
}

impl Shared {
    async fn credit(&self, customer: &str, amount: u64) -> anyhow::Result<()> {
        let _permit = self.credits.acquire().await?;
        for _ in 1..CREDIT_ATTEMPTS_MAX {
            // The key is the sale: a repeated credit has no effect.
            if self.admin.credit(customer, &self.sale, amount, Currency::KRW).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        self.admin.credit(customer, &self.sale, amount, Currency::KRW).await
    }

    /// Orders one returned unit for a new customer, who pays in the order request.
    async fn order_returned_unit(&self, n: u64, sku: &str, price: u64) -> anyhow::Result<()> {
        let name = format!("late-{n:05}");
        let payment = if self.cards && n.is_multiple_of(3) { Payment::Card } else { Payment::Wallet };
        if payment == Payment::Wallet {
            self.credit(&name, price).await?;
        }
        let mut order = request::order_with_lines(&[(sku, 1)]);
        order.payment = Some(payment.request());
        order.fulfilment = n.is_multiple_of(5).then_some(Fulfilment::Store);
        let request = Request::order(&self.sale, &name, &format!("order-{name}"), order);
        self.client.send_with_retries(&request, n as usize, Instant::now()).await;
        Ok(())
    }
}

/// Queries about the sale in Postgres.
struct SaleQueries {
    client: tokio_postgres::Client,
    sale: String,
}

/// The number of orders by status.
type StatusCounts = Vec<(String, u64)>;

impl SaleQueries {
    async fn connect(database_url: &str, sale: &str) -> anyhow::Result<Self> {
        Ok(Self { client: postgres::connect(database_url).await?, sale: sale.to_owned() })
    }

    async fn count_by_status(&self) -> anyhow::Result<StatusCounts> {
        let rows = self.client.query(COUNT_BY_STATUS, &[&self.sale]).await?;
        let counts = rows.iter().map(|row| {
            let (status, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            anyhow::Ok((status, u64::try_from(count)?))
        });
        counts.collect()
    }

    async fn available_units(&self) -> anyhow::Result<i64> {
        Ok(self.client.query_one(AVAILABLE_UNITS, &[&self.sale]).await?.try_get(0)?)
    }
}

/// Returns the number of orders with a wanted status.
fn count_with(counts: &StatusCounts, wanted: impl Fn(OrderStatus) -> bool) -> u64 {
    let wanted = counts.iter().filter(|(status, _)| OrderStatus::parse(status).is_some_and(&wanted));
    wanted.map(|(_, count)| count).sum()
}

fn count_unfinished(counts: &StatusCounts) -> u64 {
    count_with(counts, |status| !status.is_final())
}

fn progress_line(counts: &StatusCounts) -> String {
    let counts: Vec<_> = counts.iter().map(|(status, n)| format!("{} {status}", thousands(*n))).collect();
    counts.join(", ")
}

/// Sells returned units to new customers.
struct Seller<'a> {
    shared: &'a Arc<Shared>,
    database: &'a SaleQueries,
    gateway: &'a Authority,
    terms: &'a SaleTerms,
}

impl Seller<'_> {
    /// Sells returned units until everything is sold and no order can return units any more. Returns whether
    /// this happened before the deadline.
    async fn sell_returned_units(
        &self,
        spinner: &ProgressBar,
        deadline: Instant,
        all_acted: impl Fn() -> bool,
    ) -> anyhow::Result<bool> {
        let mut customers = 0;
        while Instant::now() < deadline {
            // In this order: a customer who acts after the queries may return units.
            let acted = all_acted();
            let counts = self.database.count_by_status().await?;
            let available = self.database.available_units().await?;
            spinner.set_message(progress_line(&counts));
            if acted && available == 0 && count_with(&counts, OrderStatus::holds_units) == 0 {
                return Ok(true);
            }
            self.sell_round(&mut customers).await?;
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(false)
    }

    /// Lets one customer order each unit that the gateway shows as remaining.
    async fn sell_round(&self, customers: &mut u64) -> anyhow::Result<()> {
        let mut running = JoinSet::new();
        let view = admin::fetch_sale(self.gateway, &self.shared.sale).await?;
        for item in view.map(|view| view.items).unwrap_or_default() {
            let order = request::order_with_lines(&[(&item.sku, 1)]);
            let price = order.price(self.terms).context("the sale's prices")?.amounts.total();
            for _ in 0..item.remaining.unwrap_or(0).min(ROUND_MAX) {
                *customers += 1;
                let (shared, sku, n) = (Arc::clone(self.shared), item.sku.clone(), *customers);
                running.spawn(async move { shared.order_returned_unit(n, &sku, price).await });
            }
        }
        for outcome in running.join_all().await {
            outcome?;
        }
        Ok(())
    }
}

/// Waits until every order is final, or until no order changes any more: with the delays of a real courier,
/// deliveries take days.
async fn wait_until_final(
    database: &SaleQueries,
    spinner: &ProgressBar,
    deadline: Instant,
) -> anyhow::Result<()> {
    let (mut last, mut changed) = (StatusCounts::new(), Instant::now());
    while Instant::now() < deadline && changed.elapsed() < STABLE_AFTER {
        let counts = database.count_by_status().await?;
        spinner.set_message(progress_line(&counts));
        if count_unfinished(&counts) == 0 {
            break;
        }
        if counts != last {
            (last, changed) = (counts, Instant::now());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use customers::journal::{Class, SentRequest};
    use customers::response::Response;

    #[test]
    fn an_order_with_two_acceptances_is_returned_once() {
        let entry = |customer, response: &Response| {
            let (sale, gateway, class) = ("s", "g", Class::Plain);
            Entry::new(
                &SentRequest { sale, customer, key: Some("k"), gateway, class, order: None, sent_us: 1 },
                response,
            )
        };
        let body = r#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","total":700}"#;
        let accepted = Response::parse(202, false, None, body.as_bytes());
        let refused = Response::parse(409, false, None, br#"{"code":"sold_out","sku":"A","remaining":0}"#);
        let entries = [entry("a", &accepted), entry("b", &refused), entry("a", &accepted)];
        let orders = accepted_orders(&"s".into(), &entries);
        assert_eq!(orders.len(), 1);
        assert_eq!((orders[0].customer.as_str(), orders[0].total), ("a", 700));
        assert_eq!(Some(orders[0].order), accepted.order_id);
    }

    #[test]
    fn cancelled_delivered_and_refunded_orders_are_final() {
        let counts =
            |all: &[(&str, u64)]| all.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect::<StatusCounts>();
        let finished = counts(&[("cancelled", 3), ("delivered", 5), ("refunded", 2)]);
        assert_eq!(count_unfinished(&finished), 0);
        for status in
            ["created", "payment_requested", "preparing", "in_warehouse", "in_transit", "refund_requested"]
        {
            let mut waiting = finished.clone();
            waiting.extend(counts(&[(status, 4)]));
            assert_eq!(count_unfinished(&waiting), 4, "{status}");
        }
        let line = progress_line(&counts(&[("cancelled", 1200), ("created", 1)]));
        assert_eq!(line, "1,200 cancelled, 1 created");
    }
}
