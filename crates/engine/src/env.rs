//! What surrounds the commands of one batch: time, randomness, limits, counters, effects, garbage.
//!
//! One per worker. Handlers reach it only through their transaction. Everything a command changes
//! here is in cells, because readers hold it shared.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::ids::DbIndex;
use base::rng::Rng;
use base::time::UnixMillis;
pub use structs::Packing;

use crate::access::{self, Recency};
use crate::effect::{Effects, Words};
use crate::entry::Large;
use crate::event::{Classes, Event};
use crate::keyspace::Key;
use crate::table::Table;
use crate::track::{Invalidation, Reader};
use crate::watch::Touched;

/// Values at least this large are freed by the background thread instead of under the lease.
pub const LAZY_FREE_BYTES_MIN: usize = 64 * 1024;

/// Collections in more allocations than this are freed by the background thread.
const LAZY_FREE_EFFORT_MIN: usize = 64;

/// The buffer for packed collections that are being edited keeps at most this capacity.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Settings that handlers obey.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`: no string grows beyond it. Bytes.
    pub string_bytes_max: u64,
    /// How accesses are remembered, by `maxmemory-policy`.
    pub recency: Recency,
    /// Up to where collections stay packed.
    pub packing: Packing,
    /// How DUMP writes values.
    pub dump: rdb::Target,
    /// Whether RESTORE looks at checksums.
    pub payloads: rdb::payload::Trust,
    /// `notify-keyspace-events`: the events that somebody may listen to.
    pub events: Classes,
}

/// Counters of this worker since it started, as INFO names them.
#[derive(Debug, Default)]
pub struct Stats {
    /// Reads that found their key.
    pub keyspace_hits: Cell<u64>,
    /// Reads that did not.
    pub keyspace_misses: Cell<u64>,
    /// Keys deleted because their deadline had passed.
    pub expired_keys: Cell<u64>,
    /// Fields of hashes deleted because their deadline had passed.
    pub expired_fields: Cell<u64>,
    /// Keys deleted to stay below `maxmemory`.
    pub evicted_keys: Cell<u64>,
    /// Changes to the data set (`rdb_changes_since_last_save`).
    pub changes: Cell<u64>,
    /// Large values handed to the background thread.
    pub lazyfreed_objects: Cell<u64>,
}

/// Something whose freeing takes long.
pub enum Garbage {
    /// A long string, or a collection of many pieces.
    Value(Large),
    /// All entries of a flushed table.
    Table(Box<Table>),
}

/// A key, and a deadline that it was given.
pub type OwnDeadline = (DbIndex, Box<[u8]>, UnixMillis);

/// See the module's head.
pub struct Env {
    /// The time of the batch. A command sees one time.
    pub now: UnixMillis,
    /// What accesses are dated, if not `now`: a log is replayed long before every deadline (`now`
    /// is 0), and yet the keys in it are used today.
    pub access_time: Option<UnixMillis>,
    /// Settings that handlers obey.
    pub limits: Limits,
    /// Whether accesses are remembered (CLIENT NO-TOUCH turns it off).
    pub touch: bool,
    /// Whether due keys are deleted, or only hidden (paused writes, replicas).
    pub expire: bool,
    /// Who tracks what the command under way reads, if its client does.
    pub reader: Cell<Option<Reader>>,
    /// Whether the deadlines that commands set are nobody else's to look after: those that clients
    /// of a writable replica set.
    pub owns_deadlines: bool,
    /// Whether somebody caches keys without reading them here, and so hears of every change.
    pub broadcast: bool,
    /// Whether effects are left out: a script has asked for that (`redis.set_repl`).
    pub unrecorded: bool,
    /// Whether a script runs the commands.
    pub scripted: bool,
    /// The microsecond that this script was told first; 0: none yet. It sees no other.
    pub script_micros: Cell<i64>,
    /// Counters.
    pub stats: Stats,
    rng: RefCell<Rng>,
    /// Whether anybody wants effects: shared, turned over under a lease on all stripes.
    wanted: Arc<AtomicBool>,
    effects: RefCell<Effects>,
    garbage: RefCell<Vec<Garbage>>,
    events: RefCell<Vec<Event>>,
    own_deadlines: RefCell<Vec<OwnDeadline>>,
    touched: RefCell<Vec<Touched>>,
    invalidations: RefCell<Vec<Invalidation>>,
    ready: RefCell<Vec<Touched>>,
    complaint: RefCell<Option<String>>,
    scratch: Cell<Vec<u8>>,
}

impl Env {
    /// An environment whose random numbers follow from `seed`. Effects are not recorded.
    pub fn new(limits: Limits, seed: u64) -> Env {
        Env {
            now: UnixMillis(0),
            access_time: None,
            limits,
            touch: true,
            expire: true,
            reader: Cell::new(None),
            owns_deadlines: false,
            broadcast: false,
            unrecorded: false,
            scripted: false,
            script_micros: Cell::new(0),
            stats: Stats::default(),
            rng: RefCell::new(Rng::from_seed(seed)),
            wanted: Arc::default(),
            effects: RefCell::default(),
            garbage: RefCell::new(Vec::new()),
            events: RefCell::new(Vec::new()),
            own_deadlines: RefCell::default(),
            touched: RefCell::new(Vec::new()),
            invalidations: RefCell::new(Vec::new()),
            ready: RefCell::new(Vec::new()),
            complaint: RefCell::default(),
            scratch: Cell::default(),
        }
    }

    /// Lets this switch say whether effects are recorded. Who turns it holds all stripes, so that
    /// each command sees it in one position.
    pub fn record_effects_if(&mut self, wanted: Arc<AtomicBool>) {
        self.wanted = wanted;
    }

    /// Starts recording effects.
    pub fn record_effects(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether anybody wants effects; making them costs nothing otherwise.
    #[inline]
    pub fn wants_effects(&self) -> bool {
        // Relaxed: the lease under which it is read orders it.
        self.wanted.load(Ordering::Relaxed) && !self.unrecorded
    }

    /// Adds an effect, if anybody wants it.
    pub fn record(&self, db: DbIndex, words: impl FnOnce() -> Vec<Vec<u8>>) {
        if self.wants_effects() {
            let words = words();
            let words = words.iter().map(Vec::as_slice);
            self.effects.borrow_mut().push(db, words);
        }
    }

    /// Adds an effect whose words are at hand, if anybody wants it.
    #[inline]
    pub(crate) fn record_words<'a>(
        &self,
        db: DbIndex,
        words: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        if self.wants_effects() {
            self.effects.borrow_mut().push(db, words);
        }
    }

    /// Whether effects have been recorded that nobody has taken yet.
    #[inline]
    pub fn has_effects(&self) -> bool {
        !self.effects.borrow().is_empty()
    }

    /// Shows the effects recorded since the last call, in order, and forgets them.
    pub fn drain_effects<R>(&self, look: impl FnOnce(&Effects) -> R) -> R {
        let mut effects = self.effects.borrow_mut();
        let result = look(&effects);
        effects.clear();
        result
    }

    /// The same as words, for tests.
    pub fn take_effects(&self) -> Vec<Words> {
        self.drain_effects(|effects| effects.iter().map(Words::from).collect())
    }

    /// A random number below `bound` (which is not 0).
    pub fn random_below(&self, bound: u64) -> u64 {
        self.rng.borrow_mut().below(bound)
    }

    /// 64 random bits.
    pub fn random(&self) -> u64 {
        self.rng.borrow_mut().next_u64()
    }

    /// The access bits after an access now.
    #[inline]
    pub fn touched(&self, access: u32) -> u32 {
        access::touched(
            access,
            self.limits.recency,
            self.access_now(),
            &mut self.rng.borrow_mut(),
        )
    }

    /// The access bits of an entry made now.
    #[inline]
    pub fn fresh_access(&self) -> u32 {
        access::fresh(self.limits.recency, self.access_now())
    }

    /// What an access now is dated.
    #[inline]
    pub(crate) fn access_now(&self) -> UnixMillis {
        self.access_time.unwrap_or(self.now)
    }

    /// Frees a value: a large one later, on the background thread.
    pub fn discard(&self, value: Large) {
        let lazily = match &value {
            Large::Text(text) => text.capacity() >= LAZY_FREE_BYTES_MIN,
            Large::Object(object) => object.free_effort() > LAZY_FREE_EFFORT_MIN,
        };
        if lazily {
            add(&self.stats.lazyfreed_objects, 1);
            self.garbage.borrow_mut().push(Garbage::Value(value));
        }
    }

    /// An empty buffer for a packed collection that is to be edited. Give it back.
    pub(crate) fn take_scratch(&self) -> Vec<u8> {
        self.scratch.take()
    }

    /// Takes the buffer back for the next command.
    pub(crate) fn return_scratch(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= SCRATCH_BYTES_MAX {
            buffer.clear();
            self.scratch.set(buffer);
        }
    }

    /// Frees a table on the background thread, unless it is empty.
    pub fn discard_table(&self, table: Table) {
        if !table.is_empty() {
            add(&self.stats.lazyfreed_objects, table.len() as u64);
            self.garbage
                .borrow_mut()
                .push(Garbage::Table(Box::new(table)));
        }
    }

    /// Notes an event, if its class is published.
    #[inline]
    pub(crate) fn note_event(&self, class: Classes, name: &'static str, db: DbIndex, key: Key<'_>) {
        if self.limits.events.wants(class) {
            let key = key.bytes.into();
            self.events.borrow_mut().push(Event { name, db, key });
        }
    }

    /// The events since the last call, in order.
    pub fn take_events(&self) -> Vec<Event> {
        if self.events.borrow().is_empty() {
            return Vec::new();
        }
        self.events.take()
    }

    /// Notes a deadline that was set, if nobody else looks after it.
    #[inline]
    pub(crate) fn note_deadline(&self, db: DbIndex, key: Key<'_>, at: UnixMillis) {
        if self.owns_deadlines {
            let key = key.bytes.into();
            self.own_deadlines.borrow_mut().push((db, key, at));
        }
    }

    /// The deadlines since the last call that are nobody else's to look after.
    #[inline]
    pub fn take_own_deadlines(&self) -> Vec<OwnDeadline> {
        if self.own_deadlines.borrow().is_empty() {
            return Vec::new();
        }
        self.own_deadlines.take()
    }

    /// Notes what those who cache keys have to forget.
    pub fn note_invalidation(&self, news: Invalidation) {
        self.invalidations.borrow_mut().push(news);
    }

    /// Notes that a database was emptied; several in a row count as one.
    pub(crate) fn note_emptied(&self) {
        let mut news = self.invalidations.borrow_mut();
        if news.last() != Some(&Invalidation::Everything) {
            news.push(Invalidation::Everything);
        }
    }

    /// Whether those who cache keys have to hear anything.
    #[inline]
    pub fn has_invalidations(&self) -> bool {
        !self.invalidations.borrow().is_empty()
    }

    /// What they have to hear, in order.
    pub fn take_invalidations(&self) -> Vec<Invalidation> {
        self.invalidations.take()
    }

    /// Notes that the command under way has changed an observed key.
    pub(crate) fn note_touched(&self, touched: Touched) {
        self.touched.borrow_mut().push(touched);
    }

    /// The observed keys that the command has changed.
    pub(crate) fn take_touched(&self) -> Vec<Touched> {
        if self.touched.borrow().is_empty() {
            return Vec::new();
        }
        self.touched.take()
    }

    /// Notes that an awaited key may have become ready.
    pub(crate) fn note_ready(&self, touched: Touched) {
        let mut ready = self.ready.borrow_mut();
        // A command that changes a key in several steps is one reason to look at it.
        if ready.last() != Some(&touched) {
            ready.push(touched);
        }
    }

    /// Whether there may be somebody to serve (see `serve`).
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Number of notes about keys that may have become ready.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Forgets all but the first so many of those notes.
    pub(crate) fn truncate_ready(&self, count: usize) {
        self.ready.borrow_mut().truncate(count);
    }

    /// Forgets the notes about one key.
    pub(crate) fn forget_ready(&self, touched: &Touched) {
        self.ready.borrow_mut().retain(|noted| noted != touched);
    }

    /// The keys that may have become ready, in order.
    pub(crate) fn take_ready(&self) -> Vec<Touched> {
        self.ready.take()
    }

    /// A command that fails has something to say to the operator, too.
    pub(crate) fn complain(&self, what: String) {
        *self.complaint.borrow_mut() = Some(what);
    }

    /// What the command that has just failed says to the operator.
    pub fn take_complaint(&self) -> Option<String> {
        self.complaint.take()
    }

    /// What has to be freed in the background.
    pub fn take_garbage(&self) -> Vec<Garbage> {
        std::mem::take(&mut *self.garbage.borrow_mut())
    }
}

/// Adds to a counter.
#[inline]
pub fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get().wrapping_add(count));
}
