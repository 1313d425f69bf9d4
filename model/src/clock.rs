//! The lease's arithmetic, with a clock: the one thing that the large model takes for granted. One gateway,
//! one order, one rebuild, and the topic `sales` between them (`gateway/src/sales/lease.rs`,
//! `settlement/src/recover/rebuild/attempt.rs`).
//!
//! Time is a number that anybody can read. Two clocks that do not run alike are what the margin of the
//! rebuild's wait is for; here they do, and there is none.

use stateright::{Model, Property};

/// How long a lease lasts from before its heartbeat, and how long a rebuild waits.
const LEASE: u8 = 3;
/// Nothing new can happen later: every wait that began in time is over.
const HORIZON: u8 = 8;
/// Heartbeats, one after the other.
const HEARTBEATS: u8 = 2;

/// The rules of the lease. Each is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The lease counts from before the heartbeat is sent, not from its acknowledgement.
    pub counts_from_before: bool,
    /// It is held only once the gateway has read up to its own heartbeat.
    pub reads_to_its_own: bool,
    /// The clock is read after the order's acknowledgement, not before the record is sent.
    pub looks_last: bool,
    /// The rebuild waits as long as a lease lasts.
    pub waits: bool,
    /// It waits from the acknowledgement of the new epoch on, not from when it was sent.
    pub waits_from_acknowledgement: bool,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self {
        counts_from_before: true,
        reads_to_its_own: true,
        looks_last: true,
        waits: true,
        waits_from_acknowledgement: true,
    };

    /// Each by its name, and all the others.
    pub fn each_removed() -> [(&'static str, Self); 5] {
        [
            ("counting from before", Self { counts_from_before: false, ..Self::ALL }),
            ("reading to its own", Self { reads_to_its_own: false, ..Self::ALL }),
            ("looking last", Self { looks_last: false, ..Self::ALL }),
            ("waiting", Self { waits: false, ..Self::ALL }),
            ("waiting from the acknowledgement", Self { waits_from_acknowledgement: false, ..Self::ALL }),
        ]
    }
}

/// A message to the log: on its way, there, or acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Message {
    /// Not sent.
    #[default]
    None,
    /// Sent.
    Sent,
    /// In the log, at this place.
    Appended(u8),
    /// Its sender knows, since this time where that matters.
    Acknowledged(u8),
}

/// What the customer hears.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Answer {
    /// Nothing yet.
    #[default]
    None,
    /// 202.
    Accepted,
    /// 503.
    Unknown,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Moment {
    now: u8,
    /// Entries of the topic `sales`.
    sales: u8,
    /// Entries that the gateway has read.
    read: u8,
    heartbeat: Message,
    /// When the heartbeat was begun.
    begun: u8,
    heartbeats: u8,
    until: u8,
    /// The new epoch's publication.
    bump: Message,
    /// Its place.
    bump_at: Option<u8>,
    bump_sent: u8,
    /// The barrier is in the log of orders.
    barrier: bool,
    order: Message,
    /// The order's record came behind the barrier.
    behind: bool,
    answer: Answer,
}

/// A step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names say it
pub enum Tick {
    TimePasses,
    BeginHeartbeat,
    HeartbeatIsAppended,
    ReadOneEntry,
    HoldLease,
    SendBump,
    BumpIsAppended,
    BumpIsAcknowledged,
    AppendBarrier,
    SendOrder,
    OrderIsAppended,
    OrderIsAcknowledged,
}

/// The lease, to be searched.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// What it goes by.
    pub rules: Rules,
}

impl Clocks {
    /// The gateway may answer from the old epoch now.
    fn covers(&self, at: &Moment) -> bool {
        at.now < at.until && at.bump_at.is_none_or(|place| place >= at.read)
    }

    fn wait_is_over(&self, at: &Moment) -> bool {
        let Message::Acknowledged(acknowledged) = at.bump else { return false };
        let from = if self.rules.waits_from_acknowledgement { acknowledged } else { at.bump_sent };
        !self.rules.waits || at.now >= from + LEASE
    }

    fn has_read_enough(&self, at: &Moment, place: u8) -> bool {
        at.read > place || !self.rules.reads_to_its_own
    }
}

impl Model for Clocks {
    type State = Moment;
    type Action = Tick;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment::default()]
    }

    fn actions(&self, at: &Moment, actions: &mut Vec<Tick>) {
        let mut may = |possible: bool, action| actions.extend(possible.then_some(action));
        may(at.now < HORIZON, Tick::TimePasses);
        may(at.heartbeat == Message::None && at.heartbeats < HEARTBEATS, Tick::BeginHeartbeat);
        may(at.heartbeat == Message::Sent, Tick::HeartbeatIsAppended);
        if let Message::Appended(place) = at.heartbeat {
            may(self.has_read_enough(at, place), Tick::HoldLease);
        }
        may(at.read < at.sales, Tick::ReadOneEntry);
        may(at.bump == Message::None, Tick::SendBump);
        may(at.bump == Message::Sent, Tick::BumpIsAppended);
        may(matches!(at.bump, Message::Appended(_)), Tick::BumpIsAcknowledged);
        may(!at.barrier && self.wait_is_over(at), Tick::AppendBarrier);
        may(at.order == Message::None && self.covers(at), Tick::SendOrder);
        may(at.order == Message::Sent, Tick::OrderIsAppended);
        may(matches!(at.order, Message::Appended(_)), Tick::OrderIsAcknowledged);
    }

    fn next_state(&self, at: &Moment, action: Tick) -> Option<Moment> {
        let mut next = *at;
        match action {
            Tick::TimePasses => next.now += 1,
            Tick::BeginHeartbeat => {
                (next.heartbeat, next.begun) = (Message::Sent, at.now);
                next.heartbeats += 1;
            }
            Tick::HeartbeatIsAppended => {
                next.heartbeat = Message::Appended(at.sales);
                next.sales += 1;
            }
            Tick::ReadOneEntry => next.read += 1,
            Tick::HoldLease => {
                let from = if self.rules.counts_from_before { at.begun } else { at.now };
                (next.until, next.heartbeat) = (at.until.max(from + LEASE), Message::None);
            }
            Tick::SendBump => (next.bump, next.bump_sent) = (Message::Sent, at.now),
            Tick::BumpIsAppended => {
                (next.bump, next.bump_at) = (Message::Appended(at.sales), Some(at.sales));
                next.sales += 1;
            }
            Tick::BumpIsAcknowledged => next.bump = Message::Acknowledged(at.now),
            Tick::AppendBarrier => next.barrier = true,
            // Only under a lease (see `actions`).
            Tick::SendOrder => next.order = Message::Sent,
            Tick::OrderIsAppended => (next.order, next.behind) = (Message::Appended(0), at.barrier),
            Tick::OrderIsAcknowledged => {
                let covered = self.covers(at) || !self.rules.looks_last;
                next.order = Message::Acknowledged(0);
                next.answer = if covered { Answer::Accepted } else { Answer::Unknown };
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("an order that was told 202 lies before the barrier", |_, at: &Moment| {
                !(at.answer == Answer::Accepted && at.behind)
            }),
            Property::sometimes("a 202 is given while a rebuild waits", |_, at: &Moment| {
                at.answer == Answer::Accepted
                    && matches!(at.bump, Message::Acknowledged(since) if since < at.now)
            }),
            Property::sometimes("a record comes behind the barrier", |_, at: &Moment| at.behind),
            Property::sometimes("a lease is renewed", |_, at: &Moment| at.until > LEASE),
        ]
    }
}
