//! The actions that may happen next. Each action is one atomic step of the real system: one script call, one
//! append to the log, or one transaction.

use crate::config::Fault;

/// One atomic step of any part of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are indices: of the try (or the order it makes), gateway, server, process
pub enum Action {
    /// A gateway with a lease sends the call of the reserving script.
    Send { order: u8, gateway: u8 },
    /// A gateway refuses from its cached stock snapshot: sold out.
    RefuseFast { order: u8, gateway: u8 },
    /// The script runs, and its reply reaches the gateway.
    Reserve { order: u8, server: u8 },
    /// The record reaches the log.
    Append { order: u8 },
    /// The record is lost in transit, or the gateway crashes before sending it.
    LoseRecord { order: u8 },
    /// The acknowledgement reaches the gateway, which then checks its lease and responds.
    Acknowledge { order: u8 },
    /// A gateway renews its lease by reading everything that is published, or its lease expires.
    ReadSales { gateway: u8 },
    /// A gateway refreshes its stock snapshot.
    RefreshStock { gateway: u8, server: u8 },
    /// The gateway's stock snapshot becomes too old to refuse from.
    SnapshotExpires { gateway: u8 },
    /// An entry that is stored in the log is deleted from the outbox.
    AckOutbox { order: u8, server: u8 },
    /// The relay produces an outbox entry again.
    Relay { order: u8, server: u8 },
    /// A cancellation (by a tick or by a customer) is appended to the log.
    Cancel { order: u8 },
    /// Another process takes over the partition. The old owner does not notice.
    TakeOver { owner: u8 },
    /// An owner settles the next record, or is fenced.
    Settle { owner: u8 },
    /// A releaser reads the watermark from Redis and the events after it from Postgres.
    FindReleases { releaser: u8, server: u8 },
    /// The releaser's script call runs.
    Release { releaser: u8, server: u8 },
    /// Announced units become available.
    Mature { server: u8, epoch: u8 },
    /// A rebuild begins: it connects, claims a new epoch, and publishes it.
    Begin { rebuilder: u8, server: u8 },
    /// The rebuild's wait for older leases is over.
    Outwait { rebuilder: u8 },
    /// The rebuild produces an entry of an old outbox.
    Drain { rebuilder: u8, order: u8 },
    /// The rebuild stops draining and appends its barrier.
    Fence { rebuilder: u8 },
    /// The rebuild unlinks older epochs and writes the snapshot.
    WriteSnapshot { rebuilder: u8 },
    /// The rebuild loads the scripts and sets the mark.
    Seal { rebuilder: u8 },
    /// The rebuild marks the epoch as ready and publishes it.
    Finish { rebuilder: u8 },
    /// The rebuild detects a broken connection, missing keys or a newer epoch, and stops.
    GiveUp { rebuilder: u8 },
    /// The replica (or the copy on disk) catches up with the primary.
    CatchUp,
    /// A fault hits Redis.
    Fail(Fault),
}
