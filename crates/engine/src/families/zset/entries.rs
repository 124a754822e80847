//! Entries in replies, and entries on their way into a new sorted set.

use resp::{Proto, Reply};
use structs::packed::Element;
use structs::zset::Zset;
use structs::{Member, Packing};

/// How entries are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Members alone.
    Members,
    /// Member and score in turn.
    Flat,
    /// An array of member and score each.
    Pairs,
}

impl Shape {
    /// With or without scores, as the protocol has them.
    #[inline]
    pub(super) fn of(with_scores: bool, out: &Reply) -> Shape {
        match (with_scores, out.proto()) {
            (false, _) => Shape::Members,
            (true, Proto::Resp2) => Shape::Flat,
            (true, Proto::Resp3) => Shape::Pairs,
        }
    }

    /// Length of the array of so many entries.
    #[inline]
    pub(super) fn len(self, entries: usize) -> usize {
        match self {
            Shape::Members | Shape::Pairs => entries,
            Shape::Flat => entries * 2,
        }
    }

    /// One entry.
    #[inline]
    pub(super) fn reply(self, member: Element<'_>, score: f64, out: &mut Reply) {
        if self == Shape::Pairs {
            out.array(2);
        }
        reply_member(member, out);
        if self != Shape::Members {
            out.double(score);
        }
    }
}

/// A member.
#[inline]
pub(in crate::families) fn reply_member(member: Element<'_>, out: &mut Reply) {
    match member {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(number) => out.bulk_int(number),
    }
}

struct Row {
    score: f64,
    hash: u64,
    start: usize,
    len: usize,
}

/// Entries in any order, which own their members.
#[derive(Default)]
pub(in crate::families) struct Gathered {
    texts: Vec<u8>,
    rows: Vec<Row>,
}

impl Gathered {
    /// Number of entries.
    pub(in crate::families) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The member at `at`.
    pub(super) fn text(&self, at: usize) -> &[u8] {
        let Row { start, len, .. } = self.rows[at];
        &self.texts[start..start + len]
    }

    /// The hash of the member at `at`.
    pub(super) fn hash(&self, at: usize) -> u64 {
        self.rows[at].hash
    }

    /// The score at `at`.
    pub(super) fn score_mut(&mut self, at: usize) -> &mut f64 {
        &mut self.rows[at].score
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, member: Member<'_>, score: f64) {
        let start = self.texts.len();
        self.texts.extend_from_slice(member.bytes);
        self.rows.push(Row {
            score,
            hash: member.hash,
            start,
            len: member.bytes.len(),
        });
    }

    /// Adds an entry whose member was not hashed yet.
    pub(in crate::families) fn push_element(
        &mut self,
        member: Element<'_>,
        score: f64,
        packing: &Packing,
    ) {
        let bytes = member
            .text(&mut structs::packed::IntText::default())
            .to_vec();
        self.push(Member::new(&bytes, &packing.seed), score);
    }

    /// Leaves out the entries for which `keep` is false.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Member<'_>) -> bool) {
        let texts = &self.texts;
        self.rows.retain(|row| {
            keep(Member {
                bytes: &texts[row.start..row.start + row.len],
                hash: row.hash,
            })
        });
    }

    /// Forgets the signs of zeros where packed bytes would, if the entries were added one by one.
    pub(super) fn as_if_packed(&mut self, packing: &Packing) {
        let entries_max = packing.zset_entries_max;
        let fitting = |row: &&mut Row| row.len <= packing.zset_value_max;
        for row in self.rows.iter_mut().take(entries_max).take_while(fitting) {
            row.score += 0.0;
        }
    }

    /// Brings the entries into the order of a sorted set.
    pub(in crate::families) fn sort(&mut self) {
        let texts = &self.texts;
        let text = |row: &Row| &texts[row.start..row.start + row.len];
        self.rows.sort_unstable_by(|a, b| {
            let scores = a.score.partial_cmp(&b.score);
            let scores = scores.unwrap_or(std::cmp::Ordering::Equal);
            scores.then_with(|| text(a).cmp(text(b)))
        });
    }

    /// The entries.
    pub(in crate::families) fn iter(&self) -> impl Iterator<Item = (Member<'_>, f64)> {
        self.rows.iter().map(|row| {
            let bytes = &self.texts[row.start..row.start + row.len];
            let hash = row.hash;
            (Member { bytes, hash }, row.score)
        })
    }

    /// The sorted set of these entries, which are in order.
    pub(in crate::families) fn into_zset(self, packing: &Packing) -> Zset {
        let longest = self.rows.iter().map(|row| row.len).max().unwrap_or(0);
        Zset::from_sorted(packing, self.len(), longest, self.iter())
    }
}
