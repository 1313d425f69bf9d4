//! Tests what the scripts guarantee apart from reservations: failing closed, the outbox, changes, releases.

mod support;

use std::time::Duration;

use bytes::Bytes;
use contract::ids::{Epoch, Sequence, Sku};
use contract::record::{NewTotal, OutboxId, TotalsChange};
use lua::change_totals::{ChangeOutcome, change_totals};
use lua::read_stock::{read_stock, read_stock_and_pending_change};
use lua::release::{Release, ReleaseOutcome, release};
use lua::reply::Rejection;
use lua::reserve::Verdict;
use lua::{RedisError, outbox};
use support::{Sale, open_terms, redis};
use uuid::Uuid;

fn sku(name: &str) -> Sku {
    Sku::parse(name).expect("a SKU")
}

async fn stock_of(sale: &Sale, name: &str) -> lua::read_stock::SkuStock {
    let reading =
        read_stock(&sale.redis, &sale.scripts.digests.read_stock, &sale.keys, [sku(name)].iter(), 0, false)
            .await;
    reading.expect("a reply").expect("not lost").stock[0]
}

/// Returns whether a change of totals is pending. The stock in the same reply must be the same.
async fn change_is_pending(sale: &Sale) -> bool {
    let skus = [sku("A")];
    let reply =
        read_stock_and_pending_change(&sale.redis, &sale.scripts.digests.read_stock, &sale.keys, skus.iter())
            .await;
    let (reading, pending) = reply.expect("a reply").expect("not lost");
    assert_eq!(reading.stock, [stock_of(sale, "A").await]);
    assert!(reading.arrivals.is_empty());
    pending.expect("this version's script reports it")
}

async fn totals(sale: &Sale, id: Uuid, total: u64) -> ChangeOutcome {
    let wanted = TotalsChange {
        sale_id: sale.id.clone(),
        epoch: Epoch(1),
        change_id: id,
        items: vec![NewTotal { sku: sku("A"), total }],
    };
    let deadline = sale.redis.deadline().await.expect("the time");
    change_totals(&sale.redis, &sale.scripts.digests.change_totals, &sale.keys, deadline, &wanted)
        .await
        .expect("a reply")
        .expect("not lost")
}

#[tokio::test]
async fn a_state_without_its_mark_is_lost_and_nothing_is_written() {
    let sale = Sale::open(redis().await, &[("A", Some(5))]).await;
    let _: u64 = sale
        .redis
        .command("HDEL", [&sale.keys.stock, ":mark"].map(|a| Bytes::from(a.to_string())).to_vec())
        .await
        .unwrap();
    let order = sale.order("c", "k", 1, &[("A", 1)]);
    assert_eq!(sale.reserve(&open_terms(Some(1)), &[order], true).await, Err(Rejection::Lost));
    let left: u64 = sale
        .redis
        .command("HGET", [&sale.keys.stock, "A"].map(|a| Bytes::from(a.to_string())).to_vec())
        .await
        .unwrap();
    let exists: u64 =
        sale.redis.command("EXISTS", vec![Bytes::from(sale.keys.buyers.clone())]).await.unwrap();
    assert_eq!((left, exists), (5, 0));
}

#[tokio::test]
async fn scripts_of_another_servers_history_report_the_state_as_lost() {
    let mut sale = Sale::open(redis().await, &[("A", Some(5))]).await;
    // A restored copy or a failback has the state and the mark, but another history.
    let foreign = "f".repeat(40);
    sale.scripts = lua::Scripts::render(&sale.id, Epoch(1), support::MARK, &foreign);
    sale.scripts.load(&sale.redis).await.unwrap();
    let order = sale.order("c", "k", 1, &[("A", 1)]);
    assert_eq!(sale.reserve(&open_terms(Some(1)), &[order], true).await, Err(Rejection::Lost));
    let found = lua::find_orders::find_orders(
        &sale.redis,
        &sale.scripts.digests.find_orders,
        &sale.keys,
        b"c".to_vec(),
    )
    .await
    .unwrap();
    assert_eq!(found, Err(Rejection::Lost));
}

#[tokio::test]
async fn a_server_without_the_scripts_replies_no_script() {
    let sale = Sale::open(redis().await, &[("A", Some(5))]).await;
    let unknown = lua::Scripts::render(&sale.id, Epoch(2), "another", "x");
    let reply =
        read_stock(&sale.redis, &unknown.digests.read_stock, &sale.keys, [sku("A")].iter(), 0, false).await;
    assert!(matches!(reply, Err(RedisError::NoScript)), "{reply:?}");
}

#[tokio::test]
async fn an_accepted_batch_stays_in_the_outbox_until_it_is_acknowledged() {
    let sale = Sale::open(redis().await, &[("A", Some(5))]).await;
    let orders = [sale.order("a", "k", 1, &[("A", 1)]), sale.order("b", "k", 2, &[("A", 2)])];
    let decided = sale.reserve(&open_terms(Some(1)), &orders, true).await.unwrap();
    assert_eq!(decided.outbox_id(), OutboxId::batch(Sequence(1), 2));

    let waiting = outbox::read(&sale.redis, &sale.id, Epoch(1), None, 10).await.unwrap();
    let record = waiting[0].record.as_ref().unwrap();
    let contract::record::Record::Accepted(batch) =
        contract::record::decode(&record.headers, &record.value).unwrap()
    else {
        panic!("not an acceptance")
    };
    assert_eq!((batch.first_sequence, &batch.orders[..]), (Sequence(1), &orders[..]));

    let repeat = sale.reserve(&open_terms(Some(1)), &orders[..1], true).await.unwrap();
    assert!(matches!(repeat.verdicts[0], Verdict::Replayed { in_outbox: true, .. }));
    let find = async || {
        let (digest, field) = (&sale.scripts.digests.find_orders, b"b".to_vec());
        let found =
            lua::find_orders::find_orders(&sale.redis, digest, &sale.keys, field).await.unwrap().unwrap();
        assert_eq!((found.len(), found[0].order.id), (1, orders[1].id));
        found[0].in_outbox
    };
    assert!(find().await, "the reply says that the log may not have the order");
    let ids = [decided.outbox_id()];
    outbox::acknowledge(&sale.redis, &sale.scripts.digests.ack_outbox, &sale.keys, &ids)
        .await
        .unwrap()
        .unwrap();
    let repeat = sale.reserve(&open_terms(Some(1)), &orders[..1], true).await.unwrap();
    assert!(matches!(repeat.verdicts[0], Verdict::Replayed { in_outbox: false, .. }));
    assert!(!find().await);
    assert_eq!(outbox::len(&sale.redis, &sale.id, Epoch(1)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_release_is_applied_once_and_its_units_are_announced_before_they_can_be_reserved() {
    let sale = Sale::open(redis().await, &[("A", Some(1))]).await;
    let first =
        sale.reserve(&open_terms(Some(1)), &[sale.order("a", "k", 1, &[("A", 1)])], true).await.unwrap();
    assert_eq!(first.accepted, 1);
    let back =
        Release { after: 0, to: 9, settled_changes: vec![], units: vec![(sku("A"), 1)], cancelled: vec![] };
    let apply = async || {
        release(&sale.redis, &sale.scripts.digests.release, &sale.keys, &back).await.unwrap().unwrap()
    };
    assert_eq!(apply().await, ReleaseOutcome::Applied);
    assert_eq!(apply().await, ReleaseOutcome::OtherWatermark(9), "a repeat finds the watermark moved");
    let stock = stock_of(&sale, "A").await;
    assert_eq!((stock.available, stock.returning), (Some(0), 1));

    let next = sale.order("b", "k", 2, &[("A", 1)]);
    let early = sale.reserve(&open_terms(Some(1)), std::slice::from_ref(&next), true).await.unwrap();
    assert!(
        matches!(early.verdicts[0], Verdict::SoldOut { remaining: 0, .. }),
        "announced, but not yet reservable"
    );
    let until = std::time::Instant::now() + Duration::from_secs(2);
    loop {
        let decided = sale.reserve(&open_terms(Some(1)), std::slice::from_ref(&next), true).await.unwrap();
        match decided.verdicts[0] {
            Verdict::Accepted(sequence) => break assert_eq!(sequence, Sequence(2)),
            _ => assert!(std::time::Instant::now() < until, "returned units were never sold"),
        }
        let waited = decided.at.0.saturating_sub(early.at.0);
        assert!(waited < lua::release::ANNOUNCE_MS + 50, "still refused {waited} ms after the announcement");
    }
}

#[tokio::test]
async fn released_units_of_an_unlimited_sku_are_ignored_and_block_nothing() {
    let sale = Sale::open(redis().await, &[("A", Some(2)), ("B", None)]).await;
    let lines = [("A", 1), ("B", 3)];
    let first = sale.reserve(&open_terms(None), &[sale.order("a", "k", 1, &lines)], true).await.unwrap();
    assert_eq!(first.accepted, 1);
    let units = vec![(sku("B"), 3), (sku("A"), 1)];
    let back = Release { after: 0, to: 9, settled_changes: vec![], units, cancelled: vec![] };
    let applied = release(&sale.redis, &sale.scripts.digests.release, &sale.keys, &back).await;
    assert_eq!(applied.unwrap().unwrap(), ReleaseOutcome::Applied);
    let (a, b) = (stock_of(&sale, "A").await, stock_of(&sale, "B").await);
    assert_eq!((a.available, a.returning, b.available, b.returning), (Some(1), 1, None, 0));

    // After the announcement, any order returns the units to stock.
    let until = std::time::Instant::now() + Duration::from_secs(2);
    while stock_of(&sale, "A").await.returning > 0 {
        let orders = [sale.order("b", "k", 2, &[("B", 1)])];
        sale.reserve(&open_terms(None), &orders, true).await.expect("the script continues");
        assert!(std::time::Instant::now() < until, "the units of A never came back");
    }
    assert_eq!(stock_of(&sale, "A").await.available, Some(2));
}

#[tokio::test]
async fn a_cancelled_order_is_replayed_but_no_longer_counted() {
    for limited in [true, false] {
        let sale = Sale::open(redis().await, &[("A", Some(9))]).await;
        let terms = open_terms(limited.then_some(2));
        let orders = [("k1", 1), ("k2", 2)].map(|(key, body)| sale.order("a", key, body, &[("A", 1)]));
        assert_eq!(sale.reserve(&terms, &orders, limited).await.unwrap().accepted, 2);
        let third = [sale.order("a", "k3", 3, &[("A", 1)])];
        if limited {
            let full = sale.reserve(&terms, &third, limited).await.unwrap();
            assert!(matches!(full.verdicts[0], Verdict::Duplicate { .. }), "{:?}", full.verdicts);
        }
        let field = contract::keys::buyer_field(&orders[1].customer, orders[1].id.request(), limited);
        let cancelled =
            Release { after: 0, to: 1, cancelled: vec![(field, orders[1].id)], ..Release::default() };
        let digest = &sale.scripts.digests.release;
        let applied = release(&sale.redis, digest, &sale.keys, &cancelled).await.unwrap().unwrap();
        assert_eq!(applied, ReleaseOutcome::Applied);
        let again = sale.reserve(&terms, &orders, limited).await.unwrap();
        let live: Vec<bool> = again
            .verdicts
            .iter()
            .map(|verdict| match verdict {
                Verdict::Replayed { order, .. } => order.live,
                other => panic!("not replayed: {other:?}"),
            })
            .collect();
        assert_eq!(live, [true, false]);
        assert_eq!(
            sale.reserve(&terms, &third, limited).await.unwrap().accepted,
            1,
            "the customer can order again"
        );
    }
}

#[tokio::test]
async fn totals_change_once_and_one_change_at_a_time() {
    let sale = Sale::open(redis().await, &[("A", Some(10))]).await;
    sale.reserve(&open_terms(None), &[sale.order("a", "k", 1, &[("A", 4)])], false).await.unwrap();

    assert_eq!(totals(&sale, Uuid::now_v7(), 3).await, ChangeOutcome::InUse { sku: sku("A"), free: 6 });
    let lower = Uuid::now_v7();
    assert!(!change_is_pending(&sale).await);
    assert!(matches!(totals(&sale, lower, 5).await, ChangeOutcome::Recorded(_)));
    assert!(change_is_pending(&sale).await);
    for (next, waits) in [(1, false), (2, true)] {
        let found = outbox::has_entry_below(&sale.redis, &sale.id, Epoch(1), Sequence(next)).await.unwrap();
        assert_eq!(found, waits, "the batch of sequence 1, seen from {next}");
    }
    assert_eq!(stock_of(&sale, "A").await.available, Some(1), "lowered units leave at once");
    assert_eq!(totals(&sale, Uuid::now_v7(), 5).await, ChangeOutcome::Unchanged { settled: false });
    assert_eq!(totals(&sale, Uuid::now_v7(), 20).await, ChangeOutcome::Busy);

    let settled = Release { after: 0, to: 4, settled_changes: vec![lower], ..Release::default() };
    release(&sale.redis, &sale.scripts.digests.release, &sale.keys, &settled).await.unwrap().unwrap();
    assert!(!change_is_pending(&sale).await);
    assert_eq!(totals(&sale, Uuid::now_v7(), 5).await, ChangeOutcome::Unchanged { settled: true });
    let raise = totals(&sale, Uuid::now_v7(), 20).await;
    assert!(matches!(raise, ChangeOutcome::Recorded(id) if id.orders() == 0), "{raise:?}");
    assert_eq!(stock_of(&sale, "A").await.available, Some(1), "raised units come as a release");
    let waiting = outbox::read(&sale.redis, &sale.id, Epoch(1), None, 10).await.unwrap();
    assert_eq!(waiting.len(), 3, "the batch and two changes");
    assert!(waiting.iter().all(|entry| entry.record.is_ok()), "{waiting:?}");
}

#[tokio::test]
async fn an_incomplete_rebuild_is_not_sealed() {
    let sale = Sale::open(redis().await, &[("A", Some(5))]).await;
    let keys = contract::keys::SaleKeys::new(&sale.id, Epoch(2));
    let args = [&keys.stock, "A", "5", ":next", "1"].map(|arg| Bytes::from(arg.to_string()));
    let _: u64 = sale.redis.command("HSET", args.to_vec()).await.unwrap();
    let replid = lua::scripts::replication_id(&sale.redis).await.unwrap();
    let written = lua::scripts::WrittenCounts { stock_fields: 3, buyer_fields: 0, arrival_bytes: 0 };
    let sealed = lua::scripts::seal(&sale.redis, &keys, "mark", &replid, written).await;
    assert!(matches!(sealed, Err(lua::scripts::SealError::Incomplete(_))), "{sealed:?}");
    let mark: Option<String> = sale
        .redis
        .command("HGET", [&keys.stock, ":mark"].map(|a| Bytes::from(a.to_string())).to_vec())
        .await
        .unwrap();
    assert_eq!(mark, None);
}
