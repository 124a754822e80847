//! The keyspace: stripes behind locks, and [`Lease`], the only way to reach what is in them.
//!
//! A stripe is one lock's share: the part of every database whose key hashes start with the
//! stripe's number. `Lease::cover` locks the stripes of a command's keys, all at once and in
//! ascending order; it never waits for a lock while holding another unless that one is lower.
//! Nothing else in the program locks a stripe, so no deadlock can be written.
//!
//! With one worker there is one stripe; a lease on it is kept across a batch and then costs
//! nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base::hash::{Seed, hash_key};
use base::ids::DbIndex;
use base::time::UnixMillis;

use crate::entry::Entry;
use crate::env::Env;
use crate::snapshot::{Capture, STEP_COST};
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use crate::table::{KeyHasher, POSITION_BITS, Table};
use crate::track::{Invalidation, Name, Totals, Trackers};
use crate::tx::note_awaited;
use crate::waiters::Waiters;
use crate::watch::Watchers;

pub mod ahead;
mod door;

pub(crate) use door::Door;

/// A key with its hash, which is computed once per command.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key as the client sent it.
    pub bytes: &'a [u8],
    /// `Keyspace::hash` of it.
    pub hash: u64,
}

/// Number of a stripe, `0..Keyspace::stripe_count()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StripeId(pub u32);

/// What one lock guards.
pub struct Stripe {
    databases: Box<[Table]>,
    watchers: Watchers,
    trackers: Trackers,
    /// The epoch of entries made now; see `snapshot`.
    epoch: bool,
    capture: Option<Box<Capture>>,
    waiters: Waiters,
}

impl Stripe {
    /// The part of a database that is in this stripe.
    #[inline]
    pub fn table(&self, db: DbIndex) -> &Table {
        &self.databases[db.as_usize()]
    }

    /// The same, to change it.
    #[inline]
    pub(crate) fn door(&mut self, db: DbIndex) -> Door<'_> {
        Door {
            table: &mut self.databases[db.as_usize()],
            capture: self.capture.as_deref_mut(),
            db,
            epoch: self.epoch,
        }
    }

    /// See `Table::expect_entries`.
    pub fn expect_entries(&mut self, db: DbIndex, entries: usize) {
        self.databases[db.as_usize()].expect_entries(entries);
    }

    /// See `Table::visit_expired`.
    pub fn visit_expired(
        &mut self,
        db: DbIndex,
        segment: usize,
        now: UnixMillis,
        found: impl FnMut(&[u8]),
    ) -> bool {
        self.databases[db.as_usize()].visit_expired(segment, now, found)
    }

    /// Whether a snapshot has yet to see some of this stripe.
    pub(crate) fn is_captured(&self) -> bool {
        self.capture.as_ref().is_some_and(|it| it.next().is_some())
    }

    /// Nobody wants to know any more what commands do to what the last snapshot has.
    pub(crate) fn end_capture(&mut self) {
        if !self.is_captured() {
            self.capture = None;
        }
    }

    /// From now on all entries that are here are of the past, and the capture's.
    pub(crate) fn begin_epoch(&mut self, capture: Capture) {
        self.epoch = !self.epoch;
        self.capture = Some(Box::new(capture));
    }

    /// Saves what is of the past in the next segment; `false` when there is nothing left.
    pub(crate) fn walk_epoch(&mut self) -> bool {
        let Some(capture) = &mut self.capture else {
            return false;
        };
        let Some((db, position)) = capture.next() else {
            capture.pass_on();
            return false;
        };
        let (epoch, mut left, mut is_through) = (self.epoch, STEP_COST, true);
        let next = self.databases[db.as_usize()].visit_segment(position, |entry| {
            if entry.epoch() == epoch {
                return;
            }
            is_through = left > 0;
            if is_through {
                left = left.saturating_sub(capture.save(db, entry));
                entry.set_epoch(epoch);
            }
        });
        // What is left of the segment is for the next step, which passes over what this one did.
        if is_through {
            capture.walked(db, next);
        }
        true
    }

    /// Who watches keys of this stripe.
    #[inline]
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// The same, to enter or strike out a client.
    pub fn watchers_mut(&mut self) -> &mut Watchers {
        &mut self.watchers
    }

    /// Who caches keys of this stripe.
    pub fn trackers(&self) -> &Trackers {
        &self.trackers
    }

    /// The same, to enter or strike out a reader.
    pub fn trackers_mut(&mut self) -> &mut Trackers {
        &mut self.trackers
    }

    /// Whether somebody watches or caches keys of this stripe, or waits for some.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        !(self.watchers.is_empty() & self.trackers.is_empty() & self.waiters.is_empty())
    }

    /// `key` was changed: tells those who want to hear of it.
    pub fn tell(&mut self, db: DbIndex, key: Key<'_>, by_command: bool, env: &Env) {
        self.watchers.mark(db, key);
        if let Some(news) = self.trackers.invalidate(key) {
            env.note_invalidation(news);
        }
        if env.broadcast {
            let key: Name = key.bytes.into();
            env.note_invalidation(Invalidation::Changed { key, by_command });
        }
    }

    /// Who waits for keys of this stripe.
    #[inline]
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// The same, to enter or strike out a waiter.
    pub(crate) fn waiters_mut(&mut self) -> &mut Waiters {
        &mut self.waiters
    }

    /// Exchanges two databases' parts. Those who cache keys do not hear of it, as in Redis.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        let tables = [self.table(a), self.table(b)];
        self.watchers.mark_all(&[a, b], |key| {
            tables
                .iter()
                .any(|table| table.find(key.hash, key.bytes).is_some())
        });
        self.databases.swap(a.as_usize(), b.as_usize());
        if let Some(capture) = &mut self.capture {
            capture.swap(a, b);
        }
    }

    /// Takes over everything that is in another keyspace's stripe of the same number, in place of
    /// what is here. The same seed is both keyspaces'. Returns what the caller is to free. As with
    /// `take`, it tells those who cache keys.
    fn adopt(&mut self, other: &mut Stripe) -> Vec<Table> {
        let mut freed = Vec::new();
        for at in 0..self.databases.len() {
            let db = DbIndex(at as u32);
            let empty = other.databases[at].emptied();
            let new = std::mem::replace(&mut other.databases[at], empty);
            self.watchers
                .mark_all(&[db], |key| new.find(key.hash, key.bytes).is_some());
            freed.extend(self.take(db));
            self.databases[at] = new;
        }
        // A snapshot under way has what was here; what is here now is not its business.
        self.epoch = other.epoch;
        freed
    }

    /// Empties a database's part. The caller frees what it held, unless a snapshot needs it, and
    /// tells those who cache keys.
    pub fn take(&mut self, db: DbIndex) -> Option<Table> {
        let table = self.table(db);
        self.watchers
            .mark_all(&[db], |key| table.find(key.hash, key.bytes).is_some());
        self.trackers.clear();
        let table = &mut self.databases[db.as_usize()];
        let empty = table.emptied();
        let table = std::mem::replace(table, empty);
        match &mut self.capture {
            Some(capture) => capture.adopt(db, table, self.epoch),
            None => Some(table),
        }
    }
}

/// Keeps neighbouring locks off one another's cache lines (two lines: adjacent-line prefetch).
#[repr(align(128))]
struct Padded<T>(T);

/// How long a lock is waited for before it is asked whether there is any use in waiting.
const PATIENCE: Duration = Duration::from_millis(2);

/// All data. Shared by the workers.
pub struct Keyspace {
    /// Somebody holds a lease for long: `try_cover` and its siblings give up instead of waiting.
    held_up: AtomicBool,
    stripes: Box<[Padded<Mutex<Stripe>>]>,
    stripe_bits: u8,
    databases: u32,
    seed: Seed,
    tracked: Arc<Totals>,
    tickets: AtomicU64,
}

/// `KeyHasher` over the keyspace's seed.
#[derive(Clone, Copy)]
pub struct Hasher(Seed);

impl KeyHasher for Hasher {
    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        hash_key(&self.0, key)
    }
}

impl Keyspace {
    /// Stripes for a number of workers: one for one, else eight per worker, a power of two.
    pub fn stripes_for(workers: usize) -> usize {
        if workers <= 1 {
            1
        } else {
            (8 * workers).next_power_of_two().min(1024)
        }
    }

    /// An empty keyspace. `stripes` is rounded up to a power of two of at most 1,024.
    pub fn new(stripes: usize, databases: u32, seed: Seed) -> Keyspace {
        let stripes = stripes.next_power_of_two().min(1024);
        let stripe_bits = stripes.trailing_zeros() as u8;
        let table = |db: u32| Table::new(stripe_bits, hash_key(&seed, &db.to_le_bytes()));
        let tracked = Arc::<Totals>::default();
        let stripe = || Stripe {
            databases: (0..databases).map(table).collect(),
            watchers: Watchers::default(),
            trackers: Trackers::new(Arc::clone(&tracked)),
            epoch: false,
            capture: None,
            waiters: Waiters::default(),
        };
        Keyspace {
            stripes: (0..stripes).map(|_| Padded(Mutex::new(stripe()))).collect(),
            stripe_bits,
            databases,
            seed,
            held_up: AtomicBool::new(false),
            tracked,
            tickets: AtomicU64::new(1),
        }
    }

    /// Tells those who can do without that a lease is held for long, or no more.
    pub fn set_held_up(&self, held_up: bool) {
        self.held_up.store(held_up, Relaxed);
    }

    /// A number larger than all before. Drawn under a key's stripe, the numbers of those who wait
    /// for that key are in the order in which they came.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Relaxed)
    }

    /// Number of stripes.
    pub fn stripe_count(&self) -> u32 {
        self.stripes.len() as u32
    }

    /// How many keys are tracked for those who cache them.
    #[inline]
    pub fn tracked(&self) -> &Totals {
        &self.tracked
    }

    /// Number of logical databases.
    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// The hash of a key. Its top bits choose the stripe.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        hash_key(&self.seed, key)
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key {
            bytes,
            hash: self.hash(bytes),
        }
    }

    /// The seed of all hashes: of keys, and of members and fields inside collections.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// What tables use to get back from an entry to its hash.
    pub fn hasher(&self) -> Hasher {
        Hasher(self.seed)
    }

    /// The stripe of a hash.
    #[inline]
    pub fn stripe_of(&self, hash: u64) -> StripeId {
        // A shift by 64 would be undefined; with one stripe all hashes map to it.
        let id = if self.stripe_bits == 0 {
            0
        } else {
            hash >> (64 - self.stripe_bits)
        };
        StripeId(id as u32)
    }

    /// First scan position of a stripe.
    pub fn first_position(&self, stripe: StripeId) -> u64 {
        u64::from(stripe.0) << (POSITION_BITS - u32::from(self.stripe_bits))
    }

    /// The stripe that a scan position is in; `None` for a number that is no position.
    pub fn stripe_of_position(&self, position: u64) -> Option<StripeId> {
        let id = position >> (POSITION_BITS - u32::from(self.stripe_bits));
        (position >> POSITION_BITS == 0).then_some(StripeId(id as u32))
    }

    /// All stripes in ascending order.
    pub fn stripes(&self) -> impl Iterator<Item = StripeId> + use<> {
        (0..self.stripe_count()).map(StripeId)
    }

    /// A lease that covers nothing yet.
    pub fn lease(&self) -> Lease<'_> {
        let many = (0..self.stripes.len()).map(|_| None).collect();
        Lease {
            keyspace: self,
            one: None,
            many,
            held: 0,
            pinned: false,
            wanted: vec![0; self.stripes.len().div_ceil(64)],
        }
    }

    #[inline]
    fn lock(&self, id: StripeId) -> MutexGuard<'_, Stripe> {
        self.stripes[id.0 as usize].0.lock()
    }

    /// Waits for a lock unless it is held for long.
    #[inline]
    fn lock_soon(&self, id: StripeId) -> Option<MutexGuard<'_, Stripe>> {
        self.try_lock(id).or_else(|| self.wait_for(id))
    }

    #[cold]
    fn wait_for(&self, id: StripeId) -> Option<MutexGuard<'_, Stripe>> {
        loop {
            if let Some(stripe) = self.stripes[id.0 as usize].0.try_lock_for(PATIENCE) {
                return Some(stripe);
            }
            if self.held_up.load(Relaxed) {
                return None;
            }
        }
    }

    #[inline]
    fn try_lock(&self, id: StripeId) -> Option<MutexGuard<'_, Stripe>> {
        self.stripes[id.0 as usize].0.try_lock()
    }
}

/// The stripes that are locked for the current command.
///
/// Either `one` is set, or `held` of `many` are, or nothing is held.
pub struct Lease<'k> {
    keyspace: &'k Keyspace,
    one: Option<(StripeId, MutexGuard<'k, Stripe>)>,
    many: Box<[Option<MutexGuard<'k, Stripe>>]>,
    held: usize,
    /// What is held stays held (a transaction is running).
    pinned: bool,
    wanted: Vec<u64>,
}

impl<'k> Lease<'k> {
    /// The keyspace this lease is on.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.keyspace
    }

    /// Covers exactly the stripes of these hashes (none: keeps what is held).
    #[inline]
    pub fn cover(&mut self, mut hashes: impl Iterator<Item = u64> + Clone) {
        let Some(first) = hashes.clone().next() else {
            return;
        };
        let stripe = self.keyspace.stripe_of(first);
        if hashes
            .clone()
            .all(|hash| self.keyspace.stripe_of(hash) == stripe)
        {
            self.cover_one(stripe);
        } else {
            self.cover_many(&mut hashes);
        }
    }

    /// Like [`cover`](Self::cover), but gives up, covering nothing, if one of the stripes is held
    /// for long. Whether it has them.
    #[inline]
    #[must_use]
    pub fn try_cover(&mut self, mut hashes: impl Iterator<Item = u64> + Clone) -> bool {
        let Some(first) = hashes.clone().next() else {
            return true;
        };
        if self.pinned {
            return true;
        }
        let stripe = self.keyspace.stripe_of(first);
        let is_one = |hash| self.keyspace.stripe_of(hash) == stripe;
        if hashes.clone().all(is_one) {
            if self.one.as_ref().is_some_and(|(held, _)| *held == stripe) {
                return true;
            }
            self.release();
            self.one = self.keyspace.lock_soon(stripe).map(|lock| (stripe, lock));
            return self.one.is_some();
        }
        self.release();
        self.want(&mut hashes);
        self.lock_wanted()
    }

    /// Like [`cover_one`](Self::cover_one), but gives up as [`try_cover`](Self::try_cover) does.
    #[must_use]
    pub fn try_cover_one(&mut self, stripe: StripeId) -> bool {
        if self.pinned || self.one.as_ref().is_some_and(|(held, _)| *held == stripe) {
            return true;
        }
        self.release();
        self.one = self.keyspace.lock_soon(stripe).map(|lock| (stripe, lock));
        self.one.is_some()
    }

    /// Like [`cover_all`](Self::cover_all), but gives up as [`try_cover`](Self::try_cover) does.
    #[must_use]
    pub fn try_cover_all(&mut self) -> bool {
        if self.pinned || self.held == self.many.len() {
            return true;
        }
        if self.keyspace.stripe_count() == 1 {
            if self.one.is_none() {
                let lock = self.keyspace.lock_soon(StripeId(0));
                self.one = lock.map(|lock| (StripeId(0), lock));
            }
            return self.one.is_some();
        }
        self.release();
        for id in self.keyspace.stripes() {
            self.wanted[id.0 as usize / 64] |= 1 << (id.0 % 64);
        }
        self.lock_wanted()
    }

    /// Locks the stripes that are marked, in order; none if one of them is held for long.
    fn lock_wanted(&mut self) -> bool {
        let mut all = true;
        for id in self.keyspace.stripes() {
            let bit = 1 << (id.0 % 64);
            if self.wanted[id.0 as usize / 64] & bit == 0 {
                continue;
            }
            self.wanted[id.0 as usize / 64] &= !bit;
            if all {
                let lock = self.keyspace.lock_soon(id);
                all = lock.is_some();
                self.held += usize::from(all);
                self.many[id.0 as usize] = lock;
            }
        }
        if !all {
            self.release();
        }
        all
    }

    /// Whether every stripe is held.
    pub fn covers_all(&self) -> bool {
        self.held + usize::from(self.one.is_some()) == self.many.len()
    }

    /// Adds a stripe to those that are held: waits only if it comes after all of them, so that
    /// nobody can wait in a circle. Whether it has it.
    #[must_use]
    pub fn extend(&mut self, hash: u64) -> bool {
        self.extend_by(self.keyspace.stripe_of(hash))
    }

    /// Adds all stripes that are not held, each as [`extend`](Self::extend) does. Whether all are
    /// held now.
    #[must_use]
    pub fn extend_to_all(&mut self) -> bool {
        let keyspace = self.keyspace;
        let is_held = |lease: &Self, id: StripeId| {
            let one = lease.one.as_ref().is_some_and(|(held, _)| *held == id);
            one || lease.many[id.0 as usize].is_some()
        };
        keyspace
            .stripes()
            .all(|id| is_held(self, id) || self.extend_by(id))
    }

    fn extend_by(&mut self, stripe: StripeId) -> bool {
        if let Some((id, held)) = self.one.take() {
            self.many[id.0 as usize] = Some(held);
            self.held = 1;
        }
        let last = self.many.iter().rposition(Option::is_some);
        let lock = match last.is_none_or(|last| last < stripe.0 as usize) {
            true => self.keyspace.lock_soon(stripe),
            false => self.keyspace.try_lock(stripe),
        };
        let taken = lock.is_some();
        self.held += usize::from(taken);
        self.many[stripe.0 as usize] = lock;
        taken
    }

    /// Covers exactly one stripe.
    #[inline]
    pub fn cover_one(&mut self, stripe: StripeId) {
        if self.pinned || self.one.as_ref().is_some_and(|(held, _)| *held == stripe) {
            return;
        }
        self.release();
        self.one = Some((stripe, self.keyspace.lock(stripe)));
    }

    /// Covers a stripe, exactly that one unless the lease is pinned, and gives it.
    pub fn only(&mut self, stripe: StripeId) -> &mut Stripe {
        self.cover_one(stripe);
        match &mut self.one {
            Some((_, held)) => held,
            // Invariant: a pinned lease covers all that is asked of it.
            None => self.many[stripe.0 as usize]
                .as_deref_mut()
                .expect("stripe is covered"),
        }
    }

    /// Whether the stripe of a hash is held.
    #[inline]
    pub fn covers(&self, hash: u64) -> bool {
        let id = self.keyspace.stripe_of(hash);
        match &self.one {
            Some((held, _)) => *held == id,
            None => self.many[id.0 as usize].is_some(),
        }
    }

    /// Takes the stripe of a hash besides what is held, if that needs no waiting; whether it is
    /// held now. Also adds to a pinned lease.
    pub(crate) fn try_add(&mut self, hash: u64) -> bool {
        if self.covers(hash) {
            return true;
        }
        let id = self.keyspace.stripe_of(hash);
        let Some(guard) = self.keyspace.try_lock(id) else {
            return false;
        };
        if let Some((held, stripe)) = self.one.take() {
            self.many[held.0 as usize] = Some(stripe);
            self.held = 1;
        }
        self.many[id.0 as usize] = Some(guard);
        self.held += 1;
        true
    }

    /// Keeps what is held until `unpin`, whatever is covered or released meanwhile: the commands of
    /// a transaction run under one lease, which must cover all their keys.
    pub fn pin(&mut self) {
        self.pinned = true;
    }

    /// Whether the commands of a transaction or a script are under way.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Ends what `pin` began, and gives every lock back.
    pub fn unpin(&mut self) {
        self.pinned = false;
        self.release();
    }

    /// Ends what `pin` began; what is held stays held until something else is needed.
    pub fn unpin_kept(&mut self) {
        self.pinned = false;
    }

    fn cover_many(&mut self, hashes: &mut impl Iterator<Item = u64>) {
        if self.pinned {
            return;
        }
        self.release();
        self.want(hashes);
        for id in self.keyspace.stripes() {
            let bit = 1 << (id.0 % 64);
            if self.wanted[id.0 as usize / 64] & bit != 0 {
                self.wanted[id.0 as usize / 64] &= !bit;
                self.many[id.0 as usize] = Some(self.keyspace.lock(id));
                self.held += 1;
            }
        }
    }

    fn want(&mut self, hashes: &mut impl Iterator<Item = u64>) {
        for hash in hashes {
            let StripeId(id) = self.keyspace.stripe_of(hash);
            self.wanted[id as usize / 64] |= 1 << (id % 64);
        }
    }

    /// Covers every stripe.
    pub fn cover_all(&mut self) {
        if self.keyspace.stripe_count() == 1 {
            return self.cover_one(StripeId(0));
        }
        if self.pinned || self.held == self.many.len() {
            return;
        }
        self.release();
        for id in self.keyspace.stripes() {
            self.many[id.0 as usize] = Some(self.keyspace.lock(id));
            self.held += 1;
        }
    }

    /// Gives every lock back.
    #[inline]
    pub fn release(&mut self) {
        if self.pinned {
            return;
        }
        self.one = None;
        if self.held > 0 {
            self.many.iter_mut().for_each(|guard| *guard = None);
            self.held = 0;
        }
    }

    /// The covered stripe of a hash.
    #[inline]
    pub fn stripe(&self, hash: u64) -> &Stripe {
        match &self.one {
            Some((_, stripe)) => stripe,
            None => self.many_stripe(self.keyspace.stripe_of(hash)),
        }
    }

    fn many_stripe(&self, id: StripeId) -> &Stripe {
        // Invariant: `cover` was called with every key that the command reads; Args::key takes its
        // hashes from the same list.
        self.many[id.0 as usize]
            .as_deref()
            .expect("stripe is covered")
    }

    /// The covered stripe of a hash, to change it.
    #[inline]
    pub fn stripe_mut(&mut self, hash: u64) -> &mut Stripe {
        match &mut self.one {
            Some((_, stripe)) => stripe,
            None => {
                let StripeId(id) = self.keyspace.stripe_of(hash);
                // Invariant: as in `many_stripe`.
                self.many[id as usize]
                    .as_deref_mut()
                    .expect("stripe is covered")
            }
        }
    }

    /// Takes over everything that is in another keyspace, which has the same seed, stripes and
    /// databases, in place of what is here. Both leases cover all.
    pub fn adopt(&mut self, other: &mut Lease<'_>, env: &Env) {
        for (stripe, other) in self.held().zip(other.held()) {
            let freed = stripe.adopt(other);
            freed.into_iter().for_each(|table| env.discard_table(table));
        }
    }

    /// Notes for those who cache keys or wait for some that all data are others now. It covers all.
    pub fn note_renewed(&mut self, env: &Env) {
        let databases: Vec<DbIndex> = (0..self.keyspace.databases()).map(DbIndex).collect();
        for stripe in self.held() {
            note_awaited(stripe, env, &databases);
        }
        env.note_emptied();
    }

    /// Empties all databases, all of which it covers.
    pub fn clear(&mut self, env: &Env) {
        let databases = self.keyspace.databases();
        for stripe in self.held() {
            let tables = (0..databases).filter_map(|db| stripe.take(DbIndex(db)));
            tables.for_each(|table| env.discard_table(table));
        }
        env.note_emptied();
    }

    /// All stripes that are held, ascending.
    pub fn held(&mut self) -> impl Iterator<Item = &mut Stripe> {
        let one = self.one.iter_mut().map(|(_, stripe)| &mut **stripe);
        one.chain(self.many.iter_mut().flatten().map(|guard| &mut **guard))
    }

    /// Looks into a stripe without changing what is held. Never waits.
    #[inline]
    fn peek(&self, id: StripeId, look: impl FnOnce(&Stripe)) {
        match &self.one {
            Some((held, stripe)) if *held == id => look(stripe),
            _ => {
                if let Some(stripe) = self.keyspace.try_lock(id) {
                    look(&stripe);
                }
            }
        }
    }

    /// Adds an entry for a key that is not there; replaces nothing.
    pub(crate) fn insert(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        let hasher = self.keyspace.hasher();
        self.stripe_mut(hash).door(db).insert(hash, entry, &hasher);
    }
}
