//! The sweep of a stripe: everything due goes, nothing else, in bounded steps.

use base::hash::Seed;
use base::time::UnixMillis;
use structs::Member;
use structs::hash::{Hash, Until};

use super::*;
use crate::access::Recency;
use crate::entry::NewValue;
use crate::env::{Limits, Packing};
use crate::event::Classes;
use crate::keyspace::Keyspace;
use crate::tx::{Deadline, ReadTx, WriteTx};

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn env() -> Env {
    let limits = Limits {
        string_bytes_max: 1 << 20,
        recency: Recency::Lru,
        packing: Packing::with_seed(Seed::from_u64(1)),
        dump: rdb::Target::default(),
        payloads: rdb::payload::Trust::Sum,
        events: Classes::NONE,
    };
    let mut env = Env::new(limits, 7);
    env.now = START;
    env
}

fn put(lease: &mut Lease<'_>, env: &Env, db: u32, name: u32, deadline: Deadline) {
    let bytes = name.to_string();
    let key = lease.keyspace().key(bytes.as_bytes());
    lease.cover(std::iter::once(key.hash));
    WriteTx::new(lease, env, DbIndex(db)).put(key, NewValue::Bytes(b"v"), deadline);
}

fn lap(sweep: &mut Sweep, lease: &mut Lease<'_>, env: &Env) -> Lap {
    loop {
        if let Swept::Lap(lap) = sweep.step(lease, env) {
            lease.release();
            return lap;
        }
    }
}

fn count(lease: &mut Lease<'_>, db: u32) -> usize {
    lease.cover_all();
    let count = lease
        .held()
        .map(|stripe| stripe.table(DbIndex(db)).len())
        .sum();
    lease.release();
    count
}

#[test]
fn stale_keys_stay_few_and_keys_without_deadline_stay() {
    const KEYS: u32 = 50_000;
    const LIFE_MILLIS: u32 = 5000;
    let keyspace = Keyspace::new(4, 2, Seed::random());
    let mut lease = keyspace.lease();
    let mut env = env();
    for name in 0..KEYS {
        let at = START.saturating_add(1 + i64::from(name % LIFE_MILLIS));
        put(&mut lease, &env, 0, name, Deadline::At(at));
        put(&mut lease, &env, 1, name, Deadline::Clear);
    }
    let mut sweep = Sweep::new(keyspace.stripes().collect());
    for passed in (0..LIFE_MILLIS).step_by(5) {
        env.now = START.saturating_add(i64::from(passed));
        lap(&mut sweep, &mut lease, &env);
        let alive = (KEYS - KEYS / LIFE_MILLIS * passed) as usize;
        let there = count(&mut lease, 0);
        assert!(there >= alive);
        // One percent, and a few keys per segment when hardly any are left.
        assert!(there - alive <= there / 100 + 200, "{there} of {alive}");
    }
    env.now = START.saturating_add(i64::from(LIFE_MILLIS) + 1);
    lap(&mut sweep, &mut lease, &env);
    assert_eq!(count(&mut lease, 0), 0);
    assert_eq!(count(&mut lease, 1), KEYS as usize);
    assert_eq!(env.stats.expired_keys.get(), u64::from(KEYS));
}

#[test]
fn a_lap_counts_what_it_saw() {
    let keyspace = Keyspace::new(1, 3, Seed::random());
    let mut lease = keyspace.lease();
    let mut env = env();
    env.record_effects();
    let mut sweep = Sweep::new(keyspace.stripes().collect());
    assert_eq!(lap(&mut sweep, &mut lease, &env), Lap::default());
    put(
        &mut lease,
        &env,
        2,
        1,
        Deadline::At(START.saturating_add(10)),
    );
    put(
        &mut lease,
        &env,
        2,
        2,
        Deadline::At(START.saturating_add(10_000)),
    );
    env.now = START.saturating_add(10);
    let found = lap(&mut sweep, &mut lease, &env);
    assert_eq!((found.expired, found.visits, found.volatile), (1, 1, 1));
    let effects = env.take_effects();
    assert_eq!(effects[0].words, [b"DEL".to_vec(), b"1".to_vec()]);
}

/// Sets fields of a hash, each due so many milliseconds after the start.
fn set_fields(lease: &mut Lease<'_>, env: &Env, name: &str, fields: std::ops::Range<i64>) {
    let key = lease.keyspace().key(name.as_bytes());
    lease.cover(std::iter::once(key.hash));
    let packing = &env.limits.packing;
    let set = |hash: &mut Hash| {
        for number in fields {
            let field = number.to_string();
            let field = Member::new(field.as_bytes(), &packing.seed);
            let at = Until::At(START.saturating_add(number));
            hash.set(field, b"v", at, packing);
        }
    };
    let mut tx = WriteTx::new(lease, env, DbIndex(0));
    tx.update(key, set).unwrap();
}

fn fields(lease: &mut Lease<'_>, env: &Env, name: &str) -> Option<usize> {
    let key = lease.keyspace().key(name.as_bytes());
    lease.cover(std::iter::once(key.hash));
    let tx = ReadTx::new(lease, env, DbIndex(0));
    tx.read::<Hash>(key).unwrap().map(|hash| hash.len())
}

#[test]
fn fields_go_when_they_are_due_and_take_the_key_with_them() {
    let keyspace = Keyspace::new(1, 1, Seed::random());
    let mut lease = keyspace.lease();
    let mut env = env();
    env.record_effects();
    set_fields(&mut lease, &env, "small", 10..20);
    set_fields(&mut lease, &env, "large", 10..5000);
    let mut sweep = Sweep::new(keyspace.stripes().collect());
    assert_eq!(lap(&mut sweep, &mut lease, &env).visits, 0);
    for (passed, small, large) in [
        (9, Some(10), Some(4990)),
        (10, Some(9), Some(4989)),
        (15, Some(4), Some(4984)),
        (19, None, Some(4980)),
        // More than go at once.
        (4000, None, Some(999)),
        (4999, None, None),
    ] {
        env.now = START.saturating_add(passed);
        lap(&mut sweep, &mut lease, &env);
        assert_eq!(fields(&mut lease, &env, "small"), small, "{passed}");
        assert_eq!(fields(&mut lease, &env, "large"), large, "{passed}");
    }
    assert_eq!(count(&mut lease, 0), 0);
    assert_eq!(env.stats.expired_fields.get(), 10 + 4990);
    assert_eq!(env.stats.expired_keys.get(), 0);
    let effects = env.take_effects();
    assert!(effects.iter().all(|effect| effect.words[0] == b"HDEL"));
    let deleted: usize = effects.iter().map(|effect| effect.words.len() - 2).sum();
    assert_eq!(deleted, 10 + 4990);
}
