//! The hash table of one database in one stripe: extendible hashing over segments of one-line
//! buckets.
//!
//! ```text
//!  hash (spread over this table, see `Spread`):
//!         | stripe bits | directory bits (depth) | 32 bits -> home bucket |  ...  | 8-bit tag |
//!
//!  directory[prefix] -> segment { buckets: [Bucket; 1..=128] }      Bucket = 64 bytes:
//!                                                                    7 tags | overflow | 7 entries
//! ```
//!
//! An entry lives in its home bucket or, when that is full, in a following one of the same segment;
//! each bucket passed on the way counts it in `overflow`, so a lookup stops at the first bucket
//! that nobody passed (the counting scheme of F14). A segment grows in steps that keep it between
//! about
//! 66 % and 88 % full, then splits in two; it shrinks and merges with its buddy the same way back.
//! So the longest single insert moves fewer than 800 entries, however large the table is.
//!
//! Buckets are ordered by hash (`home = bits * buckets >> 32`), and that order does not change when
//! a segment grows, splits, shrinks or merges. A scan position is therefore a hash: "everything
//! below has been visited" stays true under any change of shape, which is SCAN's guarantee.
//!
//! All of this is safe code; what is fast about it is that the caller can prefetch (`prefetch_*`).
//!
//! Sources: Fagin et al., Extendible Hashing (1979); Lu et al., Dash (VLDB 2020); Facebook's F14.

use base::time::UnixMillis;

use crate::entry::Entry;
use crate::prefetch::prefetch;

pub use sample::Sampled;

/// Entries of one bucket.
const SLOTS: usize = 7;
/// Allowed bucket counts of a segment, in growing order. Beyond the last it splits; if the hashes
/// in it are so alike that this would not help (which happens to no keyed hash), it doubles
/// instead.
const SIZES: [u16; 10] = [1, 2, 4, 8, 16, 32, 64, 80, 96, 128];
/// A split must give each half at least one in so many entries.
const SPLIT_SHARE_MIN: usize = 8;
/// Bits of the directory: bounds its memory. 2^26 segments hold forty thousand million entries.
const DEPTH_MAX: u8 = 26;
/// Bucket count at which a hash function has failed and nothing can be done.
const BUCKETS_MAX: u16 = 1 << 15;
/// The size class of each half after a split: the half of a full segment fills it to 70 %.
const SPLIT_BUCKETS: u16 = 80;
/// Two buddies are merged when their entries fit in this many buckets at about 60 %.
const MERGED_BUCKETS: u16 = 64;
/// A count that has reached this stays: the bucket is then always passed.
const OVERFLOW_STICKY: u8 = u8::MAX;
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
/// soon.
fn roomy_size(entries: u32) -> u16 {
    let mut size = SIZES[0];
    while entries * 10 > u32::from(size) * SLOTS as u32 * 7 {
        size = larger_size(size);
    }
    size
}

/// The size after `size`.
fn larger_size(size: u16) -> u16 {
    let larger = SIZES.iter().find(|&&larger| larger > size);
    let larger = larger.copied().unwrap_or(size * 2);
    assert!(
        larger <= BUCKETS_MAX,
        "hashes are not random: {size} buckets are full"
    );
    larger
}

/// One cache line. Byte 7 of `tags` counts the entries that passed this bucket.
#[repr(C, align(64))]
#[derive(Default)]
struct Bucket {
    tags: [u8; 8],
    slots: [Option<Entry>; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// What an entry's slot costs: its share of a bucket.
pub const SLOT_BYTES: usize = size_of::<Bucket>().div_ceil(SLOTS);

impl Bucket {
    /// Slots whose tag may equal `tag`, one bit each (bit 7 of their byte). A borrow can mark a
    /// non-matching slot above a matching one: callers compare keys anyway.
    #[inline]
    fn matches(&self, tag: u8) -> u64 {
        const ONES: u64 = 0x0001_0101_0101_0101;
        const HIGHS: u64 = 0x0080_8080_8080_8080;
        let x = u64::from_le_bytes(self.tags) ^ (ONES * u64::from(tag));
        x.wrapping_sub(ONES) & !x & HIGHS
    }

    fn free_slot(&self) -> Option<usize> {
        self.tags[..SLOTS].iter().position(|&tag| tag == 0)
    }

    /// One of its entries, chosen by `random`.
    fn sample(&self, random: u8) -> Option<&Entry> {
        let mut filled = self.slots.iter().flatten();
        let nth = usize::from(random).checked_rem(filled.clone().count())?;
        filled.nth(nth)
    }

    fn overflow(&self) -> u8 {
        self.tags[SLOTS]
    }

    fn pass(&mut self) {
        self.tags[SLOTS] = self.tags[SLOTS].saturating_add(1);
    }

    fn unpass(&mut self) {
        if self.tags[SLOTS] != OVERFLOW_STICKY {
            self.tags[SLOTS] -= 1;
        }
    }
}

/// The unit of growth, of expiry visits and (later) of snapshotting.
struct Segment {
    buckets: Box<[Bucket]>,
    len: u32,
    /// Entries with a deadline.
    volatile: u32,
    /// Directory bits that all entries of this segment share.
    depth: u8,
    /// No more than the tolerated few deadlines pass before this moment; see `visit_expired`.
    visit_at: UnixMillis,
    /// For each bucket, no entry in it is due before this moment. Empty until there is a deadline.
    soonest: Box<[UnixMillis]>,
}

const NEVER: UnixMillis = UnixMillis(i64::MAX);

impl Segment {
    fn new(buckets: u16, depth: u8) -> Segment {
        let buckets = (0..buckets).map(|_| Bucket::default()).collect();
        Segment {
            buckets,
            len: 0,
            volatile: 0,
            depth,
            visit_at: NEVER,
            soonest: Box::default(),
        }
    }

    fn size(&self) -> u16 {
        self.buckets.len() as u16
    }

    /// Asks for the first lines of a bucket's entries.
    fn prefetch_entries(&self, bucket: usize) {
        let entries = self.buckets[bucket].slots.iter().flatten();
        entries.for_each(|entry| prefetch(entry.address()));
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.buckets) + size_of_val(&*self.soonest)
    }

    /// An entry in this bucket is due then: expiry must not come later.
    fn expect(&mut self, bucket: usize, deadline: UnixMillis) {
        if self.soonest.is_empty() {
            self.soonest = vec![NEVER; self.buckets.len()].into();
        }
        self.soonest[bucket] = self.soonest[bucket].min(deadline);
        self.visit_at = self.visit_at.min(deadline);
    }

    /// Puts an entry whose key is not in the segment yet; there is room by `entries_max`.
    fn place(&mut self, home: usize, tag: u8, entry: Entry) -> (usize, usize) {
        self.len += 1;
        self.volatile += u32::from(entry.deadline().is_some());
        let due = entry.due();
        let mut at = home;
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.free_slot() {
                bucket.tags[slot] = tag;
                bucket.slots[slot] = Some(entry);
                if let Some(due) = due {
                    self.expect(at, due);
                }
                return (at, slot);
            }
            bucket.pass();
            at = if at + 1 == self.buckets.len() {
                0
            } else {
                at + 1
            };
        }
    }

    fn take(&mut self, home: usize, at: usize, slot: usize) -> Option<Entry> {
        let entry = self.buckets[at].slots[slot].take()?;
        self.buckets[at].tags[slot] = 0;
        let mut passed = home;
        while passed != at {
            self.buckets[passed].unpass();
            passed = if passed + 1 == self.buckets.len() {
                0
            } else {
                passed + 1
            };
        }
        self.len -= 1;
        self.volatile -= u32::from(entry.deadline().is_some());
        Some(entry)
    }

    /// All entries, in bucket order, leaving the segment empty. Their memory is asked for ahead of
    /// use: rehashing reads every key.
    fn drain(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let buckets = std::mem::take(&mut self.buckets);
        (self.len, self.volatile, self.visit_at) = (0, 0, NEVER);
        self.soonest = Box::default();
        let mut entries = Vec::with_capacity(buckets.len() * SLOTS);
        for bucket in buckets {
            for entry in bucket.slots.into_iter().flatten() {
                prefetch(entry.address());
                entries.push(entry);
            }
        }
        entries.into_iter()
    }
}

/// Where an entry is; valid until the table is changed.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    segment: u32,
    home: u16,
    bucket: u16,
    slot: u8,
}

/// How the table gets from an entry back to its hash when it moves entries.
pub trait KeyHasher {
    /// The hash that was passed when the key was inserted.
    fn hash(&self, key: &[u8]) -> u64;
}

/// Where a table puts its hashes. Each table has an order of its own, so that keys which come in
/// the order of another one (SCAN here, COPY or MOVE there) do not fill one segment after the other
/// from its lower end: a multiplication by an odd number, which is different for each database, and
/// which leaves the stripe's bits alone.
#[derive(Clone, Copy)]
struct Spread {
    multiplier: u64,
    skip_bits: u8,
}

impl Spread {
    #[inline]
    fn of(self, hash: u64) -> u64 {
        let own = (hash << self.skip_bits).wrapping_mul(self.multiplier) >> self.skip_bits;
        // Both shifts are by less than 64: a stripe has at most 10 bits (the tests: 36).
        let stripe = hash & !(u64::MAX >> self.skip_bits);
        stripe | own
    }
}

/// The table. Hashes given to it must be uniform in all bits; the top `skip_bits` are the same for
/// all its keys (they chose the stripe) and are not used.
pub struct Table {
    directory: Vec<u32>,
    segments: Vec<Segment>,
    free_segments: Vec<u32>,
    /// Number of segments at each depth, to know when the directory may halve.
    at_depth: [u32; 33],
    depth: u8,
    skip_bits: u8,
    spread: Spread,
    len: usize,
    volatile: usize,
    timed: usize,
    /// Entries that were announced to the empty table.
    expected: usize,
}

impl Table {
    /// An empty table; nothing is allocated before the first insert. `multiplier` is odd, and its
    /// own for each table of a stripe: see [`Spread`].
    pub fn new(skip_bits: u8, multiplier: u64) -> Table {
        Table {
            directory: Vec::new(),
            segments: Vec::new(),
            free_segments: Vec::new(),
            at_depth: [0; 33],
            depth: 0,
            skip_bits,
            spread: Spread {
                multiplier: multiplier | 1,
                skip_bits,
            },
            len: 0,
            volatile: 0,
            timed: 0,
            expected: 0,
        }
    }

    /// An empty table in this one's place.
    pub fn emptied(&self) -> Table {
        Table::new(self.skip_bits, self.spread.multiplier)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of entries with a deadline.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// Number of entries in which elements have deadlines of their own.
    pub fn timed(&self) -> usize {
        self.timed
    }

    /// Whether nothing here will ever be due.
    #[inline]
    pub fn is_timeless(&self) -> bool {
        self.volatile == 0 && self.timed == 0
    }

    /// Bytes of buckets and directory.
    pub fn overhead_bytes(&self) -> usize {
        let buckets: usize = self.segments.iter().map(Segment::bytes).sum();
        buckets + self.directory.capacity() * 4 + self.segments.capacity() * size_of::<Segment>()
    }

    /// Number of bucket slots, used or not.
    pub fn slots(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.buckets.len() * SLOTS)
            .sum()
    }

    #[inline]
    fn directory_index(&self, hash: u64) -> usize {
        let bits = hash << self.skip_bits;
        if self.depth == 0 {
            0
        } else {
            (bits >> (64 - u32::from(self.depth))) as usize
        }
    }

    #[inline]
    fn home(&self, segment: &Segment, hash: u64) -> usize {
        home_bucket(hash, self.skip_bits + segment.depth, segment.buckets.len())
    }

    /// Asks for the home bucket's cache line.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        let hash = self.spread.of(hash);
        if let Some(&index) = self.directory.get(self.directory_index(hash)) {
            let segment = &self.segments[index as usize];
            prefetch(&raw const segment.buckets[self.home(segment, hash)]);
        }
    }

    /// Asks for the first lines of the entries that may be the key's.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        let hash = self.spread.of(hash);
        if let Some(&index) = self.directory.get(self.directory_index(hash)) {
            let segment = &self.segments[index as usize];
            let bucket = &segment.buckets[self.home(segment, hash)];
            let mut matches = bucket.matches(tag(hash));
            while matches != 0 {
                if let Some(entry) = &bucket.slots[matches.trailing_zeros() as usize / 8] {
                    prefetch(entry.address());
                    prefetch(entry.address().wrapping_add(64));
                }
                matches &= matches - 1;
            }
        }
    }

    /// The first entry that may be the key's by its tag, for prefetching what is behind it.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<&Entry> {
        let hash = self.spread.of(hash);
        let &index = self.directory.get(self.directory_index(hash))?;
        let segment = &self.segments[index as usize];
        let bucket = &segment.buckets[self.home(segment, hash)];
        let matches = bucket.matches(tag(hash));
        (matches != 0).then(|| bucket.slots[matches.trailing_zeros() as usize / 8].as_ref())?
    }

    /// Where `key` is, if it is here.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let hash = self.spread.of(hash);
        let &index = self.directory.get(self.directory_index(hash))?;
        let segment = &self.segments[index as usize];
        let home = self.home(segment, hash);
        let tag = tag(hash);
        let mut at = home;
        for _ in 0..segment.buckets.len() {
            let bucket = &segment.buckets[at];
            let mut matches = bucket.matches(tag);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize / 8;
                if bucket.slots[slot]
                    .as_ref()
                    .is_some_and(|entry| entry.key() == key)
                {
                    return Some(Place {
                        segment: index,
                        home: home as u16,
                        bucket: at as u16,
                        slot: slot as u8,
                    });
                }
                matches &= matches - 1;
            }
            if bucket.overflow() == 0 {
                return None;
            }
            at = if at + 1 == segment.buckets.len() {
                0
            } else {
                at + 1
            };
        }
        None
    }

    /// The entry at a place.
    #[inline]
    pub fn at(&self, place: Place) -> &Entry {
        let bucket = &self.segments[place.segment as usize].buckets[usize::from(place.bucket)];
        // Invariant: a Place is made by `find` and used before the next change.
        bucket.slots[usize::from(place.slot)]
            .as_ref()
            .expect("place is current")
    }

    /// Edits the entry at a place. Deadlines may change: the counts follow.
    #[inline]
    pub(crate) fn edit<R>(&mut self, place: Place, edit: impl FnOnce(&mut Entry) -> R) -> R {
        let segment = &mut self.segments[place.segment as usize];
        let bucket = &mut segment.buckets[usize::from(place.bucket)];
        // Invariant: as in `at`.
        let entry = bucket.slots[usize::from(place.slot)]
            .as_mut()
            .expect("place is current");
        let before = (entry.deadline().is_some(), entry.is_timed());
        let result = edit(entry);
        let after = (entry.deadline().is_some(), entry.is_timed());
        if let Some(due) = entry.due() {
            segment.expect(usize::from(place.bucket), due);
        }
        if before != after {
            segment.volatile = segment.volatile + u32::from(after.0) - u32::from(before.0);
            self.volatile = self.volatile + usize::from(after.0) - usize::from(before.0);
            self.timed = self.timed + usize::from(after.1) - usize::from(before.1);
        }
        result
    }

    /// Adds an entry whose key is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, entry: Entry, hasher: &impl KeyHasher) {
        debug_assert!(self.find(hash, entry.key()).is_none());
        let hash = self.spread.of(hash);
        if self.directory.is_empty() {
            self.lay_out();
        }
        let mut index = self.directory[self.directory_index(hash)];
        while self.segments[index as usize].len >= entries_max(self.segments[index as usize].size())
        {
            self.grow(hash, hasher);
            index = self.directory[self.directory_index(hash)];
        }
        self.len += 1;
        self.volatile += usize::from(entry.deadline().is_some());
        self.timed += usize::from(entry.is_timed());
        let home = self.home(&self.segments[index as usize], hash);
        self.segments[index as usize].place(home, tag(hash), entry);
    }

    /// Takes the entry at a place out.
    pub(crate) fn remove(&mut self, place: Place, hasher: &impl KeyHasher) -> Entry {
        let (home, bucket) = (usize::from(place.home), usize::from(place.bucket));
        let segment = &mut self.segments[place.segment as usize];
        // Invariant: as in `at`.
        let entry = segment
            .take(home, bucket, usize::from(place.slot))
            .expect("place is current");
        let shrink = segment.len < entries_min(segment.size());
        self.len -= 1;
        self.volatile -= usize::from(entry.deadline().is_some());
        self.timed -= usize::from(entry.is_timed());
        if self.len == 0 {
            *self = self.emptied();
        } else if shrink {
            let hash = self.spread.of(hasher.hash(entry.key()));
            self.shrink(place.segment, hash, hasher);
        }
        entry
    }

    fn add_segment(&mut self, segment: Segment) -> u32 {
        self.at_depth[usize::from(segment.depth)] += 1;
        if let Some(index) = self.free_segments.pop() {
            self.segments[index as usize] = segment;
            return index;
        }
        self.segments.push(segment);
        self.segments.len() as u32 - 1
    }

    /// Makes room in the segment of `hash`: a larger one, or two.
    fn grow(&mut self, hash: u64, hasher: &impl KeyHasher) {
        let index = self.directory[self.directory_index(hash)];
        let segment = &self.segments[index as usize];
        let size = segment.size();
        if size < SIZES[SIZES.len() - 1] || segment.depth == DEPTH_MAX {
            self.resize(index, larger_size(size), hasher);
        } else {
            self.split(hash, hasher);
        }
    }

    fn resize(&mut self, index: u32, buckets: u16, hasher: &impl KeyHasher) {
        let entries = self.segments[index as usize].drain();
        self.refill(index, buckets, entries, hasher);
    }

    /// Puts `entries`, which are all that the segment had, into as many buckets.
    fn refill(
        &mut self,
        index: u32,
        buckets: u16,
        entries: impl Iterator<Item = Entry>,
        hasher: &impl KeyHasher,
    ) {
        let depth = self.segments[index as usize].depth;
        let mut resized = Segment::new(buckets, depth);
        for entry in entries {
            let hash = self.spread.of(hasher.hash(entry.key()));
            let home = home_bucket(hash, self.skip_bits + depth, usize::from(buckets));
            resized.place(home, tag(hash), entry);
        }
        self.segments[index as usize] = resized;
    }

    /// Two segments instead of the one of `hash`; a larger one if its hashes are too alike.
    fn split(&mut self, hash: u64, hasher: &impl KeyHasher) {
        let index = self.directory[self.directory_index(hash)];
        let depth = self.segments[index as usize].depth;
        let entries: Vec<Entry> = self.segments[index as usize].drain().collect();
        let used_bits = u32::from(self.skip_bits + depth);
        let spread = self.spread;
        let is_upper = |hash: u64| hash << used_bits >> 63 != 0;
        let uppers = entries
            .iter()
            .filter(|entry| is_upper(spread.of(hasher.hash(entry.key()))))
            .count();
        let lowers = entries.len() - uppers;
        if uppers.min(lowers) * SPLIT_SHARE_MIN < entries.len() {
            let larger = larger_size(roomy_size(entries.len() as u32));
            return self.refill(index, larger, entries.into_iter(), hasher);
        }
        if depth == self.depth {
            self.directory = self
                .directory
                .iter()
                .flat_map(|&index| [index, index])
                .collect();
            self.depth += 1;
        }
        let size = |entries: usize| SPLIT_BUCKETS.max(roomy_size(entries as u32));
        let mut halves = [
            Segment::new(size(lowers), depth + 1),
            Segment::new(size(uppers), depth + 1),
        ];
        for entry in entries {
            let hash = spread.of(hasher.hash(entry.key()));
            let half = &mut halves[usize::from(is_upper(hash))];
            let home = home_bucket(hash, self.skip_bits + depth + 1, half.buckets.len());
            half.place(home, tag(hash), entry);
        }
        self.at_depth[usize::from(depth)] -= 1;
        let [lower, upper] = halves;
        self.at_depth[usize::from(depth) + 1] += 1;
        self.segments[index as usize] = lower;
        let upper = self.add_segment(upper);
        let (first, width) = self.directory_range(hash, depth);
        self.directory[first + width / 2..first + width].fill(upper);
    }

    /// Directory entries that share the first `depth` bits of `hash`: first index and count.
    fn directory_range(&self, hash: u64, depth: u8) -> (usize, usize) {
        let width = 1usize << (self.depth - depth);
        (self.directory_index(hash) & !(width - 1), width)
    }

    /// Gives memory back: merge with the buddy if both are small, else a smaller segment.
    fn shrink(&mut self, index: u32, hash: u64, hasher: &impl KeyHasher) {
        let Segment { depth, len, .. } = self.segments[index as usize];
        if depth > 0 && self.segments[index as usize].size() <= SPLIT_BUCKETS {
            let flipped = hash ^ (1 << 63 >> (self.skip_bits + depth - 1));
            let buddy = self.directory[self.directory_index(flipped)];
            let other = &self.segments[buddy as usize];
            if other.depth == depth && roomy_size(len + other.len) <= MERGED_BUCKETS {
                return self.merge(index, buddy, hash, hasher);
            }
        }
        let smaller = roomy_size(len);
        if smaller < self.segments[index as usize].size() {
            self.resize(index, smaller, hasher);
        }
    }

    fn merge(&mut self, index: u32, buddy: u32, hash: u64, hasher: &impl KeyHasher) {
        let depth = self.segments[index as usize].depth - 1;
        let spread = self.spread;
        let mut merged = Segment::new(MERGED_BUCKETS, depth);
        for from in [index, buddy] {
            for entry in self.segments[from as usize].drain() {
                let hash = spread.of(hasher.hash(entry.key()));
                let home = home_bucket(hash, self.skip_bits + depth, usize::from(MERGED_BUCKETS));
                merged.place(home, tag(hash), entry);
            }
        }
        self.at_depth[usize::from(depth) + 1] -= 2;
        self.at_depth[usize::from(depth)] += 1;
        self.segments[index as usize] = merged;
        self.segments[buddy as usize] = Segment::new(0, 0);
        self.free_segments.push(buddy);
        let (first, width) = self.directory_range(hash, depth);
        self.directory[first..first + width].fill(index);
        while self.depth > 0 && self.at_depth[usize::from(self.depth)] == 0 {
            self.directory = self.directory.iter().step_by(2).copied().collect();
            self.depth -= 1;
        }
    }
}

#[inline]
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

/// The bucket among `buckets` where a hash belongs. Only the bits of a scan position count, so that
/// all entries at one position have the same home.
#[inline]
fn home_bucket(hash: u64, used_bits: u8, buckets: usize) -> usize {
    let bits = (hash & !((1 << POSITION_SHIFT) - 1)) << used_bits >> 32;
    ((bits * buckets as u64) >> 32) as usize
}

mod room;
mod sample;
#[cfg(test)]
mod tests;
mod visit;
