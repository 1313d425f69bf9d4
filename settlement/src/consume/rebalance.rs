//! What the consumer group says, kept for the consumer's loop. An assignment is acknowledged with
//! nothing to fetch: the offsets to fetch from are not known yet.

use std::sync::{Mutex, PoisonError};

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
    /// These partitions, and no others, are ours.
    Assigned(Vec<i32>),
    /// None is.
    Revoked,
}

/// The consumer's context.
#[derive(Default)]
pub struct Rebalances(Mutex<Vec<Rebalance>>);

impl Rebalances {
    /// What has happened since the last call, in order.
    pub fn take(&self) -> Vec<Rebalance> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        LogContext.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        LogContext.error(error, reason);
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let (rebalance, done) = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let mut partitions: Vec<i32> =
                list.elements().iter().map(|element| element.partition()).collect();
            partitions.sort_unstable();
            (Rebalance::Assigned(partitions), consumer.assign(&TopicPartitionList::new()))
        } else {
            (Rebalance::Revoked, consumer.unassign())
        };
        if let Err(error) = done {
            tracing::warn!(%error, ?rebalance, "the consumer did not follow its group");
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rebalance);
    }
}
