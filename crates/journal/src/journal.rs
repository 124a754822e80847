//! What the server sees of the journal: appending, offsets, how it stands with the disk.
//!
//! Two may want effects: the append-only file and replication. The switch that the commands look at
//! is on if one of them does; what is asked about the file looks at the file alone. While the
//! switch is off data change without a byte in the log: whoever turns it on is told that, because
//! the log's history ends there.
//!
//! Invariants: `synced` <= `durable` <= `end`. Nobody waits in `append` but for its mutex, which is
//! held for a copy of a few bytes. The switch is turned under a lease on all stripes, so that an
//! effect is recorded if and only if it is appended.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use base::ids::DbIndex;
use base::time::UnixMillis;
use parking_lot::{Condvar, Mutex};

use crate::Offset;
use crate::log::{CursorId, Log};
pub use crate::log::{Framing, Pieces};

/// Commands that write wait when so many bytes are not yet on disk, until half of them are.
pub const UNSYNCED_BYTES_MAX: u64 = 128 << 20;

/// When the file is forced to disk (`appendfsync`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// When the operating system likes.
    No,
    /// Once a second.
    EverySecond,
    /// Before a reply leaves.
    Always,
}

impl Policy {
    fn from_u8(number: u8) -> Policy {
        match number {
            0 => Policy::No,
            1 => Policy::EverySecond,
            _ => Policy::Always,
        }
    }
}

/// How it stands with the files, for INFO.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Bytes of the increment that is being written.
    pub open_bytes: u64,
    /// Bytes of the other files that would be loaded.
    pub other_bytes: u64,
    /// Bytes of all of them when the base was written.
    pub base_bytes: u64,
    /// Why the last write failed, if it did.
    pub failure: Option<String>,
    /// The files are gone: only a new base helps.
    pub gone: bool,
    /// How often commands had to wait for the disk.
    pub delays: u64,
    /// Whether a sync is under way.
    pub syncing: bool,
}

impl Status {
    /// Bytes of all files that would be loaded.
    pub fn current_bytes(&self) -> u64 {
        self.open_bytes + self.other_bytes
    }
}

/// What the journal, its writer and its users share.
pub(crate) struct Shared {
    /// Effects are wanted.
    switch: Arc<AtomicBool>,
    /// The file wants them.
    filed: AtomicBool,
    /// The files would give the log back as far as it is durable: their base is in place.
    complete: AtomicBool,
    /// Replication wants them.
    kept: AtomicBool,
    /// The log is a copy of another's: no effects of commands here belong into it.
    copy: AtomicBool,
    pub(crate) log: Mutex<Log>,
    end: AtomicU64,
    /// How often something was appended. Written under the log's lock.
    appends: AtomicU64,
    durable: AtomicU64,
    /// Up to where it was forced to disk: `durable` goes farther with [`Policy::No`].
    synced: AtomicU64,
    policy: AtomicU8,
    pub(crate) stamps: AtomicBool,
    pub(crate) behind: AtomicBool,
    pub(crate) failing: AtomicBool,
    /// What the file says besides effects; see [`Journal::set_remark`].
    pub(crate) remark: Mutex<Vec<u8>>,
    /// How often that has changed.
    pub(crate) remarks: AtomicU64,
    /// Somebody waits for everything to be on disk.
    pub(crate) urgent: AtomicBool,
    /// The file is to be closed once everything is in it.
    pub(crate) closing: AtomicBool,
    /// The writer is to end.
    pub(crate) ending: AtomicBool,
    /// How the last cut went, once it is made.
    pub(crate) cut_made: Mutex<Option<Result<(), String>>>,
    asleep: AtomicBool,
    pub(crate) thread: OnceLock<Thread>,
    pub(crate) status: Mutex<Status>,
    /// Something has changed that somebody waits for in `sync`.
    pub(crate) news: Condvar,
    pub(crate) news_lock: Mutex<()>,
}

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub struct Journal(pub(crate) Arc<Shared>);

impl Journal {
    /// A journal that nobody writes to yet.
    pub fn new(policy: Policy) -> Journal {
        Journal(Arc::new(Shared {
            switch: Arc::default(),
            filed: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            copy: AtomicBool::new(false),
            log: Mutex::default(),
            end: AtomicU64::new(0),
            appends: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            policy: AtomicU8::new(policy as u8),
            stamps: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            remark: Mutex::default(),
            remarks: AtomicU64::new(0),
            urgent: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            cut_made: Mutex::default(),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
            status: Mutex::default(),
            news: Condvar::new(),
            news_lock: Mutex::default(),
        }))
    }

    /// The switch that says whether effects are wanted.
    pub fn switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.switch)
    }

    /// Whether there is a file.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.filed.load(Ordering::Relaxed)
    }

    /// Whether replication wants effects.
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.0.kept.load(Ordering::Relaxed)
    }

    /// The file wants effects from now on. Whether nobody has before: then data may have changed
    /// without them. Needs a lease on all stripes, or no other user.
    pub fn turn_on(&self) -> bool {
        let end = {
            let mut log = self.0.log.lock();
            let end = log.end();
            if !self.is_on() {
                log.set_file(Some(end));
            }
            end
        };
        if !self.0.filed.swap(true, Ordering::SeqCst) {
            self.0.complete.store(false, Ordering::SeqCst);
            self.0.publish_synced(end);
        }
        self.set_switch()
    }

    /// Brings the switch up to date. Whether effects are wanted that nobody wanted before.
    fn set_switch(&self) -> bool {
        let wanted = self.is_on() || self.is_kept();
        let own = !self.0.copy.load(Ordering::SeqCst);
        let before = self.0.switch.swap(wanted && own, Ordering::SeqCst);
        wanted && own && !before
    }

    /// From now on the log is a copy of another server's ([`Journal::append_stream`]), and what
    /// commands do here is not recorded; or no more. As `turn_on`.
    pub fn set_copy(&self, copy: bool) {
        self.0.copy.store(copy, Ordering::SeqCst);
        self.set_switch();
    }

    /// The file does not want effects any more. As `turn_on`.
    pub fn turn_off(&self) {
        self.0.filed.store(false, Ordering::SeqCst);
        self.set_switch();
    }

    /// Replication wants effects from now on, and so many bytes of them kept. As `turn_on`.
    pub fn keep(&self, backlog_bytes: u64) -> bool {
        self.0.log.lock().set_backlog(Some(backlog_bytes));
        self.0.kept.store(true, Ordering::SeqCst);
        self.set_switch()
    }

    /// So many bytes are kept from now on, if any are.
    pub fn set_backlog(&self, bytes: u64) {
        let mut log = self.0.log.lock();
        if log.backlog().is_some() {
            log.set_backlog(Some(bytes));
        }
    }

    /// Replication does not want effects any more. As `turn_on`.
    pub fn stop_keeping(&self) {
        self.0.log.lock().set_backlog(None);
        self.0.kept.store(false, Ordering::SeqCst);
        self.set_switch();
    }

    /// Forgets everything and goes on at this offset; who reads the log is cut off. Needs a lease
    /// on all stripes, or no other user; there is no file, or nothing is in it yet.
    pub fn begin_at(&self, start: Offset) {
        let mut log = self.0.log.lock();
        log.begin_at(start);
        self.0.end.store(start.0, Ordering::Release);
        self.0.publish_synced(start);
    }

    /// A line (without its end) that each file is to begin with, after a `#`, so that programs
    /// which do not know it pass over it. It is in the file before any byte appended later.
    pub fn set_remark(&self, line: &[u8]) {
        let mut remark = self.0.remark.lock();
        *remark = [b"#", line, b"\r\n"].concat();
        self.0.remarks.fetch_add(1, Ordering::SeqCst);
        drop(remark);
        self.nudge();
    }

    /// Appends effects, in order; the offset after them. To be called under the lease under which
    /// they came about.
    #[inline]
    pub fn append<'a>(
        &self,
        effects: impl ExactSizeIterator<Item = (DbIndex, &'a [u8])>,
        framing: Framing,
        now: UnixMillis,
    ) -> Offset {
        let mut log = self.0.log.lock();
        log.append(effects, framing, now);
        let appends = self.0.appends.load(Ordering::Relaxed) + 1;
        self.0.appends.store(appends, Ordering::Relaxed);
        let end = log.end();
        self.0.end.store(end.0, Ordering::Release);
        drop(log);
        self.look_behind(end);
        end
    }

    /// Appends bytes as they are: those of the log of which this one is a copy, at the same
    /// offsets. They are whole commands, after which that database is selected; one that follows a
    /// MULTI comes with its EXEC. As `append`.
    pub fn append_stream(&self, bytes: &[u8], db_after: DbIndex, now: UnixMillis) -> Offset {
        let mut log = self.0.log.lock();
        log.append_stream(bytes, Some(db_after), now);
        let end = log.end();
        self.0.end.store(end.0, Ordering::Release);
        drop(log);
        self.look_behind(end);
        end
    }

    /// Appends a command that is of no database and changes nothing (PING), for replicas.
    pub fn append_aside(&self, command: &[u8], now: UnixMillis) -> Offset {
        let mut log = self.0.log.lock();
        let db = log.db();
        log.append_stream(command, db, now);
        let end = log.end();
        self.0.end.store(end.0, Ordering::Release);
        end
    }

    #[inline]
    fn look_behind(&self, end: Offset) {
        let durable = self.0.durable.load(Ordering::Relaxed);
        if end.0.saturating_sub(durable) > UNSYNCED_BYTES_MAX && self.is_on() {
            self.fall_behind();
        }
    }

    /// The database that is selected at the end of the log, and that end. With `repeat` the next
    /// effect says its database again; never on a copy. Needs a lease on all stripes.
    pub fn selected(&self, repeat: bool) -> (DbIndex, Offset) {
        let mut log = self.0.log.lock();
        let db = match repeat {
            true => log.repeat_db(),
            false => log.db(),
        };
        (db.unwrap_or_default(), log.end())
    }

    /// Where the first byte in memory is.
    pub fn start(&self) -> Offset {
        self.0.log.lock().start()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.0.log.lock().bytes()
    }

    /// A reader of all that is in memory.
    pub fn cursor_at_start(&self) -> Cursor {
        let (id, at) = self.0.log.lock().add_first_cursor();
        let shared = Arc::clone(&self.0);
        Cursor { shared, id, at }
    }

    /// A reader of the bytes from `from` on; none if they are not all in memory.
    pub fn cursor(&self, from: Offset) -> Option<Cursor> {
        let id = self.0.log.lock().add_cursor(from)?;
        let shared = Arc::clone(&self.0);
        Some(Cursor {
            shared,
            id,
            at: from,
        })
    }

    #[cold]
    fn fall_behind(&self) {
        if !self.0.behind.swap(true, Ordering::SeqCst) {
            self.0.status.lock().delays += 1;
            self.nudge();
        }
    }

    /// From here on the bytes belong into the next file. To be called under a lease on all stripes.
    pub fn cut(&self) -> Offset {
        *self.0.cut_made.lock() = None;
        self.0.log.lock().cut()
    }

    /// Waits until the next file is there; why not, if not. Then the bytes go on in the last one.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn wait_for_cut(&self) -> Result<(), String> {
        self.nudge();
        let mut guard = self.0.news_lock.lock();
        loop {
            if let Some(result) = self.0.cut_made.lock().take() {
                return result;
            }
            self.0.news.wait(&mut guard);
        }
    }

    /// Closes the file once everything appended is in it and on disk. Effects must not be wanted
    /// any more. Bytes that the disk does not take are given up.
    pub fn close_file(&self) {
        self.0.closing.store(true, Ordering::SeqCst);
        self.0.urgent.store(true, Ordering::SeqCst);
        self.nudge();
        let mut guard = self.0.news_lock.lock();
        while self.0.closing.load(Ordering::SeqCst) {
            self.0.news.wait(&mut guard);
        }
    }

    /// Lets the writer end, once everything appended is on disk or the disk refuses.
    pub fn end_writer(&self) {
        self.0.ending.store(true, Ordering::SeqCst);
        self.nudge();
    }

    /// The offset after the last effect.
    #[inline]
    pub fn end(&self) -> Offset {
        Offset(self.0.end.load(Ordering::Acquire))
    }

    /// The offset up to which the log is in the file as `appendfsync` wants it: on disk, or, if it
    /// wants no syncs, with the operating system.
    #[inline]
    pub fn durable(&self) -> Offset {
        Offset(self.0.durable.load(Ordering::Acquire))
    }

    /// The offset up to which the log is on disk, whatever the policy.
    #[inline]
    pub fn synced(&self) -> Offset {
        self.0.synced()
    }

    /// The base that the files begin with is in place.
    pub fn set_complete(&self) {
        self.0.complete.store(true, Ordering::SeqCst);
    }

    /// Up to where a restart would give the log back, whatever the machine has gone through; none
    /// while there are no files, or their base is not in place yet.
    #[inline]
    pub fn restorable(&self) -> Option<Offset> {
        let complete = self.is_on() && self.0.complete.load(Ordering::SeqCst);
        complete.then(|| self.0.synced())
    }

    /// How far the disk must come before what anybody has seen until now may be told.
    #[inline]
    pub fn to_wait_for(&self) -> Option<Offset> {
        if !self.is_on() || self.policy() != Policy::Always {
            return None;
        }
        let end = self.end();
        (end > self.durable()).then_some(end)
    }

    /// Bytes that are kept in memory until they are on disk.
    pub fn held_bytes(&self) -> u64 {
        if !self.is_on() {
            return 0;
        }
        self.end().0.saturating_sub(self.durable().0)
    }

    /// Whether commands that write have to wait for the disk.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.0.behind.load(Ordering::SeqCst)
    }

    /// Whether the last write failed.
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::SeqCst)
    }

    /// When the file is forced to disk.
    #[inline]
    pub fn policy(&self) -> Policy {
        Policy::from_u8(self.0.policy.load(Ordering::Relaxed))
    }

    /// Changes that, and whether times are written.
    pub fn set(&self, policy: Policy, stamps: bool) {
        self.0.policy.store(policy as u8, Ordering::Relaxed);
        self.0.stamps.store(stamps, Ordering::Relaxed);
        self.nudge();
    }

    /// A new base is in place; so many bytes would be loaded now.
    pub fn note_base(&self, total_bytes: u64) {
        let mut status = self.0.status.lock();
        status.other_bytes = total_bytes.saturating_sub(status.open_bytes);
        status.base_bytes = total_bytes;
        drop(status);
        self.nudge();
    }

    /// How it stands with the files.
    pub fn status(&self) -> Status {
        self.0.status.lock().clone()
    }

    /// Wakes the writer if it sleeps. To be called after appending, once a round.
    #[inline]
    pub fn nudge(&self) {
        if self.0.asleep.load(Ordering::SeqCst)
            && self.0.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.0.thread.get()
        {
            thread.unpark();
        }
    }

    /// Waits until everything appended so far is on disk, whatever the policy; why not, if not.
    ///
    /// # Errors
    /// The disk refuses, or it takes longer than `patience`.
    pub fn sync(&self, patience: Duration) -> Result<(), String> {
        let end = self.end();
        let deadline = Instant::now() + patience;
        let mut guard = self.0.news_lock.lock();
        loop {
            if !self.is_on() || self.synced() >= end && !self.0.urgent.load(Ordering::SeqCst) {
                return Ok(());
            }
            self.0.urgent.store(true, Ordering::SeqCst);
            self.nudge();
            let timeout = self.0.news.wait_until(&mut guard, deadline).timed_out();
            if self.is_failing() {
                let failure = self.0.status.lock().failure.clone();
                return Err(failure.unwrap_or_default());
            }
            if timeout {
                return Err("the disk does not answer".to_owned());
            }
        }
    }
}

/// A place in the log from where on its bytes are kept, for one who reads them.
pub struct Cursor {
    shared: Arc<Shared>,
    id: CursorId,
    at: Offset,
}

impl Cursor {
    /// Where it is.
    pub fn at(&self) -> Offset {
        self.at
    }

    /// Some bytes from there on: none only at the end. `false`: the log has begun anew, and what
    /// this one has read is no part of it.
    pub fn read(&self, into: &mut Pieces) -> bool {
        let mut log = self.shared.log.lock();
        let known = log.move_cursor(self.id, self.at);
        if known {
            log.read_at(self.at, into);
        }
        known
    }

    /// Goes on by so many bytes that were read.
    pub fn advance(&mut self, bytes: usize) {
        self.at.0 += bytes as u64;
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.shared.log.lock().remove_cursor(self.id);
    }
}

impl Shared {
    pub(crate) fn end(&self) -> Offset {
        Offset(self.end.load(Ordering::Acquire))
    }

    /// How often something was appended.
    pub(crate) fn appends(&self) -> u64 {
        self.appends.load(Ordering::Relaxed)
    }

    pub(crate) fn filed(&self) -> bool {
        self.filed.load(Ordering::SeqCst)
    }

    pub(crate) fn durable(&self) -> Offset {
        Offset(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::from_u8(self.policy.load(Ordering::Relaxed))
    }

    pub(crate) fn synced(&self) -> Offset {
        Offset(self.synced.load(Ordering::Acquire))
    }

    /// The log is written up to here, and that is as durable as the policy wants it.
    pub(crate) fn publish_durable(&self, offset: Offset) {
        self.durable.store(offset.0, Ordering::Release);
    }

    /// The log is forced to disk up to here.
    pub(crate) fn publish_synced(&self, offset: Offset) {
        self.synced.store(offset.0, Ordering::Release);
        self.publish_durable(offset);
    }

    /// Tells those who wait in `sync`.
    pub(crate) fn tell(&self) {
        drop(self.news_lock.lock());
        self.news.notify_all();
    }

    /// Sleeps until nudged or `time` is over, unless `busy` says that there is something to do.
    pub(crate) fn sleep(&self, time: Duration, busy: impl Fn() -> bool) {
        self.asleep.store(true, Ordering::SeqCst);
        if !busy() {
            std::thread::park_timeout(time);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
