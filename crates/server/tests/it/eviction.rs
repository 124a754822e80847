//! `maxmemory` as a user meets it: a real server with a limit, written to beyond it.

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

const LIMIT_BYTES: u64 = 16 << 20;
/// What may be in use beyond the limit at a moment: one batch of commands and its replies.
const SLACK_BYTES: u64 = 1 << 20;
const VALUE_BYTES: usize = 1000;
/// Ten times what fits.
const WRITES: usize = 10 * LIMIT_BYTES as usize / VALUE_BYTES;
const BATCH: usize = 100;

fn start(policy: &str) -> Server {
    let limit = LIMIT_BYTES.to_string();
    let args = ["--maxmemory", &limit, "--maxmemory-policy", policy];
    let args = [&args[..], &["--workers", "2"]].concat();
    Server::start_binary(Kind::Ruddle, env!("CARGO_BIN_EXE_ruddle").as_ref(), &args)
        .expect("the server starts")
}

fn used_bytes(client: &mut Client) -> u64 {
    let stats = client.call(&["MEMORY", "STATS"]).expect("a reply");
    let items = stats.items().expect("an array").to_vec();
    let at = items
        .iter()
        .position(|item| item.bytes() == Some(b"total.allocated"));
    match items[at.expect("the field") + 1] {
        Reply::Int(bytes) => bytes as u64,
        ref other => panic!("{other:?}"),
    }
}

/// SETs keys `prefix:0..count`, with these options, in batches; returns the number of OOM errors.
/// After each batch the memory in use must be near or below the limit.
fn write(client: &mut Client, prefix: &str, count: usize, options: &[&str]) -> usize {
    let value = "v".repeat(VALUE_BYTES);
    let mut refused = 0;
    for first in (0..count).step_by(BATCH) {
        let command = |name: usize| {
            let key = format!("{prefix}:{name}");
            let words = [&["SET", &key, &value], options].concat();
            words.iter().map(|word| word.as_bytes().to_vec()).collect()
        };
        let commands: Vec<Vec<Vec<u8>>> = (first..first + BATCH).map(command).collect();
        for reply in client.pipeline(&commands).expect("replies") {
            match reply {
                Reply::Status(_) => {}
                Reply::Error(text) => {
                    let oom = "OOM command not allowed when used memory > 'maxmemory'.";
                    assert_eq!(String::from_utf8_lossy(&text), oom);
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        if (first / BATCH).is_multiple_of(50) {
            let used = used_bytes(client);
            assert!(used <= LIMIT_BYTES + SLACK_BYTES, "{used} bytes");
        }
    }
    refused
}

fn keys(client: &mut Client) -> i64 {
    match client.call(&["DBSIZE"]).expect("a reply") {
        Reply::Int(keys) => keys,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_allkeys_policy_keeps_memory_below_the_limit() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let server = start(policy);
        let mut client = server.connect().expect("a connection");
        assert_eq!(write(&mut client, "k", WRITES, &[]), 0, "{policy}");
        let kept = keys(&mut client) as usize;
        // Not more evicted than needed: most of the limit holds data.
        assert!(
            (WRITES / 20..WRITES / 8).contains(&kept),
            "{policy}: {kept}"
        );
    }
}

#[test]
fn volatile_policies_never_evict_keys_without_a_deadline() {
    for policy in [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = start(policy);
        let mut client = server.connect().expect("a connection");
        let fixed = WRITES / 40;
        assert_eq!(write(&mut client, "fixed", fixed, &[]), 0, "{policy}");
        let options = ["EX", "100000"];
        assert_eq!(write(&mut client, "k", WRITES, &options), 0, "{policy}");
        for name in 0..fixed {
            let found = client.call(&["EXISTS", &format!("fixed:{name}")]);
            assert_eq!(found.expect("a reply"), Reply::Int(1), "{policy}");
        }
        // Once all keys are fixed there is nothing to evict.
        assert!(write(&mut client, "more", WRITES / 5, &[]) > 0, "{policy}");
    }
}

#[test]
fn noeviction_refuses_what_needs_memory_and_nothing_else() {
    let server = start("noeviction");
    let mut client = server.connect().expect("a connection");
    let refused = write(&mut client, "k", WRITES / 5, &[]);
    assert!(refused > WRITES / 20 && refused < WRITES / 5);
    let value = Reply::Bulk("v".repeat(VALUE_BYTES).into_bytes());
    assert_eq!(client.call(&["GET", "k:0"]).expect("a reply"), value);
    let deleted: Vec<String> = (0..1000).map(|name| format!("k:{name}")).collect();
    for key in &deleted {
        let reply = client.call(&["DEL", key]).expect("a reply");
        assert_eq!(reply, Reply::Int(1));
    }
    assert_eq!(write(&mut client, "k", 500, &[]), 0);
}

#[test]
fn large_values_are_freed_in_the_background_and_not_paid_for_with_other_keys() {
    let server = start("allkeys-lru");
    let mut client = server.connect().expect("a connection");
    let value = "v".repeat(1 << 20);
    for name in 0..200 {
        let reply = client.call(&["SET", &format!("large:{name}"), &value]);
        assert_eq!(reply.expect("a reply"), Reply::Status(b"OK".to_vec()));
    }
    // Sixteen would fill the limit to the brim.
    let kept = keys(&mut client);
    assert!((9..16).contains(&kept), "{kept}");
    assert!(used_bytes(&mut client) <= LIMIT_BYTES + (3 << 20));
}

#[test]
fn a_flush_makes_room_at_once() {
    let server = start("noeviction");
    let mut client = server.connect().expect("a connection");
    assert!(write(&mut client, "k", WRITES / 5, &[]) > 0);
    for mode in ["SYNC", "ASYNC"] {
        let flushed = client.call(&["FLUSHALL", mode]).expect("a reply");
        assert_eq!(flushed, Reply::Status(b"OK".to_vec()));
        assert_eq!(write(&mut client, "k", WRITES / 20, &[]), 0, "{mode}");
    }
}
