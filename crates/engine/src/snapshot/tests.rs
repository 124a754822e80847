//! Snapshots against a copy of all there was when they began.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use base::hash::Seed;
use parking_lot::Mutex;
use proptest::prelude::*;
use structs::list::{End, List};

use super::*;
use crate::access::Recency;
use crate::entry::NewValue;
use crate::env::{Env, Limits, Packing};
use crate::event::Classes;
use crate::parts::visit;
use crate::tx::{Deadline, WriteTx};

const DATABASES: u32 = 3;

/// What a snapshot saved: a text for each key of each database.
type Saved = BTreeMap<(u32, Vec<u8>), String>;

/// A line for a value; lists by their elements.
fn text_of(entry: &Entry) -> String {
    let mut text = format!("{:?} {:?}", entry.kind(), entry.deadline());
    visit(entry, UnixMillis(0), |part| {
        text.push_str(&format!(" {part:?}"))
    });
    text
}

/// The same for what a chunk has.
fn text_of_copied(copied: &Copied<'_>) -> String {
    let value = match copied.value {
        Value::Text(Text::Int(number)) => NewValue::Int(number),
        Value::Text(Text::Inline(bytes)) => NewValue::Bytes(bytes),
        Value::Packed(form, bytes) => NewValue::Packed(form, bytes),
        _ => panic!("not a small value"),
    };
    text_of(&Entry::new(
        copied.key,
        value,
        copied.deadline,
        copied.access,
    ))
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Piece>>>, Arc<AtomicU64>);

impl Sink for Kept {
    fn accept(&self, piece: Piece) {
        self.0.lock().push(piece);
    }

    fn copied(&self, bytes: u64) {
        self.1.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Kept {
    /// Everything accepted so far; no key may have come twice.
    fn saved(&self) -> Saved {
        let mut saved = Saved::new();
        let mut add = |db: DbIndex, key: &[u8], text: String| {
            let known = saved.insert((db.0, key.to_vec()), text);
            assert_eq!(known, None, "{key:?} came twice");
        };
        for piece in self.0.lock().iter() {
            match piece {
                Piece::Small(chunk) => {
                    let mut keys = 0;
                    for copied in chunk.entries() {
                        add(chunk.db, copied.key, text_of_copied(&copied));
                        keys += 1;
                    }
                    assert_eq!(keys, chunk.keys);
                }
                Piece::Large(db, large) => {
                    let value = match &large.value {
                        Frozen::Text(text) => NewValue::Shared(Arc::clone(text)),
                        Frozen::Object(object) => NewValue::Object(Box::new(object.duplicate())),
                    };
                    let entry = Entry::new(&large.key, value, large.deadline, large.access);
                    add(*db, &large.key, text_of(&entry));
                }
                Piece::Flushed(db, table, epoch) => {
                    visit_flushed(table, *epoch, |entry| add(*db, entry.key(), text_of(entry)));
                }
            }
        }
        saved
    }
}

/// All that is in the keyspace.
fn contents(lease: &mut Lease<'_>) -> Saved {
    lease.cover_all();
    let mut all = Saved::new();
    for stripe in lease.held() {
        for db in 0..DATABASES {
            stripe.table(DbIndex(db)).visit_all(|entry| {
                all.insert((db, entry.key().to_vec()), text_of(entry));
            });
        }
    }
    lease.release();
    all
}

#[derive(Clone, Debug)]
enum Op {
    Set(u32, u16, u16),
    Push(u32, u16),
    Remove(u32, u16),
    Deadline(u32, u16),
    Flush(u32),
    Swap(u32, u32),
    Walk(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let db = 0..DATABASES;
    prop_oneof![
        20 => (db.clone(), 0u16..400, 0u16..40_000)
            .prop_map(|(db, key, len)| Op::Set(db, key, len)),
        10 => (db.clone(), 0u16..400).prop_map(|(db, key)| Op::Push(db, key)),
        8 => (db.clone(), 0u16..400).prop_map(|(db, key)| Op::Remove(db, key)),
        4 => (db.clone(), 0u16..400).prop_map(|(db, key)| Op::Deadline(db, key)),
        1 => db.clone().prop_map(Op::Flush),
        1 => (db.clone(), db).prop_map(|(a, b)| Op::Swap(a, b)),
        6 => (1u8..5).prop_map(Op::Walk),
    ]
}

fn key_of(number: u16) -> String {
    // Strings and lists have keys of their own, so that no command meets the wrong type.
    format!("key:{number}")
}

fn change(op: &Op, lease: &mut Lease<'_>, env: &Env) {
    let keyed =
        |db: u32, prefix: &str, number: u16| (DbIndex(db), format!("{prefix}{}", key_of(number)));
    let (db, name) = match op {
        Op::Set(db, key, _) | Op::Remove(db, key) | Op::Deadline(db, key) => keyed(*db, "", *key),
        Op::Push(db, key) => keyed(*db, "list:", *key),
        Op::Flush(db) | Op::Swap(db, _) => keyed(*db, "", 0),
        Op::Walk(_) => return,
    };
    let key = lease.keyspace().key(name.as_bytes());
    match op {
        Op::Flush(_) | Op::Swap(..) => lease.cover_all(),
        _ => lease.cover(std::iter::once(key.hash)),
    }
    let mut tx = WriteTx::new(lease, env, db);
    match op {
        Op::Set(_, _, len) => {
            let value = vec![b'v'; usize::from(*len) / if len % 7 == 0 { 1 } else { 500 }];
            tx.put(key, NewValue::Bytes(&value), Deadline::Keep);
        }
        Op::Push(_, number) => {
            let element = vec![b'e'; 1 + usize::from(*number) * 9];
            let _ = tx.update(key, |list: &mut List| {
                list.push(
                    End::Tail,
                    std::iter::once(&element[..]),
                    &env.limits.packing,
                );
            });
        }
        Op::Remove(..) => {
            tx.remove(key);
        }
        Op::Deadline(..) => {
            tx.set_deadline(key, Some(UnixMillis(1 << 40)));
        }
        Op::Flush(db) => {
            tx.flush(DbIndex(*db));
        }
        Op::Swap(a, b) => tx.swap(DbIndex(*a), DbIndex(*b)),
        Op::Walk(_) => {}
    }
    lease.release();
}

fn env() -> Env {
    let limits = Limits {
        string_bytes_max: 1 << 20,
        recency: Recency::Lru,
        packing: Packing::with_seed(Seed::from_u64(1)),
        dump: rdb::Target::default(),
        payloads: rdb::payload::Trust::Sum,
        events: Classes::NONE,
    };
    Env::new(limits, 7)
}

/// A step ends within a segment if that has much; what it has saved is not saved again.
#[test]
fn a_step_saves_so_much_and_no_more() {
    const KEYS: u16 = 100;
    let (keyspace, env) = (Keyspace::new(1, DATABASES, Seed::from_u64(5)), env());
    let mut lease = keyspace.lease();
    (0..KEYS).for_each(|key| change(&Op::Set(0, key, 39_998), &mut lease, &env));
    let kept = Kept::default();
    let mut snapshot = Snapshot::begin(&mut lease, Box::new(kept.clone())).expect("the only one");
    lease.release();
    let mut before = 0;
    while snapshot.step(&mut lease) {
        lease.release();
        let now = kept.0.lock().len();
        assert!(now - before <= STEP_COST / COST_OF_LARGE, "{now} {before}");
        before = now;
    }
    assert_eq!(kept.saved().len(), usize::from(KEYS));
}

/// What commands copy because the snapshot shares it is told to the sink, from the moment when the
/// snapshot has the collection to its end.
#[test]
fn copies_of_what_is_shared_are_told() {
    let (keyspace, env) = (Keyspace::new(2, DATABASES, Seed::from_u64(5)), env());
    let mut lease = keyspace.lease();
    let push = Op::Push(0, 300);
    (0..10).for_each(|_| change(&push, &mut lease, &env));
    let kept = Kept::default();
    let mut snapshot = Snapshot::begin(&mut lease, Box::new(kept.clone())).expect("the only one");
    lease.release();
    while snapshot.step(&mut lease) {
        lease.release();
    }
    change(&push, &mut lease, &env);
    let told = kept.1.load(Ordering::Relaxed);
    assert!(told > 2000, "{told} bytes: a node of the list");
    change(&push, &mut lease, &env);
    assert_eq!(kept.1.load(Ordering::Relaxed), told, "it is copied once");
    let copy = |lease: &mut Lease<'_>| {
        let mut next = Snapshot::begin(lease, Box::new(kept.clone())).expect("the only one");
        lease.release();
        while next.step(lease) {
            lease.release();
        }
        next
    };
    copy(&mut lease).end(&mut lease);
    change(&push, &mut lease, &env);
    assert_eq!(kept.1.load(Ordering::Relaxed), told, "nobody asks any more");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever happens while the snapshot is being taken, it has all that was there when it began,
    /// once, as it was; and so has the next one.
    #[test]
    fn a_snapshot_is_of_one_moment(
        before in prop::collection::vec(op(), 0..600),
        meanwhile in prop::collection::vec(op(), 0..600),
        cancelled in any::<bool>(),
    ) {
        let (keyspace, env) = (Keyspace::new(4, DATABASES, Seed::from_u64(5)), env());
        let mut lease = keyspace.lease();
        before.iter().for_each(|op| change(op, &mut lease, &env));
        for round in 0..2 {
            let (kept, then) = (Kept::default(), contents(&mut lease));
            let started = Snapshot::begin(&mut lease, Box::new(kept.clone()));
            let mut snapshot = started.expect("no other is under way");
            prop_assert!(Snapshot::begin(&mut lease, Box::new(Kept::default())).is_err());
            lease.release();
            for op in &meanwhile {
                if let Op::Walk(steps) = op {
                    for _ in 0..*steps {
                        snapshot.step(&mut lease);
                    }
                    lease.release();
                }
                change(op, &mut lease, &env);
            }
            if cancelled && round == 0 {
                snapshot.cancel();
            }
            while snapshot.step(&mut lease) {}
            lease.release();
            if !cancelled || round == 1 {
                prop_assert_eq!(kept.saved(), then);
            }
        }
    }
}
