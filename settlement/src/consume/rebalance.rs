//! The rebalance callback of the consumer group. It records what happened for the consumer's loop. It
//! acknowledges an assignment without fetching anything: the offsets to fetch from are not known yet.

use parking_lot::Mutex;
use process::kafka::LogContext;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

/// A change of ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebalance {
    /// This process owns exactly these partitions.
    Assigned(Vec<i32>),
    /// This process owns no partition.
    Revoked,
}

/// The context of the consumer: queues its rebalances.
#[derive(Default)]
pub struct RebalanceQueue(Mutex<Vec<Rebalance>>);

impl RebalanceQueue {
    /// Returns and removes all rebalances since the last call, in order.
    pub fn drain(&self) -> Vec<Rebalance> {
        std::mem::take(&mut self.0.lock())
    }
}

impl ClientContext for RebalanceQueue {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        LogContext.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        LogContext.error(error, reason);
    }
}

impl ConsumerContext for RebalanceQueue {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let (rebalance, result) = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let mut partitions: Vec<i32> =
                list.elements().iter().map(|element| element.partition()).collect();
            partitions.sort_unstable();
            (Rebalance::Assigned(partitions), consumer.assign(&TopicPartitionList::new()))
        } else {
            (Rebalance::Revoked, consumer.unassign())
        };
        if let Err(error) = result {
            tracing::warn!(%error, ?rebalance, "the consumer could not apply a rebalance");
        }
        self.0.lock().push(rebalance);
    }
}
