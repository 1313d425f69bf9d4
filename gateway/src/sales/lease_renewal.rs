//! Renews the lease.
//!
//! Every 500 ms the gateway notes the time s, appends a heartbeat to the topic `sales` and reads the topic up to
//! its own heartbeat. It has then read everything that was published before s, so until s + 3 s no process can
//! have begun a newer epoch, waited out the leases and be selling from it (ARCHITECTURE.md, "Epochs"). An append
//! is a read that a deposed broker cannot serve stale.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use contract::publication::Heartbeat;
use contract::wire;
use process::boottime::Boottime;
use process::health::Health;
use process::kafka::{self, Producer, STALL_MAX};
use process::supervisor::Supervisor;
use rdkafka::error::KafkaError;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::sales::catalog_reader::{Appended, CatalogReader, open_consumer};
use crate::sales::lease::Leases;

process::metrics! {
    static SECONDS_LEFT: Gauge = "gateway_lease_seconds_left",
        "Remaining validity of the lease under which the gateway accepts orders, in seconds.";
}

/// The pause between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);

/// What renewing the lease needs.
pub struct LeaseRenewal {
    /// The lease to renew.
    pub leases: Arc<Leases>,
    /// The brokers' addresses.
    pub brokers: String,
    /// The name of the topic `sales`.
    pub topic: String,
    /// This gateway's name in its heartbeats.
    pub name: String,
    /// The producer of the heartbeats.
    pub producer: Producer,
    /// Where the state of the dependencies `kafka` and `lease` is reported.
    pub health: Health,
}

impl LeaseRenewal {
    /// Spawns the reader, the heartbeats and the metric. They end at `stop`.
    pub fn spawn(
        self,
        supervisor: &Supervisor,
        stop: &CancellationToken,
    ) -> Result<Vec<JoinHandle<()>>, KafkaError> {
        let client = kafka::client(&self.brokers, &self.name);
        let consumer = open_consumer(client, self.topic.clone(), STALL_MAX)?;
        let (appended, heartbeats) = channel();
        let (leases, health) = (self.leases.clone(), self.health.clone());
        let reader = CatalogReader { leases, consumer, heartbeats, health };
        let reader_stop = stop.clone();
        let guard = supervisor.guard("read the sales");
        let reading = tokio::task::spawn_blocking(move || {
            reader.run(&reader_stop);
            drop(guard);
        });
        let recording = record_time_left(self.leases.clone(), stop.clone());
        let recording = tokio::spawn(supervisor.watch("record the lease", recording));
        let beating = self.send_heartbeats(appended, stop.clone());
        let beating = tokio::spawn(supervisor.watch("renew the lease", beating));
        Ok(vec![reading, recording, beating])
    }

    /// Appends a heartbeat every 500 ms, and at once when a sale's state was found lost; one at a time.
    async fn send_heartbeats(self, appended: Sender<Appended>, stop: CancellationToken) {
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(self.due(&mut ticks)).await.is_some() {
            let begun = Boottime::now();
            let acknowledged = self.send_heartbeat().await;
            self.health.report("kafka", &acknowledged);
            // The broker acknowledges a record that it had already (a late repeat of the client's) without its
            // offset: the reader could not know when it has read it back.
            if let Ok(acknowledged) = acknowledged
                && acknowledged.offset >= 0
            {
                // The reader ends at the same `stop`.
                let _ = appended.send(Appended { offset: acknowledged.offset, begun });
            }
        }
    }

    /// Waits until the next heartbeat is due.
    async fn due(&self, ticks: &mut Interval) {
        tokio::select! {
            _ = ticks.tick() => {}
            () = self.leases.newly_lost() => {}
        }
    }

    async fn send_heartbeat(&self) -> Result<kafka::Acknowledged, kafka::ProduceError> {
        let heartbeat = Heartbeat { gateway: self.name.clone(), lost: self.leases.still_lost() };
        let value = wire::encode(&heartbeat);
        let sent = self.producer.send(&kafka::Message {
            topic: &self.topic,
            partition: Some(0),
            key: &heartbeat.key(),
            value: Some(&value),
            headers: &[],
        });
        sent?.await
    }
}

/// Records in a metric how long the lease is still valid. Apart from the heartbeats, which stall while the log
/// does not respond.
async fn record_time_left(leases: Arc<Leases>, stop: CancellationToken) {
    let mut ticks = interval(HEARTBEAT_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        SECONDS_LEFT.set(leases.load().until.since_ms(Boottime::now()) as f64 / 1000.0);
    }
}
