//! Forwards librdkafka's log messages to `tracing`.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// A client context that only forwards log messages.
#[derive(Clone, Copy, Default)]
pub struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        write(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client reported an error");
    }
}

impl ConsumerContext for LogContext {}

/// Forwards one log message.
pub(super) fn write(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // librdkafka logs lost connections as errors. They are expected here, and `health` reports them.
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "Kafka client logged a critical message");
        }
        _ => tracing::debug!(facility, message, "Kafka client logged a message"),
    }
}
