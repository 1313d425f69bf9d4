//! The relay: accepted orders whose hand-off nobody has acknowledged are produced again.
//!
//! An entry's age is measured here: it is as old as the moment at which this process saw it, or the
//! sequence behind it, for the first time. No clock is compared with another, a restart only makes
//! entries younger than they are, and a healthy outbox costs two small commands a look. An entry that is
//! in the log already becomes a double there, which settlement drops by its order ids.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId, Sequence};
use contract::record::OutboxId;
use contract::topics::ORDERS;
use lua::RedisError;
use lua::outbox::{self, Entry};
use metrics::{Counter, Gauge, counter, gauge};
use process::kafka::{Message, ProduceError};

use crate::context::Context;
use crate::recover::ready_sales::{self, ReadySale};
use crate::recover::rebuild::request::{self, Reason};
use crate::store::database::DatabaseError;
use process::backoff::Backoff;

/// Looks per [`RELAY_AFTER_MS`](crate::settings::Settlement::relay_after_ms): an entry is relayed at most
/// one part of it late.
const LOOKS: u32 = 8;
/// Entries that are relayed at once.
const ENTRIES_MAX: usize = 100;
/// Longest pause while the log does not answer.
const RETRY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    #[error("the log: {0}")]
    Produce(#[from] ProduceError),
}

/// The relay of one process.
struct Relay {
    context: Context,
    topic: String,
    /// The age at which an entry is relayed.
    after: Duration,
}

/// What is remembered of an outbox.
struct Watch {
    epoch: Epoch,
    entries: Gauge,
    /// Entries that their gateway should have brought into the log by now.
    old: Gauge,
    /// When which sequence was the next one, oldest first.
    marks: VecDeque<(Instant, Sequence)>,
}

impl Watch {
    fn new(sale: &SaleId, epoch: Epoch) -> Self {
        let entries = gauge!("outbox_entries", "sale" => sale.to_string());
        let old = gauge!("outbox_old_entries", "sale" => sale.to_string());
        Self { epoch, entries, old, marks: VecDeque::new() }
    }

    /// The sequence below which every entry is older than `after`.
    fn old_below(&mut self, now: Instant, next: Sequence, after: Duration) -> Option<Sequence> {
        self.marks.push_back((now, next));
        let mut old = None;
        while let Some((at, mark)) = self.marks.front().copied()
            && now.duration_since(at) >= after
        {
            old = Some(mark);
            self.marks.pop_front();
        }
        // What was old stays old: the newest old mark is kept for the next look.
        if let Some(mark) = old {
            self.marks.push_front((now.checked_sub(after).unwrap_or(now), mark));
        }
        old
    }
}

/// A batch below the mark, or a change that stood there when the mark was taken (or a moment later: then
/// it is relayed early, which is harmless).
fn is_old(id: OutboxId, mark: Sequence) -> bool {
    id.first < mark || (id.first == mark && id.orders() == 0)
}

/// Relays until the process stops.
pub async fn run(context: Context) {
    let (topic, after) = (context.topic(&ORDERS), context.settings.settlement.relay_after());
    let stop = context.stop.clone();
    let relay = Relay { context, topic, after };
    let mut watches: HashMap<SaleId, Watch> = HashMap::new();
    let relayed = counter!("outbox_relayed_total");
    let mut backoff = Backoff::up_to(RETRY_MAX);
    while stop.run_until_cancelled(tokio::time::sleep(after / LOOKS)).await.is_some() {
        match stop.run_until_cancelled(relay.look(&mut watches, &relayed)).await {
            None => break,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "the relay pauses");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

impl Relay {
    async fn look(&self, watches: &mut HashMap<SaleId, Watch>, relayed: &Counter) -> Result<(), Error> {
        let sales = {
            let client = self.context.pool.get().await.map_err(DatabaseError::from)?;
            ready_sales::read(&client, &self.context.ownership.now()).await?
        };
        watches.retain(|sale, watch| {
            let here = sales.iter().any(|ready| ready.sale == *sale && ready.epoch == watch.epoch);
            if !here {
                watch.entries.set(0.0);
                watch.old.set(0.0);
            }
            here
        });
        for sale in &sales {
            let watch =
                watches.entry(sale.sale.clone()).or_insert_with(|| Watch::new(&sale.sale, sale.epoch));
            let (waiting, next) = tokio::try_join!(
                outbox::len(&self.context.redis, &sale.sale, sale.epoch),
                outbox::next_sequence(&self.context.redis, &sale.sale, sale.epoch),
            )?;
            watch.entries.set(waiting as f64);
            let Some(next) = next else {
                let client = self.context.pool.get().await.map_err(DatabaseError::from)?;
                request::request(&client, &sale.sale, sale.epoch, Reason::StateMissing).await?;
                continue;
            };
            let old = watch.old_below(Instant::now(), next, self.after);
            match old {
                Some(old) if waiting > 0 => self.relay(sale, old, &watch.old, relayed).await?,
                _ => watch.old.set(0.0),
            }
        }
        Ok(())
    }

    /// Produces the entries below the mark again and takes them out of the outbox.
    async fn relay(
        &self,
        sale: &ReadySale,
        mark: Sequence,
        found: &Gauge,
        relayed: &Counter,
    ) -> Result<(), Error> {
        let mut after = None;
        while self.context.ownership.holds(sale.partition) {
            let entries =
                outbox::read(&self.context.redis, &sale.sale, sale.epoch, after, ENTRIES_MAX).await?;
            let more = entries.len() == ENTRIES_MAX;
            let old: Vec<Entry> = entries.into_iter().filter(|entry| is_old(entry.id, mark)).collect();
            if after.is_none() {
                found.set(old.len() as f64); // until the next look, whatever becomes of them
            }
            let Some(last) = old.last() else { return Ok(()) };
            after = Some(last.id);
            let mut sent = Vec::with_capacity(old.len());
            for entry in &old {
                let record = match &entry.record {
                    Ok(record) => record,
                    Err(why) => {
                        tracing::error!(sale_id = %sale.sale, entry = %entry.id, why, "an outbox entry cannot be read: it stays");
                        continue;
                    }
                };
                let message = Message {
                    topic: &self.topic,
                    partition: Some(sale.partition),
                    key: sale.sale.as_str(),
                    value: Some(&record.value),
                    headers: &record.headers.encode(),
                };
                sent.push((entry.id, self.context.producer.send(&message)?));
            }
            let mut acknowledged = Vec::with_capacity(sent.len());
            for (id, answer) in sent {
                answer.await?;
                acknowledged.push(id);
            }
            fault::point!("settlement.after_relay");
            if !acknowledged.is_empty() {
                relayed.increment(acknowledged.len() as u64);
                tracing::info!(sale_id = %sale.sale, partition = sale.partition, entries = acknowledged.len(), "relayed");
                let forgotten = outbox::acknowledge(
                    &self.context.redis,
                    &sale.scripts.ack_outbox,
                    &sale.keys,
                    &acknowledged,
                )
                .await;
                request::request_if_lost(&self.context.pool, sale, &forgotten).await?;
                let _ = forgotten?; // lost: nothing to forget then
            }
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_old_when_a_mark_behind_it_is_old_enough() {
        let sale = SaleId::parse("s").unwrap();
        let mut watch = Watch::new(&sale, Epoch(1));
        let (begun, second, after) = (Instant::now(), Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(watch.old_below(begun, Sequence(10), after), None);
        assert_eq!(watch.old_below(begun + second, Sequence(20), after), None);
        assert_eq!(watch.old_below(begun + 2 * second, Sequence(30), after), Some(Sequence(10)));
        assert_eq!(watch.old_below(begun + 2 * second, Sequence(30), after), Some(Sequence(10)));
        assert_eq!(watch.old_below(begun + 3 * second, Sequence(30), after), Some(Sequence(20)));
        assert!(is_old(OutboxId::batch(Sequence(19), 1), Sequence(20)));
        assert!(!is_old(OutboxId::batch(Sequence(20), 1), Sequence(20)));
        assert!(is_old(OutboxId { first: Sequence(20), low: 0 }, Sequence(20)));
    }
}
