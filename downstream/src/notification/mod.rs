//! The consumer group `notification`: notifies customers about their orders by e-mail, and another system by a signed
//! webhook. A channel that is not configured is disabled.
//!
//! Each channel sends the notification of an event once: Postgres stores what was sent, and a channel that fails is
//! retried alone. Only a crash between sending and storing sends a notification twice, and then with the same
//! `webhook-id` and `Message-ID`.
//!
//! | module       | what it holds                                            |
//! |--------------|----------------------------------------------------------|
//! | [`message`]  | which events need a notification, and its texts          |
//! | [`channel`]  | what the channels have in common                         |
//! | [`email`]    | the channel by SMTP                                      |
//! | [`webhook`]  | the channel by Standard Webhooks                         |
//! | [`history`]  | the notifications that were sent                         |
//! | [`settings`] | every setting                                            |

pub mod channel;
pub mod email;
pub mod history;
pub mod message;
pub mod settings;
pub mod webhook;

use process::health::Health;

use crate::group::{self, Failure, Group, GroupError, Handler, ReceivedEvent};
use crate::host::Host;
use crate::tls::TrustStore;
use channel::Channel;
use email::EmailChannel;
use history::NotificationHistory;
use message::{MessageKind, Notification};
pub use settings::NotificationSettings;
use webhook::WebhookChannel;

process::metrics! {
    static NOTIFICATIONS: Counter["channel", "kind", "result"] = "notifications_total",
        "E-mails and webhooks, by result (sent, failed).";
}

/// The consumer group of this component.
pub const GROUP: Group = Group::new("notification", "notification.retry", "notification.dead-letter");
/// The tables that the component reads and writes.
const TABLES: [&str; 4] = ["notification", "customer_order", "sale", "delivery"];

struct Notifications {
    history: NotificationHistory,
    health: Health,
    email: Option<EmailChannel>,
    webhook: Option<WebhookChannel>,
}

impl Handler for Notifications {
    async fn prepare(&self, host: &Host) -> Option<()> {
        host.wait_for_schema(self.history.pool(), &TABLES).await
    }

    async fn handle(&self, received: &ReceivedEvent) -> Result<(), Failure> {
        let Some(kind) = MessageKind::for_event(&received.event) else { return Ok(()) };
        if self.email.is_none() && self.webhook.is_none() {
            return Ok(());
        }
        let sent = self.history.sent_channels(&received.id).await?;
        let details = self.history.order_details(received.event.order_id).await?;
        let notification = Notification { kind, event: &received.event, details: &details };
        let (email, webhook) = tokio::join!(
            self.notify(self.email.as_ref(), received, notification, &sent),
            self.notify(self.webhook.as_ref(), received, notification, &sent)
        );
        fault::point!("notification.after_remember");
        combine(email, webhook)
    }
}

impl Notifications {
    /// Sends a notification by a channel, unless it is disabled, has no recipient or has sent the notification before.
    async fn notify<C: Channel>(
        &self,
        channel: Option<&C>,
        received: &ReceivedEvent,
        notification: Notification<'_>,
        sent: &[String],
    ) -> Result<(), Failure> {
        let Some(channel) = channel.filter(|channel| channel.has_recipient(notification)) else {
            return Ok(());
        };
        if sent.iter().any(|name| name == C::NAME) {
            return Ok(());
        }
        let id = channel.message_id(&received.id);
        fault::point!("notification.before_send");
        if !self.history.is_unwritten(&received.id, C::NAME) {
            let result = channel.send(&id, notification).await;
            self.record_result(C::NAME, notification.kind, &result);
            result?;
        }
        fault::point!("notification.before_remember");
        self.history.record_sent(received, C::NAME, notification.kind, &id).await
    }

    fn record_result(&self, channel: &'static str, kind: MessageKind, result: &Result<(), Failure>) {
        let label = if result.is_ok() { "sent" } else { "failed" };
        NOTIFICATIONS.with([channel, kind.as_str(), label]).increment(1);
        match result {
            // A message that is refused says nothing about the next one.
            Ok(()) | Err(Failure::Poison(_)) => self.health.mark_up(channel),
            Err(failure) => self.health.mark_down(channel, failure.to_string()),
        }
    }
}

/// Combines the results of the channels. Both must have sent the notification; the event is retried as long as one of
/// them may still succeed.
fn combine(email: Result<(), Failure>, webhook: Result<(), Failure>) -> Result<(), Failure> {
    match (email, webhook) {
        (Ok(()), other) | (other, Ok(())) => other,
        (Err(unavailable @ Failure::Unavailable(_)), _) | (_, Err(unavailable @ Failure::Unavailable(_))) => {
            Err(unavailable)
        }
        (Err(Failure::Poison(email)), Err(Failure::Poison(webhook))) => {
            Err(Failure::Poison(format!("{email}; {webhook}")))
        }
        (Err(email), Err(webhook)) => Err(Failure::Retriable(format!("{email}; {webhook}"))),
    }
}

/// Runs the component until the host stops.
pub async fn run(host: &Host, settings: NotificationSettings) -> Result<(), GroupError> {
    let (trust, language) = (TrustStore::new(&settings.tls)?, settings.notification_language);
    let email =
        settings.smtp_url.map(|server| EmailChannel::new(&server, settings.smtp_from, language, &trust));
    let email = email.transpose()?;
    let webhook = settings.notification_webhook_url.zip(settings.notification_webhook_secret);
    let webhook = webhook.map(|(url, secret)| WebhookChannel::new(url, secret, &trust)).transpose()?;
    for (channel, enabled) in
        [(EmailChannel::NAME, email.is_some()), (WebhookChannel::NAME, webhook.is_some())]
    {
        if enabled {
            host.health.declare(channel, false);
        } else {
            tracing::info!(channel, "the channel is disabled because it is not configured");
        }
    }
    let history = NotificationHistory::new(host.postgres_pool(GROUP.name)?);
    let handler = Notifications { history, health: host.health.clone(), email, webhook };
    group::run(host, GROUP, &settings.group, settings.notification_listen, handler).await
}
