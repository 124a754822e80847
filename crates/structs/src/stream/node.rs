//! A node of a stream's log: up to a hundred entries or so in one run of bytes, which are the body
//! of the listpack that Redis keeps (and dumps) for the same entries.
//!
//! ```text
//! node    count  deleted  field-count  field*  0       the head: fields that most entries have
//!         entry*
//! entry   flags  ms  seq  value*  pieces               flags & 2: the fields of the head
//!         flags  ms  seq  field-count  (field value)*  pieces
//! ```
//!
//! `ms` and `seq` are differences from the node's first id (a sequence number may be smaller: the
//! difference wraps). `pieces` is the number of elements before it in the entry, for walking
//! backwards. A deleted entry stays, with flags & 1; `count` and `deleted` count both sorts.
//! Source of the format: t_stream.c of Redis 7.
//!
//! Marks remember where every n-th entry begins, so that a seek passes over few entries.

use super::entry::Entry;
use super::id::StreamId;
use crate::packed::{self, Element, Iter};

/// The entry is deleted.
const DELETED: i64 = 1;
/// The entry has the fields of the head, and only its values are stored.
const SAME_FIELDS: i64 = 2;
/// Elements of an entry besides fields and values: flags, two numbers.
const FIXED_PIECES: usize = 3;
/// Marks in a node.
const MARKS: usize = 6;
/// Entries from mark to mark, at first.
const MARK_EVERY: u16 = 16;
/// What Redis's listpack has around its body; it counts for the size limit.
const LISTPACK_FRAME_BYTES: usize = 7;

/// See the module's head.
#[derive(Clone, Debug)]
pub(super) struct Node {
    first: StreamId,
    bytes: Vec<u8>,
    /// Offsets of entries number `mark_every`, twice that, ...; 0 = none yet.
    marks: [u16; MARKS],
    mark_every: u16,
}

/// What the head of a node says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Entries that are not deleted.
    pub(super) live: u64,
    /// Entries that are.
    pub(super) deleted: u64,
    /// Fields in the head.
    fields: usize,
    /// Where they begin.
    fields_at: usize,
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
    /// A node with one entry. `word` gives its fields and values in turn, `2 * pairs` of them.
    pub(super) fn new<'w>(
        id: StreamId,
        pairs: usize,
        word: impl Fn(usize) -> &'w [u8],
        bytes_expected: usize,
    ) -> Node {
        let mut bytes = Vec::with_capacity(bytes_expected);
        push_int(&mut bytes, 0);
        push_int(&mut bytes, 0);
        push_int(&mut bytes, pairs as i64);
        (0..pairs).for_each(|pair| packed::push_back(&mut bytes, Element::of(word(2 * pair))));
        push_int(&mut bytes, 0);
        let mut node = Node {
            first: id,
            bytes,
            marks: [0; MARKS],
            mark_every: MARK_EVERY,
        };
        node.append(id, pairs, word);
        node
    }

    /// A node of these bytes, if they are one; for bytes from outside.
    pub(super) fn from_bytes(first: StreamId, bytes: Vec<u8>) -> Option<Node> {
        super::validate::node(first, &bytes)?;
        let mut node = Node {
            first,
            bytes,
            marks: [0; MARKS],
            mark_every: MARK_EVERY,
        };
        let (mut at, mut number) = (node.entries_at(node.head()), 0);
        while at < node.bytes.len() {
            node.mark(number, at);
            at = node.after(&node.record(node.head(), at));
            number += 1;
        }
        Some(node)
    }

    /// The id that the others are relative to: that of the first entry, deleted or not.
    pub(super) fn first(&self) -> StreamId {
        self.first
    }

    /// The listpack's body.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        base::memory::size_class(self.bytes.capacity())
    }

    /// Length of the listpack that Redis would have for it.
    pub(super) fn listpack_bytes(&self) -> usize {
        self.bytes.len() + LISTPACK_FRAME_BYTES
    }

    /// Gives spare memory back; nothing will be appended any more, or rarely.
    pub(super) fn close(&mut self) {
        self.bytes.shrink_to_fit();
    }

    #[inline]
    pub(super) fn head(&self) -> Head {
        let mut iter = packed::iter(&self.bytes);
        let live = int(&mut iter) as u64;
        let deleted = int(&mut iter) as u64;
        let fields = int(&mut iter) as usize;
        Head {
            live,
            deleted,
            fields,
            fields_at: iter.position(),
        }
    }

    /// Where the first entry begins.
    #[inline]
    pub(super) fn entries_at(&self, head: Head) -> usize {
        let mut iter = packed::iter_from(&self.bytes, head.fields_at);
        iter.skip_elements(head.fields + 1);
        iter.position()
    }

    /// Where the entries end.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Appends an entry; its id is larger than all others.
    pub(super) fn append<'w>(
        &mut self,
        id: StreamId,
        pairs: usize,
        word: impl Fn(usize) -> &'w [u8],
    ) {
        let head = self.head();
        self.set_counts(head, head.live + 1, head.deleted);
        self.mark(head.live + head.deleted, self.bytes.len());
        let same_fields = self.has_fields(pairs, &word);
        let bytes = &mut self.bytes;
        push_int(bytes, if same_fields { SAME_FIELDS } else { 0 });
        push_int(bytes, id.ms.wrapping_sub(self.first.ms) as i64);
        push_int(bytes, id.seq.wrapping_sub(self.first.seq) as i64);
        let pieces = if same_fields {
            for pair in 0..pairs {
                packed::push_back(bytes, Element::of(word(2 * pair + 1)));
            }
            FIXED_PIECES + pairs
        } else {
            push_int(bytes, pairs as i64);
            for at in 0..2 * pairs {
                packed::push_back(bytes, Element::of(word(at)));
            }
            FIXED_PIECES + 1 + 2 * pairs
        };
        push_int(bytes, pieces as i64);
    }

    /// Whether the head has just these fields, in this order.
    fn has_fields<'w>(&self, pairs: usize, word: &impl Fn(usize) -> &'w [u8]) -> bool {
        // Counts may have moved it: the head is read again.
        let head = self.head();
        let mut fields = packed::iter_from(&self.bytes, head.fields_at);
        head.fields == pairs
            && (0..pairs).all(|pair| fields.next().is_some_and(|field| field.is(word(2 * pair))))
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

    /// Writes the head's two counts.
    fn set_counts(&mut self, head: Head, live: u64, deleted: u64) {
        const ONE_BYTE: u64 = 128;
        let len = self.bytes.len();
        if live < ONE_BYTE && deleted < ONE_BYTE && head.live < ONE_BYTE && head.deleted < ONE_BYTE
        {
            // Each is its own byte, with a backlen after it.
            self.bytes[0] = live as u8;
            self.bytes[2] = deleted as u8;
            return;
        }
        packed::replace(&mut self.bytes, 0, Element::Int(live as i64));
        let at = packed::next(&self.bytes, 0);
        packed::replace(&mut self.bytes, at, Element::Int(deleted as i64));
        let moved = self.bytes.len() as isize - len as isize;
        for mark in self.marks.iter_mut().filter(|mark| **mark != 0) {
            // A mark that would not fit any more is none.
            let place = usize::from(*mark).checked_add_signed(moved);
            *mark = place.and_then(|at| u16::try_from(at).ok()).unwrap_or(0);
        }
    }

    /// The entry that begins at `at`.
    #[inline]
    pub(super) fn record(&self, head: Head, at: usize) -> Record {
        let mut iter = packed::iter_from(&self.bytes, at);
        let flags = int(&mut iter);
        let ms = self.first.ms.wrapping_add(int(&mut iter) as u64);
        let seq = self.first.seq.wrapping_add(int(&mut iter) as u64);
        let same_fields = flags & SAME_FIELDS != 0;
        let pairs = if same_fields {
            head.fields
        } else {
            int(&mut iter) as usize
        };
        Record {
            id: StreamId { ms, seq },
            deleted: flags & DELETED != 0,
            at,
            same_fields,
            pairs,
            data_at: iter.position(),
        }
    }

    /// Where the entry after this one begins.
    #[inline]
    pub(super) fn after(&self, record: &Record) -> usize {
        let elements = if record.same_fields {
            record.pairs
        } else {
            2 * record.pairs
        };
        let mut iter = packed::iter_from(&self.bytes, record.data_at);
        iter.skip_elements(elements + 1);
        iter.position()
    }

    /// Where the entry begins that ends at `end`; `None` at the head.
    pub(super) fn before(&self, end: usize) -> Option<usize> {
        let mut at = packed::previous(&self.bytes, end)?;
        let pieces = match packed::get(&self.bytes, at) {
            Element::Int(pieces) if pieces > 0 => pieces,
            // The zero that ends the head.
            Element::Int(_) | Element::Bytes(_) => return None,
        };
        for _ in 0..pieces {
            at = packed::previous(&self.bytes, at)?;
        }
        Some(at)
    }

    /// Where the first entry begins, deleted or not, whose id is at least `id`; the end if none.
    pub(super) fn seek(&self, head: Head, id: StreamId) -> usize {
        let marks = self.marks.iter().rev().filter(|&&mark| mark != 0);
        let marked = marks
            .map(|&mark| usize::from(mark))
            .find(|&mark| self.record(head, mark).id <= id);
        let mut at = marked.unwrap_or_else(|| self.entries_at(head));
        while at < self.bytes.len() {
            let record = self.record(head, at);
            if record.id >= id {
                break;
            }
            at = self.after(&record);
        }
        at
    }

    /// The largest id of all entries, deleted ones included.
    pub(super) fn last(&self) -> StreamId {
        match self.before(self.bytes.len()) {
            Some(at) => self.record(self.head(), at).id,
            None => self.first,
        }
    }

    /// Marks an entry as deleted, which it is not yet; how many live ones remain.
    pub(super) fn delete(&mut self, record: &Record) -> u64 {
        let flags = if record.same_fields { SAME_FIELDS } else { 0 };
        // Flags are small integers, which are one byte.
        self.bytes[record.at] = (flags | DELETED) as u8;
        let head = self.head();
        self.set_counts(head, head.live - 1, head.deleted + 1);
        head.live - 1
    }

    /// What an entry says.
    #[inline]
    pub(super) fn entry(&self, head: Head, record: &Record) -> Entry<'_> {
        let names = record.same_fields.then_some(head.fields_at);
        Entry::new(record.id, &self.bytes, names, record.data_at, record.pairs)
    }

    /// Checks what must hold between bytes and marks.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        let bytes = self.bytes.clone();
        let again = Node::from_bytes(self.first, bytes).expect("a valid node");
        assert_eq!(self.head().live, again.head().live);
        let (head, mut at, mut starts) = (self.head(), self.entries_at(self.head()), Vec::new());
        while at < self.bytes.len() {
            starts.push(at);
            at = self.after(&self.record(head, at));
        }
        for (index, &mark) in self
            .marks
            .iter()
            .enumerate()
            .filter(|(_, mark)| **mark != 0)
        {
            let number = (index + 1) * usize::from(self.mark_every);
            assert_eq!(usize::from(mark), starts[number], "mark {index}");
        }
        assert_eq!(self.before(starts[0]), None);
        for pair in starts.windows(2) {
            assert_eq!(self.before(pair[1]), Some(pair[0]));
        }
    }
}

#[inline]
fn push_int(bytes: &mut Vec<u8>, value: i64) {
    if (0..128).contains(&value) {
        // The usual case: a byte that is the value, and its backlen.
        bytes.extend_from_slice(&[value as u8, 1]);
    } else {
        packed::push_back(bytes, Element::Int(value));
    }
}

/// The next element, which is an integer: in a valid node it is one wherever this is called.
#[inline]
fn int(iter: &mut Iter<'_>) -> i64 {
    match iter.next() {
        Some(Element::Int(value)) => value,
        Some(Element::Bytes(_)) | None => 0,
    }
}
