//! Records in the log that nobody can read, or that speak of what is not there.

use std::time::Duration;

use anyhow::Context;
use contract::topics::ORDERS;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Stage;
use customers::settings::Services;

/// A record of the sale's partition in a hundred, at some 225 records a second.
const EVERY: Duration = Duration::from_millis(440);
/// Longest wait for the log, and for settlement to set them aside.
const LIMIT: Duration = Duration::from_secs(20);

/// A record: its key (empty: the sale's), its headers, its value.
type Poison = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// What can be wrong with one.
const POISON: [Poison; 7] = [
    ("", &[], "no headers at all"),
    ("", &[("type", "accepted"), ("version", "99")], "{}"),
    ("", &[("type", "accepted"), ("version", "1")], "{\"sale_id\":"),
    ("", &[("type", "gift"), ("version", "1")], "{}"),
    ("no-such-sale", &[("type", "accepted"), ("version", "1"), ("epoch", "1")], "{}"),
    ("", &[("type", "command"), ("version", "1")], "\u{fffd}\u{0}"),
    ("", &[("type", "totals"), ("version", "one")], "[1,2"),
];

/// One after another as long as the burst lasts; then the operator discards them all.
pub(super) async fn poisoned(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let database = stage.stack.database().await?;
    let partition = "SELECT partition FROM sale WHERE sale_id = $1";
    let partition: i32 = database.query_one(partition, &[&stage.sale]).await?.try_get(0)?;
    let services = stage.stack.services();
    let until = tokio::time::Instant::now() + stage.lasts;
    let mut sent = 0i64;
    while tokio::time::Instant::now() < until {
        let kind = stage.dice.roll(POISON.len() as u64) as usize;
        let (sale, services) = (stage.sale.clone(), services.clone());
        tokio::task::spawn_blocking(move || produce(&services, partition, &sale, POISON[kind])).await??;
        sent += 1;
        tokio::time::sleep(EVERY).await;
    }
    let begun = std::time::Instant::now();
    let letters = "SELECT id FROM dead_letter WHERE state = 'undecided'";
    let mut rows = database.query(letters, &[]).await?;
    while (rows.len() as i64) < sent {
        anyhow::ensure!(begun.elapsed() < LIMIT, "{} of {sent} records were set aside", rows.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
        rows = database.query(letters, &[]).await?;
    }
    anyhow::ensure!(rows.len() as i64 == sent, "{sent} records are poison, {} were set aside", rows.len());
    for row in rows {
        let id: i64 = row.try_get(0)?;
        // Replaying what cannot be read is refused by settlement and leaves it as it is.
        if stage.dice.roll(3) == 0 {
            stage.stack.admin(0)?.decide(id, "replay").await?;
        }
        stage.stack.admin(1)?.decide(id, "discard").await?;
    }
    Ok(())
}

fn produce(
    services: &Services,
    partition: i32,
    sale: &str,
    (key, headers, value): Poison,
) -> anyhow::Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &services.kafka_brokers)
        .set("linger.ms", "0")
        .create()?;
    let topic = format!("{}{}", services.topic_prefix, ORDERS.name);
    let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(Header { key, value: Some(value.as_bytes()) })
    });
    let key = if key.is_empty() { sale } else { key };
    let record = BaseRecord::to(&topic).partition(partition).key(key).headers(headers).payload(value);
    producer.send(record).map_err(|(error, _)| error).context("poisoning the log")?;
    producer.flush(LIMIT).context("poisoning the log")
}
