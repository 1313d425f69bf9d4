//! What settlement's metrics mean.

use process::metric_help::Metric;
use process::metrics_list;

/// Settlement's own.
pub const METRICS: &[Metric] = metrics_list! {
    Gauge "dead_letters_undecided" [""] "Records that could not be applied and wait for an operator's decision.";
    Counter "events_published_total" [""] "Events told on the topics `order-events` and `inventory-events`.";
    Gauge "outbox_entries" ["sale"] "Batches in Redis whose acknowledgement by the log is not known there yet.";
    Gauge "outbox_old_entries" ["sale"] "Of these, those that should have been handed off long ago.";
    Counter "outbox_relayed_total" [""] "Outbox entries that settlement produced again because their gateway did not.";
    Gauge "oversold_units" ["sale,sku"] "Units held or sold beyond the total, by Postgres' own count: 0, always.";
    Counter "payments_total" ["method,result"] "Payments that have ended.";
    Counter "rebuild_failures_total" [""] "Attempts of a rebuild that failed; the next one begins by itself.";
    Counter "rebuild_requests_total" ["reason"] "Rebuilds that were asked for, by what proved that they are needed.";
    Histogram "rebuild_seconds" [""] "What a rebuild of a sale's state in Redis takes.";
    Gauge "rebuilds_running" [""] "Rebuilds that this settler is at.";
    Gauge "reconcile_unproven_seconds" ["sale"] "Since when no comparison of Redis with Postgres could be proven.";
    Histogram "reconcile_seconds" [""] "What a comparison of Redis with Postgres takes.";
    Counter "reconciliations_total" ["sale,result"] "Comparisons of Redis with Postgres.";
    Gauge "sale_epoch" ["sale"] "Grows with each rebuild of the sale's state in Redis.";
    Gauge "sale_ready" ["sale"] "1 while the sale's stock is in Redis, else 0.";
    Gauge "sale_state" ["sale,state"] "1 for the state that the sale is in by its operator's word, 0 for the others.";
    Histogram "settlement_batch_orders" [""] "Orders in a transaction.";
    Counter "settlement_commands_total" ["command,result"] "Commands (pay, cancel, refund, …) that were judged.";
    Histogram "settlement_commit_seconds" [""] "What a transaction takes.";
    Counter "settlement_dead_letters_total" ["reason"] "Records of the log that could not be read or applied and were set aside.";
    Counter "settlement_doubled_orders_total" [""] "Orders that the log had twice; the second is dropped.";
    Counter "settlement_expired_total" [""] "Orders that were cancelled because nobody paid in time.";
    Counter "settlement_guard_trips_total" [""] "Acknowledged orders that Postgres had to refuse: 0, always.";
    Gauge "settlement_lag_records" ["partition"] "Records of the log that are not settled.";
    Gauge "settlement_lag_seconds" ["partition"] "Age of the oldest record that is not settled.";
    Histogram "settlement_order_seconds" [""] "From an order's acceptance to its row.";
    Counter "settlement_orders_total" ["status"] "Orders by the state that they came into.";
    Counter "settlement_releases_total" [""] "Releases of units that were brought back to Redis.";
    Counter "settlement_ticks_total" [""] "Records that tell the time: holds end, goods go on.";
    Counter "settlement_void_orders_total" [""] "Orders of an epoch that had ended, which nobody was told of.";
    Counter "settlement_watermark_ahead_total" [""] "Releases that found Redis ahead of Postgres; the sale is rebuilt.";
    Gauge "stock_drift_units" ["sale,sku"] "What Redis has more (or, below 0, fewer) than it must have, proven: 0 but for seconds.";
    Gauge "stock_units" ["sale,sku,state"] "Units of Postgres: `total`, `available`, `held`, `sold`.";
};
