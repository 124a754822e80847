//! The ends of ranges, as commands write them: ranks, scores (`(1.5`, `-inf`), members (`[a`, `+`).

use std::ops::Range;

use structs::packed::Element;
use structs::zset::{Cut, ZsetRef};

use crate::failure::Failure;

const NOT_SCORES: Failure = Failure::fixed("ERR min or max is not a float");
const NOT_MEMBERS: Failure = Failure::fixed("ERR min or max not valid string range item");

/// The entries between two cuts.
#[derive(Clone, Copy)]
pub(in crate::families) struct Interval<'a> {
    pub(in crate::families) low: Cut<'a>,
    pub(in crate::families) high: Cut<'a>,
}

impl<'a> Interval<'a> {
    /// Between two scores.
    pub(super) fn of_scores(min: &[u8], max: &[u8]) -> Result<Interval<'a>, Failure> {
        let (min, max) = (score_end(min)?, score_end(max)?);
        Ok(Interval {
            low: match min {
                (score, true) => Cut::AboveScore(score),
                (score, false) => Cut::BelowScore(score),
            },
            high: match max {
                (score, true) => Cut::BelowScore(score),
                (score, false) => Cut::AboveScore(score),
            },
        })
    }

    /// Between two members.
    pub(super) fn of_members(min: &'a [u8], max: &'a [u8]) -> Result<Interval<'a>, Failure> {
        Ok(Interval {
            low: member_end(min, Cut::BelowMember, Cut::AboveMember)?,
            high: member_end(max, Cut::AboveMember, Cut::BelowMember)?,
        })
    }

    /// The ranks of its entries.
    pub(in crate::families) fn ranks(self, zset: ZsetRef<'_>) -> Range<usize> {
        let low = zset.count_before(self.low);
        low..zset.count_before(self.high).max(low)
    }

    /// Whether an entry that is not below it is in it.
    #[inline]
    pub(super) fn reaches(self, member: Element<'_>, score: f64) -> bool {
        self.high.is_after(member, score)
    }

    /// Whether an entry that is not above it is in it.
    #[inline]
    pub(super) fn starts_before(self, member: Element<'_>, score: f64) -> bool {
        !self.low.is_after(member, score)
    }
}

/// A score, and whether it is itself left out.
///
/// Compat: no number at all is 0, one too large is infinite, and hexadecimal ones are none, unlike
/// the scores of ZADD.
fn score_end(text: &[u8]) -> Result<(f64, bool), Failure> {
    let (number, left_out) = match text {
        [b'(', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    if number.is_empty() {
        return Ok((0.0, left_out));
    }
    let score = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse().ok());
    score
        .filter(|score: &f64| !score.is_nan())
        .map(|score| (score, left_out))
        .ok_or(NOT_SCORES)
}

fn member_end<'a>(
    text: &'a [u8],
    included: fn(&'a [u8]) -> Cut<'a>,
    left_out: fn(&'a [u8]) -> Cut<'a>,
) -> Result<Cut<'a>, Failure> {
    match text {
        [b'[', member @ ..] => Ok(included(member)),
        [b'(', member @ ..] => Ok(left_out(member)),
        [b'-'] | [b'-', 0, ..] => Ok(Cut::Start),
        [b'+'] | [b'+', 0, ..] => Ok(Cut::End),
        _ => Err(NOT_MEMBERS),
    }
}

/// The ranks from `start` to `end`, both included; negative ones count from the last.
pub(super) fn ranks(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_first = |rank: i64| {
        if rank < 0 {
            rank.saturating_add(len)
        } else {
            rank
        }
    };
    let start = from_first(start).max(0);
    let end = from_first(end).min(len - 1);
    if start > end {
        return 0..0;
    }
    start as usize..end as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_never_leave_the_set() {
        let edges = [i64::MIN, -4, -3, -1, 0, 1, 2, 3, i64::MAX];
        for len in 0..4 {
            for start in edges {
                for end in edges {
                    let range = ranks(start, end, len);
                    assert!(range.start <= range.end && range.end <= len);
                }
            }
        }
        assert_eq!(ranks(-2, -1, 3), 1..3);
        assert_eq!(ranks(0, -1, 0), 0..0);
    }

    #[test]
    fn scores_as_redis_reads_them() {
        let read = |text: &str| score_end(text.as_bytes()).ok();
        assert_eq!(read("(1.5"), Some((1.5, true)));
        assert_eq!(read(""), Some((0.0, false)));
        assert_eq!(read("("), Some((0.0, true)));
        assert_eq!(read("-1e999"), Some((f64::NEG_INFINITY, false)));
        assert_eq!(read("+inf"), Some((f64::INFINITY, false)));
        for text in ["nan", "(nan", "1x", "((1", "x", "0x10", " 1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
