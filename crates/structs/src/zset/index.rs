//! Which leaf a member is in: from 32 bits of its hash to the number of its leaf.
//!
//! A directory (extendible hashing: Fagin, Nievergelt, Pippenger, Strong, 1979) leads from the
//! hash's first bits to a segment of up to 1024 slots. A segment is a sorted array with gaps: each
//! slot is `hash << 32 | leaf`, free ones are `u64::MAX`, and no slot lies before its *home*, the
//! place that its hash has in a segment of this size if hashes are spread evenly. So a look-up
//! starts at the home and ends at the first slot that is not smaller; order, growth steps of about
//! a sixth and the spread keep segments between 65 and 85 percent full. What would push a slot past
//! the last home goes into a short tail; a segment whose tail is full grows, or splits when it is
//! of full size, so that no insertion moves more than one segment.
//!
//! Because slots are in the order of hashes, a hash prefix is a position for ZSCAN that no growth,
//! split or removal invalidates.
//!
//! Invariants between calls: slots in use are in ascending order; none lies before its home, and
//! between a slot and its home no slot is free; the last slot is free.

use base::memory::size_class;

use crate::shared::{Shared, Weighed};

const FREE: u64 = u64::MAX;
/// Slots of the smallest segment.
const SLOTS_MIN: usize = 32;
/// Slots of the largest segment, unless hashes collide: then one may be larger.
const SLOTS_MAX: usize = if cfg!(test) { 128 } else { 1024 };
/// Bits of the hash that slots keep: no directory is deeper.
const DEPTH_MAX: u32 = 32;

/// See the module's head.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Segment of each hash prefix of `depth` bits.
    directory: Vec<u32>,
    segments: Vec<Shared<Segment>>,
    depth: u32,
}

#[derive(Debug, Clone)]
struct Segment {
    slots: Box<[u64]>,
    used: u32,
    /// Bits that all its hashes have in common.
    depth: u32,
}

impl Weighed for Segment {
    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

/// The bits of a member's hash that the index keeps.
#[inline]
pub(super) fn index_bits(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline]
fn slot(hash: u32, leaf: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(leaf)
}

#[inline]
fn hash_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// Slots after the last home, for what is pushed past it.
fn tail(slots: usize) -> usize {
    8 + slots / 32
}

impl Segment {
    fn with_slots(slots: usize, depth: u32) -> Segment {
        Segment {
            slots: vec![FREE; slots].into(),
            used: 0,
            depth,
        }
    }

    /// The first place where a slot of this hash may be.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        let homes = self.slots.len() - tail(self.slots.len());
        let rest = (u64::from(hash) << self.depth) as u32;
        ((u64::from(rest) * homes as u64) >> 32) as usize
    }

    /// The first place at or after the home whose slot is not before `wanted`.
    #[inline]
    fn seek(&self, wanted: u64) -> usize {
        let home = self.home(hash_of(wanted));
        let ahead = self.slots[home..].iter().position(|&slot| slot >= wanted);
        // The last slot is free, and so not before any.
        home + ahead.unwrap_or(0)
    }

    /// Whether one more would make it too full.
    fn is_full(&self) -> bool {
        let homes = self.slots.len() - tail(self.slots.len());
        self.used as usize * 8 >= homes * 7
    }

    /// Puts a slot in, unless that would push one out at the end.
    fn insert(&mut self, slot: u64) -> bool {
        let at = self.seek(slot);
        let run = self.slots[at..].iter().position(|&slot| slot == FREE);
        let end = at + run.unwrap_or(0);
        if end + 1 >= self.slots.len() {
            return false;
        }
        self.slots.copy_within(at..end, at + 1);
        self.slots[at] = slot;
        self.used += 1;
        true
    }

    /// Takes a slot out; whether it was there.
    fn remove(&mut self, slot: u64) -> bool {
        let at = self.seek(slot);
        if self.slots[at] != slot {
            return false;
        }
        let displaced = |&place: &usize| {
            let slot = self.slots[place];
            slot != FREE && self.home(hash_of(slot)) < place
        };
        let end = (at + 1..self.slots.len()).take_while(displaced).count() + at + 1;
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = FREE;
        self.used -= 1;
        true
    }

    /// The slots in use, in order.
    fn used(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().copied().filter(|&slot| slot != FREE)
    }

    /// Puts slots, given in order, into an empty segment; false if one did not find room.
    fn fill(&mut self, slots: impl Iterator<Item = u64>) -> bool {
        let mut next = 0;
        for slot in slots {
            let at = self.home(hash_of(slot)).max(next);
            if at + 1 >= self.slots.len() {
                return false;
            }
            self.slots[at] = slot;
            self.used += 1;
            next = at + 1;
        }
        true
    }

    /// A segment of these slots, given in order, with at least so many places.
    fn of(slots: &[u64], mut places: usize, depth: u32) -> Segment {
        loop {
            let mut segment = Segment::with_slots(places, depth);
            if segment.fill(slots.iter().copied()) && !segment.is_full() {
                return segment;
            }
            places = next_size(places);
        }
    }
}

/// The next larger size of a segment: the allocator's next class.
fn next_size(slots: usize) -> usize {
    size_class(slots * 8 + 1).max(SLOTS_MIN * 8) / 8
}

impl Index {
    /// Without members.
    pub(super) fn new() -> Index {
        Index {
            directory: vec![0],
            segments: vec![Shared::new(Segment::with_slots(SLOTS_MIN, 0))],
            depth: 0,
        }
    }

    /// For so many members: built with as many segments as they will need.
    pub(super) fn with_room(count: usize) -> Index {
        let mut index = Index::new();
        // A segment of full size splits into two that are two thirds full.
        while index.segments.len() * (SLOTS_MAX * 3 / 4) < count && index.depth < 20 {
            index.double();
            index.segments = (0..index.directory.len())
                .map(|_| Shared::new(Segment::with_slots(SLOTS_MIN, index.depth)))
                .collect();
            index.directory = (0..index.segments.len() as u32).collect();
        }
        let each = count / index.segments.len() * 5 / 4;
        let mut slots = SLOTS_MIN;
        while slots < each.min(SLOTS_MAX) {
            slots = next_size(slots);
        }
        for segment in &mut index.segments {
            *segment = Shared::new(Segment::with_slots(slots, segment.depth));
        }
        index
    }

    #[inline]
    fn directory_place(&self, hash: u32) -> usize {
        ((u64::from(hash) << self.depth) >> 32) as usize
    }

    #[inline]
    fn segment_id(&self, hash: u32) -> usize {
        self.directory[self.directory_place(hash)] as usize
    }

    #[inline]
    fn segment(&self, hash: u32) -> &Segment {
        &self.segments[self.segment_id(hash)]
    }

    /// The leaves that may hold a member of this hash: nearly always one or none.
    #[inline]
    pub(super) fn leaves(&self, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let segment = self.segment(hash);
        let start = segment.seek(slot(hash, 0));
        let slots = segment.slots[start..].iter();
        slots
            .take_while(move |&&slot| hash_of(slot) == hash && slot != FREE)
            .map(|&slot| slot as u32)
    }

    /// Where the slot of a member of this hash is or would be, for prefetching.
    #[inline]
    pub(super) fn address(&self, hash: u32) -> *const u8 {
        let segment = self.segment(hash);
        std::ptr::from_ref(&segment.slots[segment.home(hash)]).cast()
    }

    /// Takes note of a member.
    pub(super) fn insert(&mut self, hash: u32, leaf: u32) {
        loop {
            let id = self.segment_id(hash);
            let segment = &mut *self.segments[id];
            if !segment.is_full() && segment.insert(slot(hash, leaf)) {
                return;
            }
            self.make_room(id, hash);
        }
    }

    /// Forgets a member.
    pub(super) fn remove(&mut self, hash: u32, leaf: u32) {
        let id = self.segment_id(hash);
        let segment = &mut *self.segments[id];
        let found = segment.remove(slot(hash, leaf));
        debug_assert!(found, "every member has a slot");
        let slots = segment.slots.len();
        if slots > SLOTS_MIN && segment.used as usize * 4 < slots {
            let used: Vec<u64> = segment.used().collect();
            *segment = Segment::of(&used, (slots * 3 / 8).max(SLOTS_MIN), segment.depth);
        }
    }

    /// Takes note that a member went to another leaf.
    pub(super) fn move_to(&mut self, hash: u32, from: u32, to: u32) {
        let id = self.segment_id(hash);
        let segment = &mut *self.segments[id];
        let start = segment.seek(slot(hash, 0));
        let slots = &mut segment.slots[start..];
        let count = slots
            .iter()
            .take_while(|&&slot| hash_of(slot) == hash && slot != FREE)
            .count();
        let equal = &mut slots[..count];
        let moved = equal.iter_mut().find(|slot| **slot as u32 == from);
        debug_assert!(moved.is_some(), "every member has a slot");
        if let Some(moved) = moved {
            *moved = slot(hash, to);
            equal.sort_unstable();
        }
    }

    /// Makes the segment of this hash larger, or makes two of it.
    fn make_room(&mut self, id: usize, hash: u32) {
        let segment = &self.segments[id];
        let (slots, depth) = (segment.slots.len(), segment.depth);
        let used: Vec<u64> = segment.used().collect();
        if slots < SLOTS_MAX || depth == DEPTH_MAX {
            self.segments[id] = Shared::new(Segment::of(&used, next_size(slots), depth));
            return;
        }
        if depth == self.depth {
            self.double();
        }
        let bit = 1 << (31 - depth);
        let middle = used.partition_point(|&slot| hash_of(slot) & bit == 0);
        let halves = used.split_at(middle);
        let [lower, upper] = [halves.0, halves.1]
            .map(|slots| Shared::new(Segment::of(slots, SLOTS_MAX / 2, depth + 1)));
        self.segments[id] = lower;
        self.segments.push(upper);
        let upper = self.segments.len() as u32 - 1;
        // The directory's places of the upper half.
        let share = self.directory.len() >> depth;
        let start = self.directory_place(hash) / share * share;
        self.directory[start + share / 2..start + share].fill(upper);
    }

    /// Looks at one more bit.
    fn double(&mut self) {
        let places = self.directory.iter();
        self.directory = places.flat_map(|&id| [id, id]).collect();
        self.depth += 1;
    }

    /// Visits the slots of the members whose hashes lie between `position` and the position that it
    /// returns (`None`: the end), about `count` of them: hash and leaf.
    pub(super) fn scan(
        &self,
        position: u32,
        count: usize,
        mut visit: impl FnMut(u32, u32),
    ) -> Option<u32> {
        let (mut position, mut seen) = (position, 0);
        loop {
            let segment = self.segment(position);
            // Hashes of one segment are `span` numbers; so many of them have `count` slots.
            let span = 1_u64 << (DEPTH_MAX - segment.depth);
            let end = (u64::from(position) / span + 1) * span;
            let used = u64::from(segment.used.max(1));
            let wanted = ((count - seen) as u64).clamp(1, used);
            let step = span * wanted / used + 1;
            let stop = (u64::from(position) + step).min(end);
            let start = segment.seek(slot(position, 0));
            for &slot in &segment.slots[start..] {
                if slot == FREE {
                    continue;
                }
                if u64::from(hash_of(slot)) >= stop {
                    break;
                }
                visit(hash_of(slot), slot as u32);
                seen += 1;
            }
            position = u32::try_from(stop).ok()?;
            if seen >= count {
                return Some(position);
            }
        }
    }

    /// Number of allocations.
    pub(super) fn pieces(&self) -> usize {
        2 + 2 * self.segments.len()
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        let slots = self.segments.iter();
        slots
            .map(|segment| Shared::<Segment>::allocated() + size_class(segment.slots.len() * 8))
            .sum::<usize>()
            + size_class(self.segments.capacity() * size_of::<Shared<Segment>>())
            + size_class(self.directory.capacity() * 4)
    }

    /// All slots: hash and leaf.
    #[cfg(test)]
    pub(super) fn entries(&self) -> Vec<(u32, u32)> {
        let slots = self.segments.iter().flat_map(|segment| segment.used());
        slots.map(|slot| (hash_of(slot), slot as u32)).collect()
    }

    /// Panics unless the index is as the module's head says.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        assert_eq!(self.directory.len(), 1 << self.depth);
        for (place, &id) in self.directory.iter().enumerate() {
            let segment = &self.segments[id as usize];
            let common = (place as u64) << 32 >> self.depth;
            for slot in segment.used() {
                let differing = u64::from(hash_of(slot)) ^ common;
                assert_eq!(differing >> (32 - segment.depth), 0);
            }
        }
        for segment in &self.segments {
            let slots: Vec<u64> = segment.used().collect();
            assert!(slots.is_sorted(), "{slots:x?}");
            assert_eq!(slots.len(), segment.used as usize);
            assert_eq!(segment.slots.last(), Some(&FREE));
            for (place, &slot) in segment.slots.iter().enumerate() {
                let home = segment.home(hash_of(slot)).min(place);
                assert!(slot == FREE || !segment.slots[home..place].contains(&FREE));
                assert!(slot == FREE || segment.home(hash_of(slot)) <= place);
            }
        }
    }
}
