//! Going through the entries in order, forwards and backwards.

use super::super::leaf::{Leaf, NIL};
use super::{Place, Tree};

impl Tree {
    /// Entries from a place on, at most `count` of them.
    pub(in crate::zset) fn forward(&self, place: Place, count: usize) -> Forward<'_> {
        Forward {
            tree: self,
            leaf: self.leaf(place.leaf),
            at: place.at,
            left: count,
        }
    }

    /// Entries before a place, backwards, at most `count` of them.
    pub(in crate::zset) fn backward(&self, place: Place, count: usize) -> Backward<'_> {
        Backward {
            tree: self,
            leaf: self.leaf(place.leaf),
            at: place.at,
            left: count,
        }
    }
}

/// Entries in order. See [`Tree::forward`].
#[derive(Clone, Copy, Debug)]
pub(in crate::zset) struct Forward<'a> {
    tree: &'a Tree,
    leaf: &'a Leaf,
    at: usize,
    left: usize,
}

impl<'a> Iterator for Forward<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        while self.at >= self.leaf.len() {
            if self.leaf.next == NIL {
                return None;
            }
            (self.leaf, self.at) = (self.tree.leaf(self.leaf.next), 0);
        }
        let (at, leaf) = (self.at, self.leaf);
        self.at += 1;
        self.left -= 1;
        Some((leaf.member(at, &self.tree.longs), leaf.score(at)))
    }
}

/// Entries in reverse order. See [`Tree::backward`].
#[derive(Clone, Copy, Debug)]
pub(in crate::zset) struct Backward<'a> {
    tree: &'a Tree,
    leaf: &'a Leaf,
    at: usize,
    left: usize,
}

impl<'a> Iterator for Backward<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        while self.at == 0 {
            if self.leaf.previous == NIL {
                return None;
            }
            self.leaf = self.tree.leaf(self.leaf.previous);
            self.at = self.leaf.len();
        }
        self.at -= 1;
        self.left -= 1;
        let leaf = self.leaf;
        Some((leaf.member(self.at, &self.tree.longs), leaf.score(self.at)))
    }
}
