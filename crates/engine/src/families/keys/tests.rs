//! What transcripts cannot see of the keyspace commands: the steps of walks, and deadlines where
//! nothing may expire by itself.

use base::hash::Seed;
use base::ids::DbIndex;
use base::time::UnixMillis;
use resp::{Proto, Reply, Span};

use super::COMMANDS;
use crate::access::Recency;
use crate::args::{Args, KeyWord};
use crate::dispatch::{Call, Outcome, execute};
use crate::env::{Env, Limits, Packing};
use crate::event::Classes;
use crate::keyspace::Keyspace;
use crate::spec::{DataRun, KeySpec, Run, Spec};
use crate::tx::{Deadline, Step, WalkTx, WriteTx};

const DB: DbIndex = DbIndex(0);

fn env(now: i64) -> Env {
    let limits = Limits {
        string_bytes_max: 1 << 20,
        recency: Recency::Lru,
        packing: Packing::with_seed(Seed::from_u64(1)),
        dump: rdb::Target::default(),
        payloads: rdb::payload::Trust::Sum,
        events: Classes::NONE,
    };
    let mut env = Env::new(limits, 1);
    env.now = UnixMillis(now);
    env
}

fn row_of(name: &str) -> (&'static [KeySpec], DataRun) {
    match COMMANDS.iter().find(|row| row.name == name) {
        Some(Spec {
            keys,
            run: Run::Do(run),
            ..
        }) => (keys, *run),
        _ => panic!("{name} is no command"),
    }
}

/// Runs a command of at most one key, which is its second word.
fn run(keyspace: &Keyspace, env: &Env, words: &[&str]) -> (Outcome, Reply) {
    let buffer = words.concat();
    let mut start = 0;
    let spans: Vec<Span> = words
        .iter()
        .map(|word| {
            start += word.len() as u32;
            Span {
                start: start - word.len() as u32,
                len: word.len() as u32,
            }
        })
        .collect();
    let (specs, run) = row_of(words[0]);
    let key = specs.first().and_then(|_| words.get(1));
    let hash = key.map(|key| keyspace.hash(key.as_bytes()));
    let keys: Vec<KeyWord> = hash
        .map(|hash| KeyWord { word: 1, hash })
        .into_iter()
        .collect();
    let mut out = Reply::new(Proto::Resp2);
    let call = Call {
        run,
        db: DB,
        args: &mut Args::new(buffer.as_bytes(), &spans, &keys),
    };
    let outcome = execute(call, &mut keyspace.lease(), env, &mut out);
    (outcome, out)
}

fn text(out: &Reply) -> String {
    String::from_utf8_lossy(out.contiguous().unwrap_or_default()).into_owned()
}

fn fill(keyspace: &Keyspace, env: &Env, count: usize) {
    let mut lease = keyspace.lease();
    lease.cover_all();
    for number in 0..count {
        let name = format!("key:{number}");
        let value = crate::entry::NewValue::Int(1);
        WriteTx::new(&mut lease, env, DB).put(
            keyspace.key(name.as_bytes()),
            value,
            Deadline::Clear,
        );
    }
}

/// A connection may send what is in `out` between two steps, so a reply begins only when its length
/// is known; and no step may be longer for a larger database.
#[test]
fn keys_writes_nothing_before_it_knows_all() {
    let keyspace = Keyspace::new(4, 1, Seed::from_u64(1));
    let env = env(0);
    fill(&keyspace, &env, 12_000);
    let (outcome, mut out) = run(&keyspace, &env, &["keys", "*"]);
    let Outcome::Walking(mut walk) = outcome else {
        panic!("12,000 keys are more than a step");
    };
    let mut steps = 1;
    loop {
        assert!(out.is_empty(), "a reply before the last step");
        steps += 1;
        let mut lease = keyspace.lease();
        let step = walk.step(&mut WalkTx::new(&mut lease, &env, DB), &mut out);
        if step == Step::Done {
            break;
        }
    }
    // 12,000 keys at 7 to 3 in a bucket, 256 buckets in a step.
    assert!((7..=16).contains(&steps), "{steps} steps");
    assert!(text(&out).starts_with("*12000\r\n$"));
}

#[test]
fn a_long_reply_is_handed_over_in_pieces() {
    let keyspace = Keyspace::new(1, 1, Seed::from_u64(1));
    let env = env(0);
    let long = "k".repeat(100_000);
    let mut lease = keyspace.lease();
    lease.cover_all();
    for number in 0..10 {
        let name = format!("{long}{number}");
        let value = crate::entry::NewValue::Int(1);
        let key = keyspace.key(name.as_bytes());
        WriteTx::new(&mut lease, &env, DB).put(key, value, Deadline::Clear);
    }
    drop(lease);
    let (outcome, mut out) = run(&keyspace, &env, &["keys", "k*"]);
    let Outcome::Walking(mut walk) = outcome else {
        panic!("a megabyte is more than a step");
    };
    let mut largest = 0;
    loop {
        let before = out.len_bytes();
        let mut lease = keyspace.lease();
        let step = walk.step(&mut WalkTx::new(&mut lease, &env, DB), &mut out);
        largest = largest.max(out.len_bytes() - before);
        if step == Step::Done {
            break;
        }
    }
    assert!(largest <= 256 * 1024, "{largest} bytes in one step");
    assert_eq!(text(&out).matches("$100001\r\n").count(), 10);
}

/// On a replica only the primary deletes: a deadline in the past is kept, and hides the key.
#[test]
fn a_past_deadline_is_kept_where_nothing_expires() {
    let keyspace = Keyspace::new(1, 1, Seed::from_u64(1));
    let mut env = env(10_000);
    env.expire = false;
    env.record_effects();
    fill(&keyspace, &env, 1);
    let (_, out) = run(&keyspace, &env, &["pexpireat", "key:0", "9000"]);
    assert_eq!(text(&out), ":1\r\n");
    let records = env.take_effects();
    assert_eq!(records[0].words, [&b"PEXPIREAT"[..], b"key:0", b"9000"]);
    let (_, out) = run(&keyspace, &env, &["exists", "key:0"]);
    assert_eq!(text(&out), ":0\r\n");
    env.now = UnixMillis(8_000);
    let (_, out) = run(&keyspace, &env, &["exists", "key:0"]);
    assert_eq!(text(&out), ":1\r\n");
}

#[test]
fn a_past_deadline_deletes_and_is_recorded_as_deletion() {
    let keyspace = Keyspace::new(1, 1, Seed::from_u64(1));
    let env = env(10_000);
    env.record_effects();
    fill(&keyspace, &env, 1);
    run(&keyspace, &env, &["expireat", "key:0", "10"]);
    let records = env.take_effects();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].words, [&b"DEL"[..], b"key:0"]);
}

#[test]
fn flushing_nothing_is_recorded_too() {
    let keyspace = Keyspace::new(1, 1, Seed::from_u64(1));
    let env = env(0);
    env.record_effects();
    run(&keyspace, &env, &["flushall"]);
    assert_eq!(env.take_effects()[0].words, [b"flushall"]);
    run(&keyspace, &env, &["del", "nokey"]);
    assert!(env.take_effects().is_empty(), "other no-ops are not");
}
