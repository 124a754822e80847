//! The hash table of large sets and hashes: extendible hashing over segments of one-line buckets,
//! with the entries' bytes packed side by side.
//!
//! ```text
//!  hash:  | directory bits (depth) | 32 bits -> home bucket |  ...  | 8-bit tag |
//!
//!  directory[prefix] -> segment { buckets: [Bucket; 1..=128], arena: up to 64 KiB of entries }
//!
//!  Bucket = 64 bytes:  | 20 tags | overflow | 3 to spare | 20 offsets into the arena, u16 |
//! ```
//!
//! The design is that of the engine's main table, where its reasons are given: an entry lives in
//! its home bucket or a following one of the segment, each bucket passed counts it, a segment grows
//! in steps and then splits in two, and buckets are ordered by hash, so that a scan position stays
//! true under any change of shape. What differs is that entries are not allocations: a slot is two
//! bytes of offset, and a 16-byte member costs about 23 bytes in all. A segment also splits when
//! its arena is full. An insert moves at most one segment (2,240 entries), unless hashes are alike.
//!
//! Members come with the hash that their keyspace uses for everything. A table multiplies it by a
//! number of its own (`spread`), so that members which come in the order of another table's buckets
//! do not all fall into one bucket after the other here.
//!
//! Find, insert, remove: O(1), expected. All of it is safe code.

use base::hash::{Seed, hash_key};
use base::memory::size_class;
use base::time::UnixMillis;

use crate::collection::Member;
use crate::shared::Shared;
use arena::{Change, Parts};
use segment::{NEVER, SLOTS, Segment, Spot};

pub use entry::{Entry, INLINE_MAX};
pub use visit::{Iter, Keys, Resume};

/// Allowed bucket counts of a segment, in growing order. Beyond the last it splits.
/// Few, as each step moves all slots.
const SIZES: [u16; 9] = [1, 2, 4, 8, 16, 32, 64, 96, 128];
/// Entries for which a segment is made beforehand; the larger ones of many have some more.
const SEGMENT_ENTRIES: usize = 1_500;
/// Bits of the directory: bounds its memory. 2^26 segments hold 10^11 entries.
const DEPTH_MAX: u8 = 26;
/// Two buddies are merged when their entries fit in this many buckets at 70 % ...
const MERGED_BUCKETS: u16 = 64;
/// ... and their bytes in half an arena.
const MERGED_BYTES: usize = 32 << 10;
/// Filler that is never worth an arena's packing.
const DEAD_TOLERATED: usize = 256;
/// Bits of a scan position; small enough for clients that parse cursors as doubles.
pub const POSITION_BITS: u32 = 48;
const POSITION_SHIFT: u32 = 64 - POSITION_BITS;

/// Entries that a segment of `buckets` may hold before it grows: 7/8 of its slots.
const fn entries_max(buckets: u16) -> u32 {
    buckets as u32 * SLOTS as u32 * 7 / 8
}

/// Fewer entries than this, and the segment shrinks: 3/10 of its slots.
const fn entries_min(buckets: u16) -> u32 {
    buckets as u32 * SLOTS as u32 * 3 / 10
}

/// The smallest size that `entries` fill to at most 70 %, so that it neither grows nor shrinks
/// soon; the largest if there is none.
fn roomy_size(entries: u32) -> u16 {
    let roomy = |size: &&u16| entries * 10 <= u32::from(**size) * SLOTS as u32 * 7;
    *SIZES.iter().find(roomy).unwrap_or(&SIZES[SIZES.len() - 1])
}

/// Where an entry is; valid until the table is changed.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    segment: u32,
    offset: u16,
    spot: Spot,
}

impl Place {
    /// Equal for equal places; places in this order are near each other in memory.
    pub fn order(&self) -> (u32, u16) {
        (self.segment, self.offset)
    }
}

/// The table. Keys are unique; the caller sees to it (`find` before `insert`).
#[derive(Clone, Debug)]
pub struct Table {
    directory: Vec<u32>,
    segments: Vec<Shared<Segment>>,
    free_segments: Vec<u32>,
    /// Number of segments as deep as the directory, which halves when there are none.
    deepest: u32,
    depth: u8,
    len: usize,
    volatile: usize,
    /// No entry is due before this moment.
    soonest: UnixMillis,
    /// What hashes are multiplied by; odd.
    spread: u64,
    seed: Seed,
}

impl Table {
    /// An empty table; nothing is allocated before the first insert. `seed` is what the hashes of
    /// members are made with.
    pub fn new(seed: Seed) -> Table {
        Table {
            directory: Vec::new(),
            segments: Vec::new(),
            free_segments: Vec::new(),
            deepest: 0,
            depth: 0,
            len: 0,
            volatile: 0,
            soonest: NEVER,
            spread: 1,
            seed,
        }
    }

    /// An empty table with the segments and buckets that so many entries will need.
    pub fn with_room(seed: Seed, entries: usize) -> Table {
        let mut depth = 0;
        while entries >> depth > SEGMENT_ENTRIES && depth < DEPTH_MAX {
            depth += 1;
        }
        let mut table = Table::new(seed);
        table.begin(depth, roomy_size((entries >> depth) as u32));
        table
    }

    /// Makes the first segments, all of one depth.
    fn begin(&mut self, depth: u8, buckets: u16) {
        self.depth = depth;
        self.deepest = 1 << depth;
        self.directory = (0..self.deepest).collect();
        let new = |_| Shared::new(Segment::new(buckets, depth));
        let segments = (0..self.deepest).map(new);
        self.segments = segments.collect();
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len() - self.free_segments.len()
    }

    /// Number of entries that the buckets have room for.
    pub fn slots(&self) -> usize {
        let buckets = self.segments.iter().map(|it| usize::from(it.size()));
        buckets.sum::<usize>() * SLOTS
    }

    /// Number of entries with a deadline.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// No entry's deadline is earlier; there may be none that early.
    pub fn soonest(&self) -> UnixMillis {
        self.soonest
    }

    /// The seed it was made with.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Bytes on the heap, as size classes.
    pub fn allocated(&self) -> usize {
        let segments = self.segments.iter();
        let segments = segments.map(|segment| Shared::<Segment>::allocated() + segment.allocated());
        segments.sum::<usize>()
            + size_class(self.directory.capacity() * size_of::<u32>())
            + size_class(self.segments.capacity() * size_of::<Shared<Segment>>())
            + size_class(self.free_segments.capacity() * size_of::<u32>())
    }

    /// Number of allocations, roughly.
    pub fn free_effort(&self) -> usize {
        let pieces = self
            .segments
            .iter()
            .map(|segment| 2 + segment.arena.pieces());
        2 + pieces.sum::<usize>()
    }

    /// What the table goes by instead of a member's hash.
    #[inline]
    fn spread(&self, hash: u64) -> u64 {
        hash.wrapping_mul(self.spread)
    }

    /// The spread hash of an entry of a segment. Does not read a key that is outside.
    fn spread_at(&self, segment: &Segment, offset: u16) -> u64 {
        let of = |key: &[u8]| hash_key(&self.seed, key);
        self.spread(segment.arena.hash(offset, of))
    }

    #[inline]
    fn directory_index(&self, spread: u64) -> usize {
        // Two shifts: at depth 0 one alone would be by 64.
        (spread >> 1 >> (63 - u32::from(self.depth))) as usize
    }

    /// The segment where a spread hash belongs, and the home bucket in it.
    #[inline]
    fn segment(&self, spread: u64) -> Option<(u32, &Segment, usize)> {
        let &index = self.directory.get(self.directory_index(spread))?;
        let segment = &self.segments[index as usize];
        let home = home_bucket(spread, segment.depth, segment.buckets.len());
        Some((index, segment, home))
    }

    /// Address of what a look-up of a member with this hash reads first (the table itself), second
    /// (the home bucket) and third (the entry that is likely the one), for prefetches. Reads only
    /// what lesser depths name.
    #[inline]
    pub fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
        if depth == 0 {
            return Some((&raw const *self).cast());
        }
        let spread = self.spread(hash);
        let (_, segment, home) = self.segment(spread)?;
        if depth == 1 {
            return Some((&raw const segment.buckets[home]).cast());
        }
        let offset = segment.likely(home, tag(spread)).filter(|_| depth == 2)?;
        Some(segment.arena.address(offset))
    }

    /// Where `member` is, if it is here.
    #[inline]
    pub fn find(&self, member: Member<'_>) -> Option<Place> {
        let spread = self.spread(member.hash);
        let (index, segment, home) = self.segment(spread)?;
        let (spot, offset) = segment.find(home, tag(spread), member.bytes)?;
        Some(Place {
            segment: index,
            offset,
            spot,
        })
    }

    /// Whether `member` is here.
    #[inline]
    pub fn contains(&self, member: Member<'_>) -> bool {
        self.find(member).is_some()
    }

    /// The entry at a place.
    #[inline]
    pub fn at(&self, place: Place) -> Entry<'_> {
        self.segments[place.segment as usize].arena.at(place.offset)
    }

    /// Adds a member that is not in the table.
    pub fn insert(
        &mut self,
        member: Member<'_>,
        value: Option<&[u8]>,
        deadline: Option<UnixMillis>,
    ) {
        debug_assert!(self.find(member).is_none());
        if self.len == 0 {
            // Any odd number would do; this one is no other table's, but by chance.
            self.spread = member.hash.rotate_left(32).wrapping_mul(SPREAD_MULTIPLIER) | 1;
            if self.segments.is_empty() {
                self.begin(0, SIZES[0]);
            }
        }
        let parts = Parts {
            key: member.bytes,
            hash: member.hash,
            value,
            deadline,
        };
        self.add(self.spread(member.hash), parts);
    }

    fn add(&mut self, spread: u64, parts: Parts<'_>) {
        self.len += 1;
        if let Some(deadline) = parts.deadline {
            self.volatile += 1;
            self.soonest = self.soonest.min(deadline);
        }
        loop {
            let index = self.directory[self.directory_index(spread)];
            let segment = &mut *self.segments[index as usize];
            let home = home_bucket(spread, segment.depth, segment.buckets.len());
            if segment.len >= entries_max(segment.size()) {
                self.grow(spread);
            } else if segment.push(home, tag(spread), parts) {
                return;
            } else {
                self.make_room(spread);
            }
        }
    }

    /// Takes the entry at a place out.
    pub fn remove(&mut self, place: Place) {
        let segment = &*self.segments[place.segment as usize];
        let timed = segment.arena.at(place.offset).deadline.is_some();
        self.len -= 1;
        self.volatile -= usize::from(timed);
        if self.len == 0 {
            *self = Table::new(self.seed);
            return;
        }
        let shrink = segment.len <= entries_min(segment.size());
        let spread = if shrink {
            self.spread_at(&self.segments[place.segment as usize], place.offset)
        } else {
            0
        };
        let segment = &mut *self.segments[place.segment as usize];
        segment.arena.kill(place.offset);
        segment.displace(place.spot, timed);
        if shrink {
            self.shrink(place.segment, spread);
        }
        self.pack_if_loose(place.segment);
    }

    /// Gives the entry at a place another value; its deadline stays. The place is void then.
    pub fn set_value(&mut self, place: Place, value: &[u8]) {
        self.change(place, Change::Value(value));
    }

    /// Gives the entry at a place a deadline, or none. The place is void then.
    pub fn set_deadline(&mut self, place: Place, deadline: Option<UnixMillis>) {
        self.change(place, Change::Deadline(deadline));
    }

    fn change(&mut self, place: Place, change: Change<'_>) {
        let segment = &mut *self.segments[place.segment as usize];
        let bucket = usize::from(place.spot.bucket);
        let was_timed = segment.arena.at(place.offset).deadline.is_some();
        if !segment.arena.change(place.offset, change) {
            let Some(offset) = segment.arena.rewrite(place.offset, change) else {
                let place = self.make_room_around(place);
                return self.change(place, change);
            };
            segment.buckets[bucket].slots[usize::from(place.spot.slot)] = offset;
        }
        if let Change::Deadline(deadline) = change {
            let is_timed = deadline.is_some();
            segment.volatile = segment.volatile + u32::from(is_timed) - u32::from(was_timed);
            self.volatile = self.volatile + usize::from(is_timed) - usize::from(was_timed);
            if let Some(deadline) = deadline {
                segment.expect(bucket, deadline);
                self.soonest = self.soonest.min(deadline);
            }
        }
        self.pack_if_loose(place.segment);
    }

    /// Makes room in the arena of an entry; returns where the entry is then.
    fn make_room_around(&mut self, place: Place) -> Place {
        let arena = &self.segments[place.segment as usize].arena;
        let key = arena.at(place.offset).key.to_vec();
        let hash = arena.hash(place.offset, |key| hash_key(&self.seed, key));
        self.make_room(self.spread(hash));
        // Invariant: entries only moved.
        self.find(Member { bytes: &key, hash })
            .expect("it is still here")
    }

    /// Packs a segment's arena anew if more than a quarter of it is filler.
    fn pack_if_loose(&mut self, index: u32) {
        let arena = &self.segments[index as usize].arena;
        if arena.dead() > DEAD_TOLERATED && arena.dead() * 3 > arena.live() {
            self.pack(index);
        }
    }
}

/// An odd constant without pattern (2^64 over the golden ratio).
const SPREAD_MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn tag(spread: u64) -> u8 {
    (spread as u8).max(1)
}

/// The bucket among `buckets` where a spread hash belongs. Only the bits of a scan position count,
/// so that all entries at one position have the same home.
#[inline]
fn home_bucket(spread: u64, depth: u8, buckets: usize) -> usize {
    let bits = (spread & !((1 << POSITION_SHIFT) - 1)) << depth >> 32;
    ((bits * buckets as u64) >> 32) as usize
}

mod arena;
mod entry;
mod growth;
mod segment;
#[cfg(test)]
mod tests;
mod visit;
