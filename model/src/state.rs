//! The complete state of the modelled system. It consists of small numbers and bit sets, because millions of
//! states are created, hashed and compared.
//!
//! It omits everything that cannot influence the protocol: clocks (see the crate's documentation), names,
//! prices.

/// The maximum number of attempts to order.
pub const TRIES: usize = 4;
/// The number of gateways.
pub const GATEWAYS: usize = 2;
/// The maximum number of Redis servers: a primary, and a replica that was promoted.
pub const SERVERS: usize = 2;
/// The maximum number of epochs: the initial one, and one for each rebuild attempt.
pub const EPOCHS: usize = 3;
/// The number of settlement processes (owner and zombie), of releasers and of rebuilders: two each.
pub const PAIR: usize = 2;
/// The maximum number of records that some reader of the log has not read yet.
pub const LOG: usize = 12;

/// A bit set of attempts (or the orders they make) or of epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Set(pub u8);

impl Set {
    /// Returns whether the set contains the index.
    pub fn has(self, index: u8) -> bool {
        self.0 & (1 << index) != 0
    }
    /// Inserts the index.
    pub fn add(&mut self, index: u8) {
        self.0 |= 1 << index;
    }
    /// Removes the index.
    pub fn remove(&mut self, index: u8) {
        self.0 &= !(1 << index);
    }
    /// Returns the elements that are in this set but not in the other.
    pub fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    /// Returns the union of both sets.
    pub fn with(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
    /// Returns whether the set has no element.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Iterates over the elements in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |index| self.has(*index))
    }
}

/// The progress of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// The request has not been sent.
    #[default]
    Idle,
    /// The script call is in transit to Redis.
    Calling,
    /// The units are reserved, and the record is in transit to the log.
    Producing,
    /// The record is stored in the log, and the acknowledgement is in transit to the gateway.
    Appended,
    /// The customer received no response, or 503: the outcome is unknown to them.
    Unknown,
    /// The customer received 202 for this attempt.
    Accepted,
    /// The customer received 202 for this earlier order with the same key.
    Replayed(u8),
    /// The customer received 409: sold out.
    SoldOut {
        /// Whether the item was actually sold out at that time.
        justified: bool,
        /// Whether an earlier attempt with the same key had been accepted.
        denied: bool,
    },
    /// The customer received 409: the customer's limit is reached.
    Duplicate {
        /// Whether an earlier attempt with the same key had been accepted.
        denied: bool,
    },
}

/// An attempt to order: one request at one gateway. Its index is also the ID of the order that it makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Try {
    /// The progress of the attempt.
    pub phase: Phase,
    /// The gateway that received the request.
    pub gateway: u8,
    /// The epoch under which the gateway sent the script call.
    pub epoch: u8,
    /// The sequence assigned by the script; 0 means none.
    pub sequence: u8,
    /// Whether another attempt with the same key was in transit to Redis at the same time.
    pub overlapped: bool,
}

/// The keys of one epoch in one Redis server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    /// Whether the keys exist.
    pub present: bool,
    /// Whether the hash contains the mark.
    pub marked: bool,
    /// The number of units that can be reserved.
    pub available: u8,
    /// The next sequence.
    pub next: u8,
    /// The orders whose idempotency keys are stored.
    pub remembered: Set,
    /// The stored orders that count towards the customer's limit.
    pub live: Set,
    /// The orders whose hand-off is not acknowledged.
    pub outbox: Set,
    /// The cancelled orders whose units are announced but cannot be reserved yet.
    pub returning: Set,
    /// The sequence of the last event whose units have been released.
    pub watermark: u8,
}

/// The data of one Redis server, by epoch.
pub type Data = [Keys; EPOCHS];

/// The state of one Redis server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Server {
    /// Whether the server is reachable.
    pub up: bool,
    /// The epochs whose scripts the server has loaded.
    pub scripts: Set,
    /// The epochs that were loaded under the server's current replication ID.
    pub history: Set,
    /// The keys by epoch.
    pub data: Data,
}

/// A record in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// The acceptance of this order.
    Acceptance(u8),
    /// The barrier of this epoch: all lower epochs have ended.
    Barrier(u8),
    /// The cancellation of this order, by a tick or by a customer.
    Cancel(u8),
}

/// The part of the log that a process may still read. Offsets count from its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Log {
    records: [Option<Record>; LOG],
    len: u8,
}

impl Log {
    /// Appends a record.
    pub fn append(&mut self, record: Record) {
        self.records[usize::from(self.len)] = Some(record);
        self.len += 1;
    }
    /// Returns the offset of the next record to be appended.
    pub fn end(&self) -> u8 {
        self.len
    }
    /// Returns the record at an offset.
    pub fn read(&self, offset: u8) -> Option<Record> {
        self.records.get(usize::from(offset)).copied().flatten()
    }
    /// Returns whether the log contains the acceptance of an order.
    pub fn holds(&self, order: u8) -> bool {
        self.records.contains(&Some(Record::Acceptance(order)))
    }
    /// Iterates over the records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record> + '_ {
        self.records.iter().copied().flatten()
    }
    fn remove(&mut self, offset: u8) {
        self.records[usize::from(offset)..].rotate_left(1);
        self.records[LOG - 1] = None;
        self.len -= 1;
    }
}

/// The position in the log that an owner remembers or Postgres stores: one row of `log_position`, and the
/// values that change together with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The offset of the next record.
    pub offset: u8,
    /// The sequence of the next event.
    pub event: u8,
    /// The epoch of the highest barrier that was applied.
    pub settled_epoch: u8,
    /// One more than the highest order sequence that was settled.
    pub next_sequence: u8,
}

/// The contents of Postgres.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Postgres {
    /// The position up to which the log is settled.
    pub position: Position,
    /// The current epoch.
    pub epoch: u8,
    /// Whether the current epoch is ready for sales.
    pub ready: bool,
    /// The orders that have a row.
    pub rows: Set,
    /// The orders with a row that are cancelled.
    pub cancelled: Set,
    /// The sequence of the event that cancelled each order.
    pub cancelled_at: [u8; TRIES],
    /// The orders that Postgres had to reject, which are dead letters.
    pub refused: Set,
}

/// A pending call of the release script, built from the data read from Redis and Postgres.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Release {
    /// The epoch whose script is called; 0 means that no call is pending.
    pub epoch: u8,
    /// The watermark that Redis must have.
    pub after: u8,
    /// The watermark that the call sets.
    pub to: u8,
    /// The orders whose units are released.
    pub orders: Set,
}

/// The progress of a rebuild attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RebuildStep {
    /// No attempt is running.
    #[default]
    None,
    /// The epoch is claimed and published, and the rebuild waits for leases to expire.
    Waiting,
    /// The rebuild drains the old outbox.
    Draining,
    /// The log contains the barrier.
    Fencing,
    /// The snapshot is written to Redis.
    Written,
    /// The scripts are loaded and the mark is set.
    Sealed,
}

/// A rebuild attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rebuilder {
    /// The progress of the attempt.
    pub step: RebuildStep,
    /// The epoch that the attempt claimed.
    pub epoch: u8,
    /// The server to which the rebuilder is connected.
    pub server: u8,
    /// Whether the connection is broken or the server was replaced.
    pub broken: bool,
}

/// A gateway's cached stock snapshot, from which it refuses orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StockSnapshot {
    /// The epoch in which nothing was left and nothing was returning less than 250 ms ago; 0 means that there is
    /// no usable snapshot.
    pub epoch: u8,
    /// The orders that Redis had accepted; their customers may hold an order.
    pub arrivals: Set,
}

/// The number of each kind of event that may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EventBudget {
    /// The faults of Redis.
    pub faults: u8,
    /// The times that the replica, or the copy on disk, catches up.
    pub copies: u8,
    /// The cancellations, by ticks or customers.
    pub cancels: u8,
    /// The takeovers by another settlement process that the first does not notice.
    pub takeovers: u8,
    /// The rebuild attempts.
    pub rebuilds: u8,
}

/// The complete state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// The customers' attempts.
    pub tries: [Try; TRIES],
    /// The epoch under which each gateway may respond, because it has read that the epoch is ready and holds a
    /// lease; 0 means none.
    pub views: [u8; GATEWAYS],
    /// The stock snapshot of each gateway.
    pub snapshots: [StockSnapshot; GATEWAYS],
    /// The Redis servers.
    pub servers: [Server; SERVERS],
    /// The data of the replica, or of the copy on disk.
    pub copy: Data,
    /// The topic `orders`.
    pub log: Log,
    /// The orders of which the log has stored a record.
    pub logged: Set,
    /// The orders that the relay or a drain has produced again.
    pub relayed: Set,
    /// The contents of Postgres.
    pub postgres: Postgres,
    /// The position that each settlement process remembers, if it is running.
    pub owners: [Option<Position>; PAIR],
    /// The pending release calls.
    pub releases: [Release; PAIR],
    /// The rebuild attempts.
    pub rebuilders: [Rebuilder; PAIR],
    /// The events that may still happen.
    pub budget: EventBudget,
    /// The orders whose cancellation was acknowledged to the client.
    pub cancels_acknowledged: Set,
    /// Whether a transaction was committed that did not start at the position where the previous one ended.
    pub misapplied: bool,
}

impl State {
    /// Returns the keys of an epoch on a server.
    pub fn keys(&self, server: u8, epoch: u8) -> &Keys {
        &self.servers[usize::from(server)].data[usize::from(epoch - 1)]
    }
    /// Returns the keys of an epoch on a server, mutably.
    pub fn keys_mut(&mut self, server: u8, epoch: u8) -> &mut Keys {
        &mut self.servers[usize::from(server)].data[usize::from(epoch - 1)]
    }
    /// Returns the servers that are reachable.
    pub fn reachable_servers(&self) -> impl Iterator<Item = u8> + use<> {
        let up: [bool; SERVERS] = std::array::from_fn(|s| self.servers[s].up);
        (0..SERVERS as u8).filter(move |s| up[usize::from(*s)])
    }
    /// Drops the records that every process has read, so that states that differ only in their past become equal.
    pub fn drop_read_records(&mut self) {
        while self.postgres.position.offset > 0 && self.owners.iter().flatten().all(|owner| owner.offset > 0)
        {
            self.remove_record(0);
        }
    }
    /// Removes a record as if it had never been appended.
    pub fn remove_record(&mut self, offset: u8) {
        self.log.remove(offset);
        let positions = self.owners.iter_mut().flatten().chain([&mut self.postgres.position]);
        for position in positions.filter(|position| position.offset > offset) {
            position.offset -= 1;
        }
    }
}
