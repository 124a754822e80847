//! Going through a table: scan positions, random samples, expiry visits.
//!
//! A scan position is a prefix of the hash. Homes are ordered by hash and only by the bits of a
//! position, so "everything below has been visited" stays true however buckets change meanwhile.

use base::time::UnixMillis;

use super::{KeyHasher, NEVER, POSITION_BITS, POSITION_SHIFT, Segment, Table};
use crate::entry::Entry;

/// Empty buckets that `sample` puts up with.
const SAMPLE_TRIES: usize = 16;
/// An odd constant without pattern (2^64 over the golden ratio): turns a point into an unrelated
/// one.
const SAMPLE_MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Table {
    /// Visits the entries at and after `position` whose home is the bucket it falls into; returns
    /// the next position, `None` at the end. Positions are the top [`POSITION_BITS`] bits of a hash
    /// (stripe bits included). A scan visits every position once, so an entry that stays is visited
    /// exactly once, whatever becomes of the buckets in between.
    pub fn scan(
        &self,
        position: u64,
        hasher: &impl KeyHasher,
        mut visit: impl FnMut(&Entry),
    ) -> Option<u64> {
        let hash = position << POSITION_SHIFT;
        let &index = self.directory.get(self.directory_index(hash))?;
        let segment = &self.segments[index as usize];
        let home = self.home(segment, hash);
        // The next call will want them, and so will this one if entries overflowed.
        segment.prefetch_entries((home + 1) % segment.buckets.len());
        let mut at = home;
        for _ in 0..segment.buckets.len() {
            for entry in segment.buckets[at].slots.iter().flatten() {
                let hash = self.spread.of(hasher.hash(entry.key()));
                if hash >> POSITION_SHIFT >= position && self.home(segment, hash) == home {
                    visit(entry);
                }
            }
            if segment.buckets[at].overflow() == 0 {
                break;
            }
            at = (at + 1) % segment.buckets.len();
        }
        self.position_after(segment, hash, home)
    }

    /// The first position whose home is beyond `home`.
    fn position_after(&self, segment: &Segment, hash: u64, home: usize) -> Option<u64> {
        let used_bits = u32::from(self.skip_bits + segment.depth);
        let first = |bits: u32| u128::from(hash.checked_shr(64 - bits).unwrap_or(0));
        // Of the 32 bits that choose a bucket, the least that choose the next one.
        let in_segment =
            u128::from(((home as u64 + 1) << 32).div_ceil(segment.buckets.len() as u64));
        let next = (first(used_bits) << 32) + in_segment;
        // Those bits and the position's may differ in number either way.
        let next = match (used_bits + 32).checked_sub(POSITION_BITS) {
            Some(finer) => next.div_ceil(1 << finer),
            None => next << (POSITION_BITS - used_bits - 32),
        };
        let skip_bits = u32::from(self.skip_bits);
        let end = (first(skip_bits) + 1) << (POSITION_BITS - skip_bits);
        (next < end).then_some(next as u64)
    }

    /// Visits all entries of the segment that `position` falls into, also those before it; returns
    /// the position after the segment, `None` at the end. What becomes of segments between two
    /// calls makes entries be visited twice at most, never not at all.
    pub fn visit_segment(&self, position: u64, mut visit: impl FnMut(&Entry)) -> Option<u64> {
        let hash = position << POSITION_SHIFT;
        let &index = self.directory.get(self.directory_index(hash))?;
        let segment = &self.segments[index as usize];
        for at in 0..segment.buckets.len() {
            if at + 1 < segment.buckets.len() {
                segment.prefetch_entries(at + 1);
            }
            let entries = segment.buckets[at].slots.iter().flatten();
            entries.for_each(&mut visit);
        }
        self.position_after(segment, hash, segment.buckets.len() - 1)
    }

    /// Visits all entries.
    pub fn visit_all(&self, mut visit: impl FnMut(&Entry)) {
        for segment in &self.segments {
            for bucket in &segment.buckets {
                bucket.slots.iter().flatten().for_each(&mut visit);
            }
        }
    }

    /// An entry near a random point: a random one of a random bucket that is not empty. Every entry
    /// can be returned; the odds are even up to the spread of bucket fill.
    pub fn sample(&self, random: u64) -> Option<&Entry> {
        let mut point = random;
        for _ in 0..SAMPLE_TRIES {
            let &index = self.directory.get(self.directory_index(point))?;
            let segment = &self.segments[index as usize];
            let entry = segment.buckets[self.home(segment, point)].sample(point as u8);
            if entry.is_some() {
                return entry;
            }
            point = point.wrapping_mul(SAMPLE_MULTIPLIER).rotate_left(32);
        }
        // A table with next to nothing in it: the first entry of the first segment that has one.
        let buckets = self.segments.iter().flat_map(|segment| &segment.buckets);
        buckets
            .filter_map(|bucket| bucket.sample(point as u8))
            .next()
    }

    /// Number of segments, for stepping through them with `visit_expired`.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// If the segment is due, the keys in it which are due or have elements that are, handed to
    /// `found`, to be dealt with by the caller; sets the time of its next visit so that about 0.5 %
    /// of its volatile keys are overdue by then. Looks only into buckets that may hold such a key.
    /// Returns whether it was due.
    pub fn visit_expired(
        &mut self,
        segment: usize,
        now: UnixMillis,
        mut found: impl FnMut(&[u8]),
    ) -> bool {
        let Some(segment) = self.segments.get_mut(segment) else {
            return false;
        };
        if segment.visit_at > now {
            return false;
        }
        let due = |&at: &usize| segment.soonest[at] <= now;
        let due: Vec<usize> = (0..segment.soonest.len()).filter(due).collect();
        due.iter().for_each(|&at| segment.prefetch_entries(at));
        for at in due {
            let mut soonest = NEVER;
            for entry in segment.buckets[at].slots.iter().flatten() {
                match entry.due() {
                    Some(due) if due <= now => found(entry.key()),
                    Some(due) => soonest = soonest.min(due),
                    None => {}
                }
            }
            segment.soonest[at] = soonest;
        }
        let tolerated = segment.volatile as usize / 200;
        segment.visit_at = nth_smallest(&segment.soonest, tolerated);
        true
    }

    /// Earliest visit that any segment wants.
    pub fn next_visit(&self) -> UnixMillis {
        self.segments
            .iter()
            .map(|segment| segment.visit_at)
            .min()
            .unwrap_or(NEVER)
    }
}

/// The `nth` smallest of these (0 = the smallest), or of the eight smallest the last; the largest
/// if there are fewer; `NEVER` if there is none.
fn nth_smallest(moments: &[UnixMillis], nth: usize) -> UnixMillis {
    let mut smallest = [NEVER; 8];
    let last = nth.min(smallest.len() - 1);
    for &moment in moments {
        if moment < smallest[last] {
            let at = smallest.partition_point(|&other| other <= moment);
            smallest[at..=last].rotate_right(1);
            smallest[at] = moment;
        }
    }
    // Fewer moments than that: do not wait for ever with the ones there are.
    let present = smallest[..=last]
        .iter()
        .rev()
        .find(|&&moment| moment < NEVER);
    present.copied().unwrap_or(NEVER)
}
