//! Replication on a bad network (`testkit::proxy`): half-open links, partitions, delay and loss.
//! What was missed is caught up by partial resyncs, never by a second copy, and both sides have the
//! same then, key by key.

use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::process::Server;
use testkit::proxy::{Proxy, Weather};
use testkit::reply::Reply;

use crate::servers::{self, await_some, call, field, info, text};

/// Silence is noticed soon.
const ARGS: &[&str] = &[
    "--repl-diskless-sync-delay",
    "0",
    "--repl-timeout",
    "2",
    "--repl-ping-replica-period",
    "1",
    "--workers",
    "2",
];

/// A primary and a replica of its with a bad network in between.
struct Pair {
    primary: Server,
    replica: Server,
    proxy: Proxy,
    writer: Client,
    reader: Client,
}

impl Pair {
    fn start(primary: &[&str], replica: &[&str]) -> Pair {
        let start = |more: &[&str]| servers::start(&[ARGS, more].concat());
        let (primary, replica) = (start(primary), start(replica));
        let proxy = Proxy::start(primary.port()).expect("a proxy");
        let writer = primary.connect().expect("a connection");
        let mut reader = replica.connect().expect("a connection");
        let order = format!("REPLICAOF 127.0.0.1 {}", proxy.port());
        call(&mut reader, &order);
        info(&mut reader, "master_link_status", "up");
        Pair {
            primary,
            replica,
            proxy,
            writer,
            reader,
        }
    }

    /// Writes of several types, round `round`.
    fn write(&mut self, round: usize) {
        let commands = [
            format!("SET key:{round} value:{round}"),
            format!("SET brief:{round} x EX {}", 1_000 + round),
            format!("RPUSH list element:{round}"),
            format!("ZADD zset {round} member:{}", round % 7),
            format!("HSET hash field:{} {round}", round % 5),
            format!("SADD set {}", round % 11),
            "INCR number".to_owned(),
            "SPOP set".to_owned(),
        ];
        for command in commands {
            let reply = call(&mut self.writer, &command);
            assert!(!reply.is_error(), "{command}: {reply:?}");
        }
    }

    /// Waits until the replica has all there is; both have the same then, by one copy.
    fn compare(&mut self) {
        let end = field(&mut self.writer, "master_repl_offset");
        let end: u64 = end.parse().expect("a number");
        await_some(|| {
            let at = field(&mut self.reader, "slave_repl_offset");
            let up = field(&mut self.reader, "master_link_status") == "up";
            let there = at.parse().is_ok_and(|at: u64| at >= end);
            (up && there).then_some(()).ok_or(at)
        });
        assert_eq!(describe(&mut self.writer), describe(&mut self.reader));
        assert_eq!(field(&mut self.writer, "sync_full"), "1");
    }

    fn partial(&mut self) -> u64 {
        let count = field(&mut self.writer, "sync_partial_ok");
        count.parse().expect("a number")
    }
}

/// All keys: their contents and deadlines.
fn describe(client: &mut Client) -> Vec<(String, String, Reply)> {
    let keys = call(client, "KEYS *");
    let mut keys: Vec<String> = keys.items().expect("keys").iter().map(text).collect();
    keys.sort();
    let one = |key: String| {
        let digest = text(
            &call(client, &format!("DEBUG DIGEST-VALUE {key}"))
                .items()
                .expect("one")[0],
        );
        let deadline = call(client, &format!("PEXPIRETIME {key}"));
        (key, digest, deadline)
    };
    keys.into_iter().map(one).collect()
}

/// Nothing passes and nobody is told: both ends find out by silence alone. Meanwhile a quorum write
/// is in doubt, and then writes are refused because the replica lags.
#[test]
fn silence_is_noticed_and_made_good() {
    let mut pair = Pair::start(&[], &["--appendonly", "yes", "--appendfsync", "always"]);
    pair.write(0);
    pair.compare();
    call(&mut pair.writer, "CLIENT QUORUM 1 TIMEOUT 10000");
    assert_eq!(call(&mut pair.writer, "INCR number"), Reply::Int(2));
    let partial = pair.partial();

    pair.proxy.freeze(true);
    call(&mut pair.writer, "CLIENT QUORUM 1 TIMEOUT 100");
    let reply = call(&mut pair.writer, "INCR number");
    assert!(
        matches!(&reply, Reply::Error(text) if text.starts_with(b"INDOUBT ")),
        "{reply:?}"
    );
    call(&mut pair.writer, "CLIENT QUORUM DEFAULT");
    for round in 1..50 {
        pair.write(round);
    }
    call(
        &mut pair.writer,
        "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 1",
    );
    await_some(|| match call(&mut pair.writer, "SET refused 1") {
        Reply::Error(text) if text.starts_with(b"NOREPLICAS") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    info(&mut pair.reader, "master_link_status", "down");
    info(&mut pair.writer, "connected_slaves", "0");

    pair.proxy.freeze(false);
    info(&mut pair.reader, "master_link_status", "up");
    await_some(|| match call(&mut pair.writer, "SET accepted 1") {
        Reply::Error(text) => Err(String::from_utf8_lossy(&text).into_owned()),
        _ => Ok(()),
    });
    call(&mut pair.writer, "CLIENT QUORUM 1 TIMEOUT 10000");
    assert_eq!(call(&mut pair.writer, "DEL accepted"), Reply::Int(1));
    pair.compare();
    assert!(pair.partial() > partial, "it has gone on where it was");
}

/// 100 ms on the way in each direction, and of a hundred packets one comes late by a
/// retransmission; links break on top of that.
#[test]
fn a_slow_lossy_network_delays_and_loses_nothing() {
    let mut pair = Pair::start(&[], &["--appendonly", "yes", "--appendfsync", "always"]);
    let delay = Duration::from_millis(100);
    pair.proxy.set_weather(Weather {
        delay,
        lost_permille: 10,
    });
    call(&mut pair.writer, "CLIENT QUORUM 1 TIMEOUT 0");
    let begun = Instant::now();
    assert_eq!(call(&mut pair.writer, "INCR number"), Reply::Int(1));
    assert!(
        begun.elapsed() >= 2 * delay,
        "a yes takes the way there and back"
    );
    call(&mut pair.writer, "CLIENT QUORUM DEFAULT");
    for cut in 0..3 {
        for round in 0..40 {
            pair.write(40 * cut + round);
        }
        let before = pair.partial();
        pair.proxy.cut();
        pair.write(1_000 + cut);
        await_some(|| match pair.partial() {
            now if now > before => Ok(()),
            _ => Err("it does not come back".to_owned()),
        });
    }
    pair.compare();
    call(&mut pair.writer, "CLIENT QUORUM 1 TIMEOUT 0");
    assert!(!call(&mut pair.writer, "INCR number").is_error());
}

/// A partition that refuses new links; behind it the replica is promoted, the old primary goes on
/// alone and has to give up what nobody else has.
#[test]
fn after_a_partition_the_promoted_side_counts() {
    let mut pair = Pair::start(&["--repl-backlog-size", "1mb"], &[]);
    pair.write(0);
    pair.compare();
    pair.proxy.refuse(true);
    pair.proxy.cut();
    info(&mut pair.reader, "master_link_status", "down");
    call(&mut pair.writer, "SET alone 1");
    call(&mut pair.reader, "REPLICAOF NO ONE");
    call(&mut pair.reader, "SET promoted 1");
    let order = format!("REPLICAOF 127.0.0.1 {}", pair.replica.port());
    call(&mut pair.writer, &order);
    info(&mut pair.writer, "master_link_status", "up");
    let end = field(&mut pair.reader, "master_repl_offset");
    info(&mut pair.writer, "slave_repl_offset", &end);
    assert_eq!(describe(&mut pair.writer), describe(&mut pair.reader));
    assert_eq!(
        call(&mut pair.writer, "EXISTS alone promoted"),
        Reply::Int(1)
    );
    // Its bytes differ from there on: it needed a copy. Now the former primary leads again, and
    // nobody does.
    assert_eq!(field(&mut pair.reader, "sync_full"), "1");
    call(&mut pair.writer, "REPLICAOF NO ONE");
    let order = format!("REPLICAOF 127.0.0.1 {}", pair.primary.port());
    call(&mut pair.reader, &order);
    info(&mut pair.reader, "master_link_status", "up");
    assert_eq!(field(&mut pair.writer, "sync_full"), "1");
    assert_eq!(describe(&mut pair.writer), describe(&mut pair.reader));
}
