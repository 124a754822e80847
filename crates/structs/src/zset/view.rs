//! A view of a sorted set in either form: all that reads.

use std::ops::Range;

use crate::collection::Member;
use crate::packed::{Element, Iter};

use super::packed::{self, score_of};
use super::tree::{Backward, Cut, Forward, Tree};

/// A view of a sorted set.
#[derive(Clone, Copy, Debug)]
pub struct ZsetRef<'a>(pub(super) View<'a>);

#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    Packed(&'a [u8]),
    Tree(&'a Tree),
}

impl<'a> ZsetRef<'a> {
    /// Number of members.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match self.0 {
            View::Packed(bytes) => packed::len(bytes),
            View::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self.0 {
            View::Packed(bytes) => bytes.is_empty(),
            View::Tree(tree) => tree.len() == 0,
        }
    }

    /// Whether it is packed bytes.
    #[must_use]
    pub fn is_packed(self) -> bool {
        matches!(self.0, View::Packed(_))
    }

    /// The packed bytes, if it is packed.
    #[must_use]
    pub fn packed(self) -> Option<&'a [u8]> {
        match self.0 {
            View::Packed(bytes) => Some(bytes),
            View::Tree(_) => None,
        }
    }

    /// The score of a member.
    #[inline]
    #[must_use]
    pub fn score(self, member: Member<'_>) -> Option<f64> {
        match self.0 {
            View::Packed(bytes) => packed::find(bytes, member.bytes).map(|(_, score)| score),
            View::Tree(tree) => tree.find(member).map(|place| tree.entry(place).1),
        }
    }

    /// How many entries come before a member, and its score.
    #[inline]
    #[must_use]
    pub fn rank(self, member: Member<'_>) -> Option<(usize, f64)> {
        match self.0 {
            View::Packed(bytes) => {
                let (at, score) = packed::find(bytes, member.bytes)?;
                Some((packed::len(&bytes[..at]), score))
            }
            View::Tree(tree) => {
                let place = tree.find(member)?;
                Some((tree.rank(place), tree.entry(place).1))
            }
        }
    }

    /// How many entries come before a cut.
    #[must_use]
    pub fn count_before(self, cut: Cut<'_>) -> usize {
        match self.0 {
            View::Packed(bytes) => packed::count_before(bytes, cut),
            View::Tree(tree) => tree.rank(tree.seek(cut)),
        }
    }

    /// The entries of these ranks, which exist, in ascending order.
    #[inline]
    #[must_use]
    pub fn range(self, ranks: Range<usize>) -> Entries<'a> {
        Entries(match self.0 {
            View::Packed(bytes) => {
                let mut pairs = crate::packed::iter(bytes);
                pairs.skip_elements(ranks.start * 2);
                Source::Packed(pairs, ranks.len())
            }
            View::Tree(tree) => Source::Tree(tree.forward(tree.select(ranks.start), ranks.len())),
        })
    }

    /// The entries of these ranks, which exist, in descending order.
    #[must_use]
    pub fn range_back(self, ranks: Range<usize>) -> Entries<'a> {
        Entries(match self.0 {
            View::Packed(bytes) => {
                let mut pairs = crate::packed::iter(bytes);
                let after = packed::len(bytes) - ranks.end;
                for _ in 0..after {
                    pairs.next_back_pair();
                }
                Source::PackedBack(pairs, ranks.len())
            }
            View::Tree(tree) => {
                Source::TreeBack(tree.backward(tree.select(ranks.end), ranks.len()))
            }
        })
    }

    /// The entries after a cut in ascending order, to the end.
    #[must_use]
    pub fn after(self, cut: Cut<'_>) -> Entries<'a> {
        match self.0 {
            View::Packed(bytes) => Entries(Source::Packed(packed::after(bytes, cut), usize::MAX)),
            View::Tree(tree) => Entries(Source::Tree(tree.forward(tree.seek(cut), usize::MAX))),
        }
    }

    /// The entries before a cut in descending order, to the beginning.
    #[must_use]
    pub fn before(self, cut: Cut<'_>) -> Entries<'a> {
        match self.0 {
            View::Packed(bytes) => {
                Entries(Source::PackedBack(packed::before(bytes, cut), usize::MAX))
            }
            View::Tree(tree) => {
                Entries(Source::TreeBack(tree.backward(tree.seek(cut), usize::MAX)))
            }
        }
    }

    /// All entries in order.
    #[must_use]
    pub fn iter(self) -> Entries<'a> {
        Entries(match self.0 {
            View::Packed(bytes) => Source::Packed(crate::packed::iter(bytes), usize::MAX),
            View::Tree(tree) => Source::Tree(tree.forward(tree.select(0), usize::MAX)),
        })
    }

    /// Visits about `count` entries from a position on (0 is the beginning); returns the position
    /// to go on from, 0 at the end. Entries that stay from position 0 to the end are all visited,
    /// some perhaps twice. A packed set is visited as a whole.
    pub fn scan(self, position: u64, count: usize, mut visit: impl FnMut(Element<'a>, f64)) -> u64 {
        match self.0 {
            View::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            View::Tree(tree) => tree.scan(position, count, |member, score| {
                visit(Element::Bytes(member), score);
            }),
        }
    }
}

/// Entries one after the other: member and score. A member given as `Element::Bytes` may be the
/// text of an integer.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Packed(Iter<'a>, usize),
    PackedBack(Iter<'a>, usize),
    Tree(Forward<'a>),
    TreeBack(Backward<'a>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Tree(entries) => entries.next().map(|(m, score)| (Element::Bytes(m), score)),
            Source::TreeBack(entries) => {
                entries.next().map(|(m, score)| (Element::Bytes(m), score))
            }
            Source::Packed(pairs, left) => {
                *left = left.checked_sub(1)?;
                pairs.next_pair().map(|(m, score)| (m, score_of(score)))
            }
            Source::PackedBack(pairs, left) => {
                *left = left.checked_sub(1)?;
                pairs
                    .next_back_pair()
                    .map(|(m, score)| (m, score_of(score)))
            }
        }
    }
}
