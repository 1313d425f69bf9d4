//! A channel by which a customer or another system is notified.

use super::message::Notification;
use crate::group::Failure;

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
