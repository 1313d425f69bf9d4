//! The order of an order's events, through failures, retries and crashes at any step: the decisions of
//! `orders` and `offsets` are driven by chance against two topics in memory.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::collections::{BTreeMap, BTreeSet};

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::OrderStatus::Created;
use contract::timestamp::Timestamp;
use downstream::group::envelope::Envelope;
use downstream::group::offsets::Offsets;
use downstream::group::order_scheduler::{Deferral, Job, OrderScheduler, Origin, Task};
use downstream::group::{ReceivedEvent, TRIES};

const ORDERS: usize = 4;
const EVENTS: usize = 6;
const SEEDS: u64 = 400;

/// xorshift64*: the same run for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// A process: everything that a crash forgets.
struct Process {
    orders: OrderScheduler,
    source: Offsets,
    retry: Offsets,
    running: Vec<Task>,
}

struct World {
    chance: Chance,
    now_ms: u64,
    source: Vec<Envelope>,
    retry: Vec<Envelope>,
    /// Of source and retry topic.
    committed: (i64, i64),
    /// How often an event fails before it works; [`TRIES`]: it never does.
    failures: BTreeMap<String, u32>,
    called: BTreeMap<String, u32>,
    /// Events that worked, or are dead letters, in the order of their first time.
    ended: Vec<String>,
    crashes: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (sale, ids) = (SaleId::parse("s").unwrap(), [0; ORDERS].map(|_| support::order()));
        let (mut source, mut failures, mut next) = (vec![], BTreeMap::new(), [0; ORDERS]);
        while next.iter().any(|next| *next < EVENTS) {
            let n = chance.below(ORDERS as u64) as usize;
            if next[n] < EVENTS {
                let id = format!("{n}-{}", next[n]);
                next[n] += 1;
                let often = chance.below(4) == 0;
                failures
                    .insert(id.clone(), if often { chance.below(u64::from(TRIES) + 1) as u32 } else { 0 });
                source.push(envelope(&id, ids[n], &sale));
            }
        }
        let (called, ended) = (BTreeMap::new(), vec![]);
        Self {
            chance,
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

    /// Until everything is done, with crashes in between.
    fn run(&mut self, crashes_max: u32) {
        let mut process = self.process();
        for _ in 0..100_000 {
            if self.crashes < crashes_max && self.chance.below(60) == 0 {
                self.crashes += 1;
                process = self.process();
            }
            match self.chance.below(8) {
                0 | 1 => self.read(&mut process, false),
                2 | 3 => self.read(&mut process, true),
                4 => {
                    if let Some(step) = process.orders.next(self.now_ms) {
                        process.running.push(step);
                    }
                }
                5 | 6 => self.finish_one(&mut process),
                _ => {
                    self.now_ms += self.chance.below(200);
                    if self.chance.below(3) == 0 {
                        self.committed = (process.source.position(), process.retry.position());
                    }
                }
            }
            let ends = (self.source.len() as i64, self.retry.len() as i64);
            if (process.source.position(), process.retry.position()) == ends {
                return;
            }
        }
        panic!("it never ends: {:?}", process.orders);
    }

    fn read(&mut self, process: &mut Process, retry: bool) {
        let (topic, offsets) = match retry {
            true => (&self.retry, &mut process.retry),
            false => (&self.source, &mut process.source),
        };
        let offset = offsets.next();
        let Some(envelope) = topic.get(offset as usize) else { return };
        assert!(offsets.take(offset));
        let id = envelope.header("ce_id").unwrap().to_string();
        let delivered = ReceivedEvent::decode(envelope).unwrap();
        assert_eq!(delivered.id, id);
        let origin = Origin { retry, offset };
        process.orders.put(Job { origin, envelope: envelope.clone(), delivered });
        if retry {
            process.orders.read_back(process.retry.next());
        }
    }

    /// Something that runs comes to its end.
    fn finish_one(&mut self, process: &mut Process) {
        if process.running.is_empty() {
            return;
        }
        let at = self.chance.below(process.running.len() as u64) as usize;
        match process.running.swap_remove(at) {
            Task::Handle(job) => self.handle(process, *job),
            Task::Defer(deferral) => self.defer(process, deferral),
        }
    }

    fn handle(&mut self, process: &mut Process, mut job: Job) {
        assert!(job.envelope.not_before.0 <= self.now_ms, "too early");
        let id = job.delivered.id.clone();
        let called = self.called.entry(id.clone()).or_default();
        *called += 1;
        if *called <= self.failures[&id] && job.envelope.attempts + 1 < TRIES {
            job.envelope.failed("by chance", Timestamp(self.now_ms + 100));
            let deferral = process.orders.failed(job);
            process.running.push(Task::Defer(deferral));
            return;
        }
        if !self.ended.contains(&id) {
            self.ended.push(id);
        }
        process.orders.handled(job.key());
        done(process, job.origin);
    }

    /// One record after another: a crash may fall between them.
    fn defer(&mut self, process: &mut Process, mut deferral: Deferral) {
        let whole = self.chance.below(10) > 0;
        let until = if whole { deferral.jobs.len() } else { self.chance.below(3) as usize };
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
        process.orders.deferred(&deferral.key, last);
        let again = deferral.jobs.iter().filter(|job| job.origin.retry);
        process.retry.together(again.map(|job| job.origin.offset));
        deferral.duplicates.extend(deferral.jobs.iter().map(|job| job.origin));
        deferral.duplicates.into_iter().for_each(|origin| done(process, origin));
    }
}

fn done(process: &mut Process, origin: Origin) {
    let offsets = if origin.retry { &mut process.retry } else { &mut process.source };
    offsets.done(origin.offset);
}

fn envelope(id: &str, order: OrderId, sale: &SaleId) -> Envelope {
    let event = support::event(order, sale, Created, Timestamp(0));
    let headers = contract::event::headers(id, "order.created", "", event.time);
    Envelope {
        key: order.to_string(),
        value: serde_json::to_vec(&event).unwrap(),
        headers: headers.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        source: String::new(),
        attempts: 0,
        reason: String::new(),
        not_before: Timestamp(0),
    }
}

/// Each order's events ended in their order, and all of them did.
fn check(world: &World, seed: u64) {
    for n in 0..ORDERS {
        let of_order: Vec<&String> =
            world.ended.iter().filter(|id| id.starts_with(&format!("{n}-"))).collect();
        let expected: Vec<String> = (0..EVENTS).map(|event| format!("{n}-{event}")).collect();
        assert_eq!(of_order, expected.iter().collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn events_end_in_their_order_whatever_fails() {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        world.run(0);
        check(&world, seed);
        if world.crashes == 0 {
            let calls = |id: &String| (world.failures[id] + 1).min(TRIES);
            let expected: BTreeMap<_, _> = world.failures.keys().map(|id| (id.clone(), calls(id))).collect();
            assert_eq!(world.called, expected, "seed {seed}: no try too many, none too few");
        }
    }
}

#[test]
fn events_end_in_their_order_whenever_the_process_crashes() {
    let mut crashed = BTreeSet::new();
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        world.run(5);
        check(&world, seed);
        crashed.insert(world.crashes);
    }
    assert!(crashed.len() > 3, "{crashed:?}");
}
