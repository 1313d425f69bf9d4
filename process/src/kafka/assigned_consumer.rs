//! A consumer of all partitions of one topic that heals itself: a client that stalls is replaced by a new one, which
//! resumes at the same positions, so that no record is skipped or repeated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::{LogContext, PartitionProgress, Watchdog, WatchdogLimits};
use crate::metric::Counter;

/// The timeout of a request for the end of a partition.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings of an [`AssignedConsumer`].
#[derive(Debug, Clone)]
pub struct AssignedConsumerSettings {
    /// The settings of its clients.
    pub client: ClientConfig,
    /// The topic that is consumed.
    pub topic: String,
    /// When a client counts as failed.
    pub limits: WatchdogLimits,
    /// Counts the replaced clients.
    pub replaced: Counter,
}

/// A self-healing consumer with explicitly assigned partitions.
pub struct AssignedConsumer {
    settings: AssignedConsumerSettings,
    client: BaseConsumer<LogContext>,
    /// The next offset of each partition.
    positions: BTreeMap<i32, i64>,
    /// The last known end of each partition.
    ends: BTreeMap<i32, i64>,
    watchdog: Watchdog<i32>,
}

impl AssignedConsumerSettings {
    fn create_client(&self) -> Result<BaseConsumer<LogContext>, KafkaError> {
        let mut config = self.client.clone();
        config
            .set("group.id", "none") // required, but the group is never joined
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100");
        config.create_with_context(LogContext)
    }
}

impl AssignedConsumer {
    /// Starts to consume at these positions. What happens if an offset does not exist is determined by the client's
    /// setting `auto.offset.reset`.
    pub fn open(
        settings: AssignedConsumerSettings,
        positions: BTreeMap<i32, i64>,
    ) -> Result<Self, KafkaError> {
        let client = settings.create_client()?;
        Self::start(settings, client, positions)
    }

    /// Starts to consume at the end of every partition. Returns `None` if the topic does not exist yet.
    pub fn open_at_end(settings: AssignedConsumerSettings) -> Result<Option<Self>, KafkaError> {
        let client = settings.create_client()?;
        let metadata = client.fetch_metadata(Some(&settings.topic), REQUEST_TIMEOUT)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == settings.topic);
        let partitions = topic.map(|topic| topic.partitions()).unwrap_or_default();
        if partitions.is_empty() {
            return Ok(None);
        }
        let end = |partition: i32| {
            let (_, end) = client.fetch_watermarks(&settings.topic, partition, REQUEST_TIMEOUT)?;
            Ok((partition, end))
        };
        let positions =
            partitions.iter().map(|partition| end(partition.id())).collect::<Result<_, KafkaError>>()?;
        Self::start(settings, client, positions).map(Some)
    }

    fn start(
        settings: AssignedConsumerSettings,
        client: BaseConsumer<LogContext>,
        positions: BTreeMap<i32, i64>,
    ) -> Result<Self, KafkaError> {
        let watchdog = Watchdog::new(settings.limits, Instant::now());
        let consumer = Self { settings, client, positions, ends: BTreeMap::new(), watchdog };
        consumer.assign(&consumer.client)?;
        Ok(consumer)
    }

    fn assign(&self, client: &BaseConsumer<LogContext>) -> Result<(), KafkaError> {
        let mut assigned = TopicPartitionList::new();
        for (partition, next) in &self.positions {
            assigned.add_partition_offset(&self.settings.topic, *partition, Offset::Offset(*next))?;
        }
        client.assign(&assigned)
    }

    /// Returns the next record, if one arrives within `timeout`.
    pub fn poll(&mut self, timeout: Duration) -> Result<Option<BorrowedMessage<'_>>, KafkaError> {
        let message = self.client.poll(timeout).transpose()?;
        if let Some(message) = &message {
            self.positions.insert(message.partition(), message.offset() + 1);
        }
        Ok(message)
    }

    /// Returns the current client, for tests that inject faults into it.
    pub fn client(&self) -> &BaseConsumer<LogContext> {
        &self.client
    }

    /// If a check is due, requests the ends of the partitions through the client itself, and replaces the client if it
    /// is stalled or gets no response.
    pub fn check(&mut self) {
        if !self.watchdog.is_due(Instant::now()) {
            return;
        }
        let ends: Result<BTreeMap<i32, i64>, KafkaError> = self
            .positions
            .keys()
            .map(|partition| {
                let topic = &self.settings.topic;
                let (_, end) = self.client.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)?;
                Ok((*partition, end))
            })
            .collect();
        if let Err(error) = &ends {
            tracing::debug!(%error, "cannot fetch the ends of the partitions");
        }
        let responsive = ends.is_ok();
        self.ends.extend(ends.unwrap_or_default());
        self.judge(responsive);
    }

    /// Like [`check`](Self::check), for a caller that has just received the end of a partition from another client.
    pub fn check_against_end(&mut self, partition: i32, end: i64) {
        if self.watchdog.is_due(Instant::now()) {
            self.ends.insert(partition, end);
            self.judge(true);
        }
    }

    fn judge(&mut self, responsive: bool) {
        let progress = self.positions.iter().filter_map(|(partition, next)| {
            Some(PartitionProgress { partition: *partition, next: *next, end: *self.ends.get(partition)? })
        });
        let Err(failure) = self.watchdog.judge(progress, responsive, Instant::now()) else { return };
        let client = self.settings.create_client();
        match client.and_then(|client| self.assign(&client).map(|()| client)) {
            Ok(client) => {
                self.client = client;
                failure.report_replacement(&self.settings.replaced);
            }
            Err(error) => tracing::error!(%error, "cannot replace the Kafka consumer"),
        }
        self.watchdog.restart(Instant::now()); // also limits how often a failed replacement is retried
    }
}
