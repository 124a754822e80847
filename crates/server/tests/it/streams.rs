//! What a replica does with its primary's stream besides applying it, and what it keeps to itself.

use std::time::{Duration, Instant};

use crate::replica::{
    NAME, PATIENCE, Played, call, encode, follow, give_all, info, snapshot, start, wait_for,
    wait_for_info, wait_for_info_of,
};

/// Who asks for what is not on disk yet is told again as soon as it is, not a second later.
#[test]
fn the_primary_is_told_when_its_bytes_are_on_disk() {
    let played = Played::new();
    let of = format!("127.0.0.1 {}", played.port());
    let aof = ["--appendonly", "yes", "--appendfsync", "always"];
    let (_server, mut client) = start(&[&["--replicaof", &of], &aof[..]].concat());
    let (mut link, _) = played.meet();
    give_all(&mut link, &snapshot("old", "value"), b"");
    wait_for_info_of(&mut client, "persistence", "aof_enabled", "1");
    wait_for_info_of(&mut client, "persistence", "aof_pending_rewrite", "0");
    let question = encode(&["REPLCONF GETACK *"]);
    let (mut end, begun) = (100, Instant::now());
    for number in 0..5 {
        let write = encode(&[&format!("SET key {number}")]);
        end += write.len();
        link.say(&[&write[..], &question].concat());
        let wanted = format!("FACK {end}");
        let mut said = link.command();
        while !said.ends_with(&wanted) {
            let fack = said
                .split(' ')
                .next_back()
                .and_then(|word| word.parse().ok());
            // The second's own acknowledgement may count the question, too.
            if fack.is_some_and(|fack: usize| fack > end) {
                break;
            }
            said = link.command();
        }
        end += question.len();
    }
    let taken = begun.elapsed();
    assert!(taken < Duration::from_millis(2500), "{taken:?}");
}

/// Without syncs nothing is called durable.
#[test]
fn what_is_not_forced_to_disk_is_not_on_disk() {
    let (_server, mut client) = start(&["--appendonly", "yes", "--appendfsync", "no"]);
    wait_for(&mut client, "SET key 1", "OK");
    assert_eq!(
        call(&mut client, "WAITAOF 1 0 50"),
        "1) (integer) 0 2) (integer) 0"
    );
    call(&mut client, "CONFIG SET appendfsync everysec");
    assert_eq!(
        call(&mut client, "WAITAOF 1 0 0"),
        "1) (integer) 1 2) (integer) 0"
    );
    // Who waits for a file that there will not be is told so.
    call(&mut client, "CONFIG SET appendfsync no");
    call(&mut client, "SET key 2");
    client.send(&["WAITAOF", "1", "0", "0"]).expect("sent");
    let mut other = _server.connect().expect("a connection");
    wait_for_info_of(&mut other, "clients", "blocked_clients", "1");
    assert_eq!(call(&mut other, "CONFIG SET appendonly no"), "OK");
    let reply = client.receive().expect("a reply").lines().join(" ");
    assert!(reply.contains("appendonly is disabled"), "{reply}");
}

/// What the primary could do must not fail: that is said, counted, and if so wanted the end.
#[test]
fn what_fails_in_the_stream_is_no_secret() {
    let ((first, mut a), (second, mut b)) = (start(&[]), start(&[]));
    follow(&mut b, &first);
    assert_eq!(call(&mut b, "CONFIG SET replica-read-only no"), "OK");
    assert_eq!(call(&mut b, "SET number text"), "OK");
    assert_eq!(call(&mut a, "DEBUG REPLICATE fake-command a b"), "OK");
    assert_eq!(call(&mut a, "INCR number"), "(integer) 1");
    assert_eq!(call(&mut a, "WAIT 1 20000"), "(integer) 1");
    assert_eq!(info(&mut b, "stats", "unexpected_error_replies"), "2");
    assert_eq!(call(&mut b, "GET number"), "text");
    let log = second.log();
    let said: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("CRITICAL"))
        .collect();
    assert_eq!(said.len(), 2, "{log}");
    assert!(said[0].contains("fake-command") && said[1].contains("'incr'"));

    assert_eq!(call(&mut b, "CONFIG SET replica-read-only yes"), "OK");
    let ends = "CONFIG SET propagation-error-behavior panic-on-replicas";
    assert_eq!(call(&mut b, ends), "OK");
    assert_eq!(call(&mut a, "DEBUG REPLICATE fake-command"), "OK");
    let deadline = Instant::now() + PATIENCE;
    while b.call(&["PING"]).is_ok() {
        assert!(Instant::now() < deadline, "it goes on");
    }
}

/// The primary says when its keys end; a writable replica, when those of its own clients do.
#[test]
fn a_writable_replica_ends_the_keys_of_its_own_clients() {
    let ((first, mut a), (_second, mut b)) = (start(&[]), start(&[]));
    call(&mut a, "DEBUG SET-ACTIVE-EXPIRE 0");
    call(&mut a, "SET theirs 1 PX 30");
    follow(&mut b, &first);
    assert_eq!(call(&mut b, "CONFIG SET replica-read-only no"), "OK");
    call(&mut b, "SET own 1 PX 30");
    call(&mut b, "SET other 1");
    call(&mut b, "PEXPIRE other 30");
    call(&mut b, "RENAME other another");
    call(&mut b, "SET twice 1 PX 30");
    call(&mut b, "SET twice 1 PX 1000000");
    call(&mut b, "SET thrice 1 PX 30");
    call(&mut b, "PERSIST thrice");
    // What is hidden is counted until it is deleted.
    wait_for(&mut b, "DBSIZE", "(integer) 3");
    assert_eq!(call(&mut b, "EXISTS theirs"), "(integer) 0");
    assert_eq!(call(&mut b, "EXISTS twice thrice"), "(integer) 2");
    assert_eq!(call(&mut b, "INCR theirs"), "(integer) 1");
    assert_eq!(call(&mut b, "TTL theirs"), "(integer) -1");
}

/// CLIENT CAPA redirect: who can go to the primary is sent there, with all that reaches data.
#[test]
fn who_can_go_to_the_primary_is_sent_there() {
    let ((first, _a), (second, mut b)) = (start(&[]), start(&[]));
    let mut able = second.connect().expect("a connection");
    assert_eq!(call(&mut able, "CLIENT CAPA redirect"), "OK");
    assert_eq!(call(&mut able, "SET key 1"), "OK");
    assert_eq!(call(&mut able, "MULTI"), "OK");
    assert_eq!(call(&mut able, "SET key 2"), "QUEUED");
    follow(&mut b, &first);
    let there = format!("(error) REDIRECT 127.0.0.1:{}", first.port());
    assert_eq!(call(&mut able, "EXEC"), there);
    for command in ["GET key", "SET key 2"] {
        assert_eq!(call(&mut able, command), there);
    }
    assert_eq!(call(&mut able, "MULTI"), "OK");
    assert_eq!(call(&mut able, "GET key"), there);
    assert!(call(&mut able, "EXEC").contains("EXECABORT"));
    assert_eq!(call(&mut able, "PING"), "PONG");
    assert_eq!(call(&mut b, "GET key"), "(nil)");
}

/// A link that comes back while a script holds all data waits for the script, and nobody waits with
/// it: every worker goes on answering.
#[test]
fn a_link_that_comes_during_a_script_holds_nobody_up() {
    let played = Played::new();
    let (replica, mut client) = start(&["--busy-reply-threshold", "50"]);
    let order = format!("REPLICAOF 127.0.0.1 {}", played.port());
    assert_eq!(call(&mut client, &order), "OK");
    let (mut link, _) = played.meet();
    give_all(&mut link, &snapshot("key", "value"), b"");
    wait_for_info(&mut client, "master_link_status", "up");
    drop(link);
    let (mut link, _) = played.meet();
    let mut clients: Vec<_> = (0..6)
        .map(|_| replica.connect().expect("a connection"))
        .collect();
    let mut runner = replica.connect().expect("a connection");
    let script = "local n = redis.call('DBSIZE') while redis.call('DBSIZE') == n do end";
    runner.send(&["EVAL", script, "0"]).expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while !call(&mut client, "PING").contains("BUSY") {
        assert!(Instant::now() < deadline, "the script is not busy");
    }
    let more = encode(&["SET key 2"]);
    link.say(&[format!("+CONTINUE {NAME}\r\n").as_bytes(), &more].concat());
    while !replica.log().contains("Successful partial") {
        assert!(Instant::now() < deadline, "{}", replica.log());
    }
    // A round of each worker, and then some.
    for _ in 0..100 {
        for client in &mut clients {
            assert!(call(client, "PING").contains("BUSY"));
        }
    }
    assert_eq!(call(&mut client, "SCRIPT KILL"), "OK");
    wait_for(&mut client, "GET key", "2");
    assert_eq!(link.acknowledged(100 + more.len()), 100 + more.len());
}
