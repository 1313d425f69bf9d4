//! Whose turn it is in a partition, decided without I/O. One thing at a time is done for an order: one of
//! its events is handled, or some are put behind what waits for it in the retry topic.
//!
//! An order *waits* while the retry topic holds events of it. What the source still brings of such an order
//! goes behind them. When the first of them fails again, it is written anew, and everything that stood
//! behind it is written anew behind it: the topic's order stays that of the order's events.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::ReceivedEvent;
use super::envelope::Envelope;

/// Where a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// In the retry topic; else in the source.
    pub retry: bool,
    /// At this offset.
    pub offset: i64,
}

/// A decoded event on its way.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where it was read.
    pub origin: Origin,
    /// As it was read.
    pub envelope: Envelope,
    /// What it says.
    pub delivered: ReceivedEvent,
}

impl Job {
    /// Its order.
    pub fn key(&self) -> &str {
        &self.envelope.key
    }
    fn due_ms(&self) -> u64 {
        self.envelope.not_before.0
    }
}

/// What to do next. The order is busy until the word of it comes.
#[derive(Debug)]
pub enum Task {
    /// Have it handled; then [`OrderScheduler::handled`], or [`OrderScheduler::failed`].
    Handle(Box<Job>),
    /// Put them into the retry topic, in this order; then [`OrderScheduler::deferred`].
    Defer(Deferral),
}

/// Events of one order for the retry topic.
#[derive(Debug)]
pub struct Deferral {
    /// The order.
    pub key: String,
    /// The events.
    pub jobs: Vec<Job>,
    /// Read again, while what was read first still waits: these are done.
    pub duplicates: Vec<Origin>,
}

#[derive(Debug)]
struct OrderQueue {
    /// From the source, not begun.
    fresh: VecDeque<Job>,
    /// From the retry topic, not begun.
    waiting: VecDeque<Job>,
    /// The last of its records in the retry topic that is known to be there, read back or not.
    last_waiting: i64,
    busy: bool,
}

/// The orders of one partition that have something to do.
#[derive(Debug)]
pub struct OrderScheduler {
    orders: HashMap<String, OrderQueue>,
    /// Orders to look at.
    ready: VecDeque<String>,
    /// Orders to look at later.
    due: BTreeSet<(u64, String)>,
    /// The retry topic is read back up to here …
    read_back: i64,
    /// … and nothing begins before it is read back up to here.
    begins_at: i64,
    waiting: usize,
}

impl OrderScheduler {
    /// `read_back`: where reading the retry topic begins; `end`: where it ended when the partition was taken
    /// over.
    pub fn new(read_back: i64, end: i64) -> Self {
        Self {
            orders: HashMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            read_back,
            begins_at: end,
            waiting: 0,
        }
    }

    /// Events that wait in the retry topic.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// An event was read.
    pub fn put(&mut self, job: Job) {
        let key = job.key().to_string();
        let order = self.orders.entry(key.clone()).or_insert_with(|| OrderQueue {
            fresh: VecDeque::new(),
            waiting: VecDeque::new(),
            last_waiting: -1,
            busy: false,
        });
        if job.origin.retry {
            self.waiting += 1;
            order.waiting.push_back(job);
        } else {
            order.fresh.push_back(job);
        }
        self.ready.push_back(key);
    }

    /// The retry topic is read back up to here; what it held before was put.
    pub fn read_back(&mut self, next: i64) {
        let began = self.has_begun();
        self.read_back = self.read_back.max(next);
        if !began && self.has_begun() {
            self.ready = self.orders.keys().cloned().collect();
        }
    }

    /// Whether it is known which orders wait.
    pub fn has_begun(&self) -> bool {
        self.read_back >= self.begins_at
    }

    /// The next thing that may begin now.
    pub fn next(&mut self, now_ms: u64) -> Option<Task> {
        if !self.has_begun() {
            return None;
        }
        while self.due.first().is_some_and(|(at, _)| *at <= now_ms) {
            self.ready.extend(self.due.pop_first().map(|(_, key)| key));
        }
        while let Some(key) = self.ready.pop_front() {
            let Some(order) = self.orders.get_mut(&key).filter(|order| !order.busy) else { continue };
            let unread = order.last_waiting >= self.read_back;
            let waits = unread || !order.waiting.is_empty();
            if waits && !order.fresh.is_empty() {
                order.busy = true;
                let (duplicates, jobs) = order.fresh.drain(..).partition(|fresh: &Job| {
                    order.waiting.iter().any(|waiting| waiting.delivered.id == fresh.delivered.id)
                });
                let duplicates = Vec::into_iter(duplicates).map(|job| job.origin).collect();
                return Some(Task::Defer(Deferral { key, jobs, duplicates }));
            }
            if unread {
                continue; // comes back with the record
            }
            if let Some(first) = order.waiting.front() {
                if first.due_ms() > now_ms {
                    self.due.insert((first.due_ms(), key));
                    continue;
                }
                self.waiting -= 1;
            }
            match order.waiting.pop_front().or_else(|| order.fresh.pop_front()) {
                Some(job) => {
                    order.busy = true;
                    return Some(Task::Handle(Box::new(job)));
                }
                None => drop(self.orders.remove(&key)),
            }
        }
        None
    }

    /// When to ask again, if nothing happens before.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// An event is done with: it worked, or it is a dead letter.
    pub fn handled(&mut self, key: &str) {
        self.free(key);
    }

    /// An event failed and is to be tried again: it goes to the retry topic, and behind it everything that
    /// is there already, or still to come.
    pub fn failed(&mut self, job: Job) -> Deferral {
        let key = job.key().to_string();
        let mut jobs = vec![job];
        if let Some(order) = self.orders.get_mut(&key) {
            self.waiting -= order.waiting.len();
            jobs.extend(order.waiting.drain(..));
            jobs.extend(order.fresh.drain(..));
        }
        Deferral { key, jobs, duplicates: vec![] }
    }

    /// Events of an order are in the retry topic, the last one at this offset.
    pub fn deferred(&mut self, key: &str, last: Option<i64>) {
        if let Some(order) = self.orders.get_mut(key) {
            order.last_waiting = order.last_waiting.max(last.unwrap_or(-1));
        }
        self.free(key);
    }

    fn free(&mut self, key: &str) {
        if let Some(order) = self.orders.get_mut(key) {
            order.busy = false;
            self.ready.push_back(key.to_string());
        }
    }
}
