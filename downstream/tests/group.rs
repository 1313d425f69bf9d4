//! Consumer groups: ordering, retries, dead letters, restarts.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::OrderStatus::{self, Created, PaymentCompleted, PaymentRequested, Preparing};
use contract::timestamp::Timestamp;
use contract::topics::ORDER_EVENTS;
use contract::wire;
use downstream::group::dispatch::Dispatcher;
use downstream::group::{self, Failure, Group, GroupSettings, Handler, ReceivedEvent, TRIES};
use downstream::host::Host;
use parking_lot::Mutex;
use process::kafka::Producer;
use process::walltime;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::{Bench, Started};
use testkit::claim_address;
use testkit::system::metrics;
use testkit::until;
use tokio::runtime::Handle;

const GROUP: Group = Group::new("testers", "testers.retry", "testers.dead-letter");

/// A call of the handler.
#[derive(Debug, Clone)]
struct Call {
    id: String,
    attempt: u32,
    at: Instant,
}

type Plan = dyn Fn(&ReceivedEvent, usize) -> Result<(), Failure> + Send + Sync;

/// A handler that follows a plan and records its calls. The plan gets the number of earlier calls for the event.
#[derive(Clone)]
struct Planned {
    calls: Arc<Mutex<Vec<Call>>>,
    plan: Arc<Plan>,
}

impl Planned {
    fn new(plan: impl Fn(&ReceivedEvent, usize) -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), plan: Arc::new(plan) }
    }
    fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }
    fn ids(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.id).collect()
    }
    fn calls_for(&self, id: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.id == id).collect()
    }
    async fn until_called(&self, id: &str, times: usize) {
        until(&format!("{id} is handled {times} times"), async || self.calls_for(id).len() >= times).await;
    }
}

impl Handler for Planned {
    async fn handle(&self, event: &ReceivedEvent) -> Result<(), Failure> {
        let before = self.calls_for(&event.id).len();
        let call = Call { id: event.id.clone(), attempt: event.attempt, at: Instant::now() };
        self.calls.lock().push(call);
        (self.plan)(event, before)
    }
}

fn settings(second_ms: u64, third_ms: u64) -> GroupSettings {
    GroupSettings {
        group_concurrency: 4,
        second_try_after_ms: second_ms,
        third_try_after_ms: third_ms,
        kafka_replication_factor: 1,
    }
}

async fn bench() -> Bench {
    Bench::start(&testkit::environment("DATABASE_URL")).await
}

async fn start(bench: &Bench, settings: GroupSettings, handler: &Planned) -> Started {
    let (host, listen, handler) = (bench.host(), claim_address(), handler.clone());
    let task_host = host.clone();
    let work = async move {
        group::run(&task_host, GROUP, &settings, listen, handler).await.unwrap();
    };
    Started::new(host, listen, work).await
}

async fn publish(bench: &Bench, id: &str, order: OrderId, status: OrderStatus) {
    let sale = SaleId::parse("s").unwrap();
    bench.publish(id, &support::event(order, &sale, status, walltime::now())).await;
}

/// The consumer of a group on a mock cluster that can inject errors. The mock cluster cannot create topics, so the rest
/// of the group does not run.
struct MockGroup {
    cluster: MockCluster<'static, DefaultProducerContext>,
    bench: Bench,
    host: Host,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl MockGroup {
    fn start(handler: &Planned) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in [ORDER_EVENTS, GROUP.retry, GROUP.dead_letters] {
            cluster.create_topic(topic.name, topic.partitions.unwrap(), 1).unwrap();
        }
        let brokers = cluster.bootstrap_servers();
        let bench = Bench::with_brokers(&brokers, "postgres://unused@127.0.0.1/none", "");
        let (host, producer) = (bench.host(), Producer::start(&brokers, "test", &group::PRODUCER).unwrap());
        let dispatcher =
            Arc::new(Dispatcher::new(&host, GROUP, &settings(50, 100), handler.clone(), producer));
        let (thread_host, runtime) = (host.clone(), Handle::current());
        let consume = move || group::consumer::consume(&thread_host, GROUP, &dispatcher, &runtime);
        let thread = Some(std::thread::spawn(consume));
        Self { cluster, bench, host, thread }
    }

    /// Makes the next requests of this kind fail, from any client.
    fn fail(&self, requests: RDKafkaApiKey, error: RDKafkaRespErr) {
        self.cluster.request_errors(requests, &[error; 10_000]);
    }

    /// Returns how often a consumer was replaced in any test of this program.
    fn replacements() -> u64 {
        let text = metrics().render();
        let line =
            text.lines().find(|line| line.starts_with("kafka_clients_replaced_total{client=\"consumer\"}"));
        line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    async fn stop(mut self) {
        self.host.stop.cancel();
        let thread = self.thread.take().unwrap();
        until("the consumer ends", async || thread.is_finished()).await;
    }
}

fn retriable() -> Failure {
    Failure::Retriable("not yet".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_event_is_retried_later_and_only_its_order_waits_behind_it() {
    let bench = bench().await;
    let handler =
        Planned::new(|event, before| if event.id == "0-1" && before < 2 { Err(retriable()) } else { Ok(()) });
    let group = start(&bench, settings(700, 1500), &handler).await;
    let (troubled, other) = (support::order(), support::order());
    publish(&bench, "0-1", troubled, Created).await;
    handler.until_called("0-1", 1).await;
    publish(&bench, "0-2", troubled, PaymentRequested).await;
    publish(&bench, "0-3", troubled, PaymentCompleted).await;
    publish(&bench, "0-4", other, Created).await;
    handler.until_called("0-3", 1).await;

    assert_eq!(handler.ids(), ["0-1", "0-4", "0-1", "0-1", "0-2", "0-3"]);
    let tries = handler.calls_for("0-1");
    assert_eq!(tries.iter().map(|call| call.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(tries[1].at - tries[0].at >= Duration::from_millis(650), "the second try waits");
    assert!(tries[2].at - tries[1].at >= Duration::from_millis(1450), "the third try waits longer");
    assert_eq!(handler.calls_for("0-2")[0].attempt, 1, "an event that only waited has used no try");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_last_try_an_event_is_a_dead_letter_that_can_be_replayed() {
    let bench = bench().await;
    let repaired = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let plan = repaired.clone();
    let handler = Planned::new(move |event, _| {
        let succeeds = event.id != "0-1" || plan.load(std::sync::atomic::Ordering::SeqCst);
        if succeeds { Ok(()) } else { Err(retriable()) }
    });
    let group = start(&bench, settings(50, 100), &handler).await;
    let order = support::order();
    publish(&bench, "0-1", order, Created).await;
    publish(&bench, "0-2", order, PaymentRequested).await;
    handler.until_called("0-2", 1).await;
    assert_eq!(handler.calls_for("0-1").len(), TRIES as usize);
    assert_eq!(handler.ids().last().unwrap(), "0-2", "the order continues behind its dead letter");

    let letters = group.get("/dead-letters").await["dead_letters"].clone();
    assert_eq!(letters.as_array().unwrap().len(), 1, "{letters}");
    let letter = &letters[0];
    assert_eq!(
        (letter["event_id"].as_str(), letter["attempts"].as_u64()),
        (Some("0-1"), Some(3)),
        "{letter}"
    );
    assert_eq!((letter["reason"].as_str(), letter["replayed"].as_bool()), (Some("not yet"), Some(false)));
    assert_eq!(letter["event"]["order_id"].as_str().unwrap(), order.to_string(), "the event is unchanged");

    repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    let id = letter["id"].as_str().unwrap();
    assert_eq!(group.post(&format!("/dead-letters/{id}/replay")).await, 200);
    handler.until_called("0-1", 4).await;
    assert_eq!(handler.calls_for("0-1")[3].attempt, 1, "a replayed event has all its tries");
    let letters = group.get("/dead-letters").await["dead_letters"].clone();
    assert_eq!((letters.as_array().unwrap().len(), letters[0]["replayed"].as_bool()), (1, Some(true)));
    assert_eq!(group.post("/dead-letters/0-99999/replay").await, 404);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_succeed_is_a_dead_letter_at_once() {
    let bench = bench().await;
    let handler =
        Planned::new(
            |event, _| {
                if event.id == "0-1" { Err(Failure::Poison("no such thing".into())) } else { Ok(()) }
            },
        );
    let group = start(&bench, settings(60_000, 60_000), &handler).await;
    let order = support::order();
    bench.write(ORDER_EVENTS.name, None, "k", b"{nonsense", &[("ce_id", "0-0".into())]).await;
    publish(&bench, "0-1", order, Created).await;
    publish(&bench, "0-2", order, PaymentRequested).await;
    handler.until_called("0-2", 1).await;
    until("both are dead letters", async || {
        group.get("/dead-letters").await["dead_letters"].as_array().unwrap().len() == 2
    })
    .await;
    let letters = group.get("/dead-letters").await["dead_letters"].clone();
    let letter = |id: &str| letters.as_array().unwrap().iter().find(|l| l["event_id"] == id).unwrap().clone();
    let (undecodable, poison) = (letter("0-0"), letter("0-1"));
    assert_eq!(
        (undecodable["attempts"].as_u64(), undecodable["event"].as_str()),
        (Some(0), Some("{nonsense"))
    );
    assert!(undecodable["reason"].as_str().unwrap().contains("header"), "{undecodable}");
    assert_eq!((poison["attempts"].as_u64(), poison["reason"].as_str()), (Some(1), Some("no such thing")));
    assert_eq!(handler.ids(), ["0-1", "0-2"]);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_dependency_uses_up_no_try() {
    let bench = bench().await;
    let handler = Planned::new(|_, before| match before {
        0..5 => Err(Failure::Unavailable("the database is down".into())),
        _ => Ok(()),
    });
    let group = start(&bench, settings(60_000, 60_000), &handler).await;
    publish(&bench, "0-1", support::order(), Created).await;
    handler.until_called("0-1", 6).await;
    assert!(handler.calls().iter().all(|call| call.attempt == 1));
    group.stop().await;
}

/// Covers a restart while an order waits, and a crash: the test writes the record that a crashed process leaves in the
/// retry topic, and commits nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_group_knows_which_orders_are_deferred() {
    let bench = bench().await;
    let failing = Planned::new(|event, _| if event.id == "0-1" { Err(retriable()) } else { Ok(()) });
    let group = start(&bench, settings(6000, 60_000), &failing).await;
    let (order, probe) = (support::order(), support::order());
    publish(&bench, "0-1", order, Created).await;
    failing.until_called("0-1", 1).await;
    publish(&bench, "0-2", order, PaymentRequested).await;
    publish(&bench, "0-9", probe, Created).await;
    failing.until_called("0-9", 1).await;
    group.stop().await;
    assert_eq!(failing.calls_for("0-2").len(), 0, "the event waits");

    publish(&bench, "0-3", order, PaymentCompleted).await;
    let working = Planned::new(|_, _| Ok(()));
    let group = start(&bench, settings(6000, 60_000), &working).await;
    working.until_called("0-3", 1).await;
    let order_events: Vec<_> = working.ids().into_iter().filter(|id| id != "0-9").collect();
    assert_eq!(order_events, ["0-1", "0-2", "0-3"]);
    assert_eq!(working.calls_for("0-1")[0].attempt, 2, "the first try is counted");
    group.stop().await;

    let sale = SaleId::parse("s").unwrap();
    let event = support::event(order, &sale, Preparing, walltime::now());
    let key = order.to_string();
    let mut headers: Vec<(&str, String)> =
        contract::event::headers("0-4", "order.preparing", &key, event.time).to_vec();
    let due = Timestamp(walltime::now().0 + 3000).to_string();
    headers.extend([("attempts", "2".into()), ("not-before", due), ("reason", "not yet".into())]);
    let value = wire::encode(&event);
    // A record in the source topic shows which partition the order's events have.
    let partition = bench.write(ORDER_EVENTS.name, None, &key, b"{}", &[]).await;
    bench.write(GROUP.retry.name, Some(partition), &key, &value, &headers).await;
    publish(&bench, "0-5", order, OrderStatus::Shipped).await;
    let working = Planned::new(|_, _| Ok(()));
    let group = start(&bench, settings(6000, 60_000), &working).await;
    working.until_called("0-5", 1).await;
    assert_eq!(working.ids(), ["0-4", "0-5"]);
    assert_eq!(working.calls_for("0-4")[0].attempt, 3);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_the_partitions_and_take_over_those_of_a_member_that_leaves() {
    const EVENTS: usize = 400;
    let bench = bench().await;
    let first = Planned::new(|_, _| Ok(()));
    let second = Planned::new(|_, _| Ok(()));
    let one = start(&bench, settings(50, 100), &first).await;
    let two = start(&bench, settings(50, 100), &second).await;
    for n in 0..EVENTS / 2 {
        publish(&bench, &format!("0-{n}"), support::order(), Created).await;
    }
    until("both members have events", async || !first.calls().is_empty() && !second.calls().is_empty()).await;
    two.stop().await;
    for n in EVENTS / 2..EVENTS {
        publish(&bench, &format!("0-{n}"), support::order(), Created).await;
    }
    let seen =
        || -> std::collections::BTreeSet<String> { first.ids().into_iter().chain(second.ids()).collect() };
    until("every event is handled", async || seen().len() == EVENTS).await;
    let calls = first.calls().len() + second.calls().len();
    assert_eq!(calls, EVENTS, "no member crashed, so no event is handled twice");

    let lags = async || {
        let text = one.metrics().await;
        text.lines()
            .filter(|line| {
                line.starts_with("consumer_lag_records{") && line.contains(&bench.services.topic_prefix)
            })
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    until("the lag of all eight partitions is 0", async || {
        let lags = lags().await;
        lags.len() >= 8 && lags.iter().all(|line| line.ends_with(" 0"))
    })
    .await;
    one.stop().await;
}

/// Simulates a consumer that has lost its brokers permanently: other clients get responses, it reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stops_reading_is_replaced_and_every_event_is_handled_once_in_order() {
    let handler = Planned::new(
        |event, before| if event.id == "0-2" && before == 0 { Err(retriable()) } else { Ok(()) },
    );
    let mock = MockGroup::start(&handler);
    let order = support::order();
    publish(&mock.bench, "0-1", order, Created).await;
    handler.until_called("0-1", 1).await;
    let before = MockGroup::replacements();
    mock.fail(RDKafkaApiKey::Fetch, RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    publish(&mock.bench, "0-2", order, PaymentRequested).await;
    publish(&mock.bench, "0-3", order, PaymentCompleted).await;
    until("the consumer is replaced", async || MockGroup::replacements() > before).await;
    mock.cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    handler.until_called("0-3", 1).await;
    assert_eq!(handler.ids(), ["0-1", "0-2", "0-2", "0-3"], "events that are done are not handled again");
    mock.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_cannot_join_its_group_is_replaced_while_kafka_responds_to_others() {
    let handler = Planned::new(|_, _| Ok(()));
    let (before, mock) = (MockGroup::replacements(), MockGroup::start(&handler));
    mock.fail(RDKafkaApiKey::JoinGroup, RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    publish(&mock.bench, "0-1", support::order(), Created).await;
    until("the consumer is replaced", async || MockGroup::replacements() > before).await;
    mock.cluster.clear_request_errors(RDKafkaApiKey::JoinGroup);
    handler.until_called("0-1", 1).await;
    mock.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_error_about_the_data_uses_up_tries_and_any_other_does_not() {
    let url = testkit::environment("DATABASE_URL");
    let failure = async |url: &str, sql: &str| {
        let pool = process::postgres::pool(url, 1, "test", "-c statement_timeout=50ms").unwrap();
        let query = async {
            pool.get().await?.simple_query(sql).await?;
            Ok::<_, process::postgres::DatabaseError>(())
        };
        Failure::from(query.await.unwrap_err())
    };
    assert!(matches!(failure(&url, "SELECT 1/0").await, Failure::Retriable(_)));
    assert!(matches!(failure(&url, "SELECT pg_sleep(5)").await, Failure::Unavailable(_)));
    assert!(matches!(failure(&url, "SELECT FROM not_there_yet").await, Failure::Unavailable(_)));
    let nowhere = format!("postgres://unused@{}/none", claim_address());
    assert!(matches!(failure(&nowhere, "SELECT 1").await, Failure::Unavailable(_)));
}
