//! The real programs on the services of `./dev test`, with a Redis of their own that can be taken away.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use testkit::system::{free_address, fresh_database};
use testkit::{RedisServer, environment, fresh};

/// One gateway and one settlement; killed with the value.
pub(crate) struct Binaries {
    pub(crate) public: String,
    pub(crate) admin: String,
    pub(crate) settlement: String,
    pub(crate) topic_prefix: String,
    pub(crate) redis: RedisServer,
    children: Vec<Child>,
}

/// `cargo build --bins` puts the programs beside the folder of test programs.
fn folder() -> PathBuf {
    let tests = std::env::current_exe().expect("this program");
    tests.ancestors().nth(2).expect("target/debug/deps/…").to_owned()
}

impl Binaries {
    /// Starts them and waits until they are ready.
    pub(crate) async fn start() -> Self {
        let (public, admin, settlement) = (free_address(), free_address(), free_address());
        let mut binaries = Self {
            public: format!("http://{public}"),
            admin: format!("http://{admin}"),
            settlement: format!("http://{settlement}"),
            topic_prefix: format!("{}-", fresh("t")),
            redis: RedisServer::start().await,
            children: Vec::new(),
        };
        let services = [
            ("KAFKA_BROKERS", environment("KAFKA_BROKERS")),
            ("REDIS_URL", binaries.redis.url()),
            ("DATABASE_URL", fresh_database().await),
            ("TOPIC_PREFIX", binaries.topic_prefix.clone()),
        ];
        let settlement = [("SETTLEMENT_LISTEN", settlement.to_string())];
        let gateway = [
            ("GATEWAY_LISTEN", public.to_string()),
            ("GATEWAY_ADMIN_LISTEN", admin.to_string()),
            ("GATEWAY_DEV_AUTH", "true".into()),
            ("GATEWAY_QUEUE_ORDERS_MAX", "1".into()), // so that a small crowd is too much
        ];
        binaries.spawn("settlement", services.iter().chain(&settlement));
        binaries.spawn("gateway", services.iter().chain(&gateway));
        for address in [&binaries.settlement, &binaries.admin] {
            let url = format!("{address}/health/ready");
            testkit::until(&format!("{url} is ready"), async || {
                reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        }
        binaries
    }

    fn spawn<'a>(&mut self, name: &str, settings: impl Iterator<Item = &'a (&'a str, String)>) {
        let program = folder().join(name);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dashboard-{name}.log"));
        let log = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let child =
            Command::new(&program).envs(settings.map(|(name, value)| (name, value))).stderr(log).spawn();
        self.children.push(child.unwrap_or_else(|error| {
            panic!("{}: {error}; ./dev test builds it (cargo build --bins)", program.display())
        }));
    }

    /// What both export now.
    pub(crate) async fn scrape(&self) -> [String; 2] {
        let scrape = async |address: &str| {
            let answer = reqwest::get(format!("{address}/metrics")).await.expect("an answer");
            answer.text().await.expect("text")
        };
        [scrape(&self.admin).await, scrape(&self.settlement).await]
    }
}

impl Drop for Binaries {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill(); // it may have ended by itself
            let _ = child.wait();
        }
    }
}
