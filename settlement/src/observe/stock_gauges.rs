//! Stock as Postgres has it, once a second, by the owner alone. What Redis has is compared elsewhere
//! ([`crate::recover::reconcile`]), because only a comparison that leaves nothing in flight means anything.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contract::ids::Sku;
use contract::sale::SaleState;
use deadpool_postgres::Pool;
use metrics::{Gauge, gauge};

use crate::context::Context;
use crate::store::database::DatabaseError;

const EVERY: Duration = Duration::from_secs(1);

/// A sale's gauges.
struct SaleGauges {
    epoch: Gauge,
    ready: Gauge,
    states: Vec<(SaleState, Gauge)>,
}

/// A SKU's gauges.
struct SkuGauges {
    /// Total and available; only where units are counted.
    counted: Option<(Gauge, Gauge)>,
    held: Gauge,
    sold: Gauge,
    oversold: Gauge,
}

impl SaleGauges {
    fn new(sale: &str) -> Self {
        let state = |state: SaleState| {
            (state, gauge!("sale_state", "sale" => sale.to_string(), "state" => state.as_str()))
        };
        Self {
            epoch: gauge!("sale_epoch", "sale" => sale.to_string()),
            ready: gauge!("sale_ready", "sale" => sale.to_string()),
            states: SaleState::ALL.into_iter().map(state).collect(),
        }
    }
    fn set(&self, epoch: i64, ready: bool, now: Option<SaleState>) {
        self.epoch.set(epoch as f64);
        self.ready.set(if ready { 1.0 } else { 0.0 });
        for (state, gauge) in &self.states {
            gauge.set(if Some(*state) == now { 1.0 } else { 0.0 });
        }
    }
}

impl SkuGauges {
    fn new(sale: &str, sku: &str) -> Self {
        Self {
            counted: None,
            held: units(sale, sku, "held"),
            sold: units(sale, sku, "sold"),
            oversold: gauge!("oversold_units", "sale" => sale.to_string(), "sku" => sku.to_string()),
        }
    }
    fn set(&mut self, sale: &str, sku: &str, stock: &Stock) {
        if stock.total.is_some() && self.counted.is_none() {
            self.counted = Some((units(sale, sku, "total"), units(sale, sku, "available")));
        }
        if let Some((total, available)) = &self.counted {
            total.set(stock.total.unwrap_or_default() as f64);
            available.set(stock.available().unwrap_or_default() as f64);
        }
        self.held.set(stock.held as f64);
        self.sold.set(stock.sold as f64);
        self.oversold.set(stock.oversold() as f64);
    }
}

fn units(sale: &str, sku: &str, state: &'static str) -> Gauge {
    gauge!("stock_units", "sale" => sale.to_string(), "sku" => sku.to_string(), "state" => state)
}

/// A SKU in Postgres.
#[derive(Debug, Clone, Default)]
struct Stock {
    total: Option<i64>,
    held: i64,
    sold: i64,
    dead_lettered: i64,
}

impl Stock {
    /// `None`: unlimited.
    fn available(&self) -> Option<i64> {
        self.total.map(|total| total - self.held - self.sold - self.dead_lettered)
    }
    fn oversold(&self) -> i64 {
        self.total.map_or(0, |total| (self.held + self.sold - total).max(0))
    }
}

struct Gauges {
    undecided: Gauge,
    sales: HashMap<String, SaleGauges>,
    skus: HashMap<(String, Sku), SkuGauges>,
}

/// Sets the gauges until the process stops.
pub async fn run(context: Context) {
    let Context { pool, ownership, stop, .. } = context;
    let undecided = gauge!("dead_letters_undecided");
    let mut gauges = Gauges { undecided, sales: HashMap::new(), skus: HashMap::new() };
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = refresh(&pool, &ownership.now(), &mut gauges).await {
            tracing::debug!(%error, "stock gauges stand still");
        }
    }
}

async fn refresh(pool: &Pool, owned: &[i32], gauges: &mut Gauges) -> Result<(), DatabaseError> {
    let mut sales: HashSet<String> = HashSet::new();
    let mut items: HashSet<(String, Sku)> = HashSet::new();
    let rows = {
        let client = pool.get().await?;
        let count = client.prepare_cached(include_str!("../../queries/count_undecided.sql")).await?;
        gauges.undecided.set(client.query_one(&count, &[&owned]).await?.get::<_, i64>(0) as f64);
        let select = client.prepare_cached(include_str!("../../queries/select_stock.sql")).await?;
        client.query(&select, &[&owned]).await?
    };
    for row in rows {
        let sale: String = row.get(0);
        if sales.insert(sale.clone()) {
            let of_sale = gauges.sales.entry(sale.clone()).or_insert_with(|| SaleGauges::new(&sale));
            of_sale.set(row.get(2), row.get(8), SaleState::parse(row.get(1)));
        }
        let Some(sku) = row.get::<_, Option<&str>>(3).and_then(|sku| Sku::parse(sku).ok()) else {
            continue;
        };
        let stock =
            Stock { total: row.get(4), held: row.get(5), sold: row.get(6), dead_lettered: row.get(7) };
        let of_sku = gauges
            .skus
            .entry((sale.clone(), sku.clone()))
            .or_insert_with(|| SkuGauges::new(&sale, sku.as_str()));
        of_sku.set(&sale, sku.as_str(), &stock);
        items.insert((sale, sku));
    }
    // Sales that another process owns now, and items that are not offered any more.
    for (_, gone) in gauges.sales.iter().filter(|(sale, _)| !sales.contains(*sale)) {
        gone.set(0, false, None);
    }
    for (item, gone) in gauges.skus.iter_mut().filter(|(item, _)| !items.contains(*item)) {
        gone.set(&item.0, item.1.as_str(), &Stock::default());
    }
    Ok(())
}
