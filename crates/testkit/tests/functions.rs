//! Libraries of functions to and from the peers: FUNCTION DUMP and RESTORE in both directions,
//! snapshot files, and DEBUG RELOAD.

use std::fs;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// Long enough to be compressed in a payload.
fn sources() -> [String; 2] {
    let comment = "-- the same words again and again\n".repeat(30);
    [
        "#!lua name=small\nredis.register_function('one', function() return 1 end)".to_owned(),
        format!(
            "#!lua name=large\n{comment}\nredis.register_function{{function_name='greet', \
             callback=function(keys, args) return 'hello ' .. args[1] end, \
             description='says hello', flags={{'no-writes'}}}}"
        ),
    ]
}

fn start(kind: Kind) -> (Server, Client) {
    let args: &[&str] = &["--save", "", "--enable-debug-command", "yes"];
    let server = Server::start(kind, args).expect("the server starts");
    let client = server.connect().expect("it listens");
    (server, client)
}

fn call<A: AsRef<[u8]> + std::fmt::Debug>(client: &mut Client, words: &[A]) -> Reply {
    let reply = client.call(words).expect("an answer");
    assert!(!reply.is_error(), "{words:?}: {reply:?}");
    reply
}

fn load(client: &mut Client) {
    for source in sources() {
        call(client, &["FUNCTION", "LOAD", &source]);
    }
}

/// What the libraries are and do, as text.
fn state(client: &mut Client) -> Vec<String> {
    let list = call(client, &["FUNCTION", "LIST", "WITHCODE"]);
    // Redis lists in the order of its hash table.
    let mut lines = match list {
        Reply::Array(libraries) => libraries
            .into_iter()
            .map(|library| library.lines().join("\n"))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    lines.sort();
    lines.extend(call(client, &["FCALL", "one", "0"]).lines());
    lines.extend(call(client, &["FCALL_RO", "greet", "0", "you"]).lines());
    lines
}

/// Takes what `from` dumps over to `to`.
fn hand_over(from: &mut Client, to: &mut Client) {
    let payload = call(from, &["FUNCTION", "DUMP"]);
    let payload = payload.bytes().expect("a payload");
    call(to, &[b"FUNCTION", &b"RESTORE"[..], payload, b"FLUSH"]);
}

#[test]
fn a_dump_goes_both_ways() {
    for peer in [Kind::Redis, Kind::Valkey] {
        let (_theirs, mut theirs) = start(peer);
        let (_ours, mut ours) = start(Kind::Ruddle);
        load(&mut theirs);
        hand_over(&mut theirs, &mut ours);
        let expected = state(&mut theirs);
        assert_eq!(state(&mut ours), expected, "{peer:?} to Ruddle");
        call(&mut theirs, &["FUNCTION", "FLUSH"]);
        hand_over(&mut ours, &mut theirs);
        assert_eq!(state(&mut theirs), expected, "Ruddle to {peer:?}");
    }
}

#[test]
fn a_damaged_dump_changes_nothing() {
    let (_server, mut client) = start(Kind::Ruddle);
    load(&mut client);
    let expected = state(&mut client);
    let payload = call(&mut client, &["FUNCTION", "DUMP"]);
    let payload = payload.bytes().expect("a payload").to_vec();
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 0x41;
        let words: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", &damaged, b"FLUSH"];
        assert!(
            client.call(&words).expect("an answer").is_error(),
            "byte {at}"
        );
    }
    assert_eq!(state(&mut client), expected);
}

#[test]
fn a_snapshot_takes_libraries_along() {
    for (from, to) in [
        (Kind::Ruddle, Kind::Ruddle),
        (Kind::Redis, Kind::Ruddle),
        (Kind::Ruddle, Kind::Redis),
    ] {
        let (server, mut client) = start(from);
        load(&mut client);
        call(&mut client, &["SET", "key", "value"]);
        let expected = state(&mut client);
        call(&mut client, &["SAVE"]);
        let directory = tempfile(&server, to);
        let args = ["--save", "", "--dir", &directory];
        let next = Server::start(to, &args).expect("it starts");
        let mut client = next.connect().expect("it listens");
        let deadline = Instant::now() + Duration::from_secs(10);
        while client.call(&["PING"]).expect("an answer").is_error() {
            assert!(Instant::now() < deadline, "{to:?} loads for too long");
        }
        assert_eq!(state(&mut client), expected, "{from:?} to {to:?}");
        assert_eq!(
            call(&mut client, &["GET", "key"]).bytes(),
            Some(&b"value"[..])
        );
    }
}

/// A directory with a copy of the server's snapshot, inside of the server's own.
fn tempfile(server: &Server, to: Kind) -> String {
    let directory = server.directory().join(format!("for-{to:?}"));
    fs::create_dir(&directory).expect("a new directory");
    let copied = fs::copy(
        server.directory().join("dump.rdb"),
        directory.join("dump.rdb"),
    );
    copied.expect("the snapshot is there");
    directory.to_str().expect("a path in ASCII").to_owned()
}

/// Changes to libraries go into the append-only file, and come out of it.
#[test]
fn an_append_only_file_takes_libraries_along() {
    let (server, mut client) = start(Kind::Ruddle);
    call(&mut client, &["CONFIG", "SET", "appendonly", "yes"]);
    // Until there is a base, the file does not hold everything.
    let deadline = Instant::now() + Duration::from_secs(20);
    let state_of_file =
        |client: &mut Client| call(client, &["INFO", "persistence"]).lines().concat();
    let is_made = |info: &str| {
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    };
    while !is_made(&state_of_file(&mut client)) {
        assert!(Instant::now() < deadline, "no base");
    }
    load(&mut client);
    let payload = call(&mut client, &["FUNCTION", "DUMP"]);
    let payload = payload.bytes().expect("a payload").to_vec();
    let expected = state(&mut client);
    call(&mut client, &["DEBUG", "LOADAOF"]);
    assert_eq!(state(&mut client), expected);
    call(&mut client, &["FUNCTION", "DELETE", "small"]);
    call(&mut client, &["FUNCTION", "FLUSH"]);
    call(&mut client, &[b"FUNCTION", &b"RESTORE"[..], &payload]);
    call(&mut client, &["DEBUG", "LOADAOF"]);
    assert_eq!(state(&mut client), expected);
    // redis.set_repl: this change is not for the file.
    let script = "redis.set_repl(redis.REPL_NONE) redis.call('SET', KEYS[1], 'v')";
    call(&mut client, &["EVAL", script, "1", "unrecorded"]);
    call(&mut client, &["SET", "recorded", "v"]);
    call(&mut client, &["DEBUG", "LOADAOF"]);
    assert_eq!(call(&mut client, &["EXISTS", "unrecorded"]), Reply::Int(0));
    assert_eq!(call(&mut client, &["EXISTS", "recorded"]), Reply::Int(1));
    drop(server);
}

/// What DEBUG RELOAD's words mean for libraries that are there already.
#[test]
fn a_reload_keeps_libraries() {
    for kind in [Kind::Ruddle, Kind::Redis] {
        let (_server, mut client) = start(kind);
        load(&mut client);
        let expected = state(&mut client);
        call(&mut client, &["DEBUG", "RELOAD"]);
        assert_eq!(state(&mut client), expected, "{kind:?}");
        call(&mut client, &["DEBUG", "RELOAD", "NOFLUSH", "MERGE"]);
        assert_eq!(state(&mut client), expected, "{kind:?}");
        call(&mut client, &["FUNCTION", "FLUSH"]);
        call(&mut client, &["DEBUG", "RELOAD", "NOSAVE"]);
        assert_eq!(state(&mut client), expected, "{kind:?}");
    }
}
