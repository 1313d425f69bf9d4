//! Tracks which records of a partition are done. Events finish out of order; the position is the offset of the oldest
//! record that is not done.

use std::collections::BTreeSet;

/// The offsets of one partition of one topic.
#[derive(Debug)]
pub struct Offsets {
    /// The records that are read and not done.
    open: BTreeSet<i64>,
    /// The offset behind the last record that was read.
    next: i64,
    /// The first and last offsets of groups that the position passes as a whole or not at all.
    groups: Vec<(i64, i64)>,
}

impl Offsets {
    /// Creates a tracker for a partition that is read from `next` on.
    pub fn starting_at(next: i64) -> Self {
        Self { open: BTreeSet::new(), next, groups: vec![] }
    }

    /// Registers a record that was read. Returns false for a record that was read before: the caller ignores it.
    pub fn register(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset + 1;
        self.open.insert(offset)
    }

    /// Marks a record as done.
    pub fn complete(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    /// Groups records that are not done: none of them may be read again without those before it. They are events of
    /// an order that were published to the retry topic again. Without the group, a crash would leave the later ones
    /// where they were, with nothing before them.
    pub fn group(&mut self, offsets: impl IntoIterator<Item = i64> + Clone) {
        let position = self.position();
        self.groups.retain(|(_, last)| *last >= position);
        let ends = offsets.clone().into_iter().min().zip(offsets.into_iter().max());
        self.groups.extend(ends.filter(|(first, last)| first < last));
    }

    /// Returns the offset to commit: every record before it is done, and no group spans it.
    pub fn position(&self) -> i64 {
        let mut position = self.open.first().copied().unwrap_or(self.next);
        while let Some((first, _)) =
            self.groups.iter().find(|(first, last)| *first < position && position <= *last)
        {
            position = *first;
        }
        position
    }

    /// Returns the offset behind the last record that was read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Returns the number of records that are read and not done.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn the_position_waits_for_the_oldest_record() {
        let mut offsets = Offsets::starting_at(10);
        assert_eq!(offsets.position(), 10);
        for offset in [10, 11, 14] {
            assert!(offsets.register(offset));
        }
        assert!(!offsets.register(11), "read twice");
        offsets.complete(11);
        assert_eq!((offsets.position(), offsets.open()), (10, 2));
        offsets.complete(10);
        assert_eq!(offsets.position(), 14);
        offsets.complete(14);
        assert_eq!((offsets.position(), offsets.next()), (15, 15));
    }

    #[test]
    fn the_position_passes_a_group_as_a_whole() {
        let mut offsets = Offsets::starting_at(0);
        for offset in 0..6 {
            offsets.register(offset);
        }
        offsets.group([1, 4]);
        for offset in [0, 1, 4, 5] {
            offsets.complete(offset);
        }
        assert_eq!(offsets.position(), 1, "4 would be read again, so 1 must be read again, too");
        offsets.complete(2);
        assert_eq!(offsets.position(), 1);
        offsets.complete(3);
        assert_eq!(offsets.position(), 6);
    }
}
