//! A snapshot of the system: the parts of `GET /admin/v1/overview` that are displayed.

use contract::ids::SaleId;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Call};
use crate::failure::Failure;

/// The response of `GET /admin/v1/overview`. A value that the gateway could not determine is `None`.
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

/// An overview, decoded and as received: programs get all of it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) overview: Overview,
    pub(crate) raw: Value,
}

impl Snapshot {
    /// Fetches a snapshot of all sales or of one.
    pub(crate) async fn fetch(api: &Api, sale: Option<&SaleId>) -> Result<Self, Failure> {
        let mut raw: Value = api.call(Call::get(&["admin", "v1", "overview"])).await?;
        if let (Some(sale), Some(sales)) = (sale, raw["sales"].as_array_mut()) {
            sales.retain(|shown| shown["sale_id"] == sale.as_str());
        }
        Self::parse(raw)
            .map_err(|error| Failure::UnexpectedResponse { url: api.url().into(), why: error.to_string() })
    }

    pub(crate) fn parse(raw: Value) -> serde_json::Result<Self> {
        let mut overview: Overview = Deserialize::deserialize(&raw)?;
        overview.sales.sort_by_key(|sale| rank(sale.state)); // active sales first
        Ok(Self { overview, raw })
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
    /// Returns the number of unsettled records; `None` if it is unknown for one partition.
    pub(crate) fn lag_records(&self) -> Option<u64> {
        self.log.iter().map(|partition| partition.lag_records).sum()
    }
    /// Returns the age of the oldest unsettled record in seconds.
    pub(crate) fn lag_seconds(&self) -> Option<f64> {
        self.log.iter().try_fold(0.0, |most: f64, partition| Some(most.max(partition.lag_seconds?)))
    }
    /// Returns the number of batches whose hand-off is not acknowledged. Sales that are not ready report none.
    pub(crate) fn outbox_entries(&self) -> u64 {
        self.sales.iter().filter_map(|sale| sale.outbox_entries).sum()
    }
    /// Returns the number of orders in Postgres, of the displayed sales.
    pub(crate) fn orders_settled(&self) -> Option<u64> {
        self.sales.iter().map(|sale| sale.orders_settled).sum()
    }
}
