//! Where an order stands, for commands: what is already known to be refused goes into no log.
//!
//! A burst of payments is as large as the burst of orders before it, and a query for each would cost more than
//! all else that a command does. So whoever asks while a query is under way goes along with the next one:
//! alone, an order is read at once; in a burst, hundreds are read by one query, and no connection waits.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::order::PaymentMethod;
use contract::problem::Code;
use deadpool_postgres::Pool;
use lua::find_orders::FoundOrder;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use uuid::Uuid;

use super::ANSWER_MAX;
use super::order::settled_or_remembered;
use super::order_response::{corrupt, fresh_status};
use crate::http::problem::Problem;
use crate::sales::sale_view::SaleView;
use crate::state::Gateway;

const STANDING: &str = include_str!("../../queries/standing.sql");
/// Queries under way at once: one that hangs must not hold up all others.
const QUERIES_MAX: usize = 2;
/// Where others have come meanwhile, a query waits so long for still more.
const GATHER: Duration = Duration::from_millis(3);
/// Orders that one query reads at most.
const TOGETHER_MAX: usize = 500;

/// Where an order stands.
#[derive(Debug, Clone, Copy)]
pub struct CurrentStatus {
    /// Its state.
    pub status: OrderStatus,
    /// Why it is cancelled.
    pub cancel_reason: Option<CancelReason>,
    /// By what it was paid, or is about to be.
    pub paid_by: Option<PaymentMethod>,
}

/// Where an order stands; for a command, which must come behind the order in the log. `None`: it is in the
/// outbox, so it may not be there yet. `customer`: whose it must be; an operator's may be anyone's.
pub(crate) async fn standing(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: Option<&CustomerId>,
) -> Result<Option<CurrentStatus>, Problem> {
    let asked = gateway.standings.of(id, &view.publication.sale_id, customer);
    let Some(customer) = customer else { return asked.await?.ok_or(Code::NotFound.into()).map(Some) };
    let fresh = |found: &FoundOrder, _| {
        (!found.in_outbox).then_some(CurrentStatus {
            status: fresh_status(found),
            cancel_reason: None,
            paid_by: None,
        })
    };
    let asked = async { asked.await.map(|found| found.map(Some)) };
    settled_or_remembered(gateway, view, id, customer, asked, fresh).await
}

type Answer = Result<Option<CurrentStatus>, Problem>;

/// One question.
struct Asked {
    order: OrderId,
    sale: SaleId,
    /// Whose it must be; an operator's may be anyone's.
    customer: Option<CustomerId>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Waiting {
    asked: Vec<Asked>,
    queries: usize,
}

/// Reads where orders stand.
#[derive(Clone)]
pub struct OrderStatusLoader {
    pool: Pool,
    waiting: Arc<Mutex<Waiting>>,
}

impl OrderStatusLoader {
    /// From this pool.
    pub fn new(pool: Pool) -> Self {
        Self { pool, waiting: Arc::default() }
    }

    /// Where an order of this sale stands, and of this customer where one is named. `None`: Postgres does not
    /// have it.
    pub async fn of(&self, order: OrderId, sale: &SaleId, customer: Option<&CustomerId>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { order, sale: sale.clone(), customer: customer.cloned(), answer };
        {
            let mut waiting = self.lock();
            waiting.asked.push(asked);
            if waiting.queries < QUERIES_MAX {
                waiting.queries += 1;
                tokio::spawn(self.clone().read_on());
            }
        }
        answered.await.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))
    }

    /// Query after query, until nobody waits.
    async fn read_on(self) {
        while let Some(together) = self.next() {
            let burst = together.len() > 1;
            let orders: Vec<Uuid> = together.iter().map(|asked| asked.order.0).collect();
            let found = tokio::time::timeout(ANSWER_MAX, self.read(&orders)).await;
            let found = found.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()));
            for asked in together {
                let answer = found.as_ref().map_err(Problem::clone).and_then(|found| asked.among(found));
                let _ = asked.answer.send(answer); // whoever asked may have stopped waiting
            }
            if burst {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// Those who wait now; `None` ends the reader.
    fn next(&self) -> Option<Vec<Asked>> {
        let mut waiting = self.lock();
        // Whoever has stopped waiting is not read for.
        waiting.asked.retain(|asked| !asked.answer.is_closed());
        if waiting.asked.is_empty() {
            waiting.queries -= 1;
            return None;
        }
        if waiting.asked.len() <= TOGETHER_MAX {
            return Some(mem::take(&mut waiting.asked));
        }
        Some(waiting.asked.drain(..TOGETHER_MAX).collect())
    }

    async fn read(&self, orders: &[Uuid]) -> Result<HashMap<Uuid, Row>, Problem> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(STANDING).await?;
        let rows = client.query(&statement, &[&orders]).await?;
        Ok(rows.into_iter().map(|row| (row.get(0), row)).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// An order of another sale or customer is as good as none.
    fn among(&self, found: &HashMap<Uuid, Row>) -> Answer {
        let Some(row) = found.get(&self.order.0) else { return Ok(None) };
        let (sale, customer): (&str, &str) = (row.get(1), row.get(2));
        if sale != self.sale.as_str() || self.customer.as_ref().is_some_and(|of| of.as_str() != customer) {
            return Ok(None);
        }
        Ok(Some(CurrentStatus {
            status: OrderStatus::parse(row.get(3)).ok_or_else(|| corrupt("status"))?,
            cancel_reason: row.get::<_, Option<&str>>(4).and_then(CancelReason::parse),
            paid_by: row.get::<_, Option<&str>>(5).and_then(PaymentMethod::parse),
        }))
    }
}
