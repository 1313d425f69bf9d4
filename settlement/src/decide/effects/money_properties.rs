//! Whatever is asked of orders, in whatever order, doubled and late: no wallet is overdrawn, nobody pays
//! twice, and nothing goes back that was not taken.

use super::tests::{memory_of, record};
use super::*;
use contract::ids::{CustomerId, IdempotencyKey};
use contract::lifecycle::OrderStatus;
use contract::money::AMOUNT_MAX;
use contract::order::{Line, PaymentMethod, PaymentRequest};
use contract::payment::{PaymentStatus, payment_id};
use contract::record::{
    Action, Command, DeliveryChange, Headers, OutboxId, PaymentOutcome, PaymentResult, RecordType,
    RefundResult,
};
use proptest::prelude::*;
use proptest::sample::select;

const AT: Timestamp = Timestamp(1_790_000_000_000);
const CUSTOMERS: [&str; 2] = ["rich", "poor"];

/// What an order costs and how it is paid, as its customer asked for it.
#[derive(Debug, Clone)]
struct Asked {
    customer: &'static str,
    unit_price: u64,
    quantity: u32,
    discount: u64,
    delivery_fee: u64,
    pays_at_once: Option<PaymentMethod>,
}

/// What comes afterwards. `off`: by how much the amount that is told is wrong.
#[derive(Debug, Clone)]
enum Step {
    Pay(PaymentMethod),
    Told { result: PaymentOutcome, off: u64 },
    Cancel,
    Refund,
    Returned { off: u64 },
    Deliver(OrderStatus),
    Tick { hours: u64 },
}

fn asked() -> impl Strategy<Value = Asked> {
    // Small ones, so that a wallet often holds just enough, or one too little; and the largest.
    let price = prop_oneof![2 => 0u64..4, 1 => 0u64..2000, 1 => Just(AMOUNT_MAX / 10_000)];
    let fee = prop_oneof![2 => Just(0u64), 1 => 0u64..3000];
    let methods = select(vec![None, Some(PaymentMethod::Wallet), Some(PaymentMethod::Card)]);
    (select(&CUSTOMERS[..]), price, select(vec![1, 3, 10_000]), 0.0..=1.0f64, fee, methods).prop_map(
        |(customer, unit_price, quantity, part, delivery_fee, pays_at_once)| {
            let discount = (unit_price as f64 * part) as u64;
            Asked { customer, unit_price, quantity, discount, delivery_fee, pays_at_once }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let off = || prop_oneof![4 => Just(0u64), 1 => Just(1)];
    let goods = vec![OrderStatus::Shipped, OrderStatus::InTransit, OrderStatus::Delivered];
    prop_oneof![
        3 => select(vec![PaymentMethod::Wallet, PaymentMethod::Card]).prop_map(Step::Pay),
        3 => (select(vec![PaymentOutcome::Succeeded, PaymentOutcome::Failed]), off())
            .prop_map(|(result, off)| Step::Told { result, off }),
        2 => Just(Step::Cancel),
        2 => Just(Step::Refund),
        2 => off().prop_map(|off| Step::Returned { off }),
        2 => select(goods).prop_map(Step::Deliver),
        1 => (0u64..3).prop_map(|hours| Step::Tick { hours }),
    ]
}

fn accepted(sale: &SaleId, asked: &[Asked]) -> Vec<Order> {
    let order = |(n, asked): (usize, &Asked)| {
        let (customer, key) =
            (asked.customer.parse().unwrap(), IdempotencyKey::parse(&format!("k{n}")).unwrap());
        let Asked { quantity, unit_price, discount, delivery_fee, .. } = *asked;
        let line = Line { sku: "A".parse().unwrap(), quantity, unit_price };
        let payment = asked.pays_at_once.map(|method| Box::new(PaymentRequest { method, token: None }));
        Order { discount, delivery_fee, payment, ..Order::plain(sale, customer, key, AT, [line]) }
    };
    asked.iter().enumerate().map(order).collect()
}

fn followed(sale: &SaleId, order: &Order, offset: i64, step: &Step) -> DecodedRecord {
    let (payment_id, amount, currency) = (payment_id(order.id), order.amounts().total(), Currency::KRW);
    let action = match *step {
        Step::Tick { hours } => {
            let tick = serde_json::to_vec(&Tick { at: AT.plus_seconds(3600 * hours) }).unwrap();
            return record(offset, "", Headers::without_epoch(RecordType::Tick), tick);
        }
        Step::Pay(method) => Action::Pay(PaymentRequest { method, token: None }),
        Step::Told { result, off } => {
            let told = PaymentResult { payment_id, result, amount: amount + off, currency, reason: None };
            Action::PaymentResult(told)
        }
        Step::Cancel => Action::Cancel,
        Step::Refund => Action::Refund,
        Step::Returned { off } => {
            Action::RefundResult(RefundResult { payment_id, amount: amount + off, currency })
        }
        Step::Deliver(status) => Action::Deliver(DeliveryChange { status }),
    };
    let command = Command { sale_id: sale.clone(), order_id: order.id, customer_id: None, at: AT, action };
    let value = serde_json::to_vec(&command).unwrap();
    record(offset, sale.as_str(), Headers::without_epoch(RecordType::Command), value)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wallets_and_payments_add_up_whatever_comes(
        asked in proptest::collection::vec(asked(), 1..5),
        steps in proptest::collection::vec((any::<proptest::sample::Index>(), step()), 0..40),
        rich in prop_oneof![2 => 0i64..12, 1 => 0i64..20_000, 1 => Just(AMOUNT_MAX as i64)],
    ) {
        let sale: SaleId = "s".parse().unwrap();
        let orders = accepted(&sale, &asked);
        let json: Vec<_> = orders.iter().map(|order| serde_json::to_string(order).unwrap()).collect();
        let id = OutboxId::batch(Sequence(1), orders.len() as u64);
        let batch = lua::outbox::accepted_record(&sale, Epoch(1), id, AT, json.join(",").as_bytes(), &orders);
        let mut records = vec![record(0, "s", batch.headers, batch.value)];
        records.extend(steps.iter().zip(1..).map(|((of, step), offset)| {
            followed(&sale, of.get(&orders), offset, step)
        }));

        let memory = memory_of(&sale, 1);
        let before = PriorState::with_wallets(vec![(CustomerId::parse("rich").unwrap(), Currency::KRW, rich)]);
        let effects = Effects::decide(0, &memory, &records, &before, None, Now { at: AT, ..Now::default() });
        prop_assert!(effects.dead_letters.is_empty(), "{:?}", effects.dead_letters);

        // Every movement is an order's whole total; it goes back at most once, and only after it was taken.
        let mut balances = BTreeMap::from([("rich", rich), ("poor", 0)]);
        let mut taken: BTreeMap<Uuid, i64> = BTreeMap::new();
        let wallets = &effects.wallets;
        for (i, id) in wallets.order_id.iter().enumerate() {
            let order = orders.iter().find(|order| order.id.0 == *id).unwrap();
            let (amount, total) = (wallets.amount[i], order.amounts().total() as i64);
            prop_assert_eq!(wallets.customer_id[i], order.customer.as_str());
            let balance = balances.get_mut(wallets.customer_id[i]).unwrap();
            *balance += amount;
            prop_assert!(*balance >= 0, "overdrawn: {:?}", wallets);
            match wallets.reason[i] {
                "payment" => {
                    prop_assert_eq!(amount, -total);
                    prop_assert_eq!(taken.insert(*id, total), None, "paid twice");
                }
                _ => {
                    prop_assert_eq!(amount, total);
                    prop_assert_eq!(taken.insert(*id, 0), Some(total), "returned, but not taken");
                }
            }
        }
        for (customer, balance) in balances {
            prop_assert_eq!(effects.orders_now.balance(customer, Currency::KRW), balance);
        }

        // What is with us is the money of orders that are paid, or of which a refund is on its way.
        for order in &orders {
            let Some(now) = effects.standing(order.id) else { continue };
            let total = order.amounts().total() as i64;
            let left = taken.get(&order.id.0).copied().unwrap_or(0);
            let Some(payment) = now.payment else {
                prop_assert!(!now.status.is_paid() && left == 0);
                continue;
            };
            let with_us = matches!(payment.status, PaymentStatus::Captured | PaymentStatus::RefundRequested);
            prop_assert!(!now.status.is_paid() || with_us, "{:?} with {:?}", now.status, payment);
            prop_assert_eq!(payment.status == PaymentStatus::Captured, now.status.is_paid() && now.status != OrderStatus::RefundRequested);
            if payment.method == PaymentMethod::Wallet {
                prop_assert_eq!(left, if with_us { total } else { 0 }, "{:?}", payment);
                prop_assert!(payment.status != PaymentStatus::RefundRequested, "a wallet has it back at once");
            }
            // Nothing is refunded that was not captured.
            let gone = payment.refund_requested_at.is_some() || payment.refunded_at.is_some();
            prop_assert!(!gone || payment.captured_at.is_some(), "{:?}", payment);
        }
    }
}
