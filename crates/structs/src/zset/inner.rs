//! An inner node of the tree: up to 64 children with the number of entries below each, and what
//! separates them.
//!
//! The separator before child `i` is a score and the first eight bytes of a member. It is a lower
//! bound of the child's entries and an upper bound of those of the children before, in this
//! shortened order. Where it equals what is sought, the child's first entry decides. The separator
//! before child 0 is never looked at.

use crate::shared::Weighed;

/// Most children. Few in tests, so that small trees are deep.
pub(super) const CHILDREN_MAX: usize = if cfg!(test) { 8 } else { 64 };

/// What a member is compared with first: its score and the first eight bytes of its text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Separator {
    pub(super) score: f64,
    pub(super) prefix: u64,
}

impl Separator {
    #[inline]
    pub(super) fn new(score: f64, member: &[u8]) -> Separator {
        Separator {
            score,
            prefix: prefix(member),
        }
    }
}

/// The first eight bytes as a number that sorts as they do; missing ones are zero.
#[inline]
pub(super) fn prefix(member: &[u8]) -> u64 {
    match member.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => member
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
            .checked_shl(64 - 8 * member.len() as u32)
            .unwrap_or(0),
    }
}

/// See the module's head.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    scores: [f64; CHILDREN_MAX],
    prefixes: [u64; CHILDREN_MAX],
    counts: [u64; CHILDREN_MAX],
    children: [u32; CHILDREN_MAX],
    /// The inner node above; `NIL` for the root.
    pub(super) parent: u32,
    len: u32,
}

impl Weighed for Option<Box<Inner>> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, |_| size_of::<Inner>())
    }
}

impl Inner {
    pub(super) fn new(parent: u32) -> Inner {
        Inner {
            scores: [0.0; CHILDREN_MAX],
            prefixes: [0; CHILDREN_MAX],
            counts: [0; CHILDREN_MAX],
            children: [0; CHILDREN_MAX],
            parent,
            len: 0,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// The children, in order.
    #[inline]
    pub(super) fn children(&self) -> &[u32] {
        &self.children[..self.len()]
    }

    /// The number of entries below each child.
    #[inline]
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts[..self.len()]
    }

    /// All entries below.
    pub(super) fn total(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Entries below the children before this one.
    #[inline]
    pub(super) fn before(&self, at: usize) -> u64 {
        self.counts[..at].iter().sum()
    }

    /// Where a child is.
    #[inline]
    pub(super) fn place_of(&self, child: u32) -> usize {
        let children = self.children();
        // Invariant: parent links and children agree.
        children.iter().position(|&id| id == child).unwrap_or(0)
    }

    #[inline]
    pub(super) fn separator(&self, at: usize) -> Separator {
        Separator {
            score: self.scores[at],
            prefix: self.prefixes[at],
        }
    }

    #[inline]
    pub(super) fn add(&mut self, at: usize, entries: u64) {
        self.counts[at] += entries;
    }

    #[inline]
    pub(super) fn subtract(&mut self, at: usize, entries: u64) {
        self.counts[at] -= entries;
    }

    pub(super) fn set_count(&mut self, at: usize, entries: u64) {
        self.counts[at] = entries;
    }

    pub(super) fn set_separator(&mut self, at: usize, separator: Separator) {
        (self.scores[at], self.prefixes[at]) = (separator.score, separator.prefix);
    }

    /// Puts a child in; there is room.
    pub(super) fn insert(&mut self, at: usize, child: u32, count: u64, separator: Separator) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.prefixes.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.children.copy_within(at..len, at + 1);
        self.set_separator(at, separator);
        self.counts[at] = count;
        self.children[at] = child;
        self.len += 1;
    }

    /// Takes a child out.
    pub(super) fn remove(&mut self, at: usize) {
        let len = self.len();
        self.scores.copy_within(at + 1..len, at);
        self.prefixes.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.children.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Moves the children from `from` on to the end of `to`, the first with this separator.
    pub(super) fn give(&mut self, from: usize, to: &mut Inner, first: Separator) {
        for at in from..self.len() {
            let separator = if at == from {
                first
            } else {
                self.separator(at)
            };
            to.insert(to.len(), self.children[at], self.counts[at], separator);
        }
        self.len = from as u32;
    }

    /// The children among which the place of `wanted` is: the last whose separator is before it,
    /// and those after that have the same separator as it. One, unless separators are equal to it.
    #[inline]
    pub(super) fn candidates(&self, wanted: Separator) -> (usize, usize) {
        let len = self.len();
        let scores = &self.scores[1..len];
        let start = count(scores, |score| score < wanted.score);
        if start == scores.len() || scores[start] != wanted.score {
            return (start, start);
        }
        let equal = scores[start..].partition_point(|&score| score <= wanted.score);
        let prefixes = &self.prefixes[1 + start..1 + start + equal];
        let first = prefixes.partition_point(|&prefix| prefix < wanted.prefix);
        let last = prefixes.partition_point(|&prefix| prefix <= wanted.prefix);
        (start + first, start + last)
    }

    /// The last child whose separator's score is below `score` (or at most `score`), or the first.
    #[inline]
    pub(super) fn child_by_score(&self, score: f64, inclusive: bool) -> usize {
        let scores = &self.scores[1..self.len()];
        if inclusive {
            count(scores, |other| other <= score)
        } else {
            count(scores, |other| other < score)
        }
    }

    /// As `candidates`, by the member alone.
    pub(super) fn candidates_by_member(&self, prefix: u64) -> (usize, usize) {
        let prefixes = &self.prefixes[1..self.len()];
        let first = prefixes.partition_point(|&other| other < prefix);
        let last = prefixes.partition_point(|&other| other <= prefix);
        (first, last.max(first))
    }

    /// The child with the entry at `rank` below this node, and the entry's rank below the child.
    #[inline]
    pub(super) fn child_by_rank(&self, mut rank: u64) -> (usize, u64) {
        let counts = self.counts();
        for (at, &count) in counts.iter().enumerate() {
            if rank < count {
                return (at, rank);
            }
            rank -= count;
        }
        let last = counts.len() - 1;
        (last, rank + counts[last])
    }
}

/// How many scores are such. All are looked at, so that no cache line is waited for before the next
/// is asked for.
#[inline]
fn count(scores: &[f64], such: impl Fn(f64) -> bool) -> usize {
    let such = scores.iter().map(|&score| u64::from(such(score)));
    such.sum::<u64>() as usize
}
