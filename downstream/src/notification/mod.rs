//! Tells customers what became of their orders. A channel without configuration is off.

use std::net::SocketAddr;

use clap::Args;

use crate::RunError;
use crate::group::{self, Delivered, Failure, Group, GroupSettings, Handler};
use crate::host::Host;

/// The group.
pub const GROUP: Group = Group::new("notification", "notification.retry", "notification.dead-letter");

/// Settings of notifications.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Notification")]
pub struct Settings {
    /// Where /metrics, /health/* and /dead-letters are served.
    #[arg(long, env = "NOTIFICATION_LISTEN", default_value = "127.0.0.1:8110", value_name = "HOST:PORT")]
    pub notification_listen: SocketAddr,
    /// The consumer group.
    #[command(flatten)]
    pub group: GroupSettings,
}

struct Notifications;

impl Handler for Notifications {
    async fn handle(&self, _event: &Delivered) -> Result<(), Failure> {
        Ok(())
    }
}

/// Runs until the host stops.
pub async fn run(host: &Host, settings: Settings) -> Result<(), RunError> {
    group::run(host, GROUP, &settings.group, settings.notification_listen, Notifications).await
}
