//! Tests `reserve.lua` against a model in Rust: for any batches, the script and the model agree on each verdict,
//! each sequence and each unit.

mod support;

use std::collections::HashMap;

use contract::ids::{OrderId, RequestDigest, RequestFingerprint, Sequence, Sku};
use contract::order::Order;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use lua::redis::Deadline;
use lua::reply::Rejection;
use lua::reserve::{Terms, Verdict};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::Sale;

const SKUS: [&str; 3] = ["A", "B", "U"]; // U is unlimited

/// A request for one order, with values so few that customers, keys and bodies repeat.
#[derive(Debug, Clone)]
struct Request {
    customer: u8,
    key: u8,
    body: u8,
    lines: Vec<(usize, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Before,
    Inside,
    After,
}

#[derive(Debug, Clone)]
struct Call {
    window: Window,
    state: SaleState,
    late: bool,
    orders: Vec<Request>,
}

fn request() -> impl Strategy<Value = Request> {
    let lines = proptest::sample::subsequence(vec![0usize, 1, 2], 1..=3)
        .prop_flat_map(|skus| skus.into_iter().map(|sku| (Just(sku), 1u32..4)).collect::<Vec<_>>());
    (0u8..5, 0u8..4, 0u8..2, lines).prop_map(|(customer, key, body, lines)| Request {
        customer,
        key,
        body,
        lines,
    })
}

fn call() -> impl Strategy<Value = Call> {
    let window = prop_oneof![1 => Just(Window::Before), 8 => Just(Window::Inside), 1 => Just(Window::After)];
    let state =
        prop_oneof![8 => Just(SaleState::Open), 1 => Just(SaleState::Paused), 1 => Just(SaleState::Closed)];
    let late = prop_oneof![9 => Just(false), 1 => Just(true)];
    (window, state, late, proptest::collection::vec(request(), 1..12))
        .prop_map(|(window, state, late, orders)| Call { window, state, late, orders })
}

/// An independent, simple implementation of the script's rules.
struct Model {
    limit: Option<u32>,
    left: HashMap<&'static str, u64>,
    next: u64,
    by_request: HashMap<RequestFingerprint, (OrderId, RequestDigest, Sequence)>,
    by_customer: HashMap<String, Vec<OrderId>>,
}

impl Model {
    fn decide(&mut self, call: &Call, order: &Order) -> Verdict {
        if let Some((id, digest, sequence)) = self.by_request.get(&order.id.request()) {
            if *digest != order.digest {
                return Verdict::KeyReused;
            }
            // Values that only Redis knows are not compared.
            let order = receipt(order, *id, *sequence);
            return Verdict::Replayed { order, in_outbox: true };
        }
        if call.state == SaleState::Closed || call.window == Window::After {
            return Verdict::Closed;
        }
        if call.window == Window::Before {
            return Verdict::NotOpen;
        }
        if call.state == SaleState::Paused {
            return Verdict::Paused;
        }
        let mine = self.by_customer.entry(order.customer.to_string()).or_default();
        if self.limit.is_some_and(|limit| mine.len() >= limit as usize) {
            return Verdict::Duplicate { order: *mine.last().expect("at least one"), in_outbox: true };
        }
        for line in &order.lines {
            if let Some(left) = self.left.get(line.sku.as_str())
                && *left < u64::from(line.quantity)
            {
                return Verdict::SoldOut { sku: line.sku.clone(), remaining: *left };
            }
        }
        for line in &order.lines {
            if let Some(left) = self.left.get_mut(line.sku.as_str()) {
                *left -= u64::from(line.quantity);
            }
        }
        let sequence = Sequence(self.next);
        self.next += 1;
        mine.push(order.id);
        self.by_request.insert(order.id.request(), (order.id, order.digest, sequence));
        Verdict::Accepted(sequence)
    }
}

fn receipt(order: &Order, id: OrderId, sequence: Sequence) -> contract::order_receipt::OrderReceipt {
    contract::order_receipt::OrderReceipt {
        id,
        digest: order.digest,
        sequence,
        accepted_at: Timestamp(0),
        hold_seconds: 0,
        amounts: Default::default(),
        live: true,
    }
}

/// Removes the values that only Redis knows: times and the amounts of the first response.
fn comparable(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Replayed { order, in_outbox } => Verdict::Replayed {
            order: contract::order_receipt::OrderReceipt {
                accepted_at: Timestamp(0),
                hold_seconds: 0,
                amounts: Default::default(),
                ..order
            },
            in_outbox,
        },
        verdict => verdict,
    }
}

async fn agree(
    redis: lua::Redis,
    limit: Option<u32>,
    stock: (u64, u64),
    calls: Vec<Call>,
) -> Result<(), TestCaseError> {
    let sale = Sale::open(redis, &[("A", Some(stock.0)), ("B", Some(stock.1)), ("U", None)]).await;
    let mut model = Model {
        limit,
        left: [("A", stock.0), ("B", stock.1)].into(),
        next: 1,
        by_request: HashMap::new(),
        by_customer: HashMap::new(),
    };
    for call in &calls {
        let orders: Vec<_> = call
            .orders
            .iter()
            .map(|request| {
                let lines: Vec<_> =
                    request.lines.iter().map(|(sku, quantity)| (SKUS[*sku], *quantity)).collect();
                sale.order(
                    &format!("c{}", request.customer),
                    &format!("k{}", request.key),
                    request.body.into(),
                    &lines,
                )
            })
            .collect();
        let terms = Terms {
            opens_at: (call.window == Window::Before).then_some(Timestamp(u64::from(u32::MAX) * 1000)),
            closes_at: (call.window == Window::After).then_some(Timestamp(1)),
            state: call.state,
            limit,
        };
        let decided = if call.late {
            sale.reserve_until(&terms, &orders, limit.is_some(), Deadline { redis_ms: 1 }).await
        } else {
            sale.reserve(&terms, &orders, limit.is_some()).await
        };
        if call.late {
            prop_assert_eq!(decided, Err(Rejection::Late));
            continue;
        }
        let decided = decided.expect("not lost");
        let expected: Vec<_> = orders.iter().map(|order| model.decide(call, order)).collect();
        let verdicts: Vec<_> = decided.verdicts.into_iter().map(comparable).collect();
        prop_assert_eq!(verdicts, expected);
    }
    let skus = SKUS.map(|sku| Sku::parse(sku).expect("a SKU"));
    let reading = lua::read_stock::read_stock(
        &sale.redis,
        &sale.scripts.digests.read_stock,
        &sale.keys,
        skus.iter(),
        0,
        true,
    )
    .await;
    let reading = reading.expect("a reply").expect("not lost");
    prop_assert_eq!(reading.next, Sequence(model.next));
    prop_assert_eq!(reading.arrivals.len() as u64, model.next - 1);
    let left: Vec<_> = reading.stock.iter().map(|stock| stock.available).collect();
    prop_assert_eq!(left, vec![Some(model.left["A"]), Some(model.left["B"]), None]);
    Ok(())
}

/// Runs many random histories on one server.
fn histories(redis: impl AsyncFn() -> lua::Redis, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let redis = runtime.block_on(redis());
    let limit = prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
    let history = (limit, (0u64..9, 0u64..9), proptest::collection::vec(call(), 1..8));
    let config = ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/reserve_model.txt",
        ))),
        ..ProptestConfig::default()
    };
    proptest::test_runner::TestRunner::new(config)
        .run(&history, |(limit, stock, calls)| runtime.block_on(agree(redis.clone(), limit, stock, calls)))
        .expect("the script and the model agree");
}

#[test]
fn the_script_decides_like_the_model() {
    histories(support::redis, 400);
}

#[test]
fn in_a_cluster_all_keys_are_in_one_slot() {
    histories(support::cluster, 40);
}
