//! After the burst: its orders live on. Customers pay, are declined, change their minds, forget; what comes
//! back is sold to others, who pay in the order itself; goods arrive; some are sent back. All of it through the
//! gateways; Postgres is asked only whether anything is still to come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::order::Fulfilment;
use contract::sale::SaleTerms;
use indicatif::ProgressBar;
use rustc_hash::FxHashSet;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use checker::postgres;
use customers::admin::{self, Admin};
use customers::follow_up::{Command, FollowUp, Owned, Replies, Reply};
use customers::http::Authority;
use customers::intent::{Intent, Payment};
use customers::journal::{Entry, Journal};
use customers::shop::{Request, Shop};
use customers::tally::Tally;
use customers::{pool, progress, request};
use terminal::thousands;

use super::Arguments;
use super::prepare::Sales;

/// Customers who act at the same time, per gateway.
const CONNECTIONS: usize = 64;
/// Credits at the same time.
const CREDITS: usize = 16;
/// Attempts of one credit: a busy database may say "again".
const CREDIT_ATTEMPTS_MAX: u32 = 10;
/// How often a customer looks who waits for their payment.
const PAID_LOOK_EVERY: Duration = Duration::from_millis(300);
/// How often a customer looks who waits for their goods.
const SHIPPED_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for a payment, and for goods to be shipped.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what came back.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Who come for what came back at the same time at most.
const ROUND_MAX: u64 = 500;
/// Nothing more is to come when nothing has changed for so long.
const STILL: Duration = Duration::from_secs(10);
/// Longest time beyond the holds' end.
const LIMIT: Duration = Duration::from_secs(60);

const STANDING: &str =
    "SELECT status, count(*) FROM customer_order WHERE sale_id = $1 GROUP BY status ORDER BY status";
const LEFT: &str = "SELECT coalesce(sum(total - held - sold - dead_lettered), 0)::bigint FROM sale_item \
                    WHERE sale_id = $1 AND total IS NOT NULL";

/// What was done.
#[derive(Debug)]
pub(super) struct Afterwards {
    /// What customers were told who had an order.
    pub(super) replies: Replies,
    /// What those were told who came for what came back.
    pub(super) tally: Tally,
    /// Whether somebody charged cards.
    pub(super) cards: bool,
    /// Whether everything was sold in the end, and nothing could come back any more, before time was up.
    pub(super) sold_out: bool,
    /// From the first payment until nothing more was to come.
    pub(super) took: Duration,
}

impl Afterwards {
    /// Answers that were not as documented.
    pub(super) fn surprises(&self) -> u64 {
        self.replies.of(Reply::Unexpected) + self.tally.unexpected
    }
}

/// All that customers share.
struct Street {
    sale: Arc<str>,
    shop: Shop,
    admin: Admin,
    credits: Semaphore,
    seed: u64,
    cards: bool,
}

/// Lets the orders of the burst live to their ends. Bounded: what does not come to its end is told as it is.
pub(super) async fn run(
    arguments: &Arguments,
    sales: &Sales,
    gateways: Vec<Authority>,
    journal: Journal,
    burst: &[Entry],
) -> anyhow::Result<Afterwards> {
    let begun = Instant::now();
    let cards = match &arguments.programs.payments_url {
        Some(url) => admin::is_ready(url).await,
        None => false,
    };
    let pools = pool::open_all(gateways.clone(), CONNECTIONS, 8).await?;
    let street = Arc::new(Street {
        sale: sales.burst.as_str().into(),
        shop: Shop::open(pools, journal),
        admin: Admin::at(&arguments.programs.admin_url)?,
        credits: Semaphore::new(CREDITS),
        seed: arguments.seed,
        cards,
    });
    let line = progress::waiting("afterwards");
    let orders = owned(&street.sale, burst);
    let acting = tokio::spawn(act_all(Arc::clone(&street), orders));
    let board = Board::open(&arguments.services.database_url, &street.sale).await?;
    let limit = begun + Duration::from_secs(sales.terms.hold_seconds.into()) + LIMIT;
    let sold_out =
        sell_again(&street, &board, (&gateways[0], &sales.terms), &line, limit, || acting.is_finished())
            .await?;
    until_arrived(&board, &line, limit).await?;
    let took = begun.elapsed();
    let replies = acting.await.context("customers of the burst")??;
    line.finish_and_clear();
    let street = Arc::into_inner(street).context("a customer is still running")?;
    Ok(Afterwards { replies, tally: street.shop.close(), cards, sold_out, took })
}

/// Who has which order, as they were told.
fn owned(sale: &Arc<str>, entries: &[Entry]) -> Vec<Owned> {
    let mut known: FxHashSet<OrderId> = FxHashSet::default();
    let accepted = entries.iter().filter(|entry| entry.is_accepted());
    let orders = accepted.filter_map(|entry| {
        let order = entry.order_id.filter(|order| known.insert(*order))?;
        Some(Owned {
            sale: Arc::clone(sale),
            customer: entry.customer.clone(),
            order,
            total: entry.total?,
            gateway: (order.0.as_u128() % 1024) as usize, // whichever
        })
    });
    orders.collect()
}

/// All customers of the burst do what they mean to do.
async fn act_all(street: Arc<Street>, orders: Vec<Owned>) -> anyhow::Result<Replies> {
    let mut acting = JoinSet::new();
    for of in orders {
        let street = Arc::clone(&street);
        acting.spawn(async move { act(&street, &of).await });
    }
    let mut all = Replies::default();
    for replies in acting.join_all().await {
        all.merge(replies?);
    }
    Ok(all)
}

/// One customer with one order.
async fn act(street: &Street, of: &Owned) -> anyhow::Result<Replies> {
    let mut customer = FollowUp::new(&street.shop);
    let intent = Intent::of(&of.customer, street.seed, street.cards);
    if let Some(payment) = intent.payment() {
        if payment == Payment::Wallet {
            street.credit(&of.customer, of.total).await?;
        }
        if customer.tell(of, Command::Pay(payment.request())).await != Reply::Recorded {
            return Ok(customer.finish());
        }
    }
    match intent {
        Intent::Keep(_) | Intent::Forget => {}
        Intent::CancelUnpaid => {
            customer.tell(of, Command::Cancel).await;
        }
        Intent::CancelPaid(_) => {
            let paid = customer.until(of, OrderStatus::is_paid, PAID_LOOK_EVERY, PATIENCE).await;
            if paid.is_some_and(OrderStatus::is_paid) {
                customer.tell(of, Command::Cancel).await;
            }
        }
        Intent::SendBack(_) => {
            let shipped = |status| {
                matches!(status, OrderStatus::Shipped | OrderStatus::InTransit | OrderStatus::Delivered)
            };
            if customer.until(of, shipped, SHIPPED_LOOK_EVERY, PATIENCE).await.is_some_and(shipped) {
                customer.tell(of, Command::Refund).await;
            }
        }
    }
    Ok(customer.finish())
}

impl Street {
    async fn credit(&self, customer: &str, amount: u64) -> anyhow::Result<()> {
        let _one_of = self.credits.acquire().await?;
        for _ in 1..CREDIT_ATTEMPTS_MAX {
            // Once a customer and sale, however often it is sent.
            if self.admin.credit(customer, &self.sale, amount, Currency::KRW).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.admin.credit(customer, &self.sale, amount, Currency::KRW).await
    }

    /// Somebody comes for one unit, and pays in the order itself.
    async fn come(&self, n: u64, sku: &str, price: u64) -> anyhow::Result<()> {
        let name = format!("late-{n:05}");
        let payment = if self.cards && n.is_multiple_of(3) { Payment::Card } else { Payment::Wallet };
        if payment == Payment::Wallet {
            self.credit(&name, price).await?;
        }
        let mut order = request::body(&[(sku, 1)]);
        order.payment = Some(payment.request());
        order.fulfilment = n.is_multiple_of(5).then_some(Fulfilment::Store);
        let request = Request::order(&self.sale, &name, &format!("order-{name}"), order);
        self.shop.ask(&request, n as usize, Instant::now()).await;
        Ok(())
    }
}

/// Where the sale's orders stand in Postgres.
struct Board {
    client: tokio_postgres::Client,
    sale: String,
}

/// Orders by status.
type Standing = Vec<(String, u64)>;

impl Board {
    async fn open(database_url: &str, sale: &str) -> anyhow::Result<Self> {
        Ok(Self { client: postgres::connect(database_url).await?, sale: sale.to_owned() })
    }

    async fn standing(&self) -> anyhow::Result<Standing> {
        let rows = self.client.query(STANDING, &[&self.sale]).await?;
        let counted = rows.iter().map(|row| {
            let (status, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            anyhow::Ok((status, u64::try_from(count)?))
        });
        counted.collect()
    }

    /// Units that nobody has.
    async fn left(&self) -> anyhow::Result<i64> {
        Ok(self.client.query_one(LEFT, &[&self.sale]).await?.try_get(0)?)
    }
}

/// Orders in one of these.
fn among(standing: &Standing, wanted: impl Fn(OrderStatus) -> bool) -> u64 {
    let wanted = standing.iter().filter(|(status, _)| OrderStatus::parse(status).is_some_and(&wanted));
    wanted.map(|(_, count)| count).sum()
}

/// Whether something is still to come by itself.
fn is_under_way(status: OrderStatus) -> bool {
    !status.is_final()
}

fn live(standing: &Standing) -> String {
    let counts: Vec<_> = standing.iter().map(|(status, n)| format!("{} {status}", thousands(*n))).collect();
    counts.join(", ")
}

/// Customers come for whatever came back, until no order can fall back any more and everything is sold.
async fn sell_again(
    street: &Arc<Street>,
    board: &Board,
    (gateway, terms): (&Authority, &SaleTerms),
    line: &ProgressBar,
    limit: Instant,
    all_acted: impl Fn() -> bool,
) -> anyhow::Result<bool> {
    let mut came = 0;
    while Instant::now() < limit {
        // In this order: whoever acts after the look may give units back.
        let acted = all_acted();
        let (standing, left) = (board.standing().await?, board.left().await?);
        line.set_message(live(&standing));
        if acted && left == 0 && among(&standing, OrderStatus::holds_units) == 0 {
            return Ok(true);
        }
        let mut coming = JoinSet::new();
        for item in admin::view(gateway, &street.sale).await?.map(|view| view.items).unwrap_or_default() {
            let order = request::body(&[(&item.sku, 1)]);
            let price = order.price(terms).context("the sale's prices")?.amounts.total();
            for _ in 0..item.remaining.unwrap_or(0).min(ROUND_MAX) {
                came += 1;
                let (street, sku, n) = (Arc::clone(street), item.sku.clone(), came);
                coming.spawn(async move { street.come(n, &sku, price).await });
            }
        }
        for outcome in coming.join_all().await {
            outcome?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(false)
}

/// Until every order has come to its end, or nothing moves any more: with the delays of a real courier, goods
/// arrive when nobody watches.
async fn until_arrived(board: &Board, line: &ProgressBar, limit: Instant) -> anyhow::Result<()> {
    let (mut last, mut changed) = (Standing::new(), Instant::now());
    while Instant::now() < limit && changed.elapsed() < STILL {
        let standing = board.standing().await?;
        line.set_message(live(&standing));
        if among(&standing, is_under_way) == 0 {
            break;
        }
        if standing != last {
            (last, changed) = (standing, Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use customers::answer::Answer;
    use customers::journal::{Class, Sent};

    #[test]
    fn who_was_told_twice_has_one_order() {
        let told = |customer, answer: &Answer| {
            let (sale, gateway, class) = ("s", "g", Class::Plain);
            Entry::new(
                &Sent { sale, customer, key: Some("k"), gateway, class, order: None, sent_us: 1 },
                answer,
            )
        };
        let body = r#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","total":700}"#;
        let accepted = Answer::parse(202, false, None, body.as_bytes());
        let refused = Answer::parse(409, false, None, br#"{"code":"sold_out","sku":"A","remaining":0}"#);
        let entries = [told("a", &accepted), told("b", &refused), told("a", &accepted)];
        let orders = owned(&"s".into(), &entries);
        assert_eq!(orders.len(), 1);
        assert_eq!((orders[0].customer.as_str(), orders[0].total), ("a", 700));
        assert_eq!(Some(orders[0].order), accepted.order_id);
    }

    #[test]
    fn nothing_is_under_way_once_all_is_cancelled_delivered_or_refunded() {
        let standing =
            |of: &[(&str, u64)]| of.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect::<Standing>();
        let over = standing(&[("cancelled", 3), ("delivered", 5), ("refunded", 2)]);
        assert_eq!(among(&over, is_under_way), 0);
        for status in
            ["created", "payment_requested", "preparing", "in_warehouse", "in_transit", "refund_requested"]
        {
            let mut waiting = over.clone();
            waiting.extend(standing(&[(status, 4)]));
            assert_eq!(among(&waiting, is_under_way), 4, "{status}");
        }
        assert_eq!(live(&standing(&[("cancelled", 1200), ("created", 1)])), "1,200 cancelled, 1 created");
    }
}
