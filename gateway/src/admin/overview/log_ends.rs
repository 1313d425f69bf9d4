//! Where the log ends, by one question for all partitions. By a client of its own, whose connection orders do not
//! wait on, and which is made when an operator looks for the first time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use metrics::counter;
use process::kafka::{self, LogContext, STALL_MAX};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

/// Why the ends are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    /// The client says why.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// An earlier question has no answer yet.
    #[error("no answer yet to the question before")]
    Busy,
    /// The process ends.
    #[error("the gateway is stopping")]
    Stopping,
}

type Ends = BTreeMap<i32, i64>;

/// Asks.
pub(super) struct LogEnds {
    brokers: String,
    name: String,
    topic: String,
    client: Arc<Mutex<Option<Client>>>,
}

struct Client {
    consumer: BaseConsumer<LogContext>,
    heard: Instant,
}

impl LogEnds {
    pub(super) fn new(name: &str, brokers: &str, topic: String) -> Self {
        let name = format!("{name}-overview");
        Self { brokers: brokers.into(), name, topic, client: Arc::default() }
    }

    /// The next offset that the log will give in each of these partitions, asked for now.
    pub(super) async fn of(&self, partitions: Vec<i32>, limit: Duration) -> Result<Ends, Unknown> {
        let mut config = kafka::client(&self.brokers, &self.name);
        config.set("group.id", "none").set("socket.timeout.ms", "2000"); // the group is never joined
        let (client, topic) = (self.client.clone(), self.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let mut client = match client.try_lock() {
                Ok(client) => client,
                Err(TryLockError::Poisoned(client)) => client.into_inner(),
                Err(TryLockError::WouldBlock) => return Err(Unknown::Busy),
            };
            let known = match client.take() {
                Some(known) => known,
                None => Client::start(&config)?,
            };
            let known = client.insert(known);
            let ends = known.ends(&topic, &partitions, limit);
            match &ends {
                Ok(_) => known.heard = Instant::now(),
                // It may have lost its brokers for good: the next question takes a new one.
                Err(_) if known.heard.elapsed() >= STALL_MAX => {
                    *client = None;
                    counter!("kafka_clients_replaced_total", "client" => "overview").increment(1);
                }
                Err(_) => {}
            }
            Ok(ends?)
        });
        asked.await.unwrap_or(Err(Unknown::Stopping))
    }
}

impl Client {
    fn start(config: &rdkafka::ClientConfig) -> Result<Self, KafkaError> {
        let consumer = BaseConsumer::from_config_and_context(config, LogContext)?;
        Ok(Self { consumer, heard: Instant::now() })
    }

    fn ends(&self, topic: &str, partitions: &[i32], limit: Duration) -> Result<Ends, KafkaError> {
        let mut wanted = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            // The "time" of the end: one request to each broker for all of its partitions.
            wanted.add_partition_offset(topic, *partition, Offset::End)?;
        }
        let told = self.consumer.offsets_for_times(wanted, limit)?;
        let end = |told: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            told.error()?;
            Ok(told.offset().to_raw().filter(|end| *end >= 0).map(|end| (told.partition(), end)))
        };
        told.elements().iter().filter_map(|told| end(told).transpose()).collect()
    }
}
