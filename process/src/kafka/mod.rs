//! Kafka: the producer whose acknowledgements are awaited, the watch over consumers, the topics, and client
//! settings.

mod log;
mod producer;
pub mod topics;
mod watchdog;

pub use log::LogContext;
pub use producer::{Acknowledged, Message, ProduceError, Producer, ProducerSettings};
pub use watchdog::{ConsumerFailure, Watchdog};

use std::time::Duration;

use rdkafka::ClientConfig;

crate::metrics! {
    pub static CLIENTS_REPLACED: Counter["client"] = "kafka_clients_replaced_total",
        "Kafka clients that did not recover after an outage and were replaced.";
}

/// After so long without a sign of life, while there should be one, a client is replaced by a new one. A broker
/// that comes back after half a minute tells its clients for some moments that there are no brokers; they forget
/// the one they knew, and some have never asked again (librdkafka 2.12).
pub const STALL_MAX: Duration = Duration::from_secs(10);

/// Settings that every client has in common.
pub fn client(brokers: &str, name: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", name)
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        // Topics made after a client first asked for them are found soon.
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("log.connection.close", "false");
    config
}
