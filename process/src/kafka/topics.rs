//! Creation of the topics with explicit partitions and settings. It is idempotent.

use std::time::{Duration, Instant};

use contract::topics::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::settings::Services;

/// The number of replicas of a topic if there are enough brokers.
const REPLICAS: i32 = 3;
/// The timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The interval at which the metadata of new topics is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The error of a topic that could not be created as defined.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The request to the brokers failed.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The brokers refused to create the topic.
    #[error("cannot create the topic {0}: {1}")]
    Refused(String, RDKafkaErrorCode),
    /// The topic exists with another number of partitions.
    #[error("the topic {topic} has {found} partitions, not {expected}")]
    OtherPartitions {
        /// The topic that differs.
        topic: String,
        /// The number of partitions that it has.
        found: i32,
        /// The number of partitions that it must have.
        expected: i32,
    },
}

/// Creates the missing topics. `services` has the brokers and the prefix of names; `orders_partitions` is the number
/// of partitions of topics without a fixed number. A `replication` of 0 selects 3 replicas, or as many as there are
/// brokers.
pub async fn ensure(
    services: &Services,
    topics: &[Topic],
    orders_partitions: i32,
    replication: i32,
) -> Result<(), TopicError> {
    let admin =
        AdminClient::<DefaultClientContext>::from_config(&super::client(&services.kafka_brokers, "topics"))?;
    let brokers_alive =
        tokio::task::block_in_place(|| admin.inner().fetch_metadata(None, TIMEOUT))?.brokers().len();
    let replicas = if replication > 0 { replication } else { REPLICAS.min(brokers_alive as i32) };
    let in_sync = if replicas >= 3 { "2" } else { "1" };

    let names: Vec<String> = topics.iter().map(|topic| services.topic(topic.name)).collect();
    let new: Vec<_> = topics
        .iter()
        .zip(&names)
        .map(|(topic, name)| {
            let partitions = topic.partitions.unwrap_or(orders_partitions);
            let base = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
            let base = base.set("min.insync.replicas", in_sync);
            topic.settings.iter().fold(base, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    for result in admin.create_topics(&new, &options).await? {
        match result {
            Ok(name) => tracing::info!(topic = name, replicas, "created the topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(TopicError::Refused(name, code)),
        }
    }
    for (topic, name) in topics.iter().zip(names) {
        let found = partitions_led(&admin, &name).await?;
        let expected = topic.partitions.unwrap_or(orders_partitions);
        if found != 0 && found != expected {
            return Err(TopicError::OtherPartitions { topic: name, found, expected });
        }
    }
    Ok(())
}

/// Returns the number of partitions of a topic once all of them have a leader: a consumer that joins its group before
/// treats the topic as missing and refreshes its metadata only after half a minute. It waits no longer than the
/// timeout of one request.
async fn partitions_led(admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<i32, KafkaError> {
    let begun = Instant::now();
    loop {
        let metadata = tokio::task::block_in_place(|| admin.inner().fetch_metadata(Some(name), TIMEOUT))?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let led = !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0);
        if led || begun.elapsed() >= TIMEOUT {
            return Ok(partitions.len() as i32);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
