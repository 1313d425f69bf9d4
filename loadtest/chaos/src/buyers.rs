//! Customers who pay with every kind of card and wallet, and who then keep, cancel or send back their orders,
//! while holds expire. Every command that was acknowledged must have an effect afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use parking_lot::Mutex;
use uuid::Uuid;

use super::load::{Load, SKUS};
use customers::admin::Admin;
use customers::arrivals;
use customers::customer_client::{CustomerClient, Request};
use customers::follow_up::{Command, CommandResult, CommandStats, CustomerOrder, FollowUp, is_shipped};
use customers::intent::Payment;
use customers::request;
use fastrand::Rng;

/// More than the price of any order of the sale.
const WALLET_CREDIT: u64 = 100_000;
/// The number of attempts of one credit.
const CREDIT_ATTEMPTS_MAX: u32 = 20;
/// The delay after a request until a late card is decided and a second callback is sent (the provider's
/// default).
const LATE: Duration = Duration::from_millis(1_500);
/// The delay after the end of a hold until the order expires.
const EXPIRY_AFTER: Duration = Duration::from_millis(1_000);
/// The width of the window around a moment in which races run, in milliseconds.
const RACE_WINDOW_MS: u64 = 600;
/// The polling interval of customers.
const POLL_EVERY: Duration = Duration::from_millis(300);
/// The longest wait of a customer for the payment or the shipment.
const CUSTOMER_LIMIT: Duration = Duration::from_secs(12);
/// The longest wait until all orders and payments are final.
const FINAL_LIMIT: Duration = Duration::from_secs(60);

/// When a customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The payment is part of the order request.
    WithOrder,
    /// The customer pays within two seconds after the order.
    Soon,
    /// The capture coincides with the end of the hold.
    AroundExpiry,
}

/// What a customer does after paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Keeps the order.
    Keep,
    /// Cancels around the moment at which the payment is decided.
    CancelDuringPayment,
    /// Cancels after the order is paid.
    CancelPaid,
    /// Requests a refund after the order is shipped.
    SendBack,
}

/// What a customer does. Without a payment, the order is cancelled or expires.
#[derive(Debug, Clone, Copy)]
pub struct Behavior(pub Option<Payment>, pub When, pub Then);

/// The number of customers in a hundred with each behavior.
pub type Behaviors = &'static [(u64, Behavior)];

const fn pays(payment: Payment, when: When, then: Then) -> Behavior {
    Behavior(Some(payment), when, then)
}

/// A mix of all behaviors.
pub const MIXED: Behaviors = &[
    (24, pays(Payment::Card, When::Soon, Then::Keep)),
    (12, pays(Payment::Card, When::WithOrder, Then::Keep)),
    (6, pays(Payment::LateCard, When::Soon, Then::Keep)),
    (5, pays(Payment::DuplicateCallbackCard, When::Soon, Then::Keep)),
    (5, pays(Payment::ContradictoryCard, When::Soon, Then::Keep)),
    (5, pays(Payment::TimeoutCard, When::Soon, Then::Keep)),
    (7, pays(Payment::DeclinedCard, When::Soon, Then::Keep)),
    (8, pays(Payment::Wallet, When::Soon, Then::Keep)),
    (3, pays(Payment::EmptyWallet, When::WithOrder, Then::Keep)),
    (5, pays(Payment::Card, When::Soon, Then::CancelDuringPayment)),
    (4, pays(Payment::LateCard, When::AroundExpiry, Then::Keep)),
    (5, pays(Payment::Card, When::Soon, Then::CancelPaid)),
    (2, pays(Payment::Wallet, When::WithOrder, Then::CancelPaid)),
    (4, pays(Payment::Card, When::WithOrder, Then::SendBack)),
    (3, Behavior(None, When::Soon, Then::CancelDuringPayment)),
    (2, Behavior(None, When::Soon, Then::Keep)),
];

/// Cards whose provider responds late, twice, never, or contradicts itself.
pub const UNRELIABLE_PROVIDER: Behaviors = &[
    (30, pays(Payment::ContradictoryCard, When::Soon, Then::Keep)),
    (25, pays(Payment::DuplicateCallbackCard, When::Soon, Then::Keep)),
    (10, pays(Payment::TimeoutCard, When::Soon, Then::Keep)),
    (10, pays(Payment::LateCard, When::Soon, Then::Keep)),
    (10, pays(Payment::ContradictoryCard, When::Soon, Then::CancelPaid)),
    (10, pays(Payment::DuplicateCallbackCard, When::Soon, Then::CancelDuringPayment)),
    (5, pays(Payment::ContradictoryCard, When::AroundExpiry, Then::Keep)),
];

/// Payments that are captured when the hold ends.
pub const AROUND_EXPIRY: Behaviors = &[
    (50, pays(Payment::LateCard, When::AroundExpiry, Then::Keep)),
    (20, pays(Payment::Card, When::AroundExpiry, Then::Keep)),
    (15, pays(Payment::TimeoutCard, When::AroundExpiry, Then::Keep)),
    (10, pays(Payment::DeclinedCard, When::AroundExpiry, Then::Keep)),
    (5, pays(Payment::Wallet, When::AroundExpiry, Then::Keep)),
];

/// Payments that are captured when the customer cancels.
pub const AROUND_CANCELLATION: Behaviors = &[
    (35, pays(Payment::Card, When::Soon, Then::CancelDuringPayment)),
    (35, pays(Payment::LateCard, When::Soon, Then::CancelDuringPayment)),
    (10, pays(Payment::TimeoutCard, When::Soon, Then::CancelDuringPayment)),
    (10, pays(Payment::Card, When::WithOrder, Then::CancelDuringPayment)),
    (5, pays(Payment::DeclinedCard, When::Soon, Then::CancelDuringPayment)),
    (5, pays(Payment::Wallet, When::Soon, Then::CancelDuringPayment)),
];

/// A command that was acknowledged with a 202.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    order: OrderId,
    command: &'static str,
}

/// The acknowledged commands and the results of all commands.
#[derive(Debug, Default)]
pub struct Buyers {
    recorded: Mutex<Vec<Recorded>>,
    stats: Mutex<CommandStats>,
}

/// What the customers of a run share.
struct BuyerContext {
    client: Arc<CustomerClient>,
    sale: Arc<str>,
    admin: Admin,
    hold: Duration,
    buyers: Arc<Buyers>,
}

impl Load {
    /// Runs `count` customers, who arrive within `within` and follow one of the behaviors.
    pub async fn run_buyers(
        &self,
        count: u64,
        within: Duration,
        hold: Duration,
        behaviors: Behaviors,
        (admin, seed): (Admin, u64),
    ) -> Arc<Buyers> {
        let shared = Arc::new(BuyerContext {
            client: Arc::clone(self.client()),
            sale: Arc::clone(self.sale()),
            admin,
            hold,
            buyers: Arc::default(),
        });
        let customer = |n: u64, intended| {
            let (shared, rng) = (Arc::clone(&shared), Rng::with_seed(seed ^ (n << 20)));
            async move { buy(&shared, n, rng, behaviors, intended).await }
        };
        arrivals::run(count, within, |_| {}, customer).await;
        self.count_extra_customers(count);
        Arc::clone(&shared.buyers)
    }
}

fn choose(behaviors: Behaviors, rng: &mut Rng) -> Behavior {
    let mut point = rng.u64(0..behaviors.iter().map(|(weight, _)| weight).sum());
    for (weight, behavior) in behaviors {
        if point < *weight {
            return *behavior;
        }
        point -= weight;
    }
    Behavior(None, When::Soon, Then::Keep) // unreachable: the point is below the sum of the weights
}

async fn buy(shared: &BuyerContext, n: u64, mut rng: Rng, behaviors: Behaviors, intended: Instant) {
    let Behavior(payment, when, then) = choose(behaviors, &mut rng);
    let customer = format!("buyer-{n:05}");
    if payment == Some(Payment::Wallet) {
        shared.credit(&customer).await;
    }
    let mut order = request::order_with_lines(&[(SKUS[rng.usize(0..2)], 1)]);
    order.payment = payment.filter(|_| when == When::WithOrder).map(Payment::request);
    let request = Request::order(&shared.sale, &customer, &customer, order);
    let outcome = shared.client.send_with_retries(&request, n as usize, intended).await;
    let held_since = Instant::now();
    let response = outcome.response;
    let Some(order) = response.order_id.filter(|_| response.is_accepted()) else { return };
    let order = CustomerOrder {
        sale: Arc::clone(&shared.sale),
        customer,
        order,
        total: response.total.unwrap_or_default(),
        gateway: rng.usize(0..2),
    };
    let mut customer = FollowUp::new(&shared.client);
    if let Some(payment) = payment.filter(|_| when != When::WithOrder) {
        let wait = pause_before_payment(payment, when, shared.hold, &mut rng);
        tokio::time::sleep(wait.saturating_sub(held_since.elapsed())).await;
        shared.send(&mut customer, &order, Command::Pay(payment.request())).await;
    }
    shared.follow_up(&mut customer, &order, payment, then, &mut rng).await;
    shared.buyers.record(customer);
}

/// Returns the time from the acceptance to the payment.
fn pause_before_payment(payment: Payment, when: When, hold: Duration, rng: &mut Rng) -> Duration {
    if when != When::AroundExpiry {
        return Duration::from_millis(rng.u64(0..2_000));
    }
    let decided_after = if payment == Payment::LateCard { LATE } else { Duration::ZERO };
    (hold + EXPIRY_AFTER + Duration::from_millis(rng.u64(0..RACE_WINDOW_MS))).saturating_sub(decided_after)
        - Duration::from_millis(RACE_WINDOW_MS / 2)
}

impl BuyerContext {
    /// Credits the customer's wallet. A customer whose credit fails is refused for lack of money, which is
    /// also tested.
    async fn credit(&self, customer: &str) {
        for _ in 0..CREDIT_ATTEMPTS_MAX {
            // The key makes a repeated credit have no effect.
            if self.admin.credit(customer, &self.sale, WALLET_CREDIT, Currency::KRW).await.is_ok() {
                return;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn follow_up(
        &self,
        customer: &mut FollowUp<'_>,
        order: &CustomerOrder,
        payment: Option<Payment>,
        then: Then,
        rng: &mut Rng,
    ) {
        match then {
            Then::Keep => {}
            Then::CancelDuringPayment => {
                let decided_after =
                    if payment == Some(Payment::LateCard) { LATE } else { Duration::from_millis(60) };
                let offset = Duration::from_millis(rng.u64(0..RACE_WINDOW_MS));
                let half_window = Duration::from_millis(RACE_WINDOW_MS / 2);
                tokio::time::sleep((decided_after + offset).saturating_sub(half_window)).await;
                if rng.u32(0..4) == 0 {
                    self.cancel_twice(customer, order).await;
                } else {
                    self.send(customer, order, Command::Cancel).await;
                }
            }
            Then::CancelPaid => {
                let is_paid = OrderStatus::is_paid;
                let status = customer.wait_for_status(order, is_paid, POLL_EVERY, CUSTOMER_LIMIT).await;
                if status.is_some_and(is_paid) {
                    self.send(customer, order, Command::Cancel).await;
                }
            }
            Then::SendBack => {
                let status = customer.wait_for_status(order, is_shipped, POLL_EVERY, CUSTOMER_LIMIT).await;
                if status.is_some_and(is_shipped) {
                    self.send(customer, order, Command::Refund).await;
                }
            }
        }
    }

    /// Cancels at both gateways at once.
    async fn cancel_twice(&self, customer: &mut FollowUp<'_>, order: &CustomerOrder) {
        let other_gateway = CustomerOrder { gateway: order.gateway + 1, ..order.clone() };
        let mut second = FollowUp::new(&self.client);
        tokio::join!(
            self.send(customer, order, Command::Cancel),
            self.send(&mut second, &other_gateway, Command::Cancel)
        );
        self.buyers.record(second);
    }

    async fn send(&self, customer: &mut FollowUp<'_>, order: &CustomerOrder, command: Command) {
        let name = command.name();
        if customer.send(order, command).await == CommandResult::Recorded {
            self.buyers.recorded.lock().push(Recorded { order: order.order, command: name });
        }
    }
}

/// The number of orders and payments that are not in a final state.
const UNFINISHED: &str = "SELECT count(*) FROM customer_order o LEFT JOIN payment p USING (order_id) WHERE o.sale_id = $1 \
     AND (o.status NOT IN ('cancelled', 'delivered', 'refunded') OR p.status IN ('requested', 'refund_requested'))";
/// The recorded commands without an effect: neither their transition nor a note exists.
const WITHOUT_EFFECT: &str = "SELECT c.command, count(*), min(c.order_id::text) \
      FROM unnest($1::uuid[], $2::text[]) AS c (order_id, command) \
     WHERE NOT EXISTS (SELECT FROM order_event e WHERE e.order_id = c.order_id AND e.status = CASE c.command \
               WHEN 'payment' THEN 'payment_requested' WHEN 'refund' THEN 'refund_requested' ELSE 'cancelled' END) \
       AND NOT EXISTS (SELECT FROM order_note n WHERE n.order_id = c.order_id) \
     GROUP BY 1";

impl Buyers {
    /// Waits until all orders and payments are in a final state. Returns the number of those that are not.
    pub async fn wait_until_finished(
        &self,
        database: &tokio_postgres::Client,
        sale: &str,
    ) -> anyhow::Result<u64> {
        let begun = Instant::now();
        loop {
            let unfinished: i64 = database.query_one(UNFINISHED, &[&sale]).await?.try_get(0)?;
            if unfinished == 0 || begun.elapsed() >= FINAL_LIMIT {
                return Ok(unfinished.unsigned_abs());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Returns the number of acknowledged commands without an effect, and the problems found: these commands,
    /// and responses that are not as documented.
    pub async fn problems(&self, database: &tokio_postgres::Client) -> anyhow::Result<(u64, Vec<String>)> {
        let (orders, commands): (Vec<Uuid>, Vec<&str>) =
            self.recorded.lock().iter().map(|recorded| (recorded.order.0, recorded.command)).unzip();
        let (mut lost, mut all) = (0, Vec::new());
        for row in database.query(WITHOUT_EFFECT, &[&orders, &commands]).await? {
            let (command, count, order): (String, i64, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            lost += count.unsigned_abs();
            all.push(format!(
                "{count} recorded {command} commands have no effect, for example that of {order}"
            ));
        }
        let stats = self.stats.lock();
        if let Some(example) = stats.examples.first() {
            let count = stats.count(CommandResult::Unexpected);
            all.push(format!("{count} responses to commands were not as documented, for example {example}"));
        }
        Ok((lost, all))
    }

    fn record(&self, customer: FollowUp<'_>) {
        self.stats.lock().merge(customer.into_stats());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behavior_is_chosen() {
        for behaviors in [MIXED, UNRELIABLE_PROVIDER, AROUND_EXPIRY, AROUND_CANCELLATION] {
            let mut rng = Rng::with_seed(1);
            let chosen: std::collections::BTreeSet<_> =
                (0..3_000).map(|_| format!("{:?}", choose(behaviors, &mut rng))).collect();
            assert_eq!(chosen.len(), behaviors.len());
        }
    }
}
