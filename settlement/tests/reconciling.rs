//! What stands in the way of a verdict, and what is proof without one.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use contract::ids::{Epoch, SaleId, Sequence};
use contract::record::OutboxId;
use lua::outbox;
use lua::reserve::Verdict;
use support::shop::Shop;
use support::{Bench, acceptance, order};
use testkit::until;

/// Compares all the time, and relays nothing by itself.
const ARGS: [&str; 6] =
    ["--reconcile-every-ms", "30", "--reconcile-repair-after-ms", "600000", "--relay-after-ms", "600000"];

/// How often comparisons of this sale ended so.
async fn compared(bench: &Bench, sale: &SaleId, result: &str) -> f64 {
    let url = format!("{}/metrics", bench.system.settlements[0]);
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    let labels = [format!("sale=\"{sale}\""), format!("result=\"{result}\"")];
    let of_sale = |line: &&str| {
        line.starts_with("reconciliations_total{") && labels.iter().all(|label| line.contains(label))
    };
    let line = page.lines().find(of_sale);
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

async fn until_compared(bench: &Bench, sale: &SaleId, result: &str) {
    let before = compared(bench, sale, result).await;
    until(&format!("{sale} is compared: {result}"), async || {
        compared(bench, sale, result).await >= before + 2.0
    })
    .await;
}

/// The outbox forgets a batch of one order, as after the log's acknowledgement.
async fn forgets(shop: &Shop, sequence: u64) {
    let id = OutboxId::batch(Sequence(sequence), 1);
    outbox::acknowledge(&shop.redis, &shop.scripts.ack_outbox, &shop.keys, &[id]).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_in_flight_until_the_log_has_it_and_settlement_too() {
    let bench = Bench::with_args(1, &ARGS).await;
    let (sale, epoch) = bench.open(2, None, &[("A", Some(10))]).await;
    until_compared(&bench, &sale, "agree").await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    let stranded = order(&sale, "c", &[("A", 3)]);
    assert_eq!(shop.reserve(&stranded).await, Verdict::Accepted(Sequence(1)));
    until_compared(&bench, &sale, "outbox_waits").await;

    // The log gets it, and the outbox forgets it, while settlement is kept from going on.
    let mut other = bench.system.database().await;
    let lock = other.transaction().await.unwrap();
    lock.execute("SELECT FROM log_position WHERE partition = 2 FOR UPDATE", &[]).await.unwrap();
    bench.write(2, &sale, &acceptance(&sale, epoch, 1, std::slice::from_ref(&stranded))).await;
    forgets(&shop, 1).await;
    until_compared(&bench, &sale, "log_unsettled").await;
    lock.rollback().await.unwrap();
    until_compared(&bench, &sale, "agree").await;
    assert_eq!(compared(&bench, &sale, "drift").await, 0.0, "nothing of this was drift");

    // What the outbox loses without the log having it is drift: nobody will ever have these units.
    let gone = order(&sale, "d", &[("A", 2)]);
    assert_eq!(shop.reserve(&gone).await, Verdict::Accepted(Sequence(2)));
    forgets(&shop, 2).await;
    until_compared(&bench, &sale, "drift").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_takes_units_like_an_order() {
    let bench = Bench::with_args(1, &ARGS).await;
    let (sale, epoch) = bench.open(1, None, &[("A", Some(10))]).await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    let poison = order(&sale, "c", &[("A", 3)]);
    assert_eq!(shop.reserve(&poison).await, Verdict::Accepted(Sequence(1)));
    let mut record = acceptance(&sale, epoch, 1, std::slice::from_ref(&poison));
    record.value.truncate(20);
    let offset = bench.write(1, &sale, &record).await;
    bench.until_settled(1, offset).await;
    forgets(&shop, 1).await;
    assert_eq!(bench.units(&sale, "A").await, (0, 3));
    until_compared(&bench, &sale, "agree").await;
    assert_eq!(compared(&bench, &sale, "drift").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_would_give_sequences_out_again_is_rebuilt_at_once() {
    let bench = Bench::with_args(1, &ARGS).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    // As after a restored copy that scripts and history cannot tell: the log has what Redis has not.
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 3)])])).await;
    bench.until_orders(&sale, 1).await;
    let rebuilt = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    assert_eq!(rebuilt, Epoch(epoch.0 + 1));
    until_compared(&bench, &sale, "agree").await;
    let shop = Shop::open(&bench, &sale, rebuilt, None).await;
    assert_eq!((shop.units("A").await, shop.units(":next").await), ("7".into(), "2".into()));
}
