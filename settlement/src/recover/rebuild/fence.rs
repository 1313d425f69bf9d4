//! What ends an epoch: its outbox into the log while it still counts, then the barrier, behind which
//! whatever of it may still come is void.

use std::time::{Duration, Instant};

use contract::ids::Epoch;
use contract::record::{Barrier, Headers, RecordType};
use contract::topics::ORDERS;
use lua::{Redis, outbox};
use process::kafka::{Message, ProduceError};

use super::Due;
use super::attempt::{Begun, RebuildError};
use crate::context::Context;

/// Draining is a courtesy to customers who will ask again; it must not hold the sale up.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Entries of one look.
const ENTRIES_MAX: usize = 100;
/// How often to look whether the barrier is settled.
const LOOK_EVERY: Duration = Duration::from_millis(15);
/// The barrier is given up when its partition has not moved for this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to say how far the partition is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Produces what the outboxes of ended epochs still show, whatever its age. What Redis has lost was
/// promised to nobody.
pub async fn drain_outboxes(context: &Context, due: &Due, begun: &Begun, redis: &Redis) {
    let drained = tokio::time::timeout(DRAIN_MAX, async {
        let mut entries = 0;
        // Entries of epochs below the highest settled barrier are void already.
        for epoch in begun.settled_epoch.0.max(1)..begun.epoch.0 {
            entries += drain(context, due, Epoch(epoch), redis).await?;
        }
        Ok::<_, RebuildError>(entries)
    });
    match drained.await {
        Ok(Ok(0)) => {}
        Ok(Ok(entries)) => tracing::info!(sale_id = %due.sale, entries, "the old outbox is in the log"),
        Ok(Err(error)) => {
            tracing::warn!(sale_id = %due.sale, %error, "the old outbox could not be read whole")
        }
        Err(_) => {
            tracing::warn!(sale_id = %due.sale, limit = ?DRAIN_MAX, "the old outbox was too long to drain whole")
        }
    }
}

async fn drain(context: &Context, due: &Due, epoch: Epoch, redis: &Redis) -> Result<u64, RebuildError> {
    let topic = context.topic(&ORDERS);
    let (mut after, mut produced) = (None, 0);
    loop {
        let entries = outbox::read(redis, &due.sale, epoch, after, ENTRIES_MAX).await?;
        let Some(last) = entries.last() else { return Ok(produced) };
        after = Some(last.id);
        let mut answers = Vec::with_capacity(entries.len());
        for entry in &entries {
            match &entry.record {
                Ok(record) => {
                    let message = Message {
                        topic: &topic,
                        partition: Some(due.partition),
                        key: due.sale.as_str(),
                        value: Some(&record.value),
                        headers: &record.headers.encode(),
                    };
                    answers.push(context.producer.send(&message).map_err(RebuildError::Barrier)?);
                }
                Err(why) => {
                    tracing::error!(sale_id = %due.sale, entry = %entry.id, why, "an outbox entry cannot be read");
                }
            }
        }
        for answer in answers {
            answer.await.map_err(RebuildError::Barrier)?;
            produced += 1;
        }
    }
}

/// Appends the barrier, and waits until the log has it.
pub async fn write_barrier(context: &Context, due: &Due, epoch: Epoch) -> Result<(), RebuildError> {
    let barrier = Barrier { sale_id: due.sale.clone(), epoch };
    // A struct of a name and a number always serializes.
    let value = serde_json::to_vec(&barrier).unwrap_or_default();
    let message = Message {
        topic: &context.topic(&ORDERS),
        partition: Some(due.partition),
        key: due.sale.as_str(),
        value: Some(&value),
        headers: &Headers::with_epoch(RecordType::Barrier, epoch).encode(),
    };
    let answer: Result<_, ProduceError> = context.producer.send(&message);
    answer.map_err(RebuildError::Barrier)?.await.map_err(RebuildError::Barrier)?;
    Ok(())
}

/// Waits until the settle loop has applied the barrier. As long as the partition moves, patience is
/// endless: there is only a long way to go.
pub async fn barrier_settled(context: &Context, due: &Due, epoch: Epoch) -> Result<(), RebuildError> {
    let (mut offset, mut moved_at, mut said_at) = (-1, Instant::now(), Instant::now());
    loop {
        {
            let client = context.pool.get().await?;
            let select =
                client.prepare_cached(include_str!("../../../queries/select_settled_epoch.sql")).await?;
            let row = client.query_opt(&select, &[&due.sale.as_str(), &ORDERS.name]).await?;
            let row = row.ok_or(RebuildError::Superseded)?;
            let (settled, newest, now): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
            if newest != epoch.0 as i64 {
                return Err(RebuildError::Superseded);
            }
            if settled >= epoch.0 as i64 {
                return Ok(());
            }
            if now != offset {
                (offset, moved_at) = (now, Instant::now());
            }
        }
        if moved_at.elapsed() > PATIENCE {
            return Err(RebuildError::NotSettled(PATIENCE));
        }
        if said_at.elapsed() > SAY_EVERY {
            said_at = Instant::now();
            tracing::info!(sale_id = %due.sale, partition = due.partition, next_offset = offset, "waiting for the barrier to be settled");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
