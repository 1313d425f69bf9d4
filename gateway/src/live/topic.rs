//! The reader of `order-events`. Each gateway reads all of it for itself, from the end, on a thread of its
//! own (librdkafka blocks) and only while there are streams: a sale without readers pays nothing.
//!
//! Where it begins is asked for and then assigned, so that it is known from when on nothing is missed. A
//! stream waits for that before it reads its order's history: what was published before is in Postgres
//! already, what is published after comes here.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::timestamp::Timestamp;
use metrics::{Counter, counter};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::change::{Change, EventId};
use super::reader::{Error, Reader, Source};
use super::registry::Registry;

/// How long a reader that nobody needs sleeps at once.
const NAP: Duration = Duration::from_millis(100);
/// Between two tries to begin.
const RETRY: Duration = Duration::from_millis(200);

/// The topic, and who is told of what is in it.
pub(super) struct Topic {
    pub(super) source: Source,
    pub(super) registry: Arc<Registry>,
}

/// What streams tell of an event.
#[derive(Deserialize)]
struct Event {
    status: OrderStatus,
    #[serde(default)]
    cancel_reason: Option<CancelReason>,
    time: Timestamp,
}

impl Topic {
    /// Reads while it is wanted, until `stop`. Blocks its thread.
    pub(super) fn run(self, stop: &CancellationToken) {
        let told = counter!("live_update_events_total");
        let (mut reader, mut failing) = (None, false);
        while !stop.is_cancelled() {
            if !self.registry.is_wanted_or_wait(NAP) {
                reader = None;
                continue;
            }
            let read = self.read_some(&mut reader, &told);
            if let Err(error) = &read {
                if !failing {
                    tracing::warn!(%error, topic = self.source.topic, "live updates are interrupted, trying again");
                }
                if matches!(error, Error::Gone) {
                    // Streams resume from what Postgres has, behind a new beginning.
                    self.registry.set_read(false);
                    self.registry.cut_off_all();
                    reader = None;
                }
                #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
                std::thread::sleep(RETRY);
            }
            failing = read.is_err();
        }
    }

    /// Hands over the next event, beginning where that has not happened yet.
    fn read_some(&self, reader: &mut Option<Reader>, told: &Counter) -> Result<(), Error> {
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let begun = reader.insert(self.source.open()?);
                self.registry.set_read(true);
                begun
            }
        };
        if let Some(message) = reader.poll()?
            && let Some(change) = self.wanted(&message)
        {
            told.increment(1);
            self.registry.tell(&Arc::new(change));
        }
        Ok(reader.check()?)
    }

    /// A change that a stream waits for. Of most orders nobody asks: their events are passed over by the key.
    fn wanted(&self, message: &BorrowedMessage<'_>) -> Option<Change> {
        let order_id: OrderId = std::str::from_utf8(message.key()?).ok()?.parse().ok()?;
        if !self.registry.is_followed(&order_id) {
            return None;
        }
        let header = |name: &str| message.headers()?.iter().find(|header| header.key == name)?.value;
        let id = header("ce_id").and_then(|id| std::str::from_utf8(id).ok()?.parse::<EventId>().ok());
        let event = serde_json::from_slice::<Event>(message.payload().unwrap_or_default());
        let (Some(id), Ok(event)) = (id, &event) else {
            let error = event.err().map(|error| error.to_string());
            tracing::error!(%order_id, offset = message.offset(), ?error, "an event of this order is not legible");
            return None;
        };
        let Event { status, cancel_reason, time } = *event;
        Some(Change { order_id, id: Some(id), status, cancel_reason, at: time })
    }
}
