//! From the log in memory to the append-only file: one thread that writes, syncs and says how far
//! it has come.
//!
//! While it syncs, effects gather; the next write takes them all: with `appendfsync always` one
//! sync serves every command that came in during the one before (group commit). With the other
//! policies the workers write for themselves at the end of a round ([`Writer::write_through`]),
//! unless the thread is at it, so that a process that is killed has lost nothing it acknowledged;
//! the thread syncs.
//!
//! When the disk refuses, nothing is lost but time: the log keeps what is not durable, and once a
//! second the file is cut back to its durable length and written on from there. (After a failed
//! sync nobody can tell which of the bytes before it are on disk, so they are all written again.)
//!
//! [`Writer::step`] knows no thread and no clock, so that a test can drive it on a simulated disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use base::ids::DbIndex;
use log::{error, info};
use parking_lot::Mutex;

use crate::Offset;
use crate::disk::{Trouble, write_all};
use crate::files::{Files, OpenIncrement};
use crate::journal::{Journal, Policy, Shared, UNSYNCED_BYTES_MAX};
use crate::log::Chunk;

/// Time between two syncs under [`Policy::EverySecond`].
const SYNC_NANOS: u64 = 1_000_000_000;
/// Under that policy, more unsynced bytes than this are synced at once, so that the memory which
/// holds them is bounded while the disk keeps pace.
const SYNC_BYTES: u64 = 16 << 20;
/// Bytes written between two looks at the clock.
const WRITE_BYTES: u64 = 4 << 20;
/// Time between two tries after a failure.
const RETRY_NANOS: u64 = 1_000_000_000;
/// Time between two looks whether the file still has its name.
const LOOK_NANOS: u64 = 1_000_000_000;
/// Those who are expected to write soon are waited for so long at most,
const GATHER_MAX: Duration = Duration::from_millis(1);
/// with looks so far apart,
const GATHER_LOOK: Duration = Duration::from_micros(50);
/// and not after so many of these that saw nobody new.
const QUIET_LOOKS_MAX: u32 = 2;
/// Rest after a write, unless a reply waits for it.
const LINGER: Duration = Duration::from_millis(1);
/// Says that the command which follows in a file is not of the log.
pub const ASIDE: &[u8] = b"#RUDDLE:ASIDE\r\n";
/// The same without what makes it a line.
pub const ASIDE_WORD: &[u8] = b"RUDDLE:ASIDE";
/// More than this is not written by a worker but left to the thread.
const WRITE_THROUGH_BYTES_MAX: u64 = 1 << 20;
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What the writer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// More is on disk.
    Durable,
    /// Commands that write need not wait any more.
    CaughtUp,
    /// The disk has begun to refuse.
    Failed,
    /// It has stopped refusing.
    Recovered,
}

/// What is to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There may be more to do at once.
    Again,
    /// Something was written, and nobody waits for more.
    Linger,
    /// Nothing for so long, unless there is news.
    Sleep(Duration),
}

/// What becomes of a log whose file has lost its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// The set cannot be continued; a cut begins another one.
    Noticed,
    /// That one waits for its base.
    Replaced,
}

/// See the module's head.
pub struct Writer {
    shared: Arc<Shared>,
    files: Arc<Mutex<Files>>,
    open: Option<OpenIncrement>,
    /// Up to where the log is in the file.
    written: Offset,
    /// Up to where it is durable there, and the file's length as far as that.
    durable: Offset,
    durable_len: u64,
    synced_at: u64,
    looked_at: u64,
    retry_at: Option<u64>,
    /// The file must be cut back to its durable length before anything is written.
    torn: bool,
    /// The manifest that names the file may be lost in a crash.
    unsettled: bool,
    gone: Option<Gone>,
    /// When the last step was.
    now: u64,
    /// The second of the last time stamp in the file.
    second: i64,
    /// The database that the log is in where the file begins.
    first_db: DbIndex,
    /// Where the log is there.
    first: Offset,
    /// Which of the remarks is in the file.
    remark: u64,
    chunks: Vec<Arc<Chunk>>,
    tell: Box<dyn Fn(Told) + Send>,
}

impl Writer {
    /// A writer that goes on in `open`, if there is a file yet. `tell` must not block.
    pub fn new(
        journal: &Journal,
        files: Arc<Mutex<Files>>,
        open: Option<OpenIncrement>,
        tell: Box<dyn Fn(Told) + Send>,
    ) -> Writer {
        let durable_len = open.as_ref().map_or(0, |open| open.len);
        journal.0.status.lock().open_bytes = durable_len;
        Writer {
            shared: Arc::clone(&journal.0),
            files,
            open,
            written: journal.durable(),
            durable: journal.durable(),
            durable_len,
            synced_at: 0,
            looked_at: 0,
            retry_at: None,
            torn: false,
            unsettled: false,
            gone: None,
            now: 0,
            second: 0,
            first_db: DbIndex::default(),
            first: journal.durable(),
            remark: 0,
            chunks: Vec::new(),
            tell,
        }
    }

    /// Writes what there is, on a worker's thread: nothing that takes long. Whether the writer's
    /// own thread has to see to the rest.
    pub fn write_through(&mut self) -> bool {
        let waiting = self.shared.end().0.saturating_sub(self.written.0);
        let simple = self.open.is_some() && !self.torn && self.gone.is_none();
        if !simple || waiting > WRITE_THROUGH_BYTES_MAX || self.shared.policy() == Policy::Always {
            return true;
        }
        if waiting == 0 || self.shared.log.lock().pending_cut().is_some() {
            return waiting > 0;
        }
        if let Err(trouble) = self.write() {
            self.fail(&trouble, self.now);
            return true;
        }
        if self.shared.policy() == Policy::No {
            return self.sync(self.now).is_err();
        }
        self.written.0.saturating_sub(self.shared.synced().0) >= SYNC_BYTES
    }

    /// Whether everything appended is on disk.
    pub fn is_idle(&self) -> bool {
        self.open.is_none() && self.gone.is_none() || self.shared.synced() >= self.shared.end()
    }

    /// Whether the file lacks the last remark.
    fn lacks_remark(&self) -> bool {
        self.shared.remarks.load(SeqCst) != self.remark
    }

    fn has_work(&self) -> bool {
        let shared = &self.shared;
        let news = [&shared.urgent, &shared.closing, &shared.ending];
        let possible = !self.torn && self.open.is_some();
        news.iter().any(|flag| flag.load(SeqCst))
            || possible && (shared.end() > self.written || self.lacks_remark())
            || shared.log.lock().pending_cut().is_some() && !self.torn
    }

    /// Does what is due at `now` (nanoseconds of any clock that does not go back).
    pub fn step(&mut self, now: u64) -> Next {
        self.now = now;
        self.look_after_gone();
        if let Some(at) = self.retry_at.filter(|_| self.torn) {
            if now < at && !self.shared.closing.load(SeqCst) {
                self.shared.urgent.store(false, SeqCst);
                self.shared.tell();
                return Next::Sleep(Duration::from_nanos(at - now));
            }
            if let Err(trouble) = self.cut_back() {
                self.fail(&trouble, now);
                self.close_if_asked();
                return Next::Sleep(Duration::from_nanos(RETRY_NANOS));
            }
        }
        let before = self.written;
        let result = self.write().and_then(|more| Ok((more, self.sync(now)?)));
        let next = match result {
            Ok((more, ())) => {
                self.succeed();
                self.next(more || self.written > before, now)
            }
            Err(trouble) => {
                self.fail(&trouble, now);
                Next::Sleep(Duration::from_nanos(RETRY_NANOS))
            }
        };
        self.close_if_asked();
        next
    }

    fn next(&self, moved: bool, now: u64) -> Next {
        match self.shared.policy() {
            Policy::Always if moved => Next::Again,
            _ if self.shared.end() > self.written && self.open.is_some() => Next::Again,
            _ if moved => Next::Linger,
            Policy::EverySecond if !self.is_idle() => {
                let due = self.synced_at + SYNC_NANOS;
                Next::Sleep(Duration::from_nanos(due.saturating_sub(now).max(1)))
            }
            _ => Next::Sleep(SLEEP_MAX),
        }
    }

    /// Writes what there is, up to a bound; whether that bound was reached.
    fn write(&mut self) -> Result<bool, Trouble> {
        let mut left = WRITE_BYTES;
        loop {
            let mut chunks = std::mem::take(&mut self.chunks);
            let cut = {
                let mut log = self.shared.log.lock();
                if self.open.is_some() {
                    log.read(self.written, &mut chunks);
                }
                log.pending_cut()
            };
            let nothing = chunks.is_empty();
            let result = self.put_remark().and_then(|()| {
                let mut chunks = chunks.drain(..);
                chunks.try_for_each(|chunk| self.put(&chunk, &mut left))
            });
            self.chunks = chunks;
            result?;
            if nothing {
                let Some(cut) = cut.filter(|&cut| cut <= self.written || self.open.is_none())
                else {
                    return Ok(false);
                };
                self.change_files(cut)?;
            }
            if left == 0 {
                return Ok(true);
            }
        }
    }

    /// Puts the remark into the file if it is new. To be called after the chunks were read, so that
    /// it comes before what is younger than it.
    fn put_remark(&mut self) -> Result<(), Trouble> {
        let Some(open) = self.open.as_mut() else {
            return Ok(());
        };
        let (remark, number) = {
            let remark = self.shared.remark.lock();
            let number = self.shared.remarks.load(SeqCst);
            if number == self.remark {
                return Ok(());
            }
            (remark.clone(), number)
        };
        let written = write_all(&mut *open.file, &remark);
        written.map_err(Trouble::of("write", &open.path))?;
        open.len += remark.len() as u64;
        self.remark = number;
        Ok(())
    }

    fn put(&mut self, chunk: &Chunk, left: &mut u64) -> Result<(), Trouble> {
        if *left == 0 {
            return Ok(());
        }
        // Invariant: chunks are read only while a file is open.
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let mut stamp = Vec::new();
        if self.shared.stamps.load(SeqCst) && chunk.second != self.second {
            stamp = format!("#TS:{}\r\n", chunk.second).into_bytes();
        }
        if self.written == self.first && self.first_db != DbIndex::default() {
            // Each file is read from database 0 on; these bytes are not of the log.
            stamp.extend_from_slice(ASIDE);
            let db = self.first_db.to_string();
            resp::encode_command(&[b"SELECT", db.as_bytes()], &mut stamp);
        }
        let written = write_all(&mut *open.file, &stamp)
            .and_then(|()| write_all(&mut *open.file, &chunk.bytes));
        written.map_err(Trouble::of("write", &open.path))?;
        self.second = chunk.second;
        open.len += (stamp.len() + chunk.bytes.len()) as u64;
        self.written = chunk.end();
        *left = left.saturating_sub(chunk.bytes.len() as u64);
        Ok(())
    }

    /// The bytes from `cut` on go into another file. What is in this one is durable first, so that
    /// only the last file of a set can have a torn end.
    fn change_files(&mut self, cut: Offset) -> Result<(), Trouble> {
        if let Some(open) = &mut self.open {
            open.file.sync().map_err(Trouble::of("sync", &open.path))?;
            self.durable_len = open.len;
            self.durable = self.written;
            if self.gone.is_none() {
                self.shared.publish_synced(self.written);
            }
        }
        let mut files = self.files.lock();
        let first = self.open.is_none() || files.is_waiting_for_base();
        let made = match first {
            true => files.first_increment(cut),
            false => files.next_increment(cut),
        };
        self.unsettled = files.is_unsettled();
        drop(files);
        let db = self.shared.log.lock().db_at_cut();
        let result = made.map(|open| self.go_on_in(open, cut, db));
        self.shared.log.lock().forget_cut();
        if let Err(trouble) = &result {
            error!("The append-only file cannot go on in a new file: {trouble}");
        }
        *self.shared.cut_made.lock() = Some(result.map_err(|trouble| trouble.to_string()));
        self.shared.tell();
        Ok(())
    }

    /// The bytes go on in the file they are in.
    fn give_cut_up(&self, why: String) {
        self.shared.log.lock().forget_cut();
        *self.shared.cut_made.lock() = Some(Err(why));
        self.shared.tell();
    }

    fn go_on_in(&mut self, open: OpenIncrement, start: Offset, db: DbIndex) {
        let mut status = self.shared.status.lock();
        status.other_bytes += self.open.as_ref().map_or(0, |old| old.len);
        status.open_bytes = 0;
        drop(status);
        self.gone = self.gone.map(|_| Gone::Replaced);
        self.open = Some(open);
        self.written = start;
        self.durable = start;
        self.durable_len = 0;
        self.second = 0;
        self.first = start;
        self.first_db = db;
        self.remark = 0;
    }

    /// Syncs if that is due, and says how far the log is durable.
    fn sync(&mut self, now: u64) -> Result<(), Trouble> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let policy = self.shared.policy();
        let unsynced = self.written.0.saturating_sub(self.shared.synced().0);
        let due = match policy {
            Policy::No => false,
            Policy::EverySecond => unsynced >= SYNC_BYTES || now >= self.synced_at + SYNC_NANOS,
            Policy::Always => true,
        };
        let due = (due || self.shared.urgent.load(SeqCst)) && unsynced > 0;
        let unwanted = policy == Policy::No && self.written > self.shared.durable();
        if !due && !unwanted {
            return Ok(());
        }
        if now >= self.looked_at + LOOK_NANOS {
            self.looked_at = now;
            if !open.file.is_linked() {
                self.gone = Some(Gone::Noticed);
                // What it lacks will be in the new base.
                self.files.lock().forget();
                let path = open.path.clone();
                self.open = None;
                let error = io::Error::other("it was removed");
                return Err(Trouble::of("write", &path)(error));
            }
        }
        if self.unsettled {
            self.files.lock().settle()?;
            self.unsettled = false;
        }
        if due {
            self.shared.status.lock().syncing = true;
            let synced = open.file.sync();
            self.shared.status.lock().syncing = false;
            synced.map_err(Trouble::of("sync", &open.path))?;
            self.synced_at = now;
        }
        self.durable_len = open.len;
        self.durable = self.written;
        match self.gone {
            None if due => self.shared.publish_synced(self.written),
            None => self.shared.publish_durable(self.written),
            Some(_) => {}
        }
        Ok(())
    }

    /// After a step that succeeded: lets go what is durable, and tells.
    fn succeed(&mut self) {
        let shared = &self.shared;
        if self.gone.is_some() {
            return;
        }
        let durable = shared.durable();
        if self.open.is_some() && self.shared.filed() {
            shared.log.lock().set_file(Some(durable));
        }
        shared.status.lock().open_bytes = self.open.as_ref().map_or(0, |open| open.len);
        if self.retry_at.take().is_some() {
            info!("AOF write error looks solved. The server can write again.");
            shared.status.lock().failure = None;
            shared.failing.store(false, SeqCst);
            (self.tell)(Told::Recovered);
        }
        if shared.synced() >= shared.end() {
            shared.urgent.store(false, SeqCst);
        }
        let held = shared.end().0.saturating_sub(durable.0);
        if shared.behind.load(SeqCst) && held <= UNSYNCED_BYTES_MAX / 2 {
            shared.behind.store(false, SeqCst);
            (self.tell)(Told::CaughtUp);
        }
        (self.tell)(Told::Durable);
        shared.tell();
    }

    fn fail(&mut self, trouble: &Trouble, now: u64) {
        let shared = &self.shared;
        let first = self.retry_at.is_none();
        self.torn = self.open.is_some();
        self.retry_at = Some(now + RETRY_NANOS);
        {
            let mut status = shared.status.lock();
            let text = trouble.error.to_string();
            // As in Redis: without the number.
            let text = text.split(" (os error").next().unwrap_or_default();
            status.failure = Some(text.to_owned());
            status.gone = self.gone.is_some();
        }
        shared.urgent.store(false, SeqCst);
        shared.failing.store(true, SeqCst);
        if self.gone.is_none() && shared.log.lock().pending_cut().is_some() {
            self.give_cut_up(trouble.to_string());
        }
        if first {
            error!("Error writing to the AOF file: {trouble}");
            (self.tell)(Told::Failed);
        }
        shared.tell();
    }

    /// Cuts the file back to what is known to be on disk; the rest is written again.
    fn cut_back(&mut self) -> Result<(), Trouble> {
        if let Some(open) = &mut self.open {
            let cut = open.file.truncate(self.durable_len);
            cut.map_err(Trouble::of("truncate", &open.path))?;
            open.len = self.durable_len;
            self.written = self.durable;
            self.second = 0;
            self.remark = 0;
        }
        self.torn = false;
        Ok(())
    }

    /// Ends the trouble about a lost file once the new set is complete.
    fn look_after_gone(&mut self) {
        if self.gone == Some(Gone::Replaced) && !self.files.lock().is_waiting_for_base() {
            self.gone = None;
            self.shared.status.lock().gone = false;
        }
    }

    fn close_if_asked(&mut self) {
        if !self.shared.closing.load(SeqCst) || !self.is_idle() && self.retry_at.is_none() {
            return;
        }
        self.open = None;
        self.gone = None;
        self.retry_at = None;
        self.torn = false;
        self.written = self.shared.end();
        {
            let mut log = self.shared.log.lock();
            log.forget_cut();
            log.set_file(None);
        }
        self.shared.publish_synced(self.written);
        self.shared.failing.store(false, SeqCst);
        self.shared.behind.store(false, SeqCst);
        self.shared.status.lock().failure = None;
        self.shared.closing.store(false, SeqCst);
        self.shared.tell();
        (self.tell)(Told::Recovered);
    }
}

/// What the last sync with `appendfsync always` was for, from which the next one's size follows.
///
/// Who waited for that sync is likely to write again soon. To begin the next one at once, for those
/// who came in meanwhile, would divide the clients into two halves that wait for each other's syncs;
/// so the next one waits for them, but for less time than a sync takes.
#[derive(Default)]
struct Group {
    /// How often had been appended what is durable.
    covered: u64,
    /// How often that is expected before the next sync.
    expected: u64,
    /// How long it is waited for.
    patience: Duration,
}

impl Group {
    /// The one after this, once what was appended so often is durable; the sync took so long.
    fn next(&self, shared: &Shared, covered: u64, time: Duration) -> Group {
        let synced = covered - self.covered;
        let waiting = shared.appends() - covered;
        Group {
            covered,
            // Not the last of them: one may have gone.
            expected: (synced + waiting) * 7 / 8,
            patience: time.min(GATHER_MAX),
        }
    }

    /// Waits, if somebody waits for a sync already, for those who are expected; no longer once
    /// nobody comes.
    fn gather(&self, shared: &Shared) {
        let hurried = || {
            let flags = [&shared.urgent, &shared.closing, &shared.ending];
            flags.iter().any(|flag| flag.load(SeqCst))
        };
        let waiting = || shared.appends() - self.covered;
        let (begun, mut seen, mut quiet) = (Instant::now(), waiting(), 0);
        while shared.policy() == Policy::Always
            && (1..self.expected).contains(&seen)
            && quiet < QUIET_LOOKS_MAX
            && begun.elapsed() < self.patience
            && !hurried()
        {
            std::thread::park_timeout(GATHER_LOOK);
            let now = waiting();
            quiet = if now > seen { 0 } else { quiet + 1 };
            seen = now;
        }
    }
}

/// Writes until [`Journal::end_writer`].
pub fn run(writer: &Mutex<Writer>) {
    let begin = Instant::now();
    let shared = Arc::clone(&writer.lock().shared);
    // Set once: there is one writer for a journal.
    let _ = shared.thread.set(std::thread::current());
    let mut group = Group::default();
    loop {
        group.gather(&shared);
        let now = begin.elapsed().as_nanos() as u64;
        let mut this = writer.lock();
        let (before, covered) = (shared.durable(), shared.appends());
        let next = this.step(now);
        if shared.durable() > before {
            let nanos = begin.elapsed().as_nanos() as u64 - now;
            group = group.next(&shared, covered, Duration::from_nanos(nanos));
        }
        if shared.ending.load(SeqCst) {
            if this.is_idle() && !this.lacks_remark()
                || this.retry_at.is_some()
                || this.open.is_none()
            {
                return this.give_cut_up("the server is ending".to_owned());
            }
            shared.urgent.store(true, SeqCst);
            continue;
        }
        drop(this);
        match next {
            Next::Again => {}
            Next::Linger => std::thread::park_timeout(LINGER),
            Next::Sleep(time) => shared.sleep(time, || writer.lock().has_work()),
        }
    }
}

#[cfg(test)]
mod tests;
