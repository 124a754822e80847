//! Eviction against a naive order: what goes first, what never goes.

use base::hash::Seed;

use super::*;
use crate::entry::NewValue;
use crate::env::{Limits, Packing};
use crate::event::Classes;
use crate::keyspace::Keyspace;
use crate::tx::{Deadline, ReadTx};

const KEYS: u32 = 2000;

fn policy(scope: Scope, order: Order) -> Policy {
    Policy { scope, order }
}

fn keyspace() -> Keyspace {
    Keyspace::new(4, 2, Seed::random())
}

fn env(recency: Recency) -> Env {
    let mut env = Env::new(
        Limits {
            string_bytes_max: 1 << 20,
            recency,
            packing: Packing::with_seed(Seed::from_u64(1)),
            dump: rdb::Target::default(),
            payloads: rdb::payload::Trust::Sum,
            events: Classes::NONE,
        },
        7,
    );
    env.now = UnixMillis(1_700_000_000_000);
    env
}

fn put(lease: &mut Lease<'_>, env: &Env, db: u32, name: u32, deadline: Deadline) {
    let bytes = name.to_string();
    let key = lease.keyspace().key(bytes.as_bytes());
    lease.cover(std::iter::once(key.hash));
    WriteTx::new(lease, env, DbIndex(db)).put(key, NewValue::Bytes(b"v"), deadline);
}

/// The keys of a database as numbers.
fn left(lease: &mut Lease<'_>, db: u32) -> Vec<u32> {
    let mut names = Vec::new();
    lease.cover_all();
    for stripe in lease.held() {
        let table = stripe.table(DbIndex(db));
        table.sample_some(Sampled::All, 0, usize::MAX, |entry| {
            let text = std::str::from_utf8(entry.key()).expect("a number");
            names.push(text.parse().expect("a number"));
        });
    }
    lease.release();
    names.sort_unstable();
    names
}

/// How far the survivors are from the best possible ones: 0 = exact, 0.5 = random.
fn misjudged(survivors: &[u32]) -> f64 {
    let cut = KEYS - survivors.len() as u32;
    survivors.iter().filter(|&&name| name < cut).count() as f64 / survivors.len() as f64
}

#[test]
fn the_pool_keeps_the_best_in_order_and_each_key_once() {
    let mut pool = Pool::default();
    let mut rng = base::rng::Rng::from_seed(3);
    let mut offered: Vec<u64> = Vec::new();
    for _ in 0..1000 {
        let score = rng.below(500);
        pool.offer(score, DbIndex(0), score.to_string().as_bytes());
        offered.push(score);
        let scores: Vec<u64> = pool.candidates.iter().map(|c| c.score).collect();
        assert!(scores.is_sorted() && scores.len() <= POOL_MAX);
        let mut best = offered.clone();
        best.sort_unstable();
        best.dedup();
        assert_eq!(scores, best[best.len().saturating_sub(POOL_MAX)..]);
    }
}

#[test]
fn lru_evicts_mostly_the_least_recently_used() {
    let keyspace = keyspace();
    let mut lease = keyspace.lease();
    let mut env = env(Recency::Lru);
    for name in 0..KEYS {
        env.now = env.now.saturating_add(1000);
        put(&mut lease, &env, name % 2, name, Deadline::Clear);
    }
    let policy = policy(Scope::All, Order::LeastRecent);
    let mut pool = Pool::default();
    for _ in 0..KEYS / 2 {
        assert!(pool.evict_one(policy, 5, &mut lease, &env));
    }
    let mut survivors = left(&mut lease, 0);
    survivors.extend(left(&mut lease, 1));
    assert_eq!(survivors.len() as u32, KEYS / 2);
    assert!(misjudged(&survivors) < 0.15, "{}", misjudged(&survivors));
    assert_eq!(env.stats.evicted_keys.get(), u64::from(KEYS / 2));
}

#[test]
fn lfu_evicts_mostly_the_least_frequently_used() {
    let keyspace = keyspace();
    let mut lease = keyspace.lease();
    let env = env(Recency::Lfu {
        log_factor: 10,
        decay_minutes: 1,
    });
    for name in 0..KEYS {
        put(&mut lease, &env, 0, name, Deadline::Clear);
        let key = name.to_string();
        let key = keyspace.key(key.as_bytes());
        lease.cover(std::iter::once(key.hash));
        let tx = ReadTx::new(&lease, &env, DbIndex(0));
        for _ in 0..if name < KEYS / 2 { 1 } else { 100 } {
            tx.find(key);
        }
    }
    let mut pool = Pool::default();
    for _ in 0..KEYS / 2 {
        pool.evict_one(
            policy(Scope::All, Order::LeastFrequent),
            5,
            &mut lease,
            &env,
        );
    }
    let survivors = left(&mut lease, 0);
    assert!(misjudged(&survivors) < 0.15, "{}", misjudged(&survivors));
}

#[test]
fn volatile_policies_spare_keys_without_a_deadline() {
    for order in [
        Order::LeastRecent,
        Order::LeastFrequent,
        Order::NearestDeadline,
        Order::Random,
    ] {
        let keyspace = keyspace();
        let mut lease = keyspace.lease();
        let env = env(Recency::Lru);
        for name in 0..KEYS {
            let at = Deadline::At(env.now.saturating_add(1_000_000 + i64::from(name)));
            let deadline = if name % 100 == 0 { at } else { Deadline::Clear };
            put(&mut lease, &env, 1, name, deadline);
        }
        let mut pool = Pool::default();
        let policy = policy(Scope::Volatile, order);
        let mut evicted = 0;
        while pool.evict_one(policy, 5, &mut lease, &env) {
            evicted += 1;
        }
        assert_eq!(evicted, KEYS / 100);
        assert!(left(&mut lease, 1).iter().all(|name| name % 100 != 0));
    }
}

#[test]
fn ttl_takes_near_deadlines_first_and_due_keys_count_as_expired() {
    let keyspace = keyspace();
    let mut lease = keyspace.lease();
    let mut env = env(Recency::Lru);
    for name in 0..KEYS {
        let at = env.now.saturating_add(1000 * (1 + i64::from(name)));
        put(&mut lease, &env, 0, name, Deadline::At(at));
    }
    let mut pool = Pool::default();
    let policy = policy(Scope::Volatile, Order::NearestDeadline);
    for _ in 0..KEYS / 2 {
        assert!(pool.evict_one(policy, 5, &mut lease, &env));
    }
    let survivors = left(&mut lease, 0);
    assert!(misjudged(&survivors) < 0.15, "{}", misjudged(&survivors));
    env.now = env.now.saturating_add(1_000_000_000);
    assert!(pool.evict_one(policy, 5, &mut lease, &env));
    assert_eq!(env.stats.expired_keys.get(), 1);
}

#[test]
fn a_key_used_since_it_became_a_candidate_is_spared() {
    let keyspace = Keyspace::new(1, 1, Seed::random());
    let mut lease = keyspace.lease();
    let mut env = env(Recency::Lru);
    for name in 0..10 {
        put(&mut lease, &env, 0, name, Deadline::Clear);
        env.now = env.now.saturating_add(10_000);
    }
    let policy = policy(Scope::All, Order::LeastRecent);
    let mut pool = Pool::default();
    pool.sample(policy, 10, &mut lease, &env);
    assert_eq!(pool.candidates.len(), 10);
    // The oldest key is used again; the next oldest must go instead.
    let key = keyspace.key(b"0");
    lease.cover(std::iter::once(key.hash));
    ReadTx::new(&lease, &env, DbIndex(0)).find(key);
    assert!(pool.evict_one(policy, 1, &mut lease, &env));
    assert_eq!(left(&mut lease, 0), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn an_empty_keyspace_has_nothing_to_evict_and_every_eviction_is_an_effect() {
    let keyspace = keyspace();
    let mut lease = keyspace.lease();
    let env = env(Recency::Lru);
    env.record_effects();
    let policy = policy(Scope::All, Order::Random);
    let mut pool = Pool::default();
    assert!(!pool.evict_one(policy, 5, &mut lease, &env));
    put(&mut lease, &env, 1, 5, Deadline::Clear);
    assert!(pool.evict_one(policy, 5, &mut lease, &env));
    let effects = env.take_effects();
    assert_eq!(effects.len(), 1);
    assert_eq!(effects[0].db, DbIndex(1));
    assert_eq!(effects[0].words, [b"DEL".to_vec(), b"5".to_vec()]);
}
