//! Packed hashes without deadlines: field and value in turn, in the order of their first setting.
//! The body of Redis's listpack-encoded hash.

use crate::packed::{self, Element};

/// Elements of one field.
pub(super) const WIDTH: usize = 2;

/// Position of a field.
#[inline]
pub(super) fn find(body: &[u8], field: &[u8]) -> Option<usize> {
    packed::find(body, 0, Element::of(field), WIDTH - 1)
}

/// The value of the field at `at`.
#[inline]
pub(super) fn value(body: &[u8], at: usize) -> Element<'_> {
    packed::get(body, packed::next(body, at))
}

/// Sets a field; whether it is new.
#[inline]
pub(super) fn set(body: &mut Vec<u8>, field: &[u8], value: &[u8]) -> bool {
    match find(body, field) {
        Some(at) => {
            packed::replace(body, packed::next(body, at), Element::of(value));
            false
        }
        None => {
            packed::push_back(body, Element::of(field));
            packed::push_back(body, Element::of(value));
            true
        }
    }
}

/// Removes a field; whether it was there.
pub(super) fn remove(body: &mut Vec<u8>, field: &[u8]) -> bool {
    let Some(at) = find(body, field) else {
        return false;
    };
    packed::remove(body, at, WIDTH);
    true
}
