//! The programs that follow the events of orders, and the card provider: where they are, how they are started,
//! and what lies between them. They run only in scenarios in which customers pay.

use anyhow::Context;
use tokio::process::Command;

use super::ports::{Ports, local};
use super::process::Process;
use super::receiver;
use super::stack::{Stack, proxies};

/// What the provider and the gateways know: callbacks are signed with it.
const CALLBACK_SECRET: &str = "whsec_Y2hhb3MtY2FsbGJhY2tzLWFyZS1zaWduZWQ=";
/// Tests of minutes are too long: pauses are shorter than in production, in their proportions.
const PAYMENTS: [(&str, &str); 3] = [
    ("PROVIDER_TIMEOUT_MS", "1000"),
    ("PAYMENTS_SWEEP_EVERY_MS", "500"),
    ("PAYMENTS_SWEEP_AFTER_MS", "2000"),
];
/// From an event's first try to its second, and from there to the last. A scenario may say otherwise.
pub const TRIES_MS: [&str; 2] = ["2000", "10000"];
/// Messages that may be on their way at once: orders of a partition that are worked on, and partitions.
pub const MESSAGES_AT_ONCE: u64 = 16 * 4;

/// One of these programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follower {
    /// The simulated card provider.
    Provider,
    /// Takes and returns the money of card payments.
    Payments,
    /// Tells customers.
    Notification,
    /// Counts.
    Analytics,
}

impl Follower {
    /// In the order in which they are started.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Payments, Self::Notification, Self::Analytics];

    /// The subcommand of `downstream`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Payments => "payments",
            Self::Notification => "notification",
            Self::Analytics => "analytics",
        }
    }
}

/// Topics that these groups make for themselves.
pub fn topics() -> impl Iterator<Item = String> {
    let groups = [Follower::Payments, Follower::Notification, Follower::Analytics].map(Follower::name);
    groups.into_iter().flat_map(|group| [format!("{group}.retry"), format!("{group}.dead-letter")])
}

/// What gateways are told besides.
pub fn of_gateway(command: &mut Command) {
    command.env("PAYMENT_WEBHOOK_SECRET", CALLBACK_SECRET);
}

/// Goods go on quickly: an order's whole life fits into a scenario.
pub fn of_settlement(command: &mut Command) {
    command
        .env("DELIVERY_SHIP_AFTER_SECONDS", "1")
        .env("DELIVERY_SCAN_AFTER_SECONDS", "0")
        .env("DELIVERY_DELIVER_AFTER_SECONDS", "1");
}

impl Stack {
    /// Proxies between these programs and whom they call.
    pub(super) async fn make_follower_proxies(&self) -> anyhow::Result<()> {
        let Ports { followers, provider, callbacks, notification_target, gateways, receiver, .. } =
            self.ports;
        for (name, listen, upstream) in [
            (proxies::PROVIDER, provider, followers[Follower::Provider as usize]),
            (proxies::CALLBACKS, callbacks, gateways[0][0]),
            (proxies::NOTIFICATION_TARGET, notification_target, receiver),
        ] {
            self.proxies.create(name, local(listen), local(upstream)).await?;
        }
        Ok(())
    }

    /// Starts one that does not run.
    pub fn start_follower(&mut self, which: Follower, faults: &str) -> anyhow::Result<()> {
        let listen = local(self.ports.followers[which as usize]).to_string();
        let mut command = self.following_command(faults);
        match which {
            Follower::Provider => command
                .env("PROVIDER_LISTEN", listen)
                .env("PROVIDER_JOURNAL", self.folder().join("data").join(format!("{}.jsonl", self.world())))
                .env("PAYMENT_WEBHOOK_SECRET", CALLBACK_SECRET),
            Follower::Payments => command
                .env("PAYMENTS_LISTEN", listen)
                .env("PROVIDER_URL", format!("http://{}", local(self.ports.provider)))
                .env(
                    "PAYMENT_CALLBACK_URL",
                    format!("http://{}/v1/payments/callback", local(self.ports.callbacks)),
                )
                .envs(PAYMENTS),
            Follower::Notification => command
                .env("NOTIFICATION_LISTEN", listen)
                .env("NOTIFICATION_WEBHOOK_URL", format!("http://{}/", local(self.ports.notification_target)))
                .env("NOTIFICATION_WEBHOOK_SECRET", receiver::SECRET),
            Follower::Analytics => command.env("ANALYTICS_LISTEN", listen),
        };
        if which == Follower::Payments || which == Follower::Notification {
            let [second, third] = self.tries_ms;
            command.env("GROUP_SECOND_TRY_AFTER_MS", second).env("GROUP_THIRD_TRY_AFTER_MS", third);
        }
        command.arg(which.name());
        let program = &mut self.followers[which as usize];
        let log = self.folder.join("logs").join(format!("{}.log", program.name));
        program.process = Some(Process::spawn(&program.name, &mut command, &log)?);
        Ok(())
    }

    /// The process of one.
    pub fn follower(&mut self, which: Follower) -> anyhow::Result<&mut Process> {
        let process = self.followers[which as usize].process.as_mut();
        process.with_context(|| format!("{} was not started", which.name()))
    }

    /// Where the provider answers, without a proxy between.
    pub fn provider_url(&self) -> String {
        format!("http://{}", local(self.ports.followers[Follower::Provider as usize]))
    }
}
