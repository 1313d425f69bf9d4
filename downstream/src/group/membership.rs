//! The consumer's place in its group: what it was given, what it gives back, and how far behind it is.
//!
//! A partition is given back only when what was begun in it is done (for a limited time) and its positions
//! are committed, so that the next owner does nothing twice without need.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::gauge;
use process::health::Health;
use process::kafka::LogContext;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, statistics};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::partition_worker::SharedPositions;

/// What was begun in a partition has so long to end before it is given back.
const FINISH: Duration = Duration::from_secs(5);

/// The two topics that a group reads.
#[derive(Debug, Clone)]
pub struct GroupTopics {
    /// The group's name in metrics.
    pub group: &'static str,
    /// `order-events`.
    pub source: String,
    /// `<group>.retry`.
    pub retry: String,
}

impl GroupTopics {
    /// Either of them.
    pub fn name(&self, retry: bool) -> &str {
        if retry { &self.retry } else { &self.source }
    }

    /// Positions for the client.
    pub fn list(&self, positions: &BTreeMap<(bool, i32), i64>) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for ((retry, partition), offset) in positions {
            list.add_partition_offset(self.name(*retry), *partition, Offset::Offset(*offset))?;
        }
        Ok(list)
    }
}

/// Partitions at work.
pub struct AssignedWork {
    /// Up to where everything is done.
    pub positions: SharedPositions,
    /// Its tasks, all of them.
    pub tasks: TaskTracker,
    /// … and how to end them by force.
    pub aborts: Vec<AbortHandle>,
    /// Asks them to end.
    pub stop: CancellationToken,
}

impl AssignedWork {
    /// Lets what was begun come to its end. Blocks.
    pub fn finish(&self, runtime: &Handle) {
        self.stop.cancel();
        self.tasks.close();
        runtime.block_on(process::shutdown::finish("events being handled", FINISH, self.tasks.wait()));
        self.aborts.iter().for_each(AbortHandle::abort);
    }
}

#[derive(Default)]
struct State {
    /// Given and not begun.
    assigned: Option<Vec<i32>>,
    work: Option<AssignedWork>,
    /// Lags that were told.
    told: BTreeMap<(bool, i32), f64>,
}

/// The consumer's context.
pub struct Membership {
    topics: GroupTopics,
    health: Health,
    runtime: Handle,
    state: Mutex<State>,
}

impl Membership {
    /// Of a consumer that has not joined yet.
    pub fn new(topics: GroupTopics, health: Health, runtime: Handle) -> Self {
        Self { topics, health, runtime, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // each use is one step
    }

    /// Partitions that were given since the last call.
    pub fn take_assigned(&self) -> Option<Vec<i32>> {
        self.state().assigned.take()
    }

    /// They could not be begun: next time.
    pub fn put_back(&self, partitions: Vec<i32>) {
        self.state().assigned.get_or_insert(partitions);
    }

    /// They are at work.
    pub fn begun(&self, work: AssignedWork) {
        self.state().work = Some(work);
    }

    /// Whether anything is: what the group gave, be it nothing.
    pub fn has_begun(&self) -> bool {
        self.state().work.is_some()
    }

    /// Up to where everything is done.
    pub fn positions(&self) -> BTreeMap<(bool, i32), i64> {
        match &self.state().work {
            Some(work) => work.positions.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => BTreeMap::new(),
        }
    }

    /// Ends what is at work, and commits how far it came. Blocks.
    pub fn end(&self, consumer: &BaseConsumer<Self>) {
        let work = self.state().work.take();
        let Some(work) = work else { return };
        work.finish(&self.runtime);
        let positions = work.positions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let committed = self.topics.list(&positions).and_then(|list| match list.count() {
            0 => Ok(()),
            _ => consumer.commit(&list, CommitMode::Sync),
        });
        if let Err(error) = committed {
            tracing::warn!(%error, "the last positions were not committed: some events come again");
        }
    }

    fn tell_lag(&self, topics: &std::collections::HashMap<String, statistics::Topic>) {
        let positions = self.positions();
        let mut state = self.state();
        for lag in state.told.values_mut() {
            *lag = 0.0; // of whoever owns it now
        }
        for ((retry, partition), position) in positions {
            let told = topics.get(self.topics.name(retry)).and_then(|topic| topic.partitions.get(&partition));
            if let Some(end) = told.map(|partition| partition.hi_offset).filter(|end| *end >= 0) {
                state.told.insert((retry, partition), (end - position).max(0) as f64);
            }
        }
        for ((retry, partition), lag) in &state.told {
            let (topic, partition) = (self.topics.name(*retry).to_string(), partition.to_string());
            gauge!("consumer_lag_records", "group" => self.topics.group, "topic" => topic, "partition" => partition)
                .set(*lag);
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        LogContext.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        LogContext.error(error, reason);
    }
    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.health.mark_up("kafka");
        } else {
            self.health.mark_down("kafka", "no broker is connected");
        }
        self.tell_lag(&statistics.topics);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Where to begin is not known yet, so nothing is fetched.
            let elements = list.elements();
            let mut partitions: Vec<i32> = elements
                .iter()
                .filter(|element| element.topic() == self.topics.source)
                .map(|element| element.partition())
                .collect();
            partitions.sort_unstable();
            let retried = elements.len() - partitions.len();
            if retried != partitions.len() {
                tracing::error!(retried, ?partitions, "the group's two topics were not given alike");
            }
            self.state().assigned = Some(partitions);
            consumer.assign(&TopicPartitionList::new())
        } else {
            self.end(consumer);
            self.state().assigned = None;
            consumer.unassign()
        };
        if let Err(error) = done {
            tracing::warn!(%error, ?code, "the consumer did not follow its group");
        }
    }
}
