//! The decisions of an operator about dead letters.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use contract::ids::SaleId;
use contract::record::Resolution::{Discard, Replay};
use support::{Bench, acceptance, barrier, decision, keyed_order, order};
use testkit::until;

/// Returns the id, the state and the resolution of the only dead letter of a sale with this reason.
async fn letter(bench: &Bench, sale: &SaleId, reason: &str) -> (i64, String, Option<String>) {
    let select = "SELECT id, state, resolution FROM dead_letter WHERE sale_id = $1 AND reason = $2";
    let row = bench.db.query_one(select, &[&sale.as_str(), &reason]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

async fn set_total(bench: &Bench, sale: &SaleId, total: i64) {
    let update = "UPDATE sale_item SET total = $2 WHERE sale_id = $1";
    bench.db.execute(update, &[&sale.as_str(), &total]).await.unwrap();
}

async fn released(bench: &Bench, sale: &SaleId) -> i64 {
    bench.number("SELECT sum(units)::bigint FROM stock_release WHERE sale_id = $1", sale).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_releases_its_units_once() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let good = acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 3)])]);
    let garbled = bench.write_raw(0, sale.as_str(), b"{", &good.headers.encode()).await;
    bench.until_settled(0, garbled).await;
    assert_eq!(bench.units(&sale, "A").await, (0, 3));
    let (id, state, _) = letter(&bench, &sale, "malformed").await;
    assert_eq!(state, "undecided");
    // The decision is between other records and duplicated, and one is about a letter that does not exist.
    let next = acceptance(&sale, epoch, 2, &[order(&sale, "d", &[("A", 1)])]);
    bench.write(0, &sale, &next).await;
    bench.write(0, &sale, &decision(id, Discard)).await;
    bench.write(0, &sale, &decision(id, Discard)).await;
    let last = bench.write(0, &sale, &decision(id + 1000, Replay)).await;
    bench.until_settled(0, last).await;
    assert_eq!(letter(&bench, &sale, "malformed").await.1, "discarded");
    assert_eq!(bench.units(&sale, "A").await, (1, 0));
    assert_eq!(released(&bench, &sale).await, 3);
    bench.until_orders(&sale, 1).await;
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_is_judged_by_the_current_state() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, Some(1), &[("A", Some(5))]).await;
    let orders = [
        keyed_order(&sale, "fits", "k1", &[("A", 2)]),
        keyed_order(&sale, "again", "k2", &[("A", 1)]),
        keyed_order(&sale, "too-many", "k3", &[("A", 9)]),
        keyed_order(&sale, "last", "k4", &[("A", 1)]),
    ];
    let refused = bench.write(0, &sale, &acceptance(&sale, epoch, 1, &orders)).await;
    bench.until_settled(0, refused).await;
    assert_eq!(bench.units(&sale, "A").await, (0, 13));
    // Since then, one of the customers has placed an order, and the total has been raised.
    let since =
        bench.write(0, &sale, &acceptance(&sale, epoch, 5, &[order(&sale, "again", &[("A", 1)])])).await;
    bench.until_settled(0, since).await;
    set_total(&bench, &sale, 6).await;
    let (id, ..) = letter(&bench, &sale, "guard_trip").await;
    let last = bench.write(0, &sale, &decision(id, Replay)).await;
    bench.until_settled(0, last).await;
    let (_, state, resolution) = letter(&bench, &sale, "guard_trip").await;
    assert_eq!((state.as_str(), resolution.as_deref()), ("replayed", Some("2 of 4 orders accepted")));
    let select = "SELECT customer_id, sequence FROM customer_order WHERE sale_id = $1 ORDER BY sequence";
    let rows = bench.db.query(select, &[&sale.as_str()]).await.unwrap();
    let rows: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [("fits", 1), ("last", 4), ("again", 5)].map(|(name, n)| (name.to_string(), n));
    assert_eq!(rows, expected);
    assert_eq!(bench.units(&sale, "A").await, (4, 0));
    assert_eq!(released(&bench, &sale).await, 10, "what the others had taken comes back");
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_still_cannot_be_applied_stays_with_its_units() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let good = acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 3)])]);
    bench.write_raw(0, sale.as_str(), b"{", &good.headers.encode()).await;
    until("it is a dead letter", async || bench.units(&sale, "A").await == (0, 3)).await;
    let (id, ..) = letter(&bench, &sale, "malformed").await;
    let last = bench.write(0, &sale, &decision(id, Replay)).await;
    bench.until_settled(0, last).await;
    let (_, state, resolution) = letter(&bench, &sale, "malformed").await;
    assert_eq!((state.as_str(), resolution.as_deref()), ("undecided", Some("it still cannot be applied")));
    assert_eq!(bench.units(&sale, "A").await, (0, 3));
    // The sequence of the record remains used.
    assert_eq!(bench.number("SELECT next_sequence FROM sale WHERE sale_id = $1", &sale).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_is_judged_by_the_epoch_at_its_original_offset() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let next = contract::ids::Epoch(epoch.0 + 1);
    let write_oversized = async |first: u64| {
        let record = acceptance(&sale, epoch, first, &[order(&sale, &format!("c{first}"), &[("A", 9)])]);
        bench.write(0, &sale, &record).await
    };
    write_oversized(1).await; // rejected by Postgres before the barrier: its customer was promised the order
    bench.write(0, &sale, &barrier(&sale, next)).await;
    let poison = acceptance(&sale, epoch, 2, &[order(&sale, "late", &[("A", 1)])]);
    // Undecodable after the barrier, because of a version that is not supported yet.
    let mut headers = poison.headers.clone();
    headers.version = Some(99);
    let last = bench.write_raw(0, sale.as_str(), &poison.value, &headers.encode()).await;
    bench.until_settled(0, last).await;
    assert_eq!(bench.units(&sale, "A").await, (0, 9), "a void record holds nothing back");
    set_total(&bench, &sale, 20).await;
    let (id, ..) = letter(&bench, &sale, "guard_trip").await;
    let settled = bench.write(0, &sale, &decision(id, Replay)).await;
    bench.until_settled(0, settled).await;
    bench.until_orders(&sale, 1).await;
    assert_eq!(bench.units(&sale, "A").await, (9, 0));
    bench.check(&sale).await;
}
