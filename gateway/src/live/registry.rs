//! The streams by order. The consumer of the topic publishes each change here, and each stream receives it through
//! its own queue. Queues are short: a client that does not keep up is disconnected and resumes from the last event that
//! it received, with the missed changes from Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::problem::Code;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::TaskTracker;

use super::change::Change;

process::metrics! {
    static OPEN_STREAMS: Gauge = "live_update_streams", "Open streams of live updates.";
    static ENDED_STREAMS: Counter["reason"] = "live_update_streams_ended_total",
        "Streams of live updates that the gateway ended, by reason.";
}

/// The capacity of a stream's queue. An order has fewer changes in its lifetime, so a client that reads never fills
/// it.
const QUEUE_CAPACITY: usize = 16;
/// The maximum number of streams of one order: a customer's tabs and devices, and connections whose end has not
/// been detected yet.
const STREAMS_OF_ORDER_MAX: usize = 16;
/// The time for which the topic is still consumed after the last stream has ended, so that the next stream need not
/// wait.
const LINGER: Duration = Duration::from_secs(60);

/// The registry of all streams of this gateway.
pub struct Registry {
    streams: Mutex<Streams>,
    streams_max: usize,
    /// Wakes the consumer thread.
    wanted: Condvar,
    /// Whether the topic is being consumed: everything published from now on reaches all registered streams.
    consuming: watch::Sender<bool>,
    /// Notifies that there is an order whose history could not be read.
    pub(super) unread: Notify,
    /// The tasks of streams that have one.
    pub(super) tasks: TaskTracker,
}

#[derive(Default)]
struct Streams {
    by_order: FxHashMap<OrderId, Vec<Stream>>,
    /// The orders whose history could not be read when a stream was opened.
    unread: FxHashMap<OrderId, (SaleId, CustomerId)>,
    count: usize,
    last_id: u64,
    last_left: Option<Instant>,
    closed: bool,
}

impl Streams {
    /// Disconnects every stream and returns their number.
    fn drop_all(&mut self) -> usize {
        self.by_order.drain().map(|(_, streams)| streams.len()).sum()
    }
}

struct Stream {
    id: u64,
    queue: mpsc::Sender<Arc<Change>>,
}

/// The reason why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The final change of the order has been sent.
    Final,
    /// The client did not keep up, or the consumer missed changes.
    Behind,
    /// The gateway is shutting down.
    Stopping,
}

impl Registry {
    /// Creates a registry with a maximum number of streams.
    pub(crate) fn new(streams_max: usize) -> Arc<Self> {
        OPEN_STREAMS.set(0.0);
        Arc::new(Self {
            streams: Mutex::default(),
            streams_max,
            wanted: Condvar::new(),
            consuming: watch::channel(false).0,
            unread: Notify::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Returns the number of open streams.
    pub fn count(&self) -> usize {
        self.streams.lock().count
    }

    /// Waits until the topic is being consumed: a stream that was registered before receives everything published
    /// after this returns.
    pub(super) async fn wait_until_consuming(&self, wait_max: Duration) -> Result<(), Code> {
        let mut consuming = self.consuming.subscribe();
        let waited = tokio::time::timeout(wait_max, consuming.wait_for(|consuming| *consuming)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Code::LogUnavailable),
        }
    }

    /// Registers a stream of an order, and returns the receiving end of its queue.
    pub(super) fn register(
        self: &Arc<Self>,
        order: OrderId,
    ) -> Result<(Registration, mpsc::Receiver<Arc<Change>>), Code> {
        let mut streams = self.streams.lock();
        let of_order = streams.by_order.get(&order).map_or(0, Vec::len);
        if streams.closed || streams.count >= self.streams_max || of_order >= STREAMS_OF_ORDER_MAX {
            return Err(Code::Overloaded);
        }
        let (queue, changes) = mpsc::channel(QUEUE_CAPACITY);
        streams.count += 1;
        streams.last_id += 1;
        let id = streams.last_id;
        streams.by_order.entry(order).or_insert_with(|| Vec::with_capacity(1)).push(Stream { id, queue });
        OPEN_STREAMS.set(streams.count as f64);
        drop(streams);
        self.wanted.notify_one();
        Ok((Registration { registry: self.clone(), order, id }, changes))
    }

    fn leave(&self, order: OrderId, id: u64) {
        let mut streams = self.streams.lock();
        streams.count -= 1;
        streams.last_left = Some(Instant::now());
        OPEN_STREAMS.set(streams.count as f64);
        if let Some(of_order) = streams.by_order.get_mut(&order) {
            of_order.retain(|stream| stream.id != id);
            if of_order.is_empty() {
                streams.by_order.remove(&order);
                streams.unread.remove(&order);
            }
        }
    }

    /// Returns whether any stream follows this order.
    pub(super) fn is_followed(&self, order: &OrderId) -> bool {
        self.streams.lock().by_order.contains_key(order)
    }

    /// Publishes a change to the order's streams. A stream whose queue is full is disconnected.
    pub(super) fn publish(&self, change: &Arc<Change>) {
        let mut streams = self.streams.lock();
        if let Some(of_order) = streams.by_order.get_mut(&change.order_id) {
            of_order.retain(|stream| match stream.queue.try_send(change.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    count_ends(StreamEnd::Behind, 1);
                    false
                }
                Err(TrySendError::Closed(_)) => false,
            });
        }
    }

    /// Disconnects every stream, because the consumer has missed changes.
    pub(super) fn disconnect_all(&self) {
        count_ends(StreamEnd::Behind, self.streams.lock().drop_all());
    }

    /// Ends every stream and accepts no new ones.
    pub(super) fn close(&self) {
        let mut streams = self.streams.lock();
        streams.closed = true;
        count_ends(StreamEnd::Stopping, streams.drop_all());
    }

    /// Returns why a stream ended that was neither closed by its client nor complete.
    pub(super) fn disconnect_reason(&self) -> StreamEnd {
        if self.streams.lock().closed { StreamEnd::Stopping } else { StreamEnd::Behind }
    }

    /// Returns whether the topic must still be consumed. If not, it waits a moment for a new stream; an existing
    /// reader is then obsolete, because a new stream waits for a new reader.
    pub(super) fn is_wanted_or_wait(&self, wait_max: Duration) -> bool {
        let mut streams = self.streams.lock();
        let lingers = streams.last_left.is_some_and(|left| left.elapsed() < LINGER);
        if streams.count > 0 || (lingers && *self.consuming.borrow()) {
            return true;
        }
        // Under the lock: a stream that registers after this waits until the topic is consumed again.
        self.consuming.send_replace(false);
        self.wanted.wait_for(&mut streams, wait_max);
        false
    }

    /// Sets whether the topic is being consumed from now on.
    pub(super) fn set_consuming(&self, consuming: bool) {
        self.consuming.send_replace(consuming);
    }

    /// Records that the order's history has to be read later.
    pub(super) fn note_unread(&self, order: OrderId, sale: SaleId, customer: CustomerId) {
        let mut streams = self.streams.lock();
        if streams.by_order.contains_key(&order) {
            streams.unread.insert(order, (sale, customer));
            self.unread.notify_one();
        }
    }

    /// Removes and returns an order whose history has to be read. It is removed before the query, so that a stream
    /// that opens during the query can record the order again.
    pub(super) fn take_unread(&self) -> Option<(OrderId, SaleId, CustomerId)> {
        let mut streams = self.streams.lock();
        let order = *streams.unread.keys().next()?;
        let (sale, customer) = streams.unread.remove(&order)?;
        Some((order, sale, customer))
    }
}

/// A stream's entry in the registry, which is removed when the value is dropped.
pub(super) struct Registration {
    pub(super) registry: Arc<Registry>,
    order: OrderId,
    id: u64,
}

impl Registration {
    pub(super) fn order(&self) -> OrderId {
        self.order
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.leave(self.order, self.id);
    }
}

/// Counts streams that were ended by the gateway.
pub(super) fn count_ends(end: StreamEnd, streams: usize) {
    let reason = match end {
        StreamEnd::Final => "final",
        StreamEnd::Behind => "behind",
        StreamEnd::Stopping => "stopping",
    };
    ENDED_STREAMS.with([reason]).increment(streams as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_registers_while_consumption_ends_gets_a_new_reader() {
        let registry = Registry::new(1);
        registry.set_consuming(true);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| registry.is_wanted_or_wait(Duration::from_secs(10)));
            while *registry.consuming.borrow() {
                std::thread::yield_now();
            }
            let order = "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9".parse().unwrap();
            let _follower = registry.register(order).unwrap();
            assert!(!reading.join().unwrap(), "the previous reader is obsolete");
            assert!(registry.is_wanted_or_wait(Duration::ZERO), "a new reader starts at once");
        });
    }
}
