//! The settle loop: it receives batches, and settles each in one transaction, for every partition that this process
//! owns.
//!
//! It never skips a record because of an error. Whatever fails (Postgres is down, the outcome of a commit is unknown,
//! there is another owner), the loop discards its cached state, the consumer restarts from the position in Postgres,
//! and what was queued in between is dropped by its generation. Only a record whose content Postgres rejects is set
//! aside, alone, as a dead letter.

use std::collections::VecDeque;
use std::time::Instant;

use contract::record::{Decision, Record};
use deadpool_postgres::{Client, Pool};
use process::backoff::{Backoff, retry};
use process::walltime;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{dead_letters, metrics};
use crate::consume::consumer_channel::{ConsumerCommand, ConsumerCommands, ConsumerEvent};
use crate::consume::decoded_record::{DecodedRecord, Refusal};
use crate::context::ownership::{OwnedPartitions, OwnershipSender};
use crate::context::progress::Progress;
use crate::decide::delivery_schedule::DeliverySchedule;
use crate::decide::effects::{BatchTime, records};
use crate::decide::partition_state::PartitionState;
use crate::decide::prior_state::PriorState;
use crate::publish::committed_events::CommittedEventsSender;
use crate::store::database::DatabaseError;
use crate::store::{BatchSpan, StoreError, transaction};

/// The state of the settle loop.
pub struct Settler {
    pool: Pool,
    /// The connection is kept for as long as it works: its prepared statements matter more than fairness in the pool.
    client: Option<Client>,
    states: FxHashMap<i32, PartitionState>,
    progress: Progress,
    committed: CommittedEventsSender,
    schedule: DeliverySchedule,
}

impl Settler {
    /// Creates a settler that owns no partition.
    pub fn new(
        pool: Pool,
        progress: Progress,
        committed: CommittedEventsSender,
        schedule: DeliverySchedule,
    ) -> Self {
        Self { pool, client: None, states: FxHashMap::default(), progress, committed, schedule }
    }

    /// Settles the batches of the consumer until `stop` is cancelled. A transaction that has begun is finished.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<ConsumerEvent>,
        commands: ConsumerCommands,
        owned: OwnershipSender,
        stop: CancellationToken,
    ) {
        let mut current_generation = None;
        let mut backoff = Backoff::default();
        while let Some(Some(event)) = stop.run_until_cancelled(events.recv()).await {
            match event {
                ConsumerEvent::Assigned { generation, partitions } => {
                    tracing::info!(?partitions, generation, "assigned partitions of the log");
                    owned.send_replace(OwnedPartitions::from(partitions.as_slice()));
                    self.discard_state();
                    let Some(positions) = self.take_over(&partitions, &stop).await else { break };
                    current_generation = Some(generation);
                    commands.send(ConsumerCommand::Seek { generation, positions }).await;
                }
                ConsumerEvent::Batch { generation, parts } if Some(generation) == current_generation => {
                    match self.settle_parts(parts, &commands).await {
                        Ok(()) => backoff.reset(),
                        Err(error) => {
                            log(&error, backoff.should_log());
                            self.discard_state();
                            current_generation = None;
                            commands.send(ConsumerCommand::Restart { generation }).await;
                            backoff.pause(&stop).await;
                        }
                    }
                }
                // It was read before an error or a rebalance, and will be read again.
                ConsumerEvent::Batch { .. } => {}
            }
        }
        owned.send_replace(OwnedPartitions::from([]));
    }

    fn discard_state(&mut self) {
        self.states.clear();
        self.client = None;
    }

    /// Reads the positions to continue from, and retries until it succeeds. Returns `None` at shutdown.
    async fn take_over(&mut self, partitions: &[i32], stop: &CancellationToken) -> Option<Vec<(i32, i64)>> {
        let pool = &self.pool;
        let read = || async move {
            let client = pool.get().await.map_err(DatabaseError::from)?;
            let states = PartitionState::read(&client, partitions).await?;
            Ok::<_, DatabaseError>((client, states))
        };
        let (client, states) = retry("reading the positions to settle from", stop, read).await?;
        self.client = Some(client);
        let positions: Vec<_> =
            states.iter().map(|(partition, state)| (*partition, state.next_offset)).collect();
        let has_position = |partition: &i32| positions.iter().any(|(stored, _)| stored == partition);
        for partition in partitions.iter().filter(|partition| !has_position(partition)) {
            tracing::error!(partition, "the partition has no position in Postgres and is not settled");
        }
        self.progress.record_start(&positions);
        self.states = states.into_iter().collect();
        Some(positions)
    }

    /// Settles all parts of a batch, whatever happens to the parts before. Returns the first error.
    async fn settle_parts(
        &mut self,
        parts: Vec<(i32, Vec<DecodedRecord>)>,
        commands: &ConsumerCommands,
    ) -> Result<(), StoreError> {
        let mut result = Ok(());
        for (partition, records) in parts {
            match self.settle(partition, records).await {
                Ok(next_offset) => commands.send(ConsumerCommand::Settled { partition, next_offset }).await,
                Err(error) => {
                    self.states.remove(&partition);
                    self.client = None; // it may be inside a transaction that failed
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    /// Settles records of one partition that follow its position, and returns the next offset. A batch that Postgres
    /// rejects is halved until the rejected record is found.
    pub async fn settle(&mut self, partition: i32, records: Vec<DecodedRecord>) -> Result<i64, StoreError> {
        let mut batches = split_at_decisions(records);
        let mut next_offset = 0;
        while let Some(mut records) = batches.pop_front() {
            match self.settle_batch(partition, &records).await {
                Ok(next) => next_offset = next,
                Err(StoreError::Refused(why)) if is_letter(&records) => {
                    return Err(StoreError::LetterRefused(why));
                }
                Err(StoreError::Refused(why)) => {
                    self.reload(partition).await?;
                    if records.len() > 1 {
                        let rest = records.split_off(records.len() / 2);
                        batches.push_front(rest);
                    } else if let Some(record) = records.first_mut() {
                        tracing::error!(sale_id = ?record.sale, partition, offset = record.offset, why, "guard trip: Postgres rejected a record");
                        metrics::GUARD_TRIPS.increment(1);
                        record.body = Err(Refusal::new("guard_trip", why));
                    }
                    batches.push_front(records);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(next_offset)
    }

    /// Reads the state of a partition again. A rejected batch has changed nothing, but nothing is assumed.
    pub async fn reload(&mut self, partition: i32) -> Result<(), DatabaseError> {
        let client = self.client().await?;
        let states = PartitionState::read(client, &[partition]).await?;
        self.states.extend(states);
        Ok(())
    }

    async fn client(&mut self) -> Result<&mut Client, DatabaseError> {
        if self.client.is_none() {
            self.client = Some(self.pool.get().await?);
        }
        self.client.as_mut().ok_or_else(|| DatabaseError::Pool(deadpool_postgres::PoolError::Closed))
    }

    async fn settle_batch(&mut self, partition: i32, records: &[DecodedRecord]) -> Result<i64, StoreError> {
        let begun = Instant::now();
        self.client().await?;
        let (Some(client), Some(state), Some(first), Some(last)) =
            (self.client.as_mut(), self.states.get_mut(&partition), records.first(), records.last())
        else {
            return Err(StoreError::Fenced);
        };
        if first.offset != state.next_offset {
            return Err(StoreError::OutOfPlace { expected: state.next_offset, found: first.offset });
        }
        if let (1, Ok(Record::Decision(decision))) = (records.len(), &first.body) {
            return self.settle_decision(partition, first.offset, *decision, begun).await;
        }
        state.cache_sales(client, records).await?;
        let prior = PriorState::read(&*client, partition, state, records, self.schedule.automatic).await?;
        let time = BatchTime { at: walltime::now(), schedule: self.schedule };
        let effects = records::decide(partition, state, records, &prior, time);
        let state_update = effects.state_update();
        let span = BatchSpan {
            partition,
            from_offset: state.next_offset,
            from_seq: state.next_seq,
            to_offset: last.offset + 1,
            to_seq: state.next_seq + state_update.seqs,
            at: time.at,
        };
        transaction::commit(client, span, &effects).await?;
        metrics::record_batch(&effects, begun.elapsed());
        self.committed.send(span, &effects);
        let has_releases = !effects.changes.is_empty() || !effects.releases.units.is_empty();
        state_update.apply(state, span.to_offset);
        self.progress.record_commit(partition, span, has_releases);
        Ok(span.to_offset)
    }

    /// Settles an operator's decision about a dead letter. It has a transaction of its own, because it queries
    /// Postgres between its writes.
    async fn settle_decision(
        &mut self,
        partition: i32,
        offset: i64,
        decision: Decision,
        begun: Instant,
    ) -> Result<i64, StoreError> {
        let (Some(client), Some(state)) = (self.client.as_mut(), self.states.get_mut(&partition)) else {
            return Err(StoreError::Fenced);
        };
        let span = BatchSpan {
            partition,
            from_offset: offset,
            from_seq: state.next_seq,
            to_offset: offset + 1,
            to_seq: state.next_seq,
            at: walltime::now(),
        };
        let span = dead_letters::apply_decision(client, span, decision, self.schedule).await?;
        metrics::record_decision(begun.elapsed());
        // The sales that the decision changed are read again when they are needed.
        *state = PartitionState::new(span.to_offset, span.to_seq);
        self.committed.send_unread(span);
        self.progress.record_commit(partition, span, span.to_seq > span.from_seq);
        Ok(span.to_offset)
    }
}

/// Returns whether the batch is a single record that only becomes a dead letter: there is nothing else to try.
fn is_letter(records: &[DecodedRecord]) -> bool {
    matches!(records, [record] if record.body.is_err())
}

/// Splits records into batches, with each decision in a batch of its own.
fn split_at_decisions(records: Vec<DecodedRecord>) -> VecDeque<Vec<DecodedRecord>> {
    let mut batches = VecDeque::from([Vec::with_capacity(records.len())]);
    let mut after_decision = false;
    for record in records {
        let is_decision = matches!(record.body, Ok(Record::Decision(_)));
        if (is_decision || after_decision) && batches.back().is_some_and(|batch| !batch.is_empty()) {
            batches.push_back(Vec::new());
        }
        if let Some(batch) = batches.back_mut() {
            batch.push(record);
        }
        after_decision = is_decision;
    }
    batches
}

fn log(error: &StoreError, is_new: bool) {
    match error {
        StoreError::Database(_) | StoreError::LetterRefused(_) if !is_new => {}
        StoreError::Database(_) => tracing::warn!(%error, "settling is interrupted and will be retried"),
        StoreError::Fenced => tracing::warn!(%error, "fenced: the position has moved"),
        StoreError::WalletMoved => tracing::info!(%error, "the batch is decided again"),
        StoreError::Refused(_)
        | StoreError::LetterRefused(_)
        | StoreError::DoubledSequence(_)
        | StoreError::OutOfPlace { .. } => {
            tracing::error!(%error, "settling is interrupted and will be retried");
        }
    }
}
