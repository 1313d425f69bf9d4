//! The real programs, on the services of `./dev test`.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use testkit::program::{Program, built};
use testkit::system::fresh_database;
use testkit::{claim_address, environment, fresh};

/// The secret that signs the provider's callbacks and the notifications.
const SECRET: &str = "whsec_Zmxhc2hzYWxlLWRhc2hib2FyZC10ZXN0LXNlY3JldA==";

/// One process of each program, killed when the value is dropped.
pub(crate) struct Binaries {
    pub(crate) public: String,
    pub(crate) admin: String,
    pub(crate) settlement: String,
    /// The addresses of provider, payments, notification and analytics.
    downstream: Vec<String>,
    pub(crate) topic_prefix: String,
    programs: Vec<Program>,
}

impl Binaries {
    /// Starts them and waits until they are ready.
    pub(crate) async fn start() -> Self {
        let (public, admin, settlement) = (claim_address(), claim_address(), claim_address());
        let mut binaries = Self {
            public: format!("http://{public}"),
            admin: format!("http://{admin}"),
            settlement: format!("http://{settlement}"),
            downstream: Vec::new(),
            topic_prefix: format!("{}-", fresh("t")),
            programs: Vec::new(),
        };
        let services = [
            ("KAFKA_BROKERS", environment("KAFKA_BROKERS")),
            ("REDIS_URL", environment("REDIS_URL")),
            ("DATABASE_URL", fresh_database().await),
            ("TOPIC_PREFIX", binaries.topic_prefix.clone()),
        ];
        let settlement = [("SETTLEMENT_LISTEN", settlement.to_string())];
        let gateway = [
            ("GATEWAY_LISTEN", public.to_string()),
            ("GATEWAY_ADMIN_LISTEN", admin.to_string()),
            ("GATEWAY_DEV_AUTH", "true".into()),
            ("GATEWAY_QUEUE_ORDERS_MAX", "1".into()), // so that a small burst is overload
            ("PAYMENT_WEBHOOK_SECRET", SECRET.into()),
        ];
        binaries.spawn("settlement", None, services.iter().chain(&settlement));
        binaries.spawn("gateway", None, services.iter().chain(&gateway));
        binaries.spawn_downstream(&services);
        for address in [&binaries.settlement, &binaries.admin].into_iter().chain(&binaries.downstream) {
            let url = format!("{address}/health/ready");
            testkit::until(&format!("{url} is ready"), async || {
                reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        }
        binaries
    }

    /// Starts the consumers of the events. No server receives the webhooks of notifications.
    fn spawn_downstream(&mut self, services: &[(&str, String)]) {
        let [provider, payments, notification, analytics] =
            std::array::from_fn(|_| claim_address().to_string());
        let journal = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.jsonl", self.topic_prefix));
        let parts = [
            (
                "provider",
                vec![
                    ("PROVIDER_LISTEN", provider.clone()),
                    ("PROVIDER_JOURNAL", journal.display().to_string()),
                    ("PAYMENT_WEBHOOK_SECRET", SECRET.into()),
                ],
            ),
            (
                "payments",
                vec![
                    ("PAYMENTS_LISTEN", payments.clone()),
                    ("PROVIDER_URL", format!("http://{provider}")),
                    ("PAYMENT_CALLBACK_URL", format!("{}/v1/payments/callback", self.public)),
                ],
            ),
            (
                "notification",
                vec![
                    ("NOTIFICATION_LISTEN", notification.clone()),
                    ("NOTIFICATION_WEBHOOK_URL", format!("http://{}", claim_address())),
                    ("NOTIFICATION_WEBHOOK_SECRET", SECRET.into()),
                ],
            ),
            ("analytics", vec![("ANALYTICS_LISTEN", analytics.clone())]),
        ];
        for (part, own) in &parts {
            self.spawn("downstream", Some(part), services.iter().chain(own));
        }
        self.downstream =
            [provider, payments, notification, analytics].map(|a| format!("http://{a}")).to_vec();
    }

    fn spawn<'a>(
        &mut self,
        program: &str,
        part: Option<&str>,
        settings: impl Iterator<Item = &'a (&'a str, String)>,
    ) {
        let log = format!("dashboard-{}.log", part.unwrap_or(program));
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(log);
        let log = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let settings = settings.map(|(name, value)| (name, value));
        let mut command = Command::new(built(program));
        self.programs.push(Program::spawn(command.args(part).envs(settings).stderr(log)));
    }

    /// Returns the job and host:port of each program, for Prometheus.
    pub(crate) fn targets(&self) -> Vec<(&'static str, &str)> {
        let jobs = ["gateway", "settlement", "provider", "payments", "notification", "analytics"];
        let urls = [&self.admin, &self.settlement].into_iter().chain(&self.downstream);
        jobs.into_iter().zip(urls.map(|url| url.trim_start_matches("http://"))).collect()
    }
}
