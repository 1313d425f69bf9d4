//! Reconciliation: what makes a comparison inconclusive, and what proves a state loss without one.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use contract::ids::{Epoch, SaleId, Sequence};
use contract::record::OutboxId;
use lua::outbox;
use lua::reserve::Verdict;
use support::shop::Shop;
use support::{Bench, acceptance, order};
use testkit::until;

/// Compares continuously, and disables the relay.
const ARGS: [&str; 6] =
    ["--reconcile-every-ms", "30", "--reconcile-repair-after-ms", "600000", "--relay-after-ms", "600000"];

/// Returns how often comparisons of this sale had this result.
async fn comparisons(bench: &Bench, sale: &SaleId, result: &str) -> f64 {
    let url = format!("{}/metrics", bench.system.settlements[0]);
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    let labels = [format!("sale=\"{sale}\""), format!("result=\"{result}\"")];
    let is_match = |line: &&str| {
        line.starts_with("reconciliations_total{") && labels.iter().all(|label| line.contains(label))
    };
    let line = page.lines().find(is_match);
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

async fn until_compared(bench: &Bench, sale: &SaleId, result: &str) {
    let before = comparisons(bench, sale, result).await;
    until(&format!("comparisons of {sale} have the result {result}"), async || {
        comparisons(bench, sale, result).await >= before + 2.0
    })
    .await;
}

/// Removes a batch of one order from the outbox, as after the acknowledgement of the log.
async fn acknowledge(shop: &Shop, sequence: u64) {
    let id = OutboxId::batch(Sequence(sequence), 1);
    outbox::acknowledge(&shop.redis, &shop.scripts.ack_outbox, &shop.keys, &[id]).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_in_flight_until_it_is_in_the_log_and_settled() {
    let bench = Bench::with_args(1, &ARGS).await;
    let (sale, epoch) = bench.open(2, None, &[("A", Some(10))]).await;
    until_compared(&bench, &sale, "agree").await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    let stranded = order(&sale, "c", &[("A", 3)]);
    assert_eq!(shop.reserve(&stranded).await, Verdict::Accepted(Sequence(1)));
    until_compared(&bench, &sale, "outbox_waits").await;

    // The log receives the order and the outbox removes it, while settlement is blocked.
    let mut other = bench.system.database().await;
    let lock = other.transaction().await.unwrap();
    lock.execute("SELECT FROM log_position WHERE partition = 2 FOR UPDATE", &[]).await.unwrap();
    bench.write(2, &sale, &acceptance(&sale, epoch, 1, std::slice::from_ref(&stranded))).await;
    acknowledge(&shop, 1).await;
    until_compared(&bench, &sale, "log_unsettled").await;
    lock.rollback().await.unwrap();
    until_compared(&bench, &sale, "agree").await;
    assert_eq!(comparisons(&bench, &sale, "drift").await, 0.0, "no comparison found drift");

    // An entry that leaves the outbox without reaching the log is drift: its units are lost.
    let dropped = order(&sale, "d", &[("A", 2)]);
    assert_eq!(shop.reserve(&dropped).await, Verdict::Accepted(Sequence(2)));
    acknowledge(&shop, 2).await;
    until_compared(&bench, &sale, "drift").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_holds_units_like_an_order() {
    let bench = Bench::with_args(1, &ARGS).await;
    let (sale, epoch) = bench.open(1, None, &[("A", Some(10))]).await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    let poison = order(&sale, "c", &[("A", 3)]);
    assert_eq!(shop.reserve(&poison).await, Verdict::Accepted(Sequence(1)));
    let mut record = acceptance(&sale, epoch, 1, std::slice::from_ref(&poison));
    record.value.truncate(20);
    let offset = bench.write(1, &sale, &record).await;
    bench.until_settled(1, offset).await;
    acknowledge(&shop, 1).await;
    assert_eq!(bench.units(&sale, "A").await, (0, 3));
    until_compared(&bench, &sale, "agree").await;
    assert_eq!(comparisons(&bench, &sale, "drift").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_would_assign_sequences_again_is_rebuilt_at_once() {
    let bench = Bench::with_args(1, &ARGS).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    // This simulates a restored backup that neither the scripts nor the replication id reveal: the log has an order
    // that Redis does not have.
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 3)])])).await;
    bench.until_orders(&sale, 1).await;
    let rebuilt = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    assert_eq!(rebuilt, Epoch(epoch.0 + 1));
    until_compared(&bench, &sale, "agree").await;
    let shop = Shop::open(&bench, &sale, rebuilt, None).await;
    assert_eq!((shop.units("A").await, shop.units(":next").await), ("7".into(), "2".into()));
}
