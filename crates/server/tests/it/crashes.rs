//! Killed at any moment, the server comes back with a beginning of what was done: real processes,
//! kill -9, several connections that write everything there is (`deeds`).
//!
//! Every deed also appends to one list, in a transaction, a script or by itself. So after a restart
//! the list says which deeds are there, and in which order: each connection's part of it must be a
//! beginning of what that connection sent, with everything that was promised. The data must be what
//! a server that is never killed (the mirror) has after just these deeds.
//!
//! `RUDDLE_CRASHES` sets how often the server is killed in each test (a dozen times if it is not
//! set), `RUDDLE_SEED` when.

mod deeds;
mod mirror;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base::rng::Rng;
use testkit::client::Client;
use testkit::process::Server;
use testkit::reply::Reply;

use crate::servers::{Directory, call, field, info, start, text};
use mirror::Mirror;

const CLIENTS: usize = 6;
/// What `everysec` may lose.
const LOSS_MAX: Duration = Duration::from_secs(1);

fn start_in(directory: &Directory, args: &[&str]) -> Server {
    start(&[&["--dir", directory.text()], args].concat())
}

/// What one connection has done: how many deeds it has sent, and when each was acknowledged.
#[derive(Default)]
struct Done {
    sent: u64,
    acknowledged: Vec<Instant>,
}

/// Works until the server is gone. `first` is the number of the first deed.
fn work(port: u16, id: usize, first: u64, gone: &AtomicBool) -> Done {
    let mut done = Done::default();
    let Ok(mut client) = Client::connect(port) else {
        return done;
    };
    while !gone.load(Ordering::Relaxed) {
        let sent = deeds::sent(id, first + done.sent);
        done.sent += 1;
        match client.pipeline(&sent.commands) {
            Ok(replies) => {
                for reply in replies {
                    let refused = matches!(&reply, Reply::Error(why)
                        if why.starts_with(b"MISCONF") || why.starts_with(b"EXECABORT"));
                    assert!(!refused, "{reply:?}");
                }
                done.acknowledged.push(Instant::now());
            }
            Err(_) => break,
        }
    }
    done
}

/// What is in the list after a restart: how far each connection came, from `before` on.
fn listed(client: &mut Client, before: &[u64]) -> Vec<u64> {
    let reply = call(client, "LRANGE all 0 -1");
    let mut counts = before.to_vec();
    for item in reply.items().expect("a list") {
        let entry = text(item);
        let (id, number) = entry.split_once(':').expect("two numbers");
        let count = &mut counts[id.parse::<usize>().expect("a number")];
        assert_eq!(number.parse(), Ok(*count), "in order and without gaps");
        *count += 1;
    }
    counts
}

/// What goes on beside the writes when the server is killed.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nothing,
    Rewrite,
    Snapshot,
    Both,
}

const BESIDE: [Beside; 4] = [
    Beside::Rewrite,
    Beside::Nothing,
    Beside::Snapshot,
    Beside::Both,
];

impl Beside {
    fn begin(self, client: &mut Client) {
        let commands: &[&str] = match self {
            Beside::Nothing => &[],
            Beside::Rewrite => &["BGREWRITEAOF"],
            Beside::Snapshot => &["BGSAVE"],
            Beside::Both => &["BGREWRITEAOF", "BGSAVE"],
        };
        for command in commands {
            call(client, command);
        }
    }
}

/// Lets all connections work, and at some moment kills the server; `course` is what happens until
/// then. What was done, what `course` returned, and when the server was killed.
fn until_killed<T>(
    server: Server,
    before: &[u64],
    course: impl FnOnce(&Server) -> T,
) -> (Vec<Done>, T, Instant) {
    let (port, gone) = (server.port(), AtomicBool::new(false));
    thread::scope(|scope| {
        let gone = &gone;
        let begin = |(id, &first)| scope.spawn(move || work(port, id, first, gone));
        let workers: Vec<_> = before.iter().enumerate().map(begin).collect();
        let told = course(&server);
        let killed = Instant::now();
        drop(server);
        gone.store(true, Ordering::Relaxed);
        let done = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"));
        (done.collect(), told, killed)
    })
}

/// Compares what is there after a restart with what was done and promised, and with the mirror. How
/// far each connection came, and how many acknowledged deeds are lost.
fn judge(
    server: &Server,
    mirror: &mut Mirror,
    before: &[u64],
    done: &[Done],
    promised: impl Fn(&Instant) -> bool,
) -> (Vec<u64>, u64) {
    let mut client = server.connect().expect("a connection");
    let mut counts = listed(&mut client, before);
    let mut lost = 0;
    for (id, done) in done.iter().enumerate() {
        let there = counts[id] - before[id];
        let promised = done.acknowledged.iter().filter(|&at| promised(at)).count() as u64;
        assert!(
            there >= promised && there <= done.sent,
            "connection {id}: {there} of {} sent, {promised} promised",
            done.sent
        );
        lost += (done.acknowledged.len() as u64).saturating_sub(there);
        counts[id] = mirror.follow(&mut client, id, before[id]..counts[id]);
    }
    mirror::fleeting_ends(&mut client);
    // Every deed is looked at once.
    call(&mut client, "DEL all");
    (counts, lost)
}

fn crash_again_and_again(name: &str, args: &[&str], loss_max: Duration) {
    let args = [&["--appendonly", "yes"], args].concat();
    let directory = Directory::new(name);
    let (mut mirror, mut rng) = (Mirror::start(), seeded());
    let (mut counts, mut lost) = (vec![0; CLIENTS], 0);
    let mut server = start_in(&directory, &args);
    for time in 0..times() {
        if time % 8 == 7 {
            // Rewrites that are killed leave files behind that all have to be loaded.
            let mut client = server.connect().expect("a connection");
            call(&mut client, "BGREWRITEAOF");
            info(&mut client, "aof_rewrite_in_progress", "0");
            assert_eq!(field(&mut client, "aof_last_bgrewrite_status"), "ok");
        }
        // Long enough, now and then, that something must be there though it may lose the last.
        let long = !loss_max.is_zero() && time % 4 == 1;
        let pause = loss_max * u32::from(long) + Duration::from_millis(5 + rng.below(150));
        let beside = BESIDE[(time % 4) as usize];
        let (done, (), killed) = until_killed(server, &counts, |server| {
            thread::sleep(pause);
            beside.begin(&mut server.connect().expect("a connection"));
            thread::sleep(Duration::from_millis(rng.below(30)));
        });
        server = start_in(&directory, &args);
        let promised =
            |at: &Instant| loss_max.is_zero() || killed.saturating_duration_since(*at) > loss_max;
        eprintln!("{name}, time {time}, {beside:?}, killed after {pause:?}");
        let (next, lost_now) = judge(&server, &mut mirror, &counts, &done, promised);
        (counts, lost) = (next, lost + lost_now);
    }
    let deeds: u64 = counts.iter().sum();
    let times = times();
    println!("{name}: {times} times killed, {deeds} deeds, {lost} acknowledged ones lost");
    assert!(deeds > times, "something was written");
}

fn times() -> u64 {
    std::env::var("RUDDLE_CRASHES").map_or(12, |times| times.parse().expect("a number"))
}

fn seeded() -> Rng {
    let seed = std::env::var("RUDDLE_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    Rng::from_seed(seed)
}

#[test]
fn with_always_no_acknowledged_write_is_lost() {
    let args = ["--appendfsync", "always", "--workers", "2"];
    crash_again_and_again("always", &args, Duration::ZERO);
}

#[test]
fn with_everysec_at_most_a_second_is_lost() {
    let args = ["--appendfsync", "everysec", "--aof-use-rdb-preamble", "no"];
    crash_again_and_again("everysec", &args, LOSS_MAX);
}

/// What is there is of one moment, and not before that of the last snapshot that was completed.
#[test]
fn a_snapshot_is_whole_whenever_the_server_is_killed() {
    let (mut mirror, mut rng) = (Mirror::start(), seeded());
    let (mut deeds, mut lost) = (0, 0);
    for time in 0..times() {
        let directory = Directory::new(&format!("snapshots-{time}"));
        let none = vec![0; CLIENTS];
        mirror.forget();
        let server = start_in(&directory, &[]);
        let (done, begun, _) = until_killed(server, &none, |server| {
            thread::sleep(Duration::from_millis(5 + rng.below(60)));
            let mut client = server.connect().expect("a connection");
            let begun = Instant::now();
            call(&mut client, "BGSAVE");
            info(&mut client, "rdb_bgsave_in_progress", "0");
            assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
            thread::sleep(Duration::from_millis(rng.below(20)));
            call(&mut client, "BGSAVE");
            thread::sleep(Duration::from_millis(rng.below(20)));
            begun
        });
        let server = start_in(&directory, &[]);
        eprintln!("snapshots, time {time}");
        let (counts, lost_now) = judge(&server, &mut mirror, &none, &done, |&at| at < begun);
        deeds += counts.iter().sum::<u64>();
        lost += lost_now;
    }
    let times = times();
    println!("snapshots: {times} times killed, {deeds} deeds, {lost} acknowledged ones lost");
    assert!(deeds > times, "something was saved");
}
