//! Schedules the events of a partition, without I/O. An order has at most one task at a time: one of its events is
//! handled, or some are deferred behind those that the retry topic holds.
//!
//! An order is *deferred* while the retry topic holds events of it. Events that the source topic brings for such an
//! order are published behind them. When the first of them fails again, it is published to the retry topic again, and
//! so is everything behind it: the retry topic keeps the order of the order's events.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::ReceivedEvent;
use super::envelope::Envelope;

/// The place where a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// True for the retry topic, false for the source topic.
    pub retry: bool,
    /// The record's offset in that topic.
    pub offset: i64,
}

/// A decoded event that is not done.
#[derive(Debug, Clone)]
pub struct Job {
    /// The place where the record was read.
    pub origin: Origin,
    /// The record as it was read.
    pub envelope: Envelope,
    /// The decoded event.
    pub event: ReceivedEvent,
}

impl Job {
    /// Returns the order's id.
    pub fn key(&self) -> &str {
        &self.envelope.key
    }
    fn due_ms(&self) -> u64 {
        self.envelope.not_before.0
    }
}

/// The next task of an order. The order is busy until the caller reports the outcome.
#[derive(Debug)]
pub enum Task {
    /// Handle the event, then call [`OrderScheduler::complete`] or [`OrderScheduler::fail`].
    Handle(Box<Job>),
    /// Publish the events to the retry topic in this order, then call [`OrderScheduler::finish_deferral`].
    Defer(Deferral),
}

/// Events of one order that go to the retry topic.
#[derive(Debug)]
pub struct Deferral {
    /// The order's id.
    pub key: String,
    /// The events, in their order.
    pub jobs: Vec<Job>,
    /// Records that were read twice while the first copy is still deferred: they are done.
    pub duplicates: Vec<Origin>,
}

#[derive(Debug)]
struct OrderQueue {
    /// The events from the source topic that are not started.
    fresh: VecDeque<Job>,
    /// The events from the retry topic that are not started.
    deferred: VecDeque<Job>,
    /// The last offset in the retry topic that is known to hold an event of the order, read back or not.
    last_deferred: i64,
    busy: bool,
}

/// The orders of one partition that have work.
#[derive(Debug)]
pub struct OrderScheduler {
    orders: HashMap<String, OrderQueue>,
    /// The orders to check now.
    ready: VecDeque<String>,
    /// The orders to check at a later time, in milliseconds since the epoch.
    due: BTreeSet<(u64, String)>,
    /// The offset up to which the retry topic is read back.
    read_back: i64,
    /// The offset up to which the retry topic must be read back before anything starts.
    starts_at: i64,
    deferred: usize,
}

impl OrderScheduler {
    /// Creates a scheduler. The retry topic is read from `read_back` on; it ended at `end` when the partition was
    /// assigned.
    pub fn new(read_back: i64, end: i64) -> Self {
        Self {
            orders: HashMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            read_back,
            starts_at: end,
            deferred: 0,
        }
    }

    /// Returns the number of events from the retry topic that are not started.
    pub fn deferred(&self) -> usize {
        self.deferred
    }

    /// Adds an event that was read.
    pub fn enqueue(&mut self, job: Job) {
        let key = job.key().to_string();
        let order = self.orders.entry(key.clone()).or_insert_with(|| OrderQueue {
            fresh: VecDeque::new(),
            deferred: VecDeque::new(),
            last_deferred: -1,
            busy: false,
        });
        if job.origin.retry {
            self.deferred += 1;
            order.deferred.push_back(job);
        } else {
            order.fresh.push_back(job);
        }
        self.ready.push_back(key);
    }

    /// Reports that the retry topic is read back up to `next`, and that its events before it are enqueued.
    pub fn advance_read_back(&mut self, next: i64) {
        let had_started = self.has_started();
        self.read_back = self.read_back.max(next);
        if !had_started && self.has_started() {
            self.ready = self.orders.keys().cloned().collect();
        }
    }

    /// Returns whether the scheduler knows which orders are deferred.
    pub fn has_started(&self) -> bool {
        self.read_back >= self.starts_at
    }

    /// Returns the next task that can start now.
    pub fn next_task(&mut self, now_ms: u64) -> Option<Task> {
        if !self.has_started() {
            return None;
        }
        while self.due.first().is_some_and(|(at, _)| *at <= now_ms) {
            self.ready.extend(self.due.pop_first().map(|(_, key)| key));
        }
        while let Some(key) = self.ready.pop_front() {
            let Some(order) = self.orders.get_mut(&key).filter(|order| !order.busy) else { continue };
            let unread = order.last_deferred >= self.read_back;
            let is_deferred = unread || !order.deferred.is_empty();
            if is_deferred && !order.fresh.is_empty() {
                order.busy = true;
                let (duplicates, jobs) = order.fresh.drain(..).partition(|fresh: &Job| {
                    order.deferred.iter().any(|deferred| deferred.event.id == fresh.event.id)
                });
                let duplicates = Vec::into_iter(duplicates).map(|job| job.origin).collect();
                return Some(Task::Defer(Deferral { key, jobs, duplicates }));
            }
            if unread {
                continue; // the order becomes ready again when the record is read back
            }
            if let Some(first) = order.deferred.front() {
                if first.due_ms() > now_ms {
                    self.due.insert((first.due_ms(), key));
                    continue;
                }
                self.deferred -= 1;
            }
            match order.deferred.pop_front().or_else(|| order.fresh.pop_front()) {
                Some(job) => {
                    order.busy = true;
                    return Some(Task::Handle(Box::new(job)));
                }
                None => drop(self.orders.remove(&key)),
            }
        }
        None
    }

    /// Returns when the next retry is due, in milliseconds since the epoch.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Reports that an event of the order is handled or dead-lettered.
    pub fn complete(&mut self, key: &str) {
        self.release(key);
    }

    /// Reports that an event failed and must be retried. Returns the events that go to the retry topic: the failed
    /// one, then everything of its order that was read already.
    pub fn fail(&mut self, job: Job) -> Deferral {
        let key = job.key().to_string();
        let mut jobs = vec![job];
        if let Some(order) = self.orders.get_mut(&key) {
            self.deferred -= order.deferred.len();
            jobs.extend(order.deferred.drain(..));
            jobs.extend(order.fresh.drain(..));
        }
        Deferral { key, jobs, duplicates: vec![] }
    }

    /// Reports that the retry topic holds the events of a deferral, the last one at this offset.
    pub fn finish_deferral(&mut self, key: &str, last: Option<i64>) {
        if let Some(order) = self.orders.get_mut(key) {
            order.last_deferred = order.last_deferred.max(last.unwrap_or(-1));
        }
        self.release(key);
    }

    fn release(&mut self, key: &str) {
        if let Some(order) = self.orders.get_mut(key) {
            order.busy = false;
            self.ready.push_back(key.to_string());
        }
    }
}
