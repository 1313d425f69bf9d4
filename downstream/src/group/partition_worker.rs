//! Processes one partition: receives the records that the consumer reads from the source and retry topics, starts
//! the tasks that can start, and publishes the position up to which everything is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use process::walltime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dispatch::{DispatchOutcome, Dispatcher};
use super::envelope::Envelope;
use super::offsets::Offsets;
use super::order_scheduler::{Job, OrderScheduler, Origin, Task};
use super::{Handler, ReceivedEvent};

/// The greatest number of source records that are read and not done. Above it, the consumer pauses the source.
const OPEN_MAX: usize = 1000;
/// The greatest number of deferred events, which are in memory, too. Above it, the consumer pauses the source.
const DEFERRED_MAX: usize = 10_000;
/// The capacity of an inbox. The worker empties it without waiting for handlers, so a full inbox only slows the
/// consumer down; it never blocks a rebalance, because a worker that has ended drops its end.
const INBOX_MAX: usize = 1024;

/// The positions up to which everything is done, by topic (true: retry topic, false: source topic) and partition.
pub type SharedPositions = Arc<Mutex<BTreeMap<(bool, i32), i64>>>;

/// A record that the consumer has read.
pub struct ReceivedRecord {
    /// The place where the record was read.
    pub origin: Origin,
    /// The record itself.
    pub envelope: Envelope,
}

/// The offsets at which a partition is taken over.
#[derive(Debug, Clone, Copy)]
pub struct StartOffsets {
    /// The partition, which is the same in both topics.
    pub partition: i32,
    /// The committed position in the source topic.
    pub source: i64,
    /// The committed position in the retry topic.
    pub retry: i64,
    /// The end of the retry topic at the time of the assignment.
    pub retry_end: i64,
}

/// The consumer's handle of a partition worker.
pub struct Inbox {
    sender: mpsc::Sender<ReceivedRecord>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    /// The number of source records that are read and not done.
    open: AtomicUsize,
    /// The number of events from the retry topic that are not started.
    deferred: AtomicUsize,
}

impl Inbox {
    /// Passes a record to the worker. Blocks the calling thread while the inbox is full.
    pub fn send(&self, record: ReceivedRecord) {
        if !record.origin.retry {
            self.load.open.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.sender.blocking_send(record); // the worker has ended: the record is read again
    }

    /// Returns whether the source must be paused. A `paused` source resumes when half of the load is done.
    pub fn is_full(&self, paused: bool) -> bool {
        let part = if paused { 2 } else { 1 };
        self.load.open.load(Ordering::Relaxed) > OPEN_MAX / part
            || self.load.deferred.load(Ordering::Relaxed) > DEFERRED_MAX / part
    }
}

/// Processes a partition. It ends with its cancellation token.
pub struct PartitionWorker<H> {
    partition: i32,
    inbox: mpsc::Receiver<ReceivedRecord>,
    load: Arc<Load>,
    orders: OrderScheduler,
    source: Offsets,
    retry: Offsets,
    running: FuturesUnordered<BoxFuture<'static, DispatchOutcome>>,
    dispatcher: Arc<Dispatcher<H>>,
    positions: SharedPositions,
    stop: CancellationToken,
}

impl<H: Handler> PartitionWorker<H> {
    /// Creates a worker and the inbox that feeds it.
    pub fn new(
        start: StartOffsets,
        dispatcher: Arc<Dispatcher<H>>,
        positions: SharedPositions,
        stop: CancellationToken,
    ) -> (Inbox, Self) {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let load = Arc::new(Load::default());
        let worker = Self {
            partition: start.partition,
            inbox,
            load: load.clone(),
            orders: OrderScheduler::new(start.retry, start.retry_end),
            source: Offsets::starting_at(start.source),
            retry: Offsets::starting_at(start.retry),
            running: FuturesUnordered::new(),
            dispatcher,
            positions,
            stop,
        };
        (Inbox { sender, load }, worker)
    }

    /// Works until it is stopped, then waits for the tasks that are running.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            self.start_tasks();
            let pause = self.time_to_next_retry();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(outcome) = self.running.next() => self.finish_task(outcome),
                record = self.inbox.recv() => match record {
                    Some(record) => self.receive(record),
                    None => break,
                },
                () = tokio::time::sleep(pause) => {}
            }
        }
        // The consumer must not wait for space in the inbox of a worker that stops.
        self.inbox.close();
        while let Some(outcome) = self.running.next().await {
            self.finish_task(outcome);
        }
    }

    fn start_tasks(&mut self) {
        while self.running.len() < self.dispatcher.concurrency() {
            let Some(task) = self.orders.next_task(walltime::now().0) else { break };
            let (dispatcher, partition, stop) = (self.dispatcher.clone(), self.partition, self.stop.clone());
            self.running.push(match task {
                Task::Handle(job) => Box::pin(dispatcher.handle(partition, *job, stop)),
                Task::Defer(deferral) => Box::pin(dispatcher.defer(partition, deferral, stop)),
            });
        }
        self.load.deferred.store(self.orders.deferred(), Ordering::Relaxed);
    }

    /// Returns the time until the next retry is due; one minute if none is.
    fn time_to_next_retry(&self) -> Duration {
        let due = self.orders.next_due_ms().map(|due| due.saturating_sub(walltime::now().0));
        Duration::from_millis(due.unwrap_or(60_000).clamp(1, 60_000))
    }

    fn receive(&mut self, ReceivedRecord { origin, envelope }: ReceivedRecord) {
        let offsets = if origin.retry { &mut self.retry } else { &mut self.source };
        if !offsets.register(origin.offset) {
            if !origin.retry {
                self.load.open.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        }
        match ReceivedEvent::decode(&envelope) {
            Ok(event) => self.orders.enqueue(Job { origin, envelope, event }),
            Err(error) => {
                let mut envelope = envelope;
                envelope.reason = error.to_string();
                tracing::error!(
                    source = envelope.source,
                    why = envelope.reason,
                    "dead-lettering an undecodable record"
                );
                let (dispatcher, partition, stop) =
                    (self.dispatcher.clone(), self.partition, self.stop.clone());
                self.running.push(Box::pin(dispatcher.dead_letter(partition, None, origin, envelope, stop)));
            }
        }
        if origin.retry {
            self.orders.advance_read_back(self.retry.next());
        }
    }

    fn finish_task(&mut self, outcome: DispatchOutcome) {
        match outcome {
            DispatchOutcome::Handled(job) => {
                self.orders.complete(job.key());
                self.complete_record(job.origin);
            }
            DispatchOutcome::DeadLettered { key, done } => {
                if let Some(key) = key {
                    self.orders.complete(&key);
                }
                self.complete_record(done);
            }
            DispatchOutcome::Failed(job) => {
                let deferral = self.orders.fail(job);
                let (dispatcher, partition, stop) =
                    (self.dispatcher.clone(), self.partition, self.stop.clone());
                self.running.push(Box::pin(dispatcher.defer(partition, deferral, stop)));
            }
            DispatchOutcome::Deferred { key, done, last } => {
                self.orders.finish_deferral(&key, last);
                self.retry.group(done.iter().filter(|origin| origin.retry).map(|origin| origin.offset));
                done.into_iter().for_each(|origin| self.complete_record(origin));
            }
            DispatchOutcome::Interrupted => {}
        }
    }

    fn complete_record(&mut self, origin: Origin) {
        let offsets = if origin.retry { &mut self.retry } else { &mut self.source };
        offsets.complete(origin.offset);
        if !origin.retry {
            self.load.open.fetch_sub(1, Ordering::Relaxed);
        }
        let mut positions = self.positions.lock();
        positions.insert((origin.retry, self.partition), offsets.position());
    }
}
