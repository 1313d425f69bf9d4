//! Making the topics exist, with explicit partitions and settings. Repeating it changes nothing.

use std::time::{Duration, Instant};

use contract::topics::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::settings::Services;

/// Replicas of a topic, where there are brokers enough.
const REPLICAS: i32 = 3;
/// One request's limit.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Between two looks at what was just made.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a topic does not exist as it must.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The brokers cannot be asked.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The brokers refused.
    #[error("cannot create the topic {0}: {1}")]
    Refused(String, RDKafkaErrorCode),
    /// Somebody made it otherwise.
    #[error("the topic {topic} has {found} partitions, not {expected}")]
    OtherPartitions {
        /// Which.
        topic: String,
        /// How many it has.
        found: i32,
        /// How many it must have.
        expected: i32,
    },
}

/// Creates the topics that are missing. `services`: the brokers, and what stands before the names.
/// `orders_partitions`: of topics without a number of their own. `replication`: 0 chooses 3, or as many
/// as there are brokers.
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
            Ok(name) => tracing::info!(topic = name, replicas, "created"),
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

/// How many partitions a topic has, once somebody leads them all: a consumer that joins its group before takes
/// it for missing, and looks again only after half a minute. Not waited for longer than one request.
async fn partitions_led(admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<i32, KafkaError> {
    let begun = Instant::now();
    loop {
        let metadata = tokio::task::block_in_place(|| admin.inner().fetch_metadata(Some(name), TIMEOUT))?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let led = !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0);
        if led || begun.elapsed() >= TIMEOUT {
            return Ok(partitions.len() as i32);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
