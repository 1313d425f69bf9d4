//! The downstream programs: the consumers of order events and the card provider, with their addresses, their
//! commands and their proxies. They run only in scenarios in which customers pay.

use std::process::Command;

use anyhow::Context;
use stack::Process;
use stack::ports::local;

use super::ports::Ports;
use super::receiver;
use super::stack::{Stack, proxies};

/// The secret with which the provider signs callbacks; the gateways verify them with it.
const CALLBACK_SECRET: &str = "whsec_Y2hhb3MtY2FsbGJhY2tzLWFyZS1zaWduZWQ=";
/// Shorter timeouts than in production, in the same proportions, so that a scenario does not take minutes.
const PAYMENTS: [(&str, &str); 3] = [
    ("PROVIDER_TIMEOUT_MS", "1000"),
    ("PAYMENTS_SWEEP_EVERY_MS", "500"),
    ("PAYMENTS_SWEEP_AFTER_MS", "2000"),
];
/// The pauses between the attempts of an event, in milliseconds. A scenario may override them.
pub const RETRY_PAUSES_MS: [&str; 2] = ["2000", "10000"];
/// The number of messages that may be in flight: orders processed in parallel in a partition, times
/// partitions.
pub const MESSAGES_IN_FLIGHT_MAX: u64 = 16 * 4;

/// A downstream program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownstreamProgram {
    /// The simulated card provider.
    Provider,
    /// Captures and refunds card payments.
    Payments,
    /// Sends messages to customers.
    Notification,
    /// Counts orders and revenue.
    Analytics,
}

impl DownstreamProgram {
    /// Every program, in the order of starting.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Payments, Self::Notification, Self::Analytics];

    /// Returns the subcommand of `downstream`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Payments => "payments",
            Self::Notification => "notification",
            Self::Analytics => "analytics",
        }
    }
}

/// Returns the topics that the consumer groups create for themselves.
pub fn topics() -> impl Iterator<Item = String> {
    let groups = [DownstreamProgram::Payments, DownstreamProgram::Notification, DownstreamProgram::Analytics]
        .map(DownstreamProgram::name);
    groups.into_iter().flat_map(|group| [format!("{group}.retry"), format!("{group}.dead-letter")])
}

/// Adds the settings of gateways that the downstream programs require.
pub fn configure_gateway(command: &mut Command) {
    command.env("PAYMENT_WEBHOOK_SECRET", CALLBACK_SECRET);
}

/// Makes deliveries quick, so that an order's whole lifecycle fits into a scenario.
pub fn configure_settlement(command: &mut Command) {
    command
        .env("DELIVERY_SHIP_AFTER_SECONDS", "1")
        .env("DELIVERY_SCAN_AFTER_SECONDS", "0")
        .env("DELIVERY_DELIVER_AFTER_SECONDS", "1");
}

impl Stack {
    /// Creates the proxies between the downstream programs and the servers that they call.
    pub(super) async fn create_downstream_proxies(&self) -> anyhow::Result<()> {
        let Ports { downstream, provider, callbacks, notification_target, gateways, receiver, .. } =
            self.ports;
        for (name, listen, upstream) in [
            (proxies::PROVIDER, provider, downstream[DownstreamProgram::Provider as usize]),
            (proxies::CALLBACKS, callbacks, gateways[0][0]),
            (proxies::NOTIFICATION_TARGET, notification_target, receiver),
        ] {
            self.proxies.create(name, local(listen), local(upstream)).await?;
        }
        Ok(())
    }

    /// Starts a program that is not running.
    pub fn start_downstream(&mut self, which: DownstreamProgram, faults: &str) -> anyhow::Result<()> {
        let listen = local(self.ports.downstream[which as usize]).to_string();
        let mut command = self.downstream_command(faults);
        match which {
            DownstreamProgram::Provider => command
                .env("PROVIDER_LISTEN", listen)
                .env(
                    "PROVIDER_JOURNAL",
                    self.folder().join("data").join(format!("{}.jsonl", self.environment())),
                )
                .env("PAYMENT_WEBHOOK_SECRET", CALLBACK_SECRET),
            DownstreamProgram::Payments => command
                .env("PAYMENTS_LISTEN", listen)
                .env("PROVIDER_URL", format!("http://{}", local(self.ports.provider)))
                .env(
                    "PAYMENT_CALLBACK_URL",
                    format!("http://{}/v1/payments/callback", local(self.ports.callbacks)),
                )
                .envs(PAYMENTS),
            DownstreamProgram::Notification => command
                .env("NOTIFICATION_LISTEN", listen)
                .env("NOTIFICATION_WEBHOOK_URL", format!("http://{}/", local(self.ports.notification_target)))
                .env("NOTIFICATION_WEBHOOK_SECRET", receiver::SECRET),
            DownstreamProgram::Analytics => command.env("ANALYTICS_LISTEN", listen),
        };
        if which == DownstreamProgram::Payments || which == DownstreamProgram::Notification {
            let [second, third] = self.retry_pauses_ms;
            command.env("GROUP_SECOND_TRY_AFTER_MS", second).env("GROUP_THIRD_TRY_AFTER_MS", third);
        }
        command.arg(which.name());
        let program = &mut self.downstream[which as usize];
        let log = self.folder.join("logs").join(format!("{}.log", program.name));
        program.process = Some(Process::spawn_with_log(&program.name, &mut command, &log)?);
        Ok(())
    }

    /// Returns the process of a program.
    pub fn downstream_program(&mut self, which: DownstreamProgram) -> anyhow::Result<&mut Process> {
        let process = self.downstream[which as usize].process.as_mut();
        process.with_context(|| format!("{} was not started", which.name()))
    }

    /// Returns the provider's URL without a proxy.
    pub fn provider_url(&self) -> String {
        format!("http://{}", local(self.ports.downstream[DownstreamProgram::Provider as usize]))
    }
}
