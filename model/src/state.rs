//! Where everything stands at one moment. Small numbers and sets of bits only: millions of these are made,
//! hashed and compared.
//!
//! What is not here cannot influence anything: clocks (see the crate's documentation), names, prices.

/// Tries to order, at most.
pub const TRIES: usize = 4;
/// Gateways.
pub const GATEWAYS: usize = 2;
/// Redis servers, at most: a primary, and a replica that was promoted.
pub const SERVERS: usize = 2;
/// Epochs, at most: the one that is sold from at first, and one per attempt to rebuild.
pub const EPOCHS: usize = 3;
/// Processes of settlement (owner and zombie), of releases and of rebuilds: two each.
pub const PAIR: usize = 2;
/// Records that have not been read by all who read the log, at most.
pub const LOG: usize = 12;

/// A set of tries or of epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Set(pub u8);

impl Set {
    /// Whether it is in.
    pub fn has(self, index: u8) -> bool {
        self.0 & (1 << index) != 0
    }
    /// Puts it in.
    pub fn add(&mut self, index: u8) {
        self.0 |= 1 << index;
    }
    /// Takes it out.
    pub fn remove(&mut self, index: u8) {
        self.0 &= !(1 << index);
    }
    /// What is in here, but not there.
    pub fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    /// What is in either.
    pub fn with(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
    /// Nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// All, in order.
    pub fn each(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |index| self.has(*index))
    }
}

/// How far a try has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Not sent.
    #[default]
    Idle,
    /// The script's call is on its way to Redis.
    Calling,
    /// Reserved; the record is on its way to the log.
    Producing,
    /// The log has it; the acknowledgement is on its way to the gateway.
    Appended,
    /// The customer heard nothing, or 503: the outcome is not known.
    Unknown,
    /// 202 for this try.
    Accepted,
    /// 202 for an earlier try with the same key: for this order.
    Replayed(u8),
    /// 409: sold out. Whether that was so, and whether the key had an order then.
    SoldOut {
        /// So many units were really taken.
        justified: bool,
        /// An earlier try with the same key had been accepted.
        denied: bool,
    },
    /// 409: the customer's limit is reached.
    Duplicate {
        /// An earlier try with the same key had been accepted.
        denied: bool,
    },
}

/// A try to order: one request, at one gateway. Its index is also the id of the order that it makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Try {
    /// How far it is.
    pub phase: Phase,
    /// At which gateway.
    pub gateway: u8,
    /// The epoch that it was sent under.
    pub epoch: u8,
    /// Its place, given by the script. 0: none.
    pub sequence: u8,
    /// Another try with the same key was on its way to Redis at the same time.
    pub overlapped: bool,
}

/// One epoch's keys in one Redis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    /// They are there.
    pub present: bool,
    /// The mark is in the hash.
    pub marked: bool,
    /// Units that can be taken.
    pub available: u8,
    /// The next sequence.
    pub next: u8,
    /// Orders whose keys are remembered.
    pub remembered: Set,
    /// Those of them that count for the limit.
    pub live: Set,
    /// Orders whose hand-off is not acknowledged.
    pub outbox: Set,
    /// Cancelled orders whose units are announced and cannot be taken yet.
    pub returning: Set,
    /// Events up to this sequence have been released.
    pub watermark: u8,
}

/// Everything that one Redis holds, by epoch.
pub type Data = [Keys; EPOCHS];

/// A Redis server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Server {
    /// It answers.
    pub up: bool,
    /// Epochs whose scripts it knows.
    pub scripts: Set,
    /// Epochs that were loaded under the replication id that it has now.
    pub history: Set,
    /// Its keys.
    pub data: Data,
}

/// A record of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// An order was accepted.
    Acceptance(u8),
    /// Lower epochs have ended.
    Barrier(u8),
    /// A tick or a customer cancels an order.
    Cancel(u8),
}

/// The part of the log that somebody may still read. Offsets count from its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Log {
    records: [Option<Record>; LOG],
    len: u8,
}

impl Log {
    /// Appends.
    pub fn append(&mut self, record: Record) {
        self.records[usize::from(self.len)] = Some(record);
        self.len += 1;
    }
    /// The next offset.
    pub fn end(&self) -> u8 {
        self.len
    }
    /// What is there.
    pub fn read(&self, offset: u8) -> Option<Record> {
        self.records.get(usize::from(offset)).copied().flatten()
    }
    /// Whether a record of an order is there.
    pub fn holds(&self, order: u8) -> bool {
        self.records.contains(&Some(Record::Acceptance(order)))
    }
    /// All, in order.
    pub fn each(&self) -> impl Iterator<Item = Record> + '_ {
        self.records.iter().copied().flatten()
    }
    fn remove(&mut self, offset: u8) {
        self.records[usize::from(offset)..].rotate_left(1);
        self.records[LOG - 1] = None;
        self.len -= 1;
    }
}

/// Where an owner stands, or Postgres says that it should: one row of `log_position`, and what moves with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The next record.
    pub offset: u8,
    /// The next event.
    pub event: u8,
    /// The highest barrier applied.
    pub settled_epoch: u8,
    /// Behind the highest sequence settled.
    pub next_sequence: u8,
}

/// What Postgres holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Postgres {
    /// How far the log is settled.
    pub position: Position,
    /// The newest epoch.
    pub epoch: u8,
    /// It can sell.
    pub ready: bool,
    /// Orders.
    pub rows: Set,
    /// Those of them that are cancelled.
    pub cancelled: Set,
    /// The event that cancelled each.
    pub cancelled_at: [u8; TRIES],
    /// Orders that Postgres had to refuse: dead letters.
    pub refused: Set,
}

/// A call of the releasing script: made from what Redis and Postgres said, not carried out yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Release {
    /// Whose scripts. 0: no call.
    pub epoch: u8,
    /// The watermark it follows.
    pub after: u8,
    /// The watermark it leads to.
    pub to: u8,
    /// Whose units.
    pub orders: Set,
}

/// How far an attempt to rebuild has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Step {
    /// No attempt.
    #[default]
    None,
    /// The epoch is taken and published; leases are waited for.
    Waiting,
    /// The old outbox is being drained.
    Draining,
    /// The barrier is in the log.
    Fencing,
    /// The snapshot is written.
    Written,
    /// Scripts and mark are there.
    Sealed,
}

/// An attempt to rebuild.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rebuilder {
    /// How far.
    pub step: Step,
    /// The epoch it took.
    pub epoch: u8,
    /// The server it is connected to.
    pub server: u8,
    /// That connection is gone, or the server is not what it was.
    pub broken: bool,
}

/// What a gateway saw when it last looked at the stock, to refuse from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// It saw nothing left and nothing returning, less than 250 ms ago. Under this epoch; 0: it did not.
    pub epoch: u8,
    /// Who may hold an order.
    pub arrivals: Set,
}

/// What may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Left {
    /// Faults of Redis.
    pub faults: u8,
    /// Moments at which the replica, or the copy on disk, catches up.
    pub copies: u8,
    /// Cancellations.
    pub cancels: u8,
    /// Take-overs by another process of settlement, while the first does not know of it.
    pub takeovers: u8,
    /// Attempts to rebuild.
    pub rebuilds: u8,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// The customers' tries.
    pub tries: [Try; TRIES],
    /// The epoch that each gateway may answer under: it has read it as ready and holds a lease. 0: none.
    pub views: [u8; GATEWAYS],
    /// What each refuses from.
    pub looks: [Look; GATEWAYS],
    /// Redis.
    pub servers: [Server; SERVERS],
    /// What the replica, or the copy on disk, holds.
    pub copy: Data,
    /// The log.
    pub log: Log,
    /// Orders that the log has a record of.
    pub logged: Set,
    /// Orders that have been produced once more, by the relay or a drain.
    pub relayed: Set,
    /// Postgres.
    pub postgres: Postgres,
    /// What each process of settlement remembers, if it works.
    pub owners: [Option<Position>; PAIR],
    /// Calls on their way.
    pub releases: [Release; PAIR],
    /// Attempts to rebuild.
    pub rebuilders: [Rebuilder; PAIR],
    /// What may still happen.
    pub left: Left,
    /// Orders that somebody asked to cancel, and was told that this is recorded.
    pub asked: Set,
    /// A transaction was committed that did not begin where the one before had ended.
    pub misapplied: bool,
}

impl State {
    /// Whether the script of an epoch would run on a server, as far as loading goes.
    pub fn keys(&self, server: u8, epoch: u8) -> &Keys {
        &self.servers[usize::from(server)].data[usize::from(epoch - 1)]
    }
    /// The same, to be changed.
    pub fn keys_mut(&mut self, server: u8, epoch: u8) -> &mut Keys {
        &mut self.servers[usize::from(server)].data[usize::from(epoch - 1)]
    }
    /// Servers that answer.
    pub fn up(&self) -> impl Iterator<Item = u8> + use<> {
        let up: [bool; SERVERS] = std::array::from_fn(|s| self.servers[s].up);
        (0..SERVERS as u8).filter(move |s| up[usize::from(*s)])
    }
    /// Drops records that everyone has read, so that states that differ in their past only are one.
    pub fn forget_what_is_read(&mut self) {
        while self.postgres.position.offset > 0 && self.owners.iter().flatten().all(|owner| owner.offset > 0)
        {
            self.forget_record(0);
        }
    }
    /// Takes a record out, as if it had never been there.
    pub fn forget_record(&mut self, offset: u8) {
        self.log.remove(offset);
        let positions = self.owners.iter_mut().flatten().chain([&mut self.postgres.position]);
        for position in positions.filter(|position| position.offset > offset) {
            position.offset -= 1;
        }
    }
}
