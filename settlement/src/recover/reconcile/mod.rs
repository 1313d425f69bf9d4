//! Redis compared with Postgres, unit by unit, by the owner of the partition: what is only in flight is told
//! from drift by proof, never by waiting and hoping.
//!
//! | module      | what it does                                                        |
//! |-------------|---------------------------------------------------------------------|
//! | [`compare`] | one comparison of all sales, and the proof behind it                |
//! | [`drift_history`] | how long the same drift has been proven                             |
//!
//! A drift that lasts is repaired by a rebuild, which takes everything from Postgres anew. What is not proven
//! is not repaired: where something stays in flight there is no verdict, and that is what is shown.

pub mod compare;
pub mod drift_history;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use contract::ids::{SaleId, Sku};
use metrics::{Gauge, counter, gauge, histogram};

use self::compare::{Verdict, compare};
use self::drift_history::DriftHistory;
use crate::context::Context;
use crate::recover::ready_sales::ReadySale;
use crate::recover::rebuild::request::{self, Reason};
use crate::store::database::DatabaseError;
use process::backoff::Backoff;

/// What is known of a sale from comparisons so far.
#[derive(Default)]
struct Known {
    lasting: DriftHistory,
    proven_at: Option<Instant>,
    since_proof: Option<Gauge>,
    drifts: BTreeMap<Sku, Gauge>,
}

impl Known {
    /// Another process compares it now, or there is nothing to compare.
    fn leave(&self) {
        self.drifts.values().for_each(|drift| drift.set(0.0));
        self.since_proof.iter().for_each(|seconds| seconds.set(0.0));
    }

    fn show(&mut self, sale: &SaleId, verdict: &Verdict, now: Instant) {
        counter!("reconciliations_total", "sale" => sale.to_string(), "result" => verdict.result())
            .increment(1);
        if let Verdict::Proven(drifts) = verdict {
            self.proven_at = Some(now);
            for (sku, units) in drifts {
                let new =
                    || gauge!("stock_drift_units", "sale" => sale.to_string(), "sku" => sku.to_string());
                self.drifts.entry(sku.clone()).or_insert_with(new).set(*units as f64);
            }
            for (_, gone) in self.drifts.iter().filter(|(sku, _)| !drifts.contains_key(*sku)) {
                gone.set(0.0);
            }
        }
        // From the first comparison on, where nothing was ever proven.
        let since = now.duration_since(*self.proven_at.get_or_insert(now)).as_secs_f64();
        let new = || gauge!("reconcile_unproven_seconds", "sale" => sale.to_string());
        self.since_proof.get_or_insert_with(new).set(since);
    }
}

/// Compares the sales of owned partitions until the process stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    let every = context.settings.settlement.reconcile_every();
    let seconds = histogram!("reconcile_seconds");
    let mut known: HashMap<SaleId, Known> = HashMap::new();
    let mut backoff = Backoff::default();
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let begun = Instant::now();
        let result = match stop.run_until_cancelled(compare(&context)).await {
            None => break,
            Some(Ok(verdicts)) => judge(&context, verdicts, &mut known).await,
            Some(Err(error)) => Err(error),
        };
        match result {
            Ok(()) => {
                seconds.record(begun.elapsed());
                backoff.reset();
            }
            Err(error) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "Redis and Postgres cannot be compared");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

async fn judge(
    context: &Context,
    verdicts: Vec<(ReadySale, Verdict)>,
    known: &mut HashMap<SaleId, Known>,
) -> Result<(), DatabaseError> {
    known.retain(|sale, known| {
        let here = verdicts.iter().any(|(ready, _)| ready.sale == *sale);
        if !here {
            known.leave();
        }
        here
    });
    let repair_after = context.settings.settlement.reconcile_repair_after();
    let now = Instant::now();
    for (sale, verdict) in verdicts {
        let this = known.entry(sale.sale.clone()).or_default();
        this.show(&sale.sale, &verdict, now);
        let reason = match &verdict {
            Verdict::Proven(drifts) => {
                let found = this.lasting.proven(sale.epoch, drifts, now);
                for (sku, units) in &found.new {
                    tracing::warn!(sale_id = %sale.sale, epoch = sale.epoch.0, %sku, units, "Redis holds other stock than Postgres");
                }
                (found.longest >= repair_after).then_some(Reason::Drift)
            }
            Verdict::Lost(reason) => Some(*reason),
            Verdict::Open(_) => None,
        };
        if let Some(reason) = reason {
            let client = context.pool.get().await?;
            request::request(&client, &sale.sale, sale.epoch, reason).await?;
        }
    }
    Ok(())
}
