//! The server as a primary: replicas that the test plays byte by byte, and real ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

use crate::servers::await_that;

/// How long something may take that does happen.
const PATIENCE: Duration = Duration::from_secs(30);
const AT_ONCE: &[&str] = &["--repl-diskless-sync-delay", "0"];

fn start(args: &[&str]) -> Server {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let server = Server::start_binary(Kind::Ruddle, binary, &[AT_ONCE, args].concat());
    let server = server.expect("the server starts");
    let mut client = server.connect().expect("a connection");
    await_that("it has loaded", || !call(&mut client, "DBSIZE").is_error());
    server
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply")
}

/// A field of INFO.
fn info(client: &mut Client, section: &str, field: &str) -> String {
    let reply = call(client, &format!("INFO {section}"));
    let text = String::from_utf8_lossy(reply.bytes().expect("text")).into_owned();
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then(|| value.to_owned())
    });
    value.unwrap_or_default()
}

/// A replica that is no more than its connection.
struct Played(BufReader<TcpStream>);

impl Played {
    fn connect(port: u16) -> Played {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Played(BufReader::new(stream))
    }

    fn send(&mut self, command: &str) {
        let text = format!("{command}\r\n");
        self.0.get_mut().write_all(text.as_bytes()).expect("sent");
    }

    /// The next line that is not empty: those only say that somebody is there.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).expect("a line");
            assert!(count > 0, "the connection is closed");
            if line != "\n" {
                return line.trim_end().to_owned();
            }
        }
    }

    fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.line()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// The next command of the stream; pings may come at any time.
    fn command(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let command = self.any_command();
            if command != "PING" {
                return command;
            }
            assert!(Instant::now() < deadline, "nothing but pings");
        }
    }

    fn any_command(&mut self) -> String {
        let head = self.line();
        let count: usize = head[1..].parse().expect("a number of words");
        let mut words = Vec::new();
        for _ in 0..count {
            let len: usize = self.line()[1..].parse().expect("a length");
            let word = self.bytes(len + 2);
            words.push(String::from_utf8_lossy(&word[..len]).into_owned());
        }
        words.join(" ")
    }

    /// The copy after FULLRESYNC.
    fn copy(&mut self) -> Vec<u8> {
        let head = self.line();
        if let Some(mark) = head.strip_prefix("$EOF:") {
            let mut copy = Vec::new();
            while !copy.ends_with(mark.as_bytes()) {
                copy.extend(self.bytes(1));
            }
            copy.truncate(copy.len() - mark.len());
            return copy;
        }
        let len = head.strip_prefix('$').expect("a length");
        self.bytes(len.parse().expect("a number"))
    }
}

/// Asks for everything; the history's name and the offset.
fn full(replica: &mut Played) -> (String, u64) {
    assert_eq!(
        replica.ask("REPLCONF listening-port 7777 ip-address 10.1.2.3"),
        "+OK"
    );
    assert_eq!(replica.ask("REPLCONF capa eof capa psync2"), "+OK");
    let answer = replica.ask("PSYNC ? -1");
    let mut words = answer.split(' ');
    assert_eq!(words.next(), Some("+FULLRESYNC"), "{answer}");
    let name = words.next().expect("a name").to_owned();
    let offset = words.next().expect("an offset").parse();
    (name, offset.expect("a number"))
}

#[test]
fn a_copy_then_the_stream_then_a_part_of_it() {
    let server = start(&[]);
    let mut client = server.connect().expect("a connection");
    call(&mut client, "SET before 1");
    let mut replica = Played::connect(server.port());
    let (name, offset) = full(&mut replica);
    let copy = replica.copy();
    assert!(copy.starts_with(b"REDIS"), "{copy:?}");
    assert!(copy.windows(6).any(|part| part == b"before"));
    call(&mut client, "SELECT 2");
    call(&mut client, "SET in-between 1");
    assert_eq!(info(&mut client, "replication", "connected_slaves"), "1");
    // The copy had no length: whoever reads it may have read on.
    replica.0.get_ref().set_nonblocking(true).expect("possible");
    assert!(
        replica.0.fill_buf().is_err(),
        "nothing is sent before the word"
    );
    replica
        .0
        .get_ref()
        .set_nonblocking(false)
        .expect("possible");
    replica.send(&format!("REPLCONF ACK {offset}"));
    assert_eq!(replica.command(), "SELECT 2");
    assert_eq!(replica.command(), "SET in-between 1");
    let role = "ip=10.1.2.3,port=7777,state=online";
    assert!(info(&mut client, "replication", "slave0").starts_with(role));
    assert_eq!(call(&mut client, "CLIENT KILL TYPE replica"), Reply::Int(1));
    await_that("it is gone", || {
        info(&mut client, "replication", "connected_slaves") == "0"
    });
    call(&mut client, "SET meanwhile 1");
    // From the first byte on, which is number offset + 1.
    let mut replica = Played::connect(server.port());
    assert_eq!(replica.ask("REPLCONF capa psync2"), "+OK");
    let answer = replica.ask(&format!("PSYNC {name} {}", offset + 1));
    assert_eq!(answer, format!("+CONTINUE {name}"));
    let stream = ["SELECT 2", "SET in-between 1", "SET meanwhile 1"];
    assert_eq!(stream.map(|_| replica.command()), stream);
    for (asked, next) in [(name.as_str(), offset + 10_000), (&"0".repeat(40), offset)] {
        let mut stranger = Played::connect(server.port());
        let answer = stranger.ask(&format!("PSYNC {asked} {next}"));
        assert!(answer.starts_with("+FULLRESYNC"), "{answer}");
    }
    let counters = ["sync_full", "sync_partial_ok", "sync_partial_err"];
    let counters = counters.map(|name| info(&mut client, "stats", name));
    assert_eq!(counters, ["3", "1", "2"]);
}

#[test]
fn the_older_protocol_and_copies_by_way_of_a_file() {
    let server = start(&["--repl-diskless-sync", "no"]);
    let mut client = server.connect().expect("a connection");
    call(&mut client, "SET key value");
    let mut old = Played::connect(server.port());
    old.send("SYNC");
    assert!(old.copy().windows(3).any(|part| part == b"key"));
    let mut new = Played::connect(server.port());
    full(&mut new);
    assert!(new.copy().windows(3).any(|part| part == b"key"));
    call(&mut client, "APPEND key more");
    for replica in [&mut old, &mut new] {
        assert_eq!(replica.command(), "SELECT 0");
        assert_eq!(replica.command(), "APPEND key more");
    }
    let left = std::fs::read_dir(server.directory()).expect("a directory");
    let names = left.map(|entry| entry.expect("an entry").file_name());
    assert!(
        !names
            .into_iter()
            .any(|name| name.to_string_lossy().contains("temp-sync"))
    );
}

/// A replica that comes while a file is being written for another one shares it.
#[test]
fn who_comes_while_a_file_is_written_shares_it() {
    let slow = [
        "--repl-diskless-sync",
        "no",
        "--rdb-key-save-delay",
        "100000",
    ];
    let server = start(&slow);
    let mut client = server.connect().expect("a connection");
    for number in 0..10 {
        call(&mut client, &format!("SET key:{number} 1"));
    }
    let mut first = Played::connect(server.port());
    let place = full(&mut first);
    call(&mut client, "SET meanwhile 1");
    assert_eq!(
        info(&mut client, "persistence", "rdb_bgsave_in_progress"),
        "1"
    );
    let mut second = Played::connect(server.port());
    assert_eq!(full(&mut second), place);
    assert_eq!(first.copy(), second.copy());
    for replica in [&mut first, &mut second] {
        assert_eq!(replica.command(), "SELECT 0");
        assert_eq!(replica.command(), "SET meanwhile 1");
    }
    let log = server.log();
    assert_eq!(log.matches("Starting BGSAVE for SYNC").count(), 1, "{log}");
}

/// A reply would be taken for a part of the copy or of the stream.
#[test]
fn a_replica_gets_no_replies() {
    let slow = ["--rdb-key-save-delay", "100000000"];
    for args in [&slow[..], &[]] {
        let server = start(args);
        let mut client = server.connect().expect("a connection");
        call(&mut client, "SET key 1");
        let mut replica = Played::connect(server.port());
        let (_, offset) = full(&mut replica);
        if args.is_empty() {
            replica.copy();
            replica.send(&format!("REPLCONF ACK {offset}"));
            call(&mut client, "SET key 2");
            assert_eq!(replica.command(), "SELECT 0");
        }
        replica.send("PING");
        await_that("it is gone", || {
            info(&mut client, "replication", "connected_slaves") == "0"
        });
        assert!(server.log().contains("a reply to command 'ping'"));
    }
}

/// What nobody waits for any more is not written to its end.
#[test]
fn a_copy_for_nobody_is_called_off() {
    let server = start(&["--rdb-key-save-delay", "100000000"]);
    let mut client = server.connect().expect("a connection");
    call(&mut client, "SET key 1");
    let mut replica = Played::connect(server.port());
    full(&mut replica);
    let mut busy = || info(&mut client, "persistence", "rdb_bgsave_in_progress");
    assert_eq!(busy(), "1");
    drop(replica);
    await_that("it is called off", || busy() == "0");
}

/// Before its time there is no PING: it would be a byte more than those who come back expect. And
/// no command of the stream is longer than need be.
#[test]
fn the_stream_is_what_clients_have_done() {
    let server = start(&["--repl-ping-replica-period", "3600"]);
    let mut client = server.connect().expect("a connection");
    let members: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    call(&mut client, &format!("SADD set {}", members.join(" ")));
    let mut replica = Played::connect(server.port());
    let (_, offset) = full(&mut replica);
    replica.copy();
    replica.send(&format!("REPLCONF ACK {offset}"));
    let uptime = |client: &mut Client| {
        let text = info(client, "server", "uptime_in_seconds");
        text.parse::<u64>().expect("a number")
    };
    let begun = uptime(&mut client);
    await_that("two seconds pass", || uptime(&mut client) >= begun + 2);
    assert_eq!(info_end(&server), offset);
    call(&mut client, "SPOP set 1025");
    let words = |command: String| command.split(' ').count();
    assert_eq!(replica.command(), "MULTI");
    assert_eq!(replica.command(), "SELECT 0");
    assert_eq!(words(replica.command()), 2 + 1024);
    assert_eq!(words(replica.command()), 2 + 1);
    assert_eq!(replica.command(), "EXEC");
}

#[test]
fn wait_counts_replicas_and_too_few_refuse_writes() {
    let server = start(&["--appendonly", "yes"]);
    let mut client = server.connect().expect("a connection");
    let mut replica = Played::connect(server.port());
    let (_, offset) = full(&mut replica);
    replica.copy();
    replica.send(&format!("REPLCONF ACK {offset}"));
    await_that("it is online", || {
        info(&mut client, "replication", "slave0").contains("state=online")
    });
    call(&mut client, "SET key 1");
    assert_eq!(call(&mut client, "WAIT 1 1"), Reply::Int(0));
    client.send(&["WAIT", "1", "30000"]).expect("sent");
    // It is asked how far it is.
    while replica.command() != "REPLCONF GETACK *" {}
    let end: u64 = info_end(&server);
    replica.send(&format!("REPLCONF ACK {end}"));
    assert_eq!(client.receive().expect("a reply"), Reply::Int(1));
    client.send(&["WAITAOF", "1", "1", "30000"]).expect("sent");
    replica.send(&format!("REPLCONF ACK {end} FACK {end}"));
    let both = Reply::Array(vec![Reply::Int(1), Reply::Int(1)]);
    assert_eq!(client.receive().expect("a reply"), both);
    call(&mut client, "CONFIG SET min-replicas-to-write 2");
    let scripts = ["EVAL redis.call('set','a',1) 0", "EVAL #!lua\nreturn(1) 0"];
    for command in ["SET key 2"].into_iter().chain(scripts) {
        let Reply::Error(text) = call(&mut client, command) else {
            panic!("{command} is not refused");
        };
        assert!(text.starts_with(b"NOREPLICAS"), "{text:?}");
    }
    assert_eq!(
        info(&mut client, "replication", "min_slaves_good_slaves"),
        "1"
    );
    call(&mut client, "CONFIG SET min-replicas-to-write 1");
    assert_eq!(
        call(&mut client, "SET key 3"),
        Reply::Status(b"OK".to_vec())
    );
    drop(replica);
    await_that("writes are refused", || {
        call(&mut client, "SET key 4").is_error()
    });
}

/// One that has come back while its former connection is still open is one.
#[test]
fn a_replica_that_is_there_twice_is_one_disk() {
    let server = start(&[]);
    let mut client = server.connect().expect("a connection");
    let join = |port: u16| {
        let mut replica = Played::connect(server.port());
        let about = format!("REPLCONF listening-port {port} capa eof capa psync2");
        assert_eq!(replica.ask(&about), "+OK");
        assert!(replica.ask("PSYNC ? -1").starts_with("+FULLRESYNC"));
        replica.copy();
        replica.send("REPLCONF ACK 1000000 FACK 1000000");
        replica
    };
    let _twice = [join(7777), join(7777)];
    await_that("both are online", || {
        info(&mut client, "replication", "slave1").contains("state=online")
    });
    call(&mut client, "CLIENT QUORUM 2 TIMEOUT 100");
    let reply = call(&mut client, "SET key 1");
    assert!(
        matches!(&reply, Reply::Error(text) if text.starts_with(b"INDOUBT ")),
        "{reply:?}"
    );
    assert_eq!(call(&mut client, "WAIT 2 1"), Reply::Int(2), "as in Redis");
    let _other = join(7778);
    call(&mut client, "CLIENT QUORUM 2 TIMEOUT 0");
    assert!(!call(&mut client, "SET key 1").is_error());
}

fn info_end(server: &Server) -> u64 {
    let mut client = server.connect().expect("a connection");
    let end = info(&mut client, "replication", "master_repl_offset");
    end.parse().expect("a number")
}

/// A directory of its own, removed at the end of the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("ruddle-primary-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }
}

fn end(mut server: Server, how: &str) {
    let mut client = server.connect().expect("a connection");
    let words: Vec<&str> = how.split(' ').collect();
    client.send(&words).expect("sent");
    await_that("it ends", || !server.is_alive());
}

#[test]
fn histories_survive_restarts() {
    for (what, args, how) in [
        ("snapshot", &[][..], "SHUTDOWN SAVE"),
        ("log", &["--appendonly", "yes"], "SHUTDOWN NOSAVE"),
    ] {
        let dir = Directory::new(what);
        let path = dir.0.display().to_string();
        let args = [&["--dir", &path, "--shutdown-timeout", "0"], args].concat();
        let server = start(&args);
        let mut client = server.connect().expect("a connection");
        let mut replica = Played::connect(server.port());
        let (name, offset) = full(&mut replica);
        call(&mut client, "SET key 1");
        // It stays there until after the restart.
        call(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
        call(&mut client, "SET due 1 PX 1");
        let last = info_end(&server);
        end(server, how);
        let server = start(&args);
        let mut client = server.connect().expect("a connection");
        assert_eq!(
            info(&mut client, "replication", "master_replid2"),
            name,
            "{what}"
        );
        let mut replica = Played::connect(server.port());
        assert_eq!(replica.ask("REPLCONF capa psync2"), "+OK");
        let answer = replica.ask(&format!("PSYNC {name} {}", last + 1));
        assert!(answer.starts_with("+CONTINUE "), "{what}: {answer}");
        assert!(!answer.contains(&name), "{what}: a name of its own");
        // What was due meanwhile is told.
        let due = (replica.command(), replica.command());
        assert!(
            due.0 == "SELECT 0" && due.1.ends_with(" due"),
            "{what}: {due:?}"
        );
        // What the disk has not given back is nobody's: nothing after it can be asked for.
        let mut ahead = Played::connect(server.port());
        let answer = ahead.ask(&format!("PSYNC {name} {}", last + 1000));
        assert!(answer.starts_with("+FULLRESYNC "), "{what}: {answer}");
        if what == "log" {
            // The memory of this process does not reach back, but the file does.
            let mut behind = Played::connect(server.port());
            let answer = behind.ask(&format!("PSYNC {name} {}", offset + 1));
            assert_eq!(answer, "+CONTINUE", "{what}");
            assert_eq!(behind.command(), "SELECT 0");
            assert_eq!(behind.command(), "SET key 1");
        }
    }
}

#[test]
fn who_is_behind_the_backlog_is_fed_from_the_file() {
    let options = ["--appendonly", "yes", "--repl-backlog-size", "1kb"];
    let stamps = ["--aof-timestamp-enabled", "yes", "--appendfsync", "always"];
    let server = start(&[options, stamps].concat());
    let mut client = server.connect().expect("a connection");
    let mut replica = Played::connect(server.port());
    let (name, offset) = full(&mut replica);
    drop(replica);
    let value = "x".repeat(1000);
    for number in 0..1500 {
        call(&mut client, &format!("SELECT {}", number % 3));
        call(&mut client, &format!("SET key:{number} {value}"));
    }
    let first = info(&mut client, "replication", "repl_backlog_first_byte_offset");
    let first: u64 = first.parse().expect("a number");
    assert!(
        first > offset + 1_000_000,
        "{first}: memory does not reach back"
    );
    let mut replica = Played::connect(server.port());
    let answer = replica.ask(&format!("PSYNC {name} {}", offset + 1));
    assert_eq!(answer, "+CONTINUE");
    for number in 0..1500 {
        assert_eq!(replica.command(), format!("SELECT {}", number % 3));
        assert_eq!(replica.command(), format!("SET key:{number} {value}"));
    }
    call(&mut client, "SET live 1");
    assert_eq!(replica.command(), "SET live 1");
    assert_eq!(info(&mut client, "stats", "sync_partial_ok"), "1");
}

/// Commands that leave something of every type, and change it in every way that has an effect of
/// its own.
const FILL: &[&str] = &[
    "SET string value",
    "SET number 12345",
    "SETEX due 1000 value",
    "RPUSH list a b c 1 2 3",
    "SADD set a b c",
    "SADD ints 1 2 3",
    "HSET hash a 1 b 2 c 3",
    "HPEXPIRE hash 1000000 FIELDS 1 a",
    "ZADD zset 1 a 2.5 b -3 c",
    "XADD stream 1-1 a 1",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me STREAMS stream >",
    "PFADD hll a b c",
    "SELECT 3",
    "SET elsewhere 1",
    "SELECT 0",
];
const CHANGE: &[&str] = &[
    "MULTI",
    "INCR number",
    "INCRBYFLOAT float 1.5",
    "EXEC",
    "SPOP set",
    "LMOVE list list LEFT RIGHT",
    "HINCRBYFLOAT hash b 0.1",
    "ZADD zset INCR 2 a",
    "ZPOPMIN zset",
    "XADD stream * b 2",
    "XREADGROUP GROUP group you COUNT 1 STREAMS stream >",
    "SET soon 1 PX 1",
    "GETEX string EX 500",
    "COPY list copy",
    "EVAL redis.call('set',KEYS[1],1)redis.call('rpush',KEYS[2],'s') 2 scripted list",
    "SWAPDB 1 2",
    "SELECT 3",
    "COPY elsewhere here REPLACE",
    "SELECT 0",
];

fn run(client: &mut Client, commands: &[&str]) {
    for command in commands {
        let reply = call(client, command);
        assert!(!reply.is_error(), "{command}: {reply:?}");
    }
}

const VALKEY_QUESTIONS: &[&str] = &[
    "DEBUG DIGEST-VALUE string number float due list set ints zset stream hll copy scripted",
    "HMGET hash a b c",
    "HPEXPIRETIME hash FIELDS 3 a b c",
    "DBSIZE",
];

/// Waits until the replica has all there is, and compares what they hold.
fn compare(kind: Kind, primary: &mut Client, replica: &mut Client, when: &str) {
    let when = &format!("{kind:?}: {when}");
    await_that(when, || {
        let own = info(primary, "replication", "master_repl_offset");
        info(replica, "replication", "master_link_status") == "up"
            && own == info(replica, "replication", "slave_repl_offset")
    });
    // Compat: Valkey's digest of a hash with deadlines is its own.
    let questions = match kind {
        Kind::Valkey => VALKEY_QUESTIONS,
        _ => &["DEBUG DIGEST"],
    };
    let digest = |client: &mut Client| questions.iter().map(|it| call(client, it)).collect();
    let digest: &dyn Fn(&mut Client) -> Vec<Reply> = &digest;
    // What is due may be there until somebody looks.
    call(primary, "GET soon");
    await_that(when, || digest(primary) == digest(replica));
    for key in ["due", "string", "hash"] {
        let command = format!("PEXPIRETIME {key}");
        assert_eq!(
            call(primary, &command),
            call(replica, &command),
            "{when}: {key}"
        );
    }
}

#[test]
fn real_replicas_hold_the_same() {
    for kind in [Kind::Redis, Kind::Valkey] {
        let server = start(&[]);
        let peer = Server::start(kind, &[]).expect("the peer starts");
        let (mut ours, mut theirs) = (server.connect(), peer.connect());
        let ours = ours.as_mut().expect("a connection");
        let theirs = theirs.as_mut().expect("a connection");
        run(ours, FILL);
        let code = "#!lua name=lib\nredis.register_function('f',function() return 1 end)";
        let loaded = ours.call(&["FUNCTION", "LOAD", code]).expect("a reply");
        assert!(!loaded.is_error(), "{loaded:?}");
        let primary = format!("REPLICAOF 127.0.0.1 {}", server.port());
        run(theirs, &[&primary]);
        compare(kind, ours, theirs, "copied");
        run(ours, CHANGE);
        compare(kind, ours, theirs, "changed");
        assert_eq!(
            call(theirs, "FCALL_RO f 0").is_error(),
            call(ours, "FCALL_RO f 0").is_error()
        );
        run(theirs, &["CLIENT KILL TYPE master"]);
        run(ours, CHANGE);
        compare(kind, ours, theirs, "cut off and come back");
        assert_eq!(info(ours, "stats", "sync_partial_ok"), "1", "{kind:?}");
        assert_eq!(call(ours, "WAIT 1 30000"), Reply::Int(1));
    }
}
