//! The metrics of the settle loop.

use std::time::Duration;

use contract::lifecycle::OrderStatus;
use metrics::{Counter, Histogram, counter, histogram};
use process::walltime;
use rustc_hash::FxHashMap;

use crate::decide::effects::Effects;

/// All reasons for which records become dead letters. They are registered at start, so that an alert sees an increase
/// from 0.
const REASONS: [&str; 8] = [
    "unknown_type",
    "unsupported_version",
    "malformed",
    "inconsistent",
    "unknown_sale",
    "unknown_sku",
    "wrong_partition",
    "guard_trip",
];

/// The handles of the metrics.
pub struct SettleMetrics {
    batch_orders: Histogram,
    commit_seconds: Histogram,
    order_seconds: Histogram,
    by_status: Vec<(&'static str, Counter)>,
    expired: Counter,
    void: Counter,
    duplicates: Counter,
    dead_letters: Vec<(&'static str, Counter)>,
    /// The number of records that Postgres rejected. It must stay 0.
    pub guard_trips: Counter,
}

impl SettleMetrics {
    /// Registers the metrics.
    pub fn new() -> Self {
        Self {
            batch_orders: histogram!("settlement_batch_orders"),
            commit_seconds: histogram!("settlement_commit_seconds"),
            order_seconds: histogram!("settlement_order_seconds"),
            by_status: OrderStatus::ALL
                .into_iter()
                .filter(|status| *status != OrderStatus::Processing)
                .map(|status| {
                    (status.as_str(), counter!("settlement_orders_total", "status" => status.as_str()))
                })
                .collect(),
            expired: counter!("settlement_expired_total"),
            void: counter!("settlement_void_orders_total"),
            duplicates: counter!("settlement_doubled_orders_total"),
            dead_letters: REASONS
                .map(|reason| (reason, counter!("settlement_dead_letters_total", "reason" => reason)))
                .to_vec(),
            guard_trips: counter!("settlement_guard_trips_total"),
        }
    }

    /// Records that the decision about a dead letter is committed.
    pub fn record_decision(&self, duration: Duration) {
        self.commit_seconds.record(duration.as_secs_f64());
    }

    /// Records that a batch is committed.
    pub fn record_batch(&self, effects: &Effects<'_>, duration: Duration) {
        let orders = effects.orders.order_id.len();
        self.batch_orders.record(orders as f64);
        self.commit_seconds.record(duration.as_secs_f64());
        let now = walltime::now().to_datetime();
        for accepted_at in &effects.orders.accepted_at {
            // A gateway's clock may be ahead of this one.
            self.order_seconds.record((now - *accepted_at).as_seconds_f64().max(0.0));
        }
        let mut reached: FxHashMap<&str, u64> = FxHashMap::default();
        reached.insert(OrderStatus::Created.as_str(), orders as u64);
        for status in &effects.moves.status {
            *reached.entry(status.as_str()).or_default() += 1;
        }
        for (status, counter) in &self.by_status {
            counter.increment(reached.get(status).copied().unwrap_or(0));
        }
        self.expired.increment(effects.expired_orders);
        for (command, result) in &effects.commands {
            counter!("settlement_commands_total", "command" => *command, "result" => result.as_str())
                .increment(1);
        }
        for result in &effects.wallet_payments {
            counter!("payments_total", "method" => "wallet", "result" => *result).increment(1);
        }
        self.void.increment(effects.void_orders);
        self.duplicates.increment(effects.duplicate_orders);
        for letter in &effects.dead_letters {
            match self.dead_letters.iter().find(|(reason, _)| *reason == letter.refusal.reason) {
                Some((_, counter)) => counter.increment(1),
                None => tracing::error!(reason = letter.refusal.reason, "no counter exists for this reason"),
            }
            tracing::error!(
                sale_id = ?letter.record.sale,
                offset = letter.record.offset,
                reason = letter.refusal.reason,
                detail = letter.refusal.detail,
                "stored a record as a dead letter"
            );
        }
    }
}

impl Default for SettleMetrics {
    fn default() -> Self {
        Self::new()
    }
}
