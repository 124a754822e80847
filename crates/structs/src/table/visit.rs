//! Going through a table: everything, scan positions, random entries, expired entries.
//!
//! A scan position is a prefix of the spread hash. Homes are ordered by hash and only by the bits
//! of a position, so "everything below has been visited" stays true however buckets change
//! meanwhile.

use base::rng::Rng;
use base::time::UnixMillis;

use super::entry::Entry;
use super::segment::{NEVER, SLOTS, Segment, Spot};
use super::{POSITION_BITS, POSITION_SHIFT, Place, SIZES, Table};
use crate::shared::{Release, Shared};

/// All entries of a table, in no particular order, read from memory in sequence.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    segments: std::slice::Iter<'a, Shared<Segment>>,
    segment: Option<&'a Segment>,
    position: u32,
    left: usize,
}

/// How far an [`Iter`] has come; good for the same table while nothing in it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    segment: usize,
    position: u32,
    passed: usize,
}

impl Iter<'_> {
    /// Where [`Table::resume`] goes on after the entries seen so far. `table` is the iterator's.
    pub fn place(&self, table: &Table) -> Resume {
        let behind = self.segments.len() + usize::from(self.segment.is_some());
        Resume {
            segment: table.segments.len() - behind,
            position: self.position,
            passed: table.len - self.left,
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let arena = &self.segment?.arena;
            if let Some(found) = arena.next(self.position) {
                let (entry, after) = arena.read(found);
                self.position = after;
                self.left -= 1;
                return Some(entry);
            }
            self.segment = self.segments.next().map(|segment| &**segment);
            self.position = 0;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The keys of a table, as [`Iter`] would give them.
#[derive(Clone, Debug)]
pub struct Keys<'a>(Iter<'a>);

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let iter = &mut self.0;
        loop {
            let arena = &iter.segment?.arena;
            if let Some(found) = arena.next(iter.position) {
                let (key, after) = arena.read_key(found);
                iter.position = after;
                iter.left -= 1;
                return Some(key);
            }
            iter.segment = iter.segments.next().map(|segment| &**segment);
            iter.position = 0;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Keys<'_> {}

impl Table {
    /// All entries.
    pub fn iter(&self) -> Iter<'_> {
        let mut segments = self.segments.iter();
        Iter {
            segment: segments.next().map(|segment| &**segment),
            segments,
            position: 0,
            left: self.len,
        }
    }

    /// The entries that an iterator over this table, unchanged since, has not come to.
    pub fn resume(&self, from: Resume) -> Iter<'_> {
        let rest = self.segments.get(from.segment..).unwrap_or_default();
        let mut segments = rest.iter();
        Iter {
            segment: segments.next().map(|segment| &**segment),
            segments,
            position: from.position,
            left: self.len.saturating_sub(from.passed),
        }
    }

    /// Empties the segments before this place; how many bytes that frees which were there twice.
    /// Only for a copy that is about to go.
    pub(crate) fn release(&mut self, place: Resume, release: &mut Release) -> usize {
        release.advance(&mut self.segments, place.segment, Segment::new(0, 0))
    }

    /// All keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys(self.iter())
    }

    /// Visits the entries at and after `position` whose home is the bucket it falls into; returns
    /// the next position, `None` at the end. Positions are below 2 to the [`POSITION_BITS`]; 0 is
    /// the first. A scan visits every position once, so an entry that stays is visited exactly
    /// once, whatever becomes of the buckets in between.
    pub fn scan<'a>(&'a self, position: u64, mut visit: impl FnMut(Entry<'a>)) -> Option<u64> {
        let spread = position << POSITION_SHIFT;
        let (_, segment, home) = self.segment(spread)?;
        let mut at = home;
        for _ in 0..segment.buckets.len() {
            for offset in segment.buckets[at].offsets() {
                let spread = self.spread_at(segment, offset);
                let its_home = super::home_bucket(spread, segment.depth, segment.buckets.len());
                if spread >> POSITION_SHIFT >= position && its_home == home {
                    visit(segment.arena.at(offset));
                }
            }
            if segment.buckets[at].overflow() == 0 {
                break;
            }
            at = (at + 1) % segment.buckets.len();
        }
        position_after(segment, spread, home)
    }

    /// An entry by chance, each with the same probability; `random` decides.
    pub fn sample(&self, random: u64) -> Option<Entry<'_>> {
        let (segment, _, _, offset) = self.draw(random)?;
        Some(self.segments[segment].arena.at(offset))
    }

    /// As [`sample`](Table::sample), as a place.
    pub fn sample_place(&self, random: u64) -> Option<Place> {
        let (segment, bucket, slot, offset) = self.draw(random)?;
        Some(self.place_of(segment, bucket, slot, offset))
    }

    /// Draws slots, as if all segments had as many as the largest, until there is an entry in one.
    /// Segments are between a half and nearly full if no entries have been removed, so that takes
    /// two draws or so.
    fn draw(&self, random: u64) -> Option<(usize, usize, usize, u16)> {
        if self.len == 0 {
            return None;
        }
        let largest = match &self.segments[..] {
            [only] => only.size(),
            _ => SIZES[SIZES.len() - 1],
        };
        let slots = u64::from(largest) * SLOTS as u64;
        let mut rng = Rng::from_seed(random);
        loop {
            let drawn = rng.below(self.segments.len() as u64 * slots);
            let (segment, slot) = ((drawn / slots) as usize, (drawn % slots) as usize);
            let bucket = self.segments[segment].buckets.get(slot / SLOTS);
            if let Some(offset) = bucket.and_then(|bucket| bucket.slot(slot % SLOTS)) {
                return Some((segment, slot / SLOTS, slot % SLOTS, offset));
            }
        }
    }

    /// Removes up to `limit` entries whose deadline is `now` or earlier, handing each to `removed`
    /// before; returns how many. Looks only into buckets that may hold one. If fewer than `limit`
    /// were found there are no more, and [`soonest`](Table::soonest) is later than `now`.
    pub fn remove_expired(
        &mut self,
        now: UnixMillis,
        limit: usize,
        mut removed: impl FnMut(Entry<'_>),
    ) -> usize {
        let mut found = 0;
        let mut index = 0;
        while self.soonest <= now && index < self.segments.len() && found < limit {
            if self.segments[index].visit_at > now {
                index += 1;
                continue;
            }
            let Some(place) = self.next_expired(index, now) else {
                let segment = &mut *self.segments[index];
                segment.visit_at = segment.soonest.iter().copied().min().unwrap_or(NEVER);
                index += 1;
                continue;
            };
            removed(self.at(place));
            self.remove(place);
            found += 1;
        }
        if found < limit {
            let visits = self.segments.iter().map(|segment| segment.visit_at);
            self.soonest = visits.min().unwrap_or(NEVER);
        }
        found
    }

    /// An expired entry of a segment. Corrects what the segment expects of buckets without one.
    fn next_expired(&mut self, index: usize, now: UnixMillis) -> Option<Place> {
        loop {
            let segment = &self.segments[index];
            let bucket = segment.soonest.iter().position(|&soonest| soonest <= now)?;
            let mut soonest = NEVER;
            for slot in 0..SLOTS {
                let Some(offset) = segment.buckets[bucket].slot(slot) else {
                    continue;
                };
                match segment.arena.at(offset).deadline {
                    Some(deadline) if deadline <= now => {
                        return Some(self.place_of(index, bucket, slot, offset));
                    }
                    Some(deadline) => soonest = soonest.min(deadline),
                    None => {}
                }
            }
            self.segments[index].soonest[bucket] = soonest;
        }
    }

    /// The place of an entry that has been found by its slot.
    fn place_of(&self, segment: usize, bucket: usize, slot: usize, offset: u16) -> Place {
        let owner = &self.segments[segment];
        let spread = self.spread_at(owner, offset);
        let home = super::home_bucket(spread, owner.depth, owner.buckets.len());
        Place {
            segment: segment as u32,
            offset,
            spot: Spot {
                home: home as u16,
                bucket: bucket as u16,
                slot: slot as u8,
            },
        }
    }
}

/// The first position whose home is beyond `home`.
fn position_after(segment: &Segment, spread: u64, home: usize) -> Option<u64> {
    let depth = u32::from(segment.depth);
    let prefix = u128::from(spread >> 1 >> (63 - depth));
    // Of the 32 bits that choose a bucket, the least that choose the next one.
    let in_segment = u128::from(((home as u64 + 1) << 32).div_ceil(segment.buckets.len() as u64));
    let next = (prefix << 32) + in_segment;
    // Those bits and the position's may differ in number either way.
    let next = match (depth + 32).checked_sub(POSITION_BITS) {
        Some(finer) => next.div_ceil(1 << finer),
        None => next << (POSITION_BITS - depth - 32),
    };
    (next < 1 << POSITION_BITS).then_some(next as u64)
}
