//! What a handler may touch: [`ReadTx`], [`WriteTx`] and [`WalkTx`], and nothing else.
//!
//! A transaction is a lease seen by one command in one database at one time. Expired keys do not
//! exist in it: `dispatch::execute` removes the due ones among the command's keys first, and the
//! look-ups here hide what may not be removed now. All changes of the data set go through
//! `WriteTx::put`, `edit`, `remove`, `set_deadline` and the whole-database operations: the one
//! mutation door.

use base::ids::DbIndex;
use base::time::UnixMillis;

use structs::{Form, Packing};

use crate::entry::{Entry, INLINE_BYTES_MAX, NewValue, Text, Value};
use crate::env::{Env, add};
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::{Door, Key, Keyspace, Lease, Stripe, StripeId};
use crate::object::{Kept, Type};
use crate::table::Place;
use crate::watch::Touched;

/// What a write command did, for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Number of changes, as `rdb_changes_since_last_save` counts them; 0 = nothing happened.
    pub changes: u32,
    /// How the journal gets it.
    pub form: EffectForm,
}

/// How an effect is written to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectForm {
    /// The command's own words reproduce it.
    AsSent,
    /// The handler has recorded other words (`WriteTx::instead`).
    Instead,
}

impl Effect {
    /// Nothing changed.
    pub const NOTHING: Effect = Effect {
        changes: 0,
        form: EffectForm::AsSent,
    };

    /// `changes` changes that the command's own words reproduce.
    pub fn as_sent(changes: usize) -> Effect {
        Effect {
            changes: changes as u32,
            form: EffectForm::AsSent,
        }
    }

    /// `changes` changes that the words given to `WriteTx::instead` reproduce.
    pub fn instead(changes: usize) -> Effect {
        Effect {
            changes: changes as u32,
            form: EffectForm::Instead,
        }
    }
}

/// What happens to the deadline when a value is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// The key no longer expires.
    Clear,
    /// It stays as it is.
    Keep,
    /// It becomes this.
    At(UnixMillis),
}

/// A view for commands that change nothing.
pub struct ReadTx<'t, 'k> {
    lease: &'t Lease<'k>,
    env: &'t Env,
    db: DbIndex,
}

/// A view for commands that may change things.
pub struct WriteTx<'t, 'k> {
    lease: &'t mut Lease<'k>,
    env: &'t Env,
    db: DbIndex,
}

fn find_live<'l>(
    lease: &'l Lease<'_>,
    env: &Env,
    db: DbIndex,
    key: Key<'_>,
) -> Option<(&'l Entry, Place)> {
    let table = lease.stripe(key.hash).table(db);
    let place = table.find(key.hash, key.bytes)?;
    let entry = table.at(place);
    entry
        .deadline()
        .is_none_or(|deadline| deadline > env.now)
        .then_some((entry, place))
}

impl<'t, 'k> ReadTx<'t, 'k> {
    /// A view through `lease`, which must cover the keys that will be asked for.
    pub fn new(lease: &'t Lease<'k>, env: &'t Env, db: DbIndex) -> ReadTx<'t, 'k> {
        ReadTx { lease, env, db }
    }

    /// The time of this command.
    pub fn now(&self) -> UnixMillis {
        self.env.now
    }

    /// The time that a clock shows, also while commands run before every deadline (a log, the
    /// stream of a primary).
    pub fn clock(&self) -> UnixMillis {
        self.env.access_now()
    }

    /// Settings, counters, randomness.
    pub fn env(&self) -> &'t Env {
        self.env
    }

    /// A key that is not a word of the command. Its stripe must be covered nevertheless.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        self.lease.keyspace().key(bytes)
    }

    /// The entry, counted as a hit or miss and as an access.
    #[inline]
    pub fn find(&self, key: Key<'_>) -> Option<&'t Entry> {
        let entry = self.find_untouched(key)?;
        if self.env.touch {
            entry.set_access(self.env.touched(entry.access()));
        }
        Some(entry)
    }

    /// The entry, counted as a hit or miss, but not as an access (TTL, EXISTS, TYPE).
    #[inline]
    pub fn find_untouched(&self, key: Key<'_>) -> Option<&'t Entry> {
        let found = self.find_unnoticed(key);
        if found.is_none() {
            let env = self.env;
            env.note_event(Classes::KEY_MISS, "keymiss", self.db, key);
        }
        found
    }

    /// The entry, counted as a hit or miss, but not as an access, and no event tells that it is
    /// missing (OBJECT).
    #[inline]
    pub fn find_unnoticed(&self, key: Key<'_>) -> Option<&'t Entry> {
        let found = self.peek(key);
        let stats = &self.env.stats;
        add(
            if found.is_some() {
                &stats.keyspace_hits
            } else {
                &stats.keyspace_misses
            },
            1,
        );
        found
    }

    /// The entry, without a trace (OBJECT, MEMORY, DEBUG).
    #[inline]
    pub fn peek(&self, key: Key<'_>) -> Option<&'t Entry> {
        find_live(self.lease, self.env, self.db, key).map(|(entry, _)| entry)
    }

    /// The string at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type.
    #[inline]
    pub fn string(&self, key: Key<'_>) -> Result<Option<Text<'t>>, Failure> {
        text_of(self.find(key))
    }

    /// The collection at `key`, in whatever form it has.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type.
    #[inline]
    pub fn read<C: Kept>(&self, key: Key<'_>) -> Result<Option<C::Ref<'t>>, Failure> {
        self.find(key).map(view_of::<C>).transpose()
    }

    /// The limits up to which collections stay packed, and the seed of their hashes.
    pub fn packing(&self) -> &'t Packing {
        &self.env.limits.packing
    }
}

fn text_of(entry: Option<&Entry>) -> Result<Option<Text<'_>>, Failure> {
    match entry {
        None => Ok(None),
        Some(entry) => entry.text().map(Some).ok_or(Failure::WRONG_TYPE),
    }
}

/// The collection in an entry.
///
/// # Errors
/// `WRONGTYPE` if it is of another type.
pub fn view_of<C: Kept>(entry: &Entry) -> Result<C::Ref<'_>, Failure> {
    match entry.value() {
        Value::Packed(form, bytes) if C::has_form(form) => Ok(C::view(form, bytes)),
        Value::Object(object) => C::of(object).map(C::borrow).ok_or(Failure::WRONG_TYPE),
        Value::Packed(..) | Value::Text(_) => Err(Failure::WRONG_TYPE),
    }
}

/// The door to the table that `key` is in, for a change of what is at `key`.
#[inline]
fn changing<'l>(lease: &'l mut Lease<'_>, env: &Env, db: DbIndex, key: Key<'_>) -> Door<'l> {
    let stripe = lease.stripe_mut(key.hash);
    if env.broadcast || stripe.is_observed() {
        note(stripe, env, db, key);
    }
    stripe.door(db)
}

/// Notes that `key` is being changed, for those who watch it, cache it or wait for it.
#[cold]
fn note(stripe: &Stripe, env: &Env, db: DbIndex, key: Key<'_>) {
    if env.broadcast || stripe.trackers().has(key) || stripe.watchers().has(db, key) {
        env.note_touched(Touched::new(db, key));
    }
    if let Some(touched) = stripe.waiters().touched(db, key) {
        env.note_ready(touched);
    }
}

impl<'t, 'k> WriteTx<'t, 'k> {
    /// A view through `lease`, which must cover the keys that will be asked for.
    pub fn new(lease: &'t mut Lease<'k>, env: &'t Env, db: DbIndex) -> WriteTx<'t, 'k> {
        WriteTx { lease, env, db }
    }

    /// The time of this command.
    pub fn now(&self) -> UnixMillis {
        self.env.now
    }

    /// The time that a clock shows, also while commands run before every deadline (a log, the
    /// stream of a primary).
    pub fn clock(&self) -> UnixMillis {
        self.env.access_now()
    }

    /// Settings, counters, randomness.
    pub fn env(&self) -> &'t Env {
        self.env
    }

    /// The database that keys are looked up in.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// Number of databases.
    pub fn databases(&self) -> u32 {
        self.lease.keyspace().databases()
    }

    /// The same view of another database (MOVE, COPY ... DB).
    pub fn in_db(&mut self, db: DbIndex) -> WriteTx<'_, 'k> {
        WriteTx {
            lease: self.lease,
            env: self.env,
            db,
        }
    }

    /// A reading view, for look-ups that count as reads (GETEX, SET ... GET).
    #[inline]
    pub fn reading(&self) -> ReadTx<'_, 'k> {
        ReadTx {
            lease: self.lease,
            env: self.env,
            db: self.db,
        }
    }

    /// The entry, counted as an access.
    #[inline]
    pub fn find(&self, key: Key<'_>) -> Option<&Entry> {
        let (entry, _) = find_live(self.lease, self.env, self.db, key)?;
        if self.env.touch {
            entry.set_access(self.env.touched(entry.access()));
        }
        Some(entry)
    }

    /// The string at `key`, counted as an access.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type.
    #[inline]
    pub fn string(&self, key: Key<'_>) -> Result<Option<Text<'_>>, Failure> {
        text_of(self.find(key))
    }

    /// The limits up to which collections stay packed, and the seed of their hashes.
    pub fn packing(&self) -> &'t Packing {
        &self.env.limits.packing
    }

    /// The collection at `key`, in whatever form it has, counted as an access.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type.
    #[inline]
    pub fn read<C: Kept>(&self, key: Key<'_>) -> Result<Option<C::Ref<'_>>, Failure> {
        self.find(key).map(view_of::<C>).transpose()
    }

    /// Changes the collection at `key`, which starts empty if the key is missing. The deadline
    /// stays. A key whose collection ends up empty is deleted, unless the type may be empty; a
    /// missing key whose collection stays empty is not made, whatever the type.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type.
    #[inline]
    pub fn update<C: Kept, R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<R, Failure> {
        let Some((entry, place)) = find_live(self.lease, self.env, self.db, key) else {
            let mut fresh = C::with_buffer(self.env.take_scratch());
            let result = change(&mut fresh);
            if !fresh.is_empty() {
                self.put_collection(key, fresh, Deadline::Clear);
            } else if let Some((_, buffer)) = fresh.take_packed() {
                self.env.return_scratch(buffer);
            }
            return Ok(result);
        };
        if self.env.touch {
            entry.set_access(self.env.touched(entry.access()));
        }
        let env = self.env;
        let hasher = self.lease.keyspace().hasher();
        let mut table = changing(self.lease, self.env, self.db, key);
        let (result, emptied) = table.edit(place, |entry| change_entry(entry, env, change))?;
        if emptied && let Some(large) = table.remove(place, &hasher).into_large() {
            env.discard(large);
        }
        Ok(result)
    }

    /// As `update`, but no news to those who watch or cache keys.
    ///
    /// Compat: Redis tells them nothing of consumer groups.
    pub fn update_unseen<C: Kept, R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<R, Failure> {
        let result = self.update(key, change);
        self.unseen();
        result
    }

    /// Takes back that what this command has done so far is news to those who watch or cache keys.
    pub fn unseen(&self) {
        drop(self.env.take_touched());
    }

    /// Tells those who watch `key` that it has changed, though it has not.
    ///
    /// Compat: where Redis does so.
    pub fn seen(&self, key: Key<'_>) {
        self.lease.stripe(key.hash).watchers().mark(self.db, key);
    }

    /// Makes `key` hold this collection, replacing whatever was there; an empty one deletes the
    /// key, unless the type may be empty.
    pub fn put_collection<C: Kept>(&mut self, key: Key<'_>, collection: C, deadline: Deadline) {
        if collection.is_empty() && !C::MAY_BE_EMPTY {
            self.remove(key);
            return;
        }
        let env = self.env;
        with_value(collection, env, |value| self.put(key, value, deadline));
    }

    /// Makes `key` hold `value`, replacing whatever was there.
    #[inline]
    pub fn put(&mut self, key: Key<'_>, value: NewValue<'_>, deadline: Deadline) {
        if self.env.limits.events == Classes::NONE {
            return self.renew(key, value, deadline);
        }
        let before = self.kind_of(key);
        self.renew(key, value, deadline);
        if let Some(before) = before {
            self.event_replaced(key, before);
        }
    }

    /// Puts the collection that was changed outside of the entry; see [`WriteTx::renew`].
    pub fn renew_collection<C: Kept>(&mut self, key: Key<'_>, collection: C, deadline: Deadline) {
        with_value(collection, self.env, |value| {
            self.renew(key, value, deadline)
        });
    }

    /// Like [`WriteTx::put`], for a value made from the one that was there: to those who listen the
    /// key is changed, not overwritten.
    #[inline]
    pub fn renew(&mut self, key: Key<'_>, value: NewValue<'_>, deadline: Deadline) {
        let mut table = changing(self.lease, self.env, self.db, key);
        let Some(place) = table.find(key.hash, key.bytes) else {
            let deadline = match deadline {
                Deadline::At(at) => {
                    self.env.note_deadline(self.db, key, at);
                    Some(at)
                }
                Deadline::Clear | Deadline::Keep => None,
            };
            let entry = Entry::new(key.bytes, value, deadline, self.env.fresh_access());
            self.lease.insert(self.db, key.hash, entry);
            return self.event(Classes::NEW, "new", key);
        };
        let expired = table
            .at(place)
            .deadline()
            .is_some_and(|at| at <= self.env.now);
        let replaced = table.edit(place, |entry| {
            match deadline {
                Deadline::At(at) => {
                    self.env.note_deadline(self.db, key, at);
                    entry.set_deadline(Some(at));
                }
                Deadline::Clear => entry.set_deadline(None),
                Deadline::Keep if expired => entry.set_deadline(None),
                Deadline::Keep => {}
            }
            if self.env.touch {
                entry.set_access(self.env.touched(entry.access()));
            }
            entry.set_value(value)
        });
        if let Some(replaced) = replaced {
            self.env.discard(replaced);
        }
    }

    /// Makes the string at `key` the integer that `change` makes of it (`None`: the key is
    /// missing), and returns it. One look-up, and no allocation where an integer was before. The
    /// deadline stays.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type, and those of `change`; nothing is changed then.
    #[inline]
    pub fn update_int(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(Option<Text<'_>>) -> Result<i64, Failure>,
    ) -> Result<i64, Failure> {
        let Some((entry, place)) = find_live(self.lease, self.env, self.db, key) else {
            let number = change(None)?;
            self.put(key, NewValue::Int(number), Deadline::Clear);
            return Ok(number);
        };
        if self.env.touch {
            entry.set_access(self.env.touched(entry.access()));
        }
        let number = change(Some(entry.text().ok_or(Failure::WRONG_TYPE)?))?;
        let mut table = changing(self.lease, self.env, self.db, key);
        let replaced = table.edit(place, |entry| entry.set_value(NewValue::Int(number)));
        if let Some(replaced) = replaced {
            self.env.discard(replaced);
        }
        Ok(number)
    }

    /// Puts a whole entry (its own key, value, deadline) under `key`, which must equal its key.
    /// Returns the type of the value that was there; telling of that is the caller's part, since
    /// it comes after other events (`event_replaced`).
    pub fn put_entry(&mut self, key: Key<'_>, entry: Entry) -> Option<Type> {
        debug_assert_eq!(entry.key(), key.bytes);
        let replaced = self.take(key);
        if let Some(at) = entry.deadline() {
            self.env.note_deadline(self.db, key, at);
        }
        changing(self.lease, self.env, self.db, key);
        self.lease.insert(self.db, key.hash, entry);
        self.event(Classes::NEW, "new", key);
        replaced.map(|entry| {
            let kind = entry.kind();
            self.free(entry);
            kind
        })
    }

    /// Gives `edit` the string at `key` as a growable buffer; a missing key (or one of another
    /// type, which the caller has ruled out) starts empty. Deadline
    /// and access bits stay.
    pub fn edit_string(&mut self, key: Key<'_>, edit: impl FnOnce(&mut Vec<u8>)) {
        let live = find_live(self.lease, self.env, self.db, key).map(|(_, place)| place);
        if let Some(place) = live {
            changing(self.lease, self.env, self.db, key).edit(place, |e| e.edit(edit));
        } else {
            let mut buffer = Vec::new();
            edit(&mut buffer);
            let value = if buffer.len() <= INLINE_BYTES_MAX {
                NewValue::Edited(&buffer)
            } else {
                NewValue::Owned(buffer)
            };
            self.put(key, value, Deadline::Clear);
        }
    }

    /// Gives `edit` the bytes of the string at `key`, grown with zeros to at least as many as
    /// `prepare` says, and how long it was before (0 if the key was missing, as it is not
    /// afterwards). `prepare` sees the string first. In place where the string has the room;
    /// deadline and access bits stay.
    ///
    /// # Errors
    /// `WRONGTYPE` if the key holds another type, and those of `prepare`; nothing is changed then.
    #[inline]
    pub fn edit_bytes<R>(
        &mut self,
        key: Key<'_>,
        prepare: impl FnOnce(Option<Text<'_>>) -> Result<usize, Failure>,
        edit: impl FnOnce(&mut [u8], usize) -> R,
    ) -> Result<R, Failure> {
        let Some((entry, place)) = find_live(self.lease, self.env, self.db, key) else {
            let len = prepare(None)?;
            return Ok(self.put_edited(key, len, edit));
        };
        if self.env.touch {
            entry.set_access(self.env.touched(entry.access()));
        }
        let text = entry.text().ok_or(Failure::WRONG_TYPE)?;
        let (old_len, len) = (text.len(), prepare(Some(text))?);
        let mut table = changing(self.lease, self.env, self.db, key);
        Ok(table.edit(place, |entry| edit(entry.bytes_mut(len), old_len)))
    }

    /// Puts a string of `len` zeros as `edit` leaves it.
    fn put_edited<R>(
        &mut self,
        key: Key<'_>,
        len: usize,
        edit: impl FnOnce(&mut [u8], usize) -> R,
    ) -> R {
        if len > INLINE_BYTES_MAX {
            let mut bytes = vec![0; len];
            let result = edit(&mut bytes, 0);
            self.put(key, NewValue::Owned(bytes), Deadline::Clear);
            return result;
        }
        let mut bytes = [0; INLINE_BYTES_MAX];
        let result = edit(&mut bytes[..len], 0);
        self.put(key, NewValue::Edited(&bytes[..len]), Deadline::Clear);
        result
    }

    /// Appends to the string at `key`, which must exist.
    pub fn append(&mut self, key: Key<'_>, tail: &[u8]) {
        let Some((_, place)) = find_live(self.lease, self.env, self.db, key) else {
            return;
        };
        changing(self.lease, self.env, self.db, key).edit(place, |entry| {
            if !entry.append_in_place(tail) {
                entry.edit(|buffer| buffer.extend_from_slice(tail));
            }
        });
    }

    /// Deletes `key`; whether it was there.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        self.take(key).map(|entry| self.free(entry)).is_some()
    }

    /// Deletes `key` and tells so; whether it was there.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        let removed = self.remove(key);
        if removed {
            self.event(Classes::GENERIC, "del", key);
        }
        removed
    }

    /// Takes the entry of `key` out.
    pub fn take(&mut self, key: Key<'_>) -> Option<Entry> {
        let hasher = self.lease.keyspace().hasher();
        let table = self.lease.stripe(key.hash).table(self.db);
        let place = table.find(key.hash, key.bytes)?;
        // Only now: a missing key is not changed by its removal.
        let mut table = changing(self.lease, self.env, self.db, key);
        let live = table
            .at(place)
            .deadline()
            .is_none_or(|at| at > self.env.now);
        let entry = table.remove(place, &hasher);
        live.then_some(entry)
    }

    fn free(&self, entry: Entry) {
        if let Some(long) = entry.into_large() {
            self.env.discard(long);
        }
    }

    /// Sets or removes the deadline of `key`; whether the key is there.
    pub fn set_deadline(&mut self, key: Key<'_>, deadline: Option<UnixMillis>) -> bool {
        let Some((_, place)) = find_live(self.lease, self.env, self.db, key) else {
            return false;
        };
        if let Some(at) = deadline {
            self.env.note_deadline(self.db, key, at);
        }
        let mut table = changing(self.lease, self.env, self.db, key);
        table.edit(place, |entry| entry.set_deadline(deadline));
        true
    }

    /// Makes the access bits of `key` these, if it is there.
    pub fn set_access(&mut self, key: Key<'_>, access: u32) {
        if let Some((entry, _)) = find_live(self.lease, self.env, self.db, key) {
            entry.set_access(access);
        }
    }

    /// Deletes `key`, or fields of it, if due, as `execute` did with the command's keys in its
    /// own database. For keys that a command reaches in another one (MOVE, COPY ... DB).
    pub fn expire_if_due(&mut self, key: Key<'_>) {
        if self.env.expire {
            crate::dispatch::expire_if_due(key, self.db, self.lease, self.env);
        }
    }

    /// Empties the database; returns how many keys it had. Needs a lease on all stripes.
    pub fn flush(&mut self, db: DbIndex) -> usize {
        let mut count = 0;
        for stripe in self.lease.held() {
            count += stripe.table(db).len();
            if let Some(table) = stripe.take(db) {
                self.env.discard_table(table);
            }
            note_awaited(stripe, self.env, &[db]);
        }
        self.env.note_emptied();
        count
    }

    /// Exchanges two databases. Needs a lease on all stripes. Watched keys that are due in one of
    /// them go first: a key that comes into the other one but is due is no change there.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        if self.env.expire {
            let watchers = self.lease.held().map(|stripe| stripe.watchers());
            let keys = watchers.flat_map(|watchers| watchers.keys());
            let watched: Vec<_> = keys.map(|key| (key.bytes.to_vec(), key.hash)).collect();
            for (bytes, hash) in &watched {
                let key = Key { bytes, hash: *hash };
                for db in [a, b] {
                    crate::dispatch::expire_if_due(key, db, self.lease, self.env);
                }
            }
        }
        for stripe in self.lease.held() {
            stripe.swap(a, b);
            note_awaited(stripe, self.env, &[a, b]);
        }
    }

    /// A live key chosen at random. Needs a lease on all stripes.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        let total: usize = self
            .lease
            .held()
            .map(|stripe| stripe.table(self.db).len())
            .sum();
        if total == 0 {
            return None;
        }
        for _ in 0..RANDOM_KEY_TRIES {
            let mut nth = self.env.random_below(total as u64) as usize;
            for stripe in self.lease.held() {
                let table = stripe.table(self.db);
                if nth >= table.len() {
                    nth -= table.len();
                    continue;
                }
                let entry = table.sample(self.env.random())?;
                if entry.deadline().is_none_or(|at| at > self.env.now) {
                    return Some(entry.key().to_vec());
                }
                break;
            }
        }
        None
    }

    /// Notes what has happened to `key` in this view's database, if anybody wants to know.
    #[inline]
    pub fn event(&self, class: Classes, name: &'static str, key: Key<'_>) {
        self.env.note_event(class, name, self.db, key);
    }

    /// Notes that something was taken out of `key`, and `del` if nothing was left of it.
    #[inline]
    pub fn event_taken(&self, class: Classes, name: &'static str, key: Key<'_>) {
        if self.env.limits.events != Classes::NONE {
            self.event(class, name, key);
            if self.kind_of(key).is_none() {
                self.event(Classes::GENERIC, "del", key);
            }
        }
    }

    /// Notes that the whole value of `key`, of the type `before`, was replaced by another.
    pub fn event_replaced(&self, key: Key<'_>, before: Type) {
        self.event(Classes::OVERWRITTEN, "overwritten", key);
        if self.kind_of(key) != Some(before) {
            self.event(Classes::TYPE_CHANGED, "type_changed", key);
        }
    }

    fn kind_of(&self, key: Key<'_>) -> Option<Type> {
        let (entry, _) = find_live(self.lease, self.env, self.db, key)?;
        Some(entry.kind())
    }

    /// Records the words that reproduce this command's change, if anybody wants them.
    pub fn instead(&self, words: impl FnOnce() -> Vec<Vec<u8>>) {
        self.env.record(self.db, words);
    }
}

/// Notes that these databases are no longer what they were, for those who wait for keys of them.
pub(crate) fn note_awaited(stripe: &Stripe, env: &Env, dbs: &[DbIndex]) {
    for touched in stripe.waiters().all_touched(dbs) {
        env.note_ready(touched);
    }
}

/// Changes the collection in an entry: a packed one by way of the scratch buffer. The second result
/// says whether the key must go now.
#[inline]
pub(crate) fn change_entry<C: Kept, R>(
    entry: &mut Entry,
    env: &Env,
    change: impl FnOnce(&mut C) -> R,
) -> Result<(R, bool), Failure> {
    if entry.is_object() {
        return change_object(entry, change);
    }
    let Value::Packed(form, bytes) = entry.value() else {
        return Err(Failure::WRONG_TYPE);
    };
    if !C::has_form(form) {
        return Err(Failure::WRONG_TYPE);
    }
    let mut buffer = env.take_scratch();
    buffer.extend_from_slice(bytes);
    let mut collection = C::from_packed(form, buffer);
    let result = change(&mut collection);
    if collection.is_empty() && !C::MAY_BE_EMPTY {
        return Ok((result, true));
    }
    with_value(collection, env, |value| entry.set_value(value));
    Ok((result, false))
}

/// Takes the packed bytes out of a collection if there are at most so many.
fn take_short<C: Kept>(collection: &mut C, bytes_max: usize) -> Option<(Form, Vec<u8>)> {
    let (_, bytes) = collection.packed()?;
    (bytes.len() <= bytes_max).then(|| collection.take_packed())?
}

/// Gives `store` the value that holds the collection: its bytes, if they fit into an entry, whose
/// buffer then serves the next command as scratch, else the whole of it as an object.
fn with_value<C: Kept, R>(
    mut collection: C,
    env: &Env,
    store: impl FnOnce(NewValue<'_>) -> R,
) -> R {
    let Some((form, buffer)) = take_short(&mut collection, INLINE_BYTES_MAX) else {
        return store(NewValue::Object(Box::new(collection.into_object())));
    };
    let result = store(NewValue::Packed(form, &buffer));
    env.return_scratch(buffer);
    result
}

/// Changes the collection in an object, as [`change_entry`] does.
fn change_object<C: Kept, R>(
    entry: &mut Entry,
    change: impl FnOnce(&mut C) -> R,
) -> Result<(R, bool), Failure> {
    let changed = entry.change_object(|object| {
        let collection = C::of_mut(object)?;
        let result = change(collection);
        let emptied = collection.is_empty() && !C::MAY_BE_EMPTY;
        let packed = match emptied {
            true => None,
            false => take_short(collection, INLINE_AGAIN_BYTES_MAX),
        };
        Some((result, emptied, packed))
    });
    let (result, emptied, packed) = changed.flatten().ok_or(Failure::WRONG_TYPE)?;
    if let Some((form, buffer)) = packed {
        entry.set_value(NewValue::Packed(form, &buffer));
    }
    Ok((result, emptied))
}

/// A packed collection that had grown out of its entry moves back in when it is this short.
const INLINE_AGAIN_BYTES_MAX: usize = INLINE_BYTES_MAX / 2;

/// Draws of RANDOMKEY before it takes a database of nothing but expired keys for empty.
const RANDOM_KEY_TRIES: usize = 100;

/// How far a walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call again; other clients may be served in between.
    More,
    /// The reply is complete.
    Done,
}

/// A command that goes through a database stripe by stripe, in bounded steps (SCAN, KEYS, DBSIZE).
/// It sees no single moment of the whole database, and it never stalls another client.
pub trait Walk: Send {
    /// Does a bounded piece of work (about 100 microseconds) and says whether that was all.
    fn step(&mut self, tx: &mut WalkTx<'_, '_>, out: &mut resp::Reply) -> Step;
}

/// A view for walks: one bucket, one segment at a time.
pub struct WalkTx<'t, 'k> {
    lease: &'t mut Lease<'k>,
    env: &'t Env,
    db: DbIndex,
}

impl<'t, 'k> WalkTx<'t, 'k> {
    /// A view through `lease`, which will cover one stripe after the other.
    pub fn new(lease: &'t mut Lease<'k>, env: &'t Env, db: DbIndex) -> WalkTx<'t, 'k> {
        WalkTx { lease, env, db }
    }

    /// Settings, counters, randomness.
    pub fn env(&self) -> &'t Env {
        self.env
    }

    /// The keyspace.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.lease.keyspace()
    }

    /// Visits the live entries of the bucket at `position`; the next position, `None` at the end of
    /// the database. Every entry that is there from position 0 to the end is visited at least once,
    /// whatever happens in between.
    pub fn scan(&mut self, position: u64, mut visit: impl FnMut(&Entry)) -> Option<u64> {
        let keyspace = self.lease.keyspace();
        let stripe = keyspace.stripe_of_position(position)?;
        let now = self.env.now;
        let table = self.lease.only(stripe).table(self.db);
        let next = table.scan(position, &keyspace.hasher(), |entry| {
            if entry.deadline().is_none_or(|at| at > now) {
                visit(entry);
            }
        });
        next.or_else(|| {
            let following = StripeId(stripe.0 + 1);
            (following.0 < keyspace.stripe_count()).then(|| keyspace.first_position(following))
        })
    }

    /// Keys in the database, expired ones not yet deleted included.
    pub fn key_count(&mut self) -> usize {
        let stripes = self.lease.keyspace().stripes();
        stripes
            .map(|stripe| self.lease.only(stripe).table(self.db).len())
            .sum()
    }
}
