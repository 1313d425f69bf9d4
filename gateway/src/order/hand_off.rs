//! Hand-off: from a reservation to the log's acknowledgement. Only that, under a lease that is still
//! valid afterwards, turns a reservation into a 202. Whatever is not certain is not released: the
//! outbox holds it, and the relay will bring it into the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use contract::ids::{Epoch, SaleId};
use contract::problem::Code;
use contract::record::OutboxId;
use lua::outbox::LogRecord;
use metrics::{Counter, Histogram, counter, histogram};
use process::kafka::{Acknowledged as Acknowledgement, Message, ProduceError, Producer};
use tokio::sync::Notify;

use crate::http::problem::Problem;
use crate::sales::lease::Leases;

/// Batches that may wait for the log's acknowledgement before new orders are refused. Each is at most
/// 1 MiB, in practice some 30 KiB.
pub const BATCHES_IN_FLIGHT_MAX: usize = 256;

/// Hands batches to the log, and commands.
pub struct HandOff {
    producer: Producer,
    /// Commands wait for each other; orders, which come in batches, do not.
    commands: Producer,
    topic: String,
    leases: Arc<Leases>,
    seconds: Histogram,
    no_lease: Counter,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOff {
    /// The log has it, and nobody can have ended its epoch before.
    Done,
    /// It may be in the log, or will be brought there.
    Unknown,
}

impl HandOff {
    /// Into this topic.
    pub fn new(producer: Producer, commands: Producer, topic: String, leases: Arc<Leases>) -> Self {
        Self {
            producer,
            commands,
            topic,
            leases,
            seconds: histogram!("gateway_handoff_seconds"),
            no_lease: counter!("gateway_handoff_failures_total", "kind" => "no_lease"),
        }
    }

    /// Whether the log is so far behind that nothing more should be reserved.
    pub fn is_congested(&self) -> bool {
        self.producer.in_flight() >= BATCHES_IN_FLIGHT_MAX
    }

    /// Sends a record; the order of calls is the order in the partition. The future ends with what
    /// may be said of it.
    pub fn start(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        partition: i32,
        record: &LogRecord,
    ) -> impl Future<Output = HandedOff> + Send + use<> {
        let begun = Instant::now();
        let sent = self.send(&self.producer, sale.as_str(), partition, record);
        let (leases, seconds, no_lease) = (self.leases.clone(), self.seconds.clone(), self.no_lease.clone());
        let sale = sale.clone();
        async move {
            fault::point!("gateway.after_produce");
            let acknowledged = match sent {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            fault::point!("gateway.before_acknowledgement");
            seconds.record(begun.elapsed());
            match acknowledged {
                // The clock is read after the acknowledgement that is to be answered.
                Ok(_) if leases.load().covers(&sale, epoch) || fault::removed!("lease_check") => {
                    HandedOff::Done
                }
                Ok(_) => {
                    no_lease.increment(1);
                    tracing::warn!(sale_id = %sale, %epoch, "acknowledged without a valid lease");
                    HandedOff::Unknown
                }
                Err(error) => {
                    counter!("gateway_handoff_failures_total", "kind" => error.kind()).increment(1);
                    tracing::warn!(sale_id = %sale, %epoch, %error, "hand-off failed");
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
    ) -> Result<impl Future<Output = Result<Acknowledgement, ProduceError>> + Send + use<>, ProduceError>
    {
        let headers = record.headers.encode();
        producer.send(&Message {
            topic: &self.topic,
            partition: Some(partition),
            key,
            value: Some(&record.value),
            headers: &headers,
        })
    }

    /// Appends a record that no epoch makes void, and waits for the log's word. Goes on without the caller.
    pub async fn append(&self, key: &str, partition: i32, record: &LogRecord) -> Result<(), Problem> {
        let answer = match self.send(&self.commands, key, partition, record) {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        answer.map(drop).map_err(|error| {
            counter!("gateway_handoff_failures_total", "kind" => error.kind()).increment(1);
            tracing::warn!(key, %error, "a command was not acknowledged");
            match error {
                ProduceError::NotProduced(_) => Code::LogUnavailable.into(),
                _ => Code::OutcomeUnknown.into(),
            }
        })
    }
}

/// Outbox entries that the log has acknowledged and Redis may forget. They ride along in the sale's
/// next script call, or in a short flush when none comes.
#[derive(Default)]
pub struct Acknowledged {
    entries: Mutex<Vec<(Epoch, OutboxId)>>,
    added: Notify,
}

impl Acknowledged {
    /// The log has this entry.
    pub fn add(&self, epoch: Epoch, id: OutboxId) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push((epoch, id));
        self.added.notify_one();
    }
    /// Waits until there is one.
    pub async fn any(&self) {
        while self.entries.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.added.notified().await;
        }
    }
    /// Up to `max` entries of this epoch. They stay here until Redis has [`Self::forgotten`] them, so that
    /// a call that fails, or is given up, loses none. Those of other epochs are dropped: their keys are gone.
    pub fn first(&self, epoch: Epoch, max: usize) -> Vec<OutboxId> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(of, _)| *of == epoch);
        entries.iter().take(max).map(|(_, id)| *id).collect()
    }
    /// Redis has deleted these.
    pub fn forgotten(&self, epoch: Epoch, ids: &[OutboxId]) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(of, id)| *of != epoch || !ids.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::ids::Sequence;

    #[test]
    fn an_acknowledged_entry_stays_until_redis_has_deleted_it() {
        let acknowledged = Acknowledged::default();
        let ids = [1, 2, 3].map(|first| OutboxId::batch(Sequence(first), 1));
        acknowledged.add(Epoch(1), OutboxId::batch(Sequence(9), 1));
        for id in ids {
            acknowledged.add(Epoch(2), id);
        }
        assert_eq!(acknowledged.first(Epoch(2), 2), ids[..2]);
        assert_eq!(acknowledged.first(Epoch(2), 2), ids[..2], "a call that was given up has lost nothing");
        acknowledged.forgotten(Epoch(2), &ids[..2]);
        assert_eq!(acknowledged.first(Epoch(2), 9), ids[2..], "and the older epoch's entry is gone");
    }
}
