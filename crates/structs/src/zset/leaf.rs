//! A leaf of the tree: up to 64 members with their scores, in order, in one allocation.
//!
//! ```text
//! block   tags      offsets       scores       blob
//!         u8 each   u16 each      f64 each     texts, in no order, with holes
//!         <----------- room for `capacity` ---------->
//! text    length (0..=254)  bytes              or
//!         255  number (u32)                    of a longer text that is kept aside (`Longs`)
//! ```
//!
//! All numbers are little endian. A tag is eight bits of the member's hash: to find a member is to
//! compare eight tags at a time, then the few texts whose tags agree. The block's size is one of
//! the allocator's classes; it grows from class to class, and where it is divided is chosen anew
//! each time, from what the members so far need.
//!
//! Invariants between calls: entries are in ascending order of score, then of bytes; no two have
//! the same text; `holes` bytes of the blob are those of texts that are gone.
//!
//! What an operation costs is the cache lines that it waits for, so it does not wait for one after
//! the other: places in the order are counted (all scores that are smaller) rather than searched,
//! and a text that goes leaves a hole rather than moving those behind it.

use std::ops::Range;

use base::memory::size_class;

use super::slab::Slab;
use crate::shared::Weighed;

/// Most entries of a leaf between the tree's calls; one more while it is about to be split.
/// Few in tests, so that small trees are deep.
pub(super) const ENTRIES_MAX: usize = if cfg!(test) { 16 } else { 64 };
/// No leaf.
pub(super) const NIL: u32 = u32::MAX;

/// Longest text inside the block.
const INLINE_BYTES_MAX: usize = 254;
/// In place of a length: the text is kept aside.
const ASIDE: u8 = 255;
/// Bytes of an entry apart from its text: tag, offset, score.
const FIXED_BYTES: usize = 1 + 2 + 8;
/// Smallest block.
const BLOCK_BYTES_MIN: usize = 128;

/// Members too long for a block.
pub(super) type Longs = Slab<Box<[u8]>>;

/// See the module's head.
#[derive(Debug, Default, Clone)]
pub(super) struct Leaf {
    block: Box<[u8]>,
    /// The inner node above; `NIL` for a root.
    pub(super) parent: u32,
    /// The leaf before in order, or `NIL`.
    pub(super) previous: u32,
    /// The leaf after in order, or `NIL`.
    pub(super) next: u32,
    /// Bytes of the blob up to the end of its last text.
    blob_bytes: u16,
    /// How many of them belong to texts that are gone.
    holes: u16,
    count: u8,
    capacity: u8,
}

const _: () = assert!(size_of::<Leaf>() == 40, "several leaves lie side by side");

impl Weighed for Leaf {
    fn heap_bytes(&self) -> usize {
        self.block.len()
    }
}

/// A text as a leaf keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Inline(&'a [u8]),
    Aside(u32),
}

impl<'a> Text<'a> {
    /// `bytes` in the form in which a leaf keeps them; long ones go into `longs`.
    pub(super) fn keep(bytes: &'a [u8], longs: &mut Longs) -> Text<'a> {
        if bytes.len() <= INLINE_BYTES_MAX {
            Text::Inline(bytes)
        } else {
            Text::Aside(longs.insert(bytes.into()))
        }
    }

    fn bytes_in_blob(self) -> usize {
        match self {
            Text::Inline(bytes) => 1 + bytes.len(),
            Text::Aside(_) => 5,
        }
    }
}

/// Size and division of a block for so many entries whose texts take so many bytes.
fn shape(count: usize, blob_bytes: usize) -> (usize, usize) {
    let wanted = count * FIXED_BYTES + blob_bytes;
    let bytes = size_class(wanted.max(BLOCK_BYTES_MIN));
    let text = blob_bytes.div_ceil(count.max(1)).max(1);
    let capacity = (bytes / (FIXED_BYTES + text)).clamp(count, ENTRIES_MAX + 1);
    (bytes, capacity)
}

impl Leaf {
    /// An empty leaf, alone.
    pub(super) fn new() -> Leaf {
        Leaf::with_room(1, 16)
    }

    fn with_room(count: usize, blob_bytes: usize) -> Leaf {
        let (bytes, capacity) = shape(count, blob_bytes);
        Leaf {
            block: vec![0; bytes].into(),
            parent: NIL,
            previous: NIL,
            next: NIL,
            blob_bytes: 0,
            holes: 0,
            count: 0,
            capacity: capacity as u8,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    #[inline]
    fn capacity(&self) -> usize {
        usize::from(self.capacity)
    }

    /// What a look-up of an entry with this tag reads at its `depth`th step: the tags, the offset,
    /// the text, the score.
    #[inline]
    pub(super) fn address(&self, tag: u8, depth: u8) -> Option<*const u8> {
        if depth == 0 {
            return self.block.first().map(std::ptr::from_ref);
        }
        let at = self.tagged(tag).next()?;
        let byte = match depth {
            1 => self.capacity() + 2 * at,
            2 => FIXED_BYTES * self.capacity() + self.offset(at),
            3 => 3 * self.capacity() + 8 * at,
            _ => return None,
        };
        self.block.get(byte).map(std::ptr::from_ref)
    }

    /// Bytes of the block.
    pub(super) fn allocated(&self) -> usize {
        size_class(self.block.len())
    }

    #[inline]
    fn offset(&self, at: usize) -> usize {
        let place = self.capacity() + 2 * at;
        usize::from(u16::from_le_bytes([
            self.block[place],
            self.block[place + 1],
        ]))
    }

    fn set_offset(&mut self, at: usize, offset: usize) {
        let place = self.capacity() + 2 * at;
        self.block[place..place + 2].copy_from_slice(&(offset as u16).to_le_bytes());
    }

    #[inline]
    fn scores(&self) -> &[[u8; 8]] {
        let start = 3 * self.capacity();
        let bytes = &self.block[start..start + 8 * self.len()];
        bytes.as_chunks::<8>().0
    }

    #[inline]
    fn blob(&self) -> &[u8] {
        &self.block[FIXED_BYTES * self.capacity()..]
    }

    /// The score of the entry at `at`.
    #[inline]
    pub(super) fn score(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.scores()[at])
    }

    /// Changes a score whose entry stays where it is in the order.
    #[inline]
    pub(super) fn set_score(&mut self, at: usize, score: f64) {
        let place = 3 * self.capacity() + 8 * at;
        self.block[place..place + 8].copy_from_slice(&score.to_le_bytes());
    }

    #[inline]
    fn text(&self, at: usize) -> Text<'_> {
        let blob = self.blob();
        let offset = self.offset(at);
        match blob[offset] {
            ASIDE => {
                let number = &blob[offset + 1..offset + 5];
                Text::Aside(u32::from_le_bytes([
                    number[0], number[1], number[2], number[3],
                ]))
            }
            len => Text::Inline(&blob[offset + 1..offset + 1 + usize::from(len)]),
        }
    }

    /// The member at `at`.
    #[inline]
    pub(super) fn member<'a>(&'a self, at: usize, longs: &'a Longs) -> &'a [u8] {
        match self.text(at) {
            Text::Inline(bytes) => bytes,
            Text::Aside(number) => longs.get(number),
        }
    }

    /// The entry with this text and tag, if it is here.
    #[inline]
    pub(super) fn find(&self, tag: u8, bytes: &[u8], longs: &Longs) -> Option<usize> {
        self.tagged(tag).find(|&at| self.member(at, longs) == bytes)
    }

    /// The entries with this tag.
    #[inline]
    pub(super) fn tagged(&self, tag: u8) -> impl Iterator<Item = usize> + '_ {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let wanted = u64::from_le_bytes([tag; 8]);
        // The last word reaches into the offsets (a block is always long enough for that); what it
        // finds there is cut off.
        let count = self.len();
        let words = self.block.as_chunks::<8>().0[..count.div_ceil(8)].iter();
        words.enumerate().flat_map(move |(index, word)| {
            let differing = u64::from_le_bytes(*word) ^ wanted;
            // The high bit of each byte that is zero, and of no other.
            let mut equal = !(((differing & LOW) + LOW) | differing | LOW);
            std::iter::from_fn(move || {
                let at = index * 8 + (equal.trailing_zeros() / 8) as usize;
                let found = equal != 0 && at < count;
                equal &= equal.wrapping_sub(1);
                found.then_some(at)
            })
        })
    }

    /// How many entries have a score below `score`, or at most `score`.
    #[inline]
    pub(super) fn count_scores(&self, score: f64, inclusive: bool) -> usize {
        let scores = self.scores().iter().map(|bytes| f64::from_le_bytes(*bytes));
        if inclusive {
            scores.map(|other| u64::from(other <= score)).sum::<u64>() as usize
        } else {
            scores.map(|other| u64::from(other < score)).sum::<u64>() as usize
        }
    }

    /// How many entries have a member before `bytes`, or at most `bytes`. For leaves of one score.
    pub(super) fn count_members(&self, bytes: &[u8], inclusive: bool, longs: &Longs) -> usize {
        partition(0..self.len(), |at| match self.member(at, longs) {
            member if inclusive => member <= bytes,
            member => member < bytes,
        })
    }

    /// Where an entry belongs: how many entries come before it.
    #[inline]
    pub(super) fn position(&self, score: f64, bytes: &[u8], longs: &Longs) -> usize {
        let start = self.count_scores(score, false);
        let scores = self.scores();
        if start == scores.len() || f64::from_le_bytes(scores[start]) != score {
            return start;
        }
        let end = self.count_scores(score, true);
        partition(start..end, |at| self.member(at, longs) < bytes)
    }

    /// Puts an entry in at `at`.
    pub(super) fn insert(&mut self, at: usize, score: f64, tag: u8, text: Text<'_>) {
        let (count, needed) = (self.len(), text.bytes_in_blob());
        let blob_bytes = usize::from(self.blob_bytes);
        let room = self.block.len() - FIXED_BYTES * self.capacity();
        if count == self.capacity() || blob_bytes + needed > room {
            *self = self.resized(count + 1, needed);
        }
        let offset = usize::from(self.blob_bytes);
        self.push_text(text, offset);
        self.open(at, count);
        self.count += 1;
        self.block[at] = tag;
        self.set_offset(at, offset);
        self.set_score(at, score);
    }

    /// Makes a gap at `at` in the three arrays of `count` entries.
    fn open(&mut self, at: usize, count: usize) {
        let capacity = self.capacity();
        self.block.copy_within(at..count, at + 1);
        let (start, end) = (capacity + 2 * at, capacity + 2 * count);
        self.block.copy_within(start..end, start + 2);
        let (start, end) = (3 * capacity + 8 * at, 3 * capacity + 8 * count);
        self.block.copy_within(start..end, start + 8);
    }

    fn push_text(&mut self, text: Text<'_>, offset: usize) {
        let start = FIXED_BYTES * self.capacity() + offset;
        let blob = &mut self.block[start..start + text.bytes_in_blob()];
        match text {
            Text::Inline(bytes) => {
                blob[0] = bytes.len() as u8;
                blob[1..].copy_from_slice(bytes);
            }
            Text::Aside(number) => {
                blob[0] = ASIDE;
                blob[1..].copy_from_slice(&number.to_le_bytes());
            }
        }
        self.blob_bytes = (offset + text.bytes_in_blob()) as u16;
    }

    /// Takes the entry at `at` out; the number of its text, if that is kept aside.
    pub(super) fn remove(&mut self, at: usize) -> Option<u32> {
        let aside = match self.text(at) {
            Text::Inline(_) => None,
            Text::Aside(number) => Some(number),
        };
        self.forget_text(at);
        let (count, capacity) = (self.len(), self.capacity());
        self.block.copy_within(at + 1..count, at);
        let (start, end) = (capacity + 2 * at, capacity + 2 * count);
        self.block.copy_within(start + 2..end, start);
        let (start, end) = (3 * capacity + 8 * at, 3 * capacity + 8 * count);
        self.block.copy_within(start + 8..end, start);
        self.count -= 1;
        self.shrink();
        aside
    }

    /// Makes a hole of the text at `at`.
    fn forget_text(&mut self, at: usize) {
        let (offset, size) = (self.offset(at), self.text(at).bytes_in_blob());
        if offset + size == usize::from(self.blob_bytes) {
            self.blob_bytes -= size as u16;
        } else {
            self.holes += size as u16;
        }
    }

    /// Bytes of the texts.
    fn text_bytes(&self) -> usize {
        usize::from(self.blob_bytes - self.holes)
    }

    /// Takes a smaller block when less than half of this one is in use.
    fn shrink(&mut self) {
        let used = self.len() * FIXED_BYTES + self.text_bytes();
        if self.block.len() > BLOCK_BYTES_MIN && used * 2 < self.block.len() {
            *self = self.resized(self.len(), 0);
        }
    }

    /// Takes entries out at once; the numbers of the texts that are kept aside go to `asides`.
    pub(super) fn remove_range(&mut self, range: Range<usize>, mut asides: impl FnMut(u32)) {
        for at in range.clone() {
            if let Text::Aside(number) = self.text(at) {
                asides(number);
            }
        }
        let texts = self.text_bytes() - self.blob_of(range.clone());
        let mut rest = self.rebuilt(0..range.start, self.len() - range.len(), texts);
        rest.extend(self, range.end..self.len());
        *self = rest;
    }

    fn blob_of(&self, range: Range<usize>) -> usize {
        range.map(|at| self.text(at).bytes_in_blob()).sum()
    }

    /// Moves an entry of this leaf to where it belongs with its new score; `to` counts the entries
    /// before it, itself left out.
    pub(super) fn shift(&mut self, from: usize, to: usize, score: f64) {
        let capacity = self.capacity();
        let (low, high) = (from.min(to), from.max(to) + 1);
        let turn = |bytes: &mut [u8], width: usize| {
            if from < to {
                bytes.rotate_left(width);
            } else {
                bytes.rotate_right(width);
            }
        };
        turn(&mut self.block[low..high], 1);
        turn(&mut self.block[capacity + 2 * low..capacity + 2 * high], 2);
        let scores = 3 * capacity;
        turn(&mut self.block[scores + 8 * low..scores + 8 * high], 8);
        self.set_score(to, score);
    }

    /// Splits the entries from `at` on off into a leaf that is linked to nothing.
    pub(super) fn split_off(&mut self, at: usize) -> Leaf {
        let count = self.len();
        let upper_bytes = self.blob_of(at..count);
        let lower_bytes = self.text_bytes() - upper_bytes;
        // Halves will grow again; a leaf that was cut at its end is as full as it will be.
        let spare = |number: usize| number + if at < ENTRIES_MAX { number / 16 } else { 0 };
        let mut upper = self.rebuilt(at..count, count - at, spare(upper_bytes));
        (upper.parent, upper.previous, upper.next) = (NIL, NIL, NIL);
        *self = self.rebuilt(0..at, at, spare(lower_bytes));
        upper
    }

    /// Takes the entries up to `at` out into a leaf that is linked to nothing.
    pub(super) fn split_front(&mut self, at: usize) -> Leaf {
        let mut upper = self.split_off(at);
        (upper.parent, upper.previous, upper.next) = (self.parent, self.previous, self.next);
        let mut lower = std::mem::replace(self, upper);
        (lower.parent, lower.previous, lower.next) = (NIL, NIL, NIL);
        lower
    }

    /// Adds entries of another leaf, which come after those of this one.
    pub(super) fn extend(&mut self, other: &Leaf, range: Range<usize>) {
        let needed = other.blob_of(range.clone());
        let room = self.block.len() - FIXED_BYTES * self.capacity();
        let count = self.len() + range.len();
        if count > self.capacity() || usize::from(self.blob_bytes) + needed > room {
            *self = self.resized(count, needed);
        }
        for at in range {
            let to = self.len();
            let offset = usize::from(self.blob_bytes);
            self.push_text(other.text(at), offset);
            self.count += 1;
            self.block[to] = other.block[at];
            self.set_offset(to, offset);
            self.set_score(to, other.score(at));
        }
    }

    /// A copy of some entries with room for so many entries and so many bytes of text.
    fn rebuilt(&self, range: Range<usize>, count: usize, blob_bytes: usize) -> Leaf {
        let mut leaf = Leaf::with_room(count, blob_bytes);
        (leaf.parent, leaf.previous, leaf.next) = (self.parent, self.previous, self.next);
        leaf.extend(self, range);
        leaf
    }

    /// A copy of all entries, without holes, with room for so many entries and `needed` more bytes
    /// of text.
    fn resized(&self, count: usize, needed: usize) -> Leaf {
        let texts = self.text_bytes() + needed;
        if self.holes > 0 {
            // Entries come and go here: not all too soon again.
            return self.rebuilt(0..self.len(), count, texts + texts / 16);
        }
        let mut leaf = Leaf::with_room(count, texts);
        (leaf.parent, leaf.previous, leaf.next) = (self.parent, self.previous, self.next);
        (leaf.count, leaf.blob_bytes) = (self.count, self.blob_bytes);
        for (factor, width) in [(0, 1), (1, 2), (3, 8)] {
            let (from, to) = (factor * self.capacity(), factor * leaf.capacity());
            let bytes = width * self.len();
            leaf.block[to..to + bytes].copy_from_slice(&self.block[from..from + bytes]);
        }
        let bytes = usize::from(self.blob_bytes);
        let to = FIXED_BYTES * leaf.capacity();
        leaf.block[to..to + bytes].copy_from_slice(&self.blob()[..bytes]);
        leaf
    }

    /// The tag of the entry at `at`.
    #[cfg(test)]
    pub(super) fn tag(&self, at: usize) -> u8 {
        self.block[at]
    }

    /// The number of the text at `at`, if that is kept aside.
    #[cfg(test)]
    pub(super) fn aside(&self, at: usize) -> Option<u32> {
        match self.text(at) {
            Text::Inline(_) => None,
            Text::Aside(number) => Some(number),
        }
    }

    /// Panics unless the block is as the module's head says.
    #[cfg(test)]
    pub(super) fn invariants(&self, longs: &Longs) {
        assert!(self.len() <= ENTRIES_MAX && self.len() <= self.capacity());
        assert_eq!(self.block.len(), size_class(self.block.len()));
        assert_eq!(self.blob_of(0..self.len()), self.text_bytes());
        assert!(FIXED_BYTES * self.capacity() + usize::from(self.blob_bytes) <= self.block.len());
        let entries: Vec<_> = (0..self.len())
            .map(|at| (self.score(at), self.member(at, longs)))
            .collect();
        assert!(entries.is_sorted_by(|a, b| a < b), "{entries:?}");
    }
}

/// The first place of `range` for which `before` is false, given that it is true up to there.
#[inline]
pub(super) fn partition(range: Range<usize>, mut before: impl FnMut(usize) -> bool) -> usize {
    let (mut start, mut end) = (range.start, range.end);
    while start < end {
        let middle = start + (end - start) / 2;
        if before(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}
