//! A consumer group on the topic `order-events`: every event reaches a [`Handler`] at least once, the
//! events of one order one after another, those of different orders side by side. A position is
//! committed when everything before it is done.
//!
//! What fails is tried [`TRIES`] times in all. Between the tries it waits in the topic `<group>.retry`, and
//! later events of its order line up behind it there, so that none overtakes it; other orders go on. After
//! the last try, or at once if no try can help, it goes to `<group>.dead-letter`, from where an operator can
//! have it tried anew. Partition n of both topics holds what came from partition n of the source, and the
//! same member of the group reads all three: whoever takes partition n over reads `<group>.retry` back
//! from its committed position before it touches the source, and so knows which orders wait.
//!
//! | module           | what it does                                                        |
//! |------------------|---------------------------------------------------------------------|
//! | [`settings`]     | every setting of a group                                            |
//! | [`envelope`]       | an event with what became of it so far, as the topics carry it      |
//! | [`order_event`]    | an event as a handler sees it                                       |
//! | [`consumer`], [`membership`] | the thread that reads, and its place in the group       |
//! | [`liveness`]        | whether the client that reads still does                            |
//! | [`partition_worker`]         | one partition: starts what may start, settles what has ended        |
//! | [`order_scheduler`]       | whose turn it is, decided without I/O                               |
//! | [`offsets`]      | what is done, and up to where everything is                         |
//! | [`dispatch`]        | one handler's call, and the ways into the two topics                |
//! | [`dead_letters`] | looking at dead letters, and trying one anew                        |

pub mod consumer;
pub mod dead_letters;
pub mod dispatch;
pub mod envelope;
pub mod liveness;
pub mod membership;
pub mod offsets;
pub mod order_event;
pub mod order_scheduler;
pub mod partition_worker;
pub mod settings;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contract::topics::{ORDER_EVENTS, Topic};
use process::backoff::retry;
use process::kafka::topics::ensure;
use process::kafka::{Producer, ProducerSettings};
use process::postgres::DatabaseError;
use tokio::runtime::Handle;

use crate::RunError;
use crate::host::Host;
use dead_letters::DeadLetterApi;

pub use order_event::ReceivedEvent;
pub use settings::GroupSettings;

/// How often an event is tried before it becomes a dead letter.
pub const TRIES: u32 = 3;
/// Partitions of a group's topics: as many as the source has.
const PARTITIONS: Option<i32> = ORDER_EVENTS.partitions;
/// For the two topics of a group: few messages, one after another where they belong to one order.
pub const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 1.0, timeout_ms: 5000, queue_messages_max: 100_000 };

/// At shutdown, for messages that are on their way.
const FLUSH: Duration = Duration::from_secs(1);

/// A group and the topics that are its own.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Its name, before a prefix.
    pub name: &'static str,
    /// What waits to be tried again. Kept as long as the source is.
    pub retry: Topic,
    /// What is not tried again unless an operator says so. Kept until he does.
    pub dead_letters: Topic,
}

impl Group {
    /// `retry` and `dead_letters`: `<name>.retry` and `<name>.dead-letter`.
    pub const fn new(name: &'static str, retry: &'static str, dead_letters: &'static str) -> Self {
        Self {
            name,
            retry: Topic {
                name: retry,
                partitions: PARTITIONS,
                settings: &[("cleanup.policy", "delete"), ("retention.ms", "604800000")],
            },
            dead_letters: Topic {
                name: dead_letters,
                partitions: PARTITIONS,
                settings: &[("cleanup.policy", "delete"), ("retention.ms", "-1")],
            },
        }
    }
}

/// Why an event was not handled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It may work later: one of the event's tries is used up.
    #[error("{0}")]
    Retriable(String),
    /// It will never work: the event becomes a dead letter at once.
    #[error("{0}")]
    Poison(String),
    /// What this process itself cannot work without (its database) is away: no event is to blame. It is
    /// tried again in place for as long as that lasts, and no try is used up.
    #[error("{0}")]
    Unavailable(String),
}

impl From<DatabaseError> for Failure {
    /// A database that is away, too busy or not set up is no event's fault. What it says of the data (SQLSTATE
    /// classes 22 and 23), and a row that cannot be understood, would be said again for ever.
    fn from(error: DatabaseError) -> Self {
        let of_the_data = match &error {
            DatabaseError::Pool(_) => false,
            DatabaseError::Postgres(error) => error
                .code()
                .is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23")),
            DatabaseError::Invalid(_) => true,
        };
        if of_the_data { Self::Retriable(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

/// What a group does with an event. It may come more than once (its id tells), also after later ones of
/// its order: a crash falls between the work and the word of it.
pub trait Handler: Send + Sync + 'static {
    /// Waits for what it needs before the first event. `None`: stopped before.
    fn prepare(&self, _host: &Host) -> impl Future<Output = Option<()>> + Send {
        async { Some(()) }
    }

    /// Does it. Ends within [`dispatch::HANDLE_MAX`], or is given up and counts as failed.
    fn handle(&self, event: &ReceivedEvent) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why a group cannot run at all.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The settings of the producer.
    #[error("Kafka: {0}")]
    Producer(#[from] rdkafka::error::KafkaError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A fault of ours: nothing is followed any more.
    #[error("the consumer's thread ended by a panic")]
    Panicked,
}

/// Runs a group until the host stops: its listener first (it tells what is waited for), then whatever the
/// handler needs, then the group's topics, then the group.
pub async fn run<H: Handler>(
    host: &Host,
    group: Group,
    settings: &GroupSettings,
    listen: SocketAddr,
    handler: H,
) -> Result<(), RunError> {
    let producer =
        Producer::start(&host.services.kafka_brokers, group.name, &PRODUCER).map_err(GroupError::from)?;
    DeadLetterApi::new(&host.services, group, producer.clone()).serve(host, listen).await?;
    let own = [group.retry, group.dead_letters];
    let prepared = async {
        handler.prepare(host).await?;
        create_topics(host, &own, settings.kafka_replication_factor).await
    };
    if prepared.await.is_some() {
        let shared = Arc::new(dispatch::Dispatcher::new(host, group, settings, handler, producer.clone()));
        let (of_thread, runtime) = (host.clone(), Handle::current());
        run_consumer_thread(move || consumer::consume(&of_thread, group, &shared, &runtime)).await?;
    }
    let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH)).await;
    if let Ok(Err(error)) = flushed {
        tracing::warn!(%error, "messages were not flushed");
    }
    Ok(())
}

/// Consumes on a thread of its own. Ends by itself after the host's stop: what is being handled has a limit.
pub async fn run_consumer_thread(work: impl FnOnce() + Send + 'static) -> Result<(), GroupError> {
    let runtime = Handle::current();
    let work = move || {
        let _entered = runtime.enter(); // connections that the work owns are closed where it ends
        work();
    };
    let thread = std::thread::Builder::new().name("consumer".into()).spawn(work)?;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await;
    if matches!(ended, Ok(Ok(()))) { Ok(()) } else { Err(GroupError::Panicked) }
}

/// Waits for the source, which settlement makes, and makes what is the group's own. `None`: stopped before.
pub async fn create_topics(host: &Host, own: &[Topic], replication: i32) -> Option<()> {
    host.health.declare("topics", true);
    let prepared = || async {
        let result = async {
            consumer::source_partitions(&host.services).await?;
            ensure(&host.services, own, ORDER_EVENTS.partitions.unwrap_or(1), replication).await
        };
        let result = result.await;
        host.health.report("topics", &result);
        result
    };
    retry("creating the topics", &host.stop, prepared).await
}
