//! Who follows which order. The reader of the topic hands each change over here; a stream takes it from
//! a queue of its own. A queue is short: whoever does not take what is in it is cut off, and resumes from
//! the last event that it took, with what it missed from Postgres.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::problem::Code;
use metrics::{Gauge, counter, gauge};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::TaskTracker;

use super::change::Change;

/// Changes that wait for a stream to take them. An order has fewer in its whole life, so a reader that is
/// there never meets this.
const QUEUE: usize = 16;
/// Streams of one order: a customer's tabs and devices, and connections whose end nobody has noticed yet.
const STREAMS_OF_ORDER_MAX: usize = 16;
/// The topic is read for so long after the last stream has ended: the next one need not wait.
const LINGER: Duration = Duration::from_secs(60);

/// All streams of this gateway.
pub struct Registry {
    streams: Mutex<Streams>,
    streams_max: usize,
    open: Gauge,
    /// Wakes the reader.
    wanted: Condvar,
    /// Whether the topic is read: everything published from now on reaches whoever is registered.
    read: watch::Sender<bool>,
    /// There is an order whose history could not be read.
    pub(super) unread: Notify,
    /// Streams that have a task of their own.
    pub(super) tasks: TaskTracker,
}

#[derive(Default)]
struct Streams {
    by_order: FxHashMap<OrderId, Vec<Stream>>,
    /// Orders whose history could not be read when a stream began.
    unread: FxHashMap<OrderId, (SaleId, CustomerId)>,
    count: usize,
    last_id: u64,
    last_left: Option<Instant>,
    closed: bool,
}

impl Streams {
    /// Lets go of every stream; how many there were.
    fn drop_all(&mut self) -> usize {
        self.by_order.drain().map(|(_, streams)| streams.len()).sum()
    }
}

struct Stream {
    id: u64,
    queue: mpsc::Sender<Arc<Change>>,
}

/// Why no further change comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The order's last one has been told.
    Final,
    /// The reader did not keep up, or changes were lost on the way here.
    Behind,
    /// The gateway stops.
    Stopping,
}

impl Registry {
    /// Of at most so many streams.
    pub(crate) fn new(streams_max: usize) -> Arc<Self> {
        let open = gauge!("live_update_streams");
        open.set(0.0);
        Arc::new(Self {
            streams: Mutex::default(),
            streams_max,
            open,
            wanted: Condvar::new(),
            read: watch::channel(false).0,
            unread: Notify::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Streams that are open now.
    pub fn count(&self) -> usize {
        self.streams().count
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Each use leaves it whole at every step.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the topic is read: a stream that was registered before receives everything published after this
    /// returns.
    pub(super) async fn wait_until_read(&self, wait_max: Duration) -> Result<(), Code> {
        let mut read = self.read.subscribe();
        let waited = tokio::time::timeout(wait_max, read.wait_for(|read| *read)).await;
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
        let mut streams = self.streams();
        let of_order = streams.by_order.get(&order).map_or(0, Vec::len);
        if streams.closed || streams.count >= self.streams_max || of_order >= STREAMS_OF_ORDER_MAX {
            return Err(Code::Overloaded);
        }
        let (queue, changes) = mpsc::channel(QUEUE);
        streams.count += 1;
        streams.last_id += 1;
        let id = streams.last_id;
        streams.by_order.entry(order).or_insert_with(|| Vec::with_capacity(1)).push(Stream { id, queue });
        self.open.set(streams.count as f64);
        drop(streams);
        self.wanted.notify_one();
        Ok((Registration { registry: self.clone(), order, id }, changes))
    }

    fn leave(&self, order: OrderId, id: u64) {
        let mut streams = self.streams();
        streams.count -= 1;
        streams.last_left = Some(Instant::now());
        self.open.set(streams.count as f64);
        if let Some(of_order) = streams.by_order.get_mut(&order) {
            of_order.retain(|stream| stream.id != id);
            if of_order.is_empty() {
                streams.by_order.remove(&order);
                streams.unread.remove(&order);
            }
        }
    }

    /// Whether anyone wants to know of this order's changes.
    pub(super) fn is_followed(&self, order: &OrderId) -> bool {
        self.streams().by_order.contains_key(order)
    }

    /// Hands a change to the order's streams. Whoever has no room for it is cut off.
    pub(super) fn tell(&self, change: &Arc<Change>) {
        let mut streams = self.streams();
        if let Some(of_order) = streams.by_order.get_mut(&change.order_id) {
            of_order.retain(|stream| match stream.queue.try_send(change.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    count_ends(Over::Behind, 1);
                    false
                }
                Err(TrySendError::Closed(_)) => false,
            });
        }
    }

    /// Cuts off every stream: changes were lost on the way here.
    pub(super) fn cut_off_all(&self) {
        count_ends(Over::Behind, self.streams().drop_all());
    }

    /// Ends every stream, and takes no more.
    pub(super) fn close(&self) {
        let mut streams = self.streams();
        streams.closed = true;
        count_ends(Over::Stopping, streams.drop_all());
    }

    /// Why a stream that was neither left nor final has ended.
    pub(super) fn why_cut_off(&self) -> Over {
        if self.streams().closed { Over::Stopping } else { Over::Behind }
    }

    /// Whether the topic is to be read on. Where it is not, waits a moment for somebody who wants it; a reader from
    /// before is then of no use: whoever comes waits for a new one.
    pub(super) fn is_wanted_or_wait(&self, wait_max: Duration) -> bool {
        let streams = self.streams();
        let lingers = streams.last_left.is_some_and(|left| left.elapsed() < LINGER);
        if streams.count > 0 || (lingers && *self.read.borrow()) {
            return true;
        }
        // Under the lock: who registers after this waits until it is read again.
        self.read.send_replace(false);
        drop(self.wanted.wait_timeout(streams, wait_max));
        false
    }

    /// Whether the topic is read from now on.
    pub(super) fn set_read(&self, read: bool) {
        self.read.send_replace(read);
    }

    /// Remembers that the order's history is still to be read.
    pub(super) fn note_unread(&self, order: OrderId, sale: SaleId, customer: CustomerId) {
        let mut streams = self.streams();
        if streams.by_order.contains_key(&order) {
            streams.unread.insert(order, (sale, customer));
            self.unread.notify_one();
        }
    }

    /// One of the orders whose history is still to be read; no longer remembered, so that a stream that begins
    /// while it is being read is not forgotten.
    pub(super) fn take_unread(&self) -> Option<(OrderId, SaleId, CustomerId)> {
        let mut streams = self.streams();
        let order = *streams.unread.keys().next()?;
        let (sale, customer) = streams.unread.remove(&order)?;
        Some((order, sale, customer))
    }
}

/// A stream's entry in the registry; removed with the value.
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

/// Counts streams that ended otherwise than by their reader's wish.
pub(super) fn count_ends(over: Over, streams: usize) {
    let reason = match over {
        Over::Final => "final",
        Over::Behind => "behind",
        Over::Stopping => "stopping",
    };
    counter!("live_update_streams_ended_total", "reason" => reason).increment(streams as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_as_the_reading_ends_is_not_left_to_a_reader_that_has_ended() {
        let registry = Registry::new(1);
        registry.set_read(true);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| registry.is_wanted_or_wait(Duration::from_secs(10)));
            while *registry.read.borrow() {
                std::thread::yield_now();
            }
            let order = "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9".parse().unwrap();
            let _follower = registry.register(order).unwrap();
            assert!(!reading.join().unwrap(), "the reader from before is let go");
            assert!(registry.is_wanted_or_wait(Duration::ZERO), "and a new one begins at once");
        });
    }
}
