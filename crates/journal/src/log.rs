//! The log's bytes in memory: those that some consumer still needs.
//!
//! ```text
//!   forgotten | chunk | chunk | ... | tail |
//!             ^start                       ^end
//! ```
//! Effects go to the tail. The file's writer seals it: a chunk is never changed while somebody
//! reads it, and can be read without the lock. Chunks end where effects end, at a cut (from there
//! on the bytes belong into another file), and where a second ends, so that each chunk can say when
//! it was written. Replicas read from any byte; what they need of the tail is copied.
//!
//! A byte is forgotten when the file does not need it, no cursor is before it, and it lies before
//! the backlog. What the file does not need any more is joined to longer chunks: a long backlog of
//! short rounds would else cost more in handles than in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use base::ids::DbIndex;
use base::time::UnixMillis;

use crate::Offset;

/// A tail this long is sealed.
const CHUNK_BYTES: usize = 1024 * 1024;
/// The same while a backlog is kept: by so much it may be longer than it was asked to be.
const BACKLOG_CHUNK_BYTES: usize = 64 * 1024;
/// One reader is given no more than about so many bytes at once.
const READ_BYTES: usize = 512 * 1024;

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

/// Some of the log, for a replica.
#[derive(Debug, Default)]
pub struct Pieces {
    sealed: Vec<Arc<Chunk>>,
    /// Bytes of the first of them that are not asked for.
    skipped: usize,
    tail: Vec<u8>,
}

impl Pieces {
    /// The bytes, in order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let from = |at: usize| if at == 0 { self.skipped } else { 0 };
        let sealed = self.sealed.iter().enumerate();
        let sealed = sealed.map(move |(at, chunk)| &chunk.bytes[from(at)..]);
        sealed.chain([&self.tail[..]])
    }

    /// Lets the bytes go.
    pub fn clear(&mut self) {
        self.sealed.clear();
        self.skipped = 0;
        self.tail.clear();
    }
}

/// Who reads the log, from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CursorId(u64);

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Log {
    end: Offset,
    /// The database that the last effect was of.
    db: Option<DbIndex>,
    chunks: VecDeque<Arc<Chunk>>,
    tail: Vec<u8>,
    second: i64,
    /// Where the bytes of the next file begin, and the database in force there.
    cut: Option<(Offset, DbIndex)>,
    /// A buffer that was used before.
    spare: Vec<u8>,
    /// The file needs the bytes from here on.
    file: Option<Offset>,
    /// So many bytes are kept for replicas that come back.
    backlog: Option<u64>,
    cursors: Vec<(CursorId, Offset)>,
    last_cursor: u64,
    /// So many chunks at the front are joined as far as they go.
    joined: usize,
}

impl Log {
    /// An empty log that begins at `start`, with a file.
    #[cfg(test)]
    pub(crate) fn at(start: Offset) -> Log {
        let mut log = Log::default();
        log.set_file(Some(start));
        log.begin_at(start);
        log
    }

    /// Forgets everything and goes on at `start`. Nobody reads it any more.
    pub(crate) fn begin_at(&mut self, start: Offset) {
        *self = Log {
            end: start,
            backlog: self.backlog,
            file: self.file.map(|_| start),
            last_cursor: self.last_cursor,
            ..Log::default()
        };
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
        self.make_tail(now);
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

    /// Appends bytes as they are: another log's, at the same offsets.
    pub(crate) fn append_stream(
        &mut self,
        bytes: &[u8],
        db_after: Option<DbIndex>,
        now: UnixMillis,
    ) {
        self.make_tail(now);
        self.tail.extend_from_slice(bytes);
        self.end.0 += bytes.len() as u64;
        self.db = db_after;
    }

    #[inline]
    fn make_tail(&mut self, now: UnixMillis) {
        let full = match self.backlog {
            Some(_) => BACKLOG_CHUNK_BYTES,
            None => CHUNK_BYTES,
        };
        if self.tail.len() >= full || self.second != now.as_secs() {
            self.seal();
            self.second = now.as_secs();
        }
    }

    /// The next bytes begin another file.
    pub(crate) fn cut(&mut self) -> Offset {
        self.seal();
        self.cut = Some((self.end, self.db.unwrap_or_default()));
        self.end
    }

    /// Where the next file begins, if that has been said and not been done.
    pub(crate) fn pending_cut(&self) -> Option<Offset> {
        self.cut.map(|(at, _)| at)
    }

    /// The database in force at the pending cut.
    pub(crate) fn db_at_cut(&self) -> DbIndex {
        self.cut.map(|(_, db)| db).unwrap_or_default()
    }

    pub(crate) fn forget_cut(&mut self) {
        self.cut = None;
    }

    /// The database in force at the end. The next effect says its database again.
    pub(crate) fn repeat_db(&mut self) -> Option<DbIndex> {
        self.db.take()
    }

    /// The database in force at the end.
    pub(crate) fn db(&self) -> Option<DbIndex> {
        self.db
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        self.trim();
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
        let limit = self.pending_cut().unwrap_or(self.end);
        let wanted = |chunk: &&Arc<Chunk>| chunk.end() <= limit;
        into.extend(self.chunks.range(first..).take_while(wanted).cloned());
    }

    /// The file needs the bytes from here on; `None`: there is none.
    pub(crate) fn set_file(&mut self, from: Option<Offset>) {
        if from.is_some() && self.file.is_none() {
            // What is before belongs to no file, what follows does: no chunk has both.
            self.seal();
        }
        self.file = from;
        self.trim();
    }

    /// So many bytes are kept for replicas that come back; `None`: none.
    pub(crate) fn set_backlog(&mut self, bytes: Option<u64>) {
        self.backlog = bytes;
        self.trim();
    }

    pub(crate) fn backlog(&self) -> Option<u64> {
        self.backlog
    }

    /// Where the first byte in memory is.
    pub(crate) fn start(&self) -> Offset {
        let tail = Offset(self.end.0 - self.tail.len() as u64);
        self.chunks.front().map_or(tail, |chunk| chunk.start)
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.end.0 - self.start().0
    }

    /// Forgets what nobody needs.
    fn trim(&mut self) {
        let Log { file, backlog, .. } = self;
        let backlog = backlog.map_or(self.end.0, |bytes| self.end.0.saturating_sub(bytes));
        let cursors = self.cursors.iter().map(|&(_, at)| at.0);
        let file = file.map(|at| at.0);
        let until = cursors.chain(file).chain([backlog]).min().unwrap_or(0);
        while let Some(first) = self.chunks.front()
            && first.end().0 <= until
        {
            // A reader may still hold it; then its buffer is not used again.
            self.joined = self.joined.saturating_sub(1);
            if let Some(chunk) = self.chunks.pop_front().and_then(Arc::into_inner)
                && self.spare.capacity() < chunk.bytes.capacity()
                && chunk.bytes.capacity() <= 2 * CHUNK_BYTES
            {
                self.spare = chunk.bytes;
                self.spare.clear();
            }
        }
        if self.backlog.is_some() {
            self.join();
        }
    }

    /// Joins short chunks that the file does not need.
    fn join(&mut self) {
        let until = self.file.unwrap_or(self.end);
        while self.joined < self.chunks.len() && self.chunks[self.joined].end() <= until {
            let at = self.joined;
            if at > 0 {
                let bytes = self.chunks[at].bytes.len();
                let short = |chunk: &Chunk| chunk.bytes.len() + bytes <= BACKLOG_CHUNK_BYTES;
                let next = Arc::clone(&self.chunks[at]);
                if short(&self.chunks[at - 1])
                    && let Some(last) = Arc::get_mut(&mut self.chunks[at - 1])
                {
                    last.bytes.extend_from_slice(&next.bytes);
                    self.chunks.remove(at);
                    continue;
                }
            }
            self.joined += 1;
        }
    }

    /// A new reader from `from` on; none if that is not in memory.
    pub(crate) fn add_cursor(&mut self, from: Offset) -> Option<CursorId> {
        (self.start()..=self.end)
            .contains(&from)
            .then(|| self.push_cursor(from))
    }

    /// A new reader from the first byte in memory on.
    pub(crate) fn add_first_cursor(&mut self) -> (CursorId, Offset) {
        let from = self.start();
        (self.push_cursor(from), from)
    }

    fn push_cursor(&mut self, from: Offset) -> CursorId {
        self.last_cursor += 1;
        let id = CursorId(self.last_cursor);
        self.cursors.push((id, from));
        id
    }

    /// A reader has come so far; whether it is known.
    pub(crate) fn move_cursor(&mut self, id: CursorId, to: Offset) -> bool {
        let found = self.cursors.iter_mut().find(|(known, _)| *known == id);
        found.map(|(_, at)| *at = to).is_some()
    }

    pub(crate) fn remove_cursor(&mut self, id: CursorId) {
        self.cursors.retain(|(known, _)| *known != id);
        self.trim();
    }

    /// Some bytes from `from` on, which is in memory.
    pub(crate) fn read_at(&self, from: Offset, into: &mut Pieces) {
        into.clear();
        let first = self.chunks.partition_point(|chunk| chunk.end() <= from);
        let mut left = READ_BYTES;
        for chunk in self.chunks.range(first..) {
            if into.sealed.is_empty() {
                into.skipped = (from.0 - chunk.start.0) as usize;
            }
            into.sealed.push(Arc::clone(chunk));
            left = left.saturating_sub(chunk.bytes.len());
            if left == 0 {
                return;
            }
        }
        let tail = Offset(self.end.0 - self.tail.len() as u64);
        let skipped = from.0.saturating_sub(tail.0) as usize;
        into.tail.extend_from_slice(&self.tail[skipped..]);
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
        let mut log = Log::at(Offset(0));
        append(&mut log, &[(0, b"A ")], Framing::Together);
        let cut = log.cut();
        append(&mut log, &[(0, b"B ")], Framing::Together);
        assert_eq!(all(&mut log, Offset(0)), "*2 $6 SELECT $1 0 A ");
        assert_eq!(log.pending_cut(), Some(cut));
        log.forget_cut();
        assert_eq!(all(&mut log, cut), "B ");
        log.set_file(Some(cut));
        assert_eq!(log.start(), cut);
        assert_eq!(all(&mut log, cut), "B ");
    }

    fn text(log: &Log, from: Offset) -> String {
        let mut pieces = Pieces::default();
        log.read_at(from, &mut pieces);
        let bytes: Vec<u8> = pieces.slices().flatten().copied().collect();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn the_file_the_backlog_and_cursors_keep_bytes() {
        let mut log = Log::at(Offset(0));
        let line = |log: &mut Log, nth: i64| {
            let now = NOW.saturating_add(nth * 1000);
            log.append_stream(b"0123456789", None, now);
        };
        (0..10).for_each(|nth| line(&mut log, nth));
        assert_eq!(log.start(), Offset(0), "the file needs them");
        log.set_file(Some(Offset(60)));
        assert_eq!(log.start(), Offset(60), "nobody else does");
        log.set_backlog(Some(35));
        let cursor = log.add_cursor(Offset(73)).expect("in memory");
        assert_eq!(log.add_cursor(Offset(59)), None);
        assert_eq!(log.add_cursor(Offset(101)), None);
        log.set_file(None);
        assert_eq!(log.start(), Offset(60), "short chunks are joined: {log:?}");
        assert_eq!(
            text(&log, Offset(73)),
            "3456789".to_owned() + &"0123456789".repeat(2)
        );
        assert_eq!(text(&log, Offset(97)), "789");
        assert_eq!(text(&log, Offset(100)), "");
        assert!(log.move_cursor(cursor, Offset(100)));
        for nth in 10..20_000 {
            line(&mut log, nth);
            let (kept, chunks) = (log.bytes(), log.chunks.len());
            assert!(
                (35..=3 * BACKLOG_CHUNK_BYTES as u64).contains(&kept),
                "{kept}"
            );
            assert!(
                chunks <= 3 + log.bytes() as usize / (BACKLOG_CHUNK_BYTES / 2),
                "{chunks}"
            );
            log.move_cursor(cursor, log.end());
        }
        assert!(log.move_cursor(cursor, Offset(150_003)));
        log.remove_cursor(cursor);
        assert!(!log.move_cursor(cursor, log.end()));
        log.set_backlog(None);
        line(&mut log, 30_000);
        line(&mut log, 30_001);
        assert!(log.bytes() <= 30, "{}", log.bytes());
    }

    #[test]
    fn a_copied_stream_says_its_databases_itself() {
        let mut log = Log::at(Offset(7));
        log.append_stream(b"SELECT 3 ", Some(DbIndex(3)), NOW);
        let cut = log.cut();
        assert_eq!((cut, log.db_at_cut()), (Offset(16), DbIndex(3)));
        log.forget_cut();
        append(&mut log, &[(3, b"A ")], Framing::Together);
        assert_eq!(text(&log, Offset(7)), "SELECT 3 A ");
        assert_eq!(log.repeat_db(), Some(DbIndex(3)));
        append(&mut log, &[(3, b"A ")], Framing::Together);
        assert!(text(&log, Offset(18)).starts_with("*2"));
    }

    #[test]
    fn chunks_end_with_the_second() {
        let mut log = Log::at(Offset(0));
        append(&mut log, &[(0, b"A ")], Framing::Together);
        let effect = [(DbIndex(0), &b"B "[..])].into_iter();
        log.append(effect, Framing::Together, NOW.saturating_add(1000));
        let mut chunks = Vec::new();
        log.read(Offset(0), &mut chunks);
        let seconds: Vec<i64> = chunks.iter().map(|chunk| chunk.second).collect();
        assert_eq!(seconds, [1000, 1001]);
    }
}
