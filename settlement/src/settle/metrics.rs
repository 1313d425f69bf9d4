//! The metrics of the settle loop.

use std::time::Duration;

use contract::lifecycle::OrderStatus;
use process::walltime;
use rustc_hash::FxHashMap;

use crate::decide::effects::Effects;

/// All reasons for which records become dead letters.
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

process::metrics! {
    static BATCH_ORDERS: Histogram = "settlement_batch_orders", "New orders per transaction.";
    static COMMIT_SECONDS: Histogram = "settlement_commit_seconds",
        "Duration of settling a batch, from its first query to its commit, in seconds.";
    static ORDER_SECONDS: Histogram = "settlement_order_seconds",
        "Time from the acceptance of an order to its commit in Postgres, in seconds.";
    static ORDERS: Counter["status"] = "settlement_orders_total", "Orders by the status that they reached.",
        zero = statuses().map(|status| [status.as_str()]);
    static EXPIRED: Counter = "settlement_expired_total", "Orders cancelled because they were not paid in time.";
    static VOID_ORDERS: Counter = "settlement_void_orders_total",
        "Orders dropped because their epoch had ended before they were settled; no client received a 202 for them.";
    static DUPLICATE_ORDERS: Counter = "settlement_doubled_orders_total",
        "Orders dropped because the log contains them twice.";
    static COMMANDS: Counter["command", "result"] = "settlement_commands_total",
        "Commands (pay, cancel, refund, …), by result.";
    static PAYMENTS: Counter["method", "result"] = "payments_total", "Wallet payments and refunds, by result.";
    static DEAD_LETTERS: Counter["reason"] = "settlement_dead_letters_total",
        "Records of the log that could not be decoded or applied and were stored as dead letters.",
        zero = REASONS.map(|reason| [reason]);
    pub static GUARD_TRIPS: Counter = "settlement_guard_trips_total",
        "Acknowledged records that Postgres rejected. It must be 0.";
}

/// Returns the statuses that an order can reach in settlement.
fn statuses() -> impl Iterator<Item = OrderStatus> {
    OrderStatus::ALL.into_iter().filter(|status| *status != OrderStatus::Processing)
}

/// Records that the decision about a dead letter is committed.
pub fn record_decision(duration: Duration) {
    COMMIT_SECONDS.record(duration.as_secs_f64());
}

/// Records that a batch is committed.
pub fn record_batch(effects: &Effects<'_>, duration: Duration) {
    let orders = effects.orders.order_id.len();
    BATCH_ORDERS.record(orders as f64);
    COMMIT_SECONDS.record(duration.as_secs_f64());
    let now = walltime::now().to_datetime();
    for accepted_at in &effects.orders.accepted_at {
        // A gateway's clock may be ahead of this one.
        ORDER_SECONDS.record((now - *accepted_at).as_seconds_f64().max(0.0));
    }
    let mut reached: FxHashMap<&'static str, u64> = FxHashMap::default();
    reached.insert(OrderStatus::Created.as_str(), orders as u64);
    for status in &effects.moves.status {
        *reached.entry(status.as_str()).or_default() += 1;
    }
    for (status, orders) in reached {
        ORDERS.with([status]).increment(orders);
    }
    EXPIRED.increment(effects.expired_orders);
    for (command, result) in &effects.commands {
        COMMANDS.with([*command, result.as_str()]).increment(1);
    }
    for result in &effects.wallet_payments {
        PAYMENTS.with(["wallet", *result]).increment(1);
    }
    VOID_ORDERS.increment(effects.void_orders);
    DUPLICATE_ORDERS.increment(effects.duplicate_orders);
    for letter in &effects.dead_letters {
        let reason = letter.refusal.reason;
        debug_assert!(REASONS.contains(&reason), "{reason} is not registered at zero");
        DEAD_LETTERS.with([reason]).increment(1);
        tracing::error!(
            sale_id = ?letter.record.sale,
            offset = letter.record.offset,
            reason,
            detail = letter.refusal.detail,
            "stored a record as a dead letter"
        );
    }
}
