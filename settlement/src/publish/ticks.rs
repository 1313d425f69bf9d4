//! Ticks: the time, as records of the log. When a hold has ended in an owned partition, or a delivery is due, a tick is
//! appended, and the settle loop does what was due when it reaches the tick. So a hold expires in the order of the
//! log: after every command that was acknowledged before the deadline, and exactly once, no matter which process owns
//! the partition by then. A tick of a former owner is harmless.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::record::{Headers, RecordType, Tick};
use contract::topics::ORDERS;
use contract::wire;
use process::backoff::Backoff;
use process::kafka::{Message, ProduceError};
use process::walltime;

use crate::context::Context;
use crate::context::task_error::TaskError;
use crate::queries::SelectDue;

/// The interval at which Postgres is polled for what is due.
const EVERY: Duration = Duration::from_millis(200);

process::metrics! {
    static TICKS: Counter = "settlement_ticks_total",
        "Ticks appended to the log; each expires the holds and advances the deliveries that are due.";
}

/// Appends ticks to the owned partitions until the process stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    // The tick of each partition that is not settled yet: another one would find the same orders.
    let mut pending: BTreeMap<i32, i64> = BTreeMap::new();
    let mut backoff = Backoff::default();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match stop.run_until_cancelled(append_due(&context, &mut pending)).await {
            None => break,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "could not append ticks; retrying");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

async fn append_due(context: &Context, pending: &mut BTreeMap<i32, i64>) -> Result<(), TaskError> {
    let owned = context.ownership.current();
    let is_settled = |partition: i32, offset: i64| {
        context.progress.next_offset(partition).is_some_and(|next| next > offset)
    };
    pending.retain(|partition, offset| owned.contains(partition) && !is_settled(*partition, *offset));
    let idle: Vec<i32> = owned.iter().copied().filter(|partition| !pending.contains_key(partition)).collect();
    if idle.is_empty() {
        return Ok(());
    }
    let tick = Tick { at: walltime::now() };
    let due: Vec<i32> = {
        let client = context.pool.get().await?;
        let select = SelectDue {
            partitions: &idle,
            before: tick.due_before().to_datetime(),
            automatic_delivery: context.settings.delivery.automatic,
        };
        select.fetch(&client).await?.into_iter().map(|row| row.partition).collect()
    };
    for partition in due {
        let offset = append(context, partition, tick).await?;
        pending.insert(partition, offset);
        TICKS.increment(1);
    }
    Ok(())
}

async fn append(context: &Context, partition: i32, tick: Tick) -> Result<i64, ProduceError> {
    let value = wire::encode(&tick);
    let message = Message {
        topic: &context.topic(&ORDERS),
        partition: Some(partition),
        key: "",
        value: Some(&value),
        headers: &Headers::without_epoch(RecordType::Tick).encode(),
    };
    Ok(context.producer.send(&message)?.await?.offset)
}
