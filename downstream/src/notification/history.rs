//! The history of sent notifications in Postgres, and the data of an order that a message shows.

use std::collections::HashSet;

use contract::ids::OrderId;
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use process::postgres::DatabaseError;

use super::message::{MessageKind, OrderDetails};
use crate::group::{Failure, ReceivedEvent};
use crate::queries::{NotificationOrderDetails, NotificationRecordSent, NotificationSentChannels};

/// The notifications that were sent.
pub struct NotificationHistory {
    pool: Pool,
    /// The notifications (event and channel) that were sent and are not stored yet, because Postgres was down.
    unwritten: Mutex<HashSet<(String, &'static str)>>,
}

impl NotificationHistory {
    /// Creates a history that is stored in this database.
    pub fn new(pool: Pool) -> Self {
        Self { pool, unwritten: Mutex::default() }
    }

    /// Returns the pool of connections to the database.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Returns the channels by which the notification of an event was sent.
    pub async fn sent_channels(&self, event_id: &str) -> Result<Vec<String>, DatabaseError> {
        let client = self.pool.get().await?;
        let rows = NotificationSentChannels { event_id }.fetch(&client).await?;
        Ok(rows.into_iter().map(|row| row.channel).collect())
    }

    /// Returns the details of an order. Postgres has the order before its first event is published.
    pub async fn order_details(&self, order: OrderId) -> Result<OrderDetails, Failure> {
        let row = async {
            let client = self.pool.get().await?;
            Ok::<_, DatabaseError>(NotificationOrderDetails { order_id: order }.fetch(&client).await?)
        };
        let row = row.await?.ok_or_else(|| Failure::Poison("the order does not exist in Postgres".into()))?;
        Ok(OrderDetails {
            email: row.customer_email,
            sale: row.title,
            tracking: row.tracking_number,
            courier: row.courier,
        })
    }

    /// Returns whether this process has sent the notification and could not store that.
    pub fn is_unwritten(&self, event_id: &str, channel: &'static str) -> bool {
        self.unwritten.lock().contains(&(event_id.to_string(), channel))
    }

    /// Stores that the notification was sent, so that it is not sent again. If the database is down, the caller of the
    /// handler waits for it.
    pub async fn record_sent(
        &self,
        received: &ReceivedEvent,
        channel: &'static str,
        kind: MessageKind,
        message_id: &str,
    ) -> Result<(), Failure> {
        let key = (received.id.clone(), channel);
        self.unwritten.lock().insert(key.clone());
        let written = async {
            let client = self.pool.get().await?;
            let insert = NotificationRecordSent {
                event_id: &received.id,
                channel,
                order_id: received.event.order_id,
                kind: kind.as_str(),
                message_id,
            };
            insert.execute(&client).await?;
            Ok::<_, DatabaseError>(())
        };
        written.await?;
        self.unwritten.lock().remove(&key);
        Ok(())
    }
}
