//! A world for each scenario: a database, topics and a Redis in which nothing is left of the last one.

use std::time::{Duration, Instant};

use anyhow::Context;
use contract::topics;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rustix::process::Signal;
use tokio_postgres::error::SqlState;

use super::followers::{self, Follower};
use super::stack::{Faults, Stack};
use checker::postgres;

/// Postgres' own vacuum works no longer than this in a database of one scenario.
const VACUUM_MAX: Duration = Duration::from_secs(20);
/// Longest wait for topics to be deleted.
const TOPICS_LIMIT: Duration = Duration::from_secs(10);

impl Stack {
    /// A new world: nothing of an earlier scenario is left in it. `name` may be used once. `followed`: with
    /// what follows the events.
    pub async fn fresh(&mut self, name: &str, faults: &Faults, followed: bool) -> anyhow::Result<()> {
        self.end_programs(Signal::KILL).await?;
        for name in ["kafka", "postgres"] {
            let mut service = self.service(name)?;
            service.signal(Signal::CONT);
            if !service.is_alive() {
                self.restart_services().await?;
            }
        }
        self.proxies.reset().await?;
        self.lead_redis(self.redis.first()).await?;
        self.redis.reset().await?;
        self.drop_world().await?;
        self.database = format!("chaos_{}", name.replace('-', "_"));
        self.topic_prefix = format!("{name}.");
        let server = postgres::connect(&format!("{}/flashsale", self.postgres)).await?;
        server.batch_execute(&format!("CREATE DATABASE {}", self.database)).await?;
        for n in 0..2 {
            self.start_settlement(n, &faults.settlements[n])?;
            self.start_gateway(n, &faults.gateways[n])?;
        }
        self.receiver.forget();
        for which in Follower::ALL.into_iter().filter(|_| followed) {
            self.start_follower(which, &faults.followers[which as usize])?;
        }
        self.until_ready().await?;
        if !self.schema.is_empty() {
            self.database().await?.batch_execute(self.schema).await?;
        }
        Ok(())
    }

    /// Deletes the last world's topics and database: a broker with hundreds of partitions takes half a
    /// minute to come back after a SIGKILL.
    async fn drop_world(&mut self) -> anyhow::Result<()> {
        if self.database.is_empty() {
            return Ok(());
        }
        delete_topics(&self.kafka, &self.topic_prefix).await?;
        let server = postgres::connect(&format!("{}/flashsale", self.postgres)).await?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        let begun = Instant::now();
        loop {
            match server.batch_execute(&statement).await {
                // Postgres' own vacuum may be at work in it: that cannot be ended from here, and ends soon.
                Err(error)
                    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
                        && begun.elapsed() < VACUUM_MAX =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                dropped => return dropped.context("dropping the last world's database"),
            }
        }
    }
}

async fn delete_topics(kafka: &str, prefix: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka).create().context("KAFKA_BROKERS")?;
    let ours = topics::ALL.iter().map(|topic| topic.name.to_owned()).chain(followers::topics());
    let names: Vec<String> = ours.map(|name| format!("{prefix}{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let options =
        AdminOptions::new().operation_timeout(Some(TOPICS_LIMIT)).request_timeout(Some(TOPICS_LIMIT));
    // What was never made cannot be deleted, and whatever stays does no harm.
    let _ = admin.delete_topics(&names, &options).await?;
    Ok(())
}
