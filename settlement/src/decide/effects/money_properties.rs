//! Properties of money: for all sequences of commands and results, in any order, duplicated and late, no wallet is
//! overdrawn, no order is paid twice, and nothing is refunded that was not captured.

use super::records::decide;
use super::tests::{partition_with_sale, record};
use super::*;
use contract::ids::{CustomerId, IdempotencyKey, OrderId, SaleId};
use contract::lifecycle::OrderStatus;
use contract::money::AMOUNT_MAX;
use contract::order::{Line, PaymentMethod, PaymentRequest};
use contract::payment::{PaymentStatus, payment_id};
use contract::record::{
    Action, Command, DeliveryChange, Headers, OutboxId, PaymentOutcome, PaymentResult, RecordType,
    RefundResult, Tick,
};
use contract::wire;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;

const AT: Timestamp = Timestamp(1_790_000_000_000);
const CUSTOMERS: [&str; 2] = ["rich", "poor"];

/// The cost of an order, and how its customer pays.
#[derive(Debug, Clone)]
struct OrderSpec {
    customer: &'static str,
    unit_price: u64,
    quantity: u32,
    discount: u64,
    delivery_fee: u64,
    pays_at_once: Option<PaymentMethod>,
}

/// A record after the acceptance. `error`: the difference between the reported amount and the order's.
#[derive(Debug, Clone)]
enum Step {
    Pay(PaymentMethod),
    PaymentResult { result: PaymentOutcome, error: u64 },
    Cancel,
    Refund,
    RefundResult { error: u64 },
    Deliver(OrderStatus),
    Tick { hours: u64 },
}

fn order_spec() -> impl Strategy<Value = OrderSpec> {
    // Small prices, so that a wallet often holds exactly enough, or one unit too little; and the largest price.
    let price = prop_oneof![2 => 0u64..4, 1 => 0u64..2000, 1 => Just(AMOUNT_MAX / 10_000)];
    let fee = prop_oneof![2 => Just(0u64), 1 => 0u64..3000];
    let methods = select(vec![None, Some(PaymentMethod::Wallet), Some(PaymentMethod::Card)]);
    (select(&CUSTOMERS[..]), price, select(vec![1, 3, 10_000]), 0.0..=1.0f64, fee, methods).prop_map(
        |(customer, unit_price, quantity, part, delivery_fee, pays_at_once)| {
            let discount = (unit_price as f64 * part) as u64;
            OrderSpec { customer, unit_price, quantity, discount, delivery_fee, pays_at_once }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let error = || prop_oneof![4 => Just(0u64), 1 => Just(1)];
    let statuses = vec![OrderStatus::Shipped, OrderStatus::InTransit, OrderStatus::Delivered];
    prop_oneof![
        3 => select(vec![PaymentMethod::Wallet, PaymentMethod::Card]).prop_map(Step::Pay),
        3 => (select(vec![PaymentOutcome::Succeeded, PaymentOutcome::Failed]), error())
            .prop_map(|(result, error)| Step::PaymentResult { result, error }),
        2 => Just(Step::Cancel),
        2 => Just(Step::Refund),
        2 => error().prop_map(|error| Step::RefundResult { error }),
        2 => select(statuses).prop_map(Step::Deliver),
        1 => (0u64..3).prop_map(|hours| Step::Tick { hours }),
    ]
}

fn orders_from_specs(sale: &SaleId, specs: &[OrderSpec]) -> Vec<Order> {
    let order = |(n, spec): (usize, &OrderSpec)| {
        let (customer, key) =
            (spec.customer.parse().unwrap(), IdempotencyKey::parse(&format!("k{n}")).unwrap());
        let OrderSpec { quantity, unit_price, discount, delivery_fee, .. } = *spec;
        let line = Line { sku: "A".parse().unwrap(), quantity, unit_price };
        let payment = spec.pays_at_once.map(|method| Box::new(PaymentRequest { method, token: None }));
        Order { discount, delivery_fee, payment, ..Order::plain(sale, customer, key, AT, [line]) }
    };
    specs.iter().enumerate().map(order).collect()
}

fn step_record(sale: &SaleId, order: &Order, offset: i64, step: &Step) -> DecodedRecord {
    let (payment_id, amount, currency) = (payment_id(order.id), order.amounts().total(), Currency::KRW);
    let action = match *step {
        Step::Tick { hours } => {
            let tick = wire::encode(&Tick { at: AT.plus_seconds(3600 * hours) });
            return record(offset, "", Headers::without_epoch(RecordType::Tick), tick.to_vec());
        }
        Step::Pay(method) => Action::Pay(PaymentRequest { method, token: None }),
        Step::PaymentResult { result, error } => {
            let amount = amount + error;
            Action::PaymentResult(PaymentResult { payment_id, result, amount, currency, reason: None })
        }
        Step::Cancel => Action::Cancel,
        Step::Refund => Action::Refund,
        Step::RefundResult { error } => {
            Action::RefundResult(RefundResult { payment_id, amount: amount + error, currency })
        }
        Step::Deliver(status) => Action::Deliver(DeliveryChange { status }),
    };
    let command = Command { sale_id: sale.clone(), order_id: order.id, customer_id: None, at: AT, action };
    let value = wire::encode(&command);
    record(offset, sale.as_str(), Headers::without_epoch(RecordType::Command), value.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/money.txt"))), ..ProptestConfig::default() })]

    #[test]
    fn wallets_and_payments_add_up_for_all_sequences_of_commands(
        specs in proptest::collection::vec(order_spec(), 1..5),
        steps in proptest::collection::vec((any::<proptest::sample::Index>(), step()), 0..40),
        rich in prop_oneof![2 => 0i64..12, 1 => 0i64..20_000, 1 => Just(AMOUNT_MAX as i64)],
    ) {
        let sale: SaleId = "s".parse().unwrap();
        let orders = orders_from_specs(&sale, &specs);
        let json: Vec<_> = orders.iter().map(wire::encode_text).collect();
        let id = OutboxId::batch(Sequence(1), orders.len() as u64);
        let batch = lua::outbox::accepted_record(&sale, Epoch(1), id, AT, json.join(",").as_bytes(), &orders);
        let mut records = vec![record(0, "s", batch.headers, batch.value.to_vec())];
        records.extend(steps.iter().zip(1..).map(|((index, step), offset)| {
            step_record(&sale, index.get(&orders), offset, step)
        }));

        let state = partition_with_sale(&sale, 1);
        let prior = PriorState::with_wallets(vec![(CustomerId::parse("rich").unwrap(), Currency::KRW, rich)]);
        let time = BatchTime { at: AT, ..BatchTime::default() };
        let effects = decide(0, &state, &records, &prior, time);
        prop_assert!(effects.dead_letters.is_empty(), "{:?}", effects.dead_letters);

        // Every entry is an order's whole total; it is refunded at most once, and only after it was paid.
        let mut balances = BTreeMap::from([("rich", rich), ("poor", 0)]);
        let mut paid: BTreeMap<OrderId, i64> = BTreeMap::new();
        let wallets = &effects.wallets;
        for (i, id) in wallets.order_id.iter().enumerate() {
            let order = orders.iter().find(|order| order.id == *id).unwrap();
            let (amount, total) = (wallets.amount[i], order.amounts().total() as i64);
            prop_assert_eq!(wallets.customer_id[i], &order.customer);
            let balance = balances.get_mut(wallets.customer_id[i].as_str()).unwrap();
            *balance += amount;
            prop_assert!(*balance >= 0, "overdrawn: {:?}", wallets);
            match wallets.reason[i] {
                "payment" => {
                    prop_assert_eq!(amount, -total);
                    prop_assert_eq!(paid.insert(*id, total), None, "paid twice");
                }
                _ => {
                    prop_assert_eq!(amount, total);
                    prop_assert_eq!(paid.insert(*id, 0), Some(total), "refunded, but not paid");
                }
            }
        }
        for (customer, balance) in balances {
            prop_assert_eq!(effects.order_states.balance(customer, Currency::KRW), balance);
        }

        // The money that is kept is that of orders that are paid, or whose refund is requested.
        for order in &orders {
            let Some(state) = effects.order_state(order.id) else { continue };
            let total = order.amounts().total() as i64;
            let left = paid.get(&order.id).copied().unwrap_or(0);
            let Some(payment) = state.payment else {
                prop_assert!(!state.status.is_paid() && left == 0);
                continue;
            };
            let kept = matches!(payment.status, PaymentStatus::Captured | PaymentStatus::RefundRequested);
            prop_assert!(!state.status.is_paid() || kept, "{:?} with {:?}", state.status, payment);
            prop_assert_eq!(payment.status == PaymentStatus::Captured, state.status.is_paid() && state.status != OrderStatus::RefundRequested);
            if payment.method == PaymentMethod::Wallet {
                prop_assert_eq!(left, if kept { total } else { 0 }, "{:?}", payment);
                prop_assert!(payment.status != PaymentStatus::RefundRequested, "a wallet is refunded immediately");
            }
            // Nothing is refunded that was not captured.
            let refunded = payment.refund_requested_at.is_some() || payment.refunded_at.is_some();
            prop_assert!(!refunded || payment.captured_at.is_some(), "{:?}", payment);
        }
    }
}
