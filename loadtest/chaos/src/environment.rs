//! A fresh environment for each scenario: a database, topics and a Redis without data of an earlier scenario.

use std::time::{Duration, Instant};

use anyhow::Context;
use contract::topics;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use stack::Signal;
use tokio_postgres::error::SqlState;

use super::downstream::{self, DownstreamProgram};
use super::stack::{Faults, Stack};
use checker::postgres;

/// The longest time that Postgres' autovacuum works in a database of one scenario.
const VACUUM_MAX: Duration = Duration::from_secs(20);
/// The longest wait until topics are deleted.
const TOPICS_LIMIT: Duration = Duration::from_secs(10);

impl Stack {
    /// Creates an environment without data of an earlier scenario. `name` must be unique. `with_downstream`:
    /// whether the downstream programs run.
    pub async fn reset_environment(
        &mut self,
        name: &str,
        faults: &Faults,
        with_downstream: bool,
    ) -> anyhow::Result<()> {
        self.end_programs(Signal::KILL).await?;
        for name in ["kafka", "postgres"] {
            let mut service = self.service(name)?;
            service.signal(Signal::CONT);
            if !service.is_alive() {
                self.restart_services().await?;
            }
        }
        self.proxies.reset().await?;
        self.redirect_redis(self.redis.first()).await?;
        self.redis.reset().await?;
        self.drop_environment().await?;
        self.database = format!("chaos_{}", name.replace('-', "_"));
        self.topic_prefix = format!("{name}.");
        let server = postgres::connect(&format!("{}/flashsale", self.postgres)).await?;
        server.batch_execute(&format!("CREATE DATABASE {}", self.database)).await?;
        for n in 0..2 {
            self.start_settlement(n, &faults.settlements[n])?;
            self.start_gateway(n, &faults.gateways[n])?;
        }
        self.receiver.clear();
        for which in DownstreamProgram::ALL.into_iter().filter(|_| with_downstream) {
            self.start_downstream(which, &faults.downstream[which as usize])?;
        }
        self.wait_until_ready().await?;
        if !self.schema_change.is_empty() {
            self.database().await?.batch_execute(self.schema_change).await?;
        }
        Ok(())
    }

    /// Deletes the topics and the database of the last environment: a broker with hundreds of partitions
    /// takes half a minute to restart after a SIGKILL.
    async fn drop_environment(&mut self) -> anyhow::Result<()> {
        if self.database.is_empty() {
            return Ok(());
        }
        delete_topics(&self.kafka, &self.topic_prefix).await?;
        let server = postgres::connect(&format!("{}/flashsale", self.postgres)).await?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        let begun = Instant::now();
        loop {
            match server.batch_execute(&statement).await {
                // Autovacuum may be active in the database. It cannot be cancelled from here, and finishes
                // soon.
                Err(error)
                    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
                        && begun.elapsed() < VACUUM_MAX =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                dropped => return dropped.context("dropping the database of the last environment"),
            }
        }
    }
}

async fn delete_topics(kafka: &str, prefix: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka).create().context("KAFKA_BROKERS")?;
    let ours = topics::ALL.iter().map(|topic| topic.name.to_owned()).chain(downstream::topics());
    let names: Vec<String> = ours.map(|name| format!("{prefix}{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let options =
        AdminOptions::new().operation_timeout(Some(TOPICS_LIMIT)).request_timeout(Some(TOPICS_LIMIT));
    // A topic that was never created cannot be deleted, and one that remains is harmless.
    let _ = admin.delete_topics(&names, &options).await?;
    Ok(())
}
