//! Client-side caching under random writes: real processes with one worker and with four, readers
//! that cache what they read and forget what they are told to forget.
//!
//! What is checked: when a reader looks into its cache after an answer of the server's (PING) that
//! it asked for after a change had been acknowledged, what it finds is not older than that change.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

const WRITERS: usize = 3;
const KEYS_PER_WRITER: usize = 4;
const KEYS: usize = WRITERS * KEYS_PER_WRITER;
const READS: usize = 1500;
const READERS: &[Way] = &[
    Way::Plain,
    Way::Plain,
    Way::OptIn,
    Way::Broadcast,
    Way::Redirect,
    Way::RedirectBroadcast,
];

/// How a reader tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    OptIn,
    Broadcast,
    Redirect,
    RedirectBroadcast,
}

/// Small pseudo-random numbers; which ones is no matter.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply")
}

fn name(key: usize) -> String {
    format!("k:{key}")
}

/// What has been acknowledged.
struct Truth {
    /// The last version given out.
    clock: AtomicU64,
    /// Of each key, the version of its last acknowledged change.
    acknowledged: Vec<AtomicU64>,
    /// Held by writers for one change, and alone by whoever empties the database.
    changing: RwLock<()>,
    done: AtomicBool,
}

impl Truth {
    fn next(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn acknowledge(&self, key: usize, version: u64) {
        self.acknowledged[key].store(version, Ordering::SeqCst);
    }

    fn acknowledged(&self, key: usize) -> u64 {
        self.acknowledged[key].load(Ordering::SeqCst)
    }
}

/// Changes keys of its own, which nobody else changes, until the readers are done.
fn write(server: &Server, truth: &Truth, writer: usize) {
    let mut client = server.connect().unwrap();
    let mut dice = Dice(writer as u64 + 1);
    while !truth.done.load(Ordering::Relaxed) {
        let key = writer * KEYS_PER_WRITER + dice.below(KEYS_PER_WRITER);
        let other = writer * KEYS_PER_WRITER + dice.below(KEYS_PER_WRITER);
        let _changing = truth.changing.read().unwrap();
        // The second is for the end of what the first names. Both are given out before the change,
        // so that whoever sees the change finds the clock at least there.
        let (version, gone_version) = (truth.next(), truth.next());
        let set = |client: &mut Client, end: &str| {
            call(client, &format!("SET {} {version}{end}", name(key)));
        };
        match dice.below(12) {
            0 => {
                if call(&mut client, &format!("DEL {}", name(key))) == Reply::Int(0) {
                    continue;
                }
            }
            1 => {
                set(&mut client, " PX 1");
                let gone = format!("EXISTS {}", name(key));
                while call(&mut client, &gone) != Reply::Int(0) {}
                truth.acknowledge(key, gone_version);
                continue;
            }
            2 if key != other => {
                set(&mut client, "");
                call(
                    &mut client,
                    &format!("RENAME {} {}", name(key), name(other)),
                );
                truth.acknowledge(other, version);
                truth.acknowledge(key, gone_version);
                continue;
            }
            3 => {
                call(&mut client, "MULTI");
                set(&mut client, "");
                call(&mut client, &format!("APPEND {} 0", name(other)));
                call(&mut client, &format!("SET {} {version}", name(other)));
                call(&mut client, "EXEC");
                truth.acknowledge(other, version);
            }
            _ => set(&mut client, ""),
        }
        truth.acknowledge(key, version);
    }
}

/// Empties the database from time to time.
fn flush(server: &Server, truth: &Truth) {
    let mut client = server.connect().unwrap();
    while !truth.done.load(Ordering::Relaxed) {
        for _ in 0..50 {
            call(&mut client, "PING");
        }
        let _changing = truth.changing.write().unwrap();
        let version = truth.next();
        call(&mut client, "FLUSHALL");
        (0..KEYS).for_each(|key| truth.acknowledge(key, version));
    }
}

/// A reader with its cache: versions of what it has read.
struct Reader {
    kind: Way,
    data: Client,
    /// The connection that is told what to forget, if it is not `data`.
    news: Option<Client>,
    cache: HashMap<String, u64>,
    pushes: usize,
}

impl Reader {
    fn new(server: &Server, kind: Way) -> Reader {
        let mut data = server.connect().unwrap();
        call(&mut data, "HELLO 3");
        let mut news = None;
        let mut redirect = String::new();
        if matches!(kind, Way::Redirect | Way::RedirectBroadcast) {
            let mut client = server.connect().unwrap();
            call(&mut client, "HELLO 3");
            let Reply::Int(id) = call(&mut client, "CLIENT ID") else {
                panic!("CLIENT ID answers a number");
            };
            redirect = format!(" REDIRECT {id}");
            news = Some(client);
        }
        let mode = match kind {
            Way::Plain | Way::Redirect => "",
            Way::OptIn => " OPTIN",
            Way::Broadcast => " BCAST",
            Way::RedirectBroadcast => " BCAST PREFIX k:",
        };
        let reply = call(&mut data, &format!("CLIENT TRACKING ON{mode}{redirect}"));
        assert_eq!(reply, Reply::Status(b"OK".to_vec()));
        Reader {
            kind,
            data,
            news,
            cache: HashMap::new(),
            pushes: 0,
        }
    }

    fn forget(&mut self, push: &[Reply]) {
        self.pushes += 1;
        assert_eq!(push[0].bytes(), Some(&b"invalidate"[..]));
        let Some(keys) = push[1].items() else {
            return self.cache.clear();
        };
        for key in keys {
            let key = String::from_utf8_lossy(key.bytes().expect("a name")).into_owned();
            self.cache.remove(&key);
        }
    }

    /// Sends a command on the connection for data and takes the reply, and the news before it.
    fn ask(&mut self, command: &str) -> Reply {
        let words: Vec<&str> = command.split(' ').collect();
        self.data.send(&words).expect("it goes out");
        loop {
            match self.data.receive().expect("a reply") {
                Reply::Push(push) => self.forget(&push),
                reply => return reply,
            }
        }
    }

    /// Hears all news of changes that were acknowledged before.
    fn catch_up(&mut self) {
        let Some(mut news) = self.news.take() else {
            self.ask("PING");
            return;
        };
        news.send(&["PING"]).expect("it goes out");
        while let Reply::Push(push) = news.receive().expect("a reply") {
            self.forget(&push);
        }
        self.news = Some(news);
    }

    /// Reads keys at random; returns how often the cache had them.
    fn run(mut self, truth: &Truth, seed: u64) -> (usize, usize) {
        let mut dice = Dice(seed);
        let mut hits = 0;
        for _ in 0..READS {
            let key = dice.below(KEYS);
            let floor = truth.acknowledged(key);
            self.catch_up();
            let name = name(key);
            if let Some(&version) = self.cache.get(&name) {
                hits += 1;
                let kind = self.kind;
                assert!(
                    version >= floor,
                    "{kind:?} has version {version} of {name} in its cache, after {floor} was \
                     acknowledged"
                );
                continue;
            }
            if self.kind == Way::OptIn {
                self.ask("CLIENT CACHING YES");
            }
            let version = match self.ask(&format!("GET {name}")) {
                // Missing since some version, which nothing tells.
                Reply::Null => truth.clock.load(Ordering::SeqCst),
                value => {
                    let text = String::from_utf8_lossy(value.bytes().expect("text")).into_owned();
                    text.parse().expect("a version")
                }
            };
            assert!(version >= floor, "{name}: {version} read after {floor}");
            self.cache.insert(name, version);
        }
        (hits, self.pushes)
    }
}

#[test]
fn no_cache_is_stale() {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    for (workers, keys_max) in [("1", "0"), ("4", "0"), ("4", "3")] {
        let args = ["--workers", workers, "--tracking-table-max-keys", keys_max];
        let server = Server::start_binary(Kind::Ruddle, binary, &args).expect("it starts");
        let truth = Arc::new(Truth {
            clock: AtomicU64::new(0),
            acknowledged: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
            changing: RwLock::new(()),
            done: AtomicBool::new(false),
        });
        let (server, truth) = (&server, &*truth);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || write(server, truth, writer));
            }
            scope.spawn(move || flush(server, truth));
            let readers: Vec<_> = (1..)
                .zip(READERS)
                .map(|(seed, &kind)| {
                    let reader = Reader::new(server, kind);
                    scope.spawn(move || (kind, reader.run(truth, seed)))
                })
                .collect();
            let results: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
            truth.done.store(true, Ordering::Relaxed);
            for result in results {
                let (kind, (hits, pushes)) = result.expect("no stale value");
                assert!(
                    hits > 0 && pushes > 0,
                    "{kind:?}: {hits} hits, {pushes} pushes"
                );
            }
        });
    }
}
