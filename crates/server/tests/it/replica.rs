//! A replica: what it says to its primary, what it makes of the answers, and what becomes of the
//! data when links break and roles change. Some primaries here are played by the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;

use crate::servers::{await_some, await_that};

/// How long something may take that does happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Names of histories.
pub(crate) const NAME: &str = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd";
const OTHER_NAME: &str = "eeeeeeeeeebbbbbbbbbbccccccccccdddddddddd";
/// What ends a snapshot.
pub(crate) const MARK: &str = "0123456789012345678901234567890123456789";

pub(crate) fn start(args: &[&str]) -> (Server, Client) {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let usual = ["--workers", "2", "--repl-diskless-sync-delay", "0"];
    let args: Vec<&str> = usual.iter().chain(args).copied().collect();
    let server = Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts");
    let client = server.connect().expect("a connection");
    (server, client)
}

pub(crate) fn call(client: &mut Client, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let reply = client.call(&words).expect("a reply");
    reply.lines().join(" ").replace('"', "")
}

/// Asks until the answer is as wanted.
pub(crate) fn wait_for(client: &mut Client, command: &str, wanted: &str) {
    await_some(|| match call(client, command) {
        answer if answer == wanted => Ok(()),
        answer => Err(format!("{command}: {answer}, not {wanted}")),
    });
}

/// A field of INFO.
pub(crate) fn info(client: &mut Client, section: &str, field: &str) -> String {
    let reply = client.call(&["INFO", section]).expect("a reply");
    let text = String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == field);
    found.map(|(_, value)| value.to_owned()).unwrap_or_default()
}

pub(crate) fn wait_for_info(client: &mut Client, field: &str, wanted: &str) {
    wait_for_info_of(client, "replication", field, wanted);
}

pub(crate) fn wait_for_info_of(client: &mut Client, section: &str, field: &str, wanted: &str) {
    let what = format!("{field} is {wanted}");
    await_that(&what, || info(client, section, field) == wanted);
}

/// Makes `replica` follow `primary`, and waits until the stream flows.
pub(crate) fn follow(replica: &mut Client, primary: &Server) {
    let port = primary.port();
    assert_eq!(call(replica, &format!("REPLICAOF 127.0.0.1 {port}")), "OK");
    wait_for_info(replica, "master_link_status", "up");
}

/// A primary played by the test.
pub(crate) struct Played {
    listener: TcpListener,
}

impl Played {
    pub(crate) fn new() -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Played { listener }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("its number").port()
    }

    /// Takes the replica's connection up to its PSYNC, which it gives.
    pub(crate) fn meet(&self) -> (Link, String) {
        let (stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut link = Link(BufReader::new(stream));
        loop {
            let said = link.command();
            match said.split(' ').next() {
                Some("PING") => link.say(b"+PONG\r\n"),
                Some("PSYNC") => return (link, said),
                _ => link.say(b"+OK\r\n"),
            }
        }
    }
}

pub(crate) struct Link(BufReader<TcpStream>);

impl Link {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    pub(crate) fn command(&mut self) -> String {
        let mut head = self.line();
        // Signs of life.
        while head.is_empty() {
            head = self.line();
        }
        let count: usize = head[1..].parse().expect("an array");
        let words = (0..count).map(|_| {
            let len: usize = self.line()[1..].parse().expect("a bulk");
            let mut bytes = vec![0; len + 2];
            self.0.read_exact(&mut bytes).expect("its bytes");
            bytes.truncate(len);
            String::from_utf8(bytes).expect("text")
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The next acknowledged offset that is at least `least`.
    pub(crate) fn acknowledged(&mut self, least: usize) -> usize {
        loop {
            let said = self.command();
            let ack = said.strip_prefix("REPLCONF ACK ");
            let ack = ack.unwrap_or_else(|| panic!("{said}"));
            let offset = ack.split(' ').next().and_then(|word| word.parse().ok());
            let offset: usize = offset.expect("a number");
            if offset >= least {
                return offset;
            }
        }
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("an open link");
    }
}

/// Commands as bytes.
pub(crate) fn encode(commands: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        testkit::client::encode(&mut bytes, &words);
    }
    bytes
}

/// A snapshot with one text, in database 0.
pub(crate) fn snapshot(key: &str, value: &str) -> Vec<u8> {
    let mut bytes = b"REDIS0011\xfe\x00\xfb\x01\x00\x00".to_vec();
    for text in [key, value] {
        bytes.push(text.len() as u8);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.push(0xff);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

/// Answers PSYNC with a full copy at offset 100 and a stream behind it.
pub(crate) fn give_all(link: &mut Link, snapshot: &[u8], stream: &[u8]) {
    let head = format!("+FULLRESYNC {NAME} 100\r\n\n$EOF:{MARK}\r\n");
    link.say(&[head.as_bytes(), snapshot, MARK.as_bytes(), stream].concat());
}

/// The stream is applied as it is meant, in any database, and counted byte for byte; a link that
/// comes back goes on where it was, in the database that was selected.
#[test]
fn the_stream_is_applied_and_goes_on_after_a_cut() {
    let played = Played::new();
    let port = played.port().to_string();
    let (_server, mut client) = start(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let (mut link, psync) = played.meet();
    assert!(psync.ends_with(" 1"), "{psync}");
    let stream = encode(&[
        "PING",
        "SELECT 3",
        "MULTI",
        "SET a 1",
        "RPUSH list x y",
        "EXEC",
        "SET gone 1 PXAT 1000",
        "NOSUCH command",
        "REPLCONF GETACK *",
    ]);
    give_all(&mut link, &snapshot("old", "value"), &stream);
    let end = 100 + stream.len();
    // What asks is not yet part of what is acknowledged.
    let asked = encode(&["REPLCONF GETACK *"]).len();
    link.acknowledged(end - asked);
    assert_eq!(link.acknowledged(end), end);
    assert_eq!(call(&mut client, "GET old"), "value");
    call(&mut client, "SELECT 3");
    assert_eq!(call(&mut client, "LRANGE list 0 -1"), "1) x 2) y");
    assert_eq!(call(&mut client, "GET gone"), "(nil)");
    assert_eq!(call(&mut client, "DBSIZE"), "(integer) 3");
    assert!(call(&mut client, "SET a 2").contains("READONLY"));
    let offset = info(&mut client, "replication", "slave_repl_offset");
    assert_eq!(offset, end.to_string());

    // Half a transaction is nothing.
    link.say(&encode(&["MULTI", "SET a 3"]));
    drop(link);
    let (mut link, psync) = played.meet();
    assert_eq!(psync, format!("PSYNC {NAME} {}", end + 1));
    assert_eq!(call(&mut client, "GET a"), "1");
    link.say(format!("+CONTINUE {OTHER_NAME}\r\n").as_bytes());
    let more = encode(&["SET a 4"]);
    link.say(&more);
    assert_eq!(link.acknowledged(end + more.len()), end + more.len());
    assert_eq!(call(&mut client, "GET a"), "4");
    assert_eq!(
        info(&mut client, "replication", "master_replid"),
        OTHER_NAME
    );
    assert_eq!(info(&mut client, "replication", "master_replid2"), NAME);

    // Promoted, it has a name of its own for what follows.
    assert_eq!(call(&mut client, "REPLICAOF NO ONE"), "OK");
    assert_eq!(call(&mut client, "SET a 5"), "OK");
    assert_eq!(info(&mut client, "replication", "role"), "master");
    let second = info(&mut client, "replication", "second_repl_offset");
    assert_eq!(second, (end + more.len() + 1).to_string());
    assert_eq!(
        info(&mut client, "replication", "master_replid2"),
        OTHER_NAME
    );
}

/// With `swapdb` the old data stay until the new ones are complete, and for good if they never are;
/// meanwhile they are served if they are of the same history. Otherwise half a copy leaves nothing.
#[test]
fn a_copy_that_breaks_off_leaves_what_was_or_nothing() {
    for (way, kept) in [
        ("swapdb", "before"),
        ("disabled", "before"),
        ("flush-before-load", "(nil)"),
    ] {
        let played = Played::new();
        let (_server, mut client) = start(&["--repl-diskless-load", way]);
        call(&mut client, "SET key before");
        let copy = snapshot("key", "after");
        let order = format!("REPLICAOF 127.0.0.1 {}", played.port());
        assert_eq!(call(&mut client, &order), "OK");
        let (mut link, asked) = played.meet();
        let head = format!("+FULLRESYNC {NAME} 100\r\n$EOF:{MARK}\r\n");
        link.say(&[head.as_bytes(), &copy[..copy.len() - 9]].concat());
        let reads = match way {
            "disabled" => "before",
            _ => "(error) LOADING Redis is loading the dataset in memory",
        };
        wait_for(&mut client, "GET key", reads);
        drop(link);
        let (mut link, again) = played.meet();
        // Nothing is no part of what was there: nobody must go on from it.
        assert_eq!(asked == again, kept == "before", "{way}: {asked} {again}");
        wait_for(&mut client, "GET key", kept);
        give_all(&mut link, &copy, b"");
        wait_for(&mut client, "GET key", "after");
        assert_eq!(link.acknowledged(100), 100);
        if way != "swapdb" {
            continue;
        }
        drop(link);
        let (mut link, _) = played.meet();
        link.say(&[head.as_bytes(), &copy[..copy.len() - 9]].concat());
        wait_for_info_of(&mut client, "persistence", "async_loading", "1");
        assert_eq!(call(&mut client, "GET key"), "after");
        assert_eq!(info(&mut client, "persistence", "loading"), "0");
    }
}

/// Where there are no old data, a copy that goes by way of a file is loaded while it comes; nobody
/// sees half of it, and what breaks off leaves nothing. The file becomes the snapshot file even if
/// it takes long to be on disk.
#[test]
fn without_old_data_a_copy_is_loaded_while_it_comes() {
    let played = Played::new();
    let (server, mut client) = start(&["--repl-diskless-load", "disabled"]);
    let temporary = format!("temp-replica.{}.rdb", server.pid());
    let temporary = server.directory().join(temporary);
    let kept = server.directory().join("dump.rdb");
    // A text of 32 bits' length, a little longer than what is waited for.
    let text = vec![b'x'; 9 << 20];
    let mut copy = b"REDIS0011\xfe\x00\xfb\x01\x00\x00\x03key\x80".to_vec();
    copy.extend_from_slice(&(text.len() as u32).to_be_bytes());
    copy.extend_from_slice(&text);
    copy.push(0xff);
    copy.extend_from_slice(&[0; 8]);

    let order = format!("REPLICAOF 127.0.0.1 {}", played.port());
    assert_eq!(call(&mut client, &order), "OK");
    let (mut link, _) = played.meet();
    let head = format!("+FULLRESYNC {NAME} 100\r\n$EOF:{MARK}\r\n");
    link.say(&[head.as_bytes(), &copy[..copy.len() - 9]].concat());
    await_that("some of it is written", || {
        temporary.metadata().map_or(0, |meta| meta.len()) >= 8 << 20
    });
    assert_eq!(call(&mut client, "GET key"), "(nil)");
    for field in ["loading", "async_loading"] {
        assert_eq!(info(&mut client, "persistence", field), "0");
    }
    drop(link);
    let (mut link, _) = played.meet();
    assert!(!temporary.exists() && !kept.exists());
    assert_eq!(call(&mut client, "DBSIZE"), "(integer) 0");

    give_all(&mut link, &copy, &encode(&["SET more 1"]));
    wait_for(&mut client, "GET more", "1");
    assert_eq!(
        call(&mut client, "STRLEN key"),
        format!("(integer) {}", text.len())
    );
    await_that("the file is kept", || kept.exists());
    assert!(std::fs::read(&kept).expect("a file") == copy);
    assert!(!temporary.exists());
}

/// A copy that came by way of a file stays as the snapshot file, unless no files are wanted.
#[test]
fn a_replica_without_persistence_may_keep_no_file() {
    let cases = [
        ("no", "", true),
        ("yes", "", false),
        ("yes", "1000 1000", true),
    ];
    for (deletes, points, stays) in cases {
        let played = Played::new();
        let arguments = ["--rdb-del-sync-files", deletes, "--save", points];
        let (server, mut client) = start(&arguments);
        let order = format!("REPLICAOF 127.0.0.1 {}", played.port());
        assert_eq!(call(&mut client, &order), "OK");
        let (mut link, _) = played.meet();
        give_all(&mut link, &snapshot("key", "value"), b"");
        wait_for(&mut client, "GET key", "value");
        let kept = server.directory().join("dump.rdb").exists();
        assert_eq!(kept, stays, "{deletes} {points}");
    }
}

#[test]
fn without_its_primary_a_replica_may_be_told_to_say_so() {
    let played = Played::new();
    let (_server, mut client) = start(&["--replica-serve-stale-data", "no"]);
    call(&mut client, "SET key value");
    let order = format!("REPLICAOF 127.0.0.1 {}", played.port());
    assert_eq!(call(&mut client, &order), "OK");
    assert!(call(&mut client, "GET key").contains("MASTERDOWN"));
    assert!(call(&mut client, "PING").contains("MASTERDOWN"));
    assert_eq!(info(&mut client, "replication", "role"), "slave");
    let again = call(&mut client, &order);
    assert_eq!(again, "OK Already connected to specified master");
    assert_eq!(call(&mut client, "ROLE").split(' ').nth(1), Some("slave"));
    assert_eq!(call(&mut client, "SLAVEOF NO ONE"), "OK");
    assert_eq!(call(&mut client, "GET key"), "value");
}

/// Who waits to take something from a list must not, once the list is a primary's; nor does
/// anybody wait for replicas of a server that is one itself.
#[test]
fn nobody_waits_for_what_is_a_primarys() {
    for words in [
        &["BLPOP", "list", "0"][..],
        &["WAIT", "1", "0"],
        &["WAITAOF", "0", "1", "0"],
    ] {
        let ((first, mut a), (second, mut b)) = (start(&[]), start(&[]));
        let mut waiting = second.connect().expect("a connection");
        waiting.send(words).expect("a connection");
        wait_for_info_of(&mut b, "clients", "blocked_clients", "1");
        follow(&mut b, &first);
        let reply = waiting.receive().expect("a reply").lines().join(" ");
        assert!(reply.contains("UNBLOCKED force unblock"), "{reply}");
        assert!(waiting.receive().is_err(), "the connection is closed");
        call(&mut a, "RPUSH list x");
        wait_for(&mut b, "LLEN list", "(integer) 1");
    }
}

/// Three servers in a row; the middle one is promoted, and the old primary joins: nobody needs a
/// second copy.
#[test]
fn roles_change_without_a_new_copy() {
    // A ping of the old primary that the new one never had would be a history of its own.
    let quiet = ["--repl-ping-replica-period", "3600"];
    let (first, mut a) = start(&quiet);
    let ((second, mut b), (_third, mut c)) = (start(&[]), start(&[]));
    call(&mut a, "SET before 1");
    follow(&mut b, &first);
    follow(&mut c, &second);
    call(&mut a, "SELECT 5");
    call(&mut a, "SET key 1");
    call(&mut c, "SELECT 5");
    wait_for(&mut c, "GET key", "1");
    // A replica that may be written to keeps that to itself.
    assert_eq!(call(&mut b, "CONFIG SET replica-read-only no"), "OK");
    call(&mut b, "SET own 1");
    call(&mut a, "SET key 2");
    wait_for(&mut c, "GET key", "2");
    assert_eq!(call(&mut c, "SELECT 0"), "OK");
    assert_eq!(call(&mut c, "EXISTS own"), "(integer) 0");
    assert_eq!(call(&mut c, "SELECT 5"), "OK");

    assert_eq!(call(&mut b, "REPLICAOF NO ONE"), "OK");
    call(&mut b, "SET promoted 1");
    follow(&mut a, &second);
    call(&mut a, "SELECT 0");
    wait_for(&mut a, "GET promoted", "1");
    call(&mut c, "SELECT 0");
    wait_for(&mut c, "GET promoted", "1");
    assert_eq!(info(&mut a, "stats", "sync_full"), "1");
    assert_eq!(info(&mut b, "stats", "sync_full"), "1");
    let name = info(&mut b, "replication", "master_replid");
    assert_eq!(info(&mut a, "replication", "master_replid"), name);
    assert_eq!(info(&mut c, "replication", "master_replid"), name);
}

/// FAILOVER hands the place over with all writes, and back again.
#[test]
fn a_primary_hands_its_place_over() {
    let ((first, mut a), (second, mut b)) = (start(&[]), start(&[]));
    call(&mut a, "SET key 1");
    assert!(call(&mut a, "FAILOVER").contains("requires connected replicas"));
    follow(&mut b, &first);
    assert!(call(&mut b, "FAILOVER").contains("not valid when server is a replica"));
    let nobody = call(&mut a, "FAILOVER TO 127.0.0.1 1");
    assert!(nobody.contains("is not a replica"), "{nobody}");
    let to_second = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 20000", second.port());
    assert_eq!(call(&mut a, &to_second), "OK");
    wait_for_info(&mut a, "role", "slave");
    wait_for_info(&mut a, "master_link_status", "up");
    wait_for_info(&mut a, "master_failover_state", "no-failover");
    assert_eq!(call(&mut b, "SET key 2"), "OK");
    wait_for(&mut a, "GET key", "2");
    assert_eq!(call(&mut b, "FAILOVER"), "OK");
    wait_for_info(&mut b, "role", "slave");
    wait_for_info(&mut b, "master_link_status", "up");
    assert_eq!(call(&mut a, "SET key 3"), "OK");
    wait_for(&mut b, "GET key", "3");
    assert_eq!(info(&mut a, "stats", "sync_full"), "1");
    assert_eq!(info(&mut b, "stats", "sync_full"), "0");
}

/// A failover to a replica that never catches up is called off, by time or by hand, and writes go
/// on.
#[test]
fn a_failover_is_called_off() {
    let ((first, mut a), (_second, mut b)) = (start(&[]), start(&[]));
    follow(&mut b, &first);
    // What is held back on the replica keeps it behind.
    assert_eq!(call(&mut b, "CLIENT PAUSE 100000 ALL"), "OK");
    call(&mut a, "SET key 1");
    assert_eq!(call(&mut a, "FAILOVER TIMEOUT 300"), "OK");
    assert_eq!(
        info(&mut a, "replication", "master_failover_state"),
        "waiting-for-sync"
    );
    assert!(call(&mut a, "FAILOVER").contains("already in progress"));
    assert_eq!(call(&mut a, "SET key 2"), "OK");
    assert_eq!(
        info(&mut a, "replication", "master_failover_state"),
        "no-failover"
    );
    assert_eq!(call(&mut a, "FAILOVER"), "OK");
    assert_eq!(call(&mut a, "FAILOVER ABORT"), "OK");
    assert_eq!(call(&mut a, "SET key 3"), "OK");
    assert!(call(&mut a, "FAILOVER ABORT").contains("No failover in progress"));
}

/// A script that holds keys for long delays the stream: nothing of it overtakes, comes in the
/// middle of the script, or is lost; and the script can be ended.
#[test]
fn a_busy_script_delays_the_stream() {
    let narrow = "local v = redis.call('GET', KEYS[1]) \
                  while redis.call('GET', KEYS[1]) == v do end";
    let wide = "local n = redis.call('DBSIZE') while redis.call('DBSIZE') == n do end";
    for (workers, script) in [("1", narrow), ("1", wide), ("2", narrow), ("2", wide)] {
        let (primary, mut writer) = start(&[]);
        let args = ["--busy-reply-threshold", "50", "--workers", workers];
        let (replica, mut reader) = start(&args);
        follow(&mut reader, &primary);
        let mut runner = replica.connect().expect("a connection");
        runner.send(&["EVAL", script, "1", "key:0"]).expect("sent");
        let deadline = Instant::now() + PATIENCE;
        while !call(&mut reader, "PING").contains("BUSY") {
            assert!(Instant::now() < deadline, "the script is not busy");
        }
        // One by one, so that the stream comes in many pieces.
        for number in 0..600 {
            call(&mut writer, "MULTI");
            call(&mut writer, &format!("SET key:{} {number}", number % 7));
            call(&mut writer, "INCR number");
            call(&mut writer, "EXEC");
            call(&mut writer, &format!("SET key:{} {number}", number % 100));
        }
        assert!(call(&mut reader, "PING").contains("BUSY"));
        assert_eq!(call(&mut reader, "SCRIPT KILL"), "OK");
        let digest = call(&mut writer, "DEBUG DIGEST");
        wait_for(&mut reader, "DEBUG DIGEST", &digest);
    }
}
