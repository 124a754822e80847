//! How the tree keeps its shape: splitting and merging of nodes, a root more or less.

use std::ops::Range;

use base::hash::hash_key;

use super::super::index::index_bits;
use super::super::inner::{CHILDREN_MAX, Inner, Separator};
use super::super::leaf::{ENTRIES_MAX, Leaf, NIL};
use super::{Place, Tree};

/// A leaf with fewer entries looks for a neighbour to merge with.
const ENTRIES_FEW: usize = ENTRIES_MAX / 4;
/// Most entries of a leaf that was merged.
const ENTRIES_MERGED_MAX: usize = ENTRIES_MAX * 3 / 4;
/// An inner node with fewer children looks for a neighbour to merge with.
const CHILDREN_FEW: usize = CHILDREN_MAX / 4;
/// Most children of an inner node that was merged.
const CHILDREN_MERGED_MAX: usize = CHILDREN_MAX * 3 / 4;

impl Tree {
    /// Splits a leaf; the smaller part goes into a new one.
    pub(super) fn split(&mut self, id: u32, at: usize) {
        let leaf = self.leaves.get_mut(id);
        let upper = at * 2 >= leaf.len();
        let part = if upper {
            leaf.split_off(at)
        } else {
            leaf.split_front(at)
        };
        let count = part.len() as u64;
        let new = self.leaves.insert(part);
        if upper {
            self.link(id, new, self.leaf(id).next);
        } else {
            self.link(self.leaf(id).previous, new, id);
        }
        self.move_slots(new, 0..count as usize, id, new);
        let parent = match self.leaf(id).parent {
            NIL => self.raise(id),
            parent => parent,
        };
        let rest = self.leaf(id).len() as u64;
        let place = self.inner(parent).place_of(id);
        self.inner_mut(parent).set_count(place, rest);
        if upper {
            let separator = self.separator_of(new);
            self.insert_child(parent, place + 1, new, count, separator, 0);
        } else {
            let separator = self.separator_of(id);
            let inner = self.inner_mut(parent);
            let before = inner.separator(place);
            inner.set_separator(place, separator);
            self.insert_child(parent, place, new, count, before, 0);
        }
    }

    fn separator_of(&self, leaf: u32) -> Separator {
        let (member, score) = self.entry(Place { leaf, at: 0 });
        Separator::new(score, member)
    }

    /// Puts a leaf between two others in the chain.
    fn link(&mut self, previous: u32, new: u32, next: u32) {
        let leaf = self.leaves.get_mut(new);
        (leaf.previous, leaf.next) = (previous, next);
        match previous {
            NIL => self.first = new,
            id => self.leaves.get_mut(id).next = new,
        }
        match next {
            NIL => self.last = new,
            id => self.leaves.get_mut(id).previous = new,
        }
    }

    /// Tells the index that entries, which are in `leaf` now, went from one leaf to another.
    fn move_slots(&mut self, leaf: u32, entries: Range<usize>, from: u32, to: u32) {
        let leaf = self.leaves.get(leaf);
        let mut hashes = [0; ENTRIES_MAX + 1];
        let count = entries.len();
        // All hashes first: the look-ups that follow do not depend on each other.
        for (hash, at) in hashes.iter_mut().zip(entries) {
            let member = leaf.member(at, &self.longs);
            *hash = index_bits(hash_key(&self.seed, member));
        }
        for &hash in &hashes[..count] {
            self.index.move_to(hash, from, to);
        }
    }

    /// Puts a root above the root; the count of its one child is still to be set.
    fn raise(&mut self, child: u32) -> u32 {
        let mut inner = Inner::new(NIL);
        inner.insert(0, child, 0, Separator::default());
        let root = self.inners.insert(Some(Box::new(inner)));
        self.set_parent(child, self.height, root);
        (self.root, self.height) = (root, self.height + 1);
        root
    }

    /// Tells a node, `level` levels of inner nodes above the leaves, its parent.
    fn set_parent(&mut self, node: u32, level: u32, parent: u32) {
        if level == 0 {
            self.leaves.get_mut(node).parent = parent;
        } else {
            self.inner_mut(node).parent = parent;
        }
    }

    /// Puts a node that is `level` levels above the leaves into its parent, which is split first if
    /// it is full. The counts above the parent include the node's entries already.
    fn insert_child(
        &mut self,
        parent: u32,
        at: usize,
        child: u32,
        count: u64,
        separator: Separator,
        level: u32,
    ) {
        let (mut parent, mut at) = (parent, at);
        let full = self.inner(parent).len() == CHILDREN_MAX;
        if full {
            // At the right edge nearly all stay: more children come after the last only.
            let middle = match at {
                CHILDREN_MAX => CHILDREN_MAX - CHILDREN_MAX / 16 - 1,
                _ => CHILDREN_MAX / 2,
            };
            let right = self.split_inner(parent, middle, level + 1);
            if at > middle {
                (parent, at) = (right, at - middle);
            }
        }
        self.inner_mut(parent).insert(at, child, count, separator);
        self.set_parent(child, level, parent);
        if full {
            self.recount(parent);
        }
    }

    /// Sets the counts of a node and of those above it to what they are.
    fn recount(&mut self, mut node: u32) {
        let mut parent = self.inner(node).parent;
        while parent != NIL {
            let total = self.inner(node).total();
            let inner = self.inner_mut(parent);
            inner.set_count(inner.place_of(node), total);
            (node, parent) = (parent, inner.parent);
        }
    }

    /// Splits an inner node that is `level` levels above the leaves; returns the upper part, which
    /// is new. The counts above are right again after `recount` of the part that got a child.
    fn split_inner(&mut self, id: u32, middle: usize, level: u32) -> u32 {
        let mut upper = Inner::new(NIL);
        let separator = self.inner(id).separator(middle);
        self.inner_mut(id).give(middle, &mut upper, separator);
        let (children, total) = (upper.children().to_vec(), upper.total());
        let new = self.inners.insert(Some(Box::new(upper)));
        for child in children {
            self.set_parent(child, level - 1, new);
        }
        let parent = match self.inner(id).parent {
            NIL => self.raise(id),
            parent => parent,
        };
        let rest = self.inner(id).total();
        let inner = self.inner_mut(parent);
        let place = inner.place_of(id);
        inner.set_count(place, rest);
        self.insert_child(parent, place + 1, new, total, separator, level);
        new
    }

    /// Merges a leaf that has become small with a neighbour, or removes it if it is empty.
    pub(super) fn rebalance(&mut self, id: u32) {
        let (count, parent) = (self.leaf(id).len(), self.leaf(id).parent);
        if count >= ENTRIES_FEW || parent == NIL {
            return;
        }
        let place = self.inner(parent).place_of(id);
        if count == 0 {
            self.unlink(id);
            self.leaves.remove(id);
            return self.remove_child(parent, place, 1);
        }
        let counts = self.inner(parent).counts();
        let fits = |other: usize| counts[other] as usize + count <= ENTRIES_MERGED_MAX;
        if place > 0 && fits(place - 1) {
            self.merge_leaves(parent, place - 1);
        } else if place + 1 < counts.len() && fits(place + 1) {
            self.merge_leaves(parent, place);
        }
    }

    /// Merges the leaf at `place` of a parent with the one after it.
    fn merge_leaves(&mut self, parent: u32, place: usize) {
        let children = self.inner(parent).children();
        let (left, right) = (children[place], children[place + 1]);
        self.unlink(right);
        let gone = self.leaves.remove(right);
        let leaf = self.leaves.get_mut(left);
        let start = leaf.len();
        leaf.extend(&gone, 0..gone.len());
        self.move_slots(left, start..start + gone.len(), right, left);
        self.inner_mut(parent).add(place, gone.len() as u64);
        self.remove_child(parent, place + 1, 1);
    }

    /// Takes a leaf out of the chain.
    fn unlink(&mut self, id: u32) {
        let (previous, next) = (self.leaf(id).previous, self.leaf(id).next);
        match previous {
            NIL => self.first = next,
            other => self.leaves.get_mut(other).next = next,
        }
        match next {
            NIL => self.last = previous,
            other => self.leaves.get_mut(other).previous = previous,
        }
    }

    /// Takes a child out of an inner node that is `level` levels above the leaves.
    fn remove_child(&mut self, id: u32, at: usize, level: u32) {
        let inner = self.inner_mut(id);
        inner.remove(at);
        let (count, parent) = (inner.len(), inner.parent);
        if parent == NIL {
            return self.lower(count);
        }
        if count >= CHILDREN_FEW {
            return;
        }
        let place = self.inner(parent).place_of(id);
        if count == 0 {
            self.inners.remove(id);
            return self.remove_child(parent, place, level + 1);
        }
        let siblings = self.inner(parent).children();
        let fits = |other: u32| self.inner(other).len() + count <= CHILDREN_MERGED_MAX;
        if place > 0 && fits(siblings[place - 1]) {
            self.merge_inners(parent, place - 1, level);
        } else if place + 1 < siblings.len() && fits(siblings[place + 1]) {
            self.merge_inners(parent, place, level);
        }
    }

    /// Merges the inner node at `place` of a parent, `level` levels above the leaves, with the one
    /// after it.
    fn merge_inners(&mut self, parent: u32, place: usize, level: u32) {
        let above = self.inner(parent);
        let (left, right) = (above.children()[place], above.children()[place + 1]);
        let (separator, count) = (above.separator(place + 1), above.counts()[place + 1]);
        // Invariant: children are nodes in use.
        let mut gone = self.inners.remove(right).expect("a node in use");
        for &child in gone.children() {
            self.set_parent(child, level - 1, left);
        }
        gone.give(0, self.inner_mut(left), separator);
        self.inner_mut(parent).add(place, count);
        self.remove_child(parent, place + 1, level + 1);
    }

    /// Takes roots away that have one child, or none.
    fn lower(&mut self, mut children: usize) {
        while self.height > 0 && children <= 1 {
            let child = self.inner(self.root).children().first().copied();
            self.inners.remove(self.root);
            self.height = if child.is_some() { self.height - 1 } else { 0 };
            let child = child.unwrap_or_else(|| self.plant());
            self.root = child;
            self.set_parent(child, self.height, NIL);
            if self.height > 0 {
                children = self.inner(child).len();
            }
        }
    }

    /// An empty leaf, the only one.
    fn plant(&mut self) -> u32 {
        let leaf = self.leaves.insert(Leaf::new());
        (self.first, self.last) = (leaf, leaf);
        leaf
    }
}
