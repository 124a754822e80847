//! How a table changes its shape: more or fewer buckets, splitting, merging, packing.

use base::hash::hash_key;

use super::segment::Segment;
use super::{DEPTH_MAX, MERGED_BUCKETS, MERGED_BYTES, SIZES, Table, home_bucket, roomy_size, tag};
use crate::shared::Shared;

impl Table {
    fn add_segment(&mut self, segment: Segment) -> u32 {
        if let Some(index) = self.free_segments.pop() {
            self.segments[index as usize] = Shared::new(segment);
            return index;
        }
        self.segments.push(Shared::new(segment));
        self.segments.len() as u32 - 1
    }

    /// Takes a segment out and leaves an empty one.
    fn take_segment(&mut self, index: u32) -> Segment {
        let empty = Shared::new(Segment::new(0, 0));
        std::mem::replace(&mut self.segments[index as usize], empty).into_inner()
    }

    /// Slots are short in the segment of `spread`: makes it larger, or two.
    pub(super) fn grow(&mut self, spread: u64) {
        let index = self.directory[self.directory_index(spread)];
        let segment = &self.segments[index as usize];
        let size = segment.size();
        match SIZES.iter().find(|&&larger| larger > size) {
            Some(&larger) => self.resize(index, larger),
            None => self.split(spread),
        }
    }

    /// Bytes are short in the segment of `spread`: packs it, or makes it two.
    pub(super) fn make_room(&mut self, spread: u64) {
        let index = self.directory[self.directory_index(spread)];
        let arena = &self.segments[index as usize].arena;
        if arena.dead() * 8 > arena.live() {
            self.pack(index);
        } else {
            self.split(spread);
        }
    }

    /// Gives a segment another number of buckets. Its arena stays.
    pub(super) fn resize(&mut self, index: u32, buckets: u16) {
        let old = &mut *self.segments[index as usize];
        let mut new = Segment::new(buckets, old.depth);
        new.arena = std::mem::take(&mut old.arena);
        let mut position = 0;
        while let Some(found) = new.arena.next(position) {
            let (hash, deadline, after) = found.facts(|key| hash_key(&self.seed, key));
            let offset = found.offset();
            let spread = self.spread(hash);
            let home = home_bucket(spread, new.depth, usize::from(buckets));
            new.place(home, tag(spread), offset, deadline);
            position = after;
        }
        self.segments[index as usize] = Shared::new(new);
    }

    /// Writes a segment's arena anew, without filler.
    pub(super) fn pack(&mut self, index: u32) {
        let old = self.take_segment(index);
        let mut new = [Segment::new(old.size(), old.depth)];
        self.move_all(old, &mut new, |_| 0);
        let [new] = new;
        self.segments[index as usize] = Shared::new(new);
    }

    /// Moves all entries of `from` to the segment of `to` that `choose` says by their spread hash.
    fn move_all(&self, mut from: Segment, to: &mut [Segment], choose: impl Fn(u64) -> usize) {
        let mut position = 0;
        while let Some(found) = from.arena.next(position) {
            let (hash, deadline, after) = found.facts(|key| hash_key(&self.seed, key));
            let offset = found.offset();
            let spread = self.spread(hash);
            let to = &mut to[choose(spread)];
            let home = home_bucket(spread, to.depth, to.buckets.len());
            let offset = from.arena.transfer(offset, &mut to.arena);
            to.place(home, tag(spread), offset, deadline);
            position = after;
        }
    }

    /// Two segments instead of the one of `spread`.
    pub(super) fn split(&mut self, spread: u64) {
        let index = self.directory[self.directory_index(spread)];
        let depth = self.segments[index as usize].depth;
        assert!(depth < DEPTH_MAX, "hashes are not random");
        if depth == self.depth {
            let doubled = self.directory.iter().flat_map(|&index| [index, index]);
            self.directory = doubled.collect();
            self.depth += 1;
            self.deepest = 0;
        }
        if depth + 1 == self.depth {
            self.deepest += 2;
        }
        let old = self.take_segment(index);
        let is_upper = |spread: u64| usize::from(spread << depth >> 63 != 0);
        let uppers = self.count_uppers(&old);
        let half = |entries| Segment::new(roomy_size(entries), depth + 1);
        let mut halves = [half(old.len - uppers), half(uppers)];
        self.move_all(old, &mut halves, is_upper);
        let [lower, upper] = halves;
        self.segments[index as usize] = Shared::new(lower);
        let upper = self.add_segment(upper);
        let (first, width) = self.directory_range(spread, depth);
        self.directory[first + width / 2..first + width].fill(upper);
    }

    /// How many entries of a segment belong to the upper half of its hashes.
    fn count_uppers(&self, segment: &Segment) -> u32 {
        let (mut position, mut count) = (0, 0);
        while let Some(found) = segment.arena.next(position) {
            let (hash, _, after) = found.facts(|key| hash_key(&self.seed, key));
            count += (self.spread(hash) << segment.depth >> 63) as u32;
            position = after;
        }
        count
    }

    /// Directory entries that share the first `depth` bits of `spread`: first index and count.
    fn directory_range(&self, spread: u64, depth: u8) -> (usize, usize) {
        let width = 1usize << (self.depth - depth);
        (self.directory_index(spread) & !(width - 1), width)
    }

    /// Gives memory back: merges the segment of `spread` with its buddy if both are small, else
    /// takes fewer buckets.
    pub(super) fn shrink(&mut self, index: u32, spread: u64) {
        let segment = &self.segments[index as usize];
        if segment.depth > 0 && segment.size() <= 2 * MERGED_BUCKETS {
            let flipped = spread ^ (1 << 63 >> (segment.depth - 1));
            let buddy = self.directory[self.directory_index(flipped)];
            let other = &self.segments[buddy as usize];
            if other.depth == segment.depth
                && roomy_size(segment.len + other.len) <= MERGED_BUCKETS
                && segment.arena.live() + other.arena.live() <= MERGED_BYTES
            {
                return self.merge(index, buddy, spread);
            }
        }
        let smaller = roomy_size(segment.len);
        if smaller < segment.size() {
            self.resize(index, smaller);
        }
    }

    fn merge(&mut self, index: u32, buddy: u32, spread: u64) {
        let depth = self.segments[index as usize].depth - 1;
        let mut merged = [Segment::new(MERGED_BUCKETS, depth)];
        for from in [index, buddy] {
            let from = self.take_segment(from);
            self.move_all(from, &mut merged, |_| 0);
        }
        let [merged] = merged;
        self.segments[index as usize] = Shared::new(merged);
        self.free_segments.push(buddy);
        let (first, width) = self.directory_range(spread, depth);
        self.directory[first..first + width].fill(index);
        if depth + 1 == self.depth {
            self.deepest -= 2;
        }
        while self.deepest == 0 {
            self.directory = self.directory.iter().step_by(2).copied().collect();
            self.depth -= 1;
            self.deepest = self.count_at(self.depth);
        }
    }

    /// Number of segments of a depth.
    pub(super) fn count_at(&self, depth: u8) -> u32 {
        // Segments kept for later use have no buckets.
        let used = self.segments.iter().filter(|segment| segment.size() > 0);
        used.filter(|segment| segment.depth == depth).count() as u32
    }
}
