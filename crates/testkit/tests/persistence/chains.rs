//! Chains of three servers of different kinds, each the replica of the one before: what the last
//! one has is what the first one has, key by key and with deadlines, after the copy, under a live
//! stream with everything that is told by its effect, after links were cut, and when the middle one
//! takes over and the first one follows it. Nobody is sent a second copy.

use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::Server;
use testkit::reply::Reply;

use crate::data::{call, compare, describe, fill_timed, fill_up_to, start_redis_7, text};

const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing but the test writes, and a copy begins at once.
const QUIET: &[&str] = &[
    "--repl-ping-replica-period",
    "3600",
    "--repl-diskless-sync-delay",
    "0",
];

/// A server of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Ruddle,
    /// Ruddle before an old Redis.
    RuddleForRedis7,
    Redis,
    Redis7,
    Valkey,
}

impl Member {
    fn start(self) -> Server {
        let start = |kind, more: &[&str]| {
            Server::start(kind, &[QUIET, more].concat()).expect("the server starts")
        };
        match self {
            Member::Ruddle => start(Kind::Ruddle, &[]),
            Member::RuddleForRedis7 => start(Kind::Ruddle, &["--snapshot-reader", "redis-7.0"]),
            Member::Redis => start(Kind::Redis, &[]),
            Member::Redis7 => start_redis_7(QUIET),
            Member::Valkey => start(Kind::Valkey, &[]),
        }
    }
}

/// What is told to replicas by its effect, or as one.
const CHANGES: &[&[&str]] = &[
    &["MULTI"],
    &["INCR", "int"],
    &["LPUSH", "list", "first"],
    &["EXEC"],
    &["INCRBYFLOAT", "float", "1.5"],
    &["SPOP", "many-set", "7"],
    &["SPOP", "mixed"],
    &["LMOVE", "list", "long-list", "LEFT", "RIGHT"],
    &["HINCRBYFLOAT", "hash", "number", "0.1"],
    &["HDEL", "many-hash", "field:1"],
    &["ZADD", "zset", "INCR", "2", "one"],
    &["ZPOPMIN", "zset"],
    &["XADD", "stream", "*", "later", "1"],
    &[
        "XREADGROUP",
        "GROUP",
        "readers",
        "carol",
        "COUNT",
        "1",
        "STREAMS",
        "stream",
        ">",
    ],
    &["XTRIM", "many-stream", "MAXLEN", "100"],
    &["PFADD", "sketch", "f", "g"],
    &["SETRANGE", "short", "3", "xyz"],
    &["BITOP", "NOT", "inverse", "bits"],
    &["SET", "brief", "1", "PX", "1"],
    &["SETEX", "timely", "5000", "value"],
    &["EXPIRE", "int", "7000"],
    &["GETEX", "short", "EX", "6000"],
    &["PERSIST", "hash"],
    &["COPY", "list", "copied"],
    &["RENAME", "copied", "renamed"],
    &["SORT", "ints", "STORE", "sorted"],
    &[
        "EVAL",
        "redis.call('SET', KEYS[1], redis.call('INCR', KEYS[2])) return redis.call('TIME')",
        "2",
        "scripted",
        "counter",
    ],
    &["SWAPDB", "2", "3"],
    &["SELECT", "3"],
    &["APPEND", "elsewhere", "more"],
    &["SELECT", "0"],
];

fn field(client: &mut Client, section: &str, name: &str) -> String {
    let all = text(&call(client, &["INFO", section]));
    let mut lines = all.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happens: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Three servers in a row.
struct Chain {
    members: [Member; 3],
    servers: [Server; 3],
    clients: [Client; 3],
}

impl Chain {
    fn start(members: [Member; 3]) -> Chain {
        let servers = members.map(Member::start);
        let clients = servers
            .each_ref()
            .map(|server| server.connect().expect("a connection"));
        Chain {
            members,
            servers,
            clients,
        }
    }

    fn follow(&mut self, who: usize, whom: usize) {
        let port = self.servers[whom].port().to_string();
        call(&mut self.clients[who], &["REPLICAOF", "127.0.0.1", &port]);
    }

    /// Waits until all have the same offset as the `first` one, and compares what they have.
    fn compare(&mut self, first: usize, when: &str) {
        let what = format!("{:?} {when}", self.members);
        for at in (0..3).filter(|&at| at != first) {
            await_that(&format!("{what}: {at} has caught up"), || {
                // What is due may be there until somebody looks.
                let gone = self.clients[first].call(&["GET", "brief"]);
                let end = field(
                    &mut self.clients[first],
                    "replication",
                    "master_repl_offset",
                );
                let client = &mut self.clients[at];
                gone.expect("an answer") == Reply::NilBulk
                    && field(client, "replication", "master_link_status") == "up"
                    && field(client, "replication", "slave_repl_offset") == end
            });
        }
        for db in ["3", "0"] {
            let [one, two, three] = self.clients.each_mut().map(|client| {
                call(client, &["SELECT", db]);
                describe(client, false)
            });
            compare(&one, &two, &format!("{what}: 1 and 2, database {db}"));
            compare(&two, &three, &format!("{what}: 2 and 3, database {db}"));
        }
    }

    /// Some of it may be refused once keys have been evicted: then all are to agree on that, too.
    fn change(&mut self, at: usize) {
        for words in CHANGES {
            // Redis 7.0 does not tell its replicas how many entries a group has read.
            if self.members[at] != Member::Redis7 || words[0] != "XREADGROUP" {
                self.clients[at].call(words).expect("an answer");
            }
        }
    }

    /// Some keys go because memory is full, as only the primary decides.
    fn evict(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let used = field(client, "memory", "used_memory");
        let used: u64 = used.parse().expect("a number");
        let evicted = |client: &mut Client| field(client, "stats", "evicted_keys");
        let before = evicted(client);
        call(
            client,
            &["CONFIG", "SET", "maxmemory-policy", "allkeys-random"],
        );
        let least = (used - 20_000).to_string();
        call(client, &["CONFIG", "SET", "maxmemory", &least]);
        await_that("something is evicted", || {
            // It may be refused while that is not enough.
            client.call(&["SET", "filler", "x"]).expect("an answer");
            evicted(client) != before
        });
        call(client, &["CONFIG", "SET", "maxmemory", "0"]);
    }

    /// How often a server has sent all, or only what was lacking.
    fn copies(&mut self, at: usize) -> [String; 2] {
        ["sync_full", "sync_partial_ok"].map(|name| field(&mut self.clients[at], "stats", name))
    }
}

fn run(members: [Member; 3], timed: bool) {
    if !peers::has_ruddle() {
        return;
    }
    let mut chain = Chain::start(members);
    fill_up_to(&mut chain.clients[0], 200);
    if timed {
        fill_timed(&mut chain.clients[0]);
    }
    call(&mut chain.clients[0], &["SELECT", "3"]);
    call(&mut chain.clients[0], &["SET", "elsewhere", "too"]);
    call(&mut chain.clients[0], &["SELECT", "0"]);
    chain.follow(1, 0);
    chain.compare_two_then_three();

    chain.change(0);
    chain.compare(0, "after changes");
    // Links are cut while there is something to send.
    for at in [1, 2] {
        call(
            &mut chain.clients[at],
            &["CLIENT", "KILL", "TYPE", "master"],
        );
        chain.change(0);
    }
    chain.evict(0);
    chain.compare(0, "after cuts and eviction");
    for at in [0, 1] {
        let [full, partial] = chain.copies(at);
        assert_eq!(full, "1", "{members:?}: {at}");
        assert_ne!(partial, "0", "{members:?}: {at}");
    }

    call(&mut chain.clients[1], &["REPLICAOF", "NO", "ONE"]);
    call(&mut chain.clients[1], &["SET", "promoted", "yes"]);
    chain.follow(0, 1);
    chain.change(1);
    chain.compare(1, "after the promotion");
    let [full, _] = chain.copies(1);
    assert_eq!(full, "1", "{members:?}: the first and the last one go on");
}

impl Chain {
    /// The last one joins when the middle one has everything.
    fn compare_two_then_three(&mut self) {
        let client = &mut self.clients[1];
        await_that("the middle one is linked", || {
            field(client, "replication", "master_link_status") == "up"
        });
        self.follow(2, 1);
        self.compare(0, "copied");
    }
}

#[test]
fn redis_then_ruddle_then_valkey() {
    run([Member::Redis, Member::Ruddle, Member::Valkey], false);
}

#[test]
fn valkey_then_ruddle_then_redis_7() {
    run(
        [Member::Valkey, Member::RuddleForRedis7, Member::Redis7],
        false,
    );
}

#[test]
fn ruddle_then_valkey_then_ruddle() {
    run([Member::Ruddle, Member::Valkey, Member::Ruddle], true);
}

#[test]
fn ruddle_then_redis_then_ruddle() {
    run([Member::Ruddle, Member::Redis, Member::Ruddle], true);
}

#[test]
fn redis_7_then_ruddle_then_redis() {
    run([Member::Redis7, Member::Ruddle, Member::Redis], false);
}
