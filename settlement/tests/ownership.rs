//! Crashes, successors and zombies: no record is settled twice, and none is left out.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use settlement::consume::decoded_record::{DecodedRecord, RawRecord};
use settlement::context::progress::Progress;
use settlement::decide::delivery_schedule::DeliverySchedule;
use settlement::publish::committed_events;
use settlement::settle::settler::Settler;
use settlement::store::StoreError;
use settlement::store::database;
use support::{Bench, acceptance, order, with_defaults};
use testkit::{Signal, until};

/// Small batches, so that there are more points to crash between and within them.
const SMALL: [&str; 4] = ["--batch-orders-max", "8", "--batch-wait-ms", "1"];

/// The time after which Kafka gives the partitions of a member that does not respond to others.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// Writes records of two orders each until it is stopped.
struct Stream {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Stream {
    fn start(bench: &Arc<Bench>, partition: i32, sale: &SaleId, epoch: Epoch) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (bench, sale) = (bench.clone(), sale.clone());
        let (stopped, count) = (stop.clone(), written.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let first = count.load(Ordering::Relaxed) + 1;
                let orders: Vec<_> =
                    (first..first + 2).map(|n| order(&sale, &format!("c{n}"), &[("A", 1)])).collect();
                bench.write(partition, &sale, &acceptance(&sale, epoch, first, &orders)).await;
                count.store(first + 1, Ordering::Relaxed);
            }
        });
        Self { stop, written, task }
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    async fn end(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.written.load(Ordering::Relaxed) as i64
    }
}

/// Waits until a transaction of settlement is blocked by a lock.
async fn until_blocked(bench: &Bench) {
    until("a transaction is blocked by the lock", async || {
        let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                      AND application_name = 'settlement' AND wait_event_type = 'Lock' AND query LIKE '%order_event%'";
        bench.db.query_one(select, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settler_that_is_killed_between_and_within_batches_leaves_no_trace() {
    let bench = Arc::new(Bench::start(0).await);
    let mut process = bench.process(&SMALL).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(1_000_000))]).await;

    // Between batches: at an arbitrary time while orders arrive.
    let stream = Stream::start(&bench, 0, &sale, epoch);
    until("orders are being settled", async || bench.orders(&sale).await > 20).await;
    process.kill();
    let written = stream.end().await;

    // Within a batch: the rows of orders are inserted, and the transaction is blocked. (It must have settled something
    // before: otherwise the lock already blocks the preparation of its statements.)
    process = bench.process(&SMALL).await;
    bench.until_orders(&sale, written).await;
    let lock = bench.system.database().await;
    lock.batch_execute("BEGIN; LOCK TABLE order_event IN EXCLUSIVE MODE").await.unwrap();
    let more = order(&sale, "last", &[("A", 1)]);
    let last = bench.write(0, &sale, &acceptance(&sale, epoch, written as u64 + 1, &[more])).await;
    until_blocked(&bench).await;
    process.kill();
    lock.batch_execute("COMMIT").await.unwrap();

    let _process = bench.process(&SMALL).await;
    bench.until_settled(0, last).await;
    bench.until_orders(&sale, written + 1).await;
    assert_eq!(bench.units(&sale, "A").await, (written + 1, 0));
    assert_eq!(bench.number("SELECT count(*) FROM dead_letter WHERE sale_id = $1", &sale).await, 0);
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_change_their_owner_under_load_without_a_duplicate_or_a_gap() {
    let mut bench = Bench::with_args(1, &SMALL).await;
    let mut sales = Vec::new();
    for partition in 0..4 {
        let (sale, epoch) = bench.open(partition, None, &[("A", Some(1_000_000))]).await;
        sales.push((partition, sale, epoch));
    }
    let second = bench.system.add_settlement(&with_defaults(&SMALL));
    let group = bench.topic("settlement");
    let bench = Arc::new(bench);
    let streams: Vec<_> = sales
        .iter()
        .map(|(partition, sale, epoch)| Stream::start(&bench, *partition, sale, *epoch))
        .collect();
    until_members(&group, 2).await;
    let mark = streams.iter().map(Stream::written).sum::<u64>() + 200;
    until("two settlers make progress", async || streams.iter().map(Stream::written).sum::<u64>() > mark)
        .await;
    second.cancel(); // it leaves the group
    until_members(&group, 1).await;
    let mark = streams.iter().map(Stream::written).sum::<u64>() + 200;
    until("one settler makes progress", async || streams.iter().map(Stream::written).sum::<u64>() > mark)
        .await;
    for (stream, (_, sale, _)) in streams.into_iter().zip(&sales) {
        let written = stream.end().await;
        bench.until_orders(sale, written).await;
        assert_eq!(bench.units(sale, "A").await, (written, 0));
        bench.check(sale).await;
    }
}

/// Waits until the consumer group is stable with this number of members.
async fn until_members(group: &str, count: usize) {
    let config = process::kafka::client(&testkit::environment("KAFKA_BROKERS"), "test");
    let consumer: BaseConsumer = config.create().unwrap();
    until(&format!("{count} members share the partitions"), async || {
        let groups = consumer.fetch_group_list(Some(group), Duration::from_secs(5)).unwrap();
        let group = groups.groups().iter().find(|candidate| candidate.name() == group);
        group.is_some_and(|group| group.state() == "Stable" && group.members().len() == count)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settler_whose_cached_position_is_stale_is_fenced() {
    let bench = Bench::start(0).await;
    let mut process = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    process.kill();
    let mut services = settings(&bench).services;
    services.database_pool_size = 5;
    let settler = || {
        let (committed, _) = committed_events::channel();
        Settler::new(
            database::pool(&services).unwrap(),
            Progress::default(),
            committed,
            DeliverySchedule::default(),
        )
    };
    let record = |offset: i64, first: u64| {
        let record = acceptance(&sale, epoch, first, &[order(&sale, "c", &[("A", 1)])]);
        let raw = RawRecord {
            key: Some(sale.to_string().into()),
            value: Some(record.value.to_vec()),
            ..RawRecord::default()
        };
        DecodedRecord::new(offset, record.headers, raw)
    };
    let (mut owner, mut zombie) = (settler(), settler());
    owner.reload(0).await.unwrap();
    zombie.reload(0).await.unwrap();
    let next: i64 = bench
        .number("SELECT next_offset FROM log_position WHERE partition = 0 AND $1::text <> ''", &sale)
        .await;
    assert_eq!(owner.settle(0, vec![record(next, 1)]).await.unwrap(), next + 1);
    // The zombie settles the same record, and one that only it has read: the whole batch is rejected.
    let refused = zombie.settle(0, vec![record(next, 1), record(next + 1, 2)]).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    assert_eq!(bench.orders(&sale).await, 1);
    // No settler can skip a record.
    let skipped = owner.settle(0, vec![record(next + 2, 3)]).await;
    assert!(matches!(skipped, Err(StoreError::OutOfPlace { .. })), "{skipped:?}");
    // The zombie continues from the position in Postgres.
    zombie.reload(0).await.unwrap();
    assert_eq!(zombie.settle(0, vec![record(next + 1, 2)]).await.unwrap(), next + 2);
    assert_eq!(bench.orders(&sale).await, 2);
    bench.check(&sale).await;
}

fn settings(bench: &Bench) -> settlement::Settings {
    use clap::Parser as _;
    settlement::Settings::parse_from(
        std::iter::once("settlement".to_string()).chain(bench.system.service_args()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settler_that_was_suspended_inside_a_transaction_cannot_harm_its_successor() {
    let bench = Bench::start(0).await;
    let zombie = bench.process(&SMALL).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    let write = async |first: u64| {
        let record = acceptance(&sale, epoch, first, &[order(&sale, "c", &[("A", 1)])]);
        bench.write(0, &sale, &record).await
    };
    let lock = bench.system.database().await;
    lock.batch_execute("BEGIN; LOCK TABLE order_event IN EXCLUSIVE MODE").await.unwrap();
    write(1).await;
    until_blocked(&bench).await;
    zombie.signal(Signal::STOP);
    lock.batch_execute("COMMIT").await.unwrap();
    let _successor = bench.process(&SMALL).await;
    let last = write(2).await;
    bench.until_settled(0, last).await;
    zombie.signal(Signal::CONT);
    let last = write(3).await;
    bench.until_settled(0, last).await;
    bench.until_orders(&sale, 3).await;
    assert_eq!(bench.units(&sale, "A").await, (3, 0));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settler_survives_terminated_connections_to_postgres() {
    let bench = Arc::new(Bench::with_args(1, &SMALL).await);
    let (sale, epoch) = bench.open(0, None, &[("A", Some(1_000_000))]).await;
    let stream = Stream::start(&bench, 0, &sale, epoch);
    for _ in 0..5 {
        let mark = bench.orders(&sale).await + 20;
        until("settling continues", async || bench.orders(&sale).await > mark).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'settlement'";
        assert!(!bench.db.query(cut, &[]).await.unwrap().is_empty());
    }
    let written = stream.end().await;
    bench.until_orders(&sale, written).await;
    assert_eq!(bench.units(&sale, "A").await, (written, 0));
    bench.check(&sale).await;
}

/// The consumer is paused while a transaction takes long. It must resume when the transaction then fails.
#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_resumes_after_a_long_transaction_that_fails() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", None)]).await;
    let mut locker = bench.system.database().await;
    let held = locker.transaction().await.unwrap();
    held.execute("SELECT FROM log_position WHERE partition = 0 FOR UPDATE", &[]).await.unwrap();
    let mut orders = 0;
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND now() - query_start > interval '2 s'";
    // More batches follow, until the channel is full and the consumer has been paused for a while.
    until("a transaction has been blocked for 2 s", async || {
        orders += 1;
        let one = [order(&sale, &format!("c{orders}"), &[("A", 1)])];
        bench.write(0, &sale, &acceptance(&sale, epoch, orders, &one)).await;
        bench.db.query_one(blocked, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    bench.db.execute(cut, &[]).await.unwrap();
    held.rollback().await.unwrap();
    bench.until_orders(&sale, orders as i64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_lost_records_is_never_skipped() {
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::{Offset, TopicPartitionList};
    let mut bench = Bench::start(0).await;
    let mut process = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    process.kill();
    let write = async |bench: &Bench, first: u64| {
        bench.write(0, &sale, &acceptance(&sale, epoch, first, &[order(&sale, "c", &[("A", 1)])])).await
    };
    let (lost, kept) = (write(&bench, 1).await, write(&bench, 2).await);
    let config = process::kafka::client(&testkit::environment("KAFKA_BROKERS"), "test");
    let admin: AdminClient<_> = config.create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&bench.topic("orders"), 0, Offset::Offset(kept)).unwrap();
    admin.delete_records(&before, &AdminOptions::new()).await.unwrap();

    bench.system.add_settlement(&with_defaults(&[]));
    let ready = format!("{}/health/ready", bench.system.settlements[0]);
    let readiness_contains = async |text: &str| {
        let Ok(response) = reqwest::get(&ready).await else { return false };
        response.text().await.unwrap().contains(text)
    };
    until("readiness reports the lost records", async || {
        readiness_contains("the log does not have a stored offset").await
    })
    .await;
    let next = "SELECT next_offset FROM log_position WHERE partition = 0 AND $1::text <> ''";
    assert_eq!(bench.number(next, &sale).await, lost);
    assert_eq!(bench.orders(&sale).await, 0);
    // An operator has checked the gap and decided to continue after it.
    bench.db.execute("UPDATE log_position SET next_offset = $1 WHERE partition = 0", &[&kept]).await.unwrap();
    bench.until_settled(0, kept).await;
    until("the log is up again", async || readiness_contains(r#""log":{"up":true"#).await).await;
    bench.until_orders(&sale, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_the_process_within_its_time_limit_after_it_has_left_the_group() {
    let bench = Arc::new(Bench::start(0).await);
    // The control: a start while the group is empty.
    let begun = std::time::Instant::now();
    let mut first = bench.process(&SMALL).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(1_000_000))]).await;
    let stream = Stream::start(&bench, 0, &sale, epoch);
    until("orders are being settled", async || bench.orders(&sale).await > 20).await;
    let first_start = begun.elapsed();
    first.signal(Signal::TERM);
    assert!(first.ends_within(Duration::from_secs(10)).await, "the process ends within 10 s");
    // The process has left the group: its successor need not wait for a session timeout.
    let begun = std::time::Instant::now();
    let _second = bench.process(&SMALL).await;
    let mark = bench.orders(&sale).await;
    until("the successor settles", async || bench.orders(&sale).await > mark).await;
    let second_start = begun.elapsed();
    assert!(
        second_start < first_start + SESSION_TIMEOUT / 2,
        "{second_start:?}, the first one {first_start:?}"
    );
    let written = stream.end().await;
    bench.until_orders(&sale, written).await;
    bench.check(&sale).await;
}
