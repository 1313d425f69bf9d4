//! Looks up one order: in Postgres first; an order that Postgres does not store yet is `processing` if Redis stores it.
//! If neither can decide, the response is 503, never 404: the response must not claim that an accepted order does not
//! exist.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::{CustomerId, OrderId};
use contract::keys::buyer_field;
use contract::problem::Code;
use deadpool_postgres::Pool;
use lua::find_orders::FoundOrder;
use lua::{Redis, RedisError};

use crate::http::authenticate;
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;

/// How long Postgres may take before Redis is queried: a new order is `processing` also while Postgres hangs.
const POSTGRES_WAIT: Duration = Duration::from_secs(1);

/// The stores in which orders are looked up.
#[derive(Clone, Copy)]
pub struct OrderLookup<'a> {
    /// The published sales under the current lease.
    pub leases: &'a Leases,
    /// The Redis that stores the orders of the current epoch.
    pub redis: &'a Redis,
    /// The connection pool for queries.
    pub pool: &'a Pool,
}

impl OrderLookup<'_> {
    /// Returns the calling customer, and the sale and order that the path names.
    pub(crate) fn identify(
        self,
        context: RequestContext<'_>,
        sale: &str,
        order: &str,
    ) -> Result<(CustomerId, Arc<SaleView>, OrderId), Problem> {
        let customer = authenticate::customer(&context.head.headers)?;
        let (view, id) = self.parse_path(sale, order)?;
        Ok((customer, view, id))
    }

    /// Returns the sale and order that the path names.
    pub(crate) fn parse_path(self, sale: &str, order: &str) -> Result<(Arc<SaleView>, OrderId), Problem> {
        let view = self.leases.find(sale)?;
        let id = order.parse().map_err(|_| Problem::from(Code::NotFound))?;
        Ok((view, id))
    }

    /// Returns the result of the query of Postgres, or else the result of `fresh` for the order in Redis. `fresh` also
    /// receives whether Postgres responded that it does not store the order yet; otherwise Postgres did not respond.
    pub(crate) async fn settled_or_remembered<T>(
        self,
        view: &SaleView,
        id: OrderId,
        customer: &CustomerId,
        query: impl Future<Output = Result<Option<T>, Problem>>,
        fresh: impl FnOnce(&FoundOrder, bool) -> T,
    ) -> Result<T, Problem> {
        let settled = tokio::time::timeout(POSTGRES_WAIT, query).await;
        let settled = settled.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()));
        if let Ok(Some(order)) = settled {
            return Ok(order);
        }
        let remembered = self.remembered(view, buyer_field(customer, id.request(), view.is_limited())).await;
        if let Ok(orders) = &remembered
            && let Some(found) = orders.iter().find(|found| found.order.id == id)
        {
            return Ok(fresh(found, settled.is_ok()));
        }
        settled?;
        remembered?;
        Err(Code::NotFound.into())
    }

    /// Returns the orders that Redis stores under a buyer field, if the lease allows relying on them now.
    pub(crate) async fn remembered(
        self,
        view: &SaleView,
        field: Vec<u8>,
    ) -> Result<Vec<FoundOrder>, Problem> {
        let Some(scripts) = view.publication.scripts.as_ref().filter(|_| view.publication.ready) else {
            return Err(Code::SaleRebuilding.into());
        };
        let sale = &view.publication.sale_id;
        match lua::find_orders::find_orders(self.redis, &scripts.find_orders, &view.keys, field).await {
            Ok(Ok(_)) if !self.leases.load().covers(sale, view.epoch()) => Err(Code::LogUnavailable.into()),
            Ok(Ok(orders)) => Ok(orders),
            Ok(Err(_)) | Err(RedisError::NoScript) => {
                self.leases.report_lost(sale, view.epoch());
                Err(Code::SaleRebuilding.into())
            }
            Err(_) => Err(Code::StockUnavailable.into()),
        }
    }
}
