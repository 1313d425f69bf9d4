//! Every setting of the notification group, with its unit, default and environment variable.

use std::net::SocketAddr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use contract::lifecycle::Language;
use contract::webhook::Secret;
use lettre::message::Mailbox;

use super::email::MailServer;
use crate::group::GroupSettings;
use crate::tls::TlsSettings;

/// Notifies customers about their orders.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Notification")]
pub struct NotificationSettings {
    /// Address that serves /metrics, /health/* and /dead-letters.
    #[arg(long, env = "NOTIFICATION_LISTEN", default_value = "127.0.0.1:8110", value_name = "HOST:PORT")]
    pub notification_listen: SocketAddr,
    /// Mail server that relays the e-mails: smtps://host:port, smtp://host:port?tls=required (STARTTLS), or, on a
    /// trusted network, smtp://host:port without encryption. Without it, no e-mails are sent.
    #[arg(long, env = "SMTP_URL")]
    pub smtp_url: Option<MailServer>,
    /// Sender of the e-mails.
    #[arg(long, env = "SMTP_FROM", default_value = "Flash sale <orders@flashsale.example>")]
    pub smtp_from: Mailbox,
    /// Language of the e-mails.
    #[arg(long, env = "NOTIFICATION_LANGUAGE", default_value = "ko", value_parser = PossibleValuesParser::new(["en", "ko"]).map(|code| language(&code)))]
    pub notification_language: Language,
    /// URL that receives a webhook for every notification. Without it, no webhooks are sent.
    #[arg(
        long,
        env = "NOTIFICATION_WEBHOOK_URL",
        requires = "notification_webhook_secret",
        hide_env_values = true
    )]
    pub notification_webhook_url: Option<String>,
    /// Secret that signs webhooks: whsec_ and the base64 of 24 to 64 bytes.
    #[arg(long, env = "NOTIFICATION_WEBHOOK_SECRET", hide_env_values = true)]
    pub notification_webhook_secret: Option<Secret>,
    /// The settings of outbound TLS connections.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// The settings of the consumer group.
    #[command(flatten)]
    pub group: GroupSettings,
}

fn language(code: &str) -> Language {
    if code == "en" { Language::English } else { Language::Korean }
}
