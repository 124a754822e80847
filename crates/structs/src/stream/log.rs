//! The entries of a stream in order of their ids: a queue of nodes.
//!
//! Entries are appended to the last node, whole nodes go from the front when a stream is trimmed,
//! and an entry is found by a binary search over the first ids of the nodes. So one contiguous
//! queue does what a radix tree would be for. Where a single entry goes, it is only marked, and its
//! node goes with the last one.
//!
//! Invariant: ids grow within nodes and from node to node; `first_id` is that of the first live
//! entry, 0-0 if there is none.

use std::collections::VecDeque;

use super::entry::Entry;
use super::id::StreamId;
use super::node::{Node, Record};
use crate::packed::Element;
use crate::packing::Packing;
use crate::shared::Release;

/// The longest node, and the longest entry. Bytes. Source: Redis (`STREAM_LISTPACK_MAX_SIZE`).
const NODE_BYTES_MAX: usize = 1 << 30;
/// A node's buffer is at first this many times as large as its first entry.
const ENTRIES_EXPECTED: usize = 2;

/// The entries of a stream and what is known about its past.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub(super) nodes: VecDeque<Node>,
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
}

/// An entry that is too long to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Log {
    /// A log that never had an entry.
    pub(super) const EMPTY: Log = Log {
        nodes: VecDeque::new(),
        len: 0,
        first_id: StreamId::MIN,
        last_id: StreamId::MIN,
        max_deleted_id: StreamId::MIN,
        entries_added: 0,
    };

    /// A log of nodes from outside, `None` if they are not valid. Its last id is that of the last
    /// entry, and as many entries were added as there are.
    pub(super) fn from_nodes(nodes: impl IntoIterator<Item = (StreamId, Vec<u8>)>) -> Option<Log> {
        let mut log = Log::EMPTY;
        for (first, bytes) in nodes {
            let node = Node::from_listpack(first, &bytes)?;
            let in_order = log.nodes.is_empty() || first > log.last_id;
            in_order.then_some(())?;
            log.last_id = node.last();
            log.len = log.len.checked_add(node.live())?;
            log.push_node(node);
        }
        log.entries_added = log.len;
        log.find_first_id();
        Some(log)
    }

    /// Sets what a client may set (XSETID).
    pub fn set_past(&mut self, last_id: StreamId, max_deleted_id: StreamId, entries_added: u64) {
        debug_assert!(self.last().is_none_or(|last| last.id() <= last_id));
        self.last_id = last_id;
        self.max_deleted_id = max_deleted_id;
        self.entries_added = entries_added;
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; 0-0 if there is none.
    #[must_use]
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The largest id given so far. New ones are larger.
    #[must_use]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The largest id of an entry that was deleted one by one.
    #[must_use]
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Number of entries ever added.
    #[must_use]
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Number of nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes as Redis dumps them: first id, and body of the listpack.
    pub fn listpacks(&self) -> impl ExactSizeIterator<Item = (StreamId, Vec<u8>)> {
        self.nodes
            .iter()
            .map(|node| (node.first(), node.listpack()))
    }

    /// One of them, by its number.
    #[must_use]
    pub fn listpack(&self, index: usize) -> Option<(StreamId, Vec<u8>)> {
        let node = self.nodes.get(index)?;
        Some((node.first(), node.listpack()))
    }

    /// Empties the first nodes, but for those that were emptied before; how many bytes that frees
    /// which were there twice. Only for a copy that is about to go.
    pub(super) fn release(&mut self, passed: usize, release: &mut Release) -> usize {
        let passed = passed.min(self.nodes.len());
        let fresh = release.parts.min(passed)..passed;
        release.parts = release.parts.max(passed);
        self.nodes.range_mut(fresh).map(Node::release).sum()
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        const SAMPLE: usize = 64;
        let queue = base::memory::size_class(self.nodes.capacity() * size_of::<Node>());
        let sample: usize = self.nodes.iter().take(SAMPLE).map(Node::allocated).sum();
        match self.nodes.len() {
            0 => queue,
            len => queue + sample * len / len.min(SAMPLE),
        }
    }

    /// Appends an entry of `2 * pairs` words, fields and values in turn. `id` is larger than
    /// `last_id`. Amortised O(bytes).
    ///
    /// # Errors
    /// The entry is too long; nothing is changed.
    pub fn append<'w>(
        &mut self,
        id: StreamId,
        pairs: usize,
        word: impl Fn(usize) -> &'w [u8],
        packing: &Packing,
    ) -> Result<(), TooLong> {
        debug_assert!(id > self.last_id);
        let entry_bytes: usize = (0..2 * pairs).map(|at| word(at).len()).sum();
        if entry_bytes > NODE_BYTES_MAX {
            return Err(TooLong);
        }
        let element = |at: usize| Element::of(word(at));
        match self.nodes.back_mut() {
            Some(node) if has_room(node, entry_bytes, packing) => node.append(id, pairs, element),
            last => {
                if let Some(full) = last {
                    full.close();
                }
                let expected = (entry_bytes + 4 * pairs) * ENTRIES_EXPECTED;
                let mut node = Node::new(id, pairs, element, expected);
                node.append(id, pairs, element);
                self.push_node(node);
            }
        }
        self.len += 1;
        self.entries_added += 1;
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// Appends a node. The queue grows by an eighth, not by doubling: nodes are few and large, but
    /// half a queue of empty places would still be a byte for each entry.
    fn push_node(&mut self, node: Node) {
        let len = self.nodes.len();
        if len == self.nodes.capacity() {
            self.nodes.reserve_exact(1 + len / 8);
        }
        self.nodes.push_back(node);
    }

    /// The entries from `start` to `end`, both included.
    #[must_use]
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let index = self.node_of(start);
        let mut range = Range {
            nodes: &self.nodes,
            index,
            here: None,
            end,
        };
        if let Some(node) = self.nodes.get(index) {
            range.here = Some((node, node.seek(start)));
        }
        range
    }

    /// The entries from `end` back to `start`, both included.
    #[must_use]
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        let index = self.node_of(end);
        let mut range = RangeBack {
            nodes: &self.nodes,
            index,
            here: None,
            starts: [0; STARTS],
            start_count: 0,
            start,
            end,
        };
        if let Some(node) = self.nodes.get(index) {
            let at = end.next().map_or(node.end(), |after| node.seek(after));
            range.here = Some((node, at));
        }
        range
    }

    /// The last entry, which need not have `last_id`: that may have been deleted.
    #[must_use]
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range_back(StreamId::MIN, StreamId::MAX).next()
    }

    /// The entry with this id.
    #[must_use]
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (index, record) = self.find(id)?;
        Some(self.nodes[index].entry(&record))
    }

    /// Whether there is an entry with this id.
    #[must_use]
    pub fn contains(&self, id: StreamId) -> bool {
        self.find(id).is_some()
    }

    /// Deletes an entry; whether it was there. `max_deleted_id` grows with it.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((index, record)) = self.find(id) else {
            return false;
        };
        self.delete_record(index, &record);
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id || self.len == 0 {
            self.find_first_id();
        }
        true
    }

    /// Index of the node that an entry with this id is in, if there is one.
    #[inline]
    pub(super) fn node_of(&self, id: StreamId) -> usize {
        // Mostly the last: what has just been added is read.
        match self.nodes.back() {
            Some(last) if last.first() <= id => self.nodes.len() - 1,
            _ => {
                let after = self.nodes.partition_point(|node| node.first() <= id);
                after.saturating_sub(1)
            }
        }
    }

    pub(super) fn find(&self, id: StreamId) -> Option<(usize, Record)> {
        let index = self.node_of(id);
        let node = self.nodes.get(index)?;
        let at = node.seek(id);
        let record = (at < node.end()).then(|| node.record(at))?;
        (record.id == id && !record.deleted).then_some((index, record))
    }

    /// Marks a live entry as deleted; drops its node with the last one.
    pub(super) fn delete_record(&mut self, index: usize, record: &Record) {
        if self.nodes[index].delete(record) == 0 {
            self.nodes.remove(index);
        }
        self.len -= 1;
    }

    /// Takes the first node off.
    pub(super) fn drop_first_node(&mut self) {
        if let Some(node) = self.nodes.pop_front() {
            self.len -= node.live();
        }
    }

    /// Marks a live entry of the first node as deleted; the node stays.
    pub(super) fn delete_in_first_node(&mut self, record: &Record) {
        self.nodes[0].delete(record);
        self.len -= 1;
    }

    /// Sets `first_id` after entries have gone.
    pub(super) fn find_first_id(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = first.map_or(StreamId::MIN, |entry| entry.id());
    }

    /// Checks what must always hold.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        let mut previous = None;
        for node in &self.nodes {
            node.invariants();
            assert!(previous < Some(node.first()));
            previous = Some(node.last());
        }
        let live: u64 = self.nodes.iter().map(|node| node.live()).sum();
        assert_eq!(live, self.len);
        assert!(previous <= Some(self.last_id));
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        assert_eq!(
            self.first_id,
            first.map_or(StreamId::MIN, |entry| entry.id())
        );
    }
}

/// Whether an entry of so many bytes goes into this node.
#[inline]
fn has_room(node: &Node, entry_bytes: usize, packing: &Packing) -> bool {
    let bytes_max = match packing.stream_node_bytes_max {
        0 => NODE_BYTES_MAX,
        limit => limit.min(NODE_BYTES_MAX),
    };
    if node.listpack_bytes() + entry_bytes >= bytes_max {
        return false;
    }
    match packing.stream_node_entries_max as u64 {
        0 => true,
        limit => node.entries() < limit,
    }
}

/// Entries in order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    nodes: &'a VecDeque<Node>,
    /// Of the node that `here` is in.
    index: usize,
    /// A node and where the entry begins that is next.
    here: Option<(&'a Node, usize)>,
    end: StreamId,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let (node, at) = self.here?;
            if at >= node.end() {
                self.index += 1;
                let next = self.nodes.get(self.index);
                self.here = next.map(|node| (node, node.start()));
                continue;
            }
            let record = node.record(at);
            if record.id > self.end {
                self.here = None;
                return None;
            }
            self.here = Some((node, node.after(&record)));
            if !record.deleted {
                return Some(node.entry(&record));
            }
        }
    }
}

/// Entries whose places are found at once when going backwards.
const STARTS: usize = 32;

/// Entries from the last to the first.
#[derive(Clone, Debug)]
pub struct RangeBack<'a> {
    nodes: &'a VecDeque<Node>,
    /// Of the node that `here` is in.
    index: usize,
    /// A node and where the entry ends that is next.
    here: Option<(&'a Node, usize)>,
    /// Where the entries before that begin, as far as they are known.
    starts: [u32; STARTS],
    start_count: usize,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let (node, end) = self.here?;
            if self.start_count == 0 {
                self.start_count = node.before(end, &mut self.starts);
            }
            let Some(last) = self.start_count.checked_sub(1) else {
                let before = self.index.checked_sub(1);
                self.index = before.unwrap_or(0);
                let next = before.and_then(|index| self.nodes.get(index));
                self.here = next.map(|node| (node, node.end()));
                continue;
            };
            self.start_count = last;
            let at = self.starts[last] as usize;
            let record = node.record(at);
            if record.id < self.start {
                self.here = None;
                return None;
            }
            self.here = Some((node, at));
            if !record.deleted && record.id <= self.end {
                return Some(node.entry(&record));
            }
        }
    }
}
