//! Ids and entries as replies.

use resp::Reply;
use structs::packed::Element;
use structs::stream::{Entry, ID_TEXT_MAX, StreamId};

/// An id.
#[inline]
pub(super) fn id(id: StreamId, out: &mut Reply) {
    out.bulk(id.text(&mut [0; ID_TEXT_MAX]));
}

/// An entry: its id, and an array of its fields and values in turn.
#[inline]
pub(super) fn entry(entry: &Entry<'_>, out: &mut Reply) {
    out.array(2);
    parts(entry, out);
}

/// The two parts of an entry, for an array that has more.
#[inline]
pub(super) fn parts(entry: &Entry<'_>, out: &mut Reply) {
    id(entry.id(), out);
    let pairs = entry.pairs();
    out.array(2 * pairs.len());
    for (name, value) in pairs {
        element(name, out);
        element(value, out);
    }
}

#[inline]
fn element(element: Element<'_>, out: &mut Reply) {
    match element {
        Element::Int(value) => out.bulk_int(value),
        Element::Bytes(text) => out.bulk(text),
    }
}

/// An array of entries.
pub(super) fn entries<'a>(entries: impl Iterator<Item = Entry<'a>>, out: &mut Reply) {
    let header = out.array_later();
    let mut count = 0;
    for it in entries {
        entry(&it, out);
        count += 1;
    }
    out.finish(header, count);
}
