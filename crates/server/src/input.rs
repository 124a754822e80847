//! A connection's unread input: a buffer that is filled at its end and consumed at its start.
//!
//! The buffer's whole length is initialised memory, so that reading into it needs no unsafe code.
//! Invariant: `start <= end <= buffer.len()`.

use std::io::{self, Read};

/// Free space that a read gets at least, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// An empty buffer larger than this is given back to the allocator.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// How much of a buffer is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryUse {
    /// Bytes not consumed.
    pub unread_bytes: usize,
    /// Bytes that can be filled before it has to grow.
    pub free_bytes: usize,
}

/// See the module's head.
#[derive(Default)]
pub struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// The bytes that have not been consumed.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Marks `count` bytes as consumed.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once. `missing`: bytes that the command under way still needs, as a hint for space.
    /// Returns the number of bytes and whether the space was filled (there may be more to read).
    ///
    /// # Errors
    /// As `Read::read`; 0 bytes = the peer closed.
    pub fn fill(&mut self, from: &mut impl Read, missing: usize) -> io::Result<(usize, bool)> {
        self.make_room(missing.clamp(READ_BYTES, 1 << 20));
        let space = &mut self.buffer[self.end..];
        let room = space.len();
        let count = from.read(space)?;
        self.end += count;
        Ok((count, count == room))
    }

    /// Puts bytes behind those that are there.
    pub fn put(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    fn make_room(&mut self, wanted: usize) {
        if self.start > 0 && self.buffer.len() - self.end < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.len() - self.end;
        if room < wanted {
            let len = (self.end + wanted)
                .max(self.buffer.len() * 2)
                .next_multiple_of(READ_BYTES);
            self.buffer
                .resize(len.min((self.end + wanted).next_power_of_two()), 0);
        }
    }

    /// How much of it is used.
    #[inline]
    pub fn usage(&self) -> QueryUse {
        QueryUse {
            unread_bytes: self.end - self.start,
            free_bytes: self.buffer.len() - self.end,
        }
    }

    /// Gives the buffer back if it is empty; `spare` keeps usual ones for other connections.
    pub fn rest(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.start == self.end && !self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            (self.start, self.end) = (0, 0);
            if buffer.len() <= KEPT_BYTES_MAX && spare.len() < SPARE_BUFFERS_MAX {
                spare.push(buffer);
            }
        }
    }

    /// Takes a spare buffer if it has none.
    pub fn wake(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.buffer.is_empty()
            && let Some(buffer) = spare.pop()
        {
            self.buffer = buffer;
        }
    }
}

/// Buffers that a worker keeps for its idle connections' next inputs.
const SPARE_BUFFERS_MAX: usize = 128;
