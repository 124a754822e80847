//! Output of one connection: pending bytes in the order in which they go to the socket.
//!
//! Copied bytes all lie in one buffer, `tail`. Large values are not copied: a chunk says "these
//! bytes come before `tail[at]`". So a reply of small parts is one contiguous write, and dropping
//! or measuring what was written is arithmetic on one offset.
//!
//! Output may have a limit. What would pass it cuts the output: all that is pending is dropped, and
//! so is whatever follows; only its length is still counted. So who builds a reply need not look at
//! the limit, and what nobody will read takes no memory.
//!
//! Invariants: chunks are sorted by `at`; `sent <= at <= tail.len()` for each; what is pending is
//! `tail[sent..]` plus the chunks, less `chunk_sent` bytes of the first one. When nothing is
//! pending, all is empty.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// An empty buffer keeps so much capacity; more is given back.
const CAPACITY_KEPT: usize = 64 * 1024;
/// Sent bytes are removed from a buffer that never becomes empty when they are more than this and
/// than the rest.
const SENT_BYTES_MAX: usize = 64 * 1024;
/// Inserting into a tail longer than this becomes a chunk instead of moving it.
const MOVED_BYTES_MAX: usize = 16 * 1024;
/// Decimal digits of the largest 64-bit number.
const DIGITS_MAX: usize = 20;

/// A place in the output to which it can be cut back. Valid until the next
/// [`advance`](crate::Reply::advance).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// Bytes that come before `tail[at]`.
#[derive(Debug)]
struct Chunk {
    at: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Shared(Arc<Vec<u8>>),
    /// Digits of a length that was learned when much had been written behind it.
    Digits([u8; DIGITS_MAX], u8),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Digits(bytes, len) => &bytes[..usize::from(*len)],
        }
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Output {
    /// Append only after [`room`](Self::room) has said so. A cut output's has no capacity, so that
    /// there is room for nothing.
    pub(crate) tail: Vec<u8>,
    chunks: VecDeque<Chunk>,
    /// Bytes of `tail` that are written to the socket.
    sent: usize,
    /// Bytes of the first chunk that are written to the socket.
    chunk_sent: usize,
    /// Bytes of all chunks, sent ones of the first included.
    chunk_bytes: usize,
    /// More pending bytes than this cut the output.
    limit: usize,
    /// Bytes that a cut output has dropped; 0: it is not cut.
    dropped: usize,
}

impl Default for Output {
    fn default() -> Output {
        Output {
            tail: Vec::new(),
            chunks: VecDeque::new(),
            sent: 0,
            chunk_sent: 0,
            chunk_bytes: 0,
            limit: usize::MAX,
            dropped: 0,
        }
    }
}

impl Output {
    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        self.tail.len() - self.sent + self.chunk_bytes - self.chunk_sent
    }

    /// Pending bytes, and those that were dropped instead of becoming pending.
    #[inline]
    pub(crate) fn len_bytes(&self) -> usize {
        self.pending_bytes() + self.dropped
    }

    #[inline]
    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.dropped > 0
    }

    /// Makes room for so many bytes in the tail; whether there is: if not, they are dropped.
    #[inline]
    pub(crate) fn room(&mut self, bytes: usize) -> bool {
        self.tail.capacity() - self.tail.len() >= bytes || self.grow(bytes)
    }

    #[cold]
    fn grow(&mut self, bytes: usize) -> bool {
        if !self.admits(bytes) {
            return false;
        }
        // Twice as much each time, so that growing costs the same per byte, within the limit.
        let left = self.limit - self.pending_bytes();
        self.tail
            .reserve_exact(bytes.max(self.tail.len().min(left)));
        true
    }

    /// Whether so many bytes more are within the limit; else they are dropped and the output is
    /// cut.
    fn admits(&mut self, bytes: usize) -> bool {
        let pending = self.pending_bytes();
        if !self.is_cut() && pending.saturating_add(bytes) <= self.limit {
            return true;
        }
        if bytes > 0 {
            self.cut(bytes);
        }
        false
    }

    /// Drops what is pending and so many bytes that were to follow.
    fn cut(&mut self, bytes: usize) {
        self.dropped += self.pending_bytes() + bytes;
        self.clear();
        self.tail = Vec::new();
    }

    pub(crate) fn push_shared(&mut self, bytes: Arc<Vec<u8>>) {
        if !self.admits(bytes.len()) {
            return;
        }
        self.chunk_bytes += bytes.len();
        self.chunks.push_back(Chunk {
            at: self.tail.len(),
            body: Body::Shared(bytes),
        });
    }

    /// Inserts the digits of a length before `tail[at]`, which is not sent yet.
    pub(crate) fn insert_digits(&mut self, at: usize, digits: &[u8]) {
        let first_behind = self.chunks.partition_point(|chunk| chunk.at < at);
        if self.tail.len() - at <= MOVED_BYTES_MAX {
            self.tail.splice(at..at, digits.iter().copied());
            for chunk in self.chunks.range_mut(first_behind..) {
                chunk.at += digits.len();
            }
            return;
        }
        let mut bytes = [0; DIGITS_MAX];
        bytes[..digits.len()].copy_from_slice(digits);
        self.chunk_bytes += digits.len();
        let body = Body::Digits(bytes, digits.len() as u8);
        self.chunks.insert(first_behind, Chunk { at, body });
    }

    /// Moves what is pending in `other`, of which nothing was written yet, to the end.
    pub(crate) fn append(&mut self, other: &mut Output) {
        debug_assert_eq!(other.sent + other.chunk_sent, 0);
        if other.is_cut() {
            self.cut(other.len_bytes());
            return other.reset();
        }
        if !self.admits(other.pending_bytes()) {
            return other.clear();
        }
        let start = self.tail.len();
        self.tail.append(&mut other.tail);
        self.chunk_bytes += other.chunk_bytes;
        let moved = other.chunks.drain(..).map(|chunk| Chunk {
            at: start + chunk.at,
            ..chunk
        });
        self.chunks.extend(moved);
        other.clear();
    }

    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.tail.len())
    }

    /// Chunks stand between a header and a line end of the same reply, so the offset alone tells
    /// which ones came after the mark. What is already sent stays.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        if self.is_cut() {
            return;
        }
        let len = mark.0.max(self.sent);
        self.tail.truncate(len);
        while let Some(chunk) = self.chunks.pop_back_if(|chunk| chunk.at > len) {
            self.chunk_bytes -= chunk.body.bytes().len();
        }
        if self.pending_bytes() == 0 {
            self.clear();
        }
    }

    /// The pending bytes if they lie in one piece, for a plain `write`.
    #[inline]
    pub(crate) fn contiguous(&self) -> Option<&[u8]> {
        match self.chunks.is_empty() {
            true => Some(&self.tail[self.sent..]),
            false => None,
        }
    }

    /// Appends the pending bytes to `to`.
    pub(crate) fn copy_to(&self, to: &mut Vec<u8>) {
        let (mut at, mut skip) = (self.sent, self.chunk_sent);
        for chunk in &self.chunks {
            to.extend_from_slice(&self.tail[at..chunk.at]);
            to.extend_from_slice(&chunk.body.bytes()[skip..]);
            (at, skip) = (chunk.at, 0);
        }
        to.extend_from_slice(&self.tail[at..]);
    }

    /// Fills `slices` from its front with the first `bytes_max` pending bytes, as far as it
    /// reaches; returns how many were filled.
    pub(crate) fn io_slices<'a>(
        &'a self,
        slices: &mut [IoSlice<'a>],
        mut bytes_max: usize,
    ) -> usize {
        let mut filled = 0;
        let mut at = self.sent;
        let mut skip = self.chunk_sent;
        let last = (self.tail.len(), &[][..]);
        let chunks = self
            .chunks
            .iter()
            .map(|chunk| (chunk.at, chunk.body.bytes()));
        for (end, body) in chunks.chain([last]) {
            for piece in [&self.tail[at..end], &body[skip.min(body.len())..]] {
                let piece = &piece[..piece.len().min(bytes_max)];
                if piece.is_empty() {
                    continue;
                }
                bytes_max -= piece.len();
                let Some(slice) = slices.get_mut(filled) else {
                    return filled;
                };
                *slice = IoSlice::new(piece);
                filled += 1;
            }
            (at, skip) = (end, 0);
        }
        filled
    }

    /// Takes note that the first `count` pending bytes are written.
    ///
    /// # Panics
    /// If so many are not pending.
    pub(crate) fn advance(&mut self, count: usize) {
        let pending = self.pending_bytes();
        assert!(count <= pending, "{count} bytes written of {pending}");
        if count == pending {
            return self.clear();
        }
        let mut left = count;
        while let Some(chunk) = self.chunks.front() {
            let copied = left.min(chunk.at - self.sent);
            self.sent += copied;
            left -= copied;
            let len = chunk.body.bytes().len();
            if self.sent < chunk.at || left < len - self.chunk_sent {
                self.chunk_sent += left;
                left = 0;
                break;
            }
            left -= len - self.chunk_sent;
            self.chunk_sent = 0;
            self.chunk_bytes -= len;
            self.chunks.pop_front();
        }
        self.sent += left;
        self.forget_sent();
    }

    /// Keeps a buffer that never becomes empty from growing for ever; each byte is moved at most
    /// once on average.
    fn forget_sent(&mut self) {
        if self.sent <= SENT_BYTES_MAX || self.sent <= self.tail.len() / 2 {
            return;
        }
        self.tail.drain(..self.sent);
        for chunk in &mut self.chunks {
            chunk.at -= self.sent;
        }
        self.sent = 0;
    }

    /// Forgets all of it, also that it was cut.
    pub(crate) fn reset(&mut self) {
        self.clear();
        self.dropped = 0;
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.tail.clear();
        if self.tail.capacity() > CAPACITY_KEPT {
            self.tail.shrink_to(CAPACITY_KEPT);
        }
        self.chunks.clear();
        (self.sent, self.chunk_sent, self.chunk_bytes) = (0, 0, 0);
    }
}
