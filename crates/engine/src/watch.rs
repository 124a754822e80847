//! Who watches which keys: WATCH's part in a stripe.
//!
//! A client that watches keys has one flag, entered in the stripes of those keys. Whatever changes
//! a watched key raises the flags of its watchers under the stripe's lock; EXEC looks at its own
//! flag under a lease that covers all the watched keys, so that it sees every change before it and
//! none after.
//!
//! `tx` notes the observed keys that a command changed ([`Touched`]) and `dispatch` raises the
//! flags, and tells those who cache the key (`track`), once it knows that the command did change
//! something.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::ids::DbIndex;

use crate::byhash::ByHash;
use crate::keyspace::Key;
use crate::sync::AtomicBool;

/// Raised when a key that its client watches was changed.
#[derive(Clone, Debug, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Whether a watched key was changed.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A watched key was changed.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is(&self, other: &Flag) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A watched key and its watchers.
#[derive(Debug)]
struct Watched {
    db: DbIndex,
    key: Box<[u8]>,
    flags: Vec<Flag>,
}

/// A stripe's watched keys, by hash.
#[derive(Debug, Default)]
pub struct Watchers {
    keys: ByHash<Vec<Watched>>,
}

/// A key that somebody watches or caches and that the command under way has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    db: DbIndex,
    hash: u64,
    key: Box<[u8]>,
}

impl Touched {
    /// A note about this key.
    pub(crate) fn new(db: DbIndex, key: Key<'_>) -> Touched {
        Touched {
            db,
            hash: key.hash,
            key: key.bytes.into(),
        }
    }

    /// The database it is in.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// The key.
    pub fn key(&self) -> Key<'_> {
        Key {
            bytes: &self.key,
            hash: self.hash,
        }
    }
}

impl Watchers {
    /// Whether nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn find(&self, db: DbIndex, key: Key<'_>) -> Option<&Watched> {
        let same = |watched: &&Watched| watched.db == db && *watched.key == *key.bytes;
        self.keys.get(&key.hash)?.iter().find(same)
    }

    /// Lets `flag` be raised when `key` changes; whether it was not so before.
    pub fn watch(&mut self, db: DbIndex, key: Key<'_>, flag: &Flag) -> bool {
        let chain = self.keys.entry(key.hash).or_default();
        let same = |watched: &&mut Watched| watched.db == db && *watched.key == *key.bytes;
        match chain.iter_mut().find(same) {
            Some(watched) if watched.flags.iter().any(|known| known.is(flag)) => return false,
            Some(watched) => watched.flags.push(flag.clone()),
            None => chain.push(Watched {
                db,
                key: key.bytes.into(),
                flags: vec![flag.clone()],
            }),
        }
        true
    }

    /// Forgets that `flag` is raised when `key` changes.
    pub fn unwatch(&mut self, db: DbIndex, key: Key<'_>, flag: &Flag) {
        let Some(chain) = self.keys.get_mut(&key.hash) else {
            return;
        };
        for watched in chain.iter_mut() {
            if watched.db == db && *watched.key == *key.bytes {
                watched.flags.retain(|known| !known.is(flag));
            }
        }
        chain.retain(|watched| !watched.flags.is_empty());
        if chain.is_empty() {
            self.keys.remove(&key.hash);
        }
    }

    /// Whether anybody watches `key`.
    pub fn has(&self, db: DbIndex, key: Key<'_>) -> bool {
        self.find(db, key).is_some()
    }

    /// Raises the flags of those who watch a key.
    pub fn mark(&self, db: DbIndex, key: Key<'_>) {
        if let Some(watched) = self.find(db, key) {
            watched.flags.iter().for_each(Flag::raise);
        }
    }

    /// All watched keys.
    pub fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let chains = self.keys.iter();
        chains.flat_map(|(&hash, chain)| {
            chain.iter().map(move |watched| {
                let bytes = &*watched.key;
                Key { bytes, hash }
            })
        })
    }

    /// Raises the flags of all watched keys of these databases that `changes` says yes to.
    pub fn mark_all(&self, dbs: &[DbIndex], changes: impl Fn(Key<'_>) -> bool) {
        for (&hash, chain) in &self.keys {
            for watched in chain {
                let bytes = &*watched.key;
                if dbs.contains(&watched.db) && changes(Key { bytes, hash }) {
                    watched.flags.iter().for_each(Flag::raise);
                }
            }
        }
    }
}
