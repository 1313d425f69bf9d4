//! What of a partition is done. Events are finished out of order; the position is the oldest that is not.

use std::collections::BTreeSet;

/// A partition of one topic.
#[derive(Debug)]
pub struct Offsets {
    /// Taken and not done.
    open: BTreeSet<i64>,
    /// Behind the last that was taken.
    next: i64,
}

impl Offsets {
    /// Reading begins here.
    pub fn from(next: i64) -> Self {
        Self { open: BTreeSet::new(), next }
    }

    /// A record was read. False: it was before, and is to be ignored.
    pub fn take(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset + 1;
        self.open.insert(offset)
    }

    /// A record is done.
    pub fn done(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    /// Everything before is done.
    pub fn position(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// Behind the last record that was read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Records that are not done.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn the_position_waits_for_the_oldest() {
        let mut offsets = Offsets::from(10);
        assert_eq!(offsets.position(), 10);
        for offset in [10, 11, 14] {
            assert!(offsets.take(offset));
        }
        assert!(!offsets.take(11), "read twice");
        offsets.done(11);
        assert_eq!((offsets.position(), offsets.open()), (10, 2));
        offsets.done(10);
        assert_eq!(offsets.position(), 14);
        offsets.done(14);
        assert_eq!((offsets.position(), offsets.next()), (15, 15));
    }
}
