//! The bytes of a segment's entries, one after another.
//!
//! ```text
//!  offset (u16) = | chunk, 2 bits | position in it, 14 bits |
//! ```
//!
//! Up to four chunks of 16 KiB, of which only the last has slack, and no entry is in two of them.
//! A removed entry stays behind as filler until its segment is packed anew.

use std::sync::Arc;

use base::memory::size_class;
use base::time::UnixMillis;

use super::entry::{
    DEAD, Entry, INLINE_MAX, Key, Layout, Value, changed_head, deadline_size, filler_size,
    key_size, set_value_length, short_key_is, short_member, value_size, word, write,
    write_deadline, write_filler, write_value,
};

const CHUNKS: usize = 4;
const CHUNK_BITS: u32 = 14;
const CHUNK_BYTES: usize = 1 << CHUNK_BITS;
/// Beyond every offset.
const END: u32 = (CHUNKS * CHUNK_BYTES) as u32;

/// An entry on its way into an arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) key: &'a [u8],
    /// The hash of the key: kept with a key outside.
    pub(super) hash: u64,
    pub(super) value: Option<&'a [u8]>,
    pub(super) deadline: Option<UnixMillis>,
}

/// A living entry that has been come upon.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    position: u32,
    bytes: &'a [u8],
}

impl Found<'_> {
    /// Where it is.
    #[inline]
    pub(super) fn offset(&self) -> u16 {
        self.position as u16
    }

    /// Its key's hash (`of` computes it unless it is at hand), its deadline, and the position after
    /// it.
    #[inline]
    pub(super) fn facts(&self, of: impl FnOnce(&[u8]) -> u64) -> (u64, Option<UnixMillis>, u32) {
        let layout = Layout::of(self.bytes);
        let after = self.position + layout.size as u32;
        (
            layout.hash(self.bytes, of),
            layout.deadline(self.bytes),
            after,
        )
    }
}

/// What to change of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    Value(&'a [u8]),
    Deadline(Option<UnixMillis>),
}

/// The keys and values that are outside.
#[derive(Clone, Debug, Default)]
struct Large {
    buffers: Vec<Option<Arc<Vec<u8>>>>,
    free: Vec<u16>,
}

impl Large {
    fn put(&mut self, buffer: Arc<Vec<u8>>) -> u16 {
        if let Some(index) = self.free.pop() {
            self.buffers[usize::from(index)] = Some(buffer);
            return index;
        }
        self.buffers.push(Some(buffer));
        self.buffers.len() as u16 - 1
    }

    fn at(&self, index: usize) -> &Arc<Vec<u8>> {
        // Invariant: an index is in exactly one living entry, from `put` to `take`.
        self.buffers[index].as_ref().expect("entry owns a buffer")
    }

    fn take(&mut self, index: usize) -> Arc<Vec<u8>> {
        self.free.push(index as u16);
        // Invariant: as in `at`.
        self.buffers[index].take().expect("entry owns a buffer")
    }

    fn allocated(&self) -> usize {
        let arc = size_class(size_of::<Vec<u8>>() + 2 * size_of::<usize>());
        let buffers = self.buffers.iter().flatten();
        let buffers = buffers.map(|buffer| size_class(buffer.capacity()) + arc);
        size_class(size_of::<Large>())
            + size_class(self.buffers.capacity() * size_of::<Option<Arc<Vec<u8>>>>())
            + size_class(self.free.capacity() * size_of::<u16>())
            + buffers.sum::<usize>()
    }
}

/// The entries' bytes of one segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    chunks: [Vec<u8>; CHUNKS],
    /// The chunk that is being filled.
    last: u8,
    /// Bytes of filler.
    dead: u32,
    large: Option<Box<Large>>,
}

impl Arena {
    /// Bytes of living entries.
    pub(super) fn live(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum::<usize>() - self.dead as usize
    }

    /// Bytes of filler.
    pub(super) fn dead(&self) -> usize {
        self.dead as usize
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| size_class(chunk.capacity()));
        let large = self.large.as_ref().map_or(0, |large| large.allocated());
        chunks.sum::<usize>() + large
    }

    /// Number of allocations.
    pub(super) fn pieces(&self) -> usize {
        let large = self.large.as_ref();
        let large = large.map_or(0, |large| 2 * (large.buffers.len() - large.free.len()) + 2);
        usize::from(self.last) + 1 + large
    }

    #[inline]
    fn bytes(&self, offset: u16) -> &[u8] {
        let chunk = &self.chunks[usize::from(offset >> CHUNK_BITS)];
        &chunk[usize::from(offset) & (CHUNK_BYTES - 1)..]
    }

    fn bytes_mut(&mut self, offset: u16) -> &mut [u8] {
        let chunk = &mut self.chunks[usize::from(offset >> CHUNK_BITS)];
        &mut chunk[usize::from(offset) & (CHUNK_BYTES - 1)..]
    }

    /// Where the entry begins, for a prefetch.
    pub(super) fn address(&self, offset: u16) -> *const u8 {
        self.bytes(offset).as_ptr()
    }

    fn outside(&self, index: usize) -> &Arc<Vec<u8>> {
        // Invariant: an entry with a part outside is written after `put` has made `large`.
        let large = self.large.as_ref().expect("entry has a part outside");
        large.at(index)
    }

    fn put(&mut self, buffer: Arc<Vec<u8>>) -> u16 {
        self.large.get_or_insert_default().put(buffer)
    }

    fn release(&mut self, index: usize) -> Arc<Vec<u8>> {
        // Invariant: as in `outside`.
        let large = self.large.as_mut().expect("entry has a part outside");
        large.take(index)
    }

    /// Whether the entry has this key.
    #[inline]
    pub(super) fn key_is(&self, offset: u16, key: &[u8]) -> bool {
        match short_key_is(self.bytes(offset), key) {
            Some(is) => is,
            None => self.at(offset).key == key,
        }
    }

    /// The entry.
    #[inline]
    pub(super) fn at(&self, offset: u16) -> Entry<'_> {
        let bytes = self.bytes(offset);
        self.entry(bytes, &Layout::of(bytes))
    }

    #[inline]
    fn entry<'a>(&'a self, bytes: &'a [u8], layout: &Layout) -> Entry<'a> {
        let mut entry = Entry {
            key: &bytes[layout.key.at..layout.after_key()],
            value: &[],
            deadline: layout.deadline(bytes),
            shared_key: None,
            shared_value: None,
        };
        if layout.key.outside {
            let buffer = self.outside(word(bytes, layout.key.at));
            (entry.key, entry.shared_key) = (buffer, Some(buffer));
        }
        if let Some(value) = layout.value {
            entry.value = &bytes[value.at..layout.size];
            if value.outside {
                let buffer = self.outside(word(bytes, value.at));
                (entry.value, entry.shared_value) = (buffer, Some(buffer));
            }
        }
        entry
    }

    /// The hash of an entry's key: `of` computes it unless it is at hand.
    #[inline]
    pub(super) fn hash(&self, offset: u16, of: impl FnOnce(&[u8]) -> u64) -> u64 {
        let bytes = self.bytes(offset);
        Layout::of(bytes).hash(bytes, of)
    }

    /// The first living entry at or after a position, which is an offset or beyond all.
    #[inline]
    pub(super) fn next(&self, mut position: u32) -> Option<Found<'_>> {
        while position < END {
            let chunk = &self.chunks[position as usize >> CHUNK_BITS];
            let at = position as usize & (CHUNK_BYTES - 1);
            if at >= chunk.len() {
                position = (position | (CHUNK_BYTES as u32 - 1)) + 1;
                continue;
            }
            let bytes = &chunk[at..];
            if bytes[0] & DEAD == 0 {
                return Some(Found { position, bytes });
            }
            position += filler_size(bytes) as u32;
        }
        None
    }

    /// What `next` found, as an entry, and the position after it.
    #[inline]
    pub(super) fn read<'a>(&'a self, found: Found<'a>) -> (Entry<'a>, u32) {
        let layout = Layout::of(found.bytes);
        let after = found.position + layout.size as u32;
        (self.entry(found.bytes, &layout), after)
    }

    /// The same, of which only the key is wanted.
    #[inline]
    pub(super) fn read_key<'a>(&'a self, found: Found<'a>) -> (&'a [u8], u32) {
        match short_member(found.bytes) {
            Some(key) => (key, found.position + 1 + key.len() as u32),
            None => {
                let (entry, after) = self.read(found);
                (entry.key, after)
            }
        }
    }

    /// Makes room for `size` bytes in one chunk, with little slack, and returns the offset at which
    /// they will be; `None` if there is no room.
    fn room(&mut self, size: usize) -> Option<u16> {
        if self.chunks[usize::from(self.last)].len() + size > CHUNK_BYTES {
            if usize::from(self.last) + 1 == CHUNKS {
                return None;
            }
            self.last += 1;
        }
        let chunk = &mut self.chunks[usize::from(self.last)];
        let wanted = chunk.len() + size;
        if wanted > chunk.capacity() {
            chunk.reserve_exact(size_class(wanted).min(CHUNK_BYTES) - chunk.len());
        }
        Some(u16::from(self.last) << CHUNK_BITS | chunk.len() as u16)
    }

    /// Appends an entry and returns its offset; `None` if there is no room.
    pub(super) fn push(&mut self, parts: Parts<'_>) -> Option<u16> {
        let value_bytes = parts.value.map_or(0, |value| value_size(value.len()));
        let size = 1 + deadline_size(parts.deadline) + key_size(parts.key.len()) + value_bytes;
        let offset = self.room(size)?;
        let key = if parts.key.len() <= INLINE_MAX {
            Key::Inline(parts.key)
        } else {
            Key::Outside {
                index: self.keep(parts.key),
                hash: parts.hash,
            }
        };
        let value = parts.value.map(|value| self.stored(value));
        let out = &mut self.chunks[usize::from(self.last)];
        write(out, key, value, parts.deadline);
        Some(offset)
    }

    fn stored<'a>(&mut self, value: &'a [u8]) -> Value<'a> {
        if value.len() <= INLINE_MAX {
            Value::Inline(value)
        } else {
            Value::Outside {
                index: self.keep(value),
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> u16 {
        self.put(Arc::new(bytes.to_vec()))
    }

    /// Makes an entry filler. Its parts outside are dropped.
    pub(super) fn kill(&mut self, offset: u16) {
        let bytes = self.bytes(offset);
        let layout = Layout::of(bytes);
        let parts = [Some(layout.key), layout.value];
        for part in parts.into_iter().flatten().filter(|part| part.outside) {
            let index = word(self.bytes(offset), part.at);
            self.release(index);
        }
        self.fill(offset, 0, layout.size);
    }

    /// Makes `size` bytes, `skip` bytes after `offset`, filler. `size` may be 0.
    fn fill(&mut self, offset: u16, skip: usize, size: usize) {
        self.dead += size as u32;
        if size > 0 {
            write_filler(&mut self.bytes_mut(offset)[skip..], size);
        }
    }

    /// Moves an entry to the end of `to`, where there must be room, and returns its offset there.
    /// What is here is of no use afterwards.
    pub(super) fn transfer(&mut self, offset: u16, to: &mut Arena) -> u16 {
        let layout = Layout::of(self.bytes(offset));
        // Invariant: the callers' arenas get what one held, in the same order, or (when merging)
        // much less than an arena holds; leaving entries out cannot make the others need more
        // chunks.
        let new = to.room(layout.size).expect("no more than fitted before");
        to.chunks[usize::from(to.last)].extend_from_slice(&self.bytes(offset)[..layout.size]);
        let parts = [Some(layout.key), layout.value];
        for part in parts.into_iter().flatten().filter(|part| part.outside) {
            let index = word(self.bytes(offset), part.at);
            let index = to.put(self.release(index));
            to.bytes_mut(new)[part.at..part.at + 2].copy_from_slice(&index.to_le_bytes());
        }
        new
    }

    /// Makes a change where the entry is, if there is room for it; if not, nothing changes.
    pub(super) fn change(&mut self, offset: u16, change: Change<'_>) -> bool {
        let layout = Layout::of(self.bytes(offset));
        match change {
            Change::Value(value) => self.replace_value(offset, &layout, value),
            Change::Deadline(deadline) => {
                let (Some(at), Some(deadline)) = (layout.deadline, deadline) else {
                    return layout.deadline.is_none() && deadline.is_none();
                };
                self.bytes_mut(offset)[at..at + 8].copy_from_slice(&deadline.0.to_le_bytes());
                true
            }
        }
    }

    fn replace_value(&mut self, offset: u16, layout: &Layout, value: &[u8]) -> bool {
        let Some(old) = layout.value else {
            return false;
        };
        if old.outside || value.len() > INLINE_MAX {
            if old.outside && value.len() > INLINE_MAX {
                self.release(word(self.bytes(offset), old.at));
                let index = self.keep(value);
                self.bytes_mut(offset)[old.at..old.at + 2].copy_from_slice(&index.to_le_bytes());
            }
            return old.outside && value.len() > INLINE_MAX;
        }
        // Filler behind it may be used up.
        let bytes = self.bytes(offset);
        let mut room = old.length;
        while room < value.len() {
            match bytes.get(old.at + room) {
                Some(head) if head & DEAD != 0 => room += filler_size(&bytes[old.at + room..]),
                _ => return false,
            }
        }
        let bytes = self.bytes_mut(offset);
        if !set_value_length(bytes, old.at, old.length, value.len()) {
            return false;
        }
        bytes[old.at..old.at + value.len()].copy_from_slice(value);
        self.dead -= (room - old.length) as u32;
        self.fill(offset, old.at + value.len(), room - value.len());
        true
    }

    /// Writes an entry anew behind the last, with a change, and returns its offset; `None` if there
    /// is no room for that.
    pub(super) fn rewrite(&mut self, offset: u16, change: Change<'_>) -> Option<u16> {
        let bytes = self.bytes(offset);
        let (head, layout) = (bytes[0], Layout::of(bytes));
        let deadline = match change {
            Change::Deadline(deadline) => deadline,
            Change::Value(_) => layout.deadline(bytes),
        };
        let value_bytes = match change {
            Change::Deadline(_) => layout.size - layout.after_key(),
            Change::Value(value) => value_size(value.len()),
        };
        let key_bytes = layout.length_bytes() + layout.key.length;
        let new = self.room(1 + deadline_size(deadline) + key_bytes + value_bytes)?;
        let last = usize::from(self.last);
        self.chunks[last].push(changed_head(head, value_bytes > 0, deadline.is_some()));
        self.copy_to_end(offset, 1, layout.length_bytes());
        write_deadline(&mut self.chunks[last], deadline);
        self.copy_to_end(offset, layout.key.at, layout.key.length);
        match change {
            Change::Deadline(_) => self.copy_to_end(offset, layout.after_key(), value_bytes),
            Change::Value(value) => {
                if let Some(old) = layout.value.filter(|old| old.outside) {
                    self.release(word(self.bytes(offset), old.at));
                }
                let value = self.stored(value);
                write_value(&mut self.chunks[last], value);
            }
        }
        self.fill(offset, 0, layout.size);
        Some(new)
    }

    /// Copies some bytes of an entry to the end.
    fn copy_to_end(&mut self, offset: u16, skip: usize, length: usize) {
        let from = usize::from(offset >> CHUNK_BITS);
        let start = (usize::from(offset) & (CHUNK_BYTES - 1)) + skip;
        match self.chunks.get_disjoint_mut([from, usize::from(self.last)]) {
            Ok([from, last]) => last.extend_from_slice(&from[start..start + length]),
            Err(_) => self.chunks[from].extend_from_within(start..start + length),
        }
    }
}

#[cfg(test)]
impl Arena {
    /// Checks what must hold between any two calls.
    pub(super) fn invariants(&self) {
        let (mut position, mut live, mut outside) = (0, 0, 0);
        while let Some(found) = self.next(position) {
            let (entry, after) = self.read(found);
            live += after as usize - usize::from(found.offset());
            outside += usize::from(entry.shared_key.is_some());
            outside += usize::from(entry.shared_value.is_some());
            position = after;
        }
        assert_eq!(
            live,
            self.live(),
            "living bytes and filler are all there is"
        );
        assert!(self.chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
        let rest = &self.chunks[usize::from(self.last) + 1..];
        assert!(rest.iter().all(Vec::is_empty));
        let buffers = self
            .large
            .iter()
            .flat_map(|large| large.buffers.iter().flatten());
        assert_eq!(outside, buffers.count());
    }
}
