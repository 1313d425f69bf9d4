//! The command line: the settings of all components, then the component and its own settings.

use clap::{Parser, Subcommand};
use process::settings::{Process, Services};

use crate::{analytics, notification, payments, provider};

/// Runs one of the components that follow the events of orders.
#[derive(Debug, Clone, Parser)]
#[command(name = "downstream", version)]
pub struct Settings {
    /// The addresses of the services.
    #[command(flatten)]
    pub services: Services,
    /// The settings of logs and threads.
    #[command(flatten)]
    pub process: Process,
    /// The component to run.
    #[command(subcommand)]
    pub component: Component,
}

/// The components of the binary.
#[derive(Debug, Clone, Subcommand)]
pub enum Component {
    /// Aggregates orders for the report of a sale.
    Analytics(analytics::AnalyticsSettings),
    /// Notifies customers about their orders.
    Notification(notification::NotificationSettings),
    /// Charges and refunds card payments.
    Payments(payments::PaymentsSettings),
    /// Simulates a card provider.
    Provider(provider::ProviderSettings),
}
