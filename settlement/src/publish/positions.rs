//! How far each owned partition is settled, told to the gateways: they stop selling before customers wait for
//! hours. Once a second, into the topic `sales`. An owner that is dead, or cut off, tells nothing new, and that
//! is what the gateways notice.

use std::time::{Duration, Instant};

use contract::publication::Position;
use contract::topics::SALES;
use process::kafka::{Message, ProduceError};

use crate::context::Context;
use process::backoff::Backoff;

const EVERY: Duration = Duration::from_secs(1);
/// What was measured longer ago is not worth telling: it is not measured any more.
const FRESH: Duration = Duration::from_secs(3);

/// Tells until the process stops.
pub async fn run(context: Context) {
    let (stop, topic) = (context.stop.clone(), context.topic(&SALES));
    let mut backoff = Backoff::default();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match stop.run_until_cancelled(tell(&context, &topic)).await {
            None => break,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) if backoff.should_log() => {
                tracing::warn!(%error, "how far the log is settled cannot be told");
                backoff.advance();
            }
            Some(Err(_)) => drop(backoff.advance()),
        }
    }
}

async fn tell(context: &Context, topic: &str) -> Result<(), ProduceError> {
    let since = Instant::now().checked_sub(FRESH).unwrap_or_else(Instant::now);
    let mut answers = Vec::new();
    for partition in context.ownership.now().iter().copied() {
        let Some(measured) = context.log_ends.measurement(partition, since) else { continue };
        let Some(settled_until) = measured.settled_until else { continue };
        let position = Position { partition, next_offset: measured.next_offset, settled_until };
        // A struct of numbers and a time always serializes.
        let value = serde_json::to_vec(&position).unwrap_or_default();
        let key = position.key();
        let message = Message { topic, partition: Some(0), key: &key, value: Some(&value), headers: &[] };
        answers.push(context.producer.send(&message)?);
    }
    for answer in answers {
        answer.await?;
    }
    Ok(())
}
