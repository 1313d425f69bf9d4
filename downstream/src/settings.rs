//! The command line: what every part takes, then the part and its own settings.

use clap::{Parser, Subcommand};
use process::settings::{Process, Services};

use crate::{analytics, notification, payments, provider};

/// Follows the events of orders: one consumer group a process.
#[derive(Debug, Clone, Parser)]
#[command(name = "downstream", version)]
pub struct Settings {
    /// The services.
    #[command(flatten)]
    pub services: Services,
    /// Logs and threads.
    #[command(flatten)]
    pub process: Process,
    /// Which part.
    #[command(subcommand)]
    pub component: Component,
}

/// The parts.
#[derive(Debug, Clone, Subcommand)]
pub enum Component {
    /// Counts what becomes of orders.
    Analytics(analytics::AnalyticsSettings),
    /// Tells customers what became of their orders.
    Notification(notification::NotificationSettings),
    /// Takes and returns the money of card payments.
    Payments(payments::PaymentsSettings),
    /// The simulated card provider.
    Provider(provider::ProviderSettings),
}
