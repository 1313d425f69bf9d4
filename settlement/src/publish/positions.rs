//! Publishes how far each owned partition is settled, every second, to the topic `sales`. The gateways stop selling
//! when settlement is too far behind, before customers wait for hours. An owner that is dead or partitioned publishes
//! nothing new, which the gateways notice.

use std::time::{Duration, Instant};

use contract::publication::Position;
use contract::topics::SALES;
use contract::wire;
use process::backoff::Backoff;
use process::kafka::{Message, ProduceError};

use crate::context::Context;
use crate::context::log_ends::LagMeasurement;

const EVERY: Duration = Duration::from_secs(1);
/// An older measurement is not published: the lag is not being measured any more.
const AGE_MAX: Duration = Duration::from_secs(3);

/// Publishes the positions until the process stops.
pub async fn run(context: Context) {
    let (stop, topic) = (context.stop.clone(), context.topic(&SALES));
    let mut backoff = Backoff::default();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match stop.run_until_cancelled(publish(&context, &topic)).await {
            None => break,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) if backoff.should_log() => {
                tracing::warn!(%error, "could not publish the positions of the log");
                backoff.advance();
            }
            Some(Err(_)) => drop(backoff.advance()),
        }
    }
}

async fn publish(context: &Context, topic: &str) -> Result<(), ProduceError> {
    let since = Instant::now().checked_sub(AGE_MAX).unwrap_or_else(Instant::now);
    let mut acknowledgements = Vec::new();
    for partition in context.ownership.current().iter().copied() {
        let Some(measurement) = context.log_ends.measurement(partition, since) else { continue };
        let LagMeasurement { next_offset, settled_until, .. } = measurement;
        let position = Position { partition, next_offset, settled_until };
        let value = wire::encode(&position);
        let key = position.key();
        let message = Message { topic, partition: Some(0), key: &key, value: Some(&value), headers: &[] };
        acknowledgements.push(context.producer.send(&message)?);
    }
    for acknowledgement in acknowledgements {
        acknowledgement.await?;
    }
    Ok(())
}
