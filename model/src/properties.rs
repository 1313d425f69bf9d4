//! The invariants, which must hold in every state, and the examples, which must happen in some state: a search
//! that makes no progress would find no violation either.

use invariants::stock::Stock;
use invariants::{orders, position, sequence, stock};
use stateright::Property;

use crate::World;
use crate::config::Protections;
use crate::state::{Phase, RebuildStep, Record, SERVERS, State, TRIES};

/// A predicate on a state.
pub(crate) type Predicate = fn(&World, &State) -> bool;
/// Whether a configuration can reach an example.
type Reachable = fn(&World) -> bool;

/// The property that allows ended epochs to be merged.
const LEASES: &str = "no gateway responds from an epoch whose barrier is settled";

/// The invariants, by their numbers in ARCHITECTURE.md.
pub(crate) const INVARIANTS: [(&str, Predicate); 13] = [
    ("1 never oversold: neither settled nor promised", never_oversold),
    ("2 every 202 has its order row", every_202_has_its_row),
    ("2 Postgres never rejects an order that the log holds", nothing_refused),
    ("3 every row results from a request, and no customer exceeds the limit", within_limit),
    ("4 one key names one order", one_key_one_order),
    ("4 a refusal leaves no live order", refusal_leaves_no_order),
    ("a cancellation that was acknowledged is carried out", cancellations_are_carried_out),
    ("5, 6 at rest every unit is available or held", conserved_at_rest),
    ("7 sequences have no duplicate, and no gap without a state loss", sequences),
    ("7 sold out is answered only while it is true", sold_out_is_true),
    ("10 a record's effects and the position are committed together", position_and_effects),
    (LEASES, no_lease_outlives_its_epoch),
    ("nothing hangs: everything that began completes", nothing_hangs),
];

/// The examples that a search must reach if its configuration allows them.
const EXAMPLES: [(&str, Predicate, Reachable); 12] = [
    ("a 202 is given", |_, s| any_attempt(s, |p| p == Phase::Accepted), always),
    ("a replay is answered", |_, s| any_attempt(s, |p| matches!(p, Phase::Replayed(_))), always),
    (
        "sold out is answered",
        |_, s| any_attempt(s, |p| matches!(p, Phase::SoldOut { .. })),
        |w| w.config.can_sell_out(),
    ),
    (
        "a duplicate is answered",
        |_, s| any_attempt(s, |p| matches!(p, Phase::Duplicate { .. })),
        |w| w.config.can_duplicate(),
    ),
    (
        "the relay or a drain saves an order",
        |w, s| {
            w.orders().any(|o| {
                s.relayed.has(o) && s.tries[usize::from(o)].phase == Phase::Unknown && s.postgres.rows.has(o)
            })
        },
        always,
    ),
    ("two units are held at rest", |w, s| w.held(s) == w.config.total && w.is_at_rest(s), always),
    ("a rebuild completes", |_, s| s.postgres.ready && s.postgres.epoch > 1, |w| w.config.rebuilds > 0),
    (
        "a second attempt completes",
        |_, s| s.postgres.ready && s.postgres.epoch > 2,
        |w| w.config.rebuilds > 1,
    ),
    (
        "a 202 is given in a later epoch",
        |_, s| s.tries.iter().any(|t| t.phase == Phase::Accepted && t.epoch > 1),
        |w| w.config.rebuilds > 0,
    ),
    ("a record is appended after the barrier of its epoch", |_, s| is_late(s), |w| w.config.rebuilds > 0),
    (
        "a release is applied and its units are ordered again",
        |w, s| w.orders().any(|o| s.postgres.cancelled.has(o)) && w.held(s) == w.config.total,
        |w| w.config.cancels > 0,
    ),
    (
        "a zombie's position is outdated",
        |_, s| s.owners.iter().flatten().any(|o| *o != s.postgres.position),
        |w| w.config.takeovers > 0,
    ),
];

/// Returns the invariants and the reachable examples.
pub(crate) fn properties(world: &World) -> Vec<Property<World>> {
    // Without a protection, the search is for violations that customers can observe.
    let protected = world.config.protections == Protections::ALL;
    let observable = INVARIANTS.iter().filter(|(name, _)| protected || *name != LEASES);
    let invariants = observable.map(|(name, holds)| Property::always(name, *holds));
    let examples = EXAMPLES.iter().filter(|(.., expected)| expected(world));
    invariants.chain(examples.map(|(name, happens, _)| Property::sometimes(name, *happens))).collect()
}

fn always(_: &World) -> bool {
    true
}

fn any_attempt(state: &State, is: fn(Phase) -> bool) -> bool {
    state.tries.iter().any(|attempt| is(attempt.phase))
}

/// Returns the order that an attempt's 202 names.
fn acknowledged_order(world: &World, state: &State, attempt: u8) -> Option<u8> {
    match state.tries[usize::from(attempt)].phase {
        Phase::Accepted => Some(attempt),
        Phase::Replayed(order) => Some(order),
        _ => None,
    }
    .filter(|_| world.orders().contains(&attempt))
}

/// Returns whether the log contains an acceptance after the barrier of its epoch, and only there.
fn is_late(state: &State) -> bool {
    let mut ended = 0;
    let mut counted = state.postgres.rows;
    state.log.iter().any(|record| {
        match record {
            Record::Barrier(epoch) => ended = epoch,
            Record::Acceptance(order) if state.tries[usize::from(order)].epoch >= ended => counted.add(order),
            Record::Acceptance(order) => return !counted.has(order),
            Record::Cancel(_) => {}
        }
        false
    })
}

fn is_settled(state: &State) -> bool {
    state.postgres.position.offset == state.log.end()
}

fn never_oversold(world: &World, state: &State) -> bool {
    let mut promised = crate::state::Set::default();
    for attempt in world.orders() {
        if let Some(order) = acknowledged_order(world, state, attempt) {
            promised.add(order);
        }
    }
    let taken = promised.with(state.postgres.rows).without(state.postgres.cancelled);
    let held = taken.iter().map(|order| u64::from(world.request(order).units)).sum();
    stock::never_oversold(&Stock { held, ..world.total_stock() }).is_ok()
}

fn every_202_has_its_row(world: &World, state: &State) -> bool {
    !is_settled(state)
        || world
            .orders()
            .filter_map(|attempt| acknowledged_order(world, state, attempt))
            .all(|order| orders::acceptance_settled(state.postgres.rows.has(order)).is_ok())
}

fn nothing_refused(_: &World, state: &State) -> bool {
    state.postgres.refused.is_empty()
}

fn within_limit(world: &World, state: &State) -> bool {
    let live = state.postgres.rows.without(state.postgres.cancelled);
    let requested =
        state.postgres.rows.iter().all(|order| state.tries[usize::from(order)].phase != Phase::Idle);
    requested
        && live.iter().all(|order| {
            let customer = world.request(order).customer;
            let orders = live.iter().filter(|other| world.request(*other).customer == customer).count();
            orders::within_limit(orders as u64, Some(world.config.limit.into())).is_ok()
        })
}

fn one_key_one_order(world: &World, state: &State) -> bool {
    world.orders().all(|attempt| {
        let Some(order) = acknowledged_order(world, state, attempt) else { return true };
        let others = world.same_key(attempt);
        let acknowledged = others.filter_map(|other| acknowledged_order(world, state, other));
        let stored = world.same_key(attempt).filter(|other| state.postgres.rows.has(*other));
        orders::one_order_per_key([order].into_iter().chain(acknowledged).chain(stored)).is_ok()
    })
}

fn refusal_leaves_no_order(world: &World, state: &State) -> bool {
    let live = state.postgres.rows.without(state.postgres.cancelled);
    world.orders().all(|attempt| match state.tries[usize::from(attempt)].phase {
        Phase::SoldOut { denied: true, .. } | Phase::Duplicate { denied: true } => {
            orders::refusal_leaves_no_order(world.same_key(attempt).filter(|o| live.has(*o)).count()).is_ok()
        }
        _ => true,
    })
}

fn cancellations_are_carried_out(_: &World, state: &State) -> bool {
    !is_settled(state) || state.cancels_acknowledged.without(state.postgres.cancelled).is_empty()
}

fn conserved_at_rest(world: &World, state: &State) -> bool {
    let Some(server) = world.serving(state) else { return true };
    if !world.is_at_rest(state) {
        return true;
    }
    let available = state.keys(server, state.postgres.epoch).available;
    let item = Stock { held: world.held(state).into(), ..world.total_stock() };
    stock::conserved(&item, available.into()).is_ok()
}

fn sequences(world: &World, state: &State) -> bool {
    let mut numbers = [0; TRIES];
    let mut count = 0;
    for order in state.postgres.rows.iter() {
        numbers[count] = u64::from(state.tries[usize::from(order)].sequence);
        count += 1;
    }
    let numbers = &mut numbers[..count];
    numbers.sort_unstable();
    let numbers = numbers.iter().copied();
    // A gap is impossible if Redis has lost nothing and no rebuild has voided a record.
    let undisturbed = state.postgres.epoch == 1 && state.budget.faults == world.config.faults.0;
    if undisturbed && world.is_at_rest(state) {
        let next = u64::from(state.postgres.position.next_sequence);
        sequence::complete(1, numbers.chain([next])).is_ok()
    } else {
        sequence::unique(numbers).is_ok()
    }
}

fn sold_out_is_true(_: &World, state: &State) -> bool {
    !any_attempt(state, |phase| matches!(phase, Phase::SoldOut { justified: false, .. }))
}

fn no_lease_outlives_its_epoch(_: &World, state: &State) -> bool {
    let settled = u64::from(state.postgres.position.settled_epoch);
    let mut leases = state.views.iter().filter(|view| **view != 0);
    leases.all(|epoch| position::lease_is_current(u64::from(*epoch), settled).is_ok())
}

fn position_and_effects(_: &World, state: &State) -> bool {
    !state.misapplied
}

/// Returns whether nothing is unfinished in a state without further actions. (A sale that cannot be rebuilt
/// again, because the configuration's attempts are used up, stays closed.)
fn nothing_hangs(world: &World, state: &State) -> bool {
    let underway =
        any_attempt(state, |phase| matches!(phase, Phase::Calling | Phase::Producing | Phase::Appended))
            || !is_settled(state)
            || state
                .rebuilders
                .iter()
                .any(|rebuild| rebuild.step != RebuildStep::None && rebuild.epoch == state.postgres.epoch)
            || world.serving(state).is_some_and(|_| !world.is_at_rest(state));
    !underway || {
        let mut actions = Vec::new();
        world.possible(state, &mut actions);
        !actions.is_empty()
    }
}

impl World {
    /// Returns the stock of the single item, with nothing held or sold.
    fn total_stock(&self) -> Stock {
        Stock { total: Some(self.config.total.into()), ..Stock::default() }
    }

    /// Returns the server from which gateways sell, if any.
    pub(crate) fn serving(&self, state: &State) -> Option<u8> {
        let epoch = state.postgres.epoch;
        let serves = |server: &u8| {
            let s = &state.servers[usize::from(*server)];
            s.up && s.scripts.has(epoch) && s.history.has(epoch) && s.data[usize::from(epoch - 1)].marked
        };
        (0..SERVERS as u8).filter(|_| state.postgres.ready).find(serves)
    }

    /// Returns whether the sale is open, nothing is in transit, and every decision has been carried out.
    pub(crate) fn is_at_rest(&self, state: &State) -> bool {
        let Some(server) = self.serving(state) else { return false };
        let keys = state.keys(server, state.postgres.epoch);
        let due = state
            .postgres
            .cancelled
            .iter()
            .any(|o| state.postgres.cancelled_at[usize::from(o)] > keys.watermark);
        is_settled(state)
            && keys.outbox.is_empty()
            && keys.returning.is_empty()
            && !due
            && state.releases.iter().all(|release| release.epoch == 0)
            && !any_attempt(state, |phase| {
                matches!(phase, Phase::Calling | Phase::Producing | Phase::Appended)
            })
    }
}
