//! The log's bytes in memory: those that some consumer has not yet dealt with.
//!
//! ```text
//!   forgotten | chunk | chunk | ... | tail |
//!             ^start                       ^end
//! ```
//! Effects go to the tail. Whoever reads seals it: a chunk is never changed and can be read without
//! the lock. Chunks end where effects end, at a cut (from there on the bytes belong into another
//! file), and where a second ends, so that each chunk can say when it was written.

use std::collections::VecDeque;
use std::sync::Arc;

use base::ids::DbIndex;
use base::time::UnixMillis;

use crate::Offset;

/// A tail this long is sealed.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Whether effects that are appended together are one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// All or nothing.
    Together,
    /// Each by itself.
    Apart,
}

/// Some effects, as bytes.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Where they are in the log.
    pub(crate) start: Offset,
    /// The Unix second in which they were appended.
    pub(crate) second: i64,
    pub(crate) bytes: Vec<u8>,
}

impl Chunk {
    pub(crate) fn end(&self) -> Offset {
        Offset(self.start.0 + self.bytes.len() as u64)
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Log {
    end: Offset,
    /// The database that the last effect was of.
    db: Option<DbIndex>,
    chunks: VecDeque<Arc<Chunk>>,
    tail: Vec<u8>,
    second: i64,
    /// Where the bytes of the next file begin.
    cut: Option<Offset>,
    /// A buffer that was used before.
    spare: Vec<u8>,
}

impl Log {
    /// An empty log that begins at `start`.
    pub(crate) fn at(start: Offset) -> Log {
        Log {
            end: start,
            ..Log::default()
        }
    }

    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Appends effects: their databases, and their commands as bytes.
    #[inline]
    pub(crate) fn append<'a>(
        &mut self,
        effects: impl ExactSizeIterator<Item = (DbIndex, &'a [u8])>,
        framing: Framing,
        now: UnixMillis,
    ) {
        if self.tail.len() >= CHUNK_BYTES || self.second != now.as_secs() {
            self.seal();
            self.second = now.as_secs();
        }
        let framed = framing == Framing::Together && effects.len() > 1;
        let before = self.tail.len();
        if framed {
            self.tail.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        }
        for (db, command) in effects {
            if self.db != Some(db) {
                self.db = Some(db);
                let db = db.to_string();
                resp::encode_command(&[b"SELECT", db.as_bytes()], &mut self.tail);
            }
            self.tail.extend_from_slice(command);
        }
        if framed {
            self.tail.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        }
        self.end.0 += (self.tail.len() - before) as u64;
    }

    /// The next bytes begin another file, which says itself of which database its effects are.
    pub(crate) fn cut(&mut self) -> Offset {
        self.seal();
        self.db = None;
        self.cut = Some(self.end);
        self.end
    }

    /// Where the next file begins, if that has been said and not been done.
    pub(crate) fn pending_cut(&self) -> Option<Offset> {
        self.cut
    }

    pub(crate) fn forget_cut(&mut self) {
        self.cut = None;
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let bytes = std::mem::replace(&mut self.tail, std::mem::take(&mut self.spare));
        self.chunks.push_back(Arc::new(Chunk {
            start: Offset(self.end.0 - bytes.len() as u64),
            second: self.second,
            bytes,
        }));
    }

    /// The chunks from `from`, where one begins, up to the end or the cut.
    pub(crate) fn read(&mut self, from: Offset, into: &mut Vec<Arc<Chunk>>) {
        self.seal();
        let first = self.chunks.partition_point(|chunk| chunk.start < from);
        let limit = self.cut.unwrap_or(self.end);
        let wanted = |chunk: &&Arc<Chunk>| chunk.end() <= limit;
        into.extend(self.chunks.range(first..).take_while(wanted).cloned());
    }

    /// Forgets the bytes before `until`.
    pub(crate) fn release(&mut self, until: Offset) {
        while self
            .chunks
            .front()
            .is_some_and(|chunk| chunk.end() <= until)
        {
            // A reader may still hold it; then its buffer is not used again.
            if let Some(chunk) = self.chunks.pop_front().and_then(Arc::into_inner)
                && self.spare.capacity() < chunk.bytes.capacity()
                && chunk.bytes.capacity() <= 2 * CHUNK_BYTES
            {
                self.spare = chunk.bytes;
                self.spare.clear();
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.tail.clear();
        self.db = None;
        self.cut = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn append(log: &mut Log, effects: &[(u32, &[u8])], framing: Framing) {
        let effects = effects.iter().map(|&(db, bytes)| (DbIndex(db), bytes));
        log.append(effects, framing, NOW);
    }

    fn all(log: &mut Log, from: Offset) -> String {
        let mut chunks = Vec::new();
        log.read(from, &mut chunks);
        let bytes = chunks.iter().flat_map(|chunk| chunk.bytes.clone());
        String::from_utf8(bytes.collect())
            .expect("text")
            .replace("\r\n", " ")
    }

    #[test]
    fn effects_are_framed_and_say_their_database() {
        let mut log = Log::at(Offset(100));
        append(&mut log, &[(0, b"A ")], Framing::Together);
        append(&mut log, &[(0, b"B "), (2, b"C ")], Framing::Together);
        append(&mut log, &[(2, b"D "), (2, b"E ")], Framing::Apart);
        let text = all(&mut log, Offset(100));
        assert_eq!(
            text,
            "*2 $6 SELECT $1 0 A *1 $5 MULTI B *2 $6 SELECT $1 2 C *1 $4 EXEC D E "
        );
        let line_ends = text.matches(' ').count() - 5;
        assert_eq!(log.end().0, 100 + (text.len() + line_ends) as u64);
    }

    #[test]
    fn a_cut_ends_what_is_read_and_the_database() {
        let mut log = Log::default();
        append(&mut log, &[(0, b"A ")], Framing::Together);
        let cut = log.cut();
        append(&mut log, &[(0, b"B ")], Framing::Together);
        assert_eq!(all(&mut log, Offset(0)), "*2 $6 SELECT $1 0 A ");
        assert_eq!(log.pending_cut(), Some(cut));
        log.forget_cut();
        assert_eq!(all(&mut log, cut), "*2 $6 SELECT $1 0 B ");
        log.release(cut);
        assert_eq!(all(&mut log, cut), "*2 $6 SELECT $1 0 B ");
    }

    #[test]
    fn chunks_end_with_the_second() {
        let mut log = Log::default();
        append(&mut log, &[(0, b"A ")], Framing::Together);
        let effect = [(DbIndex(0), &b"B "[..])].into_iter();
        log.append(effect, Framing::Together, NOW.saturating_add(1000));
        let mut chunks = Vec::new();
        log.read(Offset(0), &mut chunks);
        let seconds: Vec<i64> = chunks.iter().map(|chunk| chunk.second).collect();
        assert_eq!(seconds, [1000, 1001]);
    }
}
