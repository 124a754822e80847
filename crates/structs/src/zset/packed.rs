//! The packed form of a sorted set: member and score in turn, in order.
//!
//! Scores are elements as Redis's listpacks have them: whole numbers up to 2^62 as integers, others
//! as the text of the double.

use std::cmp::Ordering;
use std::ops::Range;

use base::double::{DoubleText, format_double};
use base::num::parse_f64;

use crate::collection::Member;
use crate::packed::{self, Element, IntText, Iter};
use crate::packing::Packing;

use super::tree::{Cut, Tree};

/// Beyond this a score is kept as text.
const INTEGER_MAX: f64 = (1_u64 << 62) as f64;

/// The element that a score is kept as.
#[inline]
fn score_element(score: f64, text: &mut DoubleText) -> Element<'_> {
    if score.trunc() == score && score.abs() < INTEGER_MAX {
        Element::Int(score as i64)
    } else {
        Element::of(format_double(score, text))
    }
}

/// The score that an element stands for.
#[inline]
pub(super) fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(number) => number as f64,
        // Invariant: scores are written by `score_element` or were validated.
        Element::Bytes(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// Checks a body from outside, and returns its number of members: members and scores in turn, in
/// ascending order, no score NaN. `None` if it is none. Does not look for members that are there
/// twice with different scores.
#[must_use]
pub fn validate(body: &[u8]) -> Option<usize> {
    let elements = packed::validate(body)?;
    if !elements.is_multiple_of(2) {
        return None;
    }
    let mut pairs = packed::iter(body);
    let mut previous: Option<(f64, Element<'_>)> = None;
    while let Some((member, score)) = pairs.next_pair() {
        let score = match score {
            Element::Int(number) => number as f64,
            Element::Bytes(text) => parse_f64(text)?,
        };
        if let Some((before, other)) = previous {
            let in_order = before < score || before == score && is_before(other, member);
            if !in_order {
                return None;
            }
        }
        previous = Some((score, member));
    }
    Some(elements / 2)
}

/// Number of entries. O(n).
#[inline]
pub(super) fn len(body: &[u8]) -> usize {
    packed::count(body) / 2
}

/// Position and score of a member.
#[inline]
pub(super) fn find(body: &[u8], member: &[u8]) -> Option<(usize, f64)> {
    let at = packed::find(body, 0, Element::of(member), 1)?;
    let score = packed::get(body, packed::next(body, at));
    Some((at, score_of(score)))
}

/// How an element's text sorts against `text`.
#[inline]
pub(super) fn compare(element: Element<'_>, text: &[u8]) -> Ordering {
    element.text(&mut IntText::default()).cmp(text)
}

fn is_before(element: Element<'_>, other: Element<'_>) -> bool {
    compare(element, other.text(&mut IntText::default())) == Ordering::Less
}

/// Adds an entry after all others.
pub(super) fn push(body: &mut Vec<u8>, member: &[u8], score: f64) {
    let mut text = DoubleText::default();
    packed::push_back(body, Element::of(member));
    packed::push_back(body, score_element(score, &mut text));
}

/// Adds a member that is not there.
pub(super) fn insert(body: &mut Vec<u8>, member: &[u8], score: f64) {
    let mut text = DoubleText::default();
    let at = position(body, member, score);
    let entry = [Element::of(member), score_element(score, &mut text)];
    packed::splice(body, at..at, &entry);
}

/// Where an entry belongs.
fn position(body: &[u8], member: &[u8], score: f64) -> usize {
    // Most entries come after all others.
    let mut last = packed::iter(body);
    match last.next_back_pair() {
        None => return 0,
        Some((_, other)) if score_of(other) < score => return body.len(),
        Some(_) => {}
    }
    let mut pairs = packed::iter(body);
    loop {
        let at = pairs.position();
        let Some((other, other_score)) = pairs.next_pair() else {
            return at;
        };
        let other_score = score_of(other_score);
        if other_score > score || other_score == score && compare(other, member).is_gt() {
            return at;
        }
    }
}

/// Takes the entry at a position out.
pub(super) fn remove(body: &mut Vec<u8>, at: usize) {
    packed::remove(body, at, 2);
}

/// Takes the entries of these ranks out.
pub(super) fn remove_ranks(body: &mut Vec<u8>, ranks: Range<usize>) {
    let start = packed::seek(body, ranks.start * 2).unwrap_or(body.len());
    packed::remove(body, start, ranks.len() * 2);
}

/// How many entries come before a cut: those at the beginning for which it is so.
pub(super) fn count_before(body: &[u8], cut: Cut<'_>) -> usize {
    let mut pairs = packed::iter(body);
    let mut count = 0;
    while let Some((member, score)) = pairs.next_pair()
        && cut.is_after(member, score_of(score))
    {
        count += 1;
    }
    count
}

/// The entries after a cut.
pub(super) fn after<'a>(body: &'a [u8], cut: Cut<'_>) -> Iter<'a> {
    let mut pairs = packed::iter(body);
    loop {
        let rest = pairs;
        match pairs.next_pair() {
            Some((member, score)) if cut.is_after(member, score_of(score)) => {}
            _ => return rest,
        }
    }
}

/// The entries before a cut, to be taken from the back.
pub(super) fn before<'a>(body: &'a [u8], cut: Cut<'_>) -> Iter<'a> {
    let mut pairs = packed::iter(body);
    loop {
        let rest = pairs;
        match pairs.next_back_pair() {
            Some((member, score)) if !cut.is_after(member, score_of(score)) => {}
            _ => return rest,
        }
    }
}

/// The tree with the same entries.
pub(super) fn to_tree(body: &[u8], packing: &Packing) -> Tree {
    let mut tree = Tree::new(packing.seed);
    let mut pairs = packed::iter(body);
    let mut text = IntText::default();
    while let Some((member, score)) = pairs.next_pair() {
        let bytes = member.text(&mut text);
        tree.push(Member::new(bytes, &packing.seed), score_of(score));
    }
    tree
}
