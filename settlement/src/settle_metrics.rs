//! What the settle loop counts.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use crate::effects::Effects;

/// Handles, looked up once.
pub struct Metrics {
    batch_orders: Histogram,
    commit_seconds: Histogram,
    created: Counter,
    void: Counter,
    doubled: Counter,
    /// Records that Postgres refused: this must stay 0.
    pub guard_trips: Counter,
}

impl Metrics {
    /// Registers them.
    pub fn new() -> Self {
        Self {
            batch_orders: histogram!("settlement_batch_orders"),
            commit_seconds: histogram!("settlement_commit_seconds"),
            created: counter!("settlement_orders_total", "status" => "created"),
            void: counter!("settlement_void_orders_total"),
            doubled: counter!("settlement_doubled_orders_total"),
            guard_trips: counter!("settlement_guard_trips_total"),
        }
    }

    /// A batch is in Postgres.
    pub fn committed(&self, effects: &Effects<'_>, took: Duration) {
        let orders = effects.orders.order_id.len();
        self.batch_orders.record(orders as f64);
        self.commit_seconds.record(took.as_secs_f64());
        self.created.increment(orders as u64);
        self.void.increment(effects.void_orders);
        self.doubled.increment(effects.doubled_orders);
        for letter in &effects.dead_letters {
            // Rare, and its label is only known now: looked up.
            counter!("settlement_dead_letters_total", "reason" => letter.refusal.reason).increment(1);
            tracing::error!(
                sale_id = ?letter.record.sale,
                offset = letter.record.offset,
                reason = letter.refusal.reason,
                detail = letter.refusal.detail,
                "dead letter"
            );
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
