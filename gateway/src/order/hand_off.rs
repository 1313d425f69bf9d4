//! Hand-off: from a reservation to the log's acknowledgement. Only an acknowledgement, under a lease that is
//! still valid afterwards, turns a reservation into a 202. A reservation whose outcome is uncertain is not
//! released: the outbox holds it, and the relay brings it into the log.

use std::sync::Arc;
use std::time::Instant;

use contract::ids::{Epoch, SaleId};
use contract::problem::Code;
use lua::outbox::LogRecord;
use process::kafka::{Acknowledged, Message, ProduceError, Producer};

use crate::http::problem::Problem;
use crate::sales::lease::Leases;

process::metrics! {
    static SECONDS: Histogram = "gateway_handoff_seconds",
        "Time from the reservation of a batch to the acknowledgement of the log, in seconds.";
    static FAILURES: Counter["kind"] = "gateway_handoff_failures_total",
        "Batches and commands that the log did not acknowledge under a valid lease, by kind of failure.",
        zero = [["no_lease"]];
}

/// Batches that may wait for the log's acknowledgement before new orders are refused. Each is at most
/// 1 MiB, in practice some 30 KiB.
pub const BATCHES_IN_FLIGHT_MAX: usize = 256;

/// Produces batches of orders, and commands, to the log.
pub struct HandOff {
    producer: Producer,
    /// Commands linger, to be sent together; orders, which come in batches, do not.
    commands: Producer,
    topic: String,
    leases: Arc<Leases>,
}

/// The result of a batch's hand-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOff {
    /// The log has the batch, and its epoch cannot have ended before.
    Done,
    /// The batch may be in the log, or the relay brings it there.
    Unknown,
}

impl HandOff {
    /// Returns a hand-off into this topic.
    pub fn new(producer: Producer, commands: Producer, topic: String, leases: Arc<Leases>) -> Self {
        Self { producer, commands, topic, leases }
    }

    /// Returns whether the log is so far behind that no more stock should be reserved.
    pub fn is_congested(&self) -> bool {
        self.producer.in_flight() >= BATCHES_IN_FLIGHT_MAX
    }

    /// Sends a batch's record; the order of calls is the order in the partition. The future completes with the
    /// result.
    pub fn start(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        partition: i32,
        record: &LogRecord,
    ) -> impl Future<Output = HandedOff> + Send + use<> {
        let begun = Instant::now();
        let sent = self.send(&self.producer, sale.as_str(), partition, record);
        let leases = self.leases.clone();
        let sale = sale.clone();
        async move {
            fault::point!("gateway.after_produce");
            let acknowledged = match sent {
                Ok(acknowledgement) => acknowledgement.await,
                Err(error) => Err(error),
            };
            fault::point!("gateway.before_acknowledgement");
            SECONDS.record(begun.elapsed());
            match acknowledged {
                // The clock is read after the acknowledgement on which the 202 rests.
                Ok(_) if leases.load().covers(&sale, epoch) || fault::removed!("lease_check") => {
                    HandedOff::Done
                }
                Ok(_) => {
                    FAILURES.with(["no_lease"]).increment(1);
                    tracing::warn!(sale_id = %sale, %epoch, "batch was acknowledged without a valid lease");
                    HandedOff::Unknown
                }
                Err(error) => {
                    FAILURES.with([error.kind()]).increment(1);
                    tracing::warn!(sale_id = %sale, %epoch, %error, "batch could not be handed off");
                    debug_assert!(!matches!(error, ProduceError::Ended), "the producer outlives its batches");
                    HandedOff::Unknown
                }
            }
        }
    }

    fn send(
        &self,
        producer: &Producer,
        key: &str,
        partition: i32,
        record: &LogRecord,
    ) -> Result<impl Future<Output = Result<Acknowledged, ProduceError>> + Send + use<>, ProduceError> {
        let headers = record.headers.encode();
        producer.send(&Message {
            topic: &self.topic,
            partition: Some(partition),
            key,
            value: Some(&record.value),
            headers: &headers,
        })
    }

    /// Appends a record that is void in no epoch, and waits for the log's acknowledgement. The append continues
    /// if the caller stops waiting.
    pub async fn append(&self, key: &str, partition: i32, record: &LogRecord) -> Result<(), Problem> {
        let acknowledged = match self.send(&self.commands, key, partition, record) {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        acknowledged.map(drop).map_err(|error| {
            FAILURES.with([error.kind()]).increment(1);
            tracing::warn!(key, %error, "command was not acknowledged by the log");
            match error {
                ProduceError::NotProduced(_) => Code::LogUnavailable.into(),
                _ => Code::OutcomeUnknown.into(),
            }
        })
    }
}
