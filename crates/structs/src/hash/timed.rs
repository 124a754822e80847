//! Packed hashes with deadlines: field, value and deadline in turn, the fields that end first
//! coming first. The body of Redis's `listpackex`.
//!
//! A deadline is a Unix time in milliseconds; [`NO_DEADLINE`] stands for none, and fields without
//! one come last, in the order in which they came to be without one. Among equal deadlines the one
//! set last comes first.

use base::num::I64_TEXT_MAX;
use base::time::UnixMillis;

use super::Until;
use crate::packed::{self, Element};

/// Elements of one field.
pub(super) const WIDTH: usize = 3;
const NO_DEADLINE: i64 = 0;

/// Position of a field.
#[inline]
pub(super) fn find(body: &[u8], field: &[u8]) -> Option<usize> {
    packed::find(body, 0, Element::of(field), WIDTH - 1)
}

/// Value and deadline of the field at `at`, and the position after it.
#[inline]
pub(super) fn value(body: &[u8], at: usize) -> (Element<'_>, Option<UnixMillis>, usize) {
    let mut rest = packed::iter_from(body, packed::next(body, at));
    let value = rest.next().unwrap_or(Element::Int(0));
    let deadline = match rest.next() {
        Some(Element::Int(NO_DEADLINE)) | Some(Element::Bytes(_)) | None => None,
        Some(Element::Int(millis)) => Some(UnixMillis(millis)),
    };
    (value, deadline, rest.position())
}

/// The earliest deadline.
#[inline]
pub(super) fn soonest(body: &[u8]) -> Option<UnixMillis> {
    if body.is_empty() {
        return None;
    }
    value(body, 0).1
}

/// Position of the first field that is not due: all before it are.
#[inline]
pub(super) fn first_live(body: &[u8], now: UnixMillis) -> usize {
    let mut at = 0;
    while at < body.len() {
        let (_, deadline, after) = value(body, at);
        if deadline.is_none_or(|deadline| deadline > now) {
            break;
        }
        at = after;
    }
    at
}

/// Where a field with this deadline belongs.
fn place(body: &[u8], deadline: Option<UnixMillis>) -> usize {
    let Some(wanted) = deadline else {
        return body.len();
    };
    let mut at = 0;
    while at < body.len() {
        let (_, deadline, after) = value(body, at);
        if deadline.is_none_or(|deadline| deadline >= wanted) {
            break;
        }
        at = after;
    }
    at
}

fn insert(body: &mut Vec<u8>, field: &[u8], value: &[u8], deadline: Option<UnixMillis>) {
    let at = place(body, deadline);
    let millis = deadline.map_or(NO_DEADLINE, |deadline| deadline.0);
    let triple = [Element::of(field), Element::of(value), Element::Int(millis)];
    packed::splice(body, at..at, &triple);
}

/// Sets a field; whether it is new.
pub(super) fn set(body: &mut Vec<u8>, field: &[u8], new: &[u8], until: Until) -> bool {
    let at = find(body, field);
    let deadline = match until {
        Until::Forever | Until::Kept => None,
        Until::At(deadline) => Some(deadline),
    };
    if let Some(at) = at {
        let (_, old, after) = value(body, at);
        if until == Until::Kept || old.is_none() && deadline.is_none() {
            packed::replace(body, packed::next(body, at), Element::of(new));
            return false;
        }
        body.drain(at..after);
    }
    insert(body, field, new, deadline);
    at.is_none()
}

/// Gives a field another deadline, or none; whether it is there.
pub(super) fn set_deadline(body: &mut Vec<u8>, field: &[u8], deadline: Option<UnixMillis>) -> bool {
    let Some(at) = find(body, field) else {
        return false;
    };
    let (old, _, after) = value(body, at);
    let mut text = Vec::new();
    old.append_to(&mut text);
    body.drain(at..after);
    insert(body, field, &text, deadline);
    true
}

/// Removes a field; whether it was there.
pub(super) fn remove(body: &mut Vec<u8>, field: &[u8]) -> bool {
    let Some(at) = find(body, field) else {
        return false;
    };
    packed::remove(body, at, WIDTH);
    true
}

/// Removes up to `max` fields that are due, handing each to `removed`; how many.
pub(super) fn expire(
    body: &mut Vec<u8>,
    now: UnixMillis,
    max: usize,
    mut removed: impl FnMut(&[u8]),
) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < body.len() && count < max {
        let (_, deadline, after) = value(body, at);
        if deadline.is_none_or(|deadline| deadline > now) {
            break;
        }
        removed(packed::get(body, at).text(&mut [0; I64_TEXT_MAX]));
        at = after;
        count += 1;
    }
    packed::truncate_front(body, at);
    count
}

/// The same fields with room for deadlines.
pub(super) fn from_pairs(pairs: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(pairs.len() + pairs.len() / 2);
    let mut rest = packed::iter(pairs);
    while let Some((field, value)) = rest.next_pair() {
        packed::push_back(&mut body, field);
        packed::push_back(&mut body, value);
        packed::push_back(&mut body, Element::Int(NO_DEADLINE));
    }
    body
}

/// Whether these elements, which are a valid body, are fields with deadlines in order.
pub(super) fn is_ordered(body: &[u8]) -> bool {
    let (mut at, mut last) = (0, 1);
    while at < body.len() {
        let third = packed::next(body, packed::next(body, at));
        let Element::Int(millis) = packed::get(body, third) else {
            return false;
        };
        let key = if millis == NO_DEADLINE {
            i64::MAX
        } else {
            millis
        };
        if key < last {
            return false;
        }
        last = key;
        at = packed::next(body, third);
    }
    true
}
