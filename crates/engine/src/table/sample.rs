//! Sampling several entries at once, for eviction.
//!
//! Entries lie in hash order, so neighbours are as good a sample as entries from all over the
//! table, and cost fewer cache lines.

use super::{SLOTS, Segment, Table};
use crate::entry::Entry;

/// Which entries [`Table::sample_some`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// Any.
    All,
    /// Those with a deadline.
    Volatile,
}

impl Table {
    /// Hands up to `wanted` different entries to `visit`: those that follow a random slot. Under
    /// [`Sampled::Volatile`], segments without deadlines are passed over.
    pub fn sample_some(
        &self,
        sampled: Sampled,
        random: u64,
        wanted: usize,
        mut visit: impl FnMut(&Entry),
    ) {
        let mut left = wanted;
        let mut point = random;
        let mut passed = 0;
        while left > 0 && passed < self.directory.len() {
            let segment = &self.segments[self.directory[self.directory_index(point)] as usize];
            if sampled == Sampled::All || segment.volatile > 0 {
                let first = self.home(segment, point);
                let slot = (random & 0xffff) as usize % SLOTS;
                left = segment.sample(sampled, first, slot, left, &mut visit);
            }
            // The same point of the next segment; beyond the last comes the first.
            let width = 1_u128 << (64 - self.skip_bits - segment.depth);
            point = point.wrapping_add(width as u64);
            passed += 1 << (self.depth - segment.depth);
        }
    }
}

impl Segment {
    /// Hands up to `wanted` entries, from a slot of a bucket onwards and around, to `visit`;
    /// returns how many are still wanted.
    fn sample(
        &self,
        sampled: Sampled,
        first: usize,
        slot: usize,
        wanted: usize,
        visit: &mut impl FnMut(&Entry),
    ) -> usize {
        let count = self.buckets.len();
        let mut left = wanted;
        for step in 0..=count {
            let at = (first + step) % count;
            let slots = match step {
                0 => slot..SLOTS,
                _ if step == count => 0..slot,
                _ => 0..SLOTS,
            };
            self.prefetch_entries(at);
            for entry in self.buckets[at].slots[slots].iter().flatten() {
                if left == 0 {
                    return 0;
                }
                if sampled == Sampled::All || entry.deadline().is_some() {
                    visit(entry);
                    left -= 1;
                }
            }
        }
        left
    }
}
