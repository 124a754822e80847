//! A node of a stream's log: up to a hundred entries or so in one run of bytes.
//!
//! ```text
//! bytes   field-count  field*  entry*            fields that most entries have, then the entries
//! entry   flags  ms  seq  value*                 flags & 2: the fields are those of the node
//!         flags  ms  seq  pair-count  (field value)*
//! ```
//!
//! `ms` and `seq` are differences from the node's first id (a sequence number may be smaller, so
//! its difference has a sign). Counts and differences are variable-length numbers of 7 bits a byte,
//! low ones first; fields and values are encoded as in a listpack, without what leads backwards. A
//! deleted entry stays, with flags & 1.
//!
//! Redis keeps (and dumps) the same entries as a listpack; [`Node::listpack`] makes its body and
//! [`Node::from_listpack`] reads it. What is left out here, the lengths for walking backwards, is a
//! sixth of the memory of a stream with small values. Where a node ends is decided by the length of
//! that listpack, so that nodes are divided as in Redis.
//!
//! Marks remember where every n-th entry begins, so that a seek passes over few entries, forwards
//! or backwards.

use super::entry::Entry;
use super::id::StreamId;
use crate::packed::{self, Element, Encoded};
use crate::shared::Shared;

/// The entry is deleted.
const DELETED: u8 = 1;
/// The entry has the fields of the node, and only its values are stored.
const SAME_FIELDS: u8 = 2;
/// Marks in a node.
const MARKS: usize = 6;
/// Entries from mark to mark, at first.
const MARK_EVERY: u16 = 16;
/// What a listpack has around its body; it counts for the size limit.
const LISTPACK_FRAME_BYTES: usize = 7;

/// See the module's head.
#[derive(Clone, Debug)]
pub(super) struct Node {
    first: StreamId,
    bytes: Shared<Vec<u8>>,
    /// Where the entries begin.
    entries_at: u32,
    live: u32,
    deleted: u32,
    /// Length of the listpack's body without its two counts.
    listpack_len: u32,
    /// Offsets of entries number `mark_every`, twice that, ...; 0 = none yet.
    marks: [u16; MARKS],
    mark_every: u16,
}

/// Where an entry is, deleted or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) id: StreamId,
    pub(super) deleted: bool,
    at: usize,
    same_fields: bool,
    pairs: usize,
    data_at: usize,
}

impl Node {
    /// A node without entries. Entries with these fields will be the shorter ones.
    pub(super) fn new<'e>(
        first: StreamId,
        pairs: usize,
        element: impl Fn(usize) -> Element<'e>,
        bytes_expected: usize,
    ) -> Node {
        let mut bytes = Vec::with_capacity(bytes_expected);
        push_number(&mut bytes, pairs as u64);
        let mut listpack_len = int_len(pairs as i64) + int_len(0);
        for pair in 0..pairs {
            push_element(&mut bytes, element(2 * pair), &mut listpack_len);
        }
        Node {
            first,
            entries_at: bytes.len() as u32,
            bytes: Shared::new(bytes),
            live: 0,
            deleted: 0,
            listpack_len: listpack_len as u32,
            marks: [0; MARKS],
            mark_every: MARK_EVERY,
        }
    }

    /// The id that the others are relative to: that of the first entry, deleted or not.
    pub(super) fn first(&self) -> StreamId {
        self.first
    }

    /// Entries that are not deleted.
    pub(super) fn live(&self) -> u64 {
        self.live.into()
    }

    /// Entries, deleted or not.
    pub(super) fn entries(&self) -> u64 {
        self.live() + u64::from(self.deleted)
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        Shared::<Vec<u8>>::allocated() + base::memory::size_class(self.bytes.capacity())
    }

    /// Empties it; how many bytes that frees which were there twice.
    pub(super) fn release(&mut self) -> usize {
        std::mem::replace(&mut self.bytes, Shared::new(Vec::new())).release()
    }

    /// Length of the listpack that Redis would have for it.
    pub(super) fn listpack_bytes(&self) -> usize {
        let counts = int_len(self.live.into()) + int_len(self.deleted.into());
        LISTPACK_FRAME_BYTES + counts + self.listpack_len as usize
    }

    /// Gives spare memory back; nothing will be appended any more, or rarely.
    pub(super) fn close(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Where the first entry begins.
    #[inline]
    pub(super) fn start(&self) -> usize {
        self.entries_at as usize
    }

    /// Where the entries end.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Appends an entry; its id is larger than all others.
    pub(super) fn append<'e>(
        &mut self,
        id: StreamId,
        pairs: usize,
        element: impl Fn(usize) -> Element<'e>,
    ) {
        self.mark(self.entries(), self.bytes.len());
        let same_fields = self.has_fields(pairs, &element);
        let flags = if same_fields { SAME_FIELDS } else { 0 };
        let ms = id.ms.wrapping_sub(self.first.ms);
        let seq = id.seq.wrapping_sub(self.first.seq) as i64;
        let bytes = &mut *self.bytes;
        bytes.push(flags);
        push_number(bytes, ms);
        push_number(bytes, fold_sign(seq));
        let mut len = int_len(flags.into()) + int_len(ms as i64) + int_len(seq);
        if same_fields {
            for pair in 0..pairs {
                push_element(bytes, element(2 * pair + 1), &mut len);
            }
        } else {
            push_number(bytes, pairs as u64);
            len += int_len(pairs as i64);
            for at in 0..2 * pairs {
                push_element(bytes, element(at), &mut len);
            }
        }
        self.listpack_len += (len + int_len(pieces(same_fields, pairs))) as u32;
        self.live += 1;
    }

    /// Whether the node has just these fields, in this order.
    fn has_fields<'e>(&self, pairs: usize, element: &impl Fn(usize) -> Element<'e>) -> bool {
        let (count, at) = number(&self.bytes, 0);
        let mut fields = Elements::new(&self.bytes, at);
        count as usize == pairs && (0..pairs).all(|pair| fields.take() == element(2 * pair))
    }

    /// Takes note that the entry with this number begins at `at`.
    fn mark(&mut self, number: u64, at: usize) {
        let every = u64::from(self.mark_every);
        if number == 0 || !number.is_multiple_of(every) {
            return;
        }
        let Ok(at) = u16::try_from(at) else { return };
        let index = (number / every) as usize - 1;
        if let Some(mark) = self.marks.get_mut(index) {
            *mark = at;
        } else if let Some(every) = self.mark_every.checked_mul(2) {
            // One of two marks goes: the second becomes the first, the fourth the second, ...
            self.marks = std::array::from_fn(|to| *self.marks.get(2 * to + 1).unwrap_or(&0));
            self.mark_every = every;
            self.mark(number, usize::from(at));
        }
    }

    /// The entry that begins at `at`.
    #[inline]
    pub(super) fn record(&self, at: usize) -> Record {
        let bytes = &self.bytes;
        let flags = bytes[at];
        let (ms, after_ms) = number(bytes, at + 1);
        let (seq, after_seq) = number(bytes, after_ms);
        let same_fields = flags & SAME_FIELDS != 0;
        let (pairs, data_at) = if same_fields {
            (number(bytes, 0).0, after_seq)
        } else {
            number(bytes, after_seq)
        };
        Record {
            id: StreamId {
                ms: self.first.ms.wrapping_add(ms),
                seq: self.first.seq.wrapping_add(unfold_sign(seq) as u64),
            },
            deleted: flags & DELETED != 0,
            at,
            same_fields,
            pairs: pairs as usize,
            data_at,
        }
    }

    /// Where the entry after this one begins.
    #[inline]
    pub(super) fn after(&self, record: &Record) -> usize {
        let elements = match record.same_fields {
            true => record.pairs,
            false => 2 * record.pairs,
        };
        let mut at = record.data_at;
        for _ in 0..elements {
            at += packed::encoding_len(&self.bytes, at);
        }
        at
    }

    /// Where the last entries before `end` begin, in order: as many as fit, at least one if there
    /// is one. How many they are.
    pub(super) fn before(&self, end: usize, starts: &mut [u32]) -> usize {
        let marks = self.marks.iter().rev().map(|&mark| usize::from(mark));
        let mut at = marks
            .filter(|&mark| mark != 0)
            .find(|&mark| mark < end)
            .unwrap_or(self.start());
        let mut count = 0;
        while at < end {
            if count == starts.len() {
                starts.rotate_left(1);
                count -= 1;
            }
            starts[count] = at as u32;
            count += 1;
            at = self.after(&self.record(at));
        }
        count
    }

    /// Where the first entry begins, deleted or not, whose id is at least `id`; the end if none.
    pub(super) fn seek(&self, id: StreamId) -> usize {
        let marks = self.marks.iter().rev().filter(|&&mark| mark != 0);
        let marked = marks
            .map(|&mark| usize::from(mark))
            .find(|&mark| self.record(mark).id <= id);
        let mut at = marked.unwrap_or(self.start());
        while at < self.end() {
            let record = self.record(at);
            if record.id >= id {
                break;
            }
            at = self.after(&record);
        }
        at
    }

    /// The largest id of all entries, deleted ones included.
    pub(super) fn last(&self) -> StreamId {
        let mut start = [0];
        match self.before(self.end(), &mut start) {
            0 => self.first,
            _ => self.record(start[0] as usize).id,
        }
    }

    /// Marks an entry as deleted, which it is not yet; how many live ones remain.
    pub(super) fn delete(&mut self, record: &Record) -> u64 {
        self.bytes[record.at] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
        self.live()
    }

    /// What an entry says.
    #[inline]
    pub(super) fn entry(&self, record: &Record) -> Entry<'_> {
        let names = record.same_fields.then(|| number(&self.bytes, 0).1);
        Entry::new(record.id, &self.bytes, names, record.data_at, record.pairs)
    }

    /// The body of the listpack that Redis has for these entries.
    pub(super) fn listpack(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.listpack_bytes());
        let mut push = |element| packed::push_back(&mut body, element);
        push(Element::Int(self.live.into()));
        push(Element::Int(self.deleted.into()));
        let (fields, at) = number(&self.bytes, 0);
        push(Element::Int(fields as i64));
        let mut names = Elements::new(&self.bytes, at);
        (0..fields).for_each(|_| push(names.take()));
        push(Element::Int(0));
        let mut at = self.start();
        while at < self.end() {
            let record = self.record(at);
            push(Element::Int(self.bytes[at].into()));
            push(Element::Int(record.id.ms.wrapping_sub(self.first.ms) as i64));
            push(Element::Int(
                record.id.seq.wrapping_sub(self.first.seq) as i64
            ));
            let mut elements = record.pairs;
            if !record.same_fields {
                push(Element::Int(record.pairs as i64));
                elements *= 2;
            }
            let mut data = Elements::new(&self.bytes, record.data_at);
            (0..elements).for_each(|_| push(data.take()));
            push(Element::Int(pieces(record.same_fields, record.pairs)));
            at = data.at;
        }
        body
    }

    /// The node with this listpack's body, if it is one; for bytes from outside.
    pub(super) fn from_listpack(first: StreamId, body: &[u8]) -> Option<Node> {
        super::validate::node(first, body)
    }

    /// Checks what must hold between bytes, counts and marks.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        let listpack = self.listpack();
        assert_eq!(listpack.len() + LISTPACK_FRAME_BYTES, self.listpack_bytes());
        let again = Node::from_listpack(self.first, &listpack).expect("a valid node");
        assert_eq!(*self.bytes, *again.bytes);
        assert_eq!((self.live, self.deleted), (again.live, again.deleted));
        let (mut at, mut starts) = (self.start(), Vec::new());
        while at < self.end() {
            starts.push(at);
            at = self.after(&self.record(at));
        }
        let is_set = |(_, mark): &(usize, &u16)| **mark != 0;
        for (index, &mark) in self.marks.iter().enumerate().filter(is_set) {
            let number = (index + 1) * usize::from(self.mark_every);
            assert_eq!(usize::from(mark), starts[number], "mark {index}");
        }
        let mut found = [0; 3];
        assert_eq!(self.before(starts[0], &mut found), 0);
        for pair in starts.windows(2) {
            let count = self.before(pair[1], &mut found);
            assert_eq!(found[count - 1] as usize, pair[0]);
        }
    }
}

/// The number of elements before the last one of an entry in a listpack.
pub(super) fn pieces(same_fields: bool, pairs: usize) -> i64 {
    let elements = if same_fields { pairs } else { 1 + 2 * pairs };
    3 + elements as i64
}

/// Elements one after the other, as they are encoded in a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Elements<'a> {
        Elements { bytes, at }
    }

    /// The next one, which is there: whoever calls knows their number.
    #[inline]
    pub(super) fn take(&mut self) -> Element<'a> {
        let element = packed::get(self.bytes, self.at);
        self.at += packed::encoding_len(self.bytes, self.at);
        element
    }
}

/// Appends an element without what leads backwards; adds its length in a listpack to `len`.
#[inline]
fn push_element(bytes: &mut Vec<u8>, element: Element<'_>, len: &mut usize) {
    let encoded = Encoded::new(element);
    encoded.append_forward(bytes);
    *len += encoded.len();
}

/// Length of an integer in a listpack.
#[inline]
fn int_len(value: i64) -> usize {
    Element::Int(value).packed_len()
}

/// The sign becomes the lowest bit, so that small negative numbers are short, too.
#[inline]
fn fold_sign(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[inline]
fn unfold_sign(folded: u64) -> i64 {
    (folded >> 1) as i64 ^ -((folded & 1) as i64)
}

#[inline]
fn push_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The variable-length number at `at`, and where it ends.
#[inline]
fn number(bytes: &[u8], mut at: usize) -> (u64, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        value |= u64::from(byte & 0x7f) << shift;
        at += 1;
        if byte < 0x80 {
            return (value, at);
        }
        shift += 7;
    }
}
