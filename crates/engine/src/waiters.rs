//! Who waits for which keys: the part of blocking commands in a stripe.
//!
//! A [`Waiter`] is a blocking command that found nothing, kept with its words so that whoever makes
//! one of its keys ready can run it (see `serve`). It stands in the stripes of the keys it waits
//! for. There each key has a few lanes, one per kind of waiting, and in a lane the waiters are in
//! the order in which they came: entering, serving and leaving cost the same however many wait.
//!
//! Invariants: a waiter is entered under the lease under which its command found nothing. A waiter
//! ends once, whoever ends it: [`Waiter::close`] says who was first. One that needs all of its keys
//! is tried and ended under all of their stripes only, so that nobody ends it while another tries
//! it; one that any of its keys can serve is closed before it is tried, and then cannot fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use base::ids::{ClientId, DbIndex};
use resp::{Proto, Span};
use structs::stream::StreamId;

use crate::args::{Args, KeyWord};
use crate::byhash::ByHash;
use crate::keyspace::{Key, Lease};
use crate::spec::DataRun;
use crate::sync::{AtomicBool, AtomicU32};
use crate::watch::Touched;

/// What a waiter waits for at its keys: the lane it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A list.
    List,
    /// A sorted set.
    Zset,
    /// Entries of a stream.
    Entries,
    /// What a stream's group has not got, or the end of that group.
    Group(Arc<[u8]>),
}

/// Which of its keys serve a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any one that holds what it wants, for certain and without a look at the others.
    AnyKey,
    /// Its command must see all of them.
    AllKeys,
}

/// What a blocking command that found nothing says of its waiting.
#[derive(Debug)]
pub struct Wait {
    /// For how long; `None` = until it is served. Milliseconds.
    pub timeout_ms: Option<i64>,
    /// What it waits for.
    pub wants: Wants,
    /// What it needs to be served.
    pub needs: Needs,
    /// It waits for so many of its keys, the first ones.
    pub keys: usize,
    /// When it finds nothing, nobody behind it in its lane does.
    pub exclusive: bool,
    /// Words to be run in place of those sent, by index (XREAD: ids in place of `$`).
    pub words: Vec<(usize, Vec<u8>)>,
}

/// Whom a waiter belongs to: of no meaning here, for the server to find its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The client.
    pub id: ClientId,
    /// Its worker.
    pub worker: u16,
    /// Where its worker keeps it.
    pub place: u32,
}

/// A command that waits. See the module's head.
pub struct Waiter {
    /// Whom to answer.
    pub client: Address,
    /// The protocol to answer in.
    pub proto: Proto,
    /// The database of its keys.
    pub db: DbIndex,
    /// How to run it.
    pub run: DataRun,
    /// Which of its keys serve it.
    pub needs: Needs,
    /// When it finds nothing, nobody behind it in its lane does.
    pub exclusive: bool,
    wants: Wants,
    buffer: Box<[u8]>,
    words: Box<[Span]>,
    keys: Box<[KeyWord]>,
    /// It waits for the first so many keys.
    waits: usize,
    /// Later waiters have larger ones.
    ticket: u64,
    open: AtomicBool,
    /// Lanes it stands in.
    entered: AtomicU32,
}

impl Waiter {
    /// Keeps a command that found nothing and enters it at its keys. `lease` must be the one it was
    /// tried under.
    pub fn enter(
        client: Address,
        proto: Proto,
        db: DbIndex,
        run: DataRun,
        args: &Args<'_>,
        wait: Wait,
        lease: &mut Lease<'_>,
    ) -> Arc<Waiter> {
        let bytes = args.words().map(<[u8]>::len).sum();
        let mut buffer = Vec::with_capacity(bytes);
        let mut words = Vec::with_capacity(args.count());
        for (at, word) in args.words().enumerate() {
            let instead = wait.words.iter().find(|(index, _)| *index == at);
            let word = instead.map_or(word, |(_, word)| word);
            words.push(Span {
                start: buffer.len() as u32,
                len: word.len() as u32,
            });
            buffer.extend_from_slice(word);
        }
        let waiter = Arc::new(Waiter {
            client,
            proto,
            db,
            run,
            needs: wait.needs,
            exclusive: wait.exclusive,
            wants: wait.wants,
            buffer: buffer.into(),
            words: words.into(),
            keys: args.keys().into(),
            waits: wait.keys,
            ticket: lease.keyspace().next_ticket(),
            open: AtomicBool::new(true),
            entered: AtomicU32::new(0),
        });
        for key in waiter.awaited() {
            lease
                .stripe_mut(key.hash)
                .waiters_mut()
                .enter(db, key, &waiter);
        }
        waiter
    }

    /// Its command, with only those of its keys that `keys` has.
    pub(crate) fn args<'a>(&'a self, keys: &'a [KeyWord]) -> Args<'a> {
        Args::new(&self.buffer, &self.words, keys)
    }

    /// All keys of its command.
    pub(crate) fn keys(&self) -> &[KeyWord] {
        &self.keys
    }

    /// Its place among all that wait.
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// What it waits for.
    pub(crate) fn wants(&self) -> &Wants {
        &self.wants
    }

    /// One of its keys.
    pub(crate) fn key(&self, word: &KeyWord) -> Key<'_> {
        Key {
            bytes: self.words[word.word as usize].of(&self.buffer),
            hash: word.hash,
        }
    }

    /// The keys it waits for.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = Key<'_>> + Clone {
        self.keys[..self.waits].iter().map(|key| self.key(key))
    }

    /// Whether nobody has ended it yet.
    pub fn is_open(&self) -> bool {
        self.open.load(Acquire)
    }

    /// Ends it; whether nobody has before.
    pub(crate) fn close(&self) -> bool {
        let closed = self.open.compare_exchange(true, false, AcqRel, Relaxed);
        closed.is_ok()
    }

    /// Undoes [`Waiter::close`]: it could not be served after all.
    pub(crate) fn reopen(&self) {
        self.open.store(true, Release);
    }

    /// Whether it stands in any lane: one that was served from one stripe may still stand in
    /// others.
    pub fn is_entered(&self) -> bool {
        self.entered.load(Relaxed) > 0
    }

    /// Takes it out of the lanes that `lease` covers.
    pub(crate) fn leave(&self, lease: &mut Lease<'_>) {
        for key in self.awaited() {
            if lease.covers(key.hash) {
                let waiters = lease.stripe_mut(key.hash).waiters_mut();
                waiters.leave(self.db, key, self);
            }
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words.iter().map(|word| word.of(&self.buffer));
        let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
        write!(f, "{:?} waits in {words:?}", self.client.id)
    }
}

/// Those who wait for the same of a key, by their tickets.
struct Lane {
    wants: Wants,
    queue: BTreeMap<u64, Arc<Waiter>>,
    /// The stream's last entry when they were last served as far as possible: while it is the same,
    /// there is nothing for them.
    served: Option<StreamId>,
}

/// A key that somebody waits for.
struct Awaited {
    db: DbIndex,
    key: Box<[u8]>,
    lanes: Vec<Lane>,
}

/// A stripe's awaited keys, by hash.
#[derive(Default)]
pub struct Waiters {
    keys: ByHash<Vec<Awaited>>,
}

impl Waiters {
    /// Whether nobody waits for anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that somebody waits for, and those of them whose end somebody waits for, too.
    pub fn key_counts(&self) -> (usize, usize) {
        let ends = |awaited: &&Awaited| {
            let mut wants = awaited.lanes.iter().map(|lane| &lane.wants);
            wants.any(|wants| matches!(wants, Wants::Group(_)))
        };
        let all = || self.keys.values().flatten();
        (all().count(), all().filter(ends).count())
    }

    fn find(&self, db: DbIndex, key: Key<'_>) -> Option<&Awaited> {
        let same = |awaited: &&Awaited| awaited.db == db && *awaited.key == *key.bytes;
        self.keys.get(&key.hash)?.iter().find(same)
    }

    fn find_mut(&mut self, db: DbIndex, key: Key<'_>) -> Option<&mut Awaited> {
        let same = |awaited: &&mut Awaited| awaited.db == db && *awaited.key == *key.bytes;
        self.keys.get_mut(&key.hash)?.iter_mut().find(same)
    }

    fn enter(&mut self, db: DbIndex, key: Key<'_>, waiter: &Arc<Waiter>) {
        // Nearly always there will be no second one, of these or of the lanes.
        let one = || Vec::with_capacity(1);
        let chain = self.keys.entry(key.hash).or_insert_with(one);
        let same = |awaited: &Awaited| awaited.db == db && *awaited.key == *key.bytes;
        let at = chain.iter().position(same).unwrap_or_else(|| {
            chain.push(Awaited {
                db,
                key: key.bytes.into(),
                lanes: Vec::with_capacity(1),
            });
            chain.len() - 1
        });
        let lanes = &mut chain[at].lanes;
        let lane = lanes.iter().position(|lane| lane.wants == waiter.wants);
        let lane = lane.unwrap_or_else(|| {
            lanes.push(Lane {
                wants: waiter.wants.clone(),
                queue: BTreeMap::new(),
                served: None,
            });
            lanes.len() - 1
        });
        let queue = &mut lanes[lane].queue;
        // The same key twice in a command is one place in the lane.
        if queue.insert(waiter.ticket, Arc::clone(waiter)).is_none() {
            waiter.entered.fetch_add(1, Relaxed);
        }
    }

    fn leave(&mut self, db: DbIndex, key: Key<'_>, waiter: &Waiter) {
        let Some(awaited) = self.find_mut(db, key) else {
            return;
        };
        let lanes = &mut awaited.lanes;
        let Some(at) = lanes.iter().position(|lane| lane.wants == waiter.wants) else {
            return;
        };
        if lanes[at].queue.remove(&waiter.ticket).is_some() {
            waiter.entered.fetch_sub(1, Relaxed);
        }
        if lanes[at].queue.is_empty() {
            lanes.remove(at);
        }
        if lanes.is_empty()
            && let Some(chain) = self.keys.get_mut(&key.hash)
        {
            chain.retain(|awaited| !awaited.lanes.is_empty());
            if chain.is_empty() {
                self.keys.remove(&key.hash);
            }
        }
    }

    /// A note that `key` may have become ready, if anybody waits for it.
    pub(crate) fn touched(&self, db: DbIndex, key: Key<'_>) -> Option<Touched> {
        self.find(db, key).map(|_| Touched::new(db, key))
    }

    /// Such notes of all awaited keys of these databases.
    pub(crate) fn all_touched(&self, dbs: &[DbIndex]) -> Vec<Touched> {
        let mut all = Vec::new();
        for (&hash, chain) in &self.keys {
            for awaited in chain.iter().filter(|awaited| dbs.contains(&awaited.db)) {
                let bytes = &*awaited.key;
                all.push(Touched::new(awaited.db, Key { bytes, hash }));
            }
        }
        all
    }

    /// What is wanted of `key`, each with the last entry up to which the lane was served.
    pub(crate) fn lanes(&self, db: DbIndex, key: Key<'_>) -> Vec<(Wants, Option<StreamId>)> {
        let lanes = self.find(db, key).map_or(&[][..], |awaited| &awaited.lanes);
        let lane = |lane: &Lane| (lane.wants.clone(), lane.served);
        lanes.iter().map(lane).collect()
    }

    /// The first waiter in a lane of `key` whose ticket is larger than `after`.
    pub(crate) fn next(
        &self,
        db: DbIndex,
        key: Key<'_>,
        wants: &Wants,
        after: u64,
    ) -> Option<Arc<Waiter>> {
        let lanes = &self.find(db, key)?.lanes;
        let lane = lanes.iter().find(|lane| lane.wants == *wants)?;
        let (_, waiter) = lane.queue.range(after + 1..).next()?;
        Some(Arc::clone(waiter))
    }

    /// Remembers that a lane of `key` was served as far as possible when the stream's last entry
    /// was this.
    pub(crate) fn set_served(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        wants: &Wants,
        last: Option<StreamId>,
    ) {
        let Some(awaited) = self.find_mut(db, key) else {
            return;
        };
        let mut lanes = awaited.lanes.iter_mut();
        if let Some(lane) = lanes.find(|lane| lane.wants == *wants) {
            lane.served = last;
        }
    }
}
