//! A model of the lease's time arithmetic, which the main model assumes to be correct. It has one gateway,
//! one order, one rebuild, and the topic `sales` between them (`gateway/src/sales/lease.rs`,
//! `settlement/src/recover/rebuild/`).
//!
//! Time is a number that every process can read. The margin of the rebuild's wait exists for clocks that run
//! at different speeds; in this model the clocks agree, so there is no margin.

use stateright::{Model, Property};

/// The duration of a lease, counted from before its heartbeat is sent, and of a rebuild's wait.
const LEASE: u8 = 3;
/// The last point in time. Nothing new can happen later, because every wait that began earlier is over.
const HORIZON: u8 = 8;
/// The maximum number of heartbeats, which are sent one after another.
const HEARTBEATS: u8 = 2;

/// The rules of the lease. Each rule is necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The lease counts from before the heartbeat is sent, not from its acknowledgement.
    pub counts_from_before: bool,
    /// The gateway holds the lease only after it has read up to its own heartbeat.
    pub reads_to_its_own: bool,
    /// The gateway reads the clock after the order's acknowledgement, not before it sends the record.
    pub checks_last: bool,
    /// The rebuild waits for the duration of a lease.
    pub waits: bool,
    /// The wait starts when the new epoch's publication is acknowledged, not when it is sent.
    pub waits_from_acknowledgement: bool,
}

impl Rules {
    /// Every rule in place.
    pub const ALL: Self = Self {
        counts_from_before: true,
        reads_to_its_own: true,
        checks_last: true,
        waits: true,
        waits_from_acknowledgement: true,
    };

    /// Returns, for each rule, its name and the rules without it.
    pub fn each_removed() -> [(&'static str, Self); 5] {
        [
            ("counting from before the heartbeat", Self { counts_from_before: false, ..Self::ALL }),
            ("reading up to its own heartbeat", Self { reads_to_its_own: false, ..Self::ALL }),
            ("checking the lease last", Self { checks_last: false, ..Self::ALL }),
            ("waiting", Self { waits: false, ..Self::ALL }),
            ("waiting from the acknowledgement", Self { waits_from_acknowledgement: false, ..Self::ALL }),
        ]
    }
}

/// The progress of a message to the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Message {
    /// The message has not been sent.
    #[default]
    None,
    /// The message is in transit.
    Sent,
    /// The log stores the message at this offset.
    Appended(u8),
    /// The sender received the acknowledgement, at this time where the time matters.
    Acknowledged(u8),
}

/// The response that the customer receives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Response {
    /// No response yet.
    #[default]
    None,
    /// The gateway responded with 202.
    Accepted,
    /// The gateway responded with 503: the outcome is unknown.
    Unknown,
}

/// The complete state at one point in time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ClockState {
    now: u8,
    /// The number of entries in the topic `sales`.
    sales: u8,
    /// The number of entries that the gateway has read.
    read: u8,
    heartbeat: Message,
    /// The time at which the gateway started the heartbeat.
    begun: u8,
    heartbeats: u8,
    until: u8,
    /// The publication of the new epoch.
    bump: Message,
    /// The offset of that publication.
    bump_at: Option<u8>,
    bump_sent: u8,
    /// Whether the topic `orders` contains the barrier.
    barrier: bool,
    order: Message,
    /// Whether the order's record was appended after the barrier.
    behind: bool,
    response: Response,
}

/// One atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names say it
pub enum ClockAction {
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

/// The lease as a model that can be searched.
#[derive(Clone, Copy, Debug)]
pub struct LeaseModel {
    /// The rules that apply.
    pub rules: Rules,
}

impl LeaseModel {
    /// Returns whether the gateway may respond from the old epoch now.
    fn covers(&self, state: &ClockState) -> bool {
        state.now < state.until && state.bump_at.is_none_or(|offset| offset >= state.read)
    }

    fn wait_is_over(&self, state: &ClockState) -> bool {
        let Message::Acknowledged(acknowledged) = state.bump else { return false };
        let from = if self.rules.waits_from_acknowledgement { acknowledged } else { state.bump_sent };
        !self.rules.waits || state.now >= from + LEASE
    }

    fn has_read_enough(&self, state: &ClockState, offset: u8) -> bool {
        state.read > offset || !self.rules.reads_to_its_own
    }
}

impl Model for LeaseModel {
    type State = ClockState;
    type Action = ClockAction;

    fn init_states(&self) -> Vec<ClockState> {
        vec![ClockState::default()]
    }

    fn actions(&self, state: &ClockState, actions: &mut Vec<ClockAction>) {
        let mut may = |possible: bool, action| actions.extend(possible.then_some(action));
        may(state.now < HORIZON, ClockAction::TimePasses);
        may(state.heartbeat == Message::None && state.heartbeats < HEARTBEATS, ClockAction::BeginHeartbeat);
        may(state.heartbeat == Message::Sent, ClockAction::HeartbeatIsAppended);
        if let Message::Appended(offset) = state.heartbeat {
            may(self.has_read_enough(state, offset), ClockAction::HoldLease);
        }
        may(state.read < state.sales, ClockAction::ReadOneEntry);
        may(state.bump == Message::None, ClockAction::SendBump);
        may(state.bump == Message::Sent, ClockAction::BumpIsAppended);
        may(matches!(state.bump, Message::Appended(_)), ClockAction::BumpIsAcknowledged);
        may(!state.barrier && self.wait_is_over(state), ClockAction::AppendBarrier);
        may(state.order == Message::None && self.covers(state), ClockAction::SendOrder);
        may(state.order == Message::Sent, ClockAction::OrderIsAppended);
        may(matches!(state.order, Message::Appended(_)), ClockAction::OrderIsAcknowledged);
    }

    fn next_state(&self, state: &ClockState, action: ClockAction) -> Option<ClockState> {
        let mut next = *state;
        match action {
            ClockAction::TimePasses => next.now += 1,
            ClockAction::BeginHeartbeat => {
                (next.heartbeat, next.begun) = (Message::Sent, state.now);
                next.heartbeats += 1;
            }
            ClockAction::HeartbeatIsAppended => {
                next.heartbeat = Message::Appended(state.sales);
                next.sales += 1;
            }
            ClockAction::ReadOneEntry => next.read += 1,
            ClockAction::HoldLease => {
                let from = if self.rules.counts_from_before { state.begun } else { state.now };
                (next.until, next.heartbeat) = (state.until.max(from + LEASE), Message::None);
            }
            ClockAction::SendBump => (next.bump, next.bump_sent) = (Message::Sent, state.now),
            ClockAction::BumpIsAppended => {
                (next.bump, next.bump_at) = (Message::Appended(state.sales), Some(state.sales));
                next.sales += 1;
            }
            ClockAction::BumpIsAcknowledged => next.bump = Message::Acknowledged(state.now),
            ClockAction::AppendBarrier => next.barrier = true,
            // Only under a lease (see `actions`).
            ClockAction::SendOrder => next.order = Message::Sent,
            ClockAction::OrderIsAppended => (next.order, next.behind) = (Message::Appended(0), state.barrier),
            ClockAction::OrderIsAcknowledged => {
                let covered = self.covers(state) || !self.rules.checks_last;
                next.order = Message::Acknowledged(0);
                next.response = if covered { Response::Accepted } else { Response::Unknown };
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "an order that was answered 202 precedes the barrier",
                |_, state: &ClockState| !(state.response == Response::Accepted && state.behind),
            ),
            Property::sometimes("a 202 is given while a rebuild waits", |_, state: &ClockState| {
                state.response == Response::Accepted
                    && matches!(state.bump, Message::Acknowledged(since) if since < state.now)
            }),
            Property::sometimes("a record is appended after the barrier", |_, state: &ClockState| {
                state.behind
            }),
            Property::sometimes("a lease is renewed", |_, state: &ClockState| state.until > LEASE),
        ]
    }
}
