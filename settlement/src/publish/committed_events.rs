//! The channel that carries the events of committed batches from the settle loop to the publisher, so that the
//! publisher need not read back from Postgres what was just in memory. It is an optimization only: when the channel is
//! full, the batch is left out, and the publisher reads it from Postgres: what was left out is remembered by partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::event::Event;
use crate::decide::effects::Effects;
use crate::store::BatchSpan;

/// The capacity, in batches.
const BATCHES_MAX: usize = 16;

/// The events of one committed batch.
#[derive(Debug)]
pub struct CommittedBatch {
    /// The partition of the batch.
    pub partition: i32,
    /// The first event sequence of the batch.
    pub from_seq: i64,
    /// The events in order; sequences of releases, which are not events, may follow them. `None`: the events are not
    /// in memory and must be read from Postgres.
    pub events: Option<Vec<Event>>,
    /// The sequence behind the batch.
    pub to_seq: i64,
}

impl CommittedBatch {
    /// Returns the number of events in memory.
    pub fn len(&self) -> usize {
        self.events.as_ref().map_or(0, Vec::len)
    }
    /// Returns whether no events are in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The partitions with batches that were left out, each with the sequence behind the last one.
type LeftOut = Arc<Mutex<BTreeMap<i32, i64>>>;

/// The sender that the settle loop uses.
pub struct CommittedEventsSender {
    sender: mpsc::Sender<CommittedBatch>,
    left_out: LeftOut,
}

/// The receiver that the publisher uses.
pub struct CommittedEvents {
    receiver: mpsc::Receiver<CommittedBatch>,
    left_out: LeftOut,
}

/// Creates the channel.
pub fn channel() -> (CommittedEventsSender, CommittedEvents) {
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    let left_out = LeftOut::default();
    (CommittedEventsSender { sender, left_out: left_out.clone() }, CommittedEvents { receiver, left_out })
}

impl CommittedEvents {
    /// Waits for the next batch.
    pub async fn next(&mut self) -> Option<CommittedBatch> {
        self.receiver.recv().await
    }

    /// Returns the next batch if there is one.
    pub fn try_next(&mut self) -> Option<CommittedBatch> {
        self.receiver.try_recv().ok()
    }

    /// Returns and forgets the partitions with batches that were left out, each with the sequence behind them.
    pub fn take_left_out(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.left_out.lock())
    }
}

impl CommittedEventsSender {
    /// Returns the place of a batch in the channel, or remembers that the batch is left out.
    fn reserve(&self, span: BatchSpan) -> Option<mpsc::Permit<'_, CommittedBatch>> {
        let permit = self.sender.try_reserve().ok();
        if permit.is_none() {
            self.left_out.lock().insert(span.partition, span.to_seq);
        }
        permit
    }

    /// Sends the events of a committed batch, if the channel has capacity.
    pub fn send(&self, span: BatchSpan, effects: &Effects<'_>) {
        let Some(permit) = self.reserve(span) else { return };
        let created = effects.created.iter().zip(span.from_seq..).map(|(created, seq)| {
            // A new order always has an event.
            Some(Event::for_created(span.partition, seq, created, span.at))
        });
        let moves = effects.moves.order_id.iter().zip(&effects.moves.status);
        let moves = moves.zip(effects.first_move_seq(span.from_seq)..).map(|((id, status), seq)| {
            let order = effects.order_state(*id)?;
            Some(Event::for_transition(span.partition, seq, *id, &order, *status, span.at))
        });
        let events = created.chain(moves).collect();
        let BatchSpan { partition, from_seq, to_seq, .. } = span;
        permit.send(CommittedBatch { partition, from_seq, events, to_seq });
    }

    /// Notifies the publisher of a committed batch whose events only Postgres has.
    pub fn send_unread(&self, span: BatchSpan) {
        let Some(permit) = self.reserve(span) else { return };
        let BatchSpan { partition, from_seq, to_seq, .. } = span;
        permit.send(CommittedBatch { partition, from_seq, events: None, to_seq });
    }
}
