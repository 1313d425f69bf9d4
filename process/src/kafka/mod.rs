//! Kafka clients: the producer with acknowledgements, self-healing consumers, the watchdog of group consumers, topics,
//! and client settings.

mod assigned_consumer;
mod log;
mod producer;
pub mod topics;
mod watchdog;

pub use assigned_consumer::{AssignedConsumer, AssignedConsumerSettings};
pub use log::LogContext;
pub use producer::{Acknowledged, Message, ProduceError, Producer, ProducerSettings};
pub use watchdog::{ConsumerFailure, PartitionProgress, Watchdog, WatchdogLimits};

use std::time::Duration;

use rdkafka::ClientConfig;

crate::metrics! {
    pub static CLIENTS_REPLACED: Counter["client"] = "kafka_clients_replaced_total",
        "Kafka clients that did not recover after an outage and were replaced.";
}

/// How long a client may make no progress although it should. Then it is replaced by a new one. A broker that returns
/// after half a minute reports for a moment that there are no brokers; clients then drop the one they knew, and some
/// have never queried it again (librdkafka 2.12).
pub const STALL_MAX: Duration = Duration::from_secs(10);

/// Returns the settings that all clients share.
pub fn client(brokers: &str, name: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", name)
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        // A topic that is created after the client's first request for it is found soon.
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("log.connection.close", "false");
    config
}
