//! What is searched: how many customers, tries and faults, and which protections are in place.

/// What protects the invariants. Each is on; taking any one away must break something, or it would not be
/// needed. The first seven are the protocol's pillars, the others details of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protections {
    /// Gateways answer under a lease only, and a rebuild waits for leases.
    pub lease: bool,
    /// A rebuild ends the old epoch by a record in the log, and waits until it is settled.
    pub barrier: bool,
    /// A script runs only where its mark is in the hash.
    pub mark: bool,
    /// The reserving script leaves an entry in the outbox.
    pub outbox: bool,
    /// Settlement's transaction moves the position only from where the owner believes it.
    pub compare_and_set: bool,
    /// The events (after, to] are released only if Redis stands at `after`.
    pub release_rule: bool,
    /// The script looks for the key before anything may refuse the order.
    pub replay_before_refusal: bool,
    /// The lease is looked at after the acknowledgement that is answered, not only when the call is sent.
    pub lease_last: bool,
    /// A rebuild reads its snapshot only when its barrier is settled.
    pub settled_first: bool,
    /// An acceptance behind the barrier of its epoch is void.
    pub void: bool,
    /// A script runs only under the replication id that it was loaded for.
    pub replication_id: bool,
    /// An entry is deleted from the outbox only when the log has it.
    pub forget_last: bool,
    /// A repeat is answered only when the log has the order that it repeats.
    pub repeat_waits: bool,
    /// A customer's command waits until the log has the order.
    pub command_waits: bool,
    /// Returning units are announced for longer than a gateway refuses from memory.
    pub announcement: bool,
}

impl Protections {
    /// All in place.
    pub const ALL: Self = Self {
        lease: true,
        barrier: true,
        mark: true,
        outbox: true,
        compare_and_set: true,
        release_rule: true,
        replay_before_refusal: true,
        lease_last: true,
        settled_first: true,
        void: true,
        replication_id: true,
        forget_last: true,
        repeat_waits: true,
        command_waits: true,
        announcement: true,
    };

    /// Each protection by its name: all of them but this one, and the configuration that misses it.
    pub(crate) const fn each_removed() -> [(&'static str, Self, &'static str); 15] {
        const ALL: Protections = Protections::ALL;
        [
            ("lease", Self { lease: false, ..ALL }, "lost state"),
            ("barrier", Self { barrier: false, ..ALL }, "lost state"),
            ("mark", Self { mark: false, ..ALL }, "lost state"),
            ("outbox", Self { outbox: false, ..ALL }, "lost state"),
            ("compare-and-set", Self { compare_and_set: false, ..ALL }, "zombie owner"),
            ("release rule", Self { release_rule: false, ..ALL }, "releases"),
            ("replay before refusal", Self { replay_before_refusal: false, ..ALL }, "lost state"),
            ("lease looked at last", Self { lease_last: false, ..ALL }, "lost state"),
            ("barrier settled first", Self { settled_first: false, ..ALL }, "lost state"),
            ("void", Self { void: false, ..ALL }, "lost state"),
            ("replication id", Self { replication_id: false, ..ALL }, "split"),
            ("forgetting last", Self { forget_last: false, ..ALL }, "lost state"),
            ("repeats wait", Self { repeat_waits: false, ..ALL }, "lost state"),
            ("commands wait", Self { command_waits: false, ..ALL }, "releases"),
            ("announcement", Self { announcement: false, ..ALL }, "fast refusals"),
        ]
    }
}

/// One request that a customer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub customer: u8,
    /// Under which Idempotency-Key.
    pub key: u8,
    /// How many units.
    pub units: u8,
    /// Which gateway takes it; `None`: either.
    pub gateway: Option<u8>,
}

/// Faults of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It restarts with nothing.
    RestartEmpty,
    /// It restarts from a copy of some earlier moment.
    RestartOld,
    /// It restarts with all its data (or `SCRIPT FLUSH`).
    RestartWhole,
    /// `FLUSHALL`: scripts and replication id stay.
    FlushAll,
    /// The replica, which lags, is promoted; the old primary goes on answering whoever still talks to it.
    Failover,
    /// The old primary takes the promoted one's data and is promoted again. Its scripts have survived.
    Failback,
}

/// A bounded world. All its states are searched.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Units of the one item.
    pub total: u8,
    /// Live orders that a customer may have.
    pub limit: u8,
    /// What customers may send, at any time, in any order, once each.
    pub requests: &'static [Request],
    /// Faults of Redis: how many, and which.
    pub faults: (u8, &'static [Fault]),
    /// How often the replica (or the copy on disk) catches up.
    pub copies: u8,
    /// Cancellations, by a customer or by expiry.
    pub cancels: u8,
    /// How often another process takes the partition over, the old owner not knowing.
    pub takeovers: u8,
    /// Attempts to rebuild, for a loss, for an operator, or because the one before seems dead.
    pub rebuilds: u8,
    /// Processes that release units.
    pub releasers: u8,
    /// Gateways refuse from memory.
    pub fast_refusals: bool,
    /// What protects it.
    pub protections: Protections,
}
