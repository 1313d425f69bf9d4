//! The end of an epoch: its outbox is drained into the log while its entries still count, and then a barrier is
//! appended, after which every record of the epoch is void.

use std::time::{Duration, Instant};

use contract::ids::Epoch;
use contract::record::{Barrier, Headers, RecordType};
use contract::topics::ORDERS;
use contract::wire;
use lua::{Redis, outbox};
use process::kafka::Message;

use super::error::RebuildError;
use super::{NewEpoch, RebuildTarget};
use crate::context::Context;
use crate::queries::SelectSettledEpoch;

/// The time limit for draining. Draining spares customers a retry; it must not delay the sale.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// The maximum number of entries that are read at once.
const ENTRIES_MAX: usize = 100;
/// The interval at which Postgres is polled for the barrier.
const POLL_EVERY: Duration = Duration::from_millis(15);
/// The attempt fails when the partition of the barrier has made no progress for this duration.
const STALL_MAX: Duration = Duration::from_secs(30);
/// The interval at which the progress of the partition is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Produces the entries that remain in the outboxes of ended epochs, independently of their age. No client was promised
/// an order that Redis has lost.
pub async fn drain_outboxes(context: &Context, target: &RebuildTarget, new: &NewEpoch, redis: &Redis) {
    let drained = tokio::time::timeout(DRAIN_MAX, async {
        let mut entries = 0;
        // Entries of epochs below the highest settled barrier are already void.
        for epoch in new.settled_epoch.0.max(1)..new.epoch.0 {
            entries += drain_outbox(context, target, Epoch(epoch), redis).await?;
        }
        Ok::<_, RebuildError>(entries)
    });
    match drained.await {
        Ok(Ok(0)) => {}
        Ok(Ok(entries)) => {
            tracing::info!(sale_id = %target.sale, entries, "drained the old outbox into the log");
        }
        Ok(Err(error)) => {
            tracing::warn!(sale_id = %target.sale, %error, "could not drain the old outbox completely");
        }
        Err(_) => {
            tracing::warn!(sale_id = %target.sale, limit = ?DRAIN_MAX, "could not drain the old outbox within the time limit");
        }
    }
}

async fn drain_outbox(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
    redis: &Redis,
) -> Result<u64, RebuildError> {
    let topic = context.topic(&ORDERS);
    let (mut after, mut produced) = (None, 0);
    loop {
        let entries = outbox::read(redis, &target.sale, epoch, after, ENTRIES_MAX).await?;
        let Some(last) = entries.last() else { return Ok(produced) };
        after = Some(last.id);
        let mut acknowledgements = Vec::with_capacity(entries.len());
        for entry in &entries {
            match &entry.record {
                Ok(record) => {
                    let message = Message {
                        topic: &topic,
                        partition: Some(target.partition),
                        key: target.sale.as_str(),
                        value: Some(&record.value),
                        headers: &record.headers.encode(),
                    };
                    let acknowledgement = context.producer.send(&message).map_err(RebuildError::Barrier)?;
                    acknowledgements.push(acknowledgement);
                }
                Err(why) => {
                    tracing::error!(sale_id = %target.sale, entry = %entry.id, why, "an outbox entry cannot be decoded");
                }
            }
        }
        for acknowledgement in acknowledgements {
            acknowledgement.await.map_err(RebuildError::Barrier)?;
            produced += 1;
        }
    }
}

/// Appends the barrier, and waits until the log has acknowledged it. Returns an offset at or behind it: after a restore,
/// the log may have an older barrier of the same epoch, and only this one is behind the records that must be settled.
pub async fn write_barrier(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
) -> Result<i64, RebuildError> {
    let barrier = Barrier { sale_id: target.sale.clone(), epoch };
    let value = wire::encode(&barrier);
    let message = Message {
        topic: &context.topic(&ORDERS),
        partition: Some(target.partition),
        key: target.sale.as_str(),
        value: Some(&value),
        headers: &Headers::with_epoch(RecordType::Barrier, epoch).encode(),
    };
    let acknowledgement = context.producer.send(&message).map_err(RebuildError::Barrier)?;
    let acknowledged = acknowledgement.await.map_err(RebuildError::Barrier)?;
    if acknowledged.offset >= 0 {
        return Ok(acknowledged.offset);
    }
    // A repeated message is acknowledged without its offset. It lies below the end of the log.
    let end = context.log_ends.end_after(target.partition, Instant::now(), STALL_MAX).await;
    end.map(|end| end - 1).ok_or(RebuildError::NotSettled(STALL_MAX))
}

/// Waits until the settle loop has applied the barrier at this offset. There is no time limit while the partition makes progress: then
/// it only has a large backlog.
pub async fn wait_until_settled(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
    barrier: i64,
) -> Result<(), RebuildError> {
    let (mut offset, mut moved_at, mut logged_at) = (-1, Instant::now(), Instant::now());
    loop {
        {
            let client = context.pool.get().await?;
            let select = SelectSettledEpoch { sale_id: &target.sale, topic: ORDERS.name };
            let row = select.fetch(&client).await?.ok_or(RebuildError::Superseded)?;
            if row.epoch != epoch {
                return Err(RebuildError::Superseded);
            }
            if row.settled_epoch >= epoch && row.next_offset > barrier {
                return Ok(());
            }
            if row.next_offset != offset {
                (offset, moved_at) = (row.next_offset, Instant::now());
            }
        }
        if moved_at.elapsed() > STALL_MAX {
            return Err(RebuildError::NotSettled(STALL_MAX));
        }
        if logged_at.elapsed() > LOG_EVERY {
            logged_at = Instant::now();
            tracing::info!(sale_id = %target.sale, partition = target.partition, next_offset = offset, "waiting for the barrier to be settled");
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}
