//! Rebuilds without an operator's request, and with attempts that fail at any step.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use contract::ids::{Epoch, SaleId};
use contract::publication::Heartbeat;
use contract::wire;
use lua::Redis;
use lua::reserve::Verdict;
use process::health::Health;
use process::kafka::{Message, Producer, ProducerSettings};
use settlement::Settings;
use settlement::context::Context;
use settlement::context::log_ends::LogEnds;
use settlement::context::ownership;
use settlement::context::progress::Progress;
use settlement::recover::rebuild::RebuildTarget;
use settlement::recover::rebuild::attempt::{Attempt, RebuiltSale};
use settlement::recover::rebuild::error::RebuildError;
use settlement::recover::rebuild::journal::{Journal, Step};
use settlement::recover::rebuild::rebuild_backoff::RebuildCause;
use settlement::store::database;
use support::shop::Shop;
use support::{Bench, acceptance, order};
use testkit::until;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Returns the context of a settler that owns no partition, to run attempts manually.
fn context(bench: &Bench) -> Context {
    let args = ["settlement".to_string()].into_iter().chain(bench.system.service_args());
    let settings = Settings::parse_from(args);
    let producer = ProducerSettings { linger_ms: 0.0, timeout_ms: 5000, queue_messages_max: 1000 };
    Context {
        pool: database::pool(&settings.services).unwrap(),
        redis: Redis::connect(&settings.services.redis_url, Duration::from_secs(2)).unwrap(),
        producer: Producer::start(&settings.services.kafka_brokers, "rebuilder", &producer).unwrap(),
        health: Health::default(),
        ownership: ownership::channel().1,
        progress: Progress::default(),
        log_ends: LogEnds::default(),
        stop: CancellationToken::new(),
        settings: Arc::new(settings),
    }
}

fn new_attempt() -> Attempt {
    Attempt { owner: Uuid::new_v4(), journal: Journal::default(), snapshots: Arc::new(Semaphore::new(1)) }
}

fn target(sale: &SaleId, partition: i32, epoch: Epoch) -> RebuildTarget {
    RebuildTarget { sale: sale.clone(), partition, epoch, cause: RebuildCause::Unfinished }
}

/// Runs an attempt that stops, as by SIGKILL, when it reaches a step. Returns its result if it finishes before.
async fn run_until_step(
    context: &Context,
    target: &RebuildTarget,
    step: Step,
) -> Option<Result<RebuiltSale, RebuildError>> {
    let attempt = new_attempt();
    let mut steps = attempt.journal.subscribe();
    tokio::select! {
        biased;
        _ = steps.wait_for(|current| *current >= step) => None,
        result = attempt.run(context, target) => Some(result),
    }
}

/// Returns the epochs whose scripts would accept a call.
async fn marked_epochs(bench: &Bench, sale: &SaleId, up_to: Epoch) -> Vec<u64> {
    let mut epochs = vec![];
    for epoch in 1..=up_to.0 {
        let shop = Shop::open(bench, sale, Epoch(epoch), None).await;
        if shop.get(&shop.keys.stock, b":mark").await.is_some() {
            epochs.push(epoch);
        }
    }
    epochs
}

/// Checks that exactly one epoch is open: it is the newest, it contains the settled orders, and it sells.
async fn assert_one_epoch_is_open(bench: &Bench, sale: &SaleId, at_least: u64) -> Epoch {
    let epoch = bench.until_ready(sale, at_least as i64).await;
    assert_eq!(marked_epochs(bench, sale, Epoch(epoch.0 + 1)).await, [epoch.0]);
    let shop = Shop::open(bench, sale, epoch, None).await;
    assert_eq!((shop.units("A").await, shop.units(":next").await), ("8".into(), "3".into()));
    let sold = shop.reserve(&order(sale, "new", &[("A", 1)])).await;
    assert!(matches!(sold, Verdict::Accepted(sequence) if sequence.0 == 3), "{sold:?}");
    epoch
}

async fn sale_with_two_orders(bench: &Bench, partition: i32) -> (SaleId, Epoch) {
    let (sale, epoch) = bench.open(partition, None, &[("A", Some(10))]).await;
    let orders = [order(&sale, "a", &[("A", 1)]), order(&sale, "b", &[("A", 1)])];
    let shop = Shop::open(bench, &sale, epoch, None).await;
    for order in &orders {
        assert!(matches!(shop.reserve(order).await, Verdict::Accepted(_)));
    }
    bench.write(partition, &sale, &acceptance(&sale, epoch, 1, &orders)).await;
    bench.until_orders(&sale, 2).await;
    (sale, epoch)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_killed_at_any_step_is_followed_by_exactly_one_open_epoch() {
    let bench = Bench::with_args(2, &["--relay-after-ms", "600000"]).await;
    let context = context(&bench);
    let tests = Step::ALL.into_iter().zip((0..4).cycle()).map(async |(step, partition)| {
        let (sale, epoch) = sale_with_two_orders(&bench, partition).await;
        let result = run_until_step(&context, &target(&sale, partition, epoch), step).await;
        assert!(result.is_none(), "{step:?}: {result:?}");
        // An attempt that is killed before its first step has changed nothing.
        let at_least = if step == Step::Begin { epoch.0 } else { epoch.0 + 1 };
        let opened = assert_one_epoch_is_open(&bench, &sale, at_least).await;
        println!("killed at {}: epoch {opened} is open", step.as_str());
    });
    futures_util::future::join_all(tests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_concurrent_attempts_one_epoch_is_opened() {
    let bench = Bench::with_args(2, &["--relay-after-ms", "600000"]).await;
    let context = context(&bench);
    let (sale, epoch) = sale_with_two_orders(&bench, 1).await;
    // Both attempts have read the same epoch: one of them begins the next.
    let common_target = target(&sale, 1, epoch);
    let (first, second) = (new_attempt(), new_attempt());
    let (first, second) =
        tokio::join!(first.run(&context, &common_target), second.run(&context, &common_target));
    let rebuilt = match (&first, &second) {
        (Ok(rebuilt), Err(RebuildError::Superseded)) | (Err(RebuildError::Superseded), Ok(rebuilt)) => {
            *rebuilt
        }
        both => panic!("{both:?}"),
    };
    assert_eq!((rebuilt.epoch, rebuilt.orders), (Epoch(epoch.0 + 1), 2));
    // A second attempt begins while the first is running: the later one opens its epoch.
    let (early, late) = (new_attempt(), new_attempt());
    let mut steps = early.journal.subscribe();
    let run_late = async {
        steps.wait_for(|step| *step >= Step::Leases).await.unwrap();
        late.run(&context, &target(&sale, 1, Epoch(rebuilt.epoch.0 + 1))).await
    };
    let early_target = target(&sale, 1, rebuilt.epoch);
    let (early, late) = tokio::join!(early.run(&context, &early_target), run_late);
    assert!(matches!(early, Err(RebuildError::Superseded)), "{early:?}");
    assert_eq!(late.unwrap().epoch, Epoch(rebuilt.epoch.0 + 2));
    assert_eq!(
        assert_one_epoch_is_open(&bench, &sale, 1).await,
        Epoch(rebuilt.epoch.0 + 2),
        "no other attempt was needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_names_the_newest_epoch_causes_a_rebuild_and_one_that_names_another_does_not() {
    let bench = Bench::start(1).await;
    let (lost, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let (kept, kept_epoch) = bench.open(1, None, &[("A", Some(10))]).await;
    let publish_heartbeat = async |gateway: &str, lost: Vec<(SaleId, Epoch)>| {
        let heartbeat = Heartbeat { gateway: gateway.into(), lost };
        let (topic, key) = (bench.topic("sales"), heartbeat.key());
        let value = wire::encode(&heartbeat);
        let message =
            Message { topic: &topic, partition: Some(0), key: &key, value: Some(&value), headers: &[] };
        bench.producer.send(&message).unwrap().await.unwrap();
    };
    let other_epochs = vec![(kept.clone(), Epoch(kept_epoch.0 - 1)), (kept.clone(), Epoch(kept_epoch.0 + 1))];
    publish_heartbeat("old", other_epochs).await;
    publish_heartbeat("new", vec![(lost.clone(), epoch)]).await;
    bench.until_ready(&lost, epoch.0 as i64 + 1).await;
    publish_heartbeat("new", vec![(lost.clone(), epoch)]).await; // it has not received the new epoch yet
    publish_heartbeat("marker", vec![(kept.clone(), kept_epoch)]).await;
    bench.until_ready(&kept, kept_epoch.0 as i64 + 1).await;
    for (sale, before) in [(&lost, epoch), (&kept, kept_epoch)] {
        let select = "SELECT epoch FROM sale WHERE sale_id = $1";
        assert_eq!(bench.number(select, sale).await as u64, before.0 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_ahead_of_postgres_and_a_missing_state_cause_a_rebuild() {
    let bench = Bench::start(1).await;
    let (ahead, ahead_epoch) = sale_with_two_orders(&bench, 0).await;
    let (missing, missing_epoch) = sale_with_two_orders(&bench, 1).await;
    let shop = Shop::open(&bench, &ahead, ahead_epoch, None).await;
    let args = [shop.keys.stock.as_str(), ":released", "999999"].map(|arg| arg.to_string().into());
    shop.redis.command::<i64>("HSET", args.to_vec()).await.unwrap();
    let shop = Shop::open(&bench, &missing, missing_epoch, None).await;
    shop.redis.command::<i64>("DEL", vec![shop.keys.stock.clone().into()]).await.unwrap();
    assert_one_epoch_is_open(&bench, &ahead, ahead_epoch.0 + 1).await;
    assert_one_epoch_is_open(&bench, &missing, missing_epoch.0 + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_that_are_lost_together_are_rebuilt_concurrently() {
    const SALES: usize = 12;
    let bench = Bench::start(1).await;
    let mut sales = vec![];
    for n in 0..SALES {
        sales.push(sale_with_two_orders(&bench, n as i32 % 4).await);
    }
    let (control, epoch) = sale_with_two_orders(&bench, 0).await;
    let begun = std::time::Instant::now();
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &control).await;
    bench.until_ready(&control, epoch.0 as i64 + 1).await;
    let one = begun.elapsed();
    let begun = std::time::Instant::now();
    for (sale, _) in &sales {
        bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", sale).await;
    }
    for (sale, epoch) in &sales {
        bench.until_ready(sale, epoch.0 as i64 + 1).await;
    }
    let all = begun.elapsed();
    println!("one sale is open again after {one:?}, {SALES} sales after {all:?}");
    // In turn they would take 12 times as long. Most of a rebuild is a wait, which they share.
    assert!(all < one * 3, "{all:?} for {SALES} sales, {one:?} for one: rebuilt sequentially");
    until("no rebuild is due", async || {
        bench.number("SELECT count(*) FROM sale WHERE NOT ready AND $1 <> ''", &sales[0].0).await == 0
    })
    .await;
}
