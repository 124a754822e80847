//! One segment of a table: buckets of tags and offsets, and the arena they point into.

use base::time::UnixMillis;

use super::arena::{Arena, Parts};
use crate::shared::Weighed;

/// Entries of one bucket.
pub(super) const SLOTS: usize = 20;
/// Byte of `tags` that counts the entries which passed the bucket.
const OVERFLOW: usize = SLOTS;
/// A count that has reached this stays: the bucket is then always passed.
pub(super) const OVERFLOW_STICKY: u8 = u8::MAX;
/// No deadline is later.
pub(super) const NEVER: UnixMillis = UnixMillis(i64::MAX);

/// One cache line.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// One byte of the hash for each slot, never 0; 0 if it is free. Then the overflow count, and
    /// three bytes to spare.
    pub(super) tags: [u8; 24],
    /// Where the entries are in the arena.
    pub(super) slots: [u16; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket {
            tags: [0; 24],
            slots: [0; SLOTS],
        }
    }
}

impl Bucket {
    /// Slots whose tag may equal `tag`, one bit each, the lowest for certain: a borrow can mark a
    /// non-matching slot above a matching one. Without a branch, as which slot it will be is
    /// anybody's guess.
    #[inline]
    fn matches(&self, tag: u8) -> u32 {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        /// Moves the lowest bits of eight bytes side by side, into the highest byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let (words, _) = self.tags.as_chunks::<8>();
        let mut matches = 0;
        for (part, &word) in words.iter().enumerate() {
            let x = u64::from_le_bytes(word) ^ (ONES * u64::from(tag));
            let highs = x.wrapping_sub(ONES) & !x & HIGHS;
            let bits = (highs >> 7).wrapping_mul(GATHER) >> 56;
            matches |= (bits as u32) << (8 * part);
        }
        matches & ((1 << SLOTS) - 1)
    }

    /// The first slot whose tag may equal `tag` and for which `accept` holds.
    #[inline]
    fn find(&self, tag: u8, mut accept: impl FnMut(u16) -> bool) -> Option<usize> {
        let mut matches = self.matches(tag);
        while matches != 0 {
            let slot = matches.trailing_zeros() as usize;
            if accept(self.slots[slot]) {
                return Some(slot);
            }
            matches &= matches - 1;
        }
        None
    }

    #[inline]
    fn free_slot(&self) -> Option<usize> {
        let free = self.matches(0);
        (free != 0).then(|| free.trailing_zeros() as usize)
    }

    pub(super) fn overflow(&self) -> u8 {
        self.tags[OVERFLOW]
    }

    fn pass(&mut self) {
        self.tags[OVERFLOW] = self.tags[OVERFLOW].saturating_add(1);
    }

    fn unpass(&mut self) {
        if self.tags[OVERFLOW] != OVERFLOW_STICKY {
            self.tags[OVERFLOW] -= 1;
        }
    }

    /// Offsets of its entries.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u16> {
        let slots = self.tags[..SLOTS].iter().zip(&self.slots);
        slots
            .filter(|(tag, _)| **tag != 0)
            .map(|(_, &offset)| offset)
    }

    /// The offset in a slot, if there is an entry.
    pub(super) fn slot(&self, slot: usize) -> Option<u16> {
        (self.tags[slot] != 0).then_some(self.slots[slot])
    }
}

/// Where in a segment an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) home: u16,
    pub(super) bucket: u16,
    pub(super) slot: u8,
}

impl Weighed for Segment {
    fn heap_bytes(&self) -> usize {
        self.allocated()
    }
}

/// The unit of growth and of expiry visits.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) buckets: Box<[Bucket]>,
    pub(super) arena: Arena,
    pub(super) len: u32,
    /// Entries with a deadline.
    pub(super) volatile: u32,
    /// Directory bits that all entries of this segment share.
    pub(super) depth: u8,
    /// For each bucket, no entry in it is due before this moment. Empty until there is a deadline.
    pub(super) soonest: Box<[UnixMillis]>,
    /// No entry of the segment is due before this moment.
    pub(super) visit_at: UnixMillis,
}

impl Segment {
    pub(super) fn new(buckets: u16, depth: u8) -> Segment {
        Segment {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            arena: Arena::default(),
            len: 0,
            volatile: 0,
            depth,
            soonest: Box::default(),
            visit_at: NEVER,
        }
    }

    /// Number of buckets.
    pub(super) fn size(&self) -> u16 {
        self.buckets.len() as u16
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }

    /// Where `key` is.
    #[inline]
    pub(super) fn find(&self, home: usize, tag: u8, key: &[u8]) -> Option<(Spot, u16)> {
        let mut at = home;
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            if let Some(slot) = bucket.find(tag, |offset| self.arena.key_is(offset, key)) {
                let spot = Spot {
                    home: home as u16,
                    bucket: at as u16,
                    slot: slot as u8,
                };
                return Some((spot, bucket.slots[slot]));
            }
            if bucket.overflow() == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// The first entry of the home bucket whose tag fits, for a prefetch.
    #[inline]
    pub(super) fn likely(&self, home: usize, tag: u8) -> Option<u16> {
        let bucket = &self.buckets[home];
        bucket.find(tag, |_| true).map(|slot| bucket.slots[slot])
    }

    /// An entry in this bucket has this deadline: a visit must not come later.
    pub(super) fn expect(&mut self, bucket: usize, deadline: UnixMillis) {
        if self.soonest.is_empty() {
            self.soonest = vec![NEVER; self.buckets.len()].into();
        }
        self.soonest[bucket] = self.soonest[bucket].min(deadline);
        self.visit_at = self.visit_at.min(deadline);
    }

    /// Gives an entry of the arena a slot; it has none yet, and there is a free one.
    pub(super) fn place(
        &mut self,
        home: usize,
        tag: u8,
        offset: u16,
        deadline: Option<UnixMillis>,
    ) {
        self.len += 1;
        self.volatile += u32::from(deadline.is_some());
        let mut at = home;
        loop {
            if let Some(slot) = self.buckets[at].free_slot() {
                self.buckets[at].tags[slot] = tag;
                self.buckets[at].slots[slot] = offset;
                if let Some(deadline) = deadline {
                    self.expect(at, deadline);
                }
                return;
            }
            self.buckets[at].pass();
            at = self.after(at);
        }
    }

    /// Frees the slot of an entry that `timed` says has a deadline; the arena is left alone.
    pub(super) fn displace(&mut self, spot: Spot, timed: bool) {
        let at = usize::from(spot.bucket);
        self.buckets[at].tags[usize::from(spot.slot)] = 0;
        let mut passed = usize::from(spot.home);
        while passed != at {
            self.buckets[passed].unpass();
            passed = self.after(passed);
        }
        self.len -= 1;
        self.volatile -= u32::from(timed);
    }

    /// Adds an entry; returns whether the arena had room.
    pub(super) fn push(&mut self, home: usize, tag: u8, parts: Parts<'_>) -> bool {
        let Some(offset) = self.arena.push(parts) else {
            return false;
        };
        self.place(home, tag, offset, parts.deadline);
        true
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        base::memory::size_class(size_of_val(&*self.buckets))
            + base::memory::size_class(size_of_val(&*self.soonest))
            + self.arena.allocated()
    }
}
