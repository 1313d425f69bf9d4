//! Evidence from Kafka: partitions are read from the beginning by a consumer without a group.

use std::time::{Duration, Instant};

use anyhow::Context;
use contract::event::{InventoryEvent, OrderEvent};
use contract::ids::{OrderId, SaleId};
use contract::record::{self, Headers};
use contract::topics;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rustc_hash::FxHashSet;

use super::evidence::{LogRecord, PublishedEvent, PublishedMovement};
use crate::settings::Services;

/// The longest wait for metadata and watermarks.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// The longest wait for the next message while there are more.
const STALL_LIMIT: Duration = Duration::from_secs(15);

/// A reader of topics. Its calls block, so they belong on a blocking thread.
pub struct LogReader {
    consumer: BaseConsumer,
    topic_prefix: String,
}

impl LogReader {
    /// Creates a reader of these brokers.
    pub fn new(services: &Services) -> anyhow::Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", &services.kafka_brokers)
            .set("group.id", "flashsale-check") // required by the library, never joined
            .set("enable.auto.commit", "false")
            // A fetch that waits for more messages delays every later request to the same broker.
            .set("fetch.wait.max.ms", "10")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "error")
            .create()
            .context("KAFKA_BROKERS")?;
        Ok(Self { consumer, topic_prefix: services.topic_prefix.clone() })
    }

    /// Returns the end offset of a partition, which is the offset of the next message.
    pub fn end_offset(&self, topic: &str, partition: i32) -> anyhow::Result<i64> {
        let topic = &self.prefixed(topic);
        let watermarks = self.consumer.fetch_watermarks(topic, partition, REQUEST_LIMIT);
        Ok(watermarks.with_context(|| format!("fetching the end of {topic}/{partition}"))?.1)
    }

    /// Reads the sale's records in the log up to an offset.
    pub fn records(&self, sale: &SaleId, partition: i32, end: i64) -> anyhow::Result<Vec<LogRecord>> {
        let mut records = Vec::new();
        self.read(topics::ORDERS.name, partition, end, |message| {
            if message.key() == Some(sale.as_str().as_bytes()) {
                let headers = record_headers(message);
                let record = record::decode(&headers, message.payload().unwrap_or_default());
                records.push(LogRecord {
                    offset: message.offset(),
                    headers,
                    record: record.map_err(|error| error.to_string()),
                });
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// Reads the messages about these orders in `order-events`.
    pub fn order_events(&self, orders: &FxHashSet<OrderId>) -> anyhow::Result<Vec<PublishedEvent>> {
        let mut events = Vec::new();
        self.read_all(topics::ORDER_EVENTS.name, |message| {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default());
            if key.parse::<OrderId>().is_ok_and(|order| orders.contains(&order)) {
                let data: OrderEvent = data(message)?;
                anyhow::ensure!(
                    data.order_id.to_string() == key,
                    "{key}: the data names order {}",
                    data.order_id
                );
                events.push(PublishedEvent {
                    key: key.into_owned(),
                    id: event_header(message, "ce_id")?,
                    status: data.status.as_str().to_owned(),
                });
            }
            Ok(())
        })?;
        Ok(events)
    }

    /// Reads the sale's messages in `inventory-events`.
    pub fn movements(&self, sale: &SaleId) -> anyhow::Result<Vec<PublishedMovement>> {
        let mut movements = Vec::new();
        let prefix = format!("{sale}/");
        self.read_all(topics::INVENTORY_EVENTS.name, |message| {
            if message.key().is_some_and(|key| key.starts_with(prefix.as_bytes())) {
                let data: InventoryEvent = data(message)?;
                movements.push(PublishedMovement {
                    id: event_header(message, "ce_id")?,
                    movement: event_header(message, "ce_type")?,
                    order_id: data.order_id.map(OrderId),
                    sku: data.sku.to_string(),
                    quantity: data.quantity,
                });
            }
            Ok(())
        })?;
        Ok(movements)
    }

    fn prefixed(&self, topic: &str) -> String {
        format!("{}{topic}", self.topic_prefix)
    }

    fn read_all(
        &self,
        topic: &str,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let metadata = self.consumer.fetch_metadata(Some(&self.prefixed(topic)), REQUEST_LIMIT)?;
        let partitions = metadata.topics().first().map(|topic| topic.partitions().len()).unwrap_or(0);
        anyhow::ensure!(partitions > 0, "the topic {topic} does not exist");
        for partition in 0..i32::try_from(partitions)? {
            let end = self.end_offset(topic, partition)?;
            self.read(topic, partition, end, &mut each)?;
        }
        Ok(())
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        end: i64,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let topic = &self.prefixed(topic);
        let (begin, _) = self.consumer.fetch_watermarks(topic, partition, REQUEST_LIMIT)?;
        if begin >= end {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(begin))?;
        self.consumer.assign(&assignment)?;
        let mut next = begin;
        let mut last_message = Instant::now();
        while next < end {
            match self.consumer.poll(Duration::from_millis(200)) {
                Some(message) => {
                    let message = message.with_context(|| format!("reading {topic}/{partition}"))?;
                    last_message = Instant::now();
                    next = message.offset() + 1;
                    if message.offset() < end {
                        each(&message)
                            .with_context(|| format!("{topic}/{partition}@{}", message.offset()))?;
                    }
                }
                None => anyhow::ensure!(
                    last_message.elapsed() < STALL_LIMIT,
                    "{topic}/{partition} stalls at offset {next}, its end is {end}"
                ),
            }
        }
        Ok(())
    }
}

fn record_headers(message: &BorrowedMessage<'_>) -> Headers {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Headers::decode(headers.filter_map(|header| Some((header.key, header.value?))))
}

fn event_header(message: &BorrowedMessage<'_>, name: &str) -> anyhow::Result<String> {
    let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let value = headers.find(|header| header.key == name).and_then(|header| header.value);
    Ok(String::from_utf8(value.with_context(|| format!("no header {name}"))?.to_vec())?)
}

fn data<T: serde::de::DeserializeOwned>(message: &BorrowedMessage<'_>) -> anyhow::Result<T> {
    Ok(serde_json::from_slice(message.payload().unwrap_or_default())?)
}
