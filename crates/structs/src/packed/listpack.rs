//! Between a body and Redis's listpack, and bytes from outside.

use std::borrow::Cow;

use super::edit::push_back;
use super::element::{Element, decode_checked};

/// Total length in 4 bytes and count in 2, little endian.
const HEAD_LEN: usize = 6;
/// The end mark.
const END: u8 = 0xff;
/// The count that stands for "count them".
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Appends the listpack with this body of `count` elements. A body is less than 4 GiB long.
pub fn to_listpack(body: &[u8], count: usize, out: &mut Vec<u8>) {
    let total = body.len() + HEAD_LEN + 1;
    debug_assert!(u32::try_from(total).is_ok());
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
    out.reserve(total);
    out.extend_from_slice(&(total as u32).to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(body);
    out.push(END);
}

/// The body of a listpack and how many elements it has; `None` if the bytes are no listpack. For
/// bytes from outside. Elements that Redis would have encoded otherwise are encoded anew.
#[must_use]
pub fn from_listpack(listpack: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    let (head, rest) = listpack.split_first_chunk::<HEAD_LEN>()?;
    let [t0, t1, t2, t3, c0, c1] = *head;
    let (&end, body) = rest.split_last()?;
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != listpack.len() || end != END {
        return None;
    }
    let checked = check(body)?;
    let stated = u16::from_le_bytes([c0, c1]);
    if stated != COUNT_UNKNOWN && usize::from(stated) != checked.count {
        return None;
    }
    let body = match checked.canonical {
        true => Cow::Borrowed(body),
        false => Cow::Owned(encode_anew(body)),
    };
    Some((body, checked.count))
}

/// How many elements a body has, if it is one: complete elements, all encoded as these functions
/// do. For bytes from outside.
#[must_use]
pub fn validate(body: &[u8]) -> Option<usize> {
    check(body).filter(|it| it.canonical).map(|it| it.count)
}

struct Checked {
    count: usize,
    /// Every element has the encoding that its text gets here.
    canonical: bool,
}

/// Goes through bytes from outside; `None` if they are not a sequence of elements.
fn check(body: &[u8]) -> Option<Checked> {
    let (mut count, mut canonical, mut at) = (0, true, 0);
    while at < body.len() {
        let (element, after) = decode_checked(body, at)?;
        canonical &= is_canonical(element, after - at);
        at = after;
        count += 1;
    }
    Some(Checked { count, canonical })
}

fn is_canonical(element: Element<'_>, packed_len: usize) -> bool {
    let again = match element {
        Element::Bytes(text) => Element::of(text),
        Element::Int(_) => element,
    };
    again == element && again.packed_len() == packed_len
}

/// The same texts as they are encoded here.
fn encode_anew(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for element in super::iter(body) {
        match element {
            Element::Bytes(text) => push_back(&mut out, Element::of(text)),
            Element::Int(_) => push_back(&mut out, element),
        }
    }
    out
}
