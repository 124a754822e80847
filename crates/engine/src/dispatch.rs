//! Runs data commands: the only place where leases, expiry, handlers and effects meet.
//!
//! A caller (a connection's batch, later MULTI, a script, the replication stream) brings a row, the
//! command's words and the positions and hashes of its keys; it gets a reply and, for long
//! commands, a walk to be continued.

use base::ids::DbIndex;
use resp::Reply;
use structs::hash::Hash;

use crate::args::{Args, KeyWord};
use crate::env::{Env, add};
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::{Key, Lease, Stripe};
use crate::spec::{DataRun, Served};
use crate::table::Place;
use crate::track::Reader;
use crate::tx::{Effect, EffectForm, ReadTx, Step, Walk, WalkTx, WriteTx, change_entry};
use crate::waiters::Wait;

/// A command ready to run.
pub struct Call<'c, 'a> {
    /// How to run it.
    pub run: DataRun,
    /// The database it works in.
    pub db: DbIndex,
    /// Its words.
    pub args: &'c mut Args<'a>,
}

/// How a command ended.
pub enum Outcome {
    /// The reply is written.
    Done,
    /// The reply is this error.
    Failed(Failure),
    /// The reply comes with the walk's last step.
    Walking(Box<dyn Walk>),
    /// There is nothing for it yet. What is written as reply is for those who may not wait.
    Waiting(Box<Wait>),
}

/// Runs one command under the lease it needs and writes its reply. A lease that somebody else
/// holds for long is not waited for: then the command fails.
pub fn execute(call: Call<'_, '_>, lease: &mut Lease<'_>, env: &Env, out: &mut Reply) -> Outcome {
    let covered = match call.run {
        DataRun::ReadWide(_, wide) | DataRun::WriteWide(_, wide) if wide(call.args) => {
            lease.try_cover_all()
        }
        DataRun::Read(_)
        | DataRun::Write(_)
        | DataRun::Block(_)
        | DataRun::BlockRead(_)
        | DataRun::Refresh(_)
        | DataRun::ReadWide(..)
        | DataRun::WriteWide(..) => lease.try_cover(call.args.keys().iter().map(|key| key.hash)),
        DataRun::ReadAll(_) | DataRun::WriteAll(_) => lease.try_cover_all(),
        DataRun::Walk(_) | DataRun::Help(_) | DataRun::Bare(_) => true,
    };
    if !covered {
        out.error(Failure::BUSY.text());
        return Outcome::Failed(Failure::BUSY);
    }
    execute_leased(call, lease, env, out)
}

/// Runs one command under a lease that already covers its keys.
pub fn execute_leased(
    call: Call<'_, '_>,
    lease: &mut Lease<'_>,
    env: &Env,
    out: &mut Reply,
) -> Outcome {
    remove_due(&call, lease, env);
    if let Some(reader) = env.reader.get()
        && call.run.reads()
    {
        remember(call.args, reader, lease, env);
    }
    let start = out.mark();
    let args = &mut *call.args;
    let mut wait = None;
    let result = match call.run {
        DataRun::Read(run) | DataRun::ReadWide(run, _) => {
            run(&ReadTx::new(lease, env, call.db), args, out).map(|()| Effect::NOTHING)
        }
        DataRun::Write(run)
        | DataRun::WriteWide(run, _)
        | DataRun::Refresh(run)
        | DataRun::ReadAll(run)
        | DataRun::WriteAll(run) => run(&mut WriteTx::new(lease, env, call.db), args, out),
        DataRun::Block(run) => {
            run(&mut WriteTx::new(lease, env, call.db), args, out).map(|end| split(end, &mut wait))
        }
        DataRun::BlockRead(run) => {
            run(&ReadTx::new(lease, env, call.db), args, out).map(|end| split(end, &mut wait))
        }
        DataRun::Walk(run) => match run(env, args) {
            Ok(mut walk) => {
                return match walk.step(&mut WalkTx::new(lease, env, call.db), out) {
                    Step::Done => Outcome::Done,
                    Step::More => Outcome::Walking(walk),
                };
            }
            Err(failure) => Err(failure),
        },
        DataRun::Bare(run) => run(env, args, out).map(|()| Effect::NOTHING),
        DataRun::Help(lines) => {
            out.array(lines.len());
            lines.iter().for_each(|line| out.simple(line.as_bytes()));
            Ok(Effect::NOTHING)
        }
    };
    match result {
        Ok(effect) => {
            tell_observers(effect.changes > 0, lease, env);
            commit(effect, &call, env);
            wait.map_or(Outcome::Done, Outcome::Waiting)
        }
        Err(failure) => {
            tell_observers(false, lease, env);
            out.truncate(start);
            out.error(failure.text());
            Outcome::Failed(failure)
        }
    }
}

/// What a blocking command has done, and why it must wait if it must.
fn split(end: Served, wait: &mut Option<Box<Wait>>) -> Effect {
    match end {
        Served::Done(effect) => effect,
        Served::Wait(effect, why) => {
            *wait = Some(why);
            effect
        }
    }
}

/// Tells those who watch or cache the keys that the command has written to, if it has changed
/// anything.
#[inline]
pub(crate) fn tell_observers(changed: bool, lease: &mut Lease<'_>, env: &Env) {
    for touched in env.take_touched() {
        if changed {
            let key = touched.key();
            lease
                .stripe_mut(key.hash)
                .tell(touched.db(), key, true, env);
        }
    }
}

/// Remembers that `reader` has read the command's keys, which the lease covers: it will hear of
/// their next change.
pub fn remember(args: &Args<'_>, reader: Reader, lease: &mut Lease<'_>, env: &Env) {
    for &KeyWord { word, hash } in args.keys() {
        let bytes = args.word(word as usize);
        let trackers = lease.stripe_mut(hash).trackers_mut();
        if let Some(news) = trackers.remember(Key { bytes, hash }, reader) {
            env.note_invalidation(news);
        }
    }
}

/// Counts the change and records it as sent, unless the handler recorded it already.
fn commit(effect: Effect, call: &Call<'_, '_>, env: &Env) {
    if effect.changes == 0 {
        return;
    }
    add(&env.stats.changes, u64::from(effect.changes));
    if effect.form == EffectForm::AsSent {
        env.record_words(call.db, call.args.words());
    }
}

/// Deletes those of the command's keys whose deadline has passed, and such fields of the others, so
/// that no handler sees them.
fn remove_due(call: &Call<'_, '_>, lease: &mut Lease<'_>, env: &Env) {
    if !env.expire {
        return;
    }
    for &KeyWord { word, hash } in call.args.keys() {
        if !lease.stripe(hash).table(call.db).is_timeless() {
            expire_if_due(
                Key {
                    bytes: call.args.word(word as usize),
                    hash,
                },
                call.db,
                lease,
                env,
            );
        }
    }
}

/// Fields of one hash that are deleted at once; the rest is hidden until its turn comes.
const FIELDS_EXPIRED_MAX: usize = 256;

/// What [`expire_if_due`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing was due.
    Nothing,
    /// The key was, and is gone.
    Key,
    /// Fields of the hash were; the last ones take the key with them.
    Fields {
        /// There are more than could be deleted at once.
        more: bool,
    },
}

/// Deletes `key` if its deadline has passed, or those of its fields whose deadline has.
pub fn expire_if_due(key: Key<'_>, db: DbIndex, lease: &mut Lease<'_>, env: &Env) -> Expired {
    let hasher = lease.keyspace().hasher();
    let stripe = lease.stripe_mut(key.hash);
    let mut table = stripe.door(db);
    let Some(place) = table.find(key.hash, key.bytes) else {
        return Expired::Nothing;
    };
    let entry = table.at(place);
    if entry.due().is_none_or(|due| due > env.now) {
        return Expired::Nothing;
    }
    if entry.deadline().is_none_or(|deadline| deadline > env.now) {
        return expire_fields(key, place, db, lease, env);
    }
    if let Some(large) = table.remove(place, &hasher).into_large() {
        env.discard(large);
    }
    stripe.tell(db, key, false, env);
    note_ready(stripe, db, key, env);
    env.note_event(Classes::EXPIRED, "expired", db, key);
    add(&env.stats.expired_keys, 1);
    add(&env.stats.changes, 1);
    env.record_words(db, [&b"DEL"[..], key.bytes].into_iter());
    Expired::Key
}

/// Notes that an awaited key is gone.
fn note_ready(stripe: &Stripe, db: DbIndex, key: Key<'_>, env: &Env) {
    if !stripe.waiters().is_empty()
        && let Some(touched) = stripe.waiters().touched(db, key)
    {
        env.note_ready(touched);
    }
}

/// Deletes some of the due fields of the hash at `place`.
fn expire_fields(
    key: Key<'_>,
    place: Place,
    db: DbIndex,
    lease: &mut Lease<'_>,
    env: &Env,
) -> Expired {
    let hasher = lease.keyspace().hasher();
    let mut table = lease.stripe_mut(key.hash).door(db);
    let recorded = env.wants_effects();
    let mut words = vec![b"HDEL".to_vec(), key.bytes.to_vec()];
    let expire = |hash: &mut Hash| {
        hash.expire(env.now, FIELDS_EXPIRED_MAX, |field| {
            if recorded {
                words.push(field.to_vec());
            }
        })
    };
    let changed = table.edit(place, |entry| change_entry(entry, env, expire));
    // Only hashes have fields that are due.
    let Ok((count, emptied)) = changed else {
        return Expired::Nothing;
    };
    let more = count == FIELDS_EXPIRED_MAX
        && !emptied
        && table.at(place).due().is_some_and(|due| due <= env.now);
    if emptied && let Some(large) = table.remove(place, &hasher).into_large() {
        env.discard(large);
    }
    if count > 0 {
        lease.stripe_mut(key.hash).tell(db, key, false, env);
        env.note_event(Classes::HASH, "hexpired", db, key);
        add(&env.stats.expired_fields, count as u64);
        add(&env.stats.changes, count as u64);
        env.record(db, || words);
    }
    if emptied {
        env.note_event(Classes::GENERIC, "del", db, key);
    }
    Expired::Fields { more }
}
