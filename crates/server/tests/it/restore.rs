//! `ruddle check` and `ruddle restore` on the files of a real server, end to end.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use testkit::client::Client;
use testkit::process::Server;
use testkit::reply::Reply;

use crate::servers::{Directory, RUDDLE, await_some, call, info, start, text};

const LOGGED: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--aof-timestamp-enabled",
    "yes",
];

/// Runs `ruddle` to its end: whether it succeeded, and what it wrote.
fn ruddle(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(RUDDLE).args(arguments).output();
    let output = output.expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

fn logged(directory: &Directory) -> (Server, Client) {
    let server = start(&[LOGGED, &["--dir", directory.text()]].concat());
    let client = server.connect().expect("a connection");
    (server, client)
}

fn write(client: &mut Client, name: &str) {
    for n in 0..20 {
        call(client, &format!("SET {name}:{n} {n}"));
        call(client, &format!("RPUSH list:{name} {n}"));
    }
    call(client, "MULTI");
    call(client, &format!("SET {name}:whole 1"));
    call(client, &format!("INCR {name}:whole"));
    call(client, "EXEC");
}

fn count(client: &mut Client, name: &str) -> usize {
    let reply = call(client, &format!("KEYS {name}:*"));
    reply.items().expect("an array").len()
}

fn second() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// Waits for the next second; the one that is over.
fn next_second() -> u64 {
    let over = second();
    await_some(|| match second() {
        now if now == over => Err(format!("second {over} does not end")),
        _ => Ok(over),
    })
}

/// The increment that is written to.
fn increment(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory.join("appendonlydir")).expect("a directory");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
    paths.sort();
    paths.pop().expect("an increment")
}

#[test]
fn the_files_are_taken_back_to_a_moment() {
    let directory = Directory::new("restore");
    let (server, mut client) = logged(&directory);
    write(&mut client, "first");
    let first = next_second();
    write(&mut client, "second");
    let middle = next_second();
    write(&mut client, "third");
    drop((server, client));

    let (done, said) = ruddle(&["restore", "--to", &middle.to_string(), directory.text()]);
    assert!(done && said.contains("Restored to"), "{said}");
    let (server, mut client) = logged(&directory);
    let found = ["first", "second", "third"].map(|name| count(&mut client, name));
    assert_eq!(found, [21, 21, 0]);
    // What is written now has its own time, later than what was cut off.
    write(&mut client, "fourth");
    drop((server, client));

    // The second time as people write it.
    let moment = Command::new("date")
        .args(["-u", "-d", &format!("@{first}"), "+%Y-%m-%d %H:%M:%S"])
        .output()
        .expect("date runs");
    let moment = String::from_utf8_lossy(&moment.stdout).trim().to_owned();
    let (done, said) = ruddle(&["restore", "--to", &moment, directory.text()]);
    assert!(done, "{said}");
    let (_server, mut client) = logged(&directory);
    let found = ["first", "second", "fourth"].map(|name| count(&mut client, name));
    assert_eq!(found, [21, 0, 0]);
}

#[test]
fn a_moment_that_the_files_do_not_have_is_refused_and_nothing_changes() {
    let directory = Directory::new("restore-not");
    let (server, mut client) = logged(&directory);
    write(&mut client, "first");
    let first = next_second();
    call(&mut client, "BGREWRITEAOF");
    info(&mut client, "aof_rewrite_in_progress", "0");
    write(&mut client, "second");
    drop((server, client));
    let before = fs::read(increment(&directory.0)).expect("a file");
    for (moment, why) in [
        (first.to_string(), "the base was made after"),
        ("yesterday".to_owned(), "'yesterday' is no time"),
    ] {
        let (done, said) = ruddle(&["restore", "--to", &moment, directory.text()]);
        assert!(!done && said.contains(why), "{said}");
    }
    let later = (second() + 5).to_string();
    let (done, said) = ruddle(&["restore", "--to", &later, directory.text()]);
    assert!(
        done && said.contains("the files stay as they are"),
        "{said}"
    );
    assert_eq!(fs::read(increment(&directory.0)).expect("a file"), before);
    let (_server, mut client) = logged(&directory);
    assert_eq!(count(&mut client, "second"), 21);
}

#[test]
fn a_torn_end_is_found_and_cut_off() {
    let directory = Directory::new("check");
    let (server, mut client) = logged(&directory);
    write(&mut client, "first");
    drop((server, client));
    let (sound, said) = ruddle(&["check", directory.text()]);
    assert!(sound && said.contains("commands"), "{said}");

    // In the middle of the transaction at the end, all of which goes.
    let path = increment(&directory.0);
    let len = fs::metadata(&path).expect("a file").len();
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(len - 5).expect("it is cut");
    let (sound, said) = ruddle(&["check", directory.text()]);
    assert!(!sound && said.contains("--fix"), "{said}");
    let refuses = [
        LOGGED,
        &["--aof-load-truncated", "no", "--dir", directory.text()],
    ]
    .concat();
    let (started, said) =
        ruddle(&[&refuses[..], &["--port", "0", "--unixsocket", "socket"]].concat());
    assert!(!started && said.contains("complete up to byte"), "{said}");
    let (sound, said) = ruddle(&["check", "--fix", directory.text()]);
    assert!(sound && said.contains("cut off"), "{said}");
    let (sound, said) = ruddle(&["check", directory.text()]);
    assert!(sound, "{said}");
    let (server, mut client) = logged(&directory);
    assert_eq!(count(&mut client, "first"), 20);
    assert_eq!(call(&mut client, "LLEN list:first"), Reply::Int(20));
    drop((server, client));

    // A fault in the middle is nothing that a crash leaves behind.
    let mut bytes = fs::read(&path).expect("a file");
    let at = bytes.len() / 2;
    let star = at
        + bytes[at..]
            .iter()
            .position(|&byte| byte == b'*')
            .expect("one");
    bytes[star] = b'!';
    fs::write(&path, bytes).expect("it is written");
    let (sound, said) = ruddle(&["check", "--fix", directory.text()]);
    assert!(!sound && said.contains(&format!("byte {star}")), "{said}");
    let starts = [LOGGED, &["--dir", directory.text(), "--port", "0"]].concat();
    let (started, said) = ruddle(&[&starts[..], &["--unixsocket", "socket"]].concat());
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    for part in [&name[..], &format!("byte {star}"), "ruddle check"] {
        assert!(!started && said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_snapshot_is_described() {
    let directory = Directory::new("describe");
    let server = start(&["--dir", directory.text()]);
    let mut client = server.connect().expect("a connection");
    write(&mut client, "first");
    assert_eq!(text(&call(&mut client, "SAVE")), "OK");
    let file = directory.0.join("dump.rdb");
    let file = file.to_str().expect("a readable path");
    let (sound, said) = ruddle(&["check", file]);
    assert!(
        sound && said.contains("22 keys") && said.contains("string: 21 keys"),
        "{said}"
    );
    let bytes = fs::read(file).expect("a file");
    fs::write(file, &bytes[..bytes.len() - 20]).expect("it is cut");
    let (sound, said) = ruddle(&["check", file]);
    assert!(!sound && said.contains("broken at offset"), "{said}");
}
