//! Gauges of the stock and the states of sales in Postgres, refreshed every second by the owner alone. The stock in
//! Redis is compared elsewhere ([`crate::recover::reconcile`]), because only a comparison with nothing in flight is
//! meaningful.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contract::ids::{Epoch, Sku};
use contract::sale::SaleState;
use deadpool_postgres::Pool;
use metrics::Gauge;

use crate::context::Context;
use crate::queries::{CountUndecided, SelectStock};
use crate::store::database::DatabaseError;

const EVERY: Duration = Duration::from_secs(1);

process::metrics! {
    static UNDECIDED: Gauge = "dead_letters_undecided", "Dead letters of owned partitions that await an operator's decision.";
    static SALE_EPOCH: Gauge["sale"] = "sale_epoch", "The epoch of the sale; it grows with each rebuild of its state in Redis.";
    static SALE_READY: Gauge["sale"] = "sale_ready", "1 while the stock of the sale is ready in Redis, otherwise 0.";
    static SALE_STATE: Gauge["sale", "state"] = "sale_state",
        "1 for the state that an operator has set for the sale, 0 for the other states.";
    static STOCK_UNITS: Gauge["sale", "sku", "state"] = "stock_units",
        "Units in Postgres: `total`, `available`, `held`, `sold`.";
    static OVERSOLD_UNITS: Gauge["sale", "sku"] = "oversold_units",
        "Units held or sold beyond the total, counted in Postgres. It must be 0.";
}

/// The gauges of a sale.
struct SaleGauges {
    epoch: Gauge,
    ready: Gauge,
    states: Vec<(SaleState, Gauge)>,
}

/// The gauges of a SKU.
struct SkuGauges {
    /// The total and the available units; `None` for an unlimited SKU.
    limited: Option<(Gauge, Gauge)>,
    held: Gauge,
    sold: Gauge,
    oversold: Gauge,
}

impl SaleGauges {
    fn register(sale: &str) -> Self {
        let state =
            |state: SaleState| (state, SALE_STATE.with([sale.to_string(), state.as_str().to_string()]));
        Self {
            epoch: SALE_EPOCH.with([sale.to_string()]),
            ready: SALE_READY.with([sale.to_string()]),
            states: SaleState::ALL.into_iter().map(state).collect(),
        }
    }
    fn set(&self, epoch: Epoch, ready: bool, current: Option<SaleState>) {
        self.epoch.set(epoch.0 as f64);
        self.ready.set(if ready { 1.0 } else { 0.0 });
        for (state, gauge) in &self.states {
            gauge.set(if Some(*state) == current { 1.0 } else { 0.0 });
        }
    }
}

impl SkuGauges {
    fn register(sale: &str, sku: &str) -> Self {
        Self {
            limited: None,
            held: units_gauge(sale, sku, "held"),
            sold: units_gauge(sale, sku, "sold"),
            oversold: OVERSOLD_UNITS.with([sale.to_string(), sku.to_string()]),
        }
    }
    fn set(&mut self, sale: &str, sku: &str, stock: &Stock) {
        if stock.total.is_some() && self.limited.is_none() {
            self.limited = Some((units_gauge(sale, sku, "total"), units_gauge(sale, sku, "available")));
        }
        if let Some((total, available)) = &self.limited {
            total.set(stock.total.unwrap_or_default() as f64);
            available.set(stock.available().unwrap_or_default() as f64);
        }
        self.held.set(stock.held as f64);
        self.sold.set(stock.sold as f64);
        self.oversold.set(stock.oversold() as f64);
    }
}

fn units_gauge(sale: &str, sku: &str, state: &str) -> Gauge {
    STOCK_UNITS.with([sale, sku, state].map(str::to_string))
}

/// The stock of a SKU in Postgres.
#[derive(Debug, Clone, Default)]
struct Stock {
    /// `None` for an unlimited SKU.
    total: Option<i64>,
    held: i64,
    sold: i64,
    dead_lettered: i64,
}

impl Stock {
    fn available(&self) -> Option<i64> {
        self.total.map(|total| total - self.held - self.sold - self.dead_lettered)
    }
    fn oversold(&self) -> i64 {
        self.total.map_or(0, |total| (self.held + self.sold - total).max(0))
    }
}

#[derive(Default)]
struct Gauges {
    sales: HashMap<String, SaleGauges>,
    skus: HashMap<(String, Sku), SkuGauges>,
}

/// Refreshes the gauges until the process stops.
pub async fn run(context: Context) {
    let Context { pool, ownership, stop, .. } = context;
    let mut gauges = Gauges::default();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = refresh(&pool, &ownership.current(), &mut gauges).await {
            tracing::debug!(%error, "could not refresh the stock gauges");
        }
    }
}

async fn refresh(pool: &Pool, owned: &[i32], gauges: &mut Gauges) -> Result<(), DatabaseError> {
    let mut sales: HashSet<String> = HashSet::new();
    let mut items: HashSet<(String, Sku)> = HashSet::new();
    let rows = {
        let client = pool.get().await?;
        UNDECIDED.set(CountUndecided { partitions: owned }.fetch(&client).await?.letters as f64);
        SelectStock { partitions: owned }.fetch(&client).await?
    };
    for row in rows {
        let sale = row.sale_id.to_string();
        if sales.insert(sale.clone()) {
            let sale_gauges = gauges.sales.entry(sale.clone()).or_insert_with(|| SaleGauges::register(&sale));
            sale_gauges.set(row.epoch, row.ready, Some(row.state));
        }
        let (Some(sku), Some(held), Some(sold), Some(dead_lettered)) =
            (row.sku, row.held, row.sold, row.dead_lettered)
        else {
            continue; // the sale offers nothing
        };
        let stock = Stock { total: row.total, held, sold, dead_lettered };
        let sku_gauges = gauges
            .skus
            .entry((sale.clone(), sku.clone()))
            .or_insert_with(|| SkuGauges::register(&sale, sku.as_str()));
        sku_gauges.set(&sale, sku.as_str(), &stock);
        items.insert((sale, sku));
    }
    // Another process owns these sales now, or these items are no longer offered.
    for (_, former) in gauges.sales.iter().filter(|(sale, _)| !sales.contains(*sale)) {
        former.set(Epoch(0), false, None);
    }
    for (item, former) in gauges.skus.iter_mut().filter(|(item, _)| !items.contains(*item)) {
        former.set(&item.0, item.1.as_str(), &Stock::default());
    }
    Ok(())
}
