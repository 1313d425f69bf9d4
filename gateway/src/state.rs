//! What the endpoints share.

use std::sync::Arc;
use std::time::Duration;

use contract::webhook::Secret;
use deadpool_postgres::Pool;
use lua::Redis;
use metrics_exporter_prometheus::PrometheusHandle;
use process::health::Health;

use crate::admin::overview::Overview;
use crate::http::cors::Cors;
use crate::live::registry::Registry;
use crate::metrics::Requests;
use crate::order::hand_off::HandOff;
use crate::order::place::SoldOutAnswers;
use crate::order::sale_queue::SaleQueues;
use crate::read::order_status_loader::OrderStatusLoader;
use crate::sales::lease::Leases;

/// What every request may use.
pub struct Gateway {
    /// Sales, and until when that knowledge holds.
    pub leases: Arc<Leases>,
    /// Queues and looks.
    pub sale_queues: SaleQueues,
    /// Where the stock is.
    pub redis: Redis,
    /// For queries: read-only transactions with a time limit.
    pub reads: Pool,
    /// Where orders stand, for commands.
    pub standings: OrderStatusLoader,
    /// For the operator's changes.
    pub writes: Pool,
    /// Where changes of totals go.
    pub hand_off: Arc<HandOff>,
    /// New orders are refused while settlement is further behind.
    pub lag_max: Duration,
    /// What the payment provider signs its callbacks with; without it none are taken.
    pub webhook_secret: Option<Secret>,
    /// Ready-made answers.
    pub sold_out: SoldOutAnswers,
    /// Who follows which order.
    pub live: Arc<Registry>,
    /// Whether customers are served a page.
    pub storefront: bool,
    /// The operator's look at everything.
    pub overview: Overview,
    /// Answers so far.
    pub requests: Requests,
    /// Orders that are being answered.
    pub placing: Arc<()>,
    /// Dependencies.
    pub health: Health,
    /// The origins whose pages may read responses.
    pub cors: Cors,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
}
