//! The consumer of `order-events`. Each gateway consumes the whole topic from its end, on a dedicated thread (librdkafka
//! blocks) and only while there are streams: a sale without followers costs nothing.
//!
//! The start offsets are fetched and then assigned, so that it is known from when on no event is missed. A stream
//! waits for this before it reads its order's history: events published before are stored in Postgres already, and
//! events published afterwards arrive here.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::timestamp::Timestamp;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::change::{Change, EventId};
use super::reader::{Error, Reader, Source};
use super::registry::Registry;

process::metrics! {
    static EVENTS: Counter = "live_update_events_total", "Order events consumed for open streams of live updates.";
}

/// The time for which the thread waits for a stream before it checks for shutdown.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The interval between two attempts to start.
const RETRY: Duration = Duration::from_millis(200);

/// Consumes the topic and publishes its changes to the registry.
pub(super) struct Topic {
    pub(super) source: Source,
    pub(super) registry: Arc<Registry>,
}

/// The members of an event that streams need.
#[derive(Deserialize)]
struct Event {
    status: OrderStatus,
    #[serde(default)]
    cancel_reason: Option<CancelReason>,
    time: Timestamp,
}

impl Topic {
    /// Consumes the topic while there are streams, until `stop`. Blocks its thread.
    pub(super) fn run(self, stop: &CancellationToken) {
        let (mut reader, mut failing) = (None, false);
        while !stop.is_cancelled() {
            if !self.registry.is_wanted_or_wait(IDLE_WAIT) {
                reader = None;
                continue;
            }
            let read = self.read_some(&mut reader);
            if let Err(error) = &read {
                if !failing {
                    tracing::warn!(%error, topic = self.source.topic, "consuming order events failed, retrying");
                }
                if matches!(error, Error::OffsetDeleted) {
                    // The clients reconnect and resume with the events from Postgres.
                    self.registry.set_consuming(false);
                    self.registry.disconnect_all();
                    reader = None;
                }
                #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
                std::thread::sleep(RETRY);
            }
            failing = read.is_err();
        }
    }

    /// Publishes the next event. Opens the reader if there is none.
    fn read_some(&self, reader: &mut Option<Reader>) -> Result<(), Error> {
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let opened = reader.insert(self.source.open()?);
                self.registry.set_consuming(true);
                opened
            }
        };
        if let Some(message) = reader.poll()?
            && let Some(change) = self.followed_change(&message)
        {
            EVENTS.increment(1);
            self.registry.publish(&Arc::new(change));
        }
        reader.0.check();
        Ok(())
    }

    /// Decodes the change if any stream follows its order. Most orders have no followers; their events are skipped by
    /// the key.
    fn followed_change(&self, message: &BorrowedMessage<'_>) -> Option<Change> {
        let order_id: OrderId = std::str::from_utf8(message.key()?).ok()?.parse().ok()?;
        if !self.registry.is_followed(&order_id) {
            return None;
        }
        let header = |name: &str| message.headers()?.iter().find(|header| header.key == name)?.value;
        let id = header("ce_id").and_then(|id| std::str::from_utf8(id).ok()?.parse::<EventId>().ok());
        let event = serde_json::from_slice::<Event>(message.payload().unwrap_or_default());
        let (Some(id), Ok(event)) = (id, &event) else {
            let error = event.err().map(|error| error.to_string());
            tracing::error!(%order_id, offset = message.offset(), ?error, "could not decode order event");
            return None;
        };
        let Event { status, cancel_reason, time } = *event;
        Some(Change { order_id, id: Some(id), status, cancel_reason, at: time })
    }
}
