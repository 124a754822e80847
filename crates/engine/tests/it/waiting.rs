//! Waiters and stripes: what happens when a key becomes ready while other stripes that its waiters
//! need are taken. One thread with two leases stands for two workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::hash::Seed;
use base::ids::{ClientId, DbIndex};
use base::time::UnixMillis;
use engine::access::Recency;
use engine::args::{Args, KeyWord};
use engine::dispatch::{Call, Outcome, execute};
use engine::env::{Env, Limits, Packing};
use engine::event::Classes;
use engine::failure::Failure;
use engine::keyspace::{Keyspace, Lease};
use engine::serve::{self, Ends};
use engine::waiters::{Address, Waiter};
use resp::{Proto, Reply, Span};

use crate::support::row;

const DB: DbIndex = DbIndex(0);

/// A keyspace of two stripes, with its environment.
pub(crate) struct World {
    pub(crate) keyspace: Arc<Keyspace>,
    env: Env,
}

/// Who was served with what, and who was handed over.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) served: Vec<(u64, String)>,
    pub(crate) handed_over: Vec<Arc<Waiter>>,
}

impl Ends for Log {
    fn ended(&mut self, waiter: &Arc<Waiter>, reply: Reply, _: Option<&Failure>) {
        self.served.push((waiter.client.id.0, text(&reply)));
    }

    fn hand_over(&mut self, waiter: &Arc<Waiter>) {
        self.handed_over.push(Arc::clone(waiter));
    }
}

fn text(reply: &Reply) -> String {
    let bytes = reply.contiguous().expect("short replies");
    String::from_utf8_lossy(bytes).replace("\r\n", " ")
}

impl World {
    pub(crate) fn new() -> World {
        World::on(Arc::new(Keyspace::new(2, 1, Seed::from_u64(1))))
    }

    /// An environment on a keyspace.
    pub(crate) fn on(keyspace: Arc<Keyspace>) -> World {
        let limits = Limits {
            string_bytes_max: 1024,
            recency: Recency::Lru,
            packing: Packing::with_seed(Seed::from_u64(1)),
            dump: rdb::Target::default(),
            payloads: rdb::payload::Trust::Sum,
            events: Classes::NONE,
        };
        let mut env = Env::new(limits, 1);
        env.now = UnixMillis(1_000_000);
        env.record_effects();
        World { keyspace, env }
    }

    /// A key of each stripe.
    pub(crate) fn keys(&self) -> [String; 2] {
        [0, 1].map(|stripe| {
            let mut names = (0..).map(|at| format!("k{at}"));
            let fits = |name: &String| self.stripe(name) == stripe;
            names.find(fits).expect("a key of each stripe")
        })
    }

    fn stripe(&self, key: &str) -> u32 {
        let hash = self.keyspace.hash(key.as_bytes());
        self.keyspace.stripe_of(hash).0
    }

    /// Runs a command; it waits as this client if it finds nothing.
    pub(crate) fn run(
        &self,
        client: u64,
        command: &str,
        lease: &mut Lease<'_>,
    ) -> Result<String, Arc<Waiter>> {
        let words: Vec<Vec<u8>> = command.split(' ').map(Into::into).collect();
        let (mut buffer, mut spans) = (Vec::new(), Vec::new());
        for word in &words {
            spans.push(Span {
                start: buffer.len() as u32,
                len: word.len() as u32,
            });
            buffer.extend_from_slice(word);
        }
        let (spec, run) = row(&words);
        let found = spec.keys.iter();
        let found = found.filter_map(|keys| keys.words(words.len(), |at| &words[at]));
        let hashed = found.flatten().map(|at| KeyWord {
            word: at as u32,
            hash: self.keyspace.hash(&words[at]),
        });
        let keys: Vec<KeyWord> = hashed.collect();
        let args = &mut Args::new(&buffer, &spans, &keys);
        let mut out = Reply::new(Proto::Resp2);
        let (db, again) = (DB, args.again());
        match execute(Call { run, db, args }, lease, &self.env, &mut out) {
            Outcome::Waiting(wait) => {
                let client = Address {
                    id: ClientId(client),
                    worker: 0,
                    place: 0,
                };
                Err(Waiter::enter(
                    client,
                    Proto::Resp2,
                    DB,
                    run,
                    &again,
                    *wait,
                    lease,
                ))
            }
            _ => Ok(text(&out)),
        }
    }

    pub(crate) fn waits(&self, client: u64, command: &str) -> Arc<Waiter> {
        let mut lease = self.keyspace.lease();
        let ended = self.run(client, command, &mut lease);
        ended.expect_err("it waits")
    }

    /// Runs a command and serves those for whom it made something ready, while `taken` is leased.
    pub(crate) fn push(&self, command: &str, taken: Option<u32>) -> Log {
        let mut other = self.keyspace.lease();
        if let Some(stripe) = taken {
            other.cover_one(engine::keyspace::StripeId(stripe));
        }
        let (mut lease, mut log) = (self.keyspace.lease(), Log::default());
        self.run(0, command, &mut lease).expect("a push");
        serve::serve_ready(&mut lease, &self.env, &mut log);
        log
    }

    pub(crate) fn retry(&self, waiter: &Arc<Waiter>) -> Log {
        let (mut lease, mut log) = (self.keyspace.lease(), Log::default());
        serve::retry(waiter, &mut lease, &self.env, &mut log);
        log
    }

    pub(crate) fn get(&self, command: &str) -> String {
        let mut lease = self.keyspace.lease();
        self.run(0, command, &mut lease).expect("a reply")
    }

    pub(crate) fn end(&self, waiter: &Waiter) -> (bool, Log) {
        let (mut lease, mut log) = (self.keyspace.lease(), Log::default());
        let ended = serve::end(waiter, &mut lease, &self.env);
        serve::serve_ready(&mut lease, &self.env, &mut log);
        (ended, log)
    }

    /// Nobody waits any more.
    pub(crate) fn assert_forgotten(&self) {
        let mut lease = self.keyspace.lease();
        for stripe in self.keyspace.stripes() {
            assert!(lease.only(stripe).waiters().is_empty());
        }
    }
}

/// Who cannot be served here holds up those behind it, and they all get theirs when it is tried
/// again.
#[test]
fn handed_over_waiters_keep_their_place() {
    let world = World::new();
    let [near, far] = world.keys();
    let mover = world.waits(1, &format!("BLMOVE {near} {far} LEFT LEFT 0"));
    world.waits(2, &format!("BLPOP {near} 0"));
    let log = world.push(&format!("RPUSH {near} a b c"), Some(world.stripe(&far)));
    assert!(log.served.is_empty(), "{:?}", log.served);
    assert_eq!(log.handed_over.len(), 1);
    let log = world.retry(&mover);
    let expected = [(1, "$1 a ".to_owned()), (2, format!("*2 $2 {near} $1 b "))];
    assert_eq!(log.served, expected);
    assert_eq!(world.get(&format!("LLEN {near}")), ":1 ");
    world.assert_forgotten();
}

/// It keeps its place also when somebody else has taken what it was woken for.
#[test]
fn a_waiter_that_comes_too_late_waits_on() {
    let world = World::new();
    let [near, far] = world.keys();
    let mover = world.waits(1, &format!("BLMOVE {near} {far} LEFT LEFT 0"));
    world.waits(2, &format!("BLPOP {near} 0"));
    world.push(&format!("RPUSH {near} a"), Some(world.stripe(&far)));
    assert_eq!(world.get(&format!("LPOP {near}")), "$1 a ");
    let log = world.retry(&mover);
    assert!(log.served.is_empty() && log.handed_over.is_empty());
    let log = world.push(&format!("RPUSH {near} b c"), None);
    let clients: Vec<u64> = log.served.iter().map(|(client, _)| *client).collect();
    assert_eq!(clients, [1, 2]);
    world.assert_forgotten();
}

/// The end of one that was handed over lets those behind it pass.
#[test]
fn a_handed_over_waiter_that_ends_lets_others_pass() {
    let world = World::new();
    let [near, far] = world.keys();
    let mover = world.waits(1, &format!("BLMOVE {near} {far} LEFT LEFT 0"));
    world.waits(2, &format!("BLPOP {near} 0"));
    world.push(&format!("RPUSH {near} a"), Some(world.stripe(&far)));
    let (ended, log) = world.end(&mover);
    assert!(ended);
    assert_eq!(log.served, [(2, format!("*2 $2 {near} $1 a "))]);
    assert!(world.retry(&mover).served.is_empty());
    assert!(!world.end(&mover).0, "it ends once");
    world.assert_forgotten();
}

/// One of several keys is enough, whoever has the others' stripes; what is left of the waiter there
/// serves nobody and is cleared away.
#[test]
fn any_key_serves_alone() {
    let world = World::new();
    let [near, far] = world.keys();
    let waiter = world.waits(1, &format!("BLPOP {far} {near} 0"));
    let log = world.push(&format!("RPUSH {near} a b"), Some(world.stripe(&far)));
    assert_eq!(log.served, [(1, format!("*2 $2 {near} $1 a "))]);
    assert!(waiter.is_entered() && !waiter.is_open());
    assert!(
        world
            .push(&format!("RPUSH {far} c"), None)
            .served
            .is_empty()
    );
    assert!(!world.end(&waiter).0);
    serve::forget(&waiter, &mut world.keyspace.lease());
    assert!(!waiter.is_entered());
    world.assert_forgotten();
}

/// To the journal a served waiter is a plain command, behind the one that served it.
#[test]
fn effects_are_in_the_order_in_which_things_happened() {
    let world = World::new();
    let [near, far] = world.keys();
    world.waits(1, &format!("BLMOVE {near} {far} LEFT RIGHT 0"));
    world.waits(2, &format!("BRPOP {near} {far} 0"));
    world.push(&format!("RPUSH {near} a"), None);
    let effects = world.env.take_effects().into_iter();
    let effects: Vec<String> = effects
        .map(|effect| String::from_utf8_lossy(&effect.words.join(&b' ')).into_owned())
        .collect();
    let expected = [
        format!("RPUSH {near} a"),
        format!("LMOVE {near} {far} LEFT RIGHT"),
        format!("RPOP {far}"),
    ];
    assert_eq!(effects, expected);
    world.assert_forgotten();
}

/// Resident memory of this process, in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = statm.split(' ').nth(1).expect("resident pages");
    pages.parse::<usize>().expect("a number") * 4096
}

/// The fastest of a few: how long it takes that one of many is served, and that one of many ends.
fn fastest(world: &World, waiters: &mut Vec<Arc<Waiter>>) -> [Duration; 2] {
    const TRIES: usize = 20;
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..TRIES {
        let served = waiters.pop().expect("one of many");
        let begin = Instant::now();
        let log = world.push(&format!("RPUSH own:{} x", served.client.id.0), None);
        fastest[0] = fastest[0].min(begin.elapsed());
        assert_eq!(log.served.len(), 1);
        let middle = waiters.len() / 2;
        let ended = waiters.swap_remove(middle);
        let begin = Instant::now();
        assert!(world.end(&ended).0);
        fastest[1] = fastest[1].min(begin.elapsed());
    }
    fastest
}

/// A hundred thousand who wait cost memory only: serving or ending one of them is no dearer than
/// with a thousand, and who came first is served first.
#[test]
fn a_hundred_thousand_wait_without_a_search() {
    const FEW: usize = 1000;
    const MANY: usize = 100_000;
    const BYTES_MAX: usize = 3000;
    let world = World::new();
    let mut waiters = Vec::with_capacity(FEW + MANY);
    let enter = |client: usize| world.waits(client as u64, &format!("BLPOP crowd own:{client} 0"));
    waiters.extend((0..FEW).map(enter));
    let few = fastest(&world, &mut waiters);
    let before = resident_bytes();
    waiters.extend((FEW..FEW + MANY).map(enter));
    let each = resident_bytes().saturating_sub(before) / MANY;
    let many = fastest(&world, &mut waiters);
    println!("{each} bytes each, at two keys; served and ended: {few:?}, {many:?} of many");
    assert!(each < BYTES_MAX, "{each} bytes each");
    for (few, many) in few.iter().zip(many) {
        // A search through a hundred thousand takes longer than this in any case.
        assert!(many < *few * 20, "{many:?} instead of {few:?}");
    }
    let log = world.push("RPUSH crowd a b c", None);
    let clients: Vec<u64> = log.served.iter().map(|(client, _)| *client).collect();
    assert_eq!(clients, [0, 1, 2]);
}
