//! The consumer's membership in its group: assigned and revoked partitions, and the consumer lag.
//!
//! A partition is released only when its running tasks are finished (for a limited time) and its positions are
//! committed, so that the next owner repeats as little as possible.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
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

process::metrics! {
    static LAG_RECORDS: Gauge["group", "topic", "partition"] = "consumer_lag_records",
        "Records of the topic that the group has not processed yet.";
}

/// The time limit for running tasks before their partition is released.
const FINISH: Duration = Duration::from_secs(5);

/// The two topics that a group consumes.
#[derive(Debug, Clone)]
pub struct GroupTopics {
    /// The group's name in metrics.
    pub group: &'static str,
    /// The name of the topic `order-events`.
    pub source: String,
    /// The name of the topic `<group>.retry`.
    pub retry: String,
}

impl GroupTopics {
    /// Returns the name of the retry topic or of the source topic.
    pub fn name(&self, retry: bool) -> &str {
        if retry { &self.retry } else { &self.source }
    }

    /// Converts positions into the client's list.
    pub fn list(&self, positions: &BTreeMap<(bool, i32), i64>) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for ((retry, partition), offset) in positions {
            list.add_partition_offset(self.name(*retry), *partition, Offset::Offset(*offset))?;
        }
        Ok(list)
    }
}

/// The work on the assigned partitions.
pub struct AssignedWork {
    /// The positions up to which everything is done.
    pub positions: SharedPositions,
    /// All tasks of the partitions.
    pub tasks: TaskTracker,
    /// The handles that abort the tasks.
    pub aborts: Vec<AbortHandle>,
    /// Stops the tasks gracefully.
    pub stop: CancellationToken,
}

impl AssignedWork {
    /// Stops the tasks, and aborts those that exceed the time limit. Blocks the calling thread.
    pub fn finish(&self, runtime: &Handle) {
        self.stop.cancel();
        self.tasks.close();
        runtime.block_on(process::shutdown::finish("events being handled", FINISH, self.tasks.wait()));
        self.aborts.iter().for_each(AbortHandle::abort);
    }
}

#[derive(Default)]
struct MembershipState {
    /// The partitions that are assigned and not started.
    assigned: Option<Vec<i32>>,
    work: Option<AssignedWork>,
    /// The lags that were reported.
    reported_lags: BTreeMap<(bool, i32), f64>,
}

/// The context of the Kafka client.
pub struct Membership {
    topics: GroupTopics,
    health: Health,
    runtime: Handle,
    state: Mutex<MembershipState>,
}

impl Membership {
    /// Creates the context of a consumer that has not joined its group yet.
    pub fn new(topics: GroupTopics, health: Health, runtime: Handle) -> Self {
        Self { topics, health, runtime, state: Mutex::default() }
    }

    /// Takes the partitions that were assigned since the last call.
    pub fn take_assigned(&self) -> Option<Vec<i32>> {
        self.state.lock().assigned.take()
    }

    /// Restores partitions that could not be started, for the next try.
    pub fn restore_assigned(&self, partitions: Vec<i32>) {
        self.state.lock().assigned.get_or_insert(partitions);
    }

    /// Stores the work on the assigned partitions.
    pub fn set_work(&self, work: AssignedWork) {
        self.state.lock().work = Some(work);
    }

    /// Returns whether the assignment, which may be empty, is started.
    pub fn is_working(&self) -> bool {
        self.state.lock().work.is_some()
    }

    /// Returns the positions up to which everything is done.
    pub fn positions(&self) -> BTreeMap<(bool, i32), i64> {
        match &self.state.lock().work {
            Some(work) => work.positions.lock().clone(),
            None => BTreeMap::new(),
        }
    }

    /// Finishes the work and commits its positions. Blocks the calling thread.
    pub fn finish_work(&self, consumer: &BaseConsumer<Self>) {
        let work = self.state.lock().work.take();
        let Some(work) = work else { return };
        work.finish(&self.runtime);
        let positions = work.positions.lock().clone();
        let committed = self.topics.list(&positions).and_then(|list| match list.count() {
            0 => Ok(()),
            _ => consumer.commit(&list, CommitMode::Sync),
        });
        if let Err(error) = committed {
            tracing::warn!(%error, "cannot commit the last positions, so some events will be redelivered");
        }
    }

    fn report_lag(&self, topics: &HashMap<String, statistics::Topic>) {
        let positions = self.positions();
        let mut state = self.state.lock();
        for lag in state.reported_lags.values_mut() {
            *lag = 0.0; // a partition that was revoked is reported by its new owner
        }
        for ((retry, partition), position) in positions {
            let topic = topics.get(self.topics.name(retry));
            let end = topic.and_then(|topic| topic.partitions.get(&partition)).map(|known| known.hi_offset);
            if let Some(end) = end.filter(|end| *end >= 0) {
                state.reported_lags.insert((retry, partition), (end - position).max(0) as f64);
            }
        }
        for ((retry, partition), lag) in &state.reported_lags {
            let (topic, partition) = (self.topics.name(*retry).to_string(), partition.to_string());
            LAG_RECORDS.with([self.topics.group.to_string(), topic, partition]).set(*lag);
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
        self.report_lag(&statistics.topics);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let result = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // The start positions are not known yet, so nothing is fetched.
            let elements = list.elements();
            let mut partitions: Vec<i32> = elements
                .iter()
                .filter(|element| element.topic() == self.topics.source)
                .map(|element| element.partition())
                .collect();
            partitions.sort_unstable();
            let retry_partitions = elements.len() - partitions.len();
            if retry_partitions != partitions.len() {
                tracing::error!(retry_partitions, ?partitions, "assignments of the two topics differ");
            }
            self.state.lock().assigned = Some(partitions);
            consumer.assign(&TopicPartitionList::new())
        } else {
            self.finish_work(consumer);
            self.state.lock().assigned = None;
            consumer.unassign()
        };
        if let Err(error) = result {
            tracing::warn!(%error, ?code, "consumer did not follow the rebalance");
        }
    }
}
