//! Records in the log that cannot be decoded or that refer to unknown sales.

use std::time::Duration;

use anyhow::Context;
use contract::topics::ORDERS;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Stage;
use checker::settings::Services;

/// One per cent of the sale's records, at about 225 records a second.
const EVERY: Duration = Duration::from_millis(440);
/// The longest wait for the log, and for settlement to dead-letter the records.
const LIMIT: Duration = Duration::from_secs(20);

/// The key of a record (empty for the sale's), its headers, and its value.
type Poison = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// The invalid records.
const POISON: [Poison; 7] = [
    ("", &[], "no headers at all"),
    ("", &[("type", "accepted"), ("version", "99")], "{}"),
    ("", &[("type", "accepted"), ("version", "1")], "{\"sale_id\":"),
    ("", &[("type", "gift"), ("version", "1")], "{}"),
    ("no-such-sale", &[("type", "accepted"), ("version", "1"), ("epoch", "1")], "{}"),
    ("", &[("type", "command"), ("version", "1")], "\u{fffd}\u{0}"),
    ("", &[("type", "totals"), ("version", "one")], "[1,2"),
];

/// Produces invalid records during the whole burst; then the operator discards them all.
pub(super) async fn poisoned(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let database = stage.stack.database().await?;
    let partition = "SELECT partition FROM sale WHERE sale_id = $1";
    let partition: i32 = database.query_one(partition, &[&stage.sale]).await?.try_get(0)?;
    let services = stage.stack.services();
    let until = tokio::time::Instant::now() + stage.duration;
    let mut sent = 0i64;
    while tokio::time::Instant::now() < until {
        let kind = stage.rng.usize(0..POISON.len());
        let (sale, services) = (stage.sale.clone(), services.clone());
        tokio::task::spawn_blocking(move || produce(&services, partition, &sale, POISON[kind])).await??;
        sent += 1;
        tokio::time::sleep(EVERY).await;
    }
    let begun = std::time::Instant::now();
    let letters = "SELECT id FROM dead_letter WHERE state = 'undecided'";
    let mut rows = database.query(letters, &[]).await?;
    while (rows.len() as i64) < sent {
        anyhow::ensure!(begun.elapsed() < LIMIT, "{} of {sent} records were dead-lettered", rows.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
        rows = database.query(letters, &[]).await?;
    }
    anyhow::ensure!(
        rows.len() as i64 == sent,
        "{sent} records are invalid, {} were dead-lettered",
        rows.len()
    );
    for row in rows {
        let id: i64 = row.try_get(0)?;
        // Settlement refuses to replay a record that cannot be decoded, and leaves the dead letter as it is.
        if stage.rng.u32(0..3) == 0 {
            stage.stack.admin(0)?.decide_dead_letter(id, "replay").await?;
        }
        stage.stack.admin(1)?.decide_dead_letter(id, "discard").await?;
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
    producer.send(record).map_err(|(error, _)| error).context("producing an invalid record")?;
    producer.flush(LIMIT).context("producing an invalid record")
}
