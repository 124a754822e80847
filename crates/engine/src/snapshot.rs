//! Point-in-time snapshots without fork: all entries as they were at one moment, while commands go
//! on.
//!
//! Each entry has a bit, its epoch, and each stripe says which epoch is the present one.
//! [`Snapshot::begin`] turns that over under a lease on all stripes, so that every entry is of the
//! past from one moment to the next. Then the walk ([`Snapshot::step`]) saves the entries of the
//! past, a segment at a time, and makes them entries of the present; and whoever is about to change
//! or remove one that the walk has not come to saves it first (`keyspace::Door`, the only way to
//! do so). When the walk is through, nothing of the past is left, and the next snapshot can begin.
//!
//! What is saved goes to a [`Sink`] as [`Piece`]s in no particular order. Small values are copied
//! ([`Chunk`]), large ones are held as they are ([`Frozen`]); whoever takes the pieces makes a file
//! of them, so that a stripe is locked for microseconds.
//!
//! After the walk the captures stay until [`Snapshot::end`], to count what commands copy because
//! the sink still shares it.
//!
//! Invariants: an entry whose epoch is not its stripe's present one exists only while the stripe
//! has a `Capture` that is not walked through; a flushed table goes to the sink whole, with what
//! has not been saved of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::ids::DbIndex;
use base::time::UnixMillis;

use crate::entry::{Entry, Text, Value};
use crate::keyspace::{Keyspace, Lease, Stripe, StripeId};
use crate::object::Object;
use crate::table::Table;

mod chunk;

pub use chunk::{Chunk, Copied};

/// Bytes of small entries that a stripe gathers before it passes them on.
const CHUNK_BYTES: usize = 16 * 1024;
/// What the last entry may add to that without a new allocation.
const CHUNK_ROOM: usize = CHUNK_BYTES + CHUNK_BYTES / 4;

/// A step of the walk saves entries until they have cost so much: bytes that are copied, about 100
/// microseconds of them.
/// Few in tests, so that a segment takes several.
pub(crate) const STEP_COST: usize = if cfg!(test) { 20 * 1024 } else { 256 * 1024 };
/// What a large value costs, of which nothing is copied but the list of its parts.
const COST_OF_LARGE: usize = 4 * 1024;

/// Where pieces go.
pub trait Sink: Send + Sync {
    /// Takes a piece. Called under a stripe's lock.
    fn accept(&self, piece: Piece);

    /// A command has copied so many bytes of collections, most likely because pieces that were
    /// accepted share them. Called under a stripe's lock.
    fn copied(&self, bytes: u64);
}

/// Some of what was there when the snapshot began.
pub enum Piece {
    /// Small entries.
    Small(Chunk),
    /// One with a large value.
    Large(DbIndex, Box<LargeEntry>),
    /// A table that was flushed; its entries of this epoch are part of the snapshot.
    Flushed(DbIndex, Box<Table>, bool),
}

/// A key with a large value.
#[derive(Debug)]
pub struct LargeEntry {
    /// The key.
    pub key: Box<[u8]>,
    /// When it expires, if ever.
    pub deadline: Option<UnixMillis>,
    /// Its access bits.
    pub access: u32,
    /// The value.
    pub value: Frozen,
}

/// A large value as it was.
#[derive(Debug)]
pub enum Frozen {
    /// A string, shared with the entry: who edits that makes a copy.
    Text(Arc<Vec<u8>>),
    /// A collection.
    Object(Box<Object>),
}

impl Frozen {
    /// The value if it is a large one.
    fn of(value: Value<'_>) -> Option<Frozen> {
        match value {
            Value::Text(Text::Shared(text)) => Some(Frozen::Text(Arc::clone(text))),
            Value::Object(object) => Some(Frozen::Object(Box::new(object.freeze()))),
            Value::Text(Text::Int(_) | Text::Inline(_)) | Value::Packed(..) => None,
        }
    }
}

/// What the stripes' parts of a snapshot have in common.
pub(crate) struct Job {
    sink: Box<dyn Sink>,
    cancelled: AtomicBool,
}

/// A stripe's part in the snapshot under way.
pub(crate) struct Capture {
    job: Arc<Job>,
    chunk: Option<Chunk>,
    /// By present database.
    tables: Box<[Walked]>,
}

/// How far the walk has come in a table.
#[derive(Clone, Copy)]
struct Walked {
    /// The database that the table was when the snapshot began.
    origin: DbIndex,
    /// Position from which on it has not been walked; `None` at the end.
    next: Option<u64>,
}

impl Capture {
    fn new(job: Arc<Job>, databases: u32, first: u64) -> Capture {
        let tables = (0..databases).map(|db| Walked {
            origin: DbIndex(db),
            next: Some(first),
        });
        Capture {
            job,
            chunk: None,
            tables: tables.collect(),
        }
    }

    /// Saves an entry of the past that is in `db` now; what that costs (see [`STEP_COST`]).
    #[cold]
    pub(crate) fn save(&mut self, db: DbIndex, entry: &Entry) -> usize {
        if self.job.cancelled.load(Ordering::Relaxed) {
            return 0;
        }
        let origin = self.tables[db.as_usize()].origin;
        if let Some(value) = Frozen::of(entry.value()) {
            let large = LargeEntry {
                key: entry.key().into(),
                deadline: entry.deadline(),
                access: entry.access(),
                value,
            };
            self.job.sink.accept(Piece::Large(origin, Box::new(large)));
            return COST_OF_LARGE;
        }
        if self.chunk.as_ref().is_some_and(|chunk| chunk.db != origin) {
            self.pass_on();
        }
        let new = || Chunk::with_room(origin, CHUNK_ROOM);
        let chunk = self.chunk.get_or_insert_with(new);
        let before = chunk.len_bytes();
        let taken = chunk.push(entry);
        debug_assert!(taken, "what is not large is small");
        let cost = chunk.len_bytes() - before;
        if chunk.len_bytes() >= CHUNK_BYTES {
            self.pass_on();
        }
        cost
    }

    /// A command has copied so many bytes of shared parts.
    #[cold]
    pub(crate) fn copied(&self, bytes: u64) {
        if !self.job.cancelled.load(Ordering::Relaxed) {
            self.job.sink.copied(bytes);
        }
    }

    /// Lets the sink have what has been gathered.
    pub(crate) fn pass_on(&mut self) {
        if let Some(chunk) = self.chunk.take()
            && !self.job.cancelled.load(Ordering::Relaxed)
        {
            self.job.sink.accept(Piece::Small(chunk));
        }
    }

    /// Takes over a table that is being flushed, if there may be something to save in it; `epoch`
    /// is the present one. Its place is taken by an empty table, which needs no walk.
    pub(crate) fn adopt(&mut self, db: DbIndex, table: Table, epoch: bool) -> Option<Table> {
        let walked = &mut self.tables[db.as_usize()];
        let unwalked = walked.next.take().is_some();
        if !unwalked || table.is_empty() || self.job.cancelled.load(Ordering::Relaxed) {
            return Some(table);
        }
        let flushed = Piece::Flushed(walked.origin, Box::new(table), !epoch);
        self.job.sink.accept(flushed);
        None
    }

    /// Two databases exchange their tables.
    pub(crate) fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.tables.swap(a.as_usize(), b.as_usize());
    }

    /// The next piece to walk: a table and a position in it.
    pub(crate) fn next(&self) -> Option<(DbIndex, u64)> {
        let next = |(db, walked): (usize, &Walked)| Some((DbIndex(db as u32), walked.next?));
        self.tables.iter().enumerate().find_map(next)
    }

    /// The table has been walked up to this position.
    pub(crate) fn walked(&mut self, db: DbIndex, next: Option<u64>) {
        self.tables[db.as_usize()].next = next;
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.pass_on();
    }
}

/// A snapshot is under way already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay;

/// The walk. See the module's head. If it is given up, call [`Snapshot::cancel`] and go on to the
/// end all the same: it marks what is left.
pub struct Snapshot {
    job: Arc<Job>,
    stripe: StripeId,
}

impl Snapshot {
    /// Begins a snapshot of this moment. Leaves all stripes leased: what happens elsewhere "at the
    /// same moment" happens before the caller releases them.
    ///
    /// # Errors
    /// There is one already.
    pub fn begin(lease: &mut Lease<'_>, sink: Box<dyn Sink>) -> Result<Snapshot, UnderWay> {
        lease.cover_all();
        if lease.held().any(|stripe| stripe.is_captured()) {
            return Err(UnderWay);
        }
        let cancelled = AtomicBool::new(false);
        let job = Arc::new(Job { sink, cancelled });
        let keyspace = lease.keyspace();
        for (id, stripe) in keyspace.stripes().zip(lease.held()) {
            let first = keyspace.first_position(id);
            let capture = Capture::new(Arc::clone(&job), keyspace.databases(), first);
            stripe.begin_epoch(capture);
        }
        let stripe = StripeId(0);
        Ok(Snapshot { job, stripe })
    }

    /// Walks one segment, or some of a large one; `false` when the snapshot is complete. Leaves a
    /// stripe leased.
    pub fn step(&mut self, lease: &mut Lease<'_>) -> bool {
        let keyspace: &Keyspace = lease.keyspace();
        if self.stripe.0 >= keyspace.stripe_count() {
            return false;
        }
        let stripe: &mut Stripe = lease.only(self.stripe);
        if !stripe.walk_epoch() {
            self.stripe.0 += 1;
        }
        true
    }

    /// Everything has been written: commands need not count any more what they copy because the
    /// sink shares it. To be called after the last step.
    pub fn end(self, lease: &mut Lease<'_>) {
        for stripe in lease.keyspace().stripes() {
            lease.only(stripe).end_capture();
            lease.release();
        }
    }

    /// Nothing is passed on any more; the entries of the past are but marked.
    pub fn cancel(&self) {
        self.job.cancelled.store(true, Ordering::Relaxed);
    }

    /// The share of stripes that are done, from 0 to 1.
    pub fn progress(&self, keyspace: &Keyspace) -> f64 {
        f64::from(self.stripe.0) / f64::from(keyspace.stripe_count())
    }
}

/// Shows `visit` the entries of a flushed table that are part of the snapshot.
pub fn visit_flushed(table: &Table, epoch: bool, mut visit: impl FnMut(&Entry)) {
    table.visit_all(|entry| {
        if entry.epoch() == epoch {
            visit(entry);
        }
    });
}

#[cfg(test)]
mod tests;
