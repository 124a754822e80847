//! Packed runs of elements: the body of Redis's listpack, without its six-byte head and its end
//! mark (`to_listpack` adds them).
//!
//! ```text
//! body      element*
//! element   encoding  backlen
//! encoding  0vvvvvvv                      integer 0..=127
//!           10llllll  bytes               text of 0..=63 bytes
//!           110vvvvv v                    integer of 13 bits, high bits first
//!           1110llll l  bytes             text of 64..=4095 bytes, high bits first
//!           11110000 l l l l  bytes       longer text, length in little endian
//!           11110001..11110100  v...      integer of 16, 24, 32, 64 bits in little endian
//! backlen   1 to 5 bytes, read from right to left, 7 bits each, high bit set where one more
//!           follows: the length of the encoding, so that one can go backwards
//! ```
//!
//! Elements are texts; one that is the canonical text of an `i64` is kept as that integer, in the
//! shortest encoding ([`Element::of`] decides). So equal texts have equal bytes, which `find`
//! relies on. A *position* is the offset of an element's first byte, or the body's length.
//!
//! All functions but those of untrusted bytes (`validate`, `from_listpack`) take bodies that these
//! functions made or accepted; other bytes give wrong answers or a panic, never worse. There is no
//! stored count: who needs one keeps it. Source of the format: listpack.c of Redis 7.

use std::ops::Range;

mod edit;
mod element;
mod listpack;

pub use edit::{
    append, insert, push_back, push_front, remove, remove_all, replace, splice, truncate_front,
};
pub use element::{Element, Encoded, IntText, encoding_len};
pub use listpack::{from_listpack, to_listpack, validate};

use element::{backlen_size, decode};

/// The element at `position`, which is not the end.
#[inline]
#[must_use]
pub fn get(body: &[u8], position: usize) -> Element<'_> {
    decode(body, position).0
}

/// The position after the element at `position`. O(1).
#[inline]
#[must_use]
pub fn next(body: &[u8], position: usize) -> usize {
    // Short elements first: the length of what is passed over is all that a walk waits for.
    match body[position] {
        ..0x80 => position + 2,
        lead @ 0x80..0xc0 => position + 2 + usize::from(lead & 0x3f),
        _ => {
            let len = encoding_len(body, position);
            position + len + backlen_size(len)
        }
    }
}

/// The position of the element before `position`; `None` at the beginning. O(1).
#[inline]
#[must_use]
pub fn previous(body: &[u8], position: usize) -> Option<usize> {
    if position == 0 {
        return None;
    }
    let (mut at, mut len, mut shift) = (position - 1, 0, 0);
    while body[at] & 0x80 != 0 {
        len |= usize::from(body[at] & 0x7f) << shift;
        shift += 7;
        at -= 1;
    }
    len |= usize::from(body[at]) << shift;
    Some(at - len)
}

/// The elements in order, from both ends.
#[inline]
#[must_use]
pub fn iter(body: &[u8]) -> Iter<'_> {
    Iter {
        body,
        front: 0,
        back: body.len(),
    }
}

/// The elements from `position` on.
#[inline]
#[must_use]
pub fn iter_from(body: &[u8], position: usize) -> Iter<'_> {
    Iter {
        body,
        front: position,
        back: body.len(),
    }
}

/// The elements between two positions.
#[inline]
#[must_use]
pub fn iter_between(body: &[u8], positions: Range<usize>) -> Iter<'_> {
    Iter {
        body,
        front: positions.start,
        back: positions.end,
    }
}

/// Elements in order; both ends can be taken from. Also a cursor: it knows its positions.
#[derive(Clone, Copy, Debug)]
pub struct Iter<'a> {
    body: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iter<'a> {
    /// Position of the element that `next` gives.
    #[inline]
    #[must_use]
    pub fn position(&self) -> usize {
        self.front
    }

    /// Position after the element that `next_back` gives.
    #[inline]
    #[must_use]
    pub fn back_position(&self) -> usize {
        self.back
    }

    /// Passes over up to `count` elements without decoding them.
    #[inline]
    pub fn skip_elements(&mut self, count: usize) {
        for _ in 0..count {
            if self.front >= self.back {
                return;
            }
            self.front = next(self.body, self.front);
        }
    }

    /// Two at a time: a field and its value, a member and its score. `None` when fewer than two are
    /// left.
    #[inline]
    pub fn next_pair(&mut self) -> Option<(Element<'a>, Element<'a>)> {
        Some((self.next()?, self.next()?))
    }

    /// The last two, in their order.
    #[inline]
    pub fn next_back_pair(&mut self) -> Option<(Element<'a>, Element<'a>)> {
        let second = self.next_back()?;
        Some((self.next_back()?, second))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (element, after) = decode(self.body, self.front);
        self.front = after;
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = previous(self.body, self.back)?;
        Some(get(self.body, self.back))
    }
}

/// How many elements there are. O(n).
#[must_use]
pub fn count(body: &[u8]) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < body.len() {
        at = next(body, at);
        count += 1;
    }
    count
}

/// Position of the element with this index, from the front; `None` if there are fewer. O(index).
#[must_use]
pub fn seek(body: &[u8], index: usize) -> Option<usize> {
    let mut at = 0;
    for _ in 0..index {
        if at >= body.len() {
            return None;
        }
        at = next(body, at);
    }
    (at < body.len()).then_some(at)
}

/// Position of the element with this index counted from the back (0 = the last); `None` if there
/// are fewer. O(index).
#[must_use]
pub fn seek_back(body: &[u8], index: usize) -> Option<usize> {
    let mut at = previous(body, body.len())?;
    for _ in 0..index {
        at = previous(body, at)?;
    }
    Some(at)
}

/// The first element, if any.
#[inline]
#[must_use]
pub fn first(body: &[u8]) -> Option<Element<'_>> {
    iter(body).next()
}

/// The last element, if any.
#[inline]
#[must_use]
pub fn last(body: &[u8]) -> Option<Element<'_>> {
    iter(body).next_back()
}

/// Position of the first element equal to `wanted` at or after `position`. After each compared
/// element `skip` others are passed over: 1 looks at the fields of a hash and not at its values.
///
/// Compares encoded bytes; no element is decoded or formatted. O(n).
#[must_use]
pub fn find(body: &[u8], position: usize, wanted: Element<'_>, skip: usize) -> Option<usize> {
    let wanted = Encoded::new(wanted);
    let mut at = position;
    while at < body.len() {
        if wanted.is_at(body, at) {
            return Some(at);
        }
        at = next(body, at);
        for _ in 0..skip {
            if at >= body.len() {
                return None;
            }
            at = next(body, at);
        }
    }
    None
}

/// All elements equal to `wanted`: their indexes and positions, in order.
#[inline]
#[must_use]
pub fn search<'b>(body: &'b [u8], wanted: &'b Encoded<'b>) -> Search<'b> {
    Search {
        body,
        wanted,
        at: 0,
        index: 0,
    }
}

/// What [`search`] finds.
#[derive(Clone, Debug)]
pub struct Search<'b> {
    body: &'b [u8],
    wanted: &'b Encoded<'b>,
    at: usize,
    index: usize,
}

impl Iterator for Search<'_> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        while self.at < self.body.len() {
            let here = (self.index, self.at);
            self.at = next(self.body, self.at);
            self.index += 1;
            if self.wanted.is_at(self.body, here.1) {
                return Some(here);
            }
        }
        None
    }
}

/// The same from the back: the last element has index 0.
#[inline]
#[must_use]
pub fn search_back<'b>(body: &'b [u8], wanted: &'b Encoded<'b>) -> SearchBack<'b> {
    SearchBack {
        body,
        wanted,
        at: body.len(),
        index: 0,
    }
}

/// What [`search_back`] finds.
#[derive(Clone, Debug)]
pub struct SearchBack<'b> {
    body: &'b [u8],
    wanted: &'b Encoded<'b>,
    at: usize,
    index: usize,
}

impl Iterator for SearchBack<'_> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        while let Some(at) = previous(self.body, self.at) {
            self.at = at;
            self.index += 1;
            if self.wanted.is_at(self.body, at) {
                return Some((self.index - 1, at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
