//! The stack of the harness: services that `./dev chaos` has started, a Toxiproxy, and for each scenario a
//! fresh database, fresh topics, an empty Redis, two gateways and two settlements.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use stack::ports::local;
use stack::{Process, Protocol, Signal, StackFolder};

use super::downstream::{self, DownstreamProgram};
use super::ports::Ports;
use super::proxy::Proxies;
use super::receiver::Receiver;
use super::redis::RedisPair;
use checker::postgres;
use checker::settings::Services;
use customers::admin::Admin;
use customers::http::Authority;

/// The longest wait until a program is ready.
const READY_LIMIT: Duration = Duration::from_secs(40);
/// The names of the proxies.
pub mod proxies {
    /// The proxies from each gateway to Redis.
    pub const REDIS_GATEWAYS: [&str; 2] = ["redis-gateway-1", "redis-gateway-2"];
    /// The proxy from settlement to Redis.
    pub const REDIS_SETTLEMENTS: &str = "redis-settlements";
    /// The proxy from the second Redis to the first, of which it is a replica.
    pub const REPLICATION: &str = "replication";
    /// The proxy from the gateways to Kafka.
    pub const KAFKA_GATEWAYS: &str = "kafka-gateways";
    /// The proxy from settlement to Kafka.
    pub const KAFKA_SETTLEMENTS: &str = "kafka-settlements";
    /// The proxy from the gateways to Postgres.
    pub const POSTGRES_GATEWAYS: &str = "postgres-gateways";
    /// The proxy from settlement to Postgres.
    pub const POSTGRES_SETTLEMENTS: &str = "postgres-settlements";
    /// The proxy from payments to the card provider.
    pub const PROVIDER: &str = "provider";
    /// The proxy from the card provider to the first gateway.
    pub const CALLBACKS: &str = "callbacks";
    /// The proxy from notification to its receiver.
    pub const NOTIFICATION_TARGET: &str = "notification-target";
}

/// The value of `FLASHSALE_FAULTS` of each program at its start; empty for no fault.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The faults of the gateways.
    pub gateways: [String; 2],
    /// The faults of the settlements.
    pub settlements: [String; 2],
    /// The faults of the downstream programs, in the order of [`DownstreamProgram`].
    pub downstream: [String; 4],
}

/// A program of the stack.
#[derive(Debug)]
pub struct Program {
    pub(super) name: String,
    /// The address of metrics and health checks.
    admin: SocketAddr,
    pub(super) process: Option<Process>,
}

/// The stack with everything that a scenario can act on.
#[derive(Debug)]
pub struct Stack {
    /// The proxies between programs and services.
    pub proxies: Proxies,
    /// The Redis servers.
    pub redis: RedisPair,
    /// The receiver of notifications.
    pub receiver: Receiver,
    /// The pauses between the attempts of an event, in milliseconds.
    pub retry_pauses_ms: [&'static str; 2],
    pub(super) folder: PathBuf,
    binaries: PathBuf,
    dev: PathBuf,
    pub(super) ports: Ports,
    toxiproxy: Process,
    gateways: [Program; 2],
    settlements: [Program; 2],
    pub(super) downstream: [Program; 4],
    /// The brokers, without a proxy.
    pub(super) kafka: String,
    /// The URL of the Postgres server, without a database.
    pub(super) postgres: String,
    pub(super) database: String,
    pub(super) topic_prefix: String,
    /// The protection that is removed from every program; empty for none.
    removed_protection: &'static str,
    /// The statement that removes it from the schema.
    pub(super) schema_change: &'static str,
}

/// Returns a command in a process group of its own: Ctrl-C must reach only the harness, which ends its processes in order.
fn own_group(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.process_group(0);
    command
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: this is run by ./dev chaos"))
}

impl Stack {
    /// Connects to the services that `./dev chaos` has started, and starts a Toxiproxy.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = PathBuf::from(variable("FLASHSALE_STACK_DIR")?);
        let binaries = PathBuf::from(variable("FLASHSALE_BIN_DIR")?);
        let ports = Ports::claim(&variable("FLASHSALE_CHAOS_PORTS")?)?;
        let database_url = variable("DATABASE_URL")?;
        let (server, _) = database_url.rsplit_once('/').context("DATABASE_URL has no database")?;
        let kafka = variable("KAFKA_BROKERS")?;
        let first = variable("REDIS_URL")?;
        let first: SocketAddr = first.trim_start_matches("redis://").parse().context("REDIS_URL")?;

        let log = folder.join("logs").join("toxiproxy.log");
        let mut command = own_group(variable("FLASHSALE_TOXIPROXY")?);
        command.args(["-host", "127.0.0.1", "-port", &ports.proxy_api.to_string()]);
        let mut toxiproxy = Process::spawn_with_log("toxiproxy", &mut command, &log)?;
        let proxy_api = local(ports.proxy_api);
        toxiproxy.wait_until_ready(proxy_api, Protocol::Http("/version"), READY_LIMIT).await?;
        let proxies = Proxies::new(proxy_api);
        let program = |name: &str, admin| Program { name: name.into(), admin: local(admin), process: None };
        let mut stack = Self {
            proxies,
            redis: RedisPair::new(&folder, first, local(ports.redis_second))?,
            receiver: Receiver::start(local(ports.receiver)).await?,
            retry_pauses_ms: downstream::RETRY_PAUSES_MS,
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
            downstream: DownstreamProgram::ALL
                .map(|which| program(which.name(), ports.downstream[which as usize])),
            kafka,
            postgres: server.to_owned(),
            database: String::new(),
            topic_prefix: String::new(),
            removed_protection: "",
            schema_change: "",
            folder,
            binaries,
            ports,
        };
        stack.create_proxies(first).await?;
        stack.redis.reset().await?;
        Ok(stack)
    }

    async fn create_proxies(&self, redis: SocketAddr) -> anyhow::Result<()> {
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
        self.create_downstream_proxies().await
    }

    /// Starts programs from the next environment on without a protection; empty to start them with all
    /// protections.
    pub fn set_mutation(&mut self, removed_protection: &'static str, schema_change: &'static str) {
        (self.removed_protection, self.schema_change) = (removed_protection, schema_change);
    }

    /// Returns the addresses of the services without proxies, as the checker uses them.
    pub fn services(&self) -> Services {
        Services {
            database_url: format!("{}/{}", self.postgres, self.database),
            redis_url: format!("redis://{}", self.redis.primary()),
            kafka_brokers: self.kafka.clone(),
            topic_prefix: self.topic_prefix.clone(),
        }
    }

    /// Returns the public addresses of the gateways.
    pub fn gateways(&self) -> Vec<Authority> {
        let authority = |address: SocketAddr| Authority { host: address.to_string(), address };
        self.ports.gateways.iter().map(|[public, _]| authority(local(*public))).collect()
    }

    /// Returns a client for the admin listener of a gateway.
    pub fn admin(&self, gateway: usize) -> anyhow::Result<Admin> {
        Admin::new(&format!("http://{}", self.gateways[gateway].admin))
    }

    /// Connects the harness to the environment's database.
    pub async fn database(&self) -> anyhow::Result<tokio_postgres::Client> {
        postgres::connect(&self.services().database_url).await
    }

    /// Redirects the proxies of all gateways and settlements to another Redis.
    pub async fn redirect_redis(&self, to: SocketAddr) -> anyhow::Result<()> {
        for proxy in proxies::REDIS_GATEWAYS.into_iter().chain([proxies::REDIS_SETTLEMENTS]) {
            self.proxies.redirect(proxy, to).await?;
        }
        Ok(())
    }

    /// Returns the proxy address at which a replica reaches the first Redis.
    pub fn replication(&self) -> SocketAddr {
        local(self.ports.redis[3])
    }

    /// Returns the URL of a settlement's metrics and health checks.
    pub fn settlement_url(&self, n: usize) -> String {
        format!("http://{}", self.settlements[n].admin)
    }

    /// Returns the name of the environment's database.
    pub(super) fn environment(&self) -> &str {
        &self.database
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    fn command(&self, binary: &str, kafka: u16, postgres: u16, redis: u16, faults: &str) -> Command {
        let user = self.postgres.rsplit_once('@').map_or(self.postgres.as_str(), |(user, _)| user);
        let mut command = self.base_command(binary, faults);
        command
            .env("KAFKA_BROKERS", local(kafka).to_string())
            .env("DATABASE_URL", format!("{user}@{}/{}", local(postgres), self.database))
            .env("REDIS_URL", format!("redis://{}", local(redis)));
        command
    }

    /// Returns the command of a downstream program, which reaches the services without proxies.
    pub(super) fn downstream_command(&self, faults: &str) -> Command {
        let services = self.services();
        let mut command = self.base_command("downstream", faults);
        command.env("KAFKA_BROKERS", services.kafka_brokers).env("DATABASE_URL", services.database_url);
        command
    }

    fn base_command(&self, binary: &str, faults: &str) -> Command {
        let mut command = own_group(self.binaries.join(binary));
        command
            .env("TOPIC_PREFIX", &self.topic_prefix)
            .env("LOG_FORMAT", "json")
            .env("FLASHSALE_FAULTS", self.all_faults(faults))
            .env("FLASHSALE_FAULTS_ONCE", self.folder.join("run").join(format!("{}.hit", self.database)));
        command
    }

    fn all_faults(&self, faults: &str) -> String {
        let removed = Some(format!("without:{}", self.removed_protection));
        let removed = removed.filter(|_| !self.removed_protection.is_empty());
        removed.into_iter().chain([faults.to_owned()]).collect::<Vec<_>>().join(",")
    }

    /// Starts a gateway that is not running.
    pub fn start_gateway(&mut self, n: usize, faults: &str) -> anyhow::Result<()> {
        let Ports { kafka_gateways, postgres, redis, gateways, .. } = self.ports;
        let mut command = self.command("gateway", kafka_gateways[1], postgres[0], redis[n], faults);
        command
            .env("GATEWAY_LISTEN", local(gateways[n][0]).to_string())
            .env("GATEWAY_ADMIN_LISTEN", local(gateways[n][1]).to_string())
            .env("GATEWAY_DEV_AUTH", "true");
        downstream::configure_gateway(&mut command);
        let (name, log) = (self.gateways[n].name.clone(), self.log(&self.gateways[n].name));
        self.gateways[n].process = Some(Process::spawn_with_log(&name, &mut command, &log)?);
        Ok(())
    }

    /// Starts a settlement that is not running.
    pub fn start_settlement(&mut self, n: usize, faults: &str) -> anyhow::Result<()> {
        let Ports { kafka_settlements, postgres, redis, settlements, .. } = self.ports;
        let mut command = self.command("settlement", kafka_settlements[1], postgres[1], redis[2], faults);
        command.env("SETTLEMENT_LISTEN", local(settlements[n]).to_string());
        downstream::configure_settlement(&mut command);
        let (name, log) = (self.settlements[n].name.clone(), self.log(&self.settlements[n].name));
        self.settlements[n].process = Some(Process::spawn_with_log(&name, &mut command, &log)?);
        Ok(())
    }

    /// Returns the process of a gateway.
    pub fn gateway(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        self.gateways[n].process.as_mut().with_context(|| format!("gateway-{} was not started", n + 1))
    }

    /// Returns the process of a settlement.
    pub fn settlement(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        self.settlements[n].process.as_mut().with_context(|| format!("settlement-{} was not started", n + 1))
    }

    /// Waits until every program is ready.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        for program in self.gateways.iter_mut().chain(&mut self.settlements).chain(&mut self.downstream) {
            if let Some(process) = &mut program.process {
                process.wait_until_ready(program.admin, Protocol::HEALTH, READY_LIMIT).await?;
            }
        }
        Ok(())
    }

    /// Removes all faults: restores the proxies, continues stopped programs and starts those that have
    /// exited.
    pub async fn restore(&mut self) -> anyhow::Result<()> {
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
        for which in DownstreamProgram::ALL {
            if let Some(process) = &mut self.downstream[which as usize].process {
                process.signal(Signal::CONT);
                if !process.is_alive() {
                    self.start_downstream(which, "")?;
                }
            }
        }
        Ok(())
    }

    /// Returns the process of a service that `./dev` runs: kafka or postgres.
    pub fn service(&self, name: &str) -> anyhow::Result<Process> {
        Ok(Process::recorded(name, &StackFolder::new(&self.folder))?)
    }

    /// Starts services that were killed, and waits until they are ready.
    pub async fn restart_services(&self) -> anyhow::Result<()> {
        let done = tokio::process::Command::new(&self.dev)
            .args(["up", "--services-only"])
            .env("QUIET", "yes")
            .stdin(Stdio::null())
            .output()
            .await
            .context("running ./dev up --services-only")?;
        let stderr = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "./dev up --services-only failed: {stderr}");
        Ok(())
    }

    pub(super) async fn end_programs(&mut self, how: Signal) -> anyhow::Result<()> {
        let programs = self.gateways.iter_mut().chain(&mut self.settlements).chain(&mut self.downstream);
        for program in programs {
            if let Some(mut process) = program.process.take() {
                if how == Signal::KILL { process.kill().await? } else { process.terminate().await? }
            }
        }
        Ok(())
    }

    /// Ends the processes that the harness has started.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.end_programs(Signal::KILL).await?;
        self.toxiproxy.terminate().await?;
        self.redis.stop_second().await
    }

    /// Returns the folder of the journals and findings of all runs.
    pub fn output(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// Returns the folder of the stack.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
