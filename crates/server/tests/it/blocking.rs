//! Blocking commands between many connections and several workers: order, deadlines, chains,
//! unblocking, crowds, and nothing lost under stress.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// How long something may take that does happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn start(workers: &str) -> Server {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let args = ["--workers", workers, "--maxclients", "20000"];
    Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts")
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

fn call(client: &mut Client, command: &str) -> Reply {
    client.call(&words(command)).expect("a reply")
}

fn send(client: &mut Client, command: &str) {
    client.send(&words(command)).expect("a connection");
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().expect("a text")).into_owned()
}

/// The element that a blocking pop was answered with.
fn element(reply: &Reply) -> Option<String> {
    reply.items()?.get(1).map(text)
}

fn number(reply: &Reply) -> usize {
    match reply {
        Reply::Int(number) => *number as usize,
        other => panic!("no number: {other:?}"),
    }
}

/// A field of INFO.
fn info(client: &mut Client, section: &str, field: &str) -> usize {
    let report = text(&call(client, &format!("INFO {section}")));
    let line = report.lines().find_map(|line| line.strip_prefix(field));
    let value = line.and_then(|line| line.strip_prefix(':'));
    value
        .and_then(|value| value.trim().parse().ok())
        .expect(field)
}

/// Lets so many milliseconds pass, by waiting for what never comes.
fn pass(client: &mut Client, millis: u64) {
    call(
        client,
        &format!("BLPOP never {}", (millis + 1) as f64 / 1000.0),
    );
}

/// Waits until so many clients are blocked.
fn await_blocked(client: &mut Client, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let blocked = info(client, "clients", "blocked_clients");
        if blocked == count {
            return;
        }
        assert!(Instant::now() < deadline, "{blocked} blocked, not {count}");
        thread::yield_now();
    }
}

/// Clients of all workers, blocked one after the other.
fn crowd(server: &Server, witness: &mut Client, commands: &[String]) -> Vec<Client> {
    let mut clients = Vec::new();
    for command in commands {
        let mut client = server.connect().unwrap();
        send(&mut client, command);
        clients.push(client);
        await_blocked(witness, clients.len());
    }
    clients
}

#[test]
fn first_come_first_served_whatever_the_worker() {
    for workers in ["1", "4"] {
        let server = start(workers);
        let mut witness = server.connect().unwrap();
        let commands = [
            "BLPOP l 0",
            "BLPOP a l b 0",
            "BLMPOP 0 2 l c LEFT",
            "BLMOVE l d LEFT LEFT 0",
        ];
        let commands: Vec<String> = (0..60).map(|at| commands[at % 4].to_owned()).collect();
        let mut clients = crowd(&server, &mut witness, &commands);
        let elements: Vec<String> = (0..70).map(|at| at.to_string()).collect();
        for chunk in elements.chunks(7) {
            call(&mut witness, &format!("RPUSH l {}", chunk.join(" ")));
        }
        for (at, client) in clients.iter_mut().enumerate() {
            let reply = client.receive().expect("served");
            let got = match at % 4 {
                2 => text(&reply.items().unwrap()[1].items().unwrap()[0]),
                3 => text(&reply),
                _ => element(&reply).expect("an element"),
            };
            assert_eq!(got, at.to_string(), "{workers} workers, {}", commands[at]);
        }
        assert_eq!(number(&call(&mut witness, "LLEN l")), 10);
        assert_eq!(info(&mut witness, "clients", "total_blocking_keys"), 0);
    }
}

#[test]
fn each_waits_as_long_as_it_said() {
    for workers in ["1", "4"] {
        let server = start(workers);
        thread::scope(|scope| {
            for at in 0..40_u64 {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.connect().unwrap();
                    let millis = 1 + at * 7;
                    let command = match at % 4 {
                        0 => format!("BLPOP k{at} {}", millis as f64 / 1000.0),
                        1 => format!("XREAD BLOCK {millis} STREAMS k{at} $"),
                        2 => format!("BLMOVE a{at} b{at} LEFT LEFT {}", millis as f64 / 1000.0),
                        _ => format!("BZPOPMIN k{at} same {}", millis as f64 / 1000.0),
                    };
                    let start = Instant::now();
                    assert_eq!(call(&mut client, &command), Reply::NilArray);
                    let waited = start.elapsed();
                    // The server's clock is read once per round, in milliseconds.
                    let least = Duration::from_millis(millis.saturating_sub(2));
                    assert!(waited >= least, "{command}: {waited:?}");
                    assert!(waited < PATIENCE, "{command}: {waited:?}");
                });
            }
        });
        let mut witness = server.connect().unwrap();
        assert_eq!(info(&mut witness, "clients", "blocked_clients"), 0);
        assert_eq!(info(&mut witness, "clients", "total_blocking_keys"), 0);
    }
}

/// One push runs through a chain of moves whose keys lie in many stripes, while others keep those
/// stripes busy: each link is served once, by whichever worker.
#[test]
fn chains_run_to_their_end() {
    const LINKS: usize = 12;
    let server = start("4");
    let busy = AtomicBool::new(true);
    thread::scope(|scope| {
        for noise in 0..3 {
            let (server, busy) = (&server, &busy);
            scope.spawn(move || {
                let mut client = server.connect().unwrap();
                while busy.load(SeqCst) {
                    for key in 0..32 {
                        call(&mut client, &format!("INCR noise:{noise}:{key}"));
                    }
                }
            });
        }
        let mut witness = server.connect().unwrap();
        for round in 0..20 {
            let commands: Vec<String> = (0..LINKS)
                .map(|link| format!("BLMOVE {round}:{link} {round}:{} LEFT RIGHT 0", link + 1))
                .chain([format!("BLPOP {round}:{LINKS} 0")])
                .collect();
            let mut clients = crowd(&server, &mut witness, &commands);
            assert_eq!(
                number(&call(&mut witness, &format!("RPUSH {round}:0 x"))),
                1
            );
            let last = clients
                .pop()
                .unwrap()
                .receive()
                .expect("the end of the chain");
            assert_eq!(element(&last).as_deref(), Some("x"));
            for mut client in clients {
                assert_eq!(text(&client.receive().expect("a link")), "x");
            }
            assert_eq!(
                number(&call(&mut witness, &format!("EXISTS {round}:0 {round}:1"))),
                0
            );
        }
        busy.store(false, SeqCst);
    });
}

/// A push, CLIENT UNBLOCK and a deadline race for the same waiter: exactly one wins.
#[test]
fn a_wait_ends_once() {
    let server = start("4");
    let mut names = server.connect().unwrap();
    let (mut served, mut unblocked) = (0, 0);
    for round in 0..150 {
        let mut waiter = server.connect().unwrap();
        let id = number(&call(&mut waiter, "CLIENT ID"));
        send(&mut waiter, "BLPOP a b c 0.02");
        let (server, answer) = (&server, &AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut pusher = server.connect().unwrap();
                pass(&mut pusher, round % 24);
                call(&mut pusher, "RPUSH b x");
            });
            scope.spawn(move || {
                let mut other = server.connect().unwrap();
                pass(&mut other, round * 7 % 24);
                let reply = call(&mut other, &format!("CLIENT UNBLOCK {id} ERROR"));
                answer.store(number(&reply), SeqCst);
            });
        });
        let reply = waiter.receive().expect("a reply");
        let left = number(&call(&mut names, "DEL b"));
        let got = usize::from(element(&reply).is_some());
        assert_eq!(got + left, 1, "the element is in one place: {reply:?}");
        let error = matches!(reply, Reply::Error(_));
        assert_eq!(error, answer.load(SeqCst) == 1, "{reply:?}");
        served += got;
        unblocked += usize::from(error);
        assert_eq!(
            call(&mut waiter, "PING").lines(),
            ["PONG"],
            "one reply only"
        );
    }
    assert!(
        served > 0 && unblocked > 0,
        "{served} served, {unblocked} unblocked"
    );
    assert_eq!(info(&mut names, "clients", "total_blocking_keys"), 0);
}

/// Clock ticks that the process has used.
fn cpu_ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    // Fields 14 and 15, counted from after the name, which is field 2.
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

/// Thousands who wait cost nothing but memory: neither while nothing happens, nor when one of them
/// is served, ends its wait or leaves.
#[test]
fn a_crowd_costs_only_memory() {
    const CROWD: usize = 8000;
    let server = start("4");
    let mut witness = server.connect().unwrap();
    let mut clients: Vec<Client> = (0..CROWD).map(|_| server.connect().unwrap()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        send(client, &format!("BLPOP crowd own:{at} 1000"));
    }
    await_blocked(&mut witness, CROWD);
    assert_eq!(
        info(&mut witness, "clients", "total_blocking_keys"),
        CROWD + 1
    );
    let before = cpu_ticks(&server);
    pass(&mut witness, 500);
    let idle = cpu_ticks(&server) - before;
    assert!(idle <= 10, "{idle} ticks of 10 ms for doing nothing");
    let start = Instant::now();
    for at in (0..CROWD).step_by(4) {
        call(&mut witness, &format!("RPUSH own:{at} x"));
        let reply = clients[at].receive().expect("served");
        assert_eq!(element(&reply).as_deref(), Some("x"));
    }
    let each = start.elapsed() / (CROWD / 4) as u32;
    assert!(
        each < Duration::from_millis(5),
        "{each:?} for one of a crowd"
    );
    await_blocked(&mut witness, CROWD - CROWD / 4);
    drop(clients);
    await_blocked(&mut witness, 0);
    assert_eq!(info(&mut witness, "clients", "total_blocking_keys"), 0);
}

/// When the time of many is up at once, others are served in between: somebody who asks again and
/// again how many still wait sees them become fewer by and by.
#[test]
fn the_end_of_many_waits_holds_nobody_up() {
    const CROWD: usize = 500;
    let server = start("1");
    let (mut holder, mut witness) = (server.connect().unwrap(), server.connect().unwrap());
    let mut clients: Vec<Client> = (0..CROWD).map(|_| server.connect().unwrap()).collect();
    let mut seconds = 2;
    // Time and again with more time, if it was up before all were there.
    let begin = loop {
        let begin = Instant::now();
        for client in &mut clients {
            send(client, &format!("BLPOP l {seconds}"));
        }
        let still = || begin.elapsed() < Duration::from_secs(seconds - 1);
        let mut all = false;
        while still() && !all {
            all = info(&mut witness, "clients", "blocked_clients") == CROWD;
        }
        if all {
            break begin;
        }
        for client in &mut clients {
            client.receive().expect("an end");
        }
        seconds *= 2;
    };
    let seen = thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.last() != Some(&0) {
            seen.push(info(&mut witness, "clients", "blocked_clients"));
        }
        seen
    });
    // Nobody's wait ends while the worker sleeps; then everybody's time is up.
    let rest = Duration::from_secs(seconds) - begin.elapsed() + Duration::from_millis(200);
    call(&mut holder, &format!("DEBUG SLEEP {}", rest.as_secs_f64()));
    for client in &mut clients {
        assert_eq!(client.receive().expect("an end"), Reply::NilArray);
    }
    let seen = seen.join().expect("counts");
    let between = seen.iter().filter(|&&count| count > 0 && count < CROWD);
    assert!(between.count() > 0, "all at once");
}

const KEYS: usize = 6;
const PRODUCERS: usize = 3;
const CONSUMERS: usize = 6;
const PER_PRODUCER: usize = 1500;

/// Pushes numbered elements by all sorts of commands: `producer:number`, to keys in turn.
fn produce(server: &Server, producer: usize, prefix: &str) {
    let mut client = server.connect().unwrap();
    let mut next = 0;
    while next < PER_PRODUCER {
        let key = format!("{prefix}{}", (next * 7 + producer) % KEYS);
        let (a, b) = (
            format!("{producer}:{next}"),
            format!("{producer}:{}", next + 1),
        );
        match next % 5 {
            0 => drop(call(&mut client, &format!("RPUSH {key} {a} {b}"))),
            1 => {
                call(&mut client, "MULTI");
                call(&mut client, &format!("RPUSH {key} {a}"));
                call(&mut client, &format!("RPUSH {key} {b}"));
                call(&mut client, "EXEC");
            }
            2 => {
                call(
                    &mut client,
                    &format!("RPUSH own:{prefix}{producer} {a} {b}"),
                );
                call(&mut client, &format!("RPUSH {key} {a}"));
                call(&mut client, &format!("LREM own:{prefix}{producer} 1 {a}"));
                let from = format!("own:{prefix}{producer}");
                call(&mut client, &format!("LMOVE {from} {key} LEFT RIGHT"));
            }
            _ => {
                call(&mut client, &format!("RPUSH {key} {a}"));
                call(&mut client, &format!("RPUSH {key} {b}"));
            }
        }
        next += 2;
    }
}

/// Pops by `command` until there is nothing more; what it got, in order.
fn consume(server: &Server, number: usize, done: &AtomicBool) -> Vec<String> {
    let mut client = server.connect().unwrap();
    let mut got = Vec::new();
    let keys = |first: usize, count: usize| {
        let keys = (0..count).map(|at| format!("pop{}", (first + at) % KEYS));
        keys.collect::<Vec<_>>().join(" ")
    };
    for at in number.. {
        let over = done.load(SeqCst);
        let reply = match (number + at) % 3 {
            0 => call(&mut client, &format!("BLPOP {} 0.05", keys(at, KEYS))),
            1 => call(&mut client, &format!("BLPOP {} 0.05", keys(at, 1))),
            _ => call(&mut client, &format!("BLMPOP 0.05 3 {} LEFT", keys(at, 3))),
        };
        match reply.items() {
            None if over && (number + at).is_multiple_of(3) => break,
            None => {}
            Some([key, Reply::Array(one)]) => got.push(format!("{}/{}", text(key), text(&one[0]))),
            Some([key, one]) => got.push(format!("{}/{}", text(key), text(one))),
            Some(other) => panic!("{other:?}"),
        }
    }
    got
}

/// Moves elements to a list of its own until there is nothing more, whoever kills it meanwhile.
fn carry(server: &Server, number: usize, done: &AtomicBool) {
    'connection: loop {
        let mut client = server.connect().unwrap();
        let name = format!("CLIENT SETNAME carrier{number}");
        if client.call(&words(&name)).is_err() {
            continue;
        }
        for at in 0.. {
            let over = done.load(SeqCst);
            let mut empty = true;
            for key in 0..KEYS {
                let key = (key + at + number) % KEYS;
                let command = format!("BLMOVE move{key} taken{number} LEFT RIGHT 0.01");
                match client.call(&words(&command)) {
                    Ok(reply) => empty &= reply == Reply::NilArray,
                    Err(_) => continue 'connection,
                }
            }
            if over && empty {
                return;
            }
        }
    }
}

/// All elements of the producers, once each.
fn all_elements() -> HashSet<String> {
    let of = |producer| (0..PER_PRODUCER).map(move |next| format!("{producer}:{next}"));
    (0..PRODUCERS).flat_map(of).collect()
}

/// What was pushed to a key by one producer comes out in its order.
fn assert_in_order(got: &[String]) {
    let mut last: HashMap<(String, String), usize> = HashMap::new();
    for element in got {
        let (place, next) = element.rsplit_once(':').unwrap();
        let (key, producer) = place.split_once('/').unwrap();
        let next: usize = next.parse().unwrap();
        let before = last.insert((key.into(), producer.into()), next);
        assert!(before < Some(next), "{element} after {before:?}");
    }
}

/// Every element that is pushed is popped once, in its producer's order, whatever else happens.
#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    for workers in ["1", "4"] {
        let server = start(workers);
        let done = AtomicBool::new(false);
        let popped: Vec<Vec<String>> = thread::scope(|scope| {
            let (server, done) = (&server, &done);
            let producers: Vec<_> = (0..2 * PRODUCERS)
                .map(|at| {
                    let prefix = ["pop", "move"][at / PRODUCERS];
                    scope.spawn(move || produce(server, at % PRODUCERS, prefix))
                })
                .collect();
            let consumers: Vec<_> = (0..CONSUMERS)
                .map(|number| scope.spawn(move || consume(server, number, done)))
                .collect();
            for number in 0..CONSUMERS {
                scope.spawn(move || carry(server, number, done));
            }
            scope.spawn(move || {
                let mut client = server.connect().unwrap();
                for victim in 0.. {
                    if done.load(SeqCst) {
                        break;
                    }
                    let victim = victim % CONSUMERS;
                    call(&mut client, &format!("CLIENT KILL NAME carrier{victim}"));
                    pass(&mut client, 3);
                }
            });
            producers.into_iter().for_each(|one| one.join().unwrap());
            done.store(true, SeqCst);
            consumers
                .into_iter()
                .map(|one| one.join().unwrap())
                .collect()
        });
        popped.iter().for_each(|got| assert_in_order(got));
        let elements = popped.iter().flatten();
        let got: Vec<&str> = elements.map(|one| one.split_once('/').unwrap().1).collect();
        assert_eq!(got.len(), PRODUCERS * PER_PRODUCER, "{workers} workers");
        let got: HashSet<String> = got.into_iter().map(str::to_owned).collect();
        assert_eq!(got, all_elements());
        let mut client = server.connect().unwrap();
        let mut moved = Vec::new();
        for number in 0..CONSUMERS {
            let list = call(&mut client, &format!("LRANGE taken{number} 0 -1"));
            moved.extend(list.items().unwrap().iter().map(text));
        }
        assert_eq!(moved.len(), PRODUCERS * PER_PRODUCER, "{workers} workers");
        assert_eq!(moved.into_iter().collect::<HashSet<_>>(), all_elements());
        await_blocked(&mut client, 0);
        assert_eq!(info(&mut client, "clients", "total_blocking_keys"), 0);
    }
}
