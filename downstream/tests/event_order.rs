//! The events of an order keep their order through failures, retries and crashes at any step: a simulation with seeds
//! drives `order_scheduler` and `offsets` against two topics in memory.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::collections::{BTreeMap, BTreeSet};

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::OrderStatus::Created;
use contract::timestamp::Timestamp;
use contract::wire;
use downstream::group::envelope::Envelope;
use downstream::group::offsets::Offsets;
use downstream::group::order_scheduler::{Deferral, Job, OrderScheduler, Origin, Task};
use downstream::group::{ReceivedEvent, TRIES};

const ORDERS: usize = 4;
const EVENTS: usize = 6;
const SEEDS: u64 = 400;

/// A random generator (xorshift64*), which makes the same run for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// The state of a process, which a crash loses.
struct Process {
    orders: OrderScheduler,
    source: Offsets,
    retry: Offsets,
    running: Vec<Task>,
}

struct Simulation {
    random: Random,
    now_ms: u64,
    source: Vec<Envelope>,
    retry: Vec<Envelope>,
    /// The committed positions in the source and the retry topic.
    committed: (i64, i64),
    /// The number of failures before an event succeeds; [`TRIES`] means that it never does.
    failures: BTreeMap<String, u32>,
    called: BTreeMap<String, u32>,
    /// The events that succeeded or became dead letters, in the order of the first time.
    ended: Vec<String>,
    crashes: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (sale, ids) = (SaleId::parse("s").unwrap(), [0; ORDERS].map(|_| support::order()));
        let (mut source, mut failures, mut next) = (vec![], BTreeMap::new(), [0; ORDERS]);
        while next.iter().any(|next| *next < EVENTS) {
            let n = random.below(ORDERS as u64) as usize;
            if next[n] < EVENTS {
                let id = format!("{n}-{}", next[n]);
                next[n] += 1;
                let often = random.below(4) == 0;
                failures
                    .insert(id.clone(), if often { random.below(u64::from(TRIES) + 1) as u32 } else { 0 });
                source.push(envelope(&id, ids[n], &sale));
            }
        }
        let (called, ended) = (BTreeMap::new(), vec![]);
        Self {
            random,
            now_ms: 0,
            source,
            retry: vec![],
            committed: (0, 0),
            failures,
            called,
            ended,
            crashes: 0,
        }
    }

    fn process(&self) -> Process {
        Process {
            orders: OrderScheduler::new(self.committed.1, self.retry.len() as i64),
            source: Offsets::starting_at(self.committed.0),
            retry: Offsets::starting_at(self.committed.1),
            running: vec![],
        }
    }

    /// Runs until everything is done, with crashes in between.
    fn run(&mut self, crashes_max: u32) {
        let mut process = self.process();
        for _ in 0..100_000 {
            if self.crashes < crashes_max && self.random.below(60) == 0 {
                self.crashes += 1;
                process = self.process();
            }
            match self.random.below(8) {
                0 | 1 => self.read(&mut process, false),
                2 | 3 => self.read(&mut process, true),
                4 => {
                    if let Some(task) = process.orders.next_task(self.now_ms) {
                        process.running.push(task);
                    }
                }
                5 | 6 => self.finish_one(&mut process),
                _ => {
                    self.now_ms += self.random.below(200);
                    if self.random.below(3) == 0 {
                        self.committed = (process.source.position(), process.retry.position());
                    }
                }
            }
            let ends = (self.source.len() as i64, self.retry.len() as i64);
            if (process.source.position(), process.retry.position()) == ends {
                return;
            }
        }
        panic!("the run does not end: {:?}", process.orders);
    }

    fn read(&mut self, process: &mut Process, retry: bool) {
        let (topic, offsets) = match retry {
            true => (&self.retry, &mut process.retry),
            false => (&self.source, &mut process.source),
        };
        let offset = offsets.next();
        let Some(envelope) = topic.get(offset as usize) else { return };
        assert!(offsets.register(offset));
        let id = envelope.header("ce_id").unwrap().to_string();
        let event = ReceivedEvent::decode(envelope).unwrap();
        assert_eq!(event.id, id);
        let origin = Origin { retry, offset };
        process.orders.enqueue(Job { origin, envelope: envelope.clone(), event });
        if retry {
            process.orders.advance_read_back(process.retry.next());
        }
    }

    /// Finishes one of the running tasks.
    fn finish_one(&mut self, process: &mut Process) {
        if process.running.is_empty() {
            return;
        }
        let at = self.random.below(process.running.len() as u64) as usize;
        match process.running.swap_remove(at) {
            Task::Handle(job) => self.handle(process, *job),
            Task::Defer(deferral) => self.defer(process, deferral),
        }
    }

    fn handle(&mut self, process: &mut Process, mut job: Job) {
        assert!(job.envelope.not_before.0 <= self.now_ms, "too early");
        let id = job.event.id.clone();
        let called = self.called.entry(id.clone()).or_default();
        *called += 1;
        if *called <= self.failures[&id] && job.envelope.attempts + 1 < TRIES {
            job.envelope.record_failure("simulated", Timestamp(self.now_ms + 100));
            let deferral = process.orders.fail(job);
            process.running.push(Task::Defer(deferral));
            return;
        }
        if !self.ended.contains(&id) {
            self.ended.push(id);
        }
        process.orders.complete(job.key());
        complete(process, job.origin);
    }

    /// Publishes one record after another. A crash may fall between them.
    fn defer(&mut self, process: &mut Process, mut deferral: Deferral) {
        let whole = self.random.below(10) > 0;
        let until = if whole { deferral.jobs.len() } else { self.random.below(3) as usize };
        let mut last = None;
        for job in deferral.jobs.iter().take(until) {
            last = Some(self.retry.len() as i64);
            self.retry.push(job.envelope.clone());
        }
        if until < deferral.jobs.len() {
            self.crashes += 1;
            *process = self.process();
            return;
        }
        process.orders.finish_deferral(&deferral.key, last);
        let again = deferral.jobs.iter().filter(|job| job.origin.retry);
        process.retry.group(again.map(|job| job.origin.offset));
        deferral.duplicates.extend(deferral.jobs.iter().map(|job| job.origin));
        deferral.duplicates.into_iter().for_each(|origin| complete(process, origin));
    }
}

fn complete(process: &mut Process, origin: Origin) {
    let offsets = if origin.retry { &mut process.retry } else { &mut process.source };
    offsets.complete(origin.offset);
}

fn envelope(id: &str, order: OrderId, sale: &SaleId) -> Envelope {
    let event = support::event(order, sale, Created, Timestamp(0));
    let headers = contract::event::headers(id, "order.created", "", event.time);
    Envelope {
        key: order.to_string(),
        value: wire::encode(&event).to_vec(),
        headers: headers.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        source: String::new(),
        attempts: 0,
        reason: String::new(),
        not_before: Timestamp(0),
    }
}

/// Asserts that all events of each order ended, in their order.
fn check(simulation: &Simulation, seed: u64) {
    for n in 0..ORDERS {
        let order_events: Vec<&String> =
            simulation.ended.iter().filter(|id| id.starts_with(&format!("{n}-"))).collect();
        let expected: Vec<String> = (0..EVENTS).map(|event| format!("{n}-{event}")).collect();
        assert_eq!(order_events, expected.iter().collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn events_end_in_their_order_if_handlers_fail() {
    for seed in 1..=SEEDS {
        let mut simulation = Simulation::new(seed);
        simulation.run(0);
        check(&simulation, seed);
        if simulation.crashes == 0 {
            let calls = |id: &String| (simulation.failures[id] + 1).min(TRIES);
            let expected: BTreeMap<_, _> =
                simulation.failures.keys().map(|id| (id.clone(), calls(id))).collect();
            assert_eq!(simulation.called, expected, "seed {seed}: the number of tries");
        }
    }
}

#[test]
fn events_end_in_their_order_if_the_process_crashes() {
    let mut crashed = BTreeSet::new();
    for seed in 1..=SEEDS {
        let mut simulation = Simulation::new(seed);
        simulation.run(5);
        check(&simulation, seed);
        crashed.insert(simulation.crashes);
    }
    assert!(crashed.len() > 3, "{crashed:?}");
}
