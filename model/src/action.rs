//! What may happen next. Each action is one atomic step of the real thing: one script call, one append to
//! the log, one transaction.

use crate::config::Fault;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are indices: of the try (or the order it makes), gateway, server, process
pub enum Action {
    /// A gateway with a lease sends the call of the reserving script.
    Send { order: u8, gateway: u8 },
    /// A gateway refuses from memory: sold out.
    RefuseFast { order: u8, gateway: u8 },
    /// The script runs, and its reply reaches the gateway.
    Reserve { order: u8, server: u8 },
    /// The record reaches the log.
    Append { order: u8 },
    /// The record is lost on its way, or the gateway dies before it is sent.
    LoseRecord { order: u8 },
    /// The acknowledgement reaches the gateway, which then looks at its lease, and answers.
    Acknowledge { order: u8 },
    /// A gateway renews its lease: it reads all that is published; or its lease runs out.
    ReadSales { gateway: u8 },
    /// A gateway looks at the stock.
    Look { gateway: u8, server: u8 },
    /// What it saw is too old to refuse from.
    LookExpires { gateway: u8 },
    /// An entry that the log has is deleted from the outbox.
    Forget { order: u8, server: u8 },
    /// The relay produces an entry of the outbox again.
    Relay { order: u8, server: u8 },
    /// A cancellation (a tick or a customer's) is appended to the log.
    Cancel { order: u8 },
    /// Another process takes the partition over. The old owner does not know.
    TakeOver { owner: u8 },
    /// An owner settles the next record, or is fenced.
    Settle { owner: u8 },
    /// A releaser asks Redis for the watermark and Postgres for what comes behind it.
    FindReleases { releaser: u8, server: u8 },
    /// Its script call runs.
    Release { releaser: u8, server: u8 },
    /// Announced units can be taken.
    Mature { server: u8, epoch: u8 },
    /// A rebuild begins: it connects, takes a new epoch, and publishes it.
    Begin { rebuilder: u8, server: u8 },
    /// It has outwaited the leases.
    Outwait { rebuilder: u8 },
    /// It produces an entry of an old outbox.
    Drain { rebuilder: u8, order: u8 },
    /// It stops draining and appends its barrier.
    Fence { rebuilder: u8 },
    /// It unlinks older epochs and writes the snapshot.
    WriteSnapshot { rebuilder: u8 },
    /// It loads the scripts and sets the mark.
    Seal { rebuilder: u8 },
    /// It makes the epoch ready, and publishes it.
    Finish { rebuilder: u8 },
    /// It finds its connection broken, its keys gone, or a newer epoch.
    GiveUp { rebuilder: u8 },
    /// The replica (or the copy on disk) catches up.
    CatchUp,
    /// Redis fails.
    Fail(Fault),
}
