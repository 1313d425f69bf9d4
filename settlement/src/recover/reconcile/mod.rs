//! Compares the stock in Redis with Postgres, unit by unit. The owner of the partition does it, and distinguishes units
//! in flight from drift by proof, never by a timeout.
//!
//! | module            | what it does                                                        |
//! |-------------------|---------------------------------------------------------------------|
//! | [`compare`]       | compares all sales once, with the proof behind the result           |
//! | [`drift_history`] | records how long the same drift has been proven                     |
//!
//! A drift that persists is repaired by a rebuild, which reads everything from Postgres again. An unproven drift is not
//! repaired: while something remains in flight the comparison is inconclusive, and a metric shows it.

pub mod compare;
pub mod drift_history;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use contract::ids::{SaleId, Sku};
use metrics::Gauge;
use process::backoff::Backoff;

use self::compare::{Comparison, compare};
use self::drift_history::DriftHistory;
use super::ready_sales::ReadySale;
use super::rebuild::request::{self, Reason};
use crate::context::Context;
use crate::store::database::DatabaseError;

process::metrics! {
    static RECONCILIATIONS: Counter["sale", "result"] = "reconciliations_total",
        "Comparisons of Redis with Postgres, by result.";
    static SECONDS: Histogram = "reconcile_seconds", "Duration of a comparison of all sales, in seconds.";
    static DRIFT_UNITS: Gauge["sale", "sku"] = "stock_drift_units",
        "Proven surplus (or, below 0, deficit) of units in Redis. It is 0 except for a few seconds.";
    static UNPROVEN_SECONDS: Gauge["sale"] = "reconcile_unproven_seconds",
        "Seconds since the last conclusive comparison of Redis with Postgres.";
}

/// The results of a sale's comparisons so far.
#[derive(Default)]
struct SaleHistory {
    drift_history: DriftHistory,
    proven_at: Option<Instant>,
    unproven_seconds: Option<Gauge>,
    drift_units: BTreeMap<Sku, Gauge>,
}

impl SaleHistory {
    /// Resets the gauges: another process compares the sale now, or it has no state to compare.
    fn clear_gauges(&self) {
        self.drift_units.values().for_each(|drift| drift.set(0.0));
        self.unproven_seconds.iter().for_each(|seconds| seconds.set(0.0));
    }

    fn record(&mut self, sale: &SaleId, comparison: &Comparison, now: Instant) {
        let result = comparison.result();
        RECONCILIATIONS.with([sale.to_string(), result.to_string()]).increment(1);
        if let Comparison::Proven(drifts) = comparison {
            self.proven_at = Some(now);
            for (sku, units) in drifts {
                let register = || DRIFT_UNITS.with([sale.to_string(), sku.to_string()]);
                self.drift_units.entry(sku.clone()).or_insert_with(register).set(*units as f64);
            }
            for (_, former) in self.drift_units.iter().filter(|(sku, _)| !drifts.contains_key(*sku)) {
                former.set(0.0);
            }
        }
        // A sale without a proof counts from its first comparison.
        let unproven = now.duration_since(*self.proven_at.get_or_insert(now)).as_secs_f64();
        let register = || UNPROVEN_SECONDS.with([sale.to_string()]);
        self.unproven_seconds.get_or_insert_with(register).set(unproven);
    }
}

/// Compares the sales of owned partitions until the process stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    let every = context.settings.settlement.reconcile_every();
    let mut histories: HashMap<SaleId, SaleHistory> = HashMap::new();
    let mut backoff = Backoff::default();
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let begun = Instant::now();
        let result = match stop.run_until_cancelled(compare(&context)).await {
            None => break,
            Some(Ok(comparisons)) => process_comparisons(&context, comparisons, &mut histories).await,
            Some(Err(error)) => Err(error),
        };
        match result {
            Ok(()) => {
                SECONDS.record(begun.elapsed());
                backoff.reset();
            }
            Err(error) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "could not compare Redis with Postgres");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

async fn process_comparisons(
    context: &Context,
    comparisons: Vec<(ReadySale, Comparison)>,
    histories: &mut HashMap<SaleId, SaleHistory>,
) -> Result<(), DatabaseError> {
    histories.retain(|sale, history| {
        let is_current = comparisons.iter().any(|(ready, _)| ready.sale == *sale);
        if !is_current {
            history.clear_gauges();
        }
        is_current
    });
    let repair_after = context.settings.settlement.reconcile_repair_after();
    let now = Instant::now();
    for (sale, comparison) in comparisons {
        let history = histories.entry(sale.sale.clone()).or_default();
        history.record(&sale.sale, &comparison, now);
        let reason = match &comparison {
            Comparison::Proven(drifts) => {
                let update = history.drift_history.add(sale.epoch, drifts, now);
                for (sku, units) in &update.new {
                    tracing::warn!(sale_id = %sale.sale, epoch = sale.epoch.0, %sku, units, "the stock in Redis differs from Postgres");
                }
                (update.longest >= repair_after).then_some(Reason::Drift)
            }
            Comparison::StateLost(reason) => Some(*reason),
            Comparison::Inconclusive(_) => None,
        };
        if let Some(reason) = reason {
            let client = context.pool.get().await?;
            request::request(&client, &sale.sale, sale.epoch, reason).await?;
        }
    }
    Ok(())
}
