//! The work of settlement in Redis: rebuilds, relays and releases.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::time::Duration;

use contract::ids::Epoch;
use contract::keys::{SaleKeys, buyer_field};
use contract::order::Order;
use contract::order_receipt::{BYTES, OrderReceipt};
use lua::reserve::Verdict;
use support::shop::Shop;
use support::{Bench, acceptance, keyed_order, order};
use testkit::control::timed;
use testkit::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_opening_takes_less_than_two_seconds() {
    let bench = Bench::start(1).await;
    let (first, _) = bench.open(0, None, &[("A", Some(1))]).await; // the partitions are assigned now
    let settlement = testkit::Client::new("", &bench.system.settlements[0]);
    let opened = bench.open(3, Some(1), &[("A", Some(2)), ("C", None)]);
    let ((sale, epoch), timing) = timed(&settlement, opened).await;
    timing.assert_within(Duration::from_secs(2), "the sale is open");
    let shop = Shop::open(&bench, &sale, epoch, Some(1)).await;
    assert_eq!(
        shop.reserve(&order(&sale, "c1", &[("A", 1), ("C", 9)])).await,
        Verdict::Accepted(contract::ids::Sequence(1))
    );
    assert_eq!(shop.units("A").await, "1");
    assert_ne!(first, sale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_restores_stock_idempotency_keys_limits_and_sequences() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(2, Some(3), &[("A", Some(5000)), ("B", None)]).await;
    // 2,500 orders of 1,000 customers: their second and third orders are in other chunks than their first.
    let orders: Vec<_> = (0..2500)
        .map(|n| keyed_order(&sale, &format!("c{}", n % 1000), &format!("k{n}"), &[("A", 1), ("B", 2)]))
        .collect();
    for (batch, first) in orders.chunks(100).zip((1..).step_by(100)) {
        bench.write(2, &sale, &acceptance(&sale, epoch, first, batch)).await;
    }
    bench.until_orders(&sale, 2500).await;
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    let rebuilt = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    assert_eq!(rebuilt, Epoch(epoch.0 + 1));

    let shop = Shop::open(&bench, &sale, rebuilt, Some(3)).await;
    assert_eq!((shop.units("A").await, shop.units("=A").await), ("2500".into(), "5000".into()));
    assert_eq!((shop.units("B").await, shop.units(":next").await), ("u".into(), "2501".into()));
    let released = "SELECT next_seq - 1 FROM log_position WHERE partition = 2 AND $1::text <> ''";
    assert_eq!(shop.units(":released").await, bench.number(released, &sale).await.to_string());
    let arrivals: i64 = shop.redis.command("STRLEN", vec![shop.keys.arrivals.clone().into()]).await.unwrap();
    assert_eq!(arrivals, 2500 * 8);
    for customer in [0, 499, 500, 999] {
        let mine: Vec<&Order> = orders.iter().skip(customer).step_by(1000).collect();
        let field = buyer_field(&mine[0].customer, mine[0].id.request(), true);
        let found = shop.get(&shop.keys.buyers, &field).await.unwrap();
        let found: Vec<_> = found.chunks(BYTES).map(|bytes| OrderReceipt::decode(bytes).unwrap()).collect();
        let expected: Vec<_> = mine.iter().map(|order| order.id).collect();
        assert_eq!(found.iter().map(|order| order.id).collect::<Vec<_>>(), expected, "oldest first");
        assert!(found.iter().all(|order| order.live && order.amounts.subtotal == 300));
    }
    // A retry gets its first response, a customer at the limit is refused, and any other order is accepted.
    assert!(
        matches!(shop.reserve(&orders[1700]).await, Verdict::Replayed { order, in_outbox: false } if order.id == orders[1700].id)
    );
    assert!(
        matches!(shop.reserve(&order(&sale, "c3", &[("A", 1)])).await, Verdict::Duplicate { order, .. } if order == orders[2003].id)
    );
    assert_eq!(
        shop.reserve(&order(&sale, "c700", &[("A", 1)])).await,
        Verdict::Accepted(contract::ids::Sequence(2501))
    );
    for key in SaleKeys::new(&sale, epoch).all() {
        assert!(!shop.exists(key).await, "{key} is unlinked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_without_a_limit_keeps_each_order_in_a_field_of_its_own() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let orders: Vec<_> = (0..3).map(|_| order(&sale, "same", &[("A", 1)])).collect();
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &orders)).await;
    bench.until_orders(&sale, 3).await;
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    let epoch = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    for settled in &orders {
        assert!(
            matches!(shop.reserve(settled).await, Verdict::Replayed { order, .. } if order.id == settled.id)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_attempt_is_followed_by_a_new_epoch() {
    let bench = Bench::start(0).await;
    let mut process = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, Some(1), &[("A", Some(10))]).await;
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    until("an epoch has begun", async || {
        bench
            .number(
                "SELECT epoch FROM sale WHERE sale_id = $1 AND NOT ready UNION ALL SELECT 0 LIMIT 1",
                &sale,
            )
            .await
            > epoch.0 as i64
    })
    .await;
    process.kill(); // while it waits for leases
    let _process = bench.process(&[]).await;
    let rebuilt = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    assert!(rebuilt.0 >= epoch.0 + 2, "{rebuilt}: an epoch that has begun is never resumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_items_are_applied_by_the_rebuild() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10)), ("B", Some(10)), ("C", Some(10))]).await;
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 4), ("B", 2)])])).await;
    bench.until_orders(&sale, 1).await;
    // A: its total becomes lower than what is taken. B: removed, with orders. C: removed, without orders. D: new, unlimited.
    let items = serde_json::json!([
        {"sku": "D", "name": "New", "price": 7, "total": null, "max_quantity_per_order": 5},
        {"sku": "A", "name": "A", "price": 100, "total": 3, "max_quantity_per_order": 10},
    ]);
    let update = "UPDATE sale SET pending_items = $2, rebuild_requested = true WHERE sale_id = $1";
    bench.db.execute(update, &[&sale.as_str(), &items]).await.unwrap();
    let epoch = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    assert_eq!((shop.units("A").await, shop.units("D").await), ("0".into(), "u".into()));
    let rows = bench
        .db
        .query("SELECT sku, offered, total FROM sale_item WHERE sale_id = $1 ORDER BY sku", &[&sale.as_str()])
        .await
        .unwrap();
    let rows: Vec<(String, bool, Option<i64>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(rows, [("A".into(), true, Some(4)), ("B".into(), false, Some(10)), ("D".into(), true, None)]);
    // A removed item with orders remains known: an order that was accepted before is not lost.
    bench.write(0, &sale, &acceptance(&sale, epoch, 2, &[order(&sale, "late", &[("B", 1), ("D", 1)])])).await;
    bench.until_orders(&sale, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranded_reservation_is_relayed_when_it_is_old() {
    let bench = Bench::with_args(1, &["--relay-after-ms", "400"]).await;
    let (sale, epoch) = bench.open(1, Some(1), &[("A", Some(10))]).await;
    let shop = Shop::open(&bench, &sale, epoch, Some(1)).await;
    // The gateway that reserved it died before its hand-off.
    for n in 0..3 {
        assert!(matches!(
            shop.reserve(&order(&sale, &format!("c{n}"), &[("A", 1)])).await,
            Verdict::Accepted(_)
        ));
    }
    bench.until_orders(&sale, 3).await;
    until("the outbox is empty", async || {
        let left: i64 = shop.redis.command("XLEN", vec![shop.keys.outbox.clone().into()]).await.unwrap();
        left == 0
    })
    .await;
    assert_eq!(bench.units(&sale, "A").await, (3, 0));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_drains_the_old_outbox_before_its_barrier() {
    let bench = Bench::with_args(1, &["--relay-after-ms", "600000"]).await;
    let (sale, epoch) = bench.open(1, Some(1), &[("A", Some(10))]).await;
    let shop = Shop::open(&bench, &sale, epoch, Some(1)).await;
    let stranded = order(&sale, "c", &[("A", 1)]);
    assert!(matches!(shop.reserve(&stranded).await, Verdict::Accepted(_)));
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    let epoch = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    assert_eq!(bench.orders(&sale).await, 1, "the order was settled, not void");
    let shop = Shop::open(&bench, &sale, epoch, Some(1)).await;
    assert_eq!(shop.units("A").await, "9");
    assert!(matches!(shop.reserve(&stranded).await, Verdict::Replayed { in_outbox: false, .. }));
}
