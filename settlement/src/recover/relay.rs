//! The relay: it produces accepted orders into the log whose gateway has not acknowledged their hand-off.
//!
//! The relay measures the age of an entry itself: an entry is as old as the first time at which this process saw it, or
//! a sequence behind it. No clock is compared with another, a restart only makes entries younger than they are, and
//! polling a healthy outbox costs two small commands. An entry that is already in the log becomes a duplicate there,
//! which settlement drops by its order ids.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId, Sequence};
use contract::record::OutboxId;
use contract::topics::ORDERS;
use lua::outbox::{self, Entry};
use metrics::Gauge;
use process::backoff::Backoff;
use process::kafka::Message;

use super::ready_sales::{self, ReadySale};
use super::rebuild::request::{self, Reason};
use crate::context::Context;
use crate::context::task_error::TaskError;

/// The number of polls per [`RELAY_AFTER_MS`](crate::settings::Settlement::relay_after_ms): an entry is relayed at most
/// one poll interval late.
const POLLS: u32 = 8;
/// The maximum number of entries that are relayed at once.
const ENTRIES_MAX: usize = 100;
/// The longest backoff while Kafka does not respond.
const RETRY_MAX: Duration = Duration::from_secs(5);

process::metrics! {
    static OUTBOX_ENTRIES: Gauge["sale"] = "outbox_entries",
        "Outbox entries in Redis that are not yet removed after the acknowledgement of the log.";
    static OUTBOX_OLD_ENTRIES: Gauge["sale"] = "outbox_old_entries",
        "Outbox entries that are older than RELAY_AFTER_MS: their gateway has not handed them off.";
    static RELAYED: Counter = "outbox_relayed_total",
        "Outbox entries that settlement has produced into the log, because their gateway did not.";
}

struct Relay {
    context: Context,
    topic: String,
    /// The age at which an entry is relayed.
    after: Duration,
}

/// The ages of the entries of an outbox, with its gauges.
struct OutboxAges {
    epoch: Epoch,
    entries: Gauge,
    /// Counts the entries that their gateway should have produced into the log by now.
    old_entries: Gauge,
    /// The next sequence at each poll, oldest first.
    marks: VecDeque<(Instant, Sequence)>,
}

impl OutboxAges {
    fn new(sale: &SaleId, epoch: Epoch) -> Self {
        let entries = OUTBOX_ENTRIES.with([sale.to_string()]);
        let old_entries = OUTBOX_OLD_ENTRIES.with([sale.to_string()]);
        Self { epoch, entries, old_entries, marks: VecDeque::new() }
    }

    /// Returns the sequence below which every entry is older than `after`.
    fn old_below(&mut self, now: Instant, next: Sequence, after: Duration) -> Option<Sequence> {
        self.marks.push_back((now, next));
        let mut old = None;
        while let Some((at, mark)) = self.marks.front().copied()
            && now.duration_since(at) >= after
        {
            old = Some(mark);
            self.marks.pop_front();
        }
        // An old entry remains old: the newest old mark is kept for the next poll.
        if let Some(mark) = old {
            self.marks.push_front((now.checked_sub(after).unwrap_or(now), mark));
        }
        old
    }
}

/// Returns whether an entry is a batch below the mark, or a change that was in the outbox when the mark was set. A change
/// may also have been added a moment later: then it is relayed early, which is harmless.
fn is_old(id: OutboxId, mark: Sequence) -> bool {
    id.first < mark || (id.first == mark && id.orders() == 0)
}

/// Relays until the process stops.
pub async fn run(context: Context) {
    let (topic, after) = (context.topic(&ORDERS), context.settings.settlement.relay_after());
    let stop = context.stop.clone();
    let relay = Relay { context, topic, after };
    let mut outboxes: HashMap<SaleId, OutboxAges> = HashMap::new();
    let mut backoff = Backoff::up_to(RETRY_MAX);
    while stop.run_until_cancelled(tokio::time::sleep(after / POLLS)).await.is_some() {
        match stop.run_until_cancelled(relay.poll(&mut outboxes)).await {
            None => break,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "the relay is interrupted and will be retried");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

impl Relay {
    async fn poll(&self, outboxes: &mut HashMap<SaleId, OutboxAges>) -> Result<(), TaskError> {
        let sales = {
            let client = self.context.pool.get().await?;
            ready_sales::read(&client, &self.context.ownership.current()).await?
        };
        outboxes.retain(|sale, outbox| {
            let is_current = sales.iter().any(|ready| ready.sale == *sale && ready.epoch == outbox.epoch);
            if !is_current {
                outbox.entries.set(0.0);
                outbox.old_entries.set(0.0);
            }
            is_current
        });
        for sale in &sales {
            let ages =
                outboxes.entry(sale.sale.clone()).or_insert_with(|| OutboxAges::new(&sale.sale, sale.epoch));
            let (entries, next) = tokio::try_join!(
                outbox::len(&self.context.redis, &sale.sale, sale.epoch),
                outbox::next_sequence(&self.context.redis, &sale.sale, sale.epoch),
            )?;
            ages.entries.set(entries as f64);
            let Some(next) = next else {
                let client = self.context.pool.get().await?;
                request::request(&client, &sale.sale, sale.epoch, Reason::StateMissing).await?;
                continue;
            };
            match ages.old_below(Instant::now(), next, self.after) {
                Some(mark) if entries > 0 => {
                    self.relay_below(sale, mark, &ages.old_entries).await?;
                }
                _ => ages.old_entries.set(0.0),
            }
        }
        Ok(())
    }

    /// Produces the entries below the mark again, and removes them from the outbox.
    async fn relay_below(
        &self,
        sale: &ReadySale,
        mark: Sequence,
        old_entries: &Gauge,
    ) -> Result<(), TaskError> {
        let mut after = None;
        while self.context.ownership.owns(sale.partition) {
            let entries =
                outbox::read(&self.context.redis, &sale.sale, sale.epoch, after, ENTRIES_MAX).await?;
            let may_have_more = entries.len() == ENTRIES_MAX;
            let old: Vec<Entry> = entries.into_iter().filter(|entry| is_old(entry.id, mark)).collect();
            if after.is_none() {
                old_entries.set(old.len() as f64); // until the next poll, even if they are relayed now
            }
            let Some(last) = old.last() else { return Ok(()) };
            after = Some(last.id);
            let acknowledged = self.produce(sale, &old).await?;
            fault::point!("settlement.after_relay");
            if !acknowledged.is_empty() {
                RELAYED.increment(acknowledged.len() as u64);
                tracing::info!(sale_id = %sale.sale, partition = sale.partition, entries = acknowledged.len(), "relayed outbox entries into the log");
                let removed = outbox::acknowledge(
                    &self.context.redis,
                    &sale.scripts.ack_outbox,
                    &sale.keys,
                    &acknowledged,
                )
                .await;
                request::request_if_lost(&self.context.pool, sale, &removed).await?;
                let _ = removed?; // if the state is lost, there is nothing to remove
            }
            if !may_have_more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Produces entries into the log, and returns the ids of those that it has acknowledged.
    async fn produce(&self, sale: &ReadySale, entries: &[Entry]) -> Result<Vec<OutboxId>, TaskError> {
        let mut sent = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = match &entry.record {
                Ok(record) => record,
                Err(why) => {
                    tracing::error!(sale_id = %sale.sale, entry = %entry.id, why, "an outbox entry cannot be decoded and remains in the outbox");
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
        for (id, acknowledgement) in sent {
            acknowledgement.await?;
            acknowledged.push(id);
        }
        Ok(acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_old_when_a_mark_behind_it_is_old_enough() {
        let sale = SaleId::parse("s").unwrap();
        let mut ages = OutboxAges::new(&sale, Epoch(1));
        let (begun, second, after) = (Instant::now(), Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(ages.old_below(begun, Sequence(10), after), None);
        assert_eq!(ages.old_below(begun + second, Sequence(20), after), None);
        assert_eq!(ages.old_below(begun + 2 * second, Sequence(30), after), Some(Sequence(10)));
        assert_eq!(ages.old_below(begun + 2 * second, Sequence(30), after), Some(Sequence(10)));
        assert_eq!(ages.old_below(begun + 3 * second, Sequence(30), after), Some(Sequence(20)));
        assert!(is_old(OutboxId::batch(Sequence(19), 1), Sequence(20)));
        assert!(!is_old(OutboxId::batch(Sequence(20), 1), Sequence(20)));
        assert!(is_old(OutboxId { first: Sequence(20), low: 0 }, Sequence(20)));
    }
}
