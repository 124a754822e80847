//! Killed at any moment, the server comes back with a beginning of what was done: real processes,
//! kill -9, several connections that write.
//!
//! Every write appends to one list in a transaction that also counts for its connection. So after
//! a restart the list says which writes are there, and in which order; each connection's part of it
//! must be a beginning of what that connection sent, with everything that was acknowledged.
//!
//! `RUDDLE_CRASHES` sets how often the server is killed (a dozen times if it is not set).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

const CLIENTS: usize = 6;
/// What `everysec` may lose.
const LOSS_MAX: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of its own, removed at the end of the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("ruddle-crash-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn start(&self, args: &[&str]) -> Server {
        let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
        let dir = self.0.display().to_string();
        let own = ["--dir", &dir, "--appendonly", "yes"];
        let server = Server::start_binary(Kind::Ruddle, binary, &[&own[..], args].concat());
        let server = server.expect("the server starts");
        let mut client = server.connect().expect("a connection");
        let deadline = Instant::now() + PATIENCE;
        while matches!(call(&mut client, "DBSIZE"), Reply::Error(_)) {
            assert!(Instant::now() < deadline, "still loading: {}", server.log());
            thread::sleep(Duration::from_millis(2));
        }
        server
    }
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply")
}

/// What one connection has done: how many writes it has sent, and when each was acknowledged.
#[derive(Default)]
struct Deeds {
    sent: u64,
    acknowledged: Vec<Instant>,
}

/// Writes until the server is gone. `first` is the number of the first write.
fn write(port: u16, id: usize, first: u64, gone: &AtomicBool) -> Deeds {
    let mut deeds = Deeds::default();
    let Ok(mut client) = Client::connect(port) else {
        return deeds;
    };
    while !gone.load(Ordering::Relaxed) {
        let number = first + deeds.sent;
        let commands = [
            "MULTI".to_owned(),
            format!("RPUSH all {id}:{number}"),
            format!("INCR count:{id}"),
            format!("HSET hash:{id} {} {number}", number % 100),
            "EXEC".to_owned(),
        ];
        let words = |text: &String| {
            text.split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect()
        };
        deeds.sent += 1;
        match client.pipeline(&commands.iter().map(words).collect::<Vec<_>>()) {
            Ok(_) => deeds.acknowledged.push(Instant::now()),
            Err(_) => break,
        }
    }
    deeds
}

/// What is there after a restart: the number of writes of each connection, in order and complete.
fn found(client: &mut Client) -> Vec<u64> {
    let reply = call(client, "LRANGE all 0 -1");
    let mut counts = vec![0; CLIENTS];
    for item in reply.items().expect("a list") {
        let text = String::from_utf8_lossy(item.bytes().expect("text")).into_owned();
        let (id, number) = text.split_once(':').expect("two numbers");
        let count = &mut counts[id.parse::<usize>().expect("a number")];
        assert_eq!(number.parse(), Ok(*count), "in order and without gaps");
        *count += 1;
    }
    for (id, &count) in counts.iter().enumerate() {
        let reply = call(client, &format!("GET count:{id}"));
        let text = reply
            .bytes()
            .map_or("0".into(), String::from_utf8_lossy)
            .into_owned();
        assert_eq!(
            text.parse(),
            Ok(count),
            "a transaction is there whole or not at all"
        );
    }
    counts
}

fn crash_again_and_again(name: &str, args: &[&str], times: u64, loss_max: Duration) {
    let directory = Directory::new(name);
    let mut before = vec![0; CLIENTS];
    let mut lost = 0;
    for time in 0..times {
        let server = directory.start(args);
        let port = server.port();
        let counts = found(&mut server.connect().expect("a connection"));
        assert_eq!(counts, before, "{name}, time {time}");
        let gone = AtomicBool::new(false);
        let (deeds, killed) = thread::scope(|scope| {
            let writers: Vec<_> = before
                .iter()
                .enumerate()
                .map(|(id, &first)| {
                    scope.spawn({
                        let gone = &gone;
                        move || write(port, id, first, gone)
                    })
                })
                .collect();
            // Any moment: numbers that have nothing to do with one another.
            thread::sleep(Duration::from_millis(5 + time * 37 % 180));
            if time % 3 == 0 {
                let mut client = server.connect().expect("a connection");
                call(&mut client, "BGREWRITEAOF");
                thread::sleep(Duration::from_millis(time * 7 % 30));
            }
            let killed = Instant::now();
            drop(server);
            gone.store(true, Ordering::Relaxed);
            let deeds = writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"));
            (deeds.collect::<Vec<Deeds>>(), killed)
        });
        let server = directory.start(args);
        let counts = found(&mut server.connect().expect("a connection"));
        drop(server);
        for (id, deeds) in deeds.iter().enumerate() {
            let there = counts[id] - before[id];
            let durable = |at: &&Instant| killed.saturating_duration_since(**at) >= loss_max;
            let promised = match loss_max.is_zero() {
                true => deeds.acknowledged.len(),
                false => deeds.acknowledged.iter().filter(durable).count(),
            };
            assert!(
                there >= promised as u64 && there <= deeds.sent,
                "{name}, time {time}, connection {id}: {there} of {} sent, {promised} promised",
                deeds.sent
            );
            lost += (deeds.acknowledged.len() as u64).saturating_sub(there);
        }
        before = counts;
    }
    let writes: u64 = before.iter().sum();
    println!("{name}: {times} times killed, {writes} writes, {lost} acknowledged ones lost");
    assert!(writes > times, "something was written");
}

fn times() -> u64 {
    std::env::var("RUDDLE_CRASHES").map_or(12, |times| times.parse().expect("a number"))
}

#[test]
fn with_always_no_acknowledged_write_is_lost() {
    let args = ["--appendfsync", "always", "--workers", "2"];
    crash_again_and_again("always", &args, times(), Duration::ZERO);
}

#[test]
fn with_everysec_at_most_a_second_is_lost() {
    let args = ["--appendfsync", "everysec", "--aof-use-rdb-preamble", "no"];
    crash_again_and_again("everysec", &args, times(), LOSS_MAX);
}
