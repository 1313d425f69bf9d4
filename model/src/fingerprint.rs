//! Hashes a state. The checker spends most of its time here, so a state is packed into a few integers. The
//! derived implementation makes a call for each byte.

use std::hash::{Hash, Hasher};

use crate::state::{Keys, Log, Phase, Position, RebuildStep, Rebuilder, Record, Release, State, Try};

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let State { tries, views, snapshots, servers, copy, log, logged, relayed, postgres, .. } = self;
        let State { owners, releases, rebuilders, budget, cancels_acknowledged, misapplied, .. } = self;
        for pair in tries.chunks_exact(2) {
            hasher.write_u64(u64::from(pack(pair[0].packed())) << 32 | u64::from(pack(pair[1].packed())));
        }
        hasher.write_u64(u64::from_be_bytes([
            views[0],
            views[1],
            snapshots[0].epoch,
            snapshots[0].arrivals.0,
            snapshots[1].epoch,
            snapshots[1].arrivals.0,
            logged.0,
            relayed.0,
        ]));
        for server in servers {
            hasher.write_u32(pack([server.up.into(), server.scripts.0, server.history.0, 0]));
            server.data.iter().for_each(|keys| hasher.write_u64(keys.packed()));
        }
        copy.iter().for_each(|keys| hasher.write_u64(keys.packed()));
        hasher.write_u128(log.packed());
        hasher.write_u64(
            u64::from(pack(postgres.position.packed())) << 32 | u64::from(pack(postgres.cancelled_at)),
        );
        hasher.write_u64(u64::from_be_bytes([
            postgres.epoch,
            postgres.ready.into(),
            postgres.rows.0,
            postgres.cancelled.0,
            postgres.refused.0,
            cancels_acknowledged.0,
            (*misapplied).into(),
            0,
        ]));
        for owner in owners {
            hasher.write_u64(owner.map_or(u64::MAX, |position| pack(position.packed()).into()));
        }
        for release in releases {
            hasher.write_u32(pack(release.packed()));
        }
        for rebuilder in rebuilders {
            hasher.write_u32(pack(rebuilder.packed()));
        }
        hasher.write_u64(u64::from_be_bytes([
            budget.faults,
            budget.copies,
            budget.cancels,
            budget.takeovers,
            budget.rebuilds,
            0,
            0,
            0,
        ]));
    }
}

fn pack(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes)
}

impl Try {
    fn packed(&self) -> [u8; 4] {
        let phase = match self.phase {
            Phase::Idle => 0,
            Phase::Calling => 1,
            Phase::Producing => 2,
            Phase::Appended => 3,
            Phase::Unknown => 4,
            Phase::Accepted => 5,
            Phase::Duplicate { denied } => 6 | u8::from(denied) << 4,
            Phase::SoldOut { justified, denied } => 7 | u8::from(denied) << 4 | u8::from(justified) << 5,
            Phase::Replayed(order) => 8 | order << 4,
        };
        [phase, self.gateway | u8::from(self.overlapped) << 4, self.epoch, self.sequence]
    }
}

impl Keys {
    fn packed(&self) -> u64 {
        let flags = u8::from(self.present) | u8::from(self.marked) << 1;
        u64::from_be_bytes([
            flags,
            self.available,
            self.next,
            self.remembered.0,
            self.live.0,
            self.outbox.0,
            self.returning.0,
            self.watermark,
        ])
    }
}

impl Log {
    /// Packs one byte for each record: its kind and its index. No record is packed as 0.
    fn packed(&self) -> u128 {
        let byte = |record| match record {
            Record::Acceptance(order) => 0x10 | order,
            Record::Barrier(epoch) => 0x20 | epoch,
            Record::Cancel(order) => 0x30 | order,
        };
        self.iter().fold(0, |packed, record| packed << 8 | u128::from(byte(record)))
    }
}

impl Position {
    fn packed(&self) -> [u8; 4] {
        [self.offset, self.event, self.settled_epoch, self.next_sequence]
    }
}

impl Release {
    fn packed(&self) -> [u8; 4] {
        [self.epoch, self.after, self.to, self.orders.0]
    }
}

impl Rebuilder {
    fn packed(&self) -> [u8; 4] {
        let step = match self.step {
            RebuildStep::None => 0,
            RebuildStep::Waiting => 1,
            RebuildStep::Draining => 2,
            RebuildStep::Fencing => 3,
            RebuildStep::Written => 4,
            RebuildStep::Sealed => 5,
        };
        [step, self.epoch, self.server, self.broken.into()]
    }
}
