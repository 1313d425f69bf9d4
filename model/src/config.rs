//! The bounds of a search: how many customers, attempts and faults there are, and which protections are in
//! place.

/// The protections of the invariants. All of them are on. Removing any one must violate an invariant; otherwise
/// it would not be needed. The first seven are the pillars of the protocol; the others are details of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protections {
    /// Gateways respond only under a lease, and a rebuild waits for leases to expire.
    pub lease: bool,
    /// A rebuild ends the old epoch with a record in the log, and waits until that record is settled.
    pub barrier: bool,
    /// A script runs only if the sale's hash contains the script's mark.
    pub mark: bool,
    /// The reservation script writes an entry to the outbox.
    pub outbox: bool,
    /// Settlement's transaction advances the position only if it equals the position that the owner remembers.
    pub compare_and_set: bool,
    /// The events (after, to] are released only if the watermark in Redis is `after`.
    pub release_rule: bool,
    /// The script looks up the idempotency key before any check that may refuse the order.
    pub replay_before_refusal: bool,
    /// The gateway checks the lease after the acknowledgement that it responds to, not only when it sends the
    /// call.
    pub lease_last: bool,
    /// A rebuild reads its snapshot only after its barrier is settled.
    pub settled_first: bool,
    /// An acceptance after the barrier of its epoch is void.
    pub void: bool,
    /// A script runs only under the replication ID for which it was loaded.
    pub replication_id: bool,
    /// An entry is deleted from the outbox only after the log has stored it.
    pub ack_last: bool,
    /// A retry is answered only after the log has stored the order that it repeats.
    pub retry_waits: bool,
    /// A customer's command waits until the log has stored the order.
    pub command_waits: bool,
    /// Returning units are announced for longer than a gateway may refuse from its stock snapshot.
    pub announcement: bool,
}

impl Protections {
    /// Every protection in place.
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
        ack_last: true,
        retry_waits: true,
        command_waits: true,
        announcement: true,
    };

    /// Returns, for each protection: its name, all protections except this one, and the name of the configuration
    /// in which an invariant is violated without it.
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
            ("lease checked last", Self { lease_last: false, ..ALL }, "lost state"),
            ("barrier settled first", Self { settled_first: false, ..ALL }, "lost state"),
            ("void", Self { void: false, ..ALL }, "lost state"),
            ("replication id", Self { replication_id: false, ..ALL }, "split"),
            ("outbox entry deleted last", Self { ack_last: false, ..ALL }, "lost state"),
            ("retries wait", Self { retry_waits: false, ..ALL }, "lost state"),
            ("commands wait", Self { command_waits: false, ..ALL }, "releases"),
            ("announcement", Self { announcement: false, ..ALL }, "fast refusals"),
        ]
    }
}

/// A request that a customer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The index of the customer.
    pub customer: u8,
    /// The idempotency key of the request.
    pub key: u8,
    /// The number of units ordered.
    pub units: u8,
    /// The gateway that receives it; `None` means either.
    pub gateway: Option<u8>,
}

/// The faults of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Redis restarts with no data.
    RestartEmpty,
    /// Redis restarts from an earlier copy of its data.
    RestartOld,
    /// Redis restarts with all its data but no scripts (the same as `SCRIPT FLUSH`).
    RestartWhole,
    /// `FLUSHALL`: the scripts and the replication ID remain.
    FlushAll,
    /// The lagging replica is promoted, while the old primary continues to serve the clients that are still
    /// connected to it.
    Failover,
    /// The old primary copies the promoted server's data and is promoted again. Its scripts have survived.
    Failback,
}

/// A bounded world, all of whose states are searched.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the configuration, as the report prints it.
    pub name: &'static str,
    /// A one-line description.
    pub about: &'static str,
    /// The total number of units of the single item.
    pub total: u8,
    /// The maximum number of live orders that a customer may have.
    pub limit: u8,
    /// The requests that customers may send, at any time, in any order, once each.
    pub requests: &'static [Request],
    /// The number of faults of Redis and their kinds.
    pub faults: (u8, &'static [Fault]),
    /// The number of times that the replica (or the copy on disk) catches up.
    pub copies: u8,
    /// The number of cancellations, by a customer or by expiry.
    pub cancels: u8,
    /// The number of times that another process takes over the partition without the old owner noticing.
    pub takeovers: u8,
    /// The number of rebuild attempts: after a state loss, by an operator, or because the previous attempt seems
    /// to have died.
    pub rebuilds: u8,
    /// The number of processes that release units.
    pub releasers: u8,
    /// Whether gateways refuse from their cached stock snapshots.
    pub fast_refusals: bool,
    /// The protections that are in place.
    pub protections: Protections,
}
