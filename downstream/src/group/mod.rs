//! A consumer group on the topic `order-events`: every event is delivered to a [`Handler`] at least once. The events
//! of one order are handled one after another, those of different orders concurrently. A position is committed when
//! everything before it is done.
//!
//! An event is tried [`TRIES`] times. Between the tries it waits in the topic `<group>.retry`. Later events of its
//! order are published behind it there, so that none overtakes it; other orders continue. After the last try, or at
//! once if a retry cannot help, the event goes to `<group>.dead-letter`, from where an operator can replay it.
//! Partition n of both topics holds the events of partition n of the source, and the same member of the group
//! consumes all three. A member that takes over partition n reads `<group>.retry` back from its committed position
//! before it processes the source, and so knows which orders are deferred.
//!
//! | module               | what it does                                                              |
//! |----------------------|---------------------------------------------------------------------------|
//! | [`settings`]         | every setting of a group                                                  |
//! | [`envelope`]         | an event with its retry history, as the topics hold it                    |
//! | [`order_event`]      | an event as a handler receives it                                         |
//! | [`consumer`], [`membership`] | the consumer thread, and its membership in the group              |
//! | [`liveness`]         | detects a consumer that has stopped reading                               |
//! | [`partition_worker`] | processes a partition                                                     |
//! | [`order_scheduler`]  | decides which event is next, without I/O                                  |
//! | [`offsets`]          | tracks what is done, and the position to commit                           |
//! | [`dispatch`]         | calls the handler, and publishes to the two topics                        |
//! | [`dead_letters`]     | lists and replays dead letters                                            |

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
use process::postgres::{DatabaseError, ErrorClass, PoolError};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use crate::host::{Host, ListenError};
use crate::tls::TlsError;
use dead_letters::DeadLetterApi;

pub use order_event::ReceivedEvent;
pub use settings::GroupSettings;

/// The number of tries before an event becomes a dead letter.
pub const TRIES: u32 = 3;
/// The number of partitions of a group's topics: that of the source.
const PARTITIONS: Option<i32> = ORDER_EVENTS.partitions;
/// The producer of a group's two topics. They get few messages, and those of one order are published one by one.
pub const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 1.0, timeout_ms: 5000, queue_messages_max: 100_000 };

/// The time limit for messages in flight at shutdown.
const FLUSH: Duration = Duration::from_secs(1);

/// A consumer group and its own topics.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The group's name without the topic prefix.
    pub name: &'static str,
    /// The topic of events that wait for a retry. It has the retention of the source.
    pub retry: Topic,
    /// The topic of events that are retried only if an operator replays them. Its records are kept forever.
    pub dead_letters: Topic,
}

impl Group {
    /// Creates a group. `retry` and `dead_letters` must be `<name>.retry` and `<name>.dead-letter`.
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

/// The reason why an event was not handled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A retry may succeed. The event has used up one of its tries.
    #[error("{0}")]
    Retriable(String),
    /// No retry can succeed. The event becomes a dead letter at once.
    #[error("{0}")]
    Poison(String),
    /// A dependency of the process (its database) is unavailable, which is not the event's fault. The call is repeated
    /// in place until the dependency is back, and no try is used up.
    #[error("{0}")]
    Unavailable(String),
}

impl From<DatabaseError> for Failure {
    /// A database that is down, overloaded or not migrated is not the event's fault. An error about the data, or a row
    /// that cannot be decoded, would be the same each time.
    fn from(error: DatabaseError) -> Self {
        let is_about_data = match &error {
            DatabaseError::Pool(_) => false,
            DatabaseError::Postgres(error) => matches!(
                ErrorClass::classify(error),
                ErrorClass::InvalidValue | ErrorClass::ConstraintViolation
            ),
            DatabaseError::Invalid(_) => true,
        };
        if is_about_data { Self::Retriable(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

/// The work that a group does for each event. An event may be delivered more than once (with the same id), also after
/// later events of its order: a crash can fall between the work and its commit.
pub trait Handler: Send + Sync + 'static {
    /// Waits for the handler's dependencies before the first event. Returns `None` if the host stops first.
    fn prepare(&self, _host: &Host) -> impl Future<Output = Option<()>> + Send {
        async { Some(()) }
    }

    /// Handles an event. A call that exceeds [`dispatch::HANDLE_MAX`] is aborted and counts as failed.
    fn handle(&self, event: &ReceivedEvent) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The reason why a group cannot run at all.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The settings of the database pool are invalid.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The settings of the producer are invalid.
    #[error("cannot create the Kafka producer")]
    Producer(#[from] KafkaError),
    /// The consumer's thread cannot be started.
    #[error("cannot start the consumer's thread")]
    Thread(#[from] io::Error),
    /// The consumer's thread has panicked, which is a bug: no event is handled any more.
    #[error("the consumer's thread panicked")]
    Panicked,
}

/// Runs a group until the host stops. It starts its listener first, whose health check shows what the group waits
/// for, then prepares the handler, then creates the group's topics, then consumes.
pub async fn run<H: Handler>(
    host: &Host,
    group: Group,
    settings: &GroupSettings,
    listen: SocketAddr,
    handler: H,
) -> Result<(), GroupError> {
    let producer = Producer::start(&host.services.kafka_brokers, group.name, &PRODUCER)?;
    DeadLetterApi::new(&host.services, group, producer.clone()).serve(host, listen).await?;
    let own_topics = [group.retry, group.dead_letters];
    let prepared = async {
        handler.prepare(host).await?;
        create_topics(host, &own_topics, settings.kafka_replication_factor).await
    };
    if prepared.await.is_some() {
        let dispatcher =
            Arc::new(dispatch::Dispatcher::new(host, group, settings, handler, producer.clone()));
        let (host, runtime) = (host.clone(), Handle::current());
        run_consumer_thread(move || consumer::consume(&host, group, &dispatcher, &runtime)).await?;
    }
    let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH)).await;
    if let Ok(Err(error)) = flushed {
        tracing::warn!(%error, "cannot flush the last messages");
    }
    Ok(())
}

/// Runs a consumer on a thread of its own. The thread ends after the host stops: running handlers have a time limit.
pub async fn run_consumer_thread(work: impl FnOnce() + Send + 'static) -> Result<(), GroupError> {
    let runtime = Handle::current();
    let work = move || {
        let _entered = runtime.enter(); // connections that the work owns are closed on this thread
        work();
    };
    let thread = std::thread::Builder::new().name("consumer".into()).spawn(work)?;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await;
    if matches!(ended, Ok(Ok(()))) { Ok(()) } else { Err(GroupError::Panicked) }
}

/// Waits for the source topic, which settlement creates, and creates the group's own topics. Returns `None` if the
/// host stops first.
pub async fn create_topics(host: &Host, own: &[Topic], replication: i32) -> Option<()> {
    host.health.declare("topics", true);
    let attempt = || async {
        let result = async {
            consumer::source_partitions(&host.services).await?;
            ensure(&host.services, own, ORDER_EVENTS.partitions.unwrap_or(1), replication).await
        };
        let result = result.await;
        host.health.report("topics", &result);
        result
    };
    retry("creating the topics", &host.stop, attempt).await
}
