//! Rebuilds without an operator's word, whatever happens to whoever builds.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use contract::ids::{Epoch, SaleId};
use contract::publication::Heartbeat;
use lua::Redis;
use lua::reserve::Verdict;
use process::health::Health;
use process::kafka::{Message, Producer, ProducerSettings};
use settlement::Settings;
use settlement::context::Context;
use settlement::context::log_ends::LogEnds;
use settlement::context::ownership;
use settlement::context::progress::Progress;
use settlement::recover::rebuild::attempt::{Built, RebuildError, Run, attempt};
use settlement::recover::rebuild::journal::{Journal, Step};
use settlement::recover::rebuild::{Due, rebuild_backoff::Wanted};
use settlement::store::database;
use support::shop::Shop;
use support::{Bench, acceptance, order};
use testkit::until;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a settler has, apart from its ownership, to make attempts by hand.
fn rebuilder(bench: &Bench) -> Context {
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

fn run() -> Run {
    Run { by: Uuid::new_v4(), journal: Journal::default(), snapshots: Arc::new(Semaphore::new(1)) }
}

fn due(sale: &SaleId, partition: i32, epoch: Epoch) -> Due {
    Due { sale: sale.clone(), partition, epoch, wanted: Wanted::Unfinished }
}

/// An attempt that ends, as by SIGKILL, when it comes to a step.
async fn killed_at(context: &Context, due: &Due, step: Step) -> Option<Result<Built, RebuildError>> {
    let run = run();
    let mut steps = run.journal.steps();
    tokio::select! {
        biased;
        _ = steps.wait_for(|now| *now >= step) => None,
        built = attempt(context, due, &run) => Some(built),
    }
}

/// The epochs that scripts could work with.
async fn marked(bench: &Bench, sale: &SaleId, up_to: Epoch) -> Vec<u64> {
    let mut epochs = vec![];
    for epoch in 1..=up_to.0 {
        let shop = Shop::of(bench, sale, Epoch(epoch), None).await;
        if shop.get(&shop.keys.stock, b":mark").await.is_some() {
            epochs.push(epoch);
        }
    }
    epochs
}

/// One epoch is open: it is the newest, it knows what was sold, and it sells.
async fn one_epoch_is_open(bench: &Bench, sale: &SaleId, at_least: u64) -> Epoch {
    let epoch = bench.until_ready(sale, at_least as i64).await;
    assert_eq!(marked(bench, sale, Epoch(epoch.0 + 1)).await, [epoch.0]);
    let shop = Shop::of(bench, sale, epoch, None).await;
    assert_eq!((shop.units("A").await, shop.units(":next").await), ("8".into(), "3".into()));
    let sold = shop.reserve(&order(sale, "new", &[("A", 1)])).await;
    assert!(matches!(sold, Verdict::Accepted(sequence) if sequence.0 == 3), "{sold:?}");
    epoch
}

async fn sale_with_two_orders(bench: &Bench, partition: i32) -> (SaleId, Epoch) {
    let (sale, epoch) = bench.open(partition, None, &[("A", Some(10))]).await;
    let orders = [order(&sale, "a", &[("A", 1)]), order(&sale, "b", &[("A", 1)])];
    let shop = Shop::of(bench, &sale, epoch, None).await;
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
    let context = rebuilder(&bench);
    let each = Step::ALL.into_iter().zip((0..4).cycle()).map(async |(step, partition)| {
        let (sale, epoch) = sale_with_two_orders(&bench, partition).await;
        let ended = killed_at(&context, &due(&sale, partition, epoch), step).await;
        assert!(ended.is_none(), "{step:?}: {ended:?}");
        // Before it begins nothing has happened.
        let at_least = if step == Step::Begin { epoch.0 } else { epoch.0 + 1 };
        let opened = one_epoch_is_open(&bench, &sale, at_least).await;
        println!("killed at {}: epoch {opened} is open", step.as_str());
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_at_once_one_epoch_is_opened() {
    let bench = Bench::with_args(2, &["--relay-after-ms", "600000"]).await;
    let context = rebuilder(&bench);
    let (sale, epoch) = sale_with_two_orders(&bench, 1).await;
    // Both saw the same epoch: one of them takes the next.
    let seen = due(&sale, 1, epoch);
    let (first, second) = (run(), run());
    let (one, two) = tokio::join!(attempt(&context, &seen, &first), attempt(&context, &seen, &second));
    let built = match (&one, &two) {
        (Ok(built), Err(RebuildError::Superseded)) | (Err(RebuildError::Superseded), Ok(built)) => *built,
        both => panic!("{both:?}"),
    };
    assert_eq!((built.epoch, built.orders), (Epoch(epoch.0 + 1), 2));
    // One begins while the other is on its way: whoever began last opens.
    let (slow, quick) = (run(), run());
    let mut steps = slow.journal.steps();
    let late = async {
        steps.wait_for(|step| *step >= Step::Leases).await.unwrap();
        attempt(&context, &due(&sale, 1, Epoch(built.epoch.0 + 1)), &quick).await
    };
    let seen = due(&sale, 1, built.epoch);
    let (slow, quick) = tokio::join!(attempt(&context, &seen, &slow), late);
    assert!(matches!(slow, Err(RebuildError::Superseded)), "{slow:?}");
    assert_eq!(quick.unwrap().epoch, Epoch(built.epoch.0 + 2));
    assert_eq!(
        one_epoch_is_open(&bench, &sale, 1).await,
        Epoch(built.epoch.0 + 2),
        "nobody else had to begin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_names_the_newest_epoch_brings_a_rebuild_and_an_old_one_nothing() {
    let bench = Bench::start(1).await;
    let (lost, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let (kept, kept_epoch) = bench.open(1, None, &[("A", Some(10))]).await;
    let says = async |gateway: &str, lost: Vec<(SaleId, Epoch)>| {
        let heartbeat = Heartbeat { gateway: gateway.into(), lost };
        let (topic, key) = (bench.topic("sales"), heartbeat.key());
        let value = serde_json::to_vec(&heartbeat).unwrap();
        let message =
            Message { topic: &topic, partition: Some(0), key: &key, value: Some(&value), headers: &[] };
        bench.producer.send(&message).unwrap().await.unwrap();
    };
    says("old", vec![(kept.clone(), Epoch(kept_epoch.0 - 1)), (kept.clone(), Epoch(kept_epoch.0 + 1))]).await;
    says("new", vec![(lost.clone(), epoch)]).await;
    bench.until_ready(&lost, epoch.0 as i64 + 1).await;
    says("new", vec![(lost.clone(), epoch)]).await; // it has not heard of the new epoch yet
    says("marker", vec![(kept.clone(), kept_epoch)]).await;
    bench.until_ready(&kept, kept_epoch.0 as i64 + 1).await;
    for (sale, before) in [(&lost, epoch), (&kept, kept_epoch)] {
        assert_eq!(
            bench.number("SELECT epoch FROM sale WHERE sale_id = $1", sale).await as u64,
            before.0 + 1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_ahead_of_postgres_and_a_state_that_is_gone_bring_a_rebuild_by_themselves() {
    let bench = Bench::start(1).await;
    let (ahead, ahead_epoch) = sale_with_two_orders(&bench, 0).await;
    let (gone, gone_epoch) = sale_with_two_orders(&bench, 1).await;
    let shop = Shop::of(&bench, &ahead, ahead_epoch, None).await;
    let args = [shop.keys.stock.as_str(), ":released", "999999"].map(|arg| arg.to_string().into());
    shop.redis.command::<i64>("HSET", args.to_vec()).await.unwrap();
    let shop = Shop::of(&bench, &gone, gone_epoch, None).await;
    shop.redis.command::<i64>("DEL", vec![shop.keys.stock.clone().into()]).await.unwrap();
    one_epoch_is_open(&bench, &ahead, ahead_epoch.0 + 1).await;
    one_epoch_is_open(&bench, &gone, gone_epoch.0 + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_that_are_lost_at_once_are_rebuilt_side_by_side() {
    const SALES: usize = 12;
    let bench = Bench::start(1).await;
    let mut sales = vec![];
    for n in 0..SALES {
        sales.push(sale_with_two_orders(&bench, n as i32 % 4).await);
    }
    let begun = std::time::Instant::now();
    for (sale, _) in &sales {
        bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", sale).await;
    }
    for (sale, epoch) in &sales {
        bench.until_ready(sale, epoch.0 as i64 + 1).await;
    }
    println!("{SALES} sales are open again after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}: one after another", begun.elapsed());
    until("nothing more is due", async || {
        bench.number("SELECT count(*) FROM sale WHERE NOT ready AND $1 <> ''", &sales[0].0).await == 0
    })
    .await;
}
