//! The append-only file over a restart: commands that run on several threads, bases of commands,
//! libraries of functions beside rewrites.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use base::rng::Rng;
use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

use crate::servers::await_that;

const COMMANDS: usize = 6000;

/// A directory of its own, removed at the end of the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("ruddle-append-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    /// A server with several workers, and so with several stripes.
    fn start(&self, args: &[&str]) -> (Server, Client) {
        let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
        let dir = self.0.display().to_string();
        let own = [
            "--dir",
            &dir,
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--workers",
            "2",
            "--auto-aof-rewrite-percentage",
            "0",
        ];
        let server = Server::start_binary(Kind::Ruddle, binary, &[&own[..], args].concat());
        let server = server.expect("the server starts");
        let mut client = server.connect().expect("a connection");
        await_that("it has loaded", || !call(&mut client, "DBSIZE").is_error());
        (server, client)
    }

    /// The bytes of the base with this suffix.
    fn base(&self, suffix: &str) -> String {
        let entries = fs::read_dir(self.0.join("appendonlydir")).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").path());
        let mut bases = names.filter(|path| path.to_string_lossy().ends_with(suffix));
        let bytes = fs::read(bases.next().expect("a base")).expect("a readable file");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn words(command: &str) -> Vec<Vec<u8>> {
    let words = command.split(' ');
    words.map(|word| word.as_bytes().to_vec()).collect()
}

fn call(client: &mut Client, command: &str) -> Reply {
    client.call(&words(command)).expect("a reply")
}

fn info(client: &mut Client, section: &str) -> String {
    let reply = call(client, &format!("INFO {section}"));
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

fn rewrite(client: &mut Client) {
    let reply = call(client, "BGREWRITEAOF");
    assert!(!reply.is_error(), "{reply}");
    await_that("the rewrite ends", || {
        info(client, "persistence").contains("aof_rewrite_in_progress:0")
    });
    assert!(info(client, "persistence").contains("aof_last_bgrewrite_status:ok"));
}

/// Commands whose order matters, of one key and of several.
const TEMPLATES: &[&str] = &[
    "APPEND s$ $,",
    "APPEND s$ $,",
    "INCR n$",
    "RPUSH l$ $ $ x",
    "LPUSH l$ $",
    "LPOP l$",
    "LMOVE l$ l$ LEFT RIGHT",
    "HSET h$ $ $ f $",
    "HPEXPIRE h$ 100000000 FIELDS 1 f",
    "HINCRBYFLOAT h$ n 0.5",
    "SADD t$ $ $ m$",
    "SPOP t$",
    "SMOVE t$ t$ $",
    "SUNIONSTORE u$ t$ t$",
    "ZADD z$ $ m$ 1.5 m$",
    "ZUNIONSTORE z$ 2 z$ z$",
    "RENAME s$ s$",
    "COPY l$ l$ REPLACE",
    "MSET s$ $ s$ $",
    "DEL s$ l$",
    "EXPIRE s$ 100000",
    "XADD x$ * f $ g $",
    "XTRIM x$ MAXLEN 20",
    "SWAPDB 0 1",
];

fn fill(rng: &mut Rng) -> Vec<String> {
    let template = TEMPLATES[rng.below(TEMPLATES.len() as u64) as usize];
    let mut command = String::new();
    for letter in template.chars() {
        match letter {
            '$' => command += &rng.below(12).to_string(),
            letter => command.push(letter),
        }
    }
    match rng.below(15) {
        0 => ["MULTI", &command, "INCR transactions", &command, "EXEC"]
            .map(str::to_owned)
            .to_vec(),
        _ => vec![command],
    }
}

fn digest(client: &mut Client) -> Reply {
    let reply = call(client, "DEBUG DIGEST");
    assert!(!reply.is_error(), "{reply}");
    reply
}

#[test]
fn what_several_threads_load_is_what_was_there() {
    let directory = Directory::new("lanes");
    let (server, mut client) = directory.start(&[]);
    let mut rng = Rng::from_seed(5);
    let mut sent = 0;
    while sent < COMMANDS {
        let commands: Vec<String> = (0..100).flat_map(|_| fill(&mut rng)).collect();
        sent += commands.len();
        let encoded: Vec<_> = commands.iter().map(|command| words(command)).collect();
        client.pipeline(&encoded).expect("replies");
    }
    // One of several keys, and then more of one key than a thread takes at once.
    for _ in 0..2 {
        let many = (0..3000).map(|_| "RPUSH l1 x".to_owned());
        let commands = ["DEL l1 s1 s2 s3 s4 s5".to_owned()].into_iter();
        let encoded: Vec<_> = commands.chain(many).map(|it| words(&it)).collect();
        client.pipeline(&encoded).expect("replies");
    }
    let before = digest(&mut client);
    assert_ne!(
        before.to_string(),
        "\"0000000000000000000000000000000000000000\""
    );
    call(&mut client, "DEBUG LOADAOF");
    assert_eq!(digest(&mut client), before, "by one thread");
    drop(server);
    let (server, mut client) = directory.start(&[]);
    assert_eq!(digest(&mut client), before, "by several threads");
    assert!(!server.log().contains("failed"), "{}", server.log());
    drop(server);
    let (server, mut client) = directory.start(&["--aof-use-rdb-preamble", "no"]);
    rewrite(&mut client);
    drop(server);
    let (server, mut client) = directory.start(&[]);
    assert_eq!(digest(&mut client), before, "from a base of commands");
    assert!(!server.log().contains("failed"), "{}", server.log());
    let base = directory.base(".base.aof");
    for name in [
        "SET",
        "RPUSH",
        "SADD",
        "HMSET",
        "HPEXPIREAT",
        "ZADD",
        "XADD",
        "PEXPIREAT",
    ] {
        assert!(base.contains(&format!("\r\n{name}\r\n")), "{name}");
    }
    assert!(!base.contains("RESTORE"));
}

#[test]
fn a_base_of_commands_has_groups_and_libraries() {
    let directory = Directory::new("groups");
    let (server, mut client) = directory.start(&["--aof-use-rdb-preamble", "no"]);
    let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    client.call(&["FUNCTION", "LOAD", code]).expect("a reply");
    for command in [
        "XADD s 1-1 f v",
        "XADD s 1-2 f v g w",
        "XADD s 2-0 f v",
        "XADD s 3-0 f v",
        "XDEL s 3-0",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE s idle $",
        "XGROUP CREATECONSUMER s g nobody",
        "XREADGROUP GROUP g alice COUNT 2 STREAMS s >",
        "XREADGROUP GROUP g bob COUNT 1 STREAMS s >",
        "XACK s g 1-1",
        "XADD emptied 5-0 f v",
        "XDEL emptied 5-0",
        "XGROUP CREATE made g $ MKSTREAM",
        // An entry that is gone, and pending all the same: no commands can make that.
        "XADD told 1-0 f v",
        "XGROUP CREATE told g 0",
        "XREADGROUP GROUP g alice STREAMS told >",
        "XDEL told 1-0",
    ] {
        let reply = call(&mut client, command);
        assert!(!reply.is_error(), "{command}: {reply}");
    }
    let look = |client: &mut Client| {
        [
            "XRANGE s - +",
            "XINFO GROUPS s",
            "XPENDING s g",
            "XINFO GROUPS emptied",
            "XINFO GROUPS made",
            "XPENDING told g",
            "FCALL f 0",
            "XADD emptied * f v",
        ]
        .map(|command| match call(client, command) {
            reply @ (Reply::Array(_) | Reply::Int(_)) => reply.lines(),
            reply => vec![reply.is_error().to_string()],
        })
    };
    rewrite(&mut client);
    let before = look(&mut client);
    drop(server);
    let (server, mut client) = directory.start(&[]);
    call(&mut client, "XDEL emptied 5-0");
    assert_eq!(look(&mut client), before, "{}", server.log());
    assert!(
        directory
            .base(".base.aof")
            .contains("RESTORE\r\n$4\r\ntold\r\n")
    );
    // The commands ran long before every deadline, and yet what they date is of today.
    for command in ["XPENDING s g - + 1", "XINFO CONSUMERS s g"] {
        let reply = call(&mut client, command);
        let times = reply.lines().join(" ");
        let mut numbers = times.split(|c: char| !c.is_ascii_digit());
        assert!(numbers.all(|number| number.len() < 8), "{times}");
    }
}

#[test]
fn libraries_are_of_the_moment_of_the_cut() {
    let directory = Directory::new("libraries");
    let (server, mut client) = directory.start(&[]);
    let mut other = server.connect().expect("a connection");
    thread::scope(|scope| {
        let rewriter = scope.spawn(|| (0..8).for_each(|_| rewrite(&mut client)));
        while !rewriter.is_finished() {
            for name in ["a", "b", "c"] {
                let code =
                    format!("#!lua name={name}\nredis.register_function('{name}', function() end)");
                let loaded = other.call(&["FUNCTION", "LOAD", &code]).expect("a reply");
                assert!(!loaded.is_error(), "{loaded}");
                call(&mut other, &format!("FUNCTION DELETE {name}"));
            }
        }
        rewriter.join().expect("no panic");
    });
    drop(server);
    let (server, _client) = directory.start(&[]);
    assert!(!server.log().contains("failed"), "{}", server.log());
}

/// FLUSHALL gives up a snapshot that would bring the data back, and has an empty one made.
#[test]
fn a_snapshot_does_not_outlive_its_data() {
    let directory = Directory::new("flushed");
    let args = ["--appendonly", "no", "--save", "3600 1"];
    let (server, mut client) = directory.start(&args);
    call(&mut client, "DEBUG POPULATE 50");
    call(&mut client, "CONFIG SET rdb-key-save-delay 10000000");
    call(&mut client, "BGSAVE");
    await_that("it is under way", || {
        info(&mut client, "persistence").contains("current_save_keys_total:50")
    });
    call(&mut client, "CONFIG SET rdb-key-save-delay 100000");
    call(&mut client, "FLUSHALL");
    assert!(info(&mut client, "persistence").contains("rdb_changes_since_last_save:0"));
    assert!(!call(&mut client, "BGSAVE").is_error(), "nobody's way");
    await_that("the empty one is there", || {
        !info(&mut client, "persistence").contains("rdb_saves:0")
    });
    drop(server);
    let (_server, mut client) = directory.start(&args);
    assert_eq!(call(&mut client, "DBSIZE"), Reply::Int(0));
}

/// A snapshot that is larger than the memory limit is evicted while it is loaded, a log is not:
/// its commands want the keys that those before them made.
#[test]
fn loading_keeps_to_the_memory_limit() {
    let directory = Directory::new("limit");
    let filler = ["--appendonly", "no"];
    let (server, mut client) = directory.start(&filler);
    call(&mut client, "DEBUG POPULATE 60000 key 400");
    call(&mut client, "SAVE");
    drop(server);
    let limit = 16 << 20;
    let bytes = limit.to_string();
    let limited = ["--maxmemory", &bytes, "--maxmemory-policy", "allkeys-lru"];
    let (_server, mut client) = directory.start(&[&filler[..], &limited].concat());
    let memory = info(&mut client, "memory");
    let peak = memory
        .lines()
        .find_map(|line| line.strip_prefix("used_memory_peak:"));
    let peak: u64 = peak.expect("a line").parse().expect("a number");
    assert!(
        peak < limit * 3 / 2,
        "{peak} bytes, and the limit is {limit}"
    );
    let Reply::Int(keys) = call(&mut client, "DBSIZE") else {
        panic!("a number");
    };
    assert!((5_000..50_000).contains(&keys), "{keys} keys");
}

/// A key that was given more time in time is there, though its first deadline is over when the log
/// is loaded.
#[test]
fn nothing_expires_while_a_log_is_loaded() {
    let directory = Directory::new("overdue");
    let (server, mut client) = directory.start(&[]);
    for command in [
        "SET k v PX 1500",
        "HSET h f v",
        "HPEXPIRE h 1500 FIELDS 1 f",
    ] {
        assert!(!call(&mut client, command).is_error());
    }
    for command in ["PERSIST k", "HPERSIST h FIELDS 1 f"] {
        assert!(!call(&mut client, command).is_error());
    }
    let filler: Vec<_> = (0..20_000)
        .map(|n| words(&format!("SET n:{n} v")))
        .collect();
    client.pipeline(&filler).expect("replies");
    drop(server);
    await_that("the first deadlines are over", {
        let begun = Instant::now();
        move || begun.elapsed() > Duration::from_millis(1510)
    });
    let (_server, mut client) = directory.start(&[]);
    assert_eq!(call(&mut client, "GET k").to_string(), "\"v\"");
    assert_eq!(call(&mut client, "HGET h f").to_string(), "\"v\"");
}
