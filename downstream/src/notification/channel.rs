//! A channel by which a customer or another system is notified.

use contract::event::OrderEvent;

use super::message::{MessageKind, OrderDetails};
use crate::group::Failure;

/// A notification about an event of an order.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'a> {
    /// The kind of the message.
    pub kind: MessageKind,
    /// The event of the order.
    pub event: &'a OrderEvent,
    /// The further data about the order.
    pub details: &'a OrderDetails,
}

/// Sends notifications by one medium.
pub trait Channel: Send + Sync {
    /// The channel's name in Postgres, health checks and metrics.
    const NAME: &'static str;

    /// Returns whether the notification has a recipient in this channel.
    fn has_recipient(&self, notification: Notification<'_>) -> bool;

    /// Returns the id of the message about an event. It is the same in every try, so that a recipient can recognize
    /// a duplicate.
    fn message_id(&self, event_id: &str) -> String;

    /// Sends a notification once.
    fn send(
        &self,
        message_id: &str,
        notification: Notification<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}
