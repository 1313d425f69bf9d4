//! Tells customers what became of their orders: by e-mail, and by a signed webhook to another system. A
//! channel without configuration is off.
//!
//! Each event is told once by each channel: what was told stands in Postgres, and a channel that fails is
//! tried again alone. Only a crash between sending and remembering tells it twice, and then with the same
//! `webhook-id` and `Message-ID`.
//!
//! | module      | what it does                                    |
//! |-------------|-------------------------------------------------|
//! | [`message`] | what is told, and in which words                |
//! | [`email`]   | SMTP                                            |
//! | [`webhook`] | Standard Webhooks                               |
//! | [`history`]  | what was told                                   |

pub mod email;
pub mod history;
pub mod message;
pub mod webhook;

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use contract::lifecycle;
use contract::webhook::Secret;
use lettre::message::Mailbox;
use metrics::counter;
use process::health::Health;

use crate::RunError;
use crate::group::{self, Failure, Group, GroupSettings, Handler, ReceivedEvent};
use crate::host::Host;
use crate::tls::{TlsSettings, TrustStore};
use email::{EmailChannel, MailServer};
use history::NotificationHistory;
use message::{MessageKind, OrderDetails};
use webhook::WebhookChannel;

/// The group.
pub const GROUP: Group = Group::new("notification", "notification.retry", "notification.dead-letter");
/// What it reads and writes.
const TABLES: [&str; 4] = ["notification", "customer_order", "sale", "delivery"];

/// The languages of e-mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Korean.
    Ko,
}

/// Settings of notifications.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Notification")]
pub struct NotificationSettings {
    /// Where /metrics, /health/* and /dead-letters are served.
    #[arg(long, env = "NOTIFICATION_LISTEN", default_value = "127.0.0.1:8110", value_name = "HOST:PORT")]
    pub notification_listen: SocketAddr,
    /// The mail server, which relays mails: smtps://host:port, smtp://host:port?tls=required (STARTTLS), or, on a
    /// network that can be trusted, smtp://host:port, in the clear. Without it no e-mails are sent.
    #[arg(long, env = "SMTP_URL")]
    pub smtp_url: Option<MailServer>,
    /// The sender of e-mails.
    #[arg(long, env = "SMTP_FROM", default_value = "Flash sale <orders@flashsale.example>")]
    pub smtp_from: Mailbox,
    /// The language of e-mails.
    #[arg(long, env = "NOTIFICATION_LANGUAGE", value_enum, default_value_t = Language::Ko)]
    pub notification_language: Language,
    /// Who gets a webhook of every notification; without it none are sent.
    #[arg(
        long,
        env = "NOTIFICATION_WEBHOOK_URL",
        requires = "notification_webhook_secret",
        hide_env_values = true
    )]
    pub notification_webhook_url: Option<String>,
    /// What webhooks are signed with: whsec_ and the base64 of 24 to 64 bytes.
    #[arg(long, env = "NOTIFICATION_WEBHOOK_SECRET", hide_env_values = true)]
    pub notification_webhook_secret: Option<Secret>,
    /// Calls to others.
    #[command(flatten)]
    pub outgoing: TlsSettings,
    /// The consumer group.
    #[command(flatten)]
    pub group: GroupSettings,
}

struct Notifications {
    history: NotificationHistory,
    health: Health,
    email: Option<EmailChannel>,
    webhook: Option<WebhookChannel>,
}

impl Handler for Notifications {
    async fn prepare(&self, host: &Host) -> Option<()> {
        host.schema(self.history.pool(), &TABLES).await
    }

    async fn handle(&self, event: &ReceivedEvent) -> Result<(), Failure> {
        let Some(kind) = MessageKind::for_event(&event.event) else { return Ok(()) };
        if self.email.is_none() && self.webhook.is_none() {
            return Ok(());
        }
        let told = self.history.told(&event.id).await?;
        let about = self.history.about(event.event.order_id).await?;
        let (email, webhook) = tokio::join!(
            self.by_email(event, kind, &about, &told),
            self.by_webhook(event, kind, &about, &told)
        );
        fault::point!("notification.after_remember");
        worst(email, webhook)
    }
}

impl Notifications {
    async fn by_email(
        &self,
        event: &ReceivedEvent,
        kind: MessageKind,
        about: &OrderDetails,
        told: &[String],
    ) -> Result<(), Failure> {
        const CHANNEL: &str = "email";
        let (Some(email), Some(to)) = (&self.email, &about.email) else { return Ok(()) };
        if told.iter().any(|channel| channel == CHANNEL) {
            return Ok(());
        }
        let id = email.message_id(&event.id);
        fault::point!("notification.before_send");
        if !self.history.is_unwritten(&event.id, CHANNEL) {
            let sent = email.send(&id, to, kind, &event.event, about).await;
            self.judge(CHANNEL, kind, &sent);
            sent?;
        }
        fault::point!("notification.before_remember");
        self.history.remember(event, CHANNEL, kind, &id).await
    }

    async fn by_webhook(
        &self,
        event: &ReceivedEvent,
        kind: MessageKind,
        about: &OrderDetails,
        told: &[String],
    ) -> Result<(), Failure> {
        const CHANNEL: &str = "webhook";
        let Some(webhook) = &self.webhook else { return Ok(()) };
        if told.iter().any(|channel| channel == CHANNEL) {
            return Ok(());
        }
        let id = format!("order_{}", event.id);
        fault::point!("notification.before_send");
        if !self.history.is_unwritten(&event.id, CHANNEL) {
            let sent = webhook.send(&id, kind, &event.event, about).await;
            self.judge(CHANNEL, kind, &sent);
            sent?;
        }
        fault::point!("notification.before_remember");
        self.history.remember(event, CHANNEL, kind, &id).await
    }

    fn judge(&self, channel: &'static str, kind: MessageKind, sent: &Result<(), Failure>) {
        let result = if sent.is_ok() { "sent" } else { "failed" };
        counter!("notifications_total", "channel" => channel, "kind" => kind.as_str(), "result" => result)
            .increment(1);
        match sent {
            // That a message is refused says nothing about the next one.
            Ok(()) | Err(Failure::Poison(_)) => self.health.mark_up(channel),
            Err(failure) => self.health.mark_down(channel, failure.to_string()),
        }
    }
}

/// Both channels must have told it. As long as one of them may still work, the event is tried again.
fn worst(email: Result<(), Failure>, webhook: Result<(), Failure>) -> Result<(), Failure> {
    match (email, webhook) {
        (Ok(()), other) | (other, Ok(())) => other,
        (Err(unavailable @ Failure::Unavailable(_)), _) | (_, Err(unavailable @ Failure::Unavailable(_))) => {
            Err(unavailable)
        }
        (Err(Failure::Poison(one)), Err(Failure::Poison(two))) => {
            Err(Failure::Poison(format!("{one}; {two}")))
        }
        (Err(one), Err(two)) => Err(Failure::Retriable(format!("{one}; {two}"))),
    }
}

/// Runs until the host stops.
pub async fn run(host: &Host, settings: NotificationSettings) -> Result<(), RunError> {
    let language = match settings.notification_language {
        Language::En => lifecycle::Language::English,
        Language::Ko => lifecycle::Language::Korean,
    };
    let trust = TrustStore::new(&settings.outgoing)?;
    let email =
        settings.smtp_url.map(|server| EmailChannel::new(&server, settings.smtp_from, language, &trust));
    let email = email.transpose()?;
    let webhook = settings.notification_webhook_url.zip(settings.notification_webhook_secret);
    let webhook = webhook.map(|(url, secret)| WebhookChannel::new(url, secret, &trust)).transpose()?;
    for (channel, on) in [("email", email.is_some()), ("webhook", webhook.is_some())] {
        if on {
            host.health.declare(channel, false);
        } else {
            tracing::info!(channel, "is off: it is not configured");
        }
    }
    let history = NotificationHistory::new(host.postgres(GROUP.name)?);
    let handler = Notifications { history, health: host.health.clone(), email, webhook };
    group::run(host, GROUP, &settings.group, settings.notification_listen, handler).await
}
