//! Memory that a snapshot takes besides the data: at most 64 MiB, however much is written meanwhile
//! and however slow the disk is; of many keys and of one large collection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use base::rng::Rng;
use testkit::client::{Client, encode};
use testkit::reply::Reply;

use crate::servers::{Directory, call, field, info, start};

/// Held back for the writer, and in memory in all, beyond what was there before.
const EXTRA_BYTES_MAX: u64 = 64 << 20;
/// What else may come and go meanwhile: the input and output of clients, tables, threads.
const SLACK_BYTES: u64 = 8 << 20;

const KEYS: usize = 48_000;
/// Small enough to be copied, not shared.
const VALUE_BYTES: usize = 1_600;

fn number(client: &mut Client, name: &str) -> u64 {
    field(client, name).parse().expect("a number")
}

/// Overwrites every key once, from several connections.
fn overwrite(port: u16) {
    const THREADS: usize = 3;
    const AT_ONCE: usize = 100;
    thread::scope(|scope| {
        for part in 0..THREADS {
            scope.spawn(move || {
                let mut client = Client::connect(port).expect("a connection");
                let value = vec![b'n'; VALUE_BYTES];
                let keys: Vec<usize> = (part..KEYS).step_by(THREADS).collect();
                for some in keys.chunks(AT_ONCE) {
                    let mut wire = Vec::new();
                    for key in some {
                        let key = format!("key:{key}");
                        encode(&mut wire, &[b"SET", key.as_bytes(), &value]);
                    }
                    client.send_raw(&wire).expect("it is sent");
                    for _ in some {
                        let reply = client.receive().expect("a reply");
                        assert_eq!(reply, Reply::Status(b"OK".to_vec()));
                    }
                }
            });
        }
    });
}

#[test]
fn a_snapshot_takes_little_memory_though_everything_is_overwritten() {
    let directory = Directory::new("bounds");
    let server = start(&["--dir", directory.text(), "--rdb-key-save-delay", "150"]);
    let mut client = server.connect().expect("a connection");
    call(
        &mut client,
        &format!("DEBUG POPULATE {KEYS} key {VALUE_BYTES}"),
    );
    let before = number(&mut client, "used_memory");
    let data = (KEYS * VALUE_BYTES) as u64;
    assert!(
        before > data && data > EXTRA_BYTES_MAX + SLACK_BYTES,
        "{before}"
    );
    call(&mut client, "BGSAVE");
    // Its moment is when it counts the keys, which is soon after the answer.
    let begun = KEYS.to_string();
    info(&mut client, "current_save_keys_total", &begun);
    overwrite(server.port());
    assert_eq!(
        field(&mut client, "rdb_bgsave_in_progress"),
        "1",
        "all was overwritten while the snapshot was taken"
    );
    call(&mut client, "CONFIG SET rdb-key-save-delay 0");
    info(&mut client, "rdb_bgsave_in_progress", "0");
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");

    let held = number(&mut client, "rdb_last_cow_size");
    assert!(
        (EXTRA_BYTES_MAX / 2..=EXTRA_BYTES_MAX).contains(&held),
        "{held} bytes were held back"
    );
    let grown = number(&mut client, "used_memory_peak") - before;
    assert!(grown <= EXTRA_BYTES_MAX + SLACK_BYTES, "{grown} bytes more");
    // And it is of the moment when it began.
    drop(server);
    let server = start(&["--dir", directory.text()]);
    let mut client = server.connect().expect("a connection");
    assert_eq!(call(&mut client, "DBSIZE"), Reply::Int(KEYS as i64));
    for key in [0, 1, KEYS / 2, KEYS - 1] {
        let value = call(&mut client, &format!("GETRANGE key:{key} 0 5"));
        assert_eq!(value, Reply::Bulk(b"value:".to_vec()), "key:{key}");
    }
}

/// Elements of a large collection.
const ELEMENTS: u64 = 220_000;
const ELEMENT_BYTES: usize = 500;
/// Elements per command that fills, and commands per batch that changes.
const AT_ONCE: u64 = 20;

type Words = Vec<Vec<u8>>;

/// A large collection, and how it is changed all over.
struct Large {
    name: &'static str,
    /// The command that adds an element.
    fill: fn(u64) -> Words,
    /// The command that changes one.
    change: fn(&mut Rng) -> Words,
}

fn words(words: &[&dyn std::fmt::Display]) -> Words {
    words.iter().map(|word| word.to_string().into()).collect()
}

fn element(number: u64, rest: u64) -> String {
    // A zset keeps longer members elsewhere.
    format!("{number:0240}{rest:0width$}", width = ELEMENT_BYTES - 240)
}

fn member(number: u64) -> String {
    format!("{number:0240}")
}

fn drawn(rng: &mut Rng) -> u64 {
    rng.below(ELEMENTS)
}

const LARGE: &[Large] = &[
    Large {
        name: "hash",
        fill: |n| words(&[&"HSET", &"it", &n, &element(n, 0)]),
        change: |rng| words(&[&"HSET", &"it", &drawn(rng), &element(1, rng.below(9))]),
    },
    Large {
        name: "list",
        fill: |n| words(&[&"RPUSH", &"it", &element(n, 0)]),
        change: |rng| words(&[&"LSET", &"it", &drawn(rng), &element(1, rng.below(9))]),
    },
    Large {
        name: "zset",
        fill: |n| {
            words(&[
                &"ZADD",
                &"it",
                &(n / 7),
                &member(n),
                &n,
                &member(n + ELEMENTS),
            ])
        },
        change: |rng| {
            words(&[
                &"ZADD",
                &"it",
                &drawn(rng),
                &member(rng.below(2 * ELEMENTS)),
            ])
        },
    },
    Large {
        name: "set",
        fill: |n| words(&[&"SADD", &"it", &element(n, 0)]),
        change: |rng| match rng.below(2) {
            0 => words(&[&"SREM", &"it", &element(drawn(rng), 0)]),
            _ => words(&[&"SADD", &"it", &element(drawn(rng), 0)]),
        },
    },
    Large {
        name: "stream",
        fill: |n| words(&[&"XADD", &"it", &(n + 1), &"field", &element(n, 0)]),
        change: |rng| words(&[&"XDEL", &"it", &(drawn(rng) + 1)]),
    },
];

fn send_all(client: &mut Client, commands: impl Iterator<Item = Words>) {
    let (mut wire, mut count) = (Vec::new(), 0);
    for words in commands {
        let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        encode(&mut wire, &words);
        count += 1;
    }
    client.send_raw(&wire).expect("it is sent");
    for _ in 0..count {
        let reply = client.receive().expect("a reply");
        assert!(!reply.is_error(), "{reply}");
    }
}

/// Changes it until `done`; returns the longest wait for a single command.
fn change_all_over(port: u16, large: &Large, seed: u64, at_once: u64, done: &AtomicBool) -> u64 {
    let mut client = Client::connect(port).expect("a connection");
    let mut rng = Rng::from_seed(seed);
    let mut longest = 0;
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        send_all(&mut client, (0..at_once).map(|_| (large.change)(&mut rng)));
        longest = longest.max(begun.elapsed().as_micros() as u64);
    }
    longest
}

fn check_large(large: &Large) {
    const THREADS: u64 = 3;
    let directory = Directory::new(large.name);
    let server = start(&["--dir", directory.text()]);
    let mut client = server.connect().expect("a connection");
    for first in (0..ELEMENTS).step_by(AT_ONCE as usize) {
        send_all(&mut client, (first..first + AT_ONCE).map(large.fill));
    }
    let before = number(&mut client, "used_memory");
    assert!(before > EXTRA_BYTES_MAX * 3 / 2, "{before}");
    let (done, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let port = server.port();
        for thread in 0..THREADS {
            let done = &done;
            scope.spawn(move || change_all_over(port, large, thread, AT_ONCE, done));
        }
        let (done, longest) = (&done, &longest);
        scope.spawn(move || {
            let waited = change_all_over(port, large, THREADS, 1, done);
            longest.store(waited, Ordering::Relaxed);
        });
        let saved = number(&mut client, "rdb_saves") + 1;
        call(&mut client, "BGSAVE");
        info(&mut client, "rdb_saves", &saved.to_string());
        done.store(true, Ordering::Relaxed);
    });
    let held = number(&mut client, "rdb_last_cow_size");
    let grown = number(&mut client, "used_memory_peak").saturating_sub(before);
    println!(
        "{}: {} MiB, {} held, {} more, longest wait {} us",
        large.name,
        before >> 20,
        held >> 20,
        grown >> 20,
        longest.into_inner()
    );
    assert!(held <= EXTRA_BYTES_MAX, "{held} bytes were held");
    assert!(grown <= EXTRA_BYTES_MAX + SLACK_BYTES, "{grown} bytes more");
}

/// One large collection that is changed all over as fast as it goes. All types if the environment
/// has `RUDDLE_ALL_BOUNDS`.
#[test]
fn a_snapshot_takes_little_memory_though_all_of_a_collection_changes() {
    let all = std::env::var_os("RUDDLE_ALL_BOUNDS").is_some();
    let count = if all { LARGE.len() } else { 1 };
    LARGE[..count].iter().for_each(check_large);
}
