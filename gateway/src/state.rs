//! The state that all endpoints share, and the parts of it that each handler needs.

use std::sync::Arc;
use std::time::Duration;

use contract::webhook::Secret;
use deadpool_postgres::Pool;
use lua::Redis;
use metrics_exporter_prometheus::PrometheusHandle;
use process::health::Health;
use tokio::sync::Semaphore;

use crate::admin::overview::{self, Overview};
use crate::admin::totals::SaleEditor;
use crate::command::Commands;
use crate::http::cors::Cors;
use crate::live::Streams;
use crate::live::registry::Registry;
use crate::metrics::Requests;
use crate::openapi::document::Document;
use crate::order::hand_off::HandOff;
use crate::order::in_flight::InFlight;
use crate::order::place::OrderPath;
use crate::order::sale_queue::SaleQueues;
use crate::order::sold_out_responses::SoldOutResponses;
use crate::payment_callback::PaymentCallbacks;
use crate::read::order_lookup::OrderLookup;
use crate::read::order_status_loader::OrderStatusLoader;
use crate::read::sale::SaleReads;
use crate::sales::lease::Leases;

/// The state of this gateway. A handler does not receive it, only the parts that it needs.
pub struct Gateway {
    /// The sales, and until when they may be acted on.
    pub leases: Arc<Leases>,
    /// The sales' queues and stock caches.
    pub sale_queues: SaleQueues,
    /// The stock, and the orders of the current epochs.
    pub redis: Redis,
    /// Connections for queries: read-only transactions with a time limit.
    pub read_pool: Pool,
    /// Connections for the operator's changes.
    pub write_pool: Pool,
    /// Loads the status of orders for commands.
    pub order_statuses: OrderStatusLoader,
    /// Produces to the log.
    pub hand_off: Arc<HandOff>,
    /// The permits to search for the first answer of requests that the terms would refuse.
    pub first_answers: Semaphore,
    /// The lag of settlement beyond which new orders are refused.
    pub lag_max: Duration,
    /// The key of the payment provider's signatures. Without it no callback is accepted.
    pub webhook_secret: Option<Secret>,
    /// The cached refusals of sold-out items.
    pub sold_out: SoldOutResponses,
    /// The open streams of live updates.
    pub live: Arc<Registry>,
    /// Whether the public listener serves the pages for people.
    pub has_storefront: bool,
    /// The operator's overview.
    pub overview: Overview,
    /// Counts requests by endpoint and outcome.
    pub requests: Requests,
    /// Counts the order requests that are being processed.
    pub in_flight: InFlight,
    /// The state of the dependencies.
    pub health: Health,
    /// The origins whose pages may call the public API.
    pub cors: Cors,
    /// The API's document of the public listener.
    pub(crate) public_document: Document,
    /// The API's document of both listeners.
    pub(crate) complete_document: Document,
    /// Renders the metrics for Prometheus.
    pub metrics: PrometheusHandle,
}

impl Gateway {
    /// Returns what placing an order needs.
    pub(crate) fn order_path(&self) -> OrderPath<'_> {
        OrderPath {
            orders: self.orders(),
            queues: &self.sale_queues,
            first_answers: &self.first_answers,
            lag_max: self.lag_max,
            sold_out: &self.sold_out,
            in_flight: &self.in_flight,
        }
    }

    /// Returns what finding an order needs.
    pub(crate) fn orders(&self) -> OrderLookup<'_> {
        OrderLookup { leases: &self.leases, redis: &self.redis, pool: &self.read_pool }
    }

    /// Returns what commands need.
    pub(crate) fn commands(&self) -> Commands<'_> {
        Commands { orders: self.orders(), statuses: &self.order_statuses, hand_off: &self.hand_off }
    }

    /// Returns what payment callbacks need.
    pub(crate) fn payment_callbacks(&self) -> PaymentCallbacks<'_> {
        PaymentCallbacks {
            secret: self.webhook_secret.as_ref(),
            leases: &self.leases,
            pool: &self.read_pool,
            hand_off: &self.hand_off,
        }
    }

    /// Returns what queries about sales need.
    pub(crate) fn sale_reads(&self) -> SaleReads<'_> {
        SaleReads { leases: &self.leases, queues: &self.sale_queues, pool: &self.read_pool }
    }

    /// Returns what streams of live updates need.
    pub(crate) fn streams(&self) -> Streams<'_> {
        Streams { registry: &self.live, orders: self.orders() }
    }

    /// Returns what changing a sale needs.
    pub(crate) fn sale_editor(&self) -> SaleEditor<'_> {
        SaleEditor {
            pool: &self.write_pool,
            leases: &self.leases,
            redis: &self.redis,
            hand_off: &self.hand_off,
        }
    }

    /// Returns what the operator's overview is made of.
    pub(crate) fn overview_sources(&self) -> overview::Sources<'_> {
        overview::Sources {
            overview: &self.overview,
            leases: &self.leases,
            queues: &self.sale_queues,
            redis: &self.redis,
            pool: &self.write_pool,
            health: &self.health,
            requests: &self.requests,
            in_flight: &self.in_flight,
            live: &self.live,
            lag_max: self.lag_max,
        }
    }
}
