//! Serving those who wait: what has become ready is given out before the lease under which it
//! became so is released.
//!
//! The mutation door notes the awaited keys that a command touches (`Env::note_ready`). After the
//! outermost command [`serve_ready`] runs the waiters of those keys: key by key in the order in
//! which they became ready, and at each key in the order in which the waiters came. A waiter's own
//! command may make other keys ready (BLMOVE): that goes on until nothing is ready.
//!
//! A waiter whose command needs stripes that are not leased gets them if they are free at this
//! moment; nobody waits for a lock while holding one. If they are not, it is handed over to its own
//! worker, which takes a lease of its own ([`retry`]); until then nobody behind it in its lane is
//! served, and it keeps its place if it comes too late. One that any of its keys can serve needs no
//! more than the key at hand: had another one what it wants, it would not be waiting.

use std::sync::Arc;

use resp::Reply;
use structs::stream::{Stream, StreamId};

use crate::args::KeyWord;
use crate::dispatch::{Call, Outcome, execute_leased};
use crate::entry::{Entry, Value};
use crate::env::Env;
use crate::failure::Failure;
use crate::keyspace::Lease;
use crate::object::Type;
use crate::tx::{ReadTx, view_of};
use crate::waiters::{Needs, Waiter, Wants};
use crate::watch::Touched;

/// What becomes of waiters that were tried.
pub trait Ends {
    /// The waiter has ended: this is its reply, and what it failed with if it did.
    fn ended(&mut self, waiter: &Arc<Waiter>, reply: Reply, failure: Option<&Failure>);

    /// The waiter's own worker must [`retry`] it.
    fn hand_over(&mut self, waiter: &Arc<Waiter>);
}

/// Serves those who wait for keys that have become ready. May leave other stripes leased than were,
/// unless the lease is pinned.
pub fn serve_ready(lease: &mut Lease<'_>, env: &Env, ends: &mut dyn Ends) {
    while env.has_ready() {
        for touched in env.take_ready() {
            Serving { lease, env, ends }.key(&touched);
        }
    }
}

/// Tries a waiter that was handed over, and serves those whom it has held up.
pub fn retry(waiter: &Arc<Waiter>, lease: &mut Lease<'_>, env: &Env, ends: &mut dyn Ends) {
    lease.cover(waiter.keys().iter().map(|key| key.hash));
    Serving { lease, env, ends }.attempt(waiter);
    note_awaited(waiter, env);
    serve_ready(lease, env, ends);
}

/// Ends a waiter that is not to be served: its time is up, or its client is gone. Whether it was
/// still waiting; if not, its reply is on the way. Leaves its stripes leased; `serve_ready` must
/// follow.
pub fn end(waiter: &Waiter, lease: &mut Lease<'_>, env: &Env) -> bool {
    lease.cover(waiter.awaited().map(|key| key.hash));
    let ended = waiter.close();
    if ended {
        waiter.leave(lease);
        // It may have been handed over and held others up.
        if waiter.needs == Needs::AllKeys {
            note_awaited(waiter, env);
        }
    }
    ended
}

/// Takes a served waiter out of the lanes that whoever served it could not reach.
pub fn forget(waiter: &Waiter, lease: &mut Lease<'_>) {
    if waiter.is_entered() {
        lease.cover(waiter.awaited().map(|key| key.hash));
        waiter.leave(lease);
        lease.release();
    }
}

fn note_awaited(waiter: &Waiter, env: &Env) {
    for key in waiter.awaited() {
        env.note_ready(Touched::new(waiter.db, key));
    }
}

/// How the trial of a waiter ended.
#[derive(PartialEq, Eq)]
enum Trial {
    /// It has its reply, or had one already.
    Ended,
    /// There is nothing for it.
    Waits,
    /// Its own worker goes on with it.
    HandedOver,
}

/// What a key holds, seen by those who wait for it.
enum Held<'l> {
    List,
    Zset,
    Stream(&'l Stream),
    Other,
}

impl Held<'_> {
    fn of(entry: Option<&Entry>) -> Held<'_> {
        let Some(entry) = entry else {
            return Held::Other;
        };
        let kind = match entry.value() {
            Value::Packed(form, _) => Type::of_form(form),
            Value::Object(object) => object.kind(),
            Value::Text(_) => Type::String,
        };
        match kind {
            Type::List => Held::List,
            Type::Zset => Held::Zset,
            Type::Stream => view_of::<Stream>(entry).map_or(Held::Other, Held::Stream),
            _ => Held::Other,
        }
    }

    /// Whether a lane may be served: whether there is what it wants, or what it waits for is over.
    fn serves(&self, wants: &Wants, served: Option<StreamId>) -> bool {
        match (wants, self) {
            (Wants::List, Held::List) | (Wants::Zset, Held::Zset) => true,
            (Wants::Entries, Held::Stream(stream)) => last_entry(stream) != served,
            (Wants::Group(group), Held::Stream(stream)) => {
                stream.group(group).is_none() || last_entry(stream) != served
            }
            (Wants::Group(_), _) => true,
            _ => false,
        }
    }
}

fn last_entry(stream: &Stream) -> Option<StreamId> {
    stream.log().last().map(|entry| entry.id())
}

/// Room for most replies to those who wait.
const REPLY_BYTES: usize = 128;

/// What serving needs.
struct Serving<'s, 'k> {
    lease: &'s mut Lease<'k>,
    env: &'s Env,
    ends: &'s mut dyn Ends,
}

impl Serving<'_, '_> {
    fn key(&mut self, touched: &Touched) {
        let key = touched.key();
        if !self.lease.covers(key.hash) {
            self.lease.cover(std::iter::once(key.hash));
        }
        let lanes = self.lease.stripe(key.hash).waiters();
        for (wants, served) in lanes.lanes(touched.db(), key) {
            self.lane(touched, &wants, served);
        }
        // What serving has done to the key itself was there for those who came later.
        self.env.forget_ready(touched);
    }

    fn lane(&mut self, touched: &Touched, wants: &Wants, served: Option<StreamId>) {
        let (db, key) = (touched.db(), touched.key());
        let mut after = 0;
        while self.serves(touched, wants, served) {
            let waiters = self.lease.stripe(key.hash).waiters();
            let Some(waiter) = waiters.next(db, key, wants, after) else {
                break;
            };
            after = waiter.ticket();
            match self.attempt(&waiter) {
                Trial::Waits if waiter.exclusive => break,
                Trial::Ended | Trial::Waits => {}
                Trial::HandedOver => return,
            }
        }
        let tx = ReadTx::new(self.lease, self.env, db);
        if let Held::Stream(stream) = Held::of(tx.peek(key)) {
            let last = last_entry(stream);
            let waiters = self.lease.stripe_mut(key.hash).waiters_mut();
            waiters.set_served(db, key, wants, last);
        }
    }

    fn serves(&self, touched: &Touched, wants: &Wants, served: Option<StreamId>) -> bool {
        let tx = ReadTx::new(self.lease, self.env, touched.db());
        Held::of(tx.peek(touched.key())).serves(wants, served)
    }

    /// Whether a key can be reached and holds what a waiter wants.
    /// Compat: Redis runs the command with all of its keys again, so that one which has got another
    /// type meanwhile is an error; which keys can be reached here is a matter of stripes.
    fn serves_at(&self, waiter: &Waiter, word: &KeyWord) -> bool {
        if !self.lease.covers(word.hash) {
            return false;
        }
        let tx = ReadTx::new(self.lease, self.env, waiter.db);
        Held::of(tx.peek(waiter.key(word))).serves(waiter.wants(), None)
    }

    /// Runs a waiter's command.
    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Trial {
        let reached: Vec<KeyWord>;
        let mut keys = waiter.keys();
        match waiter.needs {
            Needs::AllKeys => {
                let mut hashes = keys.iter().map(|key| key.hash);
                if !hashes.all(|hash| self.lease.try_add(hash)) {
                    self.ends.hand_over(waiter);
                    return Trial::HandedOver;
                }
                if !waiter.is_open() {
                    return Trial::Ended;
                }
            }
            Needs::AnyKey => {
                if !waiter.close() {
                    return Trial::Ended;
                }
                if keys.len() > 1 {
                    let serves = |key: &&KeyWord| self.serves_at(waiter, key);
                    reached = keys.iter().filter(serves).copied().collect();
                    keys = &reached;
                }
            }
        }
        let mut reply = Reply::with_room(waiter.proto, REPLY_BYTES);
        let ready = self.env.ready_count();
        let call = Call {
            run: waiter.run,
            db: waiter.db,
            args: &mut waiter.args(keys),
        };
        let failure = match execute_leased(call, self.lease, self.env, &mut reply) {
            Outcome::Waiting(_) => {
                if waiter.needs == Needs::AnyKey {
                    waiter.reopen();
                }
                // What it has touched makes nothing ready.
                self.env.truncate_ready(ready);
                return Trial::Waits;
            }
            Outcome::Failed(failure) => Some(failure),
            Outcome::Done | Outcome::Walking(_) => None,
        };
        waiter.close();
        waiter.leave(self.lease);
        self.ends.ended(waiter, reply, failure.as_ref());
        Trial::Ended
    }
}
