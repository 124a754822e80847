//! Who has read which keys and wants to hear when they change: client-side caching's part in a
//! stripe.
//!
//! A read by a client that tracks enters the client's [`Reader`] beside the key, under the lock
//! that the read holds anyway; the next change of the key strikes all its readers out and leaves an
//! [`Invalidation`] in the `Env`, under the lock of the change. So no read falls between the two.
//! The server passes the invalidations on while the lease is still held, and ends the tracking of
//! keys chosen at random when there are too many.
//!
//! As in Redis, a key's name counts in all databases alike, and readers who left the server are
//! struck out with the others only.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::ids::ClientId;

use crate::byhash::ByHash;
use crate::env::Env;
use crate::keyspace::{Key, Lease, StripeId};

/// A client that tracks what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its id: a key has a client once.
    pub client: ClientId,
    /// Where its messages go. What the number says is the server's business.
    pub post: u64,
}

/// A key's name, shared by the table and the messages.
pub type Name = Arc<[u8]>;

/// What those who cache keys have to forget.
#[derive(Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// A key, told to those who had read it.
    Read {
        /// Its name.
        key: Name,
        /// Who had read it, in the order in which they connected.
        readers: Vec<Reader>,
    },
    /// A key, told to those who hear of all changes.
    Changed {
        /// Its name.
        key: Name,
        /// Whether the command under way did it, not time or lack of memory.
        by_command: bool,
    },
    /// Every key: a database was emptied.
    Everything,
}

/// Sums over all stripes.
#[derive(Debug, Default)]
pub struct Totals {
    keys: AtomicU64,
    items: AtomicU64,
}

impl Totals {
    /// Keys with readers.
    #[inline]
    pub fn keys(&self) -> u64 {
        self.keys.load(Relaxed)
    }

    /// Readers of all keys.
    pub fn items(&self) -> u64 {
        self.items.load(Relaxed)
    }
}

/// Most keys have one reader.
#[derive(Debug)]
enum Readers {
    One(Reader),
    /// In ascending order of ids.
    Many(Vec<Reader>),
}

impl Readers {
    /// Adds a reader; whether it was not among them.
    fn add(&mut self, reader: Reader) -> bool {
        let known = match self {
            Readers::One(known) if known.client == reader.client => {
                *known = reader;
                return false;
            }
            Readers::One(known) => {
                *self = Readers::Many(vec![*known]);
                return self.add(reader);
            }
            Readers::Many(known) => known,
        };
        match known.binary_search_by_key(&reader.client, |reader| reader.client) {
            Ok(at) => {
                known[at] = reader;
                false
            }
            Err(at) => {
                known.insert(at, reader);
                true
            }
        }
    }

    fn into_vec(self) -> Vec<Reader> {
        match self {
            Readers::One(reader) => vec![reader],
            Readers::Many(readers) => readers,
        }
    }

    fn len(&self) -> usize {
        match self {
            Readers::One(_) => 1,
            Readers::Many(readers) => readers.len(),
        }
    }
}

/// A key with its readers.
#[derive(Debug)]
struct Tracked {
    key: Name,
    readers: Readers,
    /// Where `order` has its hash.
    at: u32,
}

/// A stripe's tracked keys, by hash. Two keys of one hash are tracked one at a time: the readers of
/// the first are told to forget it when the second is read.
#[derive(Debug)]
pub struct Trackers {
    keys: ByHash<Tracked>,
    /// The hashes in no order, to choose one at random.
    order: Vec<u64>,
    totals: Arc<Totals>,
}

impl Trackers {
    /// An empty table that adds to these sums.
    pub fn new(totals: Arc<Totals>) -> Trackers {
        Trackers {
            keys: ByHash::default(),
            order: Vec::new(),
            totals,
        }
    }

    /// Whether no key is tracked.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether anybody has to hear of a change of `key`.
    #[inline]
    pub fn has(&self, key: Key<'_>) -> bool {
        let found = self.keys.get(&key.hash);
        found.is_some_and(|tracked| *tracked.key == *key.bytes)
    }

    /// Remembers that `reader` has read `key`. What has to be told on that account.
    pub fn remember(&mut self, key: Key<'_>, reader: Reader) -> Option<Invalidation> {
        let stranger = self.keys.get(&key.hash);
        let ousted = match stranger.is_some_and(|tracked| *tracked.key != *key.bytes) {
            true => self.take(key.hash),
            false => None,
        };
        match self.keys.entry(key.hash) {
            Entry::Occupied(mut known) => {
                if known.get_mut().readers.add(reader) {
                    self.totals.items.fetch_add(1, Relaxed);
                }
            }
            Entry::Vacant(place) => {
                place.insert(Tracked {
                    key: key.bytes.into(),
                    readers: Readers::One(reader),
                    at: self.order.len() as u32,
                });
                self.order.push(key.hash);
                self.totals.keys.fetch_add(1, Relaxed);
                self.totals.items.fetch_add(1, Relaxed);
            }
        }
        ousted
    }

    /// `key` is changed: its readers have to hear of it, once.
    pub fn invalidate(&mut self, key: Key<'_>) -> Option<Invalidation> {
        if !self.has(key) {
            return None;
        }
        self.take(key.hash)
    }

    /// Ends the tracking of a key that `random` chooses.
    pub fn forget_one(&mut self, random: u64) -> Option<Invalidation> {
        let at = random.checked_rem(self.order.len() as u64)?;
        self.take(self.order[at as usize])
    }

    /// Ends all tracking: everybody is told to forget everything.
    pub fn clear(&mut self) {
        let items = self.keys.values().map(|tracked| tracked.readers.len());
        self.totals
            .items
            .fetch_sub(items.sum::<usize>() as u64, Relaxed);
        self.totals.keys.fetch_sub(self.order.len() as u64, Relaxed);
        self.keys = ByHash::default();
        self.order = Vec::new();
    }

    fn take(&mut self, hash: u64) -> Option<Invalidation> {
        let tracked = self.keys.remove(&hash)?;
        let at = tracked.at as usize;
        self.order.swap_remove(at);
        if let Some(moved) = self.order.get(at)
            && let Some(other) = self.keys.get_mut(moved)
        {
            other.at = tracked.at;
        }
        let readers = tracked.readers.into_vec();
        self.totals.keys.fetch_sub(1, Relaxed);
        self.totals.items.fetch_sub(readers.len() as u64, Relaxed);
        let key = tracked.key;
        Some(Invalidation::Read { key, readers })
    }
}

/// Ends the tracking of keys chosen at random, at most `keys_max` of them and all from one stripe,
/// which stays leased; how many they were. The readers have to be told.
pub fn forget_some(keys_max: u64, lease: &mut Lease<'_>, env: &Env) -> u64 {
    let stripes = lease.keyspace().stripe_count();
    let first = env.random_below(u64::from(stripes)) as u32;
    for step in 0..stripes {
        let trackers = lease
            .only(StripeId((first + step) % stripes))
            .trackers_mut();
        let mut forgotten = 0;
        while forgotten < keys_max.min(FORGOTTEN_MAX)
            && let Some(news) = trackers.forget_one(env.random())
        {
            env.note_invalidation(news);
            forgotten += 1;
        }
        if forgotten > 0 {
            return forgotten;
        }
    }
    0
}

/// Keys of one stripe that are forgotten before it is another stripe's turn: few, so that all keys
/// have nearly the same chance to stay.
const FORGOTTEN_MAX: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hash: u64, bytes: &[u8]) -> Key<'_> {
        Key { bytes, hash }
    }

    fn reader(id: u64) -> Reader {
        let client = ClientId(id);
        Reader { client, post: id }
    }

    fn told(invalidation: Option<Invalidation>) -> Option<(Vec<u8>, Vec<u64>)> {
        match invalidation? {
            Invalidation::Read { key, readers } => {
                let readers = readers.iter().map(|reader| reader.client.0);
                Some((key.to_vec(), readers.collect()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn sums(trackers: &Trackers) -> (u64, u64) {
        (trackers.totals.keys(), trackers.totals.items())
    }

    #[test]
    fn readers_hear_once_and_only_of_what_they_read() {
        let mut trackers = Trackers::new(Arc::default());
        for id in [7, 3, 7, 5] {
            assert_eq!(told(trackers.remember(key(1, b"a"), reader(id))), None);
        }
        assert_eq!(told(trackers.remember(key(2, b"b"), reader(3))), None);
        assert_eq!(sums(&trackers), (2, 4));
        assert_eq!(told(trackers.invalidate(key(3, b"c"))), None);
        let a = told(trackers.invalidate(key(1, b"a")));
        assert_eq!(a, Some((b"a".to_vec(), vec![3, 5, 7])));
        assert_eq!(told(trackers.invalidate(key(1, b"a"))), None);
        assert_eq!(sums(&trackers), (1, 1));
        trackers.clear();
        assert_eq!(sums(&trackers), (0, 0));
        assert!(trackers.is_empty());
    }

    #[test]
    fn of_two_keys_with_one_hash_the_older_is_forgotten_aloud() {
        let mut trackers = Trackers::new(Arc::default());
        trackers.remember(key(1, b"a"), reader(1));
        assert!(!trackers.has(key(1, b"b")));
        assert_eq!(told(trackers.invalidate(key(1, b"b"))), None);
        let ousted = told(trackers.remember(key(1, b"b"), reader(2)));
        assert_eq!(ousted, Some((b"a".to_vec(), vec![1])));
        assert!(trackers.has(key(1, b"b")) && !trackers.has(key(1, b"a")));
        assert_eq!(sums(&trackers), (1, 1));
    }

    #[test]
    fn forgetting_at_random_reaches_every_key() {
        let mut trackers = Trackers::new(Arc::default());
        for hash in 0..100 {
            trackers.remember(key(hash, &hash.to_le_bytes()), reader(hash));
        }
        let mut random = 12345_u64;
        let mut forgotten = Vec::new();
        while let Some((_, readers)) = told(trackers.forget_one(random)) {
            forgotten.extend(readers);
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
        }
        forgotten.sort_unstable();
        assert_eq!(forgotten, (0..100).collect::<Vec<_>>());
        assert_eq!(sums(&trackers), (0, 0));
    }
}
