//! What was told, in Postgres; and what is said about an order.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::ids::OrderId;
use deadpool_postgres::Pool;
use process::postgres::DatabaseError;

use super::message::{MessageKind, OrderDetails};
use crate::group::{Failure, ReceivedEvent};

/// The history of what was told.
pub struct NotificationHistory {
    pool: Pool,
    /// Told, and not written down yet: Postgres was away just then. Event and channel.
    unwritten: Mutex<HashSet<(String, &'static str)>>,
}

impl NotificationHistory {
    /// In this database.
    pub fn new(pool: Pool) -> Self {
        Self { pool, unwritten: Mutex::default() }
    }

    /// The database.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The channels by which an event was told.
    pub async fn told(&self, event_id: &str) -> Result<Vec<String>, DatabaseError> {
        let client = self.pool.get().await?;
        let select = client.prepare_cached(include_str!("../../queries/notification/told.sql")).await?;
        let rows = client.query(&select, &[&event_id]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// What Postgres knows of an order. It has it before there are events of it.
    pub async fn about(&self, order: OrderId) -> Result<OrderDetails, Failure> {
        let row = async {
            let client = self.pool.get().await?;
            let select = client.prepare_cached(include_str!("../../queries/notification/about.sql")).await?;
            Ok::<_, DatabaseError>(client.query_opt(&select, &[&order.0]).await?)
        };
        let row = row.await?.ok_or_else(|| Failure::Poison("Postgres does not know this order".into()))?;
        Ok(OrderDetails { email: row.get(0), sale: row.get(1), tracking: row.get(2), courier: row.get(3) })
    }

    /// Whether this process has told it and could not write it down.
    pub fn is_unwritten(&self, event_id: &str, channel: &'static str) -> bool {
        self.unwritten().contains(&(event_id.to_string(), channel))
    }

    /// It was told: never again. A database that is away is waited for by whoever called the handler.
    pub async fn remember(
        &self,
        event: &ReceivedEvent,
        channel: &'static str,
        kind: MessageKind,
        message_id: &str,
    ) -> Result<(), Failure> {
        let place = (event.id.clone(), channel);
        self.unwritten().insert(place.clone());
        let written = async {
            let client = self.pool.get().await?;
            let insert = include_str!("../../queries/notification/remember.sql");
            let insert = client.prepare_cached(insert).await?;
            let order = &event.event.order_id.0;
            client.execute(&insert, &[&event.id, &channel, order, &kind.as_str(), &message_id]).await?;
            Ok::<_, DatabaseError>(())
        };
        written.await?;
        self.unwritten().remove(&place);
        Ok(())
    }

    fn unwritten(&self) -> MutexGuard<'_, HashSet<(String, &'static str)>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) // a set of whole entries
    }
}
