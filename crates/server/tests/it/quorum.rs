//! `min-replicas-to-ack`, CLIENT QUORUM: a reply that waits for replicas' disks, and what it says
//! when they do not answer. The replicas are real Redis servers.

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::proxy::Proxy;
use testkit::reply::Reply;

const PATIENCE: Duration = Duration::from_secs(20);

fn primary(args: &[&str]) -> Server {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let args = [&["--repl-diskless-sync-delay", "0"], args].concat();
    Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts")
}

/// A replica with a file of its own that is on disk before it acknowledges.
fn replica(port: u16) -> Server {
    let place = format!("127.0.0.1 {port}");
    let args = [
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--replicaof",
        &place,
    ];
    Server::start(Kind::Redis, &args).expect("the replica starts")
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply")
}

fn is_in_doubt(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(b"INDOUBT "))
}

fn ok() -> Reply {
    Reply::Status(b"OK".to_vec())
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

#[test]
fn a_reply_says_that_replicas_have_the_write_or_that_it_is_in_doubt() {
    let primary = primary(&[]);
    let replica = replica(primary.port());
    let mut client = primary.connect().expect("connected");
    assert_eq!(call(&mut client, "CLIENT QUORUM 1 TIMEOUT 0"), ok());
    assert_eq!(call(&mut client, "SET k acknowledged"), ok());
    let mut reader = replica.connect().expect("connected");
    assert_eq!(call(&mut reader, "GET k"), bulk("acknowledged"));
    // Nothing was changed: there is nothing to wait for.
    call(&mut client, "CLIENT QUORUM 2 TIMEOUT 50");
    assert_eq!(call(&mut client, "DEL missing"), Reply::Int(0));
    assert_eq!(call(&mut client, "GET k"), bulk("acknowledged"));

    let pipeline = ["SET k v", "GET k", "INCR n", "INCR k", "EXISTS n"];
    for command in pipeline {
        let words: Vec<&str> = command.split(' ').collect();
        client.send(&words).expect("sent");
    }
    let replies = pipeline.map(|_| client.receive().expect("a reply"));
    let in_doubt = replies.each_ref().map(is_in_doubt);
    assert_eq!(in_doubt, [true, false, true, false, false]);
    assert_eq!(replies[1], bulk("v"));
    assert!(replies[3].is_error());
    assert_eq!(replies[4], Reply::Int(1));

    call(&mut client, "MULTI");
    call(&mut client, "INCR n");
    call(&mut client, "INCR n");
    assert!(is_in_doubt(&call(&mut client, "EXEC")));
    assert_eq!(call(&mut client, "CLIENT QUORUM 0"), ok());
    assert_eq!(call(&mut client, "INCR n"), Reply::Int(4));
}

/// A pop that another client's push has made possible waits, too, and so does the push.
#[test]
fn served_waiters_need_replicas_too() {
    let primary = primary(&[
        "--min-replicas-to-ack",
        "1",
        "--min-replicas-ack-timeout",
        "80",
    ]);
    let [mut waiter, mut pusher] = [(); 2].map(|()| primary.connect().expect("connected"));
    waiter.send(&["BLPOP", "list", "0"]).expect("sent");
    let deadline = Instant::now() + PATIENCE;
    let blocked = |client: &mut Client| call(client, "INFO clients").lines().concat();
    while !blocked(&mut pusher).contains("blocked_clients:1") {
        assert!(Instant::now() < deadline, "nobody waits");
    }
    assert!(is_in_doubt(&call(&mut pusher, "RPUSH list a")));
    assert!(is_in_doubt(&waiter.receive().expect("a reply")));
    call(&mut pusher, "CONFIG SET min-replicas-to-ack 0");
    assert_eq!(call(&mut pusher, "RPUSH list b"), Reply::Int(1));
}

/// While nothing comes through, a write waits; when it does, its reply leaves.
#[test]
fn a_frozen_link_delays_the_reply() {
    let primary = primary(&[]);
    let proxy = Proxy::start(primary.port()).expect("a proxy");
    let _replica = replica(proxy.port());
    let mut client = primary.connect().expect("connected");
    call(&mut client, "CLIENT QUORUM 1 TIMEOUT 0");
    assert_eq!(call(&mut client, "SET k 1"), ok());
    proxy.freeze(true);
    client.send(&["SET", "k", "2"]).expect("sent");
    let mut other = primary.connect().expect("connected");
    let deadline = Instant::now() + PATIENCE;
    while call(&mut other, "GET k") != bulk("2") {
        assert!(Instant::now() < deadline, "the write is not done");
    }
    // The reply is there, and is held back.
    while !call(&mut other, "CLIENT LIST")
        .lines()
        .concat()
        .contains(" obl=5 ")
    {
        assert!(Instant::now() < deadline, "the reply is not held back");
    }
    proxy.freeze(false);
    assert_eq!(client.receive().expect("a reply"), ok());
}

/// What replicas acknowledge later may be about another's bytes: whoever waits is told at once.
#[test]
fn who_follows_another_says_that_all_is_in_doubt() {
    let (first, second) = (primary(&[]), primary(&[]));
    let [mut writer, mut waiter, mut other] = [(); 3].map(|()| first.connect().expect("connected"));
    call(&mut writer, "CLIENT QUORUM 1 TIMEOUT 0");
    writer.send(&["SET", "k", "1"]).expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while call(&mut other, "GET k") != bulk("1") {
        assert!(Instant::now() < deadline, "the write is not done");
    }
    call(&mut waiter, "SET k 2");
    waiter.send(&["WAIT", "1", "0"]).expect("sent");
    let blocked = |client: &mut Client| call(client, "INFO clients").lines().concat();
    while !blocked(&mut other).contains("blocked_clients:1") {
        assert!(Instant::now() < deadline, "nobody waits");
    }
    let order = format!("REPLICAOF 127.0.0.1 {}", second.port());
    assert_eq!(call(&mut other, &order), ok());
    assert!(is_in_doubt(&writer.receive().expect("a reply")));
    let reply = waiter.receive().expect("a reply");
    assert!(
        matches!(&reply, Reply::Error(text) if text.starts_with(b"UNBLOCKED ")),
        "{reply:?}"
    );
}

/// Users may need more, or less, than everybody; a connection that has said so itself counts first.
#[test]
fn users_have_numbers_of_their_own() {
    let users = ["--min-replicas-to-ack-users", "alice 0 default 1"];
    let server = primary(&[&users[..], &["--min-replicas-ack-timeout", "50"]].concat());
    let mut client = server.connect().expect("connected");
    assert!(is_in_doubt(&call(&mut client, "INCR n")));
    call(&mut client, "CLIENT QUORUM 0");
    assert_eq!(call(&mut client, "INCR n"), Reply::Int(2));
    call(&mut client, "CLIENT QUORUM DEFAULT");
    assert!(is_in_doubt(&call(&mut client, "INCR n")));

    let set = |client: &mut Client, users: &str, all: &str| {
        let words = ["CONFIG", "SET", "min-replicas-to-ack-users", users];
        let words = [&words[..], &["min-replicas-to-ack", all]].concat();
        assert_eq!(client.call(&words).expect("a reply"), ok());
    };
    set(&mut client, "default 0", "1");
    assert_eq!(call(&mut client, "INCR n"), Reply::Int(4));
    // Those who are not named need what everybody needs.
    set(&mut client, "alice 0", "1");
    assert!(is_in_doubt(&call(&mut client, "INCR n")));
    set(&mut client, "", "0");
    assert_eq!(call(&mut client, "INCR n"), Reply::Int(6));
}
