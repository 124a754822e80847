//! The large form of a sorted set: a counted B+ tree with a member index.
//!
//! ```text
//!              [ inner: separators, counts ]
//!             /              |              \
//!      [ inner ]         [ inner ]        [ inner ]
//!      /   |   \          ...
//!   leaf <-> leaf <-> leaf ...       index: hash -> leaf
//! ```
//!
//! A member's score: index, leaf, tags. Its rank: from the leaf up, adding the counts of what comes
//! before. The entry at a rank, or the first above a score: from the root down. All O(log n) in
//! nodes of 64, of which the inner ones stay in the cache.
//!
//! Nodes have numbers, and know their parents. A leaf is split in the middle, except at the ends of
//! the order, where nothing is moved: sets filled in order have full leaves. Neighbours whose
//! entries fit into three quarters of one are merged when one of them has become small.
//!
//! Invariants between calls: entries are in ascending order over all leaves; each member has one
//! index slot with its leaf; counts are exact; no node is empty but the only leaf; all leaves are
//! equally deep. Source: Bayer and McCreight, 1972; Comer, "The Ubiquitous B-Tree", 1979.

use std::ops::Range;

use base::hash::{Seed, hash_key};

use crate::collection::Member;
use crate::packed::{Element, IntText};
use crate::shared::Release;

use super::index::{Index, index_bits};
use super::inner::{Inner, Separator, prefix};
use super::leaf::{ENTRIES_MAX, Leaf, Longs, NIL, Text, partition};
use super::slab::Slab;

mod balance;
mod walk;

pub(super) use walk::{Backward, Forward};

/// See the module's head.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    leaves: Slab<Leaf>,
    inners: Slab<Option<Box<Inner>>>,
    index: Index,
    longs: Longs,
    /// A leaf's number if `height` is 0, else an inner node's.
    root: u32,
    /// Levels of inner nodes.
    height: u32,
    first: u32,
    last: u32,
    len: usize,
    seed: Seed,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) leaf: u32,
    pub(super) at: usize,
}

/// One end of a range of entries: between those that come before it and the others.
#[derive(Clone, Copy, Debug)]
pub enum Cut<'a> {
    /// Before all entries.
    Start,
    /// After all entries.
    End,
    /// Before the entries of this score.
    BelowScore(f64),
    /// After the entries of this score.
    AboveScore(f64),
    /// Before this member. For sets of one score.
    BelowMember(&'a [u8]),
    /// After this member. For sets of one score.
    AboveMember(&'a [u8]),
}

impl Cut<'_> {
    /// Whether an entry comes before the cut.
    #[inline]
    #[must_use]
    pub fn is_after(self, member: Element<'_>, score: f64) -> bool {
        match self {
            Cut::Start => false,
            Cut::End => true,
            Cut::BelowScore(cut) => score < cut,
            Cut::AboveScore(cut) => score <= cut,
            Cut::BelowMember(cut) => member.text(&mut IntText::default()) < cut,
            Cut::AboveMember(cut) => member.text(&mut IntText::default()) <= cut,
        }
    }
}

impl Tree {
    /// Without members. Hashes with `seed`.
    pub(super) fn new(seed: Seed) -> Tree {
        let mut leaves = Slab::new();
        let root = leaves.insert(Leaf::new());
        Tree {
            leaves,
            inners: Slab::new(),
            index: Index::new(),
            longs: Longs::new(),
            root,
            height: 0,
            first: root,
            last: root,
            len: 0,
            seed,
        }
    }

    /// Of `count` entries in ascending order, no member twice. Leaves are full.
    pub(super) fn from_sorted<'a>(
        seed: Seed,
        count: usize,
        entries: impl Iterator<Item = (Member<'a>, f64)>,
    ) -> Tree {
        let mut tree = Tree::new(seed);
        tree.index = Index::with_room(count);
        for (member, score) in entries {
            tree.push(member, score);
        }
        tree
    }

    /// A copy for reading from the end to the beginning, once: without the index.
    pub(super) fn freeze(&self) -> Tree {
        Tree {
            leaves: self.leaves.clone(),
            inners: self.inners.clone(),
            index: Index::new(),
            longs: self.longs.clone(),
            ..*self
        }
    }

    /// Lets go of the leaves whose entries all have this rank or a greater one; how many bytes that
    /// frees which were there twice. Those entries are not asked for any more.
    pub(super) fn release(&mut self, rank: usize, release: &mut Release) -> usize {
        let stop = self.select(rank).leaf;
        let mut freed = 0;
        while self.last != stop {
            let passed = self.last;
            self.last = self.leaf(passed).previous;
            freed += self.leaves.release(passed, release);
        }
        freed
    }

    /// Number of members.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn inner(&self, id: u32) -> &Inner {
        // Invariant: numbers of inner nodes in use come from `insert` and are not freed.
        self.inners.get(id).as_deref().expect("a node in use")
    }

    #[inline]
    fn inner_mut(&mut self, id: u32) -> &mut Inner {
        // Invariant: as above.
        let inner = self.inners.get_mut(id).as_deref_mut();
        inner.expect("a node in use")
    }

    #[inline]
    pub(super) fn leaf(&self, id: u32) -> &Leaf {
        self.leaves.get(id)
    }

    /// The entry there.
    #[inline]
    pub(super) fn entry(&self, place: Place) -> (&[u8], f64) {
        let leaf = self.leaf(place.leaf);
        (leaf.member(place.at, &self.longs), leaf.score(place.at))
    }

    /// Where a member is.
    #[inline]
    pub(super) fn find(&self, member: Member<'_>) -> Option<Place> {
        let hash = index_bits(member.hash);
        self.index.leaves(hash).find_map(|leaf| {
            let at = self
                .leaf(leaf)
                .find(hash as u8, member.bytes, &self.longs)?;
            Some(Place { leaf, at })
        })
    }

    /// See `Collection::address`: index slot, leaf, its tags, then of the entry whose tag agrees
    /// the offset, the text, the score.
    #[inline]
    pub(super) fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
        let hash = index_bits(hash);
        if depth == 0 {
            return Some(self.index.address(hash));
        }
        let leaf = self.leaf(self.index.leaves(hash).next()?);
        match depth {
            1 => Some(std::ptr::from_ref(leaf).cast()),
            _ => leaf.address(hash as u8, depth - 2),
        }
    }

    /// How many entries come before this one.
    #[inline]
    pub(super) fn rank(&self, place: Place) -> usize {
        let mut rank = place.at as u64;
        let (mut child, mut parent) = (place.leaf, self.leaf(place.leaf).parent);
        while parent != NIL {
            let inner = self.inner(parent);
            rank += inner.before(inner.place_of(child));
            (child, parent) = (parent, inner.parent);
        }
        rank as usize
    }

    /// The entry at a rank; the place after the last one if there is none.
    pub(super) fn select(&self, rank: usize) -> Place {
        if rank >= self.len {
            let at = self.leaf(self.last).len();
            return Place {
                leaf: self.last,
                at,
            };
        }
        let (mut node, mut rank) = (self.root, rank as u64);
        for _ in 0..self.height {
            let inner = self.inner(node);
            let (at, below) = inner.child_by_rank(rank);
            (node, rank) = (inner.children()[at], below);
        }
        Place {
            leaf: node,
            at: rank as usize,
        }
    }

    /// The first entry after a cut, possibly the place after the last one of a leaf.
    pub(super) fn seek(&self, cut: Cut<'_>) -> Place {
        let mut node = self.root;
        for level in (0..self.height).rev() {
            let inner = self.inner(node);
            let at = match cut {
                Cut::Start => 0,
                Cut::End => inner.len() - 1,
                Cut::BelowScore(score) => inner.child_by_score(score, false),
                Cut::AboveScore(score) => inner.child_by_score(score, true),
                Cut::BelowMember(member) | Cut::AboveMember(member) => {
                    let inclusive = matches!(cut, Cut::AboveMember(_));
                    let (first, last) = inner.candidates_by_member(prefix(member));
                    partition(first + 1..last + 1, |child| {
                        let first = self.first_entry(inner.children()[child], level).0;
                        first < member || inclusive && first == member
                    }) - 1
                }
            };
            node = inner.children()[at];
        }
        let leaf = self.leaf(node);
        let at = match cut {
            Cut::Start => 0,
            Cut::End => leaf.len(),
            Cut::BelowScore(score) => leaf.count_scores(score, false),
            Cut::AboveScore(score) => leaf.count_scores(score, true),
            Cut::BelowMember(member) => leaf.count_members(member, false, &self.longs),
            Cut::AboveMember(member) => leaf.count_members(member, true, &self.longs),
        };
        Place { leaf: node, at }
    }

    /// The first entry below a node, `level` levels of inner nodes above the leaves.
    fn first_entry(&self, mut node: u32, level: u32) -> (&[u8], f64) {
        for _ in 0..level {
            node = self.inner(node).children()[0];
        }
        self.entry(Place { leaf: node, at: 0 })
    }

    /// The leaf in which an entry belongs.
    fn leaf_for(&self, score: f64, member: &[u8]) -> u32 {
        let wanted = Separator::new(score, member);
        let mut node = self.root;
        for level in (0..self.height).rev() {
            let inner = self.inner(node);
            let (first, last) = inner.candidates(wanted);
            let at = if first == last {
                first
            } else {
                partition(first + 1..last + 1, |child| {
                    let (other, other_score) = self.first_entry(inner.children()[child], level);
                    (other_score, other) <= (score, member)
                }) - 1
            };
            node = inner.children()[at];
        }
        node
    }

    /// Adds a member that is not there. `score` is not NaN.
    pub(super) fn insert(&mut self, member: Member<'_>, score: f64) {
        let leaf = self.leaf_for(score, member.bytes);
        let at = self.leaf(leaf).position(score, member.bytes, &self.longs);
        self.insert_at(Place { leaf, at }, member, score);
    }

    /// Adds an entry after all others.
    pub(super) fn push(&mut self, member: Member<'_>, score: f64) {
        let leaf = self.last;
        let at = self.leaf(leaf).len();
        self.insert_at(Place { leaf, at }, member, score);
    }

    fn insert_at(&mut self, place: Place, member: Member<'_>, score: f64) {
        let text = Text::keep(member.bytes, &mut self.longs);
        let hash = index_bits(member.hash);
        self.index.insert(hash, place.leaf);
        self.len += 1;
        self.place_entry(place, score, hash as u8, text);
    }

    /// Puts an entry into a leaf, whose index slot says so already, and splits the leaf if need be.
    fn place_entry(&mut self, place: Place, score: f64, tag: u8, text: Text<'_>) {
        let leaf = self.leaves.get_mut(place.leaf);
        leaf.insert(place.at, score, tag, text);
        let count = leaf.len();
        self.adjust(place.leaf, |inner, at| inner.add(at, 1));
        if count > ENTRIES_MAX {
            let at = match place.at {
                0 if place.leaf == self.first => 1,
                at if at + 1 == count && place.leaf == self.last => at,
                _ => count / 2,
            };
            self.split(place.leaf, at);
        }
    }

    /// Changes the counts along the way from a leaf to the root.
    #[inline]
    fn adjust(&mut self, leaf: u32, change: impl Fn(&mut Inner, usize)) {
        let (mut child, mut parent) = (leaf, self.leaf(leaf).parent);
        while parent != NIL {
            let inner = self.inner_mut(parent);
            change(inner, inner.place_of(child));
            (child, parent) = (parent, inner.parent);
        }
    }

    /// Gives a member that is there another score, which is not NaN.
    pub(super) fn update(&mut self, place: Place, member: Member<'_>, score: f64) {
        let leaf = self.leaves.get_mut(place.leaf);
        // Its place in this leaf, itself left out.
        let mut to = leaf.position(score, member.bytes, &self.longs);
        to -= usize::from(to > place.at);
        // At the leaf's edge it might belong to the neighbour.
        let last = leaf.len() - 1;
        let stays = (to > 0 || leaf.previous == NIL) && (to < last || leaf.next == NIL);
        if stays {
            leaf.shift(place.at, to, score);
        } else {
            self.relocate(place, member, score);
        }
    }

    /// Moves an entry to another leaf.
    fn relocate(&mut self, place: Place, member: Member<'_>, score: f64) {
        let hash = index_bits(member.hash);
        let from = place.leaf;
        let aside = self.leaves.get_mut(from).remove(place.at);
        self.adjust(from, |inner, at| inner.subtract(at, 1));
        let text = aside.map_or(Text::Inline(member.bytes), Text::Aside);
        // The leaf may be empty now, which look-ups do not expect: it goes first.
        self.rebalance(from);
        let leaf = self.leaf_for(score, member.bytes);
        let at = self.leaf(leaf).position(score, member.bytes, &self.longs);
        self.index.move_to(hash, from, leaf);
        self.place_entry(Place { leaf, at }, score, hash as u8, text);
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, place: Place, member: Member<'_>) {
        if let Some(number) = self.leaves.get_mut(place.leaf).remove(place.at) {
            self.longs.remove(number);
        }
        self.index.remove(index_bits(member.hash), place.leaf);
        self.len -= 1;
        self.adjust(place.leaf, |inner, at| inner.subtract(at, 1));
        self.rebalance(place.leaf);
    }

    /// Takes the entries of these ranks out.
    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut rest = ranks.len();
        while rest > 0 {
            let Place { leaf: id, at } = self.select(ranks.start);
            let leaf = self.leaves.get_mut(id);
            let part = at..leaf.len().min(at + rest);
            for at in part.clone() {
                let member = leaf.member(at, &self.longs);
                let hash = index_bits(hash_key(&self.seed, member));
                self.index.remove(hash, id);
            }
            let longs = &mut self.longs;
            leaf.remove_range(part.clone(), |number| {
                longs.remove(number);
            });
            rest -= part.len();
            self.len -= part.len();
            self.adjust(id, |inner, at| inner.subtract(at, part.len() as u64));
            self.rebalance(id);
        }
    }

    /// Visits members in the order of their hashes, from a position on, about `count` of them;
    /// returns the position to go on from, 0 at the end. Members that stay from position 0 to the
    /// end are all visited, some perhaps twice.
    pub(super) fn scan<'a>(
        &'a self,
        position: u64,
        count: usize,
        mut visit: impl FnMut(&'a [u8], f64),
    ) -> u64 {
        let Ok(position) = u32::try_from(position) else {
            return 0;
        };
        let next = self.index.scan(position, count, |hash, leaf| {
            let leaf = self.leaf(leaf);
            for at in leaf.tagged(hash as u8) {
                let member = leaf.member(at, &self.longs);
                if index_bits(hash_key(&self.seed, member)) == hash {
                    visit(member, leaf.score(at));
                }
            }
        });
        next.map_or(0, u64::from)
    }

    /// Number of allocations, roughly.
    pub(super) fn pieces(&self) -> usize {
        self.leaves.len() + self.inners.len() + self.longs.len() + self.index.pieces()
    }

    /// Bytes on the heap, those of the tree's own struct left out. Long trees are estimated from
    /// their first leaves.
    pub(super) fn allocated(&self) -> usize {
        let sample = self.leaves.places().take(ALLOCATED_SAMPLE);
        let (mut bytes, mut entries) = (0, 0);
        for leaf in sample.filter(|leaf| leaf.len() > 0) {
            bytes += leaf.allocated();
            entries += leaf.len();
        }
        let blocks = bytes * self.len / entries.max(1);
        let longs: usize = self
            .longs
            .places()
            .take(ALLOCATED_SAMPLE)
            .map(|l| l.len())
            .sum();
        let sampled = self.longs.len().clamp(1, ALLOCATED_SAMPLE);
        blocks
            + longs * self.longs.len() / sampled
            + self.leaves.allocated()
            + self.inners.allocated()
            + self.inners.len() * base::memory::size_class(size_of::<Inner>())
            + self.longs.allocated()
            + self.index.allocated()
    }
}

/// Leaves that `allocated` looks at.
const ALLOCATED_SAMPLE: usize = 64;

#[cfg(test)]
mod tests;
