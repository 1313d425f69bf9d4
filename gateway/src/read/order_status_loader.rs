//! Loads the current status of orders, for commands: a command that is already known to be refused stays out of the
//! log.
//!
//! A burst of payments is as large as the burst of orders before it, and one query each would cost more than
//! everything else that a command does. This is the DataLoader pattern: requests that arrive while a query is in
//! progress share the next one. A single order is read at once; in a burst one query reads hundreds, and no connection
//! waits.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::order::PaymentMethod;
use contract::problem::Code;
use deadpool_postgres::Pool;
use lua::find_orders::FoundOrder;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::QUERY_MAX;
use super::order_lookup::OrderLookup;
use super::order_response::fresh_status;
use super::stored_json::corrupt;
use crate::http::problem::Problem;
use crate::queries::{SelectOrderStates, SelectOrderStatesRow};
use crate::sales::sale_view::SaleView;

/// Queries in progress at once: one that hangs must not delay all others.
const QUERIES_MAX: usize = 2;
/// The pause after a query of more than one order, in which further requests gather.
const GATHER: Duration = Duration::from_millis(3);
/// Most orders in one query.
const ORDERS_PER_QUERY_MAX: usize = 500;

/// The current status of an order.
#[derive(Debug, Clone, Copy)]
pub struct CurrentStatus {
    /// The order's status.
    pub status: OrderStatus,
    /// Why the order is cancelled, if it is.
    pub cancel_reason: Option<CancelReason>,
    /// The method by which the order was paid, or is about to be.
    pub paid_by: Option<PaymentMethod>,
}

/// Returns the current status of an order, for a command that must follow the order in the log. `None`: the order
/// is still in the outbox and may not be in the log yet. `customer`: whose order it must be; an operator may name any.
pub(crate) async fn current_status(
    orders: OrderLookup<'_>,
    loader: &OrderStatusLoader,
    view: &SaleView,
    id: OrderId,
    customer: Option<&CustomerId>,
) -> Result<Option<CurrentStatus>, Problem> {
    let load = loader.load(id, &view.publication.sale_id, customer);
    let Some(customer) = customer else { return load.await?.ok_or(Code::NotFound.into()).map(Some) };
    let fresh = |found: &FoundOrder, _| {
        let status = fresh_status(found);
        (!found.in_outbox).then_some(CurrentStatus { status, cancel_reason: None, paid_by: None })
    };
    let query = async { load.await.map(|found| found.map(Some)) };
    orders.settled_or_remembered(view, id, customer, query, fresh).await
}

type Loaded = Result<Option<CurrentStatus>, Problem>;

/// One request that waits for a query.
struct Request {
    order: OrderId,
    sale: SaleId,
    /// Whose order it must be; an operator may name any.
    customer: Option<CustomerId>,
    reply: oneshot::Sender<Loaded>,
}

#[derive(Default)]
struct Pending {
    requests: Vec<Request>,
    /// The number of tasks that query.
    queries: usize,
}

/// Loads statuses in shared queries.
#[derive(Clone)]
pub struct OrderStatusLoader {
    pool: Pool,
    pending: Arc<Mutex<Pending>>,
}

impl OrderStatusLoader {
    /// Returns a loader that queries by this pool.
    pub fn new(pool: Pool) -> Self {
        Self { pool, pending: Arc::default() }
    }

    /// Loads the status of an order of this sale, and of this customer if one is given. `None`: Postgres does not have
    /// the order.
    pub async fn load(&self, order: OrderId, sale: &SaleId, customer: Option<&CustomerId>) -> Loaded {
        let (reply, loaded) = oneshot::channel();
        let request = Request { order, sale: sale.clone(), customer: customer.cloned(), reply };
        {
            let mut pending = self.pending.lock();
            pending.requests.push(request);
            if pending.queries < QUERIES_MAX {
                pending.queries += 1;
                tokio::spawn(self.clone().query_while_pending());
            }
        }
        loaded.await.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))
    }

    /// Queries until no request is pending.
    async fn query_while_pending(self) {
        while let Some(requests) = self.next_requests() {
            let is_burst = requests.len() > 1;
            let orders: Vec<_> = requests.iter().map(|request| request.order).collect();
            let found = tokio::time::timeout(QUERY_MAX, self.query(&orders)).await;
            let found = found.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()));
            for request in requests {
                let loaded = found.as_ref().map_err(Problem::clone).and_then(|rows| request.select(rows));
                let _ = request.reply.send(loaded); // the caller may have stopped waiting
            }
            if is_burst {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// Returns the requests of the next query. `None` ends the task.
    fn next_requests(&self) -> Option<Vec<Request>> {
        let mut pending = self.pending.lock();
        // A request whose caller has stopped waiting needs no query.
        pending.requests.retain(|request| !request.reply.is_closed());
        if pending.requests.is_empty() {
            pending.queries -= 1;
            return None;
        }
        if pending.requests.len() <= ORDERS_PER_QUERY_MAX {
            return Some(mem::take(&mut pending.requests));
        }
        Some(pending.requests.drain(..ORDERS_PER_QUERY_MAX).collect())
    }

    async fn query(&self, orders: &[OrderId]) -> Result<HashMap<OrderId, SelectOrderStatesRow>, Problem> {
        let client = self.pool.get().await?;
        let rows = SelectOrderStates { order_ids: orders }.fetch(&client).await?;
        Ok(rows.into_iter().map(|row| (row.order_id, row)).collect())
    }
}

impl Request {
    /// Returns the requested order's status. An order of another sale or customer is treated as not found.
    fn select(&self, rows: &HashMap<OrderId, SelectOrderStatesRow>) -> Loaded {
        let Some(row) = rows.get(&self.order) else { return Ok(None) };
        if row.sale_id != self.sale || self.customer.as_ref().is_some_and(|of| *of != row.customer_id) {
            return Ok(None);
        }
        // A status that this version does not know concerns its order alone.
        Ok(Some(CurrentStatus {
            status: OrderStatus::parse(&row.status).ok_or_else(|| corrupt("status"))?,
            cancel_reason: row.cancel_reason.as_deref().and_then(CancelReason::parse),
            paid_by: row.method.as_deref().and_then(PaymentMethod::parse),
        }))
    }
}
