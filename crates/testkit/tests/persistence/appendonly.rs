//! Directories of append-only files to and from the peers: a base with every type and encoding, and
//! increments with the same once more, changes of all of it, transactions, scripts' effects,
//! libraries of functions, deadlines of keys and fields, several databases; compared key by key.

use std::fs;
use std::path::Path;

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::Server;

use super::data::{
    await_line, call, compare, describe, fill, fill_timed, run_all, start_redis_7, text,
    wait_until_loaded,
};

/// With an append-only file that nothing but the test rewrites.
const USUAL: &[&str] = &[
    "--appendonly",
    "yes",
    "--auto-aof-rewrite-percentage",
    "0",
    "--appendfsync",
    "no",
];
/// What is in the increment only.
const LATER: &str = "5";
const DATABASES: [&str; 2] = ["0", LATER];

/// Who writes the files and who loads them.
#[derive(Clone, Copy)]
enum Who {
    Ours(&'static [&'static str]),
    Peer(Kind),
    Redis7,
}

impl Who {
    fn start(self, more: &[&str]) -> Server {
        let usual = [USUAL, more].concat();
        match self {
            Who::Ours(own) => Server::start(Kind::Ruddle, &[&usual, own].concat()),
            Who::Peer(kind) => Server::start(kind, &usual),
            Who::Redis7 => return start_redis_7(&usual),
        }
        .expect("the server starts")
    }
}

/// Changes of what `fill` has made, each in its way.
const CHANGES: &[&str] = &[
    "APPEND short -longer",
    "SETRANGE long 3 changed",
    "INCRBYFLOAT int 0.5",
    "GETEX large-int EX 7000",
    "SETBIT bits 7 1",
    "PFADD sketch f g",
    "LPUSH list first",
    "LINSERT list BEFORE text between",
    "LMOVE many-list elsewhere LEFT RIGHT",
    "LTRIM many-list 5 -5",
    "SPOP many-set 10",
    "SMOVE mixed ints b",
    "SUNIONSTORE union ints mixed",
    "HINCRBYFLOAT hash number 0.25",
    "HDEL many-hash field:1 field:2",
    "ZINCRBY zset 2 one",
    "ZPOPMAX many-zset 3",
    "ZRANGESTORE range many-zset 0 10",
    "XADD stream 7-0 a b",
    "XACK stream readers 1-1",
    "XTRIM many-stream MAXLEN 2000",
    "XGROUP DESTROY stream idle",
    "PERSIST hash",
    "EXPIRE list 9000",
    "RENAME padded renamed",
    "COPY zset copied",
    "DEL empty",
    "MULTI",
    "SET in-transaction 1",
    "RPUSH list in transaction",
    "EXEC",
    "MOVE wide-ints 5",
];

fn lines(client: &mut Client, lines: &[&str]) {
    let words = |line: &&str| line.split(' ').map(str::to_owned).collect();
    run_all(client, &lines.iter().map(words).collect::<Vec<_>>());
}

fn library(client: &mut Client, name: &str) {
    let source = format!(
        "#!lua name={name}\nredis.register_function('{name}', function() return '{name}!' end)"
    );
    call(client, &["FUNCTION", "LOAD", &source]);
}

/// Fills a base, and then increments.
fn write(client: &mut Client, timed: bool) {
    fill(client);
    library(client, "early");
    if timed {
        fill_timed(client);
    }
    call(client, &["BGREWRITEAOF"]);
    await_line(client, "aof_rewrite_scheduled:0");
    await_line(client, "aof_rewrite_in_progress:0");
    await_line(client, "aof_last_bgrewrite_status:ok");
    lines(client, CHANGES);
    library(client, "late");
    let script = "for n = 1, 3 do redis.call('RPUSH', KEYS[1], n) end";
    call(client, &["EVAL", script, "1", "from-script"]);
    call(client, &["SELECT", LATER]);
    call(client, &["DEL", "wide-ints"]);
    fill(client);
    if timed {
        fill_timed(client);
        call(client, &["HPERSIST", "timed", "FIELDS", "1", "b"]);
        call(client, &["HEXPIRE", "timed", "5000", "FIELDS", "1", "a"]);
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// Writes with one server and loads with the other.
fn one_way(from: Who, to: Who, timed: bool, preamble: bool, what: &str) {
    let preamble = [
        "--aof-use-rdb-preamble",
        if preamble { "yes" } else { "no" },
    ];
    let writer = from.start(&preamble);
    let mut client = writer.connect().expect("a connection");
    wait_until_loaded(&mut client);
    write(&mut client, timed);
    let place = std::env::temp_dir().join(format!("ruddle-aof-{}", writer.pid()));
    copy_all(
        &writer.directory().join("appendonlydir"),
        &place.join("appendonlydir"),
    );
    let names = fs::read_dir(place.join("appendonlydir")).expect("a directory");
    assert_eq!(names.count(), 3, "{what}: a manifest, a base, an increment");
    let reader = to.start(&["--dir", place.to_str().expect("a readable path")]);
    let mut other = reader.connect().expect("a connection");
    println!("{what}: {}", reader.log());
    wait_until_loaded(&mut other);
    for db in DATABASES {
        call(&mut client, &["SELECT", db]);
        call(&mut other, &["SELECT", db]);
        let (before, after) = (describe(&mut client, false), describe(&mut other, false));
        assert!(before.len() > 20, "{what}: {before:?}");
        compare(&before, &after, &format!("{what}, database {db}"));
    }
    for name in ["early", "late"] {
        let reply = call(&mut other, &["FCALL", name, "0"]);
        assert_eq!(text(&reply), format!("{name}!"), "{what}");
    }
    drop(reader);
    fs::remove_dir_all(&place).expect("it goes");
}

fn both_ways(peer: Who, ours: Who, timed: bool, what: &str) {
    if !peers::has_ruddle() {
        return;
    }
    for preamble in [true, false] {
        let form = if preamble { "snapshot" } else { "commands" };
        one_way(
            peer,
            ours,
            timed,
            preamble,
            &format!("{what} to Ruddle, base of {form}"),
        );
        one_way(
            ours,
            peer,
            timed,
            preamble,
            &format!("Ruddle to {what}, base of {form}"),
        );
    }
}

#[test]
fn to_redis_and_back() {
    both_ways(Who::Peer(Kind::Redis), Who::Ours(&[]), true, "Redis");
}

#[test]
fn to_valkey_and_back() {
    let ours = Who::Ours(&["--snapshot-reader", "valkey"]);
    both_ways(Who::Peer(Kind::Valkey), ours, true, "Valkey");
}

#[test]
fn to_redis_7_and_back() {
    let ours = Who::Ours(&["--snapshot-reader", "redis-7.0"]);
    both_ways(Who::Redis7, ours, false, "Redis 7.0");
}
