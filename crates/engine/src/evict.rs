//! Choosing keys to delete when memory is full: sampling with a pool of candidates.
//!
//! Each step samples a few keys of a random stripe and keeps the sixteen best candidates seen so
//! far, then deletes the best of all. Over many steps the pool holds the idlest keys of a large
//! sample, which comes close to exact LRU or LFU without any list of all keys. The design is
//! Redis's (antirez.com/news/109). We depart from it in one point: a candidate is judged again when
//! its turn comes, so a key that was used since it entered the pool is not deleted for its past.
//!
//! Called by the server between commands, while no lease is held that matters. Invariant:
//! candidates are sorted, the best one last; they are names only, the keys may be gone.

use base::ids::DbIndex;
use base::time::UnixMillis;

use crate::access;
use crate::access::Recency;
use crate::dispatch::{Expired, expire_if_due, tell_observers};
use crate::entry::Entry;
use crate::env::{Env, add};
use crate::event::Classes;
use crate::keyspace::{Key, Lease, StripeId};
use crate::table::{Sampled, Table};
use crate::tx::WriteTx;

/// Which keys may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any.
    All,
    /// Those with a deadline.
    Volatile,
}

/// Which of them go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one not used for longest.
    LeastRecent,
    /// The one used least often.
    LeastFrequent,
    /// The one whose deadline is nearest.
    NearestDeadline,
    /// Any.
    Random,
}

/// What `maxmemory-policy` says, unless it says `noeviction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which keys may be evicted.
    pub scope: Scope,
    /// Which of them go first.
    pub order: Order,
}

/// Candidates kept.
const POOL_MAX: usize = 16;
/// Rounds of sampling that find only keys which are gone by the time of their turn.
const ROUNDS_MAX: usize = 16;

impl Policy {
    /// Keys of a table that may be evicted.
    fn population(self, table: &Table) -> usize {
        match self.scope {
            Scope::All => table.len(),
            Scope::Volatile => table.volatile(),
        }
    }

    fn sampled(self) -> Sampled {
        match self.scope {
            Scope::All => Sampled::All,
            Scope::Volatile => Sampled::Volatile,
        }
    }

    /// How much better it is to evict this entry than others; `None` if it may not be evicted.
    /// Due keys come before all others.
    fn score(self, entry: &Entry, env: &Env) -> Option<u64> {
        let deadline = entry.deadline();
        if self.scope == Scope::Volatile && deadline.is_none() {
            return None;
        }
        if deadline.is_some_and(|at| at <= env.now) {
            return Some(u64::MAX);
        }
        Some(match self.order {
            Order::LeastRecent => u64::from(access::idle_seconds(entry.access(), env.now)),
            Order::LeastFrequent => u64::from(u8::MAX) - u64::from(frequency(entry, env)),
            Order::NearestDeadline => {
                let UnixMillis(at) = deadline.unwrap_or(UnixMillis(i64::MAX));
                // Below the due keys' score, and the sooner the larger.
                i64::MAX.abs_diff(at)
            }
            Order::Random => 0,
        })
    }
}

fn frequency(entry: &Entry, env: &Env) -> u32 {
    let decay_minutes = match env.limits.recency {
        Recency::Lfu { decay_minutes, .. } => decay_minutes,
        Recency::Lru => 0,
    };
    access::decayed(entry.access(), decay_minutes, env.now)
}

/// A key that may be evicted.
#[derive(Debug)]
struct Candidate {
    score: u64,
    db: DbIndex,
    key: Vec<u8>,
}

/// See the module's head. One per worker.
#[derive(Debug, Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
}

impl Pool {
    /// Forgets all candidates: scores of one policy mean nothing under another.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Takes a candidate in, unless it is known or worse than all of a full pool.
    fn offer(&mut self, score: u64, db: DbIndex, key: &[u8]) {
        let full = self.candidates.len() >= POOL_MAX;
        if full
            && self
                .candidates
                .first()
                .is_some_and(|worst| score <= worst.score)
        {
            return;
        }
        let first_equal = self.candidates.partition_point(|other| other.score < score);
        let mut equals = self.candidates[first_equal..]
            .iter()
            .take_while(|other| other.score == score);
        if equals.any(|other| other.db == db && other.key == key) {
            return;
        }
        let (at, mut buffer) = if full {
            // Invariant: a full pool has a worst candidate, and `score` goes behind it.
            (first_equal - 1, self.candidates.remove(0).key)
        } else {
            (first_equal, Vec::new())
        };
        buffer.clear();
        buffer.extend_from_slice(key);
        let key = buffer;
        self.candidates.insert(at, Candidate { score, db, key });
    }

    /// Whether another candidate beats this score.
    fn has_better_than(&self, score: u64) -> bool {
        self.candidates
            .last()
            .is_some_and(|best| best.score > score)
    }

    /// Deletes the best key to be found; `false` when no key may be evicted. Covers stripes of its
    /// own choice with `lease`, one at a time.
    pub fn evict_one(
        &mut self,
        policy: Policy,
        samples: usize,
        lease: &mut Lease<'_>,
        env: &Env,
    ) -> bool {
        for _ in 0..ROUNDS_MAX {
            if !self.sample(policy, samples, lease, env) {
                return false;
            }
            while let Some(best) = self.candidates.pop() {
                if self.judge(best, policy, lease, env) {
                    return true;
                }
            }
        }
        false
    }

    /// Offers some keys of a random stripe, from each database, as Redis does. Whether there were
    /// any in the whole keyspace.
    fn sample(&mut self, policy: Policy, samples: usize, lease: &mut Lease<'_>, env: &Env) -> bool {
        let keyspace = lease.keyspace();
        let stripes = keyspace.stripe_count();
        let wanted = if policy.order == Order::Random {
            1
        } else {
            samples
        };
        let start = env.random_below(u64::from(stripes)) as u32;
        for step in 0..stripes {
            if !lease.try_cover_one(StripeId((start + step) % stripes)) {
                continue;
            }
            let mut any = false;
            for db in (0..keyspace.databases()).map(DbIndex) {
                let table = lease.stripe(0).table(db);
                if policy.population(table) == 0 {
                    continue;
                }
                any = true;
                table.sample_some(policy.sampled(), env.random(), wanted, |entry| {
                    if let Some(score) = policy.score(entry, env) {
                        self.offer(score, db, entry.key());
                    }
                });
            }
            if any {
                return true;
            }
        }
        false
    }

    /// Deletes a candidate if it is still there and still the best; whether it did. Back into the
    /// pool if it is not the best any more, which can happen once per candidate: then its score is
    /// of this moment.
    fn judge(
        &mut self,
        candidate: Candidate,
        policy: Policy,
        lease: &mut Lease<'_>,
        env: &Env,
    ) -> bool {
        let Candidate { score, db, key } = candidate;
        let key = lease.keyspace().key(&key);
        if !lease.try_cover_one(lease.keyspace().stripe_of(key.hash)) {
            return false;
        }
        let table = lease.stripe(key.hash).table(db);
        let place = table.find(key.hash, key.bytes);
        let Some(now) = place.and_then(|place| policy.score(table.at(place), env)) else {
            return false;
        };
        if now < score && self.has_better_than(now) {
            self.offer(now, db, key.bytes);
            return false;
        }
        if expire_if_due(key, db, lease, env) == Expired::Nothing {
            evict(key, db, lease, env);
        }
        true
    }
}

/// Deletes a key that is there, for lack of memory.
fn evict(key: Key<'_>, db: DbIndex, lease: &mut Lease<'_>, env: &Env) {
    WriteTx::new(lease, env, db).remove(key);
    tell_observers(true, lease, env);
    env.note_event(Classes::EVICTED, "evicted", db, key);
    add(&env.stats.evicted_keys, 1);
    env.record_words(db, [&b"DEL"[..], key.bytes].into_iter());
}

#[cfg(test)]
mod tests;
