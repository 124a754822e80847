//! Snapshot files and DUMP payloads to and from the peers: every type and encoding, with deadlines
//! of keys and fields, compared key by key.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use testkit::peers::{self, Kind};
use testkit::process::Server;

use super::data::{
    call, compare, describe, fill, fill_timed, keys, start, start_redis_7, text, wait_until_loaded,
};

/// Takes the file that one server has saved to another, and loads it there.
fn carry_file(from: &Server, to: &Server, what: &str) {
    let mut client = from.connect().expect("a connection");
    call(&mut client, &["SAVE"]);
    fs::copy(
        from.directory().join("dump.rdb"),
        to.directory().join("dump.rdb"),
    )
    .expect("a copy");
    let mut client = to.connect().expect("a connection");
    let reply = client
        .call(&["DEBUG", "RELOAD", "NOSAVE"])
        .expect("an answer");
    assert!(!reply.is_error(), "{what}: {reply:?}\n{}", to.log());
}

/// Takes every key of one server to another by DUMP and RESTORE.
fn carry_keys(from: &Server, to: &Server, what: &str) {
    let (mut source, mut target) = (from.connect().expect("one"), to.connect().expect("two"));
    call(&mut target, &["FLUSHALL"]);
    for key in keys(&mut source) {
        let payload = call(&mut source, &["DUMP", &key]);
        let deadline = call(&mut source, &["PEXPIRETIME", &key]).lines().concat();
        let deadline = deadline.trim_start_matches("(integer) ").replace("-1", "0");
        let words: [&[u8]; 5] = [
            b"RESTORE",
            key.as_bytes(),
            deadline.as_bytes(),
            payload.bytes().expect("a payload"),
            b"ABSTTL",
        ];
        let reply = target.call(&words).expect("an answer");
        assert!(!reply.is_error(), "{what}: {key}: {reply:?}");
    }
}

/// Carries all data one way, and compares.
fn one_way(from: &Server, to: &Server, forms: bool, payloads: bool, what: &str) {
    let mut client = from.connect().expect("a connection");
    let before = describe(&mut client, forms);
    carry_file(from, to, what);
    let after = |to: &Server| describe(&mut to.connect().expect("a connection"), forms);
    compare(&before, &after(to), &format!("{what}, file"));
    if payloads {
        carry_keys(from, to, what);
        compare(&before, &after(to), &format!("{what}, payloads"));
    }
}

#[test]
fn to_redis_and_back() {
    if !peers::has_ruddle() {
        return;
    }
    let (ruddle, redis) = (start(Kind::Ruddle), start(Kind::Redis));
    let mut client = redis.connect().expect("a connection");
    fill(&mut client);
    fill_timed(&mut client);
    one_way(&redis, &ruddle, true, true, "Redis to Ruddle");
    one_way(&ruddle, &redis, true, true, "Ruddle to Redis");
}

#[test]
fn to_valkey_and_back() {
    if !peers::has_ruddle() {
        return;
    }
    let (ruddle, valkey) = (start(Kind::Ruddle), start(Kind::Valkey));
    let mut client = valkey.connect().expect("a connection");
    fill(&mut client);
    one_way(&valkey, &ruddle, true, true, "Valkey to Ruddle");
    one_way(&ruddle, &valkey, true, true, "Ruddle to Valkey");
    fill_timed(&mut client);
    // Packed hashes with deadlines are no packed ones there.
    one_way(
        &valkey,
        &ruddle,
        false,
        true,
        "Valkey to Ruddle, with deadlines of fields",
    );
    let mut client = ruddle.connect().expect("a connection");
    call(&mut client, &["CONFIG", "SET", "snapshot-reader", "valkey"]);
    one_way(
        &ruddle,
        &valkey,
        false,
        true,
        "Ruddle to Valkey, with deadlines of fields",
    );
}

#[test]
fn to_redis_7_and_back() {
    if !peers::has_ruddle() {
        return;
    }
    let (ruddle, redis) = (start(Kind::Ruddle), start_redis_7(&[]));
    fill(&mut redis.connect().expect("a connection"));
    // Sets are never listpacks there, and lists never one; nor does it load what is of 7.2.
    one_way(&redis, &ruddle, false, true, "Redis 7.0 to Ruddle");
    let mut client = ruddle.connect().expect("a connection");
    call(
        &mut client,
        &["CONFIG", "SET", "snapshot-reader", "redis-7.0"],
    );
    one_way(&ruddle, &redis, false, true, "Ruddle to Redis 7.0");
}

/// A server's directory with a snapshot file that has every type.
fn saved() -> Server {
    let ruddle = start(Kind::Ruddle);
    let mut client = ruddle.connect().expect("a connection");
    fill(&mut client);
    fill_timed(&mut client);
    call(&mut client, &["SELECT", "3"]);
    call(&mut client, &["SET", "elsewhere", "too"]);
    call(&mut client, &["SAVE"]);
    ruddle
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("a readable path").to_owned()
}

/// Runs `ruddle` to its end: whether it succeeded, and what it wrote.
fn run(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(peers::ruddle().expect("a binary"));
    let output = command.args(arguments).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn a_file_is_loaded_at_the_start_and_a_damaged_one_is_refused() {
    if !peers::has_ruddle() {
        return;
    }
    let first = saved();
    let file = path_text(&first.directory().join("dump.rdb"));
    let directory = path_text(first.directory());
    let before = describe(&mut first.connect().expect("a connection"), true);
    let again = Server::start(Kind::Ruddle, &["--save", "", "--dir", &directory]);
    let again = again.expect("it loads");
    let mut client = again.connect().expect("a connection");
    wait_until_loaded(&mut client);
    compare(&before, &describe(&mut client, true), "after a restart");
    call(&mut client, &["SELECT", "3"]);
    assert_eq!(text(&call(&mut client, &["GET", "elsewhere"])), "too");

    let (sound, report) = run(&["check", &file]);
    assert!(sound && report.contains("The file is sound."), "{report}");
    for part in [
        "Database 3: 1 keys, 0 with a deadline",
        "hash with deadlines: 1 keys",
    ] {
        assert!(report.contains(part), "{report}");
    }

    let mut bytes = fs::read(&file).expect("the file");
    let at = bytes.len() / 2;
    bytes[at] ^= 0x55;
    fs::write(&file, bytes).expect("the file again");
    let (sound, report) = run(&["check", &file]);
    assert!(
        !sound && report.contains("The file is broken at offset"),
        "{report}"
    );
    let socket = path_text(&first.directory().join("socket"));
    let (started, why) = run(&["--port", "0", "--unixsocket", &socket, "--dir", &directory]);
    assert!(!started && why.contains("cannot load"), "{why}");
    assert!(
        why.contains("at offset") && why.contains("ruddle check"),
        "{why}"
    );
}

#[test]
fn clients_are_told_to_wait_while_the_file_is_loaded() {
    if !peers::has_ruddle() {
        return;
    }
    let first = saved();
    let bytes = fs::read(first.directory().join("dump.rdb")).expect("the file");
    // A pipe in the file's place: loading is as slow as we like.
    let pipe = first.directory().join("pipe.rdb");
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let directory = path_text(first.directory());
    let words = [
        "--save",
        "",
        "--dir",
        &directory,
        "--dbfilename",
        "pipe.rdb",
    ];
    let second = Server::start(Kind::Ruddle, &words).expect("it answers");
    let mut client = second.connect().expect("a connection");
    let mut writer = fs::OpenOptions::new()
        .write(true)
        .open(&pipe)
        .expect("a pipe");
    writer
        .write_all(&bytes[..bytes.len() / 2])
        .expect("a reader");
    let refused = client
        .call(&["GET", "int"])
        .expect("an answer")
        .lines()
        .concat();
    assert_eq!(
        refused,
        "(error) LOADING Redis is loading the dataset in memory"
    );
    let info = text(&call(&mut client, &["INFO", "persistence"]));
    for part in [
        "\nloading:1",
        "loading_start_time:",
        "loading_loaded_bytes:",
    ] {
        assert!(info.contains(part), "{info}");
    }
    writer
        .write_all(&bytes[bytes.len() / 2..])
        .expect("a reader");
    drop(writer);
    wait_until_loaded(&mut client);
    assert_eq!(text(&call(&mut client, &["GET", "int"])), "12345");
}
