//! The settle loop: batches in, one transaction each, for every partition that this process owns.
//!
//! Errors are never answered by skipping. Whatever goes wrong (Postgres away, a commit whose outcome is
//! not known, another owner), the loop forgets what it knows, the consumer starts over from the position
//! that Postgres has, and what was queued in between is dropped by its generation. Only a record that
//! Postgres refuses for what it says is set aside, alone, as a dead letter.

use std::collections::VecDeque;
use std::time::Instant;

use contract::record::{Decision, Record};
use deadpool_postgres::{Client, Pool};
use process::walltime;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::consume::consumer_channel::{ConsumerCommand, ConsumerCommands, ConsumerEvent};
use crate::consume::decoded_record::{DecodedRecord, Refusal};
use crate::context::ownership::{OwnedPartitions, OwnershipSender};
use crate::context::progress::Progress;
use crate::decide::delivery_schedule::DeliverySchedule;
use crate::decide::effects::{self, Effects, Now};
use crate::decide::order_state::PriorState;
use crate::decide::partition_state::PartitionState;
use crate::publish::committed_events::CommittedEventsSender;
use crate::settle::dead_letters;
use crate::settle::metrics::SettleMetrics;
use crate::store::database::DatabaseError;
use crate::store::{BatchSpan, StoreError, transaction};
use process::backoff::{Backoff, retry};

/// The loop's state.
pub struct Settler {
    pool: Pool,
    /// Kept for as long as it works: its prepared statements are worth more than fairness.
    client: Option<Client>,
    memories: FxHashMap<i32, PartitionState>,
    metrics: SettleMetrics,
    progress: Progress,
    news: CommittedEventsSender,
    /// How fast goods go on by themselves.
    pace: DeliverySchedule,
}

impl Settler {
    /// Owns nothing yet.
    pub fn new(pool: Pool, progress: Progress, news: CommittedEventsSender, pace: DeliverySchedule) -> Self {
        let (memories, metrics) = (FxHashMap::default(), SettleMetrics::new());
        Self { pool, client: None, memories, metrics, progress, news, pace }
    }

    /// Settles what the consumer hands over until `stop`; a transaction that has begun is finished.
    pub async fn run(
        mut self,
        mut handovers: mpsc::Receiver<ConsumerEvent>,
        commands: ConsumerCommands,
        announce: OwnershipSender,
        stop: CancellationToken,
    ) {
        let mut generation = None;
        let mut backoff = Backoff::default();
        while let Some(Some(handover)) = stop.run_until_cancelled(handovers.recv()).await {
            match handover {
                ConsumerEvent::Assigned { generation: new, partitions } => {
                    tracing::info!(?partitions, generation = new, "owns");
                    announce.send_replace(OwnedPartitions::from(partitions.as_slice()));
                    self.forget();
                    let Some(positions) = self.take_over(&partitions, &stop).await else { break };
                    generation = Some(new);
                    commands.send(ConsumerCommand::Place { generation: new, positions });
                }
                ConsumerEvent::Batch { generation: of, parts } if Some(of) == generation => {
                    match self.settle_parts(parts, &commands).await {
                        Ok(()) => backoff.reset(),
                        Err(error) => {
                            log(&error, backoff.should_log());
                            self.forget();
                            generation = None;
                            commands.send(ConsumerCommand::Restart { generation: of });
                            backoff.pause(&stop).await;
                        }
                    }
                }
                ConsumerEvent::Batch { .. } => {} // read before an error or a rebalance: it will be read again
            }
        }
        announce.send_replace(OwnedPartitions::from([]));
    }

    fn forget(&mut self) {
        self.memories.clear();
        self.client = None;
    }

    /// Reads where to go on, however long it takes.
    async fn take_over(&mut self, partitions: &[i32], stop: &CancellationToken) -> Option<Vec<(i32, i64)>> {
        let pool = &self.pool;
        let read = || async move {
            let client = pool.get().await.map_err(DatabaseError::from)?;
            let memories = PartitionState::read(&client, partitions).await?;
            Ok::<_, DatabaseError>((client, memories))
        };
        let (client, memories) = retry("reading the positions to settle from", stop, read).await?;
        self.client = Some(client);
        let positions: Vec<_> =
            memories.iter().map(|(partition, memory)| (*partition, memory.next_offset)).collect();
        for partition in partitions.iter().filter(|p| !positions.iter().any(|(known, _)| known == *p)) {
            tracing::error!(partition, "has no position in Postgres and is not settled");
        }
        self.progress.placed(&positions);
        self.memories = memories.into_iter().collect();
        Some(positions)
    }

    async fn settle_parts(
        &mut self,
        parts: Vec<(i32, Vec<DecodedRecord>)>,
        commands: &ConsumerCommands,
    ) -> Result<(), StoreError> {
        for (partition, records) in parts {
            let next_offset = self.settle(partition, records).await?;
            commands.send(ConsumerCommand::Settled { partition, next_offset });
        }
        Ok(())
    }

    /// Settles records of one partition that follow its position; returns the next offset. A batch that
    /// Postgres refuses is halved until the record is found that it refuses.
    pub async fn settle(&mut self, partition: i32, records: Vec<DecodedRecord>) -> Result<i64, StoreError> {
        let mut work = apart(records);
        let mut next_offset = 0;
        while let Some(mut records) = work.pop_front() {
            match self.settle_batch(partition, &records).await {
                Ok(next) => next_offset = next,
                Err(StoreError::Refused(why)) => {
                    self.remember(partition).await?;
                    if records.len() > 1 {
                        let rest = records.split_off(records.len() / 2);
                        work.push_front(rest);
                    } else if let Some(record) = records.first_mut() {
                        tracing::error!(sale_id = ?record.sale, partition, offset = record.offset, why, "guard trip");
                        self.metrics.guard_trips.increment(1);
                        record.body = Err(Refusal::new("guard_trip", why));
                    }
                    work.push_front(records);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(next_offset)
    }

    /// After a refusal the memory is read again: the batch has moved nothing, but nothing is assumed.
    pub async fn remember(&mut self, partition: i32) -> Result<(), DatabaseError> {
        let client = self.client().await?;
        let read = PartitionState::read(client, &[partition]).await?;
        self.memories.extend(read);
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
        let (Some(client), Some(memory), Some(first), Some(last)) =
            (self.client.as_mut(), self.memories.get_mut(&partition), records.first(), records.last())
        else {
            return Err(StoreError::Fenced);
        };
        if first.offset != memory.next_offset {
            return Err(StoreError::OutOfPlace { expected: memory.next_offset, found: first.offset });
        }
        if let (1, Ok(Record::Decision(decision))) = (records.len(), &first.body) {
            let decision = *decision;
            return self.decide(partition, first.offset, decision, begun).await;
        }
        memory.learn(client, records).await?;
        let before = PriorState::read(&*client, partition, records, self.pace.automatic).await?;
        let suspects = effects::suspects(memory, records);
        let settled = if suspects.is_empty() {
            None
        } else {
            Some(transaction::settled_orders(client, &suspects).await?)
        };
        let now = Now { at: walltime::now(), pace: self.pace };
        let effects = Effects::decide(partition, memory, records, &before, settled, now);
        let state_update = effects.state_update();
        let span = BatchSpan {
            partition,
            from_offset: memory.next_offset,
            from_seq: memory.next_seq,
            to_offset: last.offset + 1,
            to_seq: memory.next_seq + state_update.seqs,
            at: now.at,
        };
        transaction::commit(client, span, &effects).await?;
        self.metrics.committed(&effects, begun.elapsed());
        self.news.tell(span, &effects);
        let released = !effects.changes.is_empty() || !effects.releases.units.is_empty();
        state_update.apply(memory, span.to_offset);
        self.progress.settled(partition, span, released);
        Ok(span.to_offset)
    }

    /// An operator's decision about a dead letter: a transaction of its own, because it looks at Postgres as
    /// it goes.
    async fn decide(
        &mut self,
        partition: i32,
        offset: i64,
        decision: Decision,
        begun: Instant,
    ) -> Result<i64, StoreError> {
        let (Some(client), Some(memory)) = (self.client.as_mut(), self.memories.get_mut(&partition)) else {
            return Err(StoreError::Fenced);
        };
        let at = BatchSpan {
            partition,
            from_offset: offset,
            from_seq: memory.next_seq,
            to_offset: offset + 1,
            to_seq: memory.next_seq,
            at: walltime::now(),
        };
        let span = dead_letters::carry_out(client, at, decision, self.pace).await?;
        self.metrics.decided(begun.elapsed());
        // What it moved of sales is read again when it is needed.
        *memory = PartitionState::at(span.to_offset, span.to_seq);
        self.news.tell_of(span);
        self.progress.settled(partition, span, span.to_seq > span.from_seq);
        Ok(span.to_offset)
    }
}

/// Batches of records; each decision alone.
fn apart(records: Vec<DecodedRecord>) -> VecDeque<Vec<DecodedRecord>> {
    let mut batches = VecDeque::from([Vec::with_capacity(records.len())]);
    let mut alone = false;
    for record in records {
        let decision = matches!(record.body, Ok(Record::Decision(_)));
        if (decision || alone) && batches.back().is_some_and(|batch| !batch.is_empty()) {
            batches.push_back(Vec::new());
        }
        if let Some(batch) = batches.back_mut() {
            batch.push(record);
        }
        alone = decision;
    }
    batches
}

fn log(error: &StoreError, say: bool) {
    match error {
        StoreError::Database(_) if !say => {}
        StoreError::Database(_) => tracing::warn!(%error, "settling is interrupted, trying again"),
        StoreError::Fenced => tracing::warn!(%error, "fenced"),
        StoreError::WalletMoved => tracing::info!(%error, "deciding again"),
        StoreError::Refused(_) | StoreError::DoubledSequence(_) | StoreError::OutOfPlace { .. } => {
            tracing::error!(%error, "settling is interrupted, trying again");
        }
    }
}
