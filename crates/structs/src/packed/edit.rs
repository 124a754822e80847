//! Changing a packed body in place. Every change moves the bytes behind it at most once.

use std::ops::Range;

use super::element::{Element, Encoded};
use super::next;

/// Appends one element. Amortised O(1).
#[inline]
pub fn push_back(body: &mut Vec<u8>, element: Element<'_>) {
    Encoded::new(element).append_to(body);
}

/// Appends all elements of another body.
#[inline]
pub fn append(body: &mut Vec<u8>, other: &[u8]) {
    body.extend_from_slice(other);
}

/// Puts one element before all others. O(bytes).
#[inline]
pub fn push_front(body: &mut Vec<u8>, element: Element<'_>) {
    insert(body, 0, element);
}

/// Puts one element before the one at `position`, or at the end.
#[inline]
pub fn insert(body: &mut Vec<u8>, position: usize, element: Element<'_>) {
    let encoded = Encoded::new(element);
    let gap = open(body, position..position, encoded.len());
    encoded.write(gap);
}

/// Puts one element in the place of the one at `position`.
#[inline]
pub fn replace(body: &mut Vec<u8>, position: usize, element: Element<'_>) {
    let encoded = Encoded::new(element);
    let old = position..next(body, position);
    encoded.write(open(body, old, encoded.len()));
}

/// Removes up to `count` elements from `position` on; returns how many.
pub fn remove(body: &mut Vec<u8>, position: usize, count: usize) -> usize {
    let (mut end, mut removed) = (position, 0);
    while removed < count && end < body.len() {
        end = next(body, end);
        removed += 1;
    }
    body.drain(position..end);
    removed
}

/// Removes the elements at these positions, which ascend; the others move once.
pub fn remove_all(body: &mut Vec<u8>, positions: &[usize]) {
    let Some(&first) = positions.first() else {
        return;
    };
    let mut kept_end = first;
    for (index, &position) in positions.iter().enumerate() {
        let start = next(body, position);
        let end = positions.get(index + 1).copied().unwrap_or(body.len());
        body.copy_within(start..end, kept_end);
        kept_end += end - start;
    }
    body.truncate(kept_end);
}

/// Removes everything before `position`.
pub fn truncate_front(body: &mut Vec<u8>, position: usize) {
    body.drain(..position);
}

/// Puts `elements` in the place of those in `range`, which begins and ends at positions.
pub fn splice(body: &mut Vec<u8>, range: Range<usize>, elements: &[Element<'_>]) {
    let len = elements.iter().map(|element| element.packed_len()).sum();
    let mut gap = open(body, range, len);
    for &element in elements {
        gap = Encoded::new(element).write(gap);
    }
}

/// Makes the bytes in `range` `len` bytes; returns them, to be overwritten.
#[inline]
fn open(body: &mut Vec<u8>, range: Range<usize>, len: usize) -> &mut [u8] {
    let (start, end, old_len) = (range.start, range.end, body.len());
    let new_end = start + len;
    if new_end > end {
        body.resize(old_len + (new_end - end), 0);
    }
    body.copy_within(end..old_len, new_end);
    body.truncate(old_len - end + new_end);
    &mut body[start..new_end]
}
