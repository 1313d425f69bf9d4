//! Customers who pay, in every way that cards and wallets know, give their orders up or send them back, and
//! whose holds end in the meantime. What they were told is recorded must show afterwards.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use indicatif::ProgressBar;
use uuid::Uuid;

use super::load::{Load, SKUS};
use customers::admin::Admin;
use customers::arrivals;
use customers::crowd::Dice;
use customers::follow_up::{Command, FollowUp, Owned, Replies, Reply};
use customers::intent::Payment;
use customers::request;
use customers::shop::{Request, Shop};

/// More than anything of the sale costs.
const IN_THE_WALLET: u64 = 100_000;
/// Attempts of one credit.
const CREDITS_MAX: u32 = 20;
/// How long after its request a late card is decided, and a second callback comes (the provider's default).
const LATE: Duration = Duration::from_millis(1_500);
/// A hold's end is noticed so much later.
const EXPIRY_AFTER: Duration = Duration::from_millis(1_000);
/// How far around a moment races are run.
const RACE: u64 = 600;
/// How often customers look.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Longest wait of a customer for the payment or the goods.
const PATIENCE: Duration = Duration::from_secs(12);
/// Longest wait until nothing moves any more.
const STILL_LIMIT: Duration = Duration::from_secs(60);

/// When customers pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// With the order itself.
    AtOnce,
    /// Within two seconds.
    Soon,
    /// So that the money comes around the end of the hold.
    AroundTheEnd,
}

/// What customers do besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Keep,
    /// Cancel around the moment at which the payment is decided.
    CancelMeanwhile,
    /// Cancel once it is paid.
    CancelPaid,
    /// Send it back once it is shipped.
    SendBack,
}

/// What a customer does; without a payment, the order is cancelled or forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Habit(pub Option<Payment>, pub When, pub Then);

/// Habits and how many customers have them.
pub type Habits = &'static [(u64, Habit)];

const fn by(payment: Payment, when: When, then: Then) -> Habit {
    Habit(Some(payment), when, then)
}

/// Some of everything.
pub const EVERY_KIND: Habits = &[
    (24, by(Payment::Card, When::Soon, Then::Keep)),
    (12, by(Payment::Card, When::AtOnce, Then::Keep)),
    (6, by(Payment::LateCard, When::Soon, Then::Keep)),
    (5, by(Payment::TwiceToldCard, When::Soon, Then::Keep)),
    (5, by(Payment::LyingCard, When::Soon, Then::Keep)),
    (5, by(Payment::SilentCard, When::Soon, Then::Keep)),
    (7, by(Payment::DeclinedCard, When::Soon, Then::Keep)),
    (8, by(Payment::Wallet, When::Soon, Then::Keep)),
    (3, by(Payment::EmptyWallet, When::AtOnce, Then::Keep)),
    (5, by(Payment::Card, When::Soon, Then::CancelMeanwhile)),
    (4, by(Payment::LateCard, When::AroundTheEnd, Then::Keep)),
    (5, by(Payment::Card, When::Soon, Then::CancelPaid)),
    (2, by(Payment::Wallet, When::AtOnce, Then::CancelPaid)),
    (4, by(Payment::Card, When::AtOnce, Then::SendBack)),
    (3, Habit(None, When::Soon, Then::CancelMeanwhile)),
    (2, Habit(None, When::Soon, Then::Keep)),
];

/// Cards whose provider answers late, twice, never, or tells what is not true.
pub const LIED_TO: Habits = &[
    (30, by(Payment::LyingCard, When::Soon, Then::Keep)),
    (25, by(Payment::TwiceToldCard, When::Soon, Then::Keep)),
    (10, by(Payment::SilentCard, When::Soon, Then::Keep)),
    (10, by(Payment::LateCard, When::Soon, Then::Keep)),
    (10, by(Payment::LyingCard, When::Soon, Then::CancelPaid)),
    (10, by(Payment::TwiceToldCard, When::Soon, Then::CancelMeanwhile)),
    (5, by(Payment::LyingCard, When::AroundTheEnd, Then::Keep)),
];

/// The money comes when the hold ends.
pub const AROUND_THE_END: Habits = &[
    (50, by(Payment::LateCard, When::AroundTheEnd, Then::Keep)),
    (20, by(Payment::Card, When::AroundTheEnd, Then::Keep)),
    (15, by(Payment::SilentCard, When::AroundTheEnd, Then::Keep)),
    (10, by(Payment::DeclinedCard, When::AroundTheEnd, Then::Keep)),
    (5, by(Payment::Wallet, When::AroundTheEnd, Then::Keep)),
];

/// The money comes when the customer gives the order up.
pub const MEANWHILE: Habits = &[
    (35, by(Payment::Card, When::Soon, Then::CancelMeanwhile)),
    (35, by(Payment::LateCard, When::Soon, Then::CancelMeanwhile)),
    (10, by(Payment::SilentCard, When::Soon, Then::CancelMeanwhile)),
    (10, by(Payment::Card, When::AtOnce, Then::CancelMeanwhile)),
    (5, by(Payment::DeclinedCard, When::Soon, Then::CancelMeanwhile)),
    (5, by(Payment::Wallet, When::Soon, Then::CancelMeanwhile)),
];

/// A command that a customer was told is recorded.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    order: OrderId,
    command: &'static str,
}

/// What became of the customers.
#[derive(Debug, Default)]
pub struct Buyers {
    recorded: Mutex<Vec<Recorded>>,
    replies: Mutex<Replies>,
}

struct Street {
    shop: Arc<Shop>,
    sale: Arc<str>,
    admin: Admin,
    hold: Duration,
    buyers: Arc<Buyers>,
}

impl Load {
    /// So many customers come within this time, and do with their orders what they are used to.
    pub async fn come_and_pay(
        &self,
        count: u64,
        within: Duration,
        hold: Duration,
        habits: Habits,
        (admin, seed): (Admin, u64),
    ) -> Arc<Buyers> {
        let street = Arc::new(Street {
            shop: Arc::clone(self.shop()),
            sale: Arc::clone(self.sale()),
            admin,
            hold,
            buyers: Arc::default(),
        });
        let customer = |n: u64, intended| {
            let (street, dice) = (Arc::clone(&street), Dice::new(seed ^ (n << 20)));
            async move { live(&street, n, dice, habits, intended).await }
        };
        arrivals::run(count, within, &ProgressBar::hidden(), |_| {}, customer).await;
        self.also_came(count);
        Arc::clone(&street.buyers)
    }
}

fn chosen(habits: Habits, dice: &mut Dice) -> Habit {
    let mut roll = dice.roll(habits.iter().map(|(weight, _)| weight).sum());
    for (weight, habit) in habits {
        if roll < *weight {
            return *habit;
        }
        roll -= weight;
    }
    Habit(None, When::Soon, Then::Keep) // the roll is below the sum
}

async fn live(street: &Street, n: u64, mut dice: Dice, habits: Habits, intended: Instant) {
    let Street { shop, sale, hold, .. } = street;
    let Habit(payment, when, then) = chosen(habits, &mut dice);
    let customer = format!("buyer-{n:05}");
    if payment == Some(Payment::Wallet) {
        street.credit(&customer).await;
    }
    let mut order = request::body(&[(SKUS[dice.roll(2) as usize], 1)]);
    order.payment = payment.filter(|_| when == When::AtOnce).map(Payment::request);
    let told = shop.ask(&Request::order(sale, &customer, &customer, order), n as usize, intended).await;
    let held_since = Instant::now();
    let Some(order) = told.answer.order_id.filter(|_| told.answer.is_accepted()) else { return };
    let total = told.answer.total.unwrap_or_default();
    let of = Owned { sale: Arc::clone(sale), customer, order, total, gateway: dice.roll(2) as usize };
    let mut customer = FollowUp::new(shop);
    if let Some(payment) = payment.filter(|_| when != When::AtOnce) {
        let wait = match when {
            When::AroundTheEnd => {
                let takes = if payment == Payment::LateCard { LATE } else { Duration::ZERO };
                (*hold + EXPIRY_AFTER + Duration::from_millis(dice.roll(RACE))).saturating_sub(takes)
                    - Duration::from_millis(RACE / 2)
            }
            _ => Duration::from_millis(dice.roll(2_000)),
        };
        tokio::time::sleep(wait.saturating_sub(held_since.elapsed())).await;
        street.tell(&mut customer, &of, Command::Pay(payment.request())).await;
    }
    match then {
        Then::Keep => {}
        Then::CancelMeanwhile => {
            let decided = if payment == Some(Payment::LateCard) { LATE } else { Duration::from_millis(60) };
            let around = Duration::from_millis(dice.roll(RACE));
            tokio::time::sleep((decided + around).saturating_sub(Duration::from_millis(RACE / 2))).await;
            if dice.roll(4) == 0 {
                let other = Owned { gateway: of.gateway + 1, ..of.clone() };
                let mut twice = FollowUp::new(shop);
                tokio::join!(
                    street.tell(&mut customer, &of, Command::Cancel),
                    street.tell(&mut twice, &other, Command::Cancel)
                );
                street.buyers.heard(twice);
            } else {
                street.tell(&mut customer, &of, Command::Cancel).await;
            }
        }
        Then::CancelPaid => {
            let paid = customer.until(&of, OrderStatus::is_paid, LOOK_EVERY, PATIENCE).await;
            if paid.is_some_and(OrderStatus::is_paid) {
                street.tell(&mut customer, &of, Command::Cancel).await;
            }
        }
        Then::SendBack => {
            let shipped = |status| {
                matches!(status, OrderStatus::Shipped | OrderStatus::InTransit | OrderStatus::Delivered)
            };
            if customer.until(&of, shipped, LOOK_EVERY, PATIENCE).await.is_some_and(shipped) {
                street.tell(&mut customer, &of, Command::Refund).await;
            }
        }
    }
    street.buyers.heard(customer);
}

impl Street {
    /// Somebody without money in the wallet is refused, which is as good a story.
    async fn credit(&self, customer: &str) {
        for _ in 0..CREDITS_MAX {
            // Once a customer and sale, however often it is sent.
            if self.admin.credit(customer, &self.sale, IN_THE_WALLET, Currency::KRW).await.is_ok() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn tell(&self, customer: &mut FollowUp<'_>, of: &Owned, command: Command) {
        let name = command.name();
        if customer.tell(of, command).await == Reply::Recorded {
            lock(&self.buyers.recorded).push(Recorded { order: of.order, command: name });
        }
    }
}

/// Whether anything still moves: orders on their way, money that is asked for or goes back.
const MOVES: &str = "SELECT count(*) FROM customer_order o LEFT JOIN payment p USING (order_id) WHERE o.sale_id = $1 \
     AND (o.status NOT IN ('cancelled', 'delivered', 'refunded') OR p.status IN ('requested', 'refund_requested'))";
/// Commands that were recorded, and show nowhere: neither in what they do nor as a note.
const UNSEEN: &str = "SELECT c.command, count(*), min(c.order_id::text) \
      FROM unnest($1::uuid[], $2::text[]) AS c (order_id, command) \
     WHERE NOT EXISTS (SELECT FROM order_event e WHERE e.order_id = c.order_id AND e.status = CASE c.command \
               WHEN 'payment' THEN 'payment_requested' WHEN 'refund' THEN 'refund_requested' ELSE 'cancelled' END) \
       AND NOT EXISTS (SELECT FROM order_note n WHERE n.order_id = c.order_id) \
     GROUP BY 1";

impl Buyers {
    /// Waits until every order and all money has come to its end. Returns how many have not.
    pub async fn until_still(&self, database: &tokio_postgres::Client, sale: &str) -> anyhow::Result<u64> {
        let begun = Instant::now();
        loop {
            let moving: i64 = database.query_one(MOVES, &[&sale]).await?.try_get(0)?;
            if moving == 0 || begun.elapsed() >= STILL_LIMIT {
                return Ok(moving.unsigned_abs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Commands that customers were told are recorded, and of which there is no trace; and answers that are
    /// not as documented.
    pub async fn complaints(&self, database: &tokio_postgres::Client) -> anyhow::Result<(u64, Vec<String>)> {
        let (orders, commands): (Vec<Uuid>, Vec<&str>) =
            lock(&self.recorded).iter().map(|recorded| (recorded.order.0, recorded.command)).unzip();
        let (mut lost, mut all) = (0, Vec::new());
        for row in database.query(UNSEEN, &[&orders, &commands]).await? {
            let (command, count, order): (String, i64, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            lost += count.unsigned_abs();
            all.push(format!("{count} recorded {command} commands left no trace, such as that of {order}"));
        }
        let replies = lock(&self.replies);
        if let Some(example) = replies.examples.first() {
            let count = replies.of(Reply::Unexpected);
            all.push(format!("{count} answers to commands were not as documented, such as {example}"));
        }
        Ok((lost, all))
    }

    fn heard(&self, customer: FollowUp<'_>) {
        lock(&self.replies).merge(customer.finish());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // each use is one push or one merge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_habit_is_met() {
        for habits in [EVERY_KIND, LIED_TO, AROUND_THE_END, MEANWHILE] {
            let mut dice = Dice::new(1);
            let met: std::collections::BTreeSet<_> =
                (0..3_000).map(|_| format!("{:?}", chosen(habits, &mut dice))).collect();
            assert_eq!(met.len(), habits.len());
        }
    }
}
