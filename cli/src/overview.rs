//! One look at everything that an operator watches, as far as it is shown.

use contract::ids::SaleId;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Call};
use crate::failure::Failure;

/// What `GET /admin/v1/overview` tells. What could not be told there is `None`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Overview {
    pub(crate) time: Timestamp,
    pub(crate) gateway: Gateway,
    pub(crate) log: Vec<Partition>,
    pub(crate) sales: Vec<Sale>,
    pub(crate) dead_letters: Option<u64>,
    #[serde(default)]
    pub(crate) guard_trips: Option<u64>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) id: String,
    pub(crate) started_at: Timestamp,
    pub(crate) accepted_total: u64,
    pub(crate) refused_total: u64,
    pub(crate) failed_total: u64,
    pub(crate) in_flight: u64,
    pub(crate) live_update_streams: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Partition {
    pub(crate) lag_records: Option<u64>,
    pub(crate) lag_seconds: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sale {
    pub(crate) sale_id: SaleId,
    pub(crate) title: String,
    pub(crate) state: SaleState,
    pub(crate) ready: bool,
    pub(crate) epoch: u64,
    pub(crate) outbox_entries: Option<u64>,
    pub(crate) orders_settled: Option<u64>,
    pub(crate) items: Vec<Item>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) total: Option<u64>,
    pub(crate) available: Option<i64>,
    pub(crate) held: Option<i64>,
    pub(crate) sold: Option<i64>,
    pub(crate) drift: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) up: bool,
    #[serde(default)]
    pub(crate) required: bool,
    pub(crate) why: Option<String>,
}

/// A look, and as it was told: programs get it whole.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) seen: Overview,
    pub(crate) told: Value,
}

impl Look {
    /// Looks, at all sales or at one.
    pub(crate) async fn take(api: &Api, sale: Option<&SaleId>) -> Result<Self, Failure> {
        let mut told: Value = api.call(Call::get(&["admin", "v1", "overview"])).await?;
        if let (Some(sale), Some(sales)) = (sale, told["sales"].as_array_mut()) {
            sales.retain(|shown| shown["sale_id"] == sale.as_str());
        }
        Self::of(told).map_err(|error| Failure::Strange { url: api.url().into(), why: error.to_string() })
    }

    pub(crate) fn of(told: Value) -> serde_json::Result<Self> {
        let mut seen: Overview = Deserialize::deserialize(&told)?;
        seen.sales.sort_by_key(|sale| rank(sale.state)); // what goes on comes first
        Ok(Self { seen, told })
    }
}

fn rank(state: SaleState) -> u8 {
    match state {
        SaleState::Open => 0,
        SaleState::Paused => 1,
        SaleState::Closed => 2,
        SaleState::Draft => 3,
    }
}

impl Overview {
    /// Records that are not settled; `None` where one partition cannot tell.
    pub(crate) fn lag_records(&self) -> Option<u64> {
        self.log.iter().map(|partition| partition.lag_records).sum()
    }
    /// How long the oldest of them has waited.
    pub(crate) fn lag_seconds(&self) -> Option<f64> {
        self.log.iter().try_fold(0.0, |most: f64, partition| Some(most.max(partition.lag_seconds?)))
    }
    /// Batches whose hand-off is not acknowledged, of the sales shown; those that are not ready have none to tell.
    pub(crate) fn outbox_entries(&self) -> u64 {
        self.sales.iter().filter_map(|sale| sale.outbox_entries).sum()
    }
    /// Orders that Postgres has, of the sales shown.
    pub(crate) fn orders_settled(&self) -> Option<u64> {
        self.sales.iter().map(|sale| sale.orders_settled).sum()
    }
}
