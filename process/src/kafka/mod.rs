//! Kafka: the producer whose acknowledgements are awaited, the topics, and client settings.

mod log;
mod producer;
pub mod topics;

pub use log::LogContext;
pub use producer::{Acknowledged, Message, ProduceError, Producer, ProducerSettings};

use rdkafka::ClientConfig;

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
        // Starting over from the bootstrap addresses when all brokers are down (the client's default) has left
        // clients without any attempt to connect after a broker had stood still for half a minute. Without it
        // they keep trying the brokers that they know.
        .set("metadata.recovery.strategy", "none")
        .set("log.connection.close", "false");
    config
}
