//! Events of batches that have just been committed, from the settle loop to the publisher, so that the
//! publisher need not read back from Postgres what was in memory a moment ago. A short cut only: when
//! there is no room the batch is left out, and the publisher finds it where it stands, in Postgres.

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use tokio::sync::mpsc;

use crate::decide::effects::Effects;
use crate::publish::event::Event;
use crate::store::BatchSpan;

/// Batches on their way, at most.
const BATCHES: usize = 16;

/// The events of one batch.
#[derive(Debug)]
pub struct CommittedBatch {
    /// Of which partition.
    pub partition: i32,
    /// Its first sequence.
    pub from_seq: i64,
    /// In order; sequences that are no events (releases) may lie behind them. `None`: not in memory, to be
    /// read from Postgres.
    pub events: Option<Vec<Event>>,
    /// The sequence behind the batch.
    pub to_seq: i64,
}

impl CommittedBatch {
    /// How many events it brings.
    pub fn len(&self) -> usize {
        self.events.as_ref().map_or(0, Vec::len)
    }
    /// Whether it brings none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The settle loop's end.
pub struct CommittedEventsSender(mpsc::Sender<CommittedBatch>);

/// Both ends.
pub fn channel() -> (CommittedEventsSender, mpsc::Receiver<CommittedBatch>) {
    let (sender, receiver) = mpsc::channel(BATCHES);
    (CommittedEventsSender(sender), receiver)
}

impl CommittedEventsSender {
    /// A batch is committed.
    pub fn tell(&self, span: BatchSpan, effects: &Effects<'_>) {
        let Ok(room) = self.0.try_reserve() else { return };
        let seqs = span.from_seq..;
        let created = effects.created.iter().zip(seqs);
        let created = created.map(|(created, seq)| Event::created(span.partition, seq, created, span.at));
        let moves = effects.moves.order_id.iter().zip(&effects.moves.status);
        let moves = moves.zip(effects.first_move_seq(span.from_seq)..);
        let moves = moves.map(|((id, status), seq)| {
            let id = OrderId(*id);
            let (standing, status) = (effects.standing(id)?, OrderStatus::parse(status)?);
            Some(Event::moved(span.partition, seq, id, &standing, status, span.at))
        });
        let events = created.map(Some).chain(moves).collect();
        let BatchSpan { partition, from_seq, to_seq, .. } = span;
        room.send(CommittedBatch { partition, from_seq, events, to_seq });
    }

    /// Something was committed that only Postgres can tell.
    pub fn tell_of(&self, span: BatchSpan) {
        let Ok(room) = self.0.try_reserve() else { return };
        let BatchSpan { partition, from_seq, to_seq, .. } = span;
        room.send(CommittedBatch { partition, from_seq, events: None, to_seq });
    }
}
