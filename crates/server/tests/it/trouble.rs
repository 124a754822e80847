//! Trouble with the disk, with real processes: no room, the directory gone or in the way of
//! something else, no permission. Writes are refused (MISCONF), reads go on, nothing acknowledged
//! is lost, and when the disk is back so is the server, by itself.
//!
//! A limit to the size of files (`prlimit`) stands in for a full disk: the same calls fail.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testkit::client::Client;
use testkit::process::Server;
use testkit::reply::Reply;

use crate::servers::{
    Directory, RUDDLE, await_some, call, field, info, start, start_program, text,
};

const LOGGED: &[&str] = &["--appendonly", "yes"];
/// A save point that is never reached: without one, a snapshot that fails stops nobody.
const SAVED: &[&str] = &["--save", "3600 1000000"];

/// Lets no file of a process become longer.
fn limit(server: &Server, bytes: Option<u64>) {
    let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let done = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string()])
        .arg(format!("--fsize={bytes}:unlimited"))
        .status();
    assert!(done.expect("prlimit runs").success());
}

fn is_refused(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(why) if why.starts_with(b"MISCONF"))
}

/// Writes until that is refused; the number of writes that went well.
fn write_until_refused(client: &mut Client, first: u64) -> u64 {
    let mut next = first;
    await_some(|| {
        let reply = call(client, &format!("SET key:{next} {}", "x".repeat(100)));
        match is_refused(&reply) {
            true => Ok(()),
            false => {
                assert!(!reply.is_error(), "{reply:?}");
                next += 1;
                Err(format!("{next} writes went well"))
            }
        }
    });
    next
}

/// Reads go on, and all kinds of writes do not.
fn only_reads_go_on(client: &mut Client) {
    assert_eq!(text(&call(client, "GET early")), "value");
    assert_eq!(text(&call(client, "ECHO hello")), "hello");
    for refused in [
        "DEL early",
        "LPUSH list 1",
        "EVAL redis.call('SET',KEYS[1],'y') 1 x",
        "FLUSHALL",
    ] {
        let reply = call(client, refused);
        assert!(is_refused(&reply), "{refused}: {reply:?}");
    }
}

/// Waits until writes go on.
fn writes_go_on(client: &mut Client) {
    await_some(|| match call(client, "SET late value") {
        reply if is_refused(&reply) => Err("still refused".to_owned()),
        reply => {
            assert!(!reply.is_error(), "{reply:?}");
            Ok(())
        }
    });
}

/// All that was acknowledged is there after the process was killed.
fn all_is_there(server: Server, args: &[&str], writes: u64) {
    drop(server);
    let server = start(args);
    let mut client = server.connect().expect("a connection");
    for key in ["early", "late"] {
        assert_eq!(text(&call(&mut client, &format!("GET {key}"))), "value");
    }
    for n in 0..writes {
        let reply = call(&mut client, &format!("EXISTS key:{n}"));
        assert_eq!(reply, Reply::Int(1), "key:{n}");
    }
}

fn logged(directory: &Directory, more: &[&str]) -> (Server, Client, Vec<String>) {
    let args = [LOGGED, &["--dir", directory.text()], more].concat();
    let server = start(&args);
    let mut client = server.connect().expect("a connection");
    call(&mut client, "SET early value");
    (
        server,
        client,
        args.iter().map(|&word| word.to_owned()).collect(),
    )
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn a_full_disk_stops_writes_and_the_log_goes_on_when_there_is_room() {
    let directory = Directory::new("full");
    let (server, mut client, args) = logged(&directory, &[]);
    limit(&server, Some(20_000));
    let writes = write_until_refused(&mut client, 0);
    assert_eq!(field(&mut client, "aof_last_write_status"), "err");
    only_reads_go_on(&mut client);
    limit(&server, None);
    writes_go_on(&mut client);
    info(&mut client, "aof_last_write_status", "ok");
    all_is_there(server, &words(&args), writes);
}

/// With `always` who was writing when the disk filled up is answered when it is on disk.
#[test]
fn with_always_nobody_is_told_what_is_not_on_disk() {
    let directory = Directory::new("full-always");
    let (server, mut client, args) = logged(&directory, &["--appendfsync", "always"]);
    limit(&server, Some(20_000));
    let done = AtomicBool::new(false);
    let writes = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = server.connect().expect("a connection");
            let mut next = 0;
            while !done.load(Ordering::Relaxed) {
                let reply = call(&mut client, &format!("SET key:{next} {}", "x".repeat(100)));
                match is_refused(&reply) {
                    true => thread::yield_now(),
                    false => next += 1,
                }
            }
            next
        });
        info(&mut client, "aof_last_write_status", "err");
        only_reads_go_on(&mut client);
        limit(&server, None);
        writes_go_on(&mut client);
        done.store(true, Ordering::Relaxed);
        writer.join().expect("a writer")
    });
    assert!(writes > 100, "{writes}");
    all_is_there(server, &words(&args), writes);
}

#[test]
fn files_that_were_removed_are_made_anew_when_their_place_is_free() {
    let directory = Directory::new("removed");
    let (server, mut client, args) = logged(&directory, &[]);
    let place = directory.0.join("appendonlydir");
    fs::remove_dir_all(&place).expect("it goes");
    fs::write(&place, "in the way").expect("a file");
    let writes = write_until_refused(&mut client, 0);
    only_reads_go_on(&mut client);
    fs::remove_file(&place).expect("it goes");
    writes_go_on(&mut client);
    info(&mut client, "aof_last_write_status", "ok");
    info(&mut client, "aof_rewrite_in_progress", "0");
    all_is_there(server, &words(&args), writes);
}

/// With all that is in it.
#[test]
fn a_log_whose_directory_was_removed_goes_on_in_the_one_that_comes_back() {
    let directory = Directory::new("gone-log");
    let place = directory.0.join("data");
    fs::create_dir(&place).expect("a directory");
    let path = place.to_str().expect("a readable path").to_owned();
    let args = [LOGGED, &["--dir", &path]].concat();
    let server = start(&args);
    let mut client = server.connect().expect("a connection");
    call(&mut client, "SET early value");
    fs::remove_dir_all(&place).expect("it goes");
    let writes = write_until_refused(&mut client, 0);
    only_reads_go_on(&mut client);
    fs::create_dir(&place).expect("a directory");
    writes_go_on(&mut client);
    info(&mut client, "aof_last_write_status", "ok");
    info(&mut client, "aof_rewrite_in_progress", "0");
    all_is_there(server, &args, writes);
}

/// A snapshot that fails, then one that succeeds.
fn fails_and_recovers(
    server: &Server,
    directory: &Path,
    take_away: impl FnOnce(&Server),
    give_back: impl FnOnce(&Server),
) {
    let mut client = server.connect().expect("a connection");
    call(&mut client, "SET early value");
    assert_eq!(text(&call(&mut client, "SAVE")), "OK");
    call(&mut client, "DEBUG POPULATE 2000 key 100");
    take_away(server);
    call(&mut client, "BGSAVE");
    info(&mut client, "rdb_last_bgsave_status", "err");
    only_reads_go_on(&mut client);
    give_back(server);
    call(&mut client, "BGSAVE");
    info(&mut client, "rdb_last_bgsave_status", "ok");
    writes_go_on(&mut client);
    let names = fs::read_dir(directory).expect("a directory");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    let left: Vec<_> = names
        .filter(|name| name.as_encoded_bytes().starts_with(b"temp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_snapshot_that_finds_no_room_stops_writes_and_leaves_the_old_one() {
    let directory = Directory::new("full-snapshot");
    let args = [SAVED, &["--dir", directory.text()]].concat();
    let server = start(&args);
    let file = directory.0.join("dump.rdb");
    let mut old = None;
    let take_away = |server: &Server| {
        old = Some(fs::read(&file).expect("a snapshot"));
        limit(server, Some(20_000));
    };
    let give_back = |server: &Server| limit(server, None);
    fails_and_recovers(&server, &directory.0, take_away, give_back);
    let old = old.expect("a snapshot");
    assert!(old.len() < 1000 && fs::read(&file).expect("a snapshot").len() > 20_000);
    drop(server);
    let mut client = start(&args).connect().expect("a connection");
    _ = client.call(&["PING"]);
    // The one from before would have been loaded as well.
    fs::write(&file, old).expect("it is written");
    let server = start(&args);
    let mut client = server.connect().expect("a connection");
    assert_eq!(call(&mut client, "DBSIZE"), Reply::Int(1));
}

#[test]
fn a_directory_that_comes_back_is_saved_to_again() {
    let directory = Directory::new("gone");
    let place = directory.0.join("data");
    fs::create_dir(&place).expect("a directory");
    let path = place.to_str().expect("a readable path");
    let args = [SAVED, &["--dir", path]].concat();
    let server = start(&args);
    let take_away = |_: &Server| fs::remove_dir_all(&place).expect("it goes");
    let give_back = |_: &Server| fs::create_dir(&place).expect("a directory");
    fails_and_recovers(&server, &place, take_away, give_back);
    drop(server);
    let server = start(&args);
    let mut client = server.connect().expect("a connection");
    assert_eq!(call(&mut client, "DBSIZE"), Reply::Int(2001));
}

/// A program that runs the server as somebody to whom permissions apply: root is nobody there.
fn as_somebody(directory: &Directory) -> PathBuf {
    let metadata = fs::metadata(&directory.0).expect("it is there");
    if metadata.uid() != 0 {
        return PathBuf::from(RUDDLE);
    }
    chown(&directory.0, Some(NOBODY), Some(NOBODY)).expect("root may");
    // Where everybody may enter; the program's own path may lead through somebody's home.
    let program = directory.0.join("ruddle");
    fs::hard_link(RUDDLE, &program)
        .or_else(|_| fs::copy(RUDDLE, &program).map(drop))
        .expect("a copy");
    let script = directory.0.join("as-nobody");
    let text = format!(
        "#!/bin/sh\nexec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups '{}' \"$@\"\n",
        program.display()
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
    script
}

const NOBODY: u32 = 65534;

#[test]
fn a_directory_without_permission_to_write_stops_snapshots_and_rewrites_until_it_has() {
    let directory = Directory::new("read-only");
    let program = as_somebody(&directory);
    let args = [SAVED, LOGGED, &["--dir", directory.text()]].concat();
    let server = start_program(&program, &args);
    let log = directory.0.join("appendonlydir");
    let permit = |mode: u32| {
        for place in [&directory.0, &log] {
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    };
    let take_away = |server: &Server| {
        permit(0o555);
        let mut client = server.connect().expect("a connection");
        call(&mut client, "BGREWRITEAOF");
        info(&mut client, "aof_last_bgrewrite_status", "err");
        // The file that is open can be written to.
        writes_go_on(&mut client);
    };
    let give_back = |server: &Server| {
        permit(0o755);
        let mut client = server.connect().expect("a connection");
        call(&mut client, "BGREWRITEAOF");
        info(&mut client, "aof_last_bgrewrite_status", "ok");
    };
    fails_and_recovers(&server, &directory.0, take_away, give_back);
}
