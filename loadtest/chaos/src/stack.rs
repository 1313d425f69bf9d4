//! The stack that is ill-treated: services that `./dev chaos` has started, a Toxiproxy, and for each
//! scenario a fresh database, fresh topics, an empty Redis, two gateways and two settlers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::Signal;
use tokio::process::Command;

use super::followers::{self, Follower};
use super::ports::{Ports, local};
use super::process::Process;
use super::proxy::Proxies;
use super::receiver::Receiver;
use super::redis::Redises;
use checker::postgres;
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::settings::Services;

/// Longest wait for a program to be ready.
const READY_LIMIT: Duration = Duration::from_secs(40);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Proxies by name, and who goes through them.
pub mod proxies {
    /// Of each gateway to Redis.
    pub const REDIS_GATEWAYS: [&str; 2] = ["redis-gateway-1", "redis-gateway-2"];
    /// Of settlement to Redis.
    pub const REDIS_SETTLEMENTS: &str = "redis-settlements";
    /// Of the second Redis to the first, which it follows.
    pub const REPLICATION: &str = "replication";
    /// Of the gateways to Kafka.
    pub const KAFKA_GATEWAYS: &str = "kafka-gateways";
    /// Of settlement to Kafka.
    pub const KAFKA_SETTLEMENTS: &str = "kafka-settlements";
    /// Of the gateways to Postgres.
    pub const POSTGRES_GATEWAYS: &str = "postgres-gateways";
    /// Of settlement to Postgres.
    pub const POSTGRES_SETTLEMENTS: &str = "postgres-settlements";
    /// Of payments to the card provider.
    pub const PROVIDER: &str = "provider";
    /// Of the card provider to the first gateway.
    pub const CALLBACKS: &str = "callbacks";
    /// Of notification to its receiver.
    pub const NOTIFICATION_TARGET: &str = "notification-target";
}

/// What `FLASHSALE_FAULTS` says to each program, from its start; empty: nothing.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// To the gateways.
    pub gateways: [String; 2],
    /// To the settlers.
    pub settlements: [String; 2],
    /// To what follows the events, in the order of [`Follower`].
    pub followers: [String; 4],
}

/// A gateway, a settler, or what follows the events.
#[derive(Debug)]
pub struct Program {
    pub(super) name: String,
    /// Where it answers for itself.
    admin: SocketAddr,
    pub(super) process: Option<Process>,
}

/// Everything that can be hit.
#[derive(Debug)]
pub struct Stack {
    /// Between programs and services.
    pub proxies: Proxies,
    /// Where the stock is.
    pub redis: Redises,
    /// Whom notification tells.
    pub receiver: Receiver,
    /// From the first try of an event to the second, and from there to the last, in milliseconds.
    pub tries_ms: [&'static str; 2],
    pub(super) folder: PathBuf,
    binaries: PathBuf,
    dev: PathBuf,
    pub(super) ports: Ports,
    toxiproxy: Process,
    gateways: [Program; 2],
    settlements: [Program; 2],
    pub(super) followers: [Program; 4],
    /// Without a proxy between.
    pub(super) kafka: String,
    /// The server, without a database.
    pub(super) postgres: String,
    pub(super) database: String,
    pub(super) topic_prefix: String,
    /// A protection that every program is started without; empty: none.
    without: &'static str,
    /// What is taken out of the schema with it.
    pub(super) schema: &'static str,
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: this is run by ./dev chaos"))
}

impl Stack {
    /// The services of the stack that `./dev chaos` has started, and a Toxiproxy before them.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = PathBuf::from(variable("FLASHSALE_STACK_DIR")?);
        let binaries = PathBuf::from(variable("FLASHSALE_BIN_DIR")?);
        let ports = Ports::parse(&variable("FLASHSALE_CHAOS_PORTS")?)?;
        let database_url = variable("DATABASE_URL")?;
        let (server, _) = database_url.rsplit_once('/').context("DATABASE_URL has no database")?;
        let kafka = variable("KAFKA_BROKERS")?;
        let first = variable("REDIS_URL")?;
        let first: SocketAddr = first.trim_start_matches("redis://").parse().context("REDIS_URL")?;

        let log = folder.join("logs").join("toxiproxy.log");
        let mut command = Command::new(variable("FLASHSALE_TOXIPROXY")?);
        command.args(["-host", "127.0.0.1", "-port", &ports.proxy_api.to_string()]);
        let toxiproxy = Process::spawn("toxiproxy", &mut command, &log)?;
        let proxies = Proxies::at(local(ports.proxy_api));
        let begun = Instant::now();
        while !proxies.answer().await {
            anyhow::ensure!(
                begun.elapsed() < READY_LIMIT,
                "toxiproxy does not answer; see {}",
                log.display()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let program = |name: &str, admin| Program { name: name.into(), admin: local(admin), process: None };
        let mut stack = Self {
            proxies,
            redis: Redises::new(&folder, first, local(ports.redis_second))?,
            receiver: Receiver::start(local(ports.receiver)).await?,
            tries_ms: followers::TRIES_MS,
            dev: PathBuf::from(variable("FLASHSALE_DEV")?),
            toxiproxy,
            gateways: [
                program("gateway-1", ports.gateways[0][1]),
                program("gateway-2", ports.gateways[1][1]),
            ],
            settlements: [
                program("settlement-1", ports.settlements[0]),
                program("settlement-2", ports.settlements[1]),
            ],
            followers: Follower::ALL.map(|which| program(which.name(), ports.followers[which as usize])),
            kafka,
            postgres: server.to_owned(),
            database: String::new(),
            topic_prefix: String::new(),
            without: "",
            schema: "",
            folder,
            binaries,
            ports,
        };
        stack.make_proxies(first).await?;
        stack.redis.reset().await?;
        Ok(stack)
    }

    async fn make_proxies(&self, redis: SocketAddr) -> anyhow::Result<()> {
        let Ports { redis: redis_ports, postgres, kafka_gateways, kafka_settlements, .. } = self.ports;
        let server = self.postgres.rsplit_once('@').context("DATABASE_URL has no user")?.1;
        let server: SocketAddr = server.parse().context("DATABASE_URL")?;
        let [first, second] = proxies::REDIS_GATEWAYS;
        let all = [
            (first, redis_ports[0], redis),
            (second, redis_ports[1], redis),
            (proxies::REDIS_SETTLEMENTS, redis_ports[2], redis),
            (proxies::REPLICATION, redis_ports[3], redis),
            (proxies::POSTGRES_GATEWAYS, postgres[0], server),
            (proxies::POSTGRES_SETTLEMENTS, postgres[1], server),
            (proxies::KAFKA_GATEWAYS, kafka_gateways[1], local(kafka_gateways[0])),
            (proxies::KAFKA_SETTLEMENTS, kafka_settlements[1], local(kafka_settlements[0])),
        ];
        for (name, listen, upstream) in all {
            self.proxies.create(name, local(listen), upstream).await?;
        }
        self.make_follower_proxies().await
    }

    /// From the next world on, programs are started without this protection; empty: with all.
    pub fn weaken(&mut self, without: &'static str, schema: &'static str) {
        (self.without, self.schema) = (without, schema);
    }

    /// The services as the checker sees them: without a proxy between.
    pub fn services(&self) -> Services {
        Services {
            database_url: format!("{}/{}", self.postgres, self.database),
            redis_url: format!("redis://{}", self.redis.primary()),
            kafka_brokers: self.kafka.clone(),
            topic_prefix: self.topic_prefix.clone(),
        }
    }

    /// Where customers go.
    pub fn gateways(&self) -> Vec<Authority> {
        let authority = |address: SocketAddr| Authority { host: address.to_string(), address };
        self.ports.gateways.iter().map(|[public, _]| authority(local(*public))).collect()
    }

    /// The operator's door of a gateway.
    pub fn admin(&self, gateway: usize) -> anyhow::Result<Admin> {
        Admin::at(&format!("http://{}", self.gateways[gateway].admin))
    }

    /// A connection of the harness's own to the world's database.
    pub async fn database(&self) -> anyhow::Result<tokio_postgres::Client> {
        postgres::connect(&self.services().database_url).await
    }

    /// Every gateway's and settler's way to Redis leads here from now on.
    pub async fn lead_redis(&self, to: SocketAddr) -> anyhow::Result<()> {
        for proxy in proxies::REDIS_GATEWAYS.into_iter().chain([proxies::REDIS_SETTLEMENTS]) {
            self.proxies.lead(proxy, to).await?;
        }
        Ok(())
    }

    /// Where a replica reaches the first Redis, through a proxy.
    pub fn replication(&self) -> SocketAddr {
        local(self.ports.redis[3])
    }

    /// Where a settler answers for itself.
    pub fn settlement_url(&self, n: usize) -> String {
        format!("http://{}", self.settlements[n].admin)
    }

    /// The name of the world's database.
    pub(super) fn world(&self) -> &str {
        &self.database
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    fn command(&self, binary: &str, kafka: u16, postgres: u16, redis: u16, faults: &str) -> Command {
        let user = self.postgres.rsplit_once('@').map_or(self.postgres.as_str(), |(user, _)| user);
        let mut command = self.bare_command(binary, faults);
        command
            .env("KAFKA_BROKERS", local(kafka).to_string())
            .env("DATABASE_URL", format!("{user}@{}/{}", local(postgres), self.database))
            .env("REDIS_URL", format!("redis://{}", local(redis)));
        command
    }

    /// Of what follows the events: without a proxy between it and the services.
    pub(super) fn following_command(&self, faults: &str) -> Command {
        let services = self.services();
        let mut command = self.bare_command("downstream", faults);
        command.env("KAFKA_BROKERS", services.kafka_brokers).env("DATABASE_URL", services.database_url);
        command
    }

    fn bare_command(&self, binary: &str, faults: &str) -> Command {
        let mut command = Command::new(self.binaries.join(binary));
        command
            .env("TOPIC_PREFIX", &self.topic_prefix)
            .env("LOG_FORMAT", "json")
            .env("FLASHSALE_FAULTS", self.all_faults(faults))
            .env("FLASHSALE_FAULTS_ONCE", self.folder.join("run").join(format!("{}.hit", self.database)));
        command
    }

    fn all_faults(&self, faults: &str) -> String {
        let without = Some(format!("without:{}", self.without)).filter(|_| !self.without.is_empty());
        without.into_iter().chain([faults.to_owned()]).collect::<Vec<_>>().join(",")
    }

    /// Starts a gateway that does not run.
    pub fn start_gateway(&mut self, n: usize, faults: &str) -> anyhow::Result<()> {
        let Ports { kafka_gateways, postgres, redis, gateways, .. } = self.ports;
        let mut command = self.command("gateway", kafka_gateways[1], postgres[0], redis[n], faults);
        command
            .env("GATEWAY_LISTEN", local(gateways[n][0]).to_string())
            .env("GATEWAY_ADMIN_LISTEN", local(gateways[n][1]).to_string())
            .env("GATEWAY_DEV_AUTH", "true");
        followers::of_gateway(&mut command);
        let (name, log) = (self.gateways[n].name.clone(), self.log(&self.gateways[n].name));
        self.gateways[n].process = Some(Process::spawn(&name, &mut command, &log)?);
        Ok(())
    }

    /// Starts a settler that does not run.
    pub fn start_settlement(&mut self, n: usize, faults: &str) -> anyhow::Result<()> {
        let Ports { kafka_settlements, postgres, redis, settlements, .. } = self.ports;
        let mut command = self.command("settlement", kafka_settlements[1], postgres[1], redis[2], faults);
        command.env("SETTLEMENT_LISTEN", local(settlements[n]).to_string());
        followers::of_settlement(&mut command);
        let (name, log) = (self.settlements[n].name.clone(), self.log(&self.settlements[n].name));
        self.settlements[n].process = Some(Process::spawn(&name, &mut command, &log)?);
        Ok(())
    }

    /// A gateway's process.
    pub fn gateway(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        self.gateways[n].process.as_mut().with_context(|| format!("gateway-{} was not started", n + 1))
    }

    /// A settler's process.
    pub fn settlement(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        self.settlements[n].process.as_mut().with_context(|| format!("settlement-{} was not started", n + 1))
    }

    /// Waits until every program says that it is ready.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let followers = self.followers.iter_mut().filter(|program| program.process.is_some());
        for program in self.gateways.iter_mut().chain(&mut self.settlements).chain(followers) {
            let url = format!("http://{}", program.admin);
            while !admin::is_ready(&url).await {
                let alive = program.process.as_mut().is_some_and(Process::is_alive);
                anyhow::ensure!(alive, "{} ended; see its log", program.name);
                anyhow::ensure!(begun.elapsed() < READY_LIMIT, "{} is not ready; see its log", program.name);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Everything runs and flows again, without faults.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        self.proxies.reset().await?;
        for n in 0..2 {
            self.gateway(n)?.signal(Signal::CONT);
            self.settlement(n)?.signal(Signal::CONT);
            if !self.gateway(n)?.is_alive() {
                self.start_gateway(n, "")?;
            }
            if !self.settlement(n)?.is_alive() {
                self.start_settlement(n, "")?;
            }
        }
        for which in Follower::ALL {
            if let Some(process) = &mut self.followers[which as usize].process {
                process.signal(Signal::CONT);
                if !process.is_alive() {
                    self.start_follower(which, "")?;
                }
            }
        }
        Ok(())
    }

    /// A service that `./dev` runs: kafka, postgres.
    pub fn service(&self, name: &str) -> anyhow::Result<Process> {
        Process::of_stack(name, &self.folder)
    }

    /// Starts what was killed of the services, and waits until it answers.
    pub async fn restart_services(&self) -> anyhow::Result<()> {
        let done = Command::new(&self.dev)
            .args(["up", "--services-only"])
            .env("QUIET", "yes")
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .context("running ./dev up --services-only")?;
        let told = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "./dev up --services-only failed: {told}");
        Ok(())
    }

    pub(super) async fn end_programs(&mut self, how: Signal) -> anyhow::Result<()> {
        let programs = self.gateways.iter_mut().chain(&mut self.settlements).chain(&mut self.followers);
        for program in programs {
            if let Some(mut process) = program.process.take() {
                if how == Signal::KILL { process.kill().await? } else { process.end().await? }
            }
        }
        Ok(())
    }

    /// Ends what this process has started.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.end_programs(Signal::KILL).await?;
        self.toxiproxy.end().await?;
        self.redis.end().await
    }

    /// Where runs leave their journals and findings.
    pub fn output(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// The folder of the stack.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
