//! What of a partition is done. Events are finished out of order; the position is the oldest that is not.

use std::collections::BTreeSet;

/// A partition of one topic.
#[derive(Debug)]
pub struct Offsets {
    /// Received and not done.
    open: BTreeSet<i64>,
    /// Behind the last that was taken.
    next: i64,
    /// First and last of records that are passed together, or not at all.
    groups: Vec<(i64, i64)>,
}

impl Offsets {
    /// Reading begins here.
    pub fn starting_at(next: i64) -> Self {
        Self { open: BTreeSet::new(), next, groups: vec![] }
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

    /// Records that are not done, and of which none may be read again without those before it: events of an
    /// order that were written anew. Else a crash would leave the later ones where they were, with nothing
    /// before them.
    pub fn together(&mut self, offsets: impl IntoIterator<Item = i64> + Clone) {
        let position = self.position();
        self.groups.retain(|(_, last)| *last >= position);
        let ends = offsets.clone().into_iter().min().zip(offsets.into_iter().max());
        self.groups.extend(ends.filter(|(first, last)| first < last));
    }

    /// Everything before is done, and nothing before belongs together with something behind.
    pub fn position(&self) -> i64 {
        let mut position = self.open.first().copied().unwrap_or(self.next);
        while let Some((first, _)) =
            self.groups.iter().find(|(first, last)| *first < position && position <= *last)
        {
            position = *first;
        }
        position
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
        let mut offsets = Offsets::starting_at(10);
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

    #[test]
    fn what_belongs_together_is_passed_together() {
        let mut offsets = Offsets::starting_at(0);
        for offset in 0..6 {
            offsets.take(offset);
        }
        offsets.together([1, 4]);
        for offset in [0, 1, 4, 5] {
            offsets.done(offset);
        }
        assert_eq!(offsets.position(), 1, "4 would be read again, so 1 must be, too");
        offsets.done(2);
        assert_eq!(offsets.position(), 1);
        offsets.done(3);
        assert_eq!(offsets.position(), 6);
    }
}
