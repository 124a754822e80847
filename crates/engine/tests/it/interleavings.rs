//! Leases and waiters under shuttle, which tries interleavings of their locks and atomics: builds
//! with `--cfg shuttle` only, see `cargo xtask interleavings`. shuttle reports a deadlock, or a
//! thread that waits for ever, by itself.

use std::sync::Arc;

use engine::keyspace::Keyspace;
use engine::serve;
use engine::waiters::Waiter;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::mpsc::channel;
use shuttle::{Runner, thread};

use crate::waiting::{Log, World};

/// Interleavings of each test, by each scheduler.
const ITERATIONS: usize = 10_000;

/// Points at which the second scheduler makes a thread stop for a more important one.
const DEPTH: usize = 4;

/// Debug builds have large frames.
const STACK_BYTES: usize = 1 << 20;

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let config = || {
        let mut config = shuttle::Config::new();
        config.stack_size = STACK_BYTES;
        config
    };
    let again = Arc::clone(&test);
    Runner::new(RandomScheduler::new(ITERATIONS), config()).run(move || again());
    Runner::new(PctScheduler::new(DEPTH, ITERATIONS), config()).run(move || test());
}

/// Runs `what` in a thread with an environment of its own, as a worker has.
fn worker<T: Send + 'static>(
    keyspace: &Arc<Keyspace>,
    what: impl FnOnce(&World) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let keyspace = Arc::clone(keyspace);
    thread::spawn(move || what(&World::on(keyspace)))
}

fn join<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("the thread does not panic")
}

fn served(log: &Log, client: u64) -> usize {
    log.served.iter().filter(|(id, _)| *id == client).count()
}

/// Serving, a deadline, CLIENT UNBLOCK and the end of the connection: one of them ends a wait.
#[test]
fn a_wait_ends_once() {
    explore(|| {
        let world = World::new();
        let [near, far] = world.keys();
        let waiter = world.waits(1, &format!("BLPOP {near} {far} 0"));
        let keyspace = &world.keyspace;
        let ends: Vec<_> = (0..2)
            .map(|_| {
                let waiter = Arc::clone(&waiter);
                worker(keyspace, move |world| world.end(&waiter).0)
            })
            .collect();
        let pushes = [&near, &far].map(|key| {
            let push = format!("RPUSH {key} a");
            worker(keyspace, move |world| served(&world.push(&push, None), 1))
        });
        let ended: usize = ends.into_iter().map(|end| usize::from(join(end))).sum();
        let got: usize = pushes.into_iter().map(join).sum();
        assert_eq!(ended + got, 1);
        serve::forget(&waiter, &mut world.keyspace.lease());
        let left = [&near, &far].map(|key| world.get(&format!("LLEN {key}")));
        let left = left.iter().filter(|length| *length == ":1 ").count();
        assert_eq!(left + got, 2);
        world.assert_forgotten();
    });
}

/// A client that finds nothing and one that pushes: the element is found at once, or the waiter is.
#[test]
fn no_push_is_missed() {
    explore(|| {
        let world = World::new();
        let [near, far] = world.keys();
        let pushes = [&near, &far].map(|key| {
            let push = format!("RPUSH {key} a");
            worker(&world.keyspace, move |world| {
                served(&world.push(&push, None), 1)
            })
        });
        let pop = format!("BLPOP {near} {far} 0");
        let mut lease = world.keyspace.lease();
        let begun = world.run(1, &pop, &mut lease);
        drop(lease);
        let got: usize = pushes.into_iter().map(join).sum();
        assert_eq!(got + usize::from(begun.is_ok()), 1);
        if let Err(waiter) = begun {
            serve::forget(&waiter, &mut world.keyspace.lease());
        }
        world.assert_forgotten();
    });
}

/// A mover whose other stripe may be taken is handed over to its worker. It is served or ended,
/// not both, and whoever stands behind it gets what it left.
#[test]
fn handed_over_waiters_end_once_and_hold_nobody_up() {
    explore(|| {
        let world = World::new();
        let [near, far] = world.keys();
        let mover = world.waits(1, &format!("BLMOVE {near} {far} LEFT RIGHT 0"));
        let second = world.waits(2, &format!("BLPOP {near} 0"));
        let keyspace = &world.keyspace;
        let (mail, inbox) = channel::<Arc<Waiter>>();
        let own_worker = worker(keyspace, move |world| {
            let retry = |waiter: Arc<Waiter>| {
                let log = world.retry(&waiter);
                // It covers all stripes that they need, and so hands nobody over.
                assert!(log.handed_over.is_empty());
                [1, 2].map(|client| served(&log, client))
            };
            inbox.iter().map(retry).fold([0, 0], add)
        });
        let busy = format!("SET {far}x 1");
        let busy = worker(keyspace, move |world| drop(world.get(&busy)));
        let give_up = Arc::clone(&mover);
        let end = worker(keyspace, {
            let mail = mail.clone();
            move |world| {
                let (ended, log) = world.end(&give_up);
                post(&log, &mail);
                (ended, [1, 2].map(|client| served(&log, client)))
            }
        });
        let push = format!("RPUSH {near} a b");
        let push = worker(keyspace, move |world| {
            let log = world.push(&push, None);
            post(&log, &mail);
            [1, 2].map(|client| served(&log, client))
        });
        let (ended, by_end) = join(end);
        let got = add(add(join(push), join(own_worker)), by_end);
        join(busy);
        assert_eq!(got, [usize::from(!ended), 1]);
        let left = world.get(&format!("LLEN {near}"));
        assert_eq!(left, if ended { ":1 " } else { ":0 " });
        assert!(!second.is_entered());
        world.assert_forgotten();
    });
}

fn post(log: &Log, mail: &shuttle::sync::mpsc::Sender<Arc<Waiter>>) {
    for waiter in &log.handed_over {
        mail.send(Arc::clone(waiter)).expect("the worker listens");
    }
}

fn add(a: [usize; 2], b: [usize; 2]) -> [usize; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// Leases of any stripes, wanted in any order, one by one or all: nobody waits for ever, and
/// nobody sees half of what was done under one.
#[test]
fn leases_neither_lock_one_another_out_nor_let_others_in_between() {
    explore(|| {
        let world = World::new();
        let [near, far] = world.keys();
        let keyspace = &world.keyspace;
        let set = |first: &str, second: &str, value: u32| {
            let set = format!("MSET {first} {value} {second} {value}");
            worker(keyspace, move |world| drop(world.get(&set)))
        };
        let writers = [set(&near, &far, 1), set(&far, &near, 2)];
        let all = worker(keyspace, |world| {
            let mut lease = world.keyspace.lease();
            lease.cover_all();
            lease.pin();
            lease.held().count()
        });
        let walker = worker(keyspace, |world| {
            let mut lease = world.keyspace.lease();
            for stripe in world.keyspace.stripes() {
                lease.only(stripe);
            }
        });
        let get = format!("MGET {far} {near}");
        let seen = worker(keyspace, move |world| world.get(&get));
        writers.into_iter().for_each(join);
        assert_eq!(join(all), 2);
        join(walker);
        let whole = ["*2 $-1 $-1 ", "*2 $1 1 $1 1 ", "*2 $1 2 $1 2 "];
        let seen = join(seen);
        assert!(whole.contains(&&*seen), "{seen}");
    });
}
