//! One partition at work: takes what the consumer reads of the source and of the retry topic, starts what
//! may start, and says up to where everything is done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use process::walltime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dispatch::{DispatchOutcome, Dispatcher};
use super::envelope::Envelope;
use super::offsets::Offsets;
use super::order_scheduler::{Job, OrderScheduler, Origin, Task};
use super::{Handler, ReceivedEvent};

/// Records of the source that were read and are not done: no more are fetched above.
const OPEN_MAX: usize = 1000;
/// Events that may wait in the retry topic (they are in memory, too): above, the source waits.
const WAITING_MAX: usize = 10_000;

/// Up to where everything is done: retry topic or source, partition, offset.
pub type SharedPositions = Arc<Mutex<BTreeMap<(bool, i32), i64>>>;

/// A record that was read.
pub struct ReceivedRecord {
    /// Where.
    pub origin: Origin,
    /// What.
    pub envelope: Envelope,
}

/// Where a partition is taken over.
#[derive(Debug, Clone, Copy)]
pub struct StartOffsets {
    /// The partition.
    pub partition: i32,
    /// The source's position.
    pub source: i64,
    /// The retry topic's position.
    pub retry: i64,
    /// The retry topic's end.
    pub retry_end: i64,
}

/// The consumer's end of a lane.
pub struct Inbox {
    sender: mpsc::UnboundedSender<ReceivedRecord>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    /// Of the source, not done.
    open: AtomicUsize,
    /// In the retry topic, read back.
    waiting: AtomicUsize,
}

impl Inbox {
    /// Hands a record over.
    pub fn put(&self, taken: ReceivedRecord) {
        if !taken.origin.retry {
            self.load.open.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.sender.send(taken); // a lane that has ended is read again
    }

    /// Whether the source must wait; and, once it does, until half is done.
    pub fn is_full(&self, paused: bool) -> bool {
        let part = if paused { 2 } else { 1 };
        self.load.open.load(Ordering::Relaxed) > OPEN_MAX / part
            || self.load.waiting.load(Ordering::Relaxed) > WAITING_MAX / part
    }
}

/// A lane and the way into it.
pub fn lane<H: Handler>(
    start: StartOffsets,
    shared: Arc<Dispatcher<H>>,
    positions: SharedPositions,
    stop: CancellationToken,
) -> (Inbox, PartitionWorker<H>) {
    let (sender, inbox) = mpsc::unbounded_channel();
    let load = Arc::new(Load::default());
    let lane = PartitionWorker {
        partition: start.partition,
        inbox,
        load: load.clone(),
        orders: OrderScheduler::new(start.retry, start.retry_end),
        source: Offsets::starting_at(start.source),
        retry: Offsets::starting_at(start.retry),
        running: FuturesUnordered::new(),
        shared,
        positions,
        stop,
    };
    (Inbox { sender, load }, lane)
}

/// A partition.
pub struct PartitionWorker<H> {
    partition: i32,
    inbox: mpsc::UnboundedReceiver<ReceivedRecord>,
    load: Arc<Load>,
    orders: OrderScheduler,
    source: Offsets,
    retry: Offsets,
    running: FuturesUnordered<BoxFuture<'static, DispatchOutcome>>,
    shared: Arc<Dispatcher<H>>,
    positions: SharedPositions,
    stop: CancellationToken,
}

impl<H: Handler> PartitionWorker<H> {
    /// Works until it is stopped, and then until what was begun is done.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            self.begin();
            let pause = self.pause();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(outcome) = self.running.next() => self.settle(outcome),
                taken = self.inbox.recv() => match taken {
                    Some(taken) => self.take(taken),
                    None => break,
                },
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(outcome) = self.running.next().await {
            self.settle(outcome);
        }
    }

    fn begin(&mut self) {
        while self.running.len() < self.shared.concurrency() {
            let Some(step) = self.orders.next(walltime::now().0) else { break };
            let (shared, partition, stop) = (self.shared.clone(), self.partition, self.stop.clone());
            self.running.push(match step {
                Task::Handle(job) => Box::pin(shared.handle(partition, *job, stop)),
                Task::Defer(deferral) => Box::pin(shared.defer(partition, deferral, stop)),
            });
        }
        self.load.waiting.store(self.orders.waiting(), Ordering::Relaxed);
    }

    /// Until the next retry is due; a minute where there is none.
    fn pause(&self) -> Duration {
        let due = self.orders.next_due_ms().map(|due| due.saturating_sub(walltime::now().0));
        Duration::from_millis(due.unwrap_or(60_000).clamp(1, 60_000))
    }

    fn take(&mut self, ReceivedRecord { origin, envelope }: ReceivedRecord) {
        let offsets = if origin.retry { &mut self.retry } else { &mut self.source };
        if !offsets.take(origin.offset) {
            if !origin.retry {
                self.load.open.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        }
        match ReceivedEvent::decode(&envelope) {
            Ok(delivered) => self.orders.put(Job { origin, envelope, delivered }),
            Err(error) => {
                let mut envelope = envelope;
                envelope.reason = error.to_string();
                tracing::error!(source = envelope.source, why = envelope.reason, "a record is no event");
                let (shared, partition, stop) = (self.shared.clone(), self.partition, self.stop.clone());
                self.running.push(Box::pin(shared.bury(partition, None, origin, envelope, stop)));
            }
        }
        if origin.retry {
            self.orders.read_back(self.retry.next());
        }
    }

    fn settle(&mut self, outcome: DispatchOutcome) {
        match outcome {
            DispatchOutcome::Handled(job) => {
                self.orders.handled(job.key());
                self.done(job.origin);
            }
            DispatchOutcome::DeadLettered { key, done } => {
                if let Some(key) = key {
                    self.orders.handled(&key);
                }
                self.done(done);
            }
            DispatchOutcome::Failed(job) => {
                let deferral = self.orders.failed(job);
                let (shared, partition, stop) = (self.shared.clone(), self.partition, self.stop.clone());
                self.running.push(Box::pin(shared.defer(partition, deferral, stop)));
            }
            DispatchOutcome::Deferred { key, done, last } => {
                self.orders.deferred(&key, last);
                self.retry.together(done.iter().filter(|origin| origin.retry).map(|origin| origin.offset));
                done.into_iter().for_each(|origin| self.done(origin));
            }
            DispatchOutcome::Interrupted => {}
        }
    }

    fn done(&mut self, origin: Origin) {
        let offsets = if origin.retry { &mut self.retry } else { &mut self.source };
        offsets.done(origin.offset);
        if !origin.retry {
            self.load.open.fetch_sub(1, Ordering::Relaxed);
        }
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.insert((origin.retry, self.partition), offsets.position());
    }
}
