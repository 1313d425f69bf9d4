//! The overview of a sale in progress: this gateway's responses, the lag of settlement, the stock, and every failure
//! with its reason.
//!
//! It is requested at the worst time and by all operators at once. Therefore all requests within 500 ms share one
//! result, which costs one query, one request to the log, and one small Redis command per sale. No part waits longer
//! than [`PART_MAX`]. A value that is unavailable then is null with a reason, never a guess.

mod database_snapshot;
mod log_ends;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::ids::{Epoch, SaleId, Sku};
use contract::problem::Code;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use contract::wire;
use futures_util::future::join_all;
use hyper::StatusCode;
use process::walltime;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::http::response::{Response, encoded_json};
use crate::live::registry::Registry;
use crate::metrics::Requests;
use crate::metrics::outcome;
use crate::order::backpressure;
use crate::order::in_flight::InFlight;
use crate::order::place::ENDPOINT as PLACE_ORDER;
use crate::order::sale_queue::SaleQueues;
use crate::sales::lease::Lease;
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;
use database_snapshot::{ItemRow, SaleRow, Settled};
use deadpool_postgres::Pool;
use log_ends::LogEnds;
use lua::Redis;
use process::health::Health;

/// A result is shared by all requests within this time after collecting it started.
const SHARED_FOR: Duration = Duration::from_millis(500);
/// The time limit of each part of the overview.
const PART_MAX: Duration = Duration::from_millis(400);

/// The response. Totals count from the gateway's start, so that two results yield rates.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Overview")]
pub struct Body {
    /// When collecting the overview started.
    pub time: Timestamp,
    /// The responding gateway.
    pub gateway: GatewayNow,
    /// The log's partitions that carry sales.
    pub log: Vec<PartitionNow>,
    /// All sales including drafts; while Postgres is down, those that this gateway has read.
    pub sales: Vec<SaleNow>,
    /// The number of undecided dead letters.
    pub dead_letters: Option<u64>,
    /// The number of acknowledged orders that Postgres had to reject; more than 0 is an alarm.
    pub guard_trips: Option<u64>,
    /// The dependencies as in `/health/ready`.
    pub dependencies: Vec<DependencyNow>,
    /// The services that could not be read, with the reason: it explains the values that are null.
    pub why: BTreeMap<&'static str, String>,
}

/// The gateway's counts of order requests since its start.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GatewayNow {
    /// The name of the gateway.
    pub id: String,
    /// When the gateway started.
    pub started_at: Timestamp,
    /// Accepted orders (202).
    pub accepted_total: u64,
    /// Replayed 202 responses.
    pub replayed_total: u64,
    /// Refused requests (4xx).
    pub refused_total: u64,
    /// Requests that failed or whose outcome is unknown (5xx).
    pub failed_total: u64,
    /// Refusals and failures by their code.
    pub refusals: BTreeMap<&'static str, u64>,
    /// The number of order requests in progress.
    pub in_flight: u64,
    /// The number of open live update streams.
    pub live_update_streams: u64,
    /// The settlement lag above which new orders are refused, in seconds.
    pub admission_lag_seconds_max: u64,
}

/// The settlement lag of a partition of the log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PartitionNow {
    /// The number of the partition.
    pub partition: i32,
    /// The number of records that are not settled.
    pub lag_records: Option<u64>,
    /// The upper bound of the oldest unsettled record's age; owners publish their position once a second.
    pub lag_seconds: Option<f64>,
}

/// The current state of a sale.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SaleNow {
    /// The sale ID.
    pub sale_id: SaleId,
    /// The title for people.
    pub title: String,
    /// The state set by the operator.
    pub state: SaleState,
    /// Whether the sale's state in Redis is ready for orders.
    pub ready: bool,
    /// The epoch of the newest rebuild.
    pub epoch: Epoch,
    /// The partition of the log that carries it.
    pub partition: i32,
    /// The number of batches whose hand-off is not acknowledged.
    pub outbox_entries: Option<u64>,
    /// The number of unsettled records in the sale's partition.
    pub lag_records: Option<u64>,
    /// The number of orders stored in Postgres.
    pub orders_settled: Option<u64>,
    /// The items of the sale.
    pub items: Vec<ItemNow>,
}

/// The stock of an item.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ItemNow {
    /// The SKU of the item.
    pub sku: String,
    /// The name for people.
    pub name: String,
    /// The total number of units; `null` means unlimited.
    pub total: Option<u64>,
    /// The available units by Postgres, or by Redis while Postgres is down. Negative only after an alarm.
    pub available: Option<i64>,
    /// The available units in Redis.
    pub redis_available: Option<i64>,
    /// The units of unpaid orders.
    pub held: Option<i64>,
    /// The units of paid orders.
    pub sold: Option<i64>,
    /// The units of undecided dead letters.
    pub dead_lettered: Option<i64>,
    /// Redis minus Postgres: the units in transit during a sale, and 0 at rest.
    pub drift: Option<i64>,
}

/// The state of a dependency.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DependencyNow {
    /// The name of the dependency.
    pub name: &'static str,
    /// Whether the dependency is up.
    pub up: bool,
    /// Whether the gateway requires the dependency to be ready.
    pub required: bool,
    /// The reason if the dependency is down.
    pub why: Option<String>,
}

/// The cached overview, and the state that only the overview needs.
pub struct Overview {
    id: String,
    started_at: Timestamp,
    ends: LogEnds,
    /// The latest overview. The lock is held while a new one is collected, so that concurrent requests wait for it
    /// and share it.
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Overview {
    /// Creates the state for a gateway with this name; `log` is the name of the topic.
    pub fn new(name: &str, brokers: &str, log: String) -> Self {
        let ends = LogEnds::new(name, brokers, log);
        Self { id: name.into(), started_at: walltime::now(), ends, last: Mutex::default() }
    }
}

/// The sources from which the overview is collected.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// This gateway's identity and the cached overview.
    pub overview: &'a Overview,
    /// The published sales and settled positions.
    pub leases: &'a Leases,
    /// The stock caches.
    pub queues: &'a SaleQueues,
    /// The Redis that stores the outboxes.
    pub redis: &'a Redis,
    /// The connection pool for operators.
    pub pool: &'a Pool,
    /// The state of the dependencies.
    pub health: &'a Health,
    /// The counts of this gateway's responses.
    pub requests: &'a Requests,
    /// The orders that are being processed.
    pub in_flight: &'a InFlight,
    /// The open streams.
    pub live: &'a Registry,
    /// The lag of settlement beyond which new orders are refused.
    pub lag_max: Duration,
}

/// Handles `GET /admin/v1/overview`.
pub(crate) async fn show(sources: Sources<'_>) -> Response {
    let mut last = sources.overview.last.lock().await;
    if let Some((started, body)) = &*last
        && started.elapsed() < SHARED_FOR
    {
        return encoded_json(StatusCode::OK, body.clone());
    }
    let started = Instant::now();
    let overview = collect(sources).await;
    let body = wire::encode(&overview);
    *last = Some((started, body.clone()));
    encoded_json(StatusCode::OK, body)
}

async fn collect(sources: Sources<'_>) -> Body {
    let time = walltime::now();
    let lease = sources.leases.load_full();
    let mut partitions: Vec<i32> = lease.sales.values().map(|view| view.publication.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let (settled, ends, outboxes) = tokio::join!(
        within(database_snapshot::read(sources.pool)),
        within(sources.overview.ends.fetch(partitions.clone(), PART_MAX)),
        outboxes(sources.redis, &lease),
    );
    let mut why = BTreeMap::new();
    let mut parts = Parts {
        settled: ok_or_note(&mut why, "postgres", settled),
        ends: ok_or_note(&mut why, "kafka", ends),
        outboxes: BTreeMap::new(),
    };
    for (sale, entries) in outboxes {
        if let Some(entries) = ok_or_note(&mut why, "redis", entries) {
            parts.outboxes.insert(sale, entries);
        }
    }
    let log: Vec<_> =
        partitions.into_iter().map(|partition| parts.partition_lag(&lease, partition)).collect();
    Body {
        time,
        gateway: gateway_now(sources),
        sales: sales(sources.queues, &lease, &parts, &log),
        log,
        dead_letters: parts.settled.as_ref().map(|settled| settled.undecided),
        guard_trips: parts.settled.as_ref().map(|settled| settled.guard_trips),
        dependencies: sources
            .health
            .snapshot()
            .into_iter()
            .map(|(name, state)| DependencyNow {
                name,
                up: state.up,
                required: state.required,
                why: state.why,
            })
            .collect(),
        why,
    }
}

/// The parts of one overview that were read from the services.
struct Parts {
    settled: Option<Settled>,
    ends: Option<BTreeMap<i32, i64>>,
    /// The outbox lengths by the sale and epoch for which they were read.
    outboxes: BTreeMap<(SaleId, Epoch), u64>,
}

/// Limits a part to [`PART_MAX`] and converts its error to text.
async fn within<T, E: std::fmt::Display>(part: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PART_MAX, part).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no response within {} ms", PART_MAX.as_millis())),
    }
}

/// Returns the value, or records the reason why there is none.
fn ok_or_note<T>(
    why: &mut BTreeMap<&'static str, String>,
    service: &'static str,
    result: Result<T, String>,
) -> Option<T> {
    result.map_err(|reason| why.insert(service, reason)).ok()
}

/// Returns the length of the outbox of each sale that is ready.
async fn outboxes(redis: &Redis, lease: &Lease) -> Vec<((SaleId, Epoch), Result<u64, String>)> {
    let ready = lease.sales.iter().filter(|(_, view)| view.publication.ready);
    join_all(ready.map(async |(sale, view)| {
        let entries = within(lua::outbox::len(redis, sale, view.epoch())).await;
        ((sale.clone(), view.epoch()), entries)
    }))
    .await
}

impl Parts {
    /// Returns the lag of a partition. The settled position comes from Postgres, or from the owner's latest
    /// publication. The end of the log was read at about the same time, so the difference may be off by the records
    /// in between.
    fn partition_lag(&self, lease: &Lease, partition: i32) -> PartitionNow {
        let in_postgres =
            self.settled.as_ref().and_then(|settled| settled.positions.get(&partition).copied());
        let next =
            in_postgres.or_else(|| lease.settled.get(&partition).map(|settled| settled.position.next_offset));
        let end = self.ends.as_ref().and_then(|ends| ends.get(&partition).copied());
        let lag_records = next.zip(end).map(|(next, end)| (end - next).max(0) as u64);
        let lag = || {
            backpressure::lag(lease, partition, process::boottime::Boottime::now())
                .map(|lag| lag.as_secs_f64())
        };
        let lag_seconds = match lag_records {
            Some(0) => Some(0.0),
            Some(_) => lag(),
            None => None,
        };
        PartitionNow { partition, lag_records, lag_seconds }
    }
}

fn gateway_now(sources: Sources<'_>) -> GatewayNow {
    let (mut accepted, mut replayed, mut refused, mut failed) = (0, 0, 0, 0);
    let mut refusals = BTreeMap::new();
    for (outcome, count) in sources.requests.totals(PLACE_ORDER) {
        match outcome {
            outcome::ACCEPTED => accepted += count,
            outcome::REPLAYED => replayed += count,
            code => {
                let status = Code::ALL.iter().find(|other| other.as_str() == code).map(|code| code.status());
                if status.is_some_and(|status| status < 500) {
                    refused += count;
                } else {
                    failed += count;
                }
                refusals.insert(code, count);
            }
        }
    }
    GatewayNow {
        id: sources.overview.id.clone(),
        started_at: sources.overview.started_at,
        accepted_total: accepted,
        replayed_total: replayed,
        refused_total: refused,
        failed_total: failed,
        refusals,
        in_flight: sources.in_flight.count(),
        live_update_streams: sources.live.count() as u64,
        admission_lag_seconds_max: sources.lag_max.as_secs(),
    }
}

/// Returns the sales from Postgres, or while Postgres is down from what this gateway has read.
fn sales(queues: &SaleQueues, lease: &Lease, parts: &Parts, log: &[PartitionNow]) -> Vec<SaleNow> {
    let sale_now = |row: SaleRow<'_>| {
        let redis = in_redis(queues, row.sale_id, row.epoch);
        let key = (row.sale_id.clone(), row.epoch);
        let partition = log.iter().find(|lag| lag.partition == row.partition);
        SaleNow {
            sale_id: row.sale_id.clone(),
            title: row.title.into(),
            state: row.state,
            ready: row.ready,
            epoch: row.epoch,
            partition: row.partition,
            outbox_entries: parts.outboxes.get(&key).copied(),
            lag_records: partition.and_then(|lag| lag.lag_records),
            orders_settled: row.orders_settled,
            items: row.items.into_iter().map(|item| item_now(item, &redis)).collect(),
        }
    };
    match &parts.settled {
        Some(settled) => settled.sales.iter().map(|sale| sale_now(sale.row())).collect(),
        None => {
            let mut views: Vec<&Arc<SaleView>> = lease.sales.values().collect();
            views.sort_by_key(|view| &view.publication.sale_id);
            views.into_iter().map(|view| sale_now(database_snapshot::published(view))).collect()
        }
    }
}

fn item_now(item: ItemRow<'_>, redis: &BTreeMap<Sku, i64>) -> ItemNow {
    let in_redis = item.total.and_then(|_| redis.iter().find(|(sku, _)| sku.as_str() == item.sku));
    let redis_available = in_redis.map(|(_, units)| *units);
    let units = item.units;
    let in_postgres = item
        .total
        .zip(units)
        .map(|(total, units)| total as i64 - units.held - units.sold - units.dead_lettered);
    ItemNow {
        sku: item.sku.into(),
        name: item.name.into(),
        total: item.total,
        available: in_postgres.or(redis_available),
        redis_available,
        held: units.map(|units| units.held),
        sold: units.map(|units| units.sold),
        dead_lettered: units.map(|units| units.dead_lettered),
        drift: redis_available.zip(in_postgres).map(|(redis, postgres)| redis - postgres),
    }
}

/// Returns the units in Redis, including announced ones, from the stock cache, so that the overview needs no request of
/// its own for them.
fn in_redis(queues: &SaleQueues, sale: &SaleId, epoch: Epoch) -> BTreeMap<Sku, i64> {
    let snapshot = queues.get(sale).and_then(|queue| queue.stock.recent_snapshot(epoch));
    snapshot.map_or_else(BTreeMap::new, |snapshot| {
        snapshot.units_left().map(|(sku, units)| (sku.clone(), units as i64)).collect()
    })
}
