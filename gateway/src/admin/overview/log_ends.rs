//! The end offsets of the log, read with one request for all partitions. The requests use a client of their own, so
//! that orders do not wait on its connection. It is created when an operator requests the first overview.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use process::kafka::{self, CLIENTS_REPLACED, LogContext, Watchdog, WatchdogLimits};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

/// The reason why the end offsets are unknown.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndsError {
    /// The Kafka client returned an error.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// An earlier request is still in progress.
    #[error("the previous request has not been answered yet")]
    Busy,
    /// The process is shutting down.
    #[error("the gateway is stopping")]
    Stopping,
}

type Ends = BTreeMap<i32, i64>;

/// Reads the end offsets.
pub(super) struct LogEnds {
    brokers: String,
    name: String,
    topic: String,
    client: Arc<Mutex<Option<Client>>>,
}

struct Client {
    consumer: BaseConsumer<LogContext>,
    watchdog: Watchdog<i32>,
}

impl LogEnds {
    pub(super) fn new(name: &str, brokers: &str, topic: String) -> Self {
        let name = format!("{name}-overview");
        Self { brokers: brokers.into(), name, topic, client: Arc::default() }
    }

    /// Reads the next offset that the log will assign in each of these partitions.
    pub(super) async fn fetch(&self, partitions: Vec<i32>, limit: Duration) -> Result<Ends, EndsError> {
        let mut config = kafka::client(&self.brokers, &self.name);
        config.set("group.id", "none").set("socket.timeout.ms", "2000"); // the group is never joined
        let (client, topic) = (self.client.clone(), self.topic.clone());
        let request = tokio::task::spawn_blocking(move || {
            let mut client = client.try_lock().ok_or(EndsError::Busy)?;
            let reader = match client.take() {
                Some(reader) => reader,
                None => Client::start(&config)?,
            };
            let reader = client.insert(reader);
            let ends = reader.ends(&topic, &partitions, limit);
            // The client may have lost its brokers permanently; the next request creates a new one.
            if let Err(failure) = reader.watchdog.judge([], ends.is_ok(), Instant::now()) {
                *client = None;
                failure.report_replacement(&CLIENTS_REPLACED.with(["overview"]));
            }
            Ok(ends?)
        });
        request.await.unwrap_or(Err(EndsError::Stopping))
    }
}

impl Client {
    fn start(config: &rdkafka::ClientConfig) -> Result<Self, KafkaError> {
        let consumer = BaseConsumer::from_config_and_context(config, LogContext)?;
        Ok(Self { consumer, watchdog: Watchdog::new(WatchdogLimits::REQUESTS, Instant::now()) })
    }

    fn ends(&self, topic: &str, partitions: &[i32], limit: Duration) -> Result<Ends, KafkaError> {
        let mut wanted = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            // The special timestamp of the end: one request to each broker covers all of its partitions.
            wanted.add_partition_offset(topic, *partition, Offset::End)?;
        }
        let offsets = self.consumer.offsets_for_times(wanted, limit)?;
        let end = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            element.error()?;
            Ok(element.offset().to_raw().filter(|end| *end >= 0).map(|end| (element.partition(), end)))
        };
        offsets.elements().iter().filter_map(|element| end(element).transpose()).collect()
    }
}
