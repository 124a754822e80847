//! The connections that make a history: threads with a blocking client each, on a few dozen hot
//! objects, one operation at a time.
//!
//! Some calls end other clients' waits (CLIENT UNBLOCK), and in a run with kills other clients
//! themselves (CLIENT KILL), so that both meet commands at any point of their way, on the same
//! worker and across workers. The stream of calls is random by seed; how they interleave is not.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::check::{Operation, Verdict, check};
use super::model::{Answer, By, Call, State};
use super::scripts::Known;
use crate::client::Client;
use crate::process::Server;
use crate::random::Random;
use crate::reply::Reply;

/// Objects; each is two keys.
const OBJECTS: usize = 40;

/// One in so many calls ends the wait of a random client.
const UNBLOCK_ONE_IN: usize = 50;

/// One in so many calls kills a random client, if that is wanted.
const KILL_ONE_IN: usize = 200;

/// The longest that a blocking pop waits, in milliseconds.
const WAIT_MS_MAX: i64 = 40;

/// Connections whose values stay apart; also what `check` can have under way at one object.
const CONNECTIONS_MAX: i64 = 64;

/// A blocking pop that took so long has waited, as a rule: for the count in the report only.
const WAITED_NS: u64 = 1_000_000;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Operations, all connections together.
    pub operations: usize,
    /// Connections, at most 64.
    pub connections: usize,
    /// Decides the calls.
    pub seed: u64,
    /// Whether clients are killed.
    pub kills: bool,
}

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// Operations in the histories.
    pub operations: usize,
    /// Those with an unknown outcome.
    pub unknown: usize,
    /// Optimistic transactions that were aborted; not part of the histories, as they say nothing.
    pub aborted: usize,
    /// Blocking pops that got something.
    pub served: usize,
    /// Blocking pops that had waited for it.
    pub waited: usize,
    /// Transactions.
    pub transactions: usize,
    /// Scripts.
    pub scripts: usize,
    /// Times that a client was killed.
    pub kills: usize,
    /// Times that a wait was ended by another client.
    pub unblocked: usize,
    /// How long the connections were at work.
    pub driven: Duration,
    /// How long the search took.
    pub checked: Duration,
    /// The most operations under way at one object.
    pub overlap_max: usize,
    /// The most configurations at any moment.
    pub configurations_max: usize,
    /// What no order explains, with the object's number.
    pub faults: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (driven, checked) = (self.driven.as_secs_f64(), self.checked.as_secs_f64());
        writeln!(
            f,
            "{} operations in {driven:.1} s, {} of unknown outcome; {} transactions, {} aborted, \
             {} scripts",
            self.operations, self.unknown, self.transactions, self.aborted, self.scripts
        )?;
        writeln!(
            f,
            "{} blocking pops served, {} of them after waiting; {} waits ended, {} clients killed",
            self.served, self.waited, self.unblocked, self.kills
        )?;
        write!(
            f,
            "checked in {checked:.1} s: up to {} overlap, {} configurations; {} objects wrong",
            self.overlap_max,
            self.configurations_max,
            self.faults.len()
        )
    }
}

/// Drives a server and checks what its clients saw. The keys must not exist. An error is a
/// connection that goes silent or an answer that is out of the question.
pub fn run(server: &Server, plan: &Plan) -> Result<Report, String> {
    if plan.connections as i64 > CONNECTIONS_MAX {
        return Err(format!("at most {CONNECTIONS_MAX} connections"));
    }
    let shared = Shared {
        plan,
        begin: Instant::now(),
        left: AtomicI64::new(plan.operations as i64),
        ids: (0..plan.connections).map(|_| AtomicI64::new(0)).collect(),
        kills: AtomicUsize::new(0),
        unblocked: AtomicUsize::new(0),
        known: Known::load(server).map_err(|error| error.to_string())?,
    };
    let records = thread::scope(|scope| {
        let drive = |number| {
            let shared = &shared;
            scope.spawn(move || Driver::new(number, server, shared)?.run())
        };
        let threads: Vec<_> = (0..plan.connections).map(drive).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, io::Result<Vec<Record>>>| {
            // A panic of a driver is a bug of this file.
            thread.join().expect("a driver does not panic")
        };
        threads
            .into_iter()
            .map(join)
            .collect::<io::Result<Vec<_>>>()
    });
    let records = records.map_err(|error| format!("{error}\n{}", server.log()))?;
    let driven = shared.begin.elapsed();
    let mut report = summary(records.iter().flatten(), &shared);
    report.driven = driven;
    judge(records, &mut report);
    Ok(report)
}

fn summary<'r>(records: impl Iterator<Item = &'r Record>, shared: &Shared<'_>) -> Report {
    let mut report = Report {
        operations: 0,
        unknown: 0,
        aborted: 0,
        served: 0,
        waited: 0,
        transactions: 0,
        scripts: 0,
        kills: shared.kills.load(Relaxed),
        unblocked: shared.unblocked.load(Relaxed),
        driven: Duration::ZERO,
        checked: Duration::ZERO,
        overlap_max: 0,
        configurations_max: 0,
        faults: Vec::new(),
    };
    for Record { operation, .. } in records {
        let aborted = operation.answer == Some(Answer::Aborted);
        let taken = match operation.answer {
            Some(Answer::Taken(taken)) => taken.is_some(),
            Some(Answer::Value(value)) => value.is_some(),
            _ => false,
        };
        let served = taken && operation.call.waits();
        let took_ns = operation.returned - operation.invoked;
        report.operations += usize::from(!aborted);
        report.aborted += usize::from(aborted);
        report.unknown += usize::from(operation.answer.is_none());
        report.served += usize::from(served);
        report.waited += usize::from(served && took_ns > WAITED_NS);
        report.scripts += usize::from(operation.call.is_script());
        report.transactions += usize::from(operation.call.is_transaction() && !aborted);
    }
    report
}

fn judge(records: Vec<Vec<Record>>, report: &mut Report) {
    let begin = Instant::now();
    let mut histories = vec![Vec::new(); OBJECTS];
    for Record { object, operation } in records.into_iter().flatten() {
        if operation.answer != Some(Answer::Aborted) {
            histories[object].push(operation);
        }
    }
    for (object, history) in histories.iter().enumerate() {
        let Verdict {
            fault,
            configurations_max,
            overlap_max,
        } = check(history, Kind::of(object).initial());
        report.overlap_max = report.overlap_max.max(overlap_max);
        report.configurations_max = report.configurations_max.max(configurations_max);
        report
            .faults
            .extend(fault.map(|fault| format!("object {object}: {fault}")));
    }
    report.checked = begin.elapsed();
}

/// What an object is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Register,
    Counter,
    Pair,
    Queue,
    TwoQueues,
}

const KINDS: [Kind; 5] = [
    Kind::Register,
    Kind::Queue,
    Kind::Counter,
    Kind::TwoQueues,
    Kind::Pair,
];

impl Kind {
    fn of(object: usize) -> Kind {
        KINDS[object % KINDS.len()]
    }

    fn initial(self) -> State {
        match self {
            Kind::Register | Kind::Counter | Kind::Pair => State::Numbers([None; 2]),
            Kind::Queue | Kind::TwoQueues => State::Lists(Default::default()),
        }
    }

    /// A call; `fresh` and the next are values that were never used. More is taken from lists than
    /// put into them, so that they stay short and those who wait have to.
    fn call(self, random: &mut Random, fresh: i64) -> Call {
        let (at, dice) = (random.below(2), random.below(100));
        let ways = [
            By::Command,
            By::Script,
            By::ScriptOfUndeclared,
            By::Hash,
            By::Function,
        ];
        let by = *random.pick(&ways);
        match (self, dice) {
            (Kind::Register, 0..30) => Call::Get(0),
            (Kind::Register, 30..55) => Call::Set(0, fresh),
            (Kind::Register, 55..70) => Call::Swap(0, fresh),
            (Kind::Register, 70..75) => Call::Delete(0),
            // The value that is expected is read first.
            (Kind::Register, _) => Call::CompareAndSet(0, None, fresh),
            (Kind::Counter, 0..70) => Call::Add(0, random.between(1, 9)),
            (Kind::Counter, _) => Call::Get(0),
            (Kind::Pair, 0..20) => Call::GetBoth,
            (Kind::Pair, 20..30) => Call::GetMany,
            (Kind::Pair, 30..40) => Call::SetBoth(fresh, -fresh),
            (Kind::Pair, 40..50) => Call::SetMany(fresh, -fresh),
            (Kind::Pair, 50..70) => Call::Transfer(random.between(1, 9), by),
            (Kind::Pair, 70..80) => Call::Add(at, random.between(1, 9)),
            (Kind::Pair, 80..90) => Call::CompareAndSet(at, None, fresh),
            (Kind::Pair, _) => Call::Get(at),
            (Kind::Queue, 0..30) => Call::Push(0, vec![fresh]),
            (Kind::Queue, 30..36) => Call::Push(0, vec![fresh, fresh + 1]),
            (Kind::Queue, 36..60) => Call::Pop(0),
            (Kind::Queue, 60..88) => Call::AwaitPop(0),
            (Kind::Queue, 88..94) => Call::Length(0),
            (Kind::Queue, _) => Call::Elements(0),
            (Kind::TwoQueues, 0..20) => Call::Push(at, vec![fresh]),
            (Kind::TwoQueues, 20..28) => Call::PushBoth(fresh, fresh + 1),
            (Kind::TwoQueues, 28..45) => Call::Pop(at),
            (Kind::TwoQueues, 45..55) => Call::AwaitPop(at),
            (Kind::TwoQueues, 55..75) => Call::AwaitPopEither,
            (Kind::TwoQueues, 75..85) => Call::Move(by),
            (Kind::TwoQueues, 85..93) => Call::AwaitMove,
            (Kind::TwoQueues, _) => Call::Elements(at),
        }
    }
}

impl Call {
    fn waits(&self) -> bool {
        matches!(
            self,
            Call::AwaitPop(_) | Call::AwaitPopEither | Call::AwaitMove
        )
    }

    fn is_script(&self) -> bool {
        match self {
            Call::Transfer(_, by) | Call::Move(by) => *by != By::Command,
            _ => false,
        }
    }

    fn is_transaction(&self) -> bool {
        matches!(
            self,
            Call::CompareAndSet(..)
                | Call::GetBoth
                | Call::SetBoth(..)
                | Call::Transfer(_, By::Command)
                | Call::PushBoth(..)
        )
    }

    /// The commands, which go out together, with the object's keys. The last one's reply answers.
    fn commands(&self, keys: &[String; 2], wait: &str, known: &Known) -> Vec<String> {
        let [a, b] = keys;
        let joined = |elements: &[i64]| {
            let texts: Vec<String> = elements.iter().map(i64::to_string).collect();
            texts.join(" ")
        };
        let transaction = |commands: [String; 2]| {
            let [first, second] = commands;
            vec!["MULTI".to_owned(), first, second, "EXEC".to_owned()]
        };
        let one = match self {
            Call::Get(at) => format!("GET {}", keys[*at]),
            Call::Set(at, value) => format!("SET {} {value}", keys[*at]),
            Call::Swap(at, value) => format!("SET {} {value} GET", keys[*at]),
            Call::Delete(at) => format!("DEL {}", keys[*at]),
            Call::Add(at, more) => format!("INCRBY {} {more}", keys[*at]),
            Call::GetMany => format!("MGET {a} {b}"),
            Call::SetMany(first, second) => format!("MSET {a} {first} {b} {second}"),
            Call::Push(at, elements) => format!("RPUSH {} {}", keys[*at], joined(elements)),
            Call::Pop(at) => format!("LPOP {}", keys[*at]),
            Call::AwaitPop(at) => format!("BLPOP {} {wait}", keys[*at]),
            Call::AwaitPopEither => format!("BLPOP {a} {b} {wait}"),
            Call::Move(By::Command) => format!("LMOVE {a} {b} LEFT RIGHT"),
            Call::Move(by) => known.moving.call(*by, keys, ""),
            Call::AwaitMove => format!("BLMOVE {a} {b} LEFT RIGHT {wait}"),
            Call::Length(at) => format!("LLEN {}", keys[*at]),
            Call::Elements(at) => format!("LRANGE {} 0 -1", keys[*at]),
            Call::CompareAndSet(at, _, value) => {
                let set = format!("SET {} {value}", keys[*at]);
                return vec!["MULTI".to_owned(), set, "EXEC".to_owned()];
            }
            Call::GetBoth => return transaction([format!("GET {a}"), format!("GET {b}")]),
            Call::SetBoth(x, y) => {
                return transaction([format!("SET {a} {x}"), format!("SET {b} {y}")]);
            }
            Call::Transfer(amount, By::Command) => {
                return transaction([
                    format!("DECRBY {a} {amount}"),
                    format!("INCRBY {b} {amount}"),
                ]);
            }
            Call::Transfer(amount, by) => known.transferring.call(*by, keys, &format!(" {amount}")),
            Call::PushBoth(x, y) => {
                return transaction([format!("RPUSH {a} {x}"), format!("RPUSH {b} {y}")]);
            }
        };
        vec![one]
    }

    /// What a reply says; `None`: no reply to this call looks like that.
    fn answer(&self, reply: &Reply, keys: &[String; 2]) -> Option<Answer> {
        Some(match self {
            Call::Set(..) | Call::SetMany(..) => Answer::Done,
            Call::SetBoth(..) => {
                reply.items()?;
                Answer::Done
            }
            Call::CompareAndSet(..) if *reply == Reply::NilArray => Answer::Aborted,
            Call::CompareAndSet(..) => {
                reply.items()?;
                Answer::Done
            }
            Call::GetBoth | Call::GetMany | Call::Transfer(..) | Call::PushBoth(..) => {
                let [first, second] = reply.items()? else {
                    return None;
                };
                Answer::Both([value(first)?, value(second)?])
            }
            Call::Pop(at) => Answer::Taken(value(reply)?.map(|element| (*at, element))),
            Call::AwaitPop(_) | Call::AwaitPopEither => match reply.items() {
                None => Answer::Taken(None),
                Some([key, element]) => {
                    let at = keys
                        .iter()
                        .position(|known| Some(known.as_bytes()) == key.bytes());
                    Answer::Taken(Some((at?, value(element)??)))
                }
                Some(_) => return None,
            },
            Call::Elements(_) => {
                let elements = reply.items()?.iter().map(|element| value(element)?);
                Answer::All(elements.collect::<Option<_>>()?)
            }
            _ => Answer::Value(value(reply)?),
        })
    }
}

/// A number, or none; the outer `None`: neither.
fn value(reply: &Reply) -> Option<Option<i64>> {
    match reply {
        Reply::Int(number) => Some(Some(*number)),
        Reply::Bulk(bytes) => Some(Some(std::str::from_utf8(bytes).ok()?.parse().ok()?)),
        // A BLMOVE that found nothing answers a nil array.
        Reply::NilBulk | Reply::NilArray => Some(None),
        _ => None,
    }
}

/// What the drivers have in common.
struct Shared<'p> {
    plan: &'p Plan,
    begin: Instant,
    /// Operations that nobody has begun yet.
    left: AtomicI64,
    /// The clients' ids, by the drivers' numbers.
    ids: Vec<AtomicI64>,
    kills: AtomicUsize,
    unblocked: AtomicUsize,
    known: Known,
}

struct Record {
    object: usize,
    operation: Operation,
}

/// One connection and its records.
struct Driver<'s> {
    number: usize,
    server: &'s Server,
    shared: &'s Shared<'s>,
    random: Random,
    client: Client,
    records: Vec<Record>,
    /// Values used so far, by this driver.
    used: i64,
}

impl<'s> Driver<'s> {
    fn new(number: usize, server: &'s Server, shared: &'s Shared<'s>) -> io::Result<Driver<'s>> {
        let mut driver = Driver {
            number,
            server,
            shared,
            random: Random::new(shared.plan.seed ^ ((number as u64 + 1) << 32)),
            client: server.connect()?,
            records: Vec::new(),
            used: 0,
        };
        driver.sign_in()?;
        Ok(driver)
    }

    /// Connects, again if the connection is killed at once, until others know this client's id.
    fn sign_in(&mut self) -> io::Result<()> {
        loop {
            match self.client.call(&["CLIENT", "ID"]) {
                Ok(Reply::Int(id)) => {
                    self.shared.ids[self.number].store(id, Relaxed);
                    return Ok(());
                }
                Ok(other) => return Err(nonsense("CLIENT ID", &other)),
                Err(error) if is_end(&error) => self.client = self.server.connect()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn run(mut self) -> io::Result<Vec<Record>> {
        while self.shared.left.fetch_sub(1, Relaxed) > 0 {
            match self.step() {
                Ok(()) => {}
                Err(error) if is_end(&error) && self.shared.plan.kills => {
                    self.client = self.server.connect()?;
                    self.sign_in()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.records)
    }

    fn step(&mut self) -> io::Result<()> {
        if self.random.one_in(UNBLOCK_ONE_IN) {
            self.end_a_wait()?;
        }
        if self.shared.plan.kills && self.random.one_in(KILL_ONE_IN) {
            self.kill()?;
        }
        // The lower numbers are hotter.
        let heat = 1 + self.random.below(OBJECTS);
        let object = self.random.below(heat);
        self.used += 1;
        // An even number: a call may use two values.
        let fresh = 2 * (self.used * CONNECTIONS_MAX + self.number as i64);
        let mut call = Kind::of(object).call(&mut self.random, fresh);
        if let Call::CompareAndSet(at, expected, _) = &mut call {
            let key = &keys(object)[*at];
            self.expect_ok(&["WATCH", key])?;
            let read = self.perform(object, Call::Get(*at))?;
            let Some(Answer::Value(seen)) = read else {
                return Ok(());
            };
            *expected = seen;
        }
        self.perform(object, call).map(drop)
    }

    fn another(&mut self) -> String {
        let number = self.random.below(self.shared.ids.len());
        self.shared.ids[number].load(Relaxed).to_string()
    }

    /// Ends a random client's wait, if it waits.
    fn end_a_wait(&mut self) -> io::Result<()> {
        let ending = *self.random.pick(&["TIMEOUT", "ERROR"]);
        let other = self.another();
        match self.client.call(&["CLIENT", "UNBLOCK", &other, ending])? {
            Reply::Int(ended) => {
                self.shared.unblocked.fetch_add(ended as usize, Relaxed);
                Ok(())
            }
            other => Err(nonsense("CLIENT UNBLOCK", &other)),
        }
    }

    /// Kills a random client, itself perhaps.
    fn kill(&mut self) -> io::Result<()> {
        let other = self.another();
        match self.client.call(&["CLIENT", "KILL", "ID", &other])? {
            Reply::Int(killed) => {
                self.shared.kills.fetch_add(killed as usize, Relaxed);
                Ok(())
            }
            other => Err(nonsense("CLIENT KILL", &other)),
        }
    }

    fn expect_ok(&mut self, words: &[&str]) -> io::Result<()> {
        match self.client.call(words)? {
            Reply::Status(_) => Ok(()),
            other => Err(nonsense(words[0], &other)),
        }
    }

    /// Calls an operation and records what came of it. `None`: another client ended its wait with
    /// an error, so that it has not happened.
    fn perform(&mut self, object: usize, call: Call) -> io::Result<Option<Answer>> {
        let keys = keys(object);
        let wait_ms = self.random.between(1, WAIT_MS_MAX);
        let wait = format!("0.{wait_ms:03}");
        let split = |line: &String| {
            line.split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect()
        };
        let commands: Vec<Vec<Vec<u8>>> = call
            .commands(&keys, &wait, &self.shared.known)
            .iter()
            .map(split)
            .collect();
        let invoked = self.now();
        let replies = self.client.pipeline(&commands);
        let returned = self.now();
        let mut record = |answer| {
            let operation = Operation {
                client: self.number,
                call: call.clone(),
                answer,
                invoked,
                returned,
            };
            self.records.push(Record { object, operation });
        };
        let replies = match replies {
            Ok(replies) => replies,
            Err(error) => {
                record(None);
                return Err(error);
            }
        };
        // Invariant: every call has a command, and `pipeline` gives a reply for each.
        let reply = replies.last().expect("a reply");
        if reply.is_error() && call.waits() && reply.to_string().contains("UNBLOCKED") {
            return Ok(None);
        }
        let Some(answer) = call.answer(reply, &keys).filter(|_| !reply.is_error()) else {
            return Err(nonsense(&format!("{call:?}"), reply));
        };
        record(Some(answer.clone()));
        Ok(Some(answer))
    }

    fn now(&self) -> u64 {
        self.shared.begin.elapsed().as_nanos() as u64
    }
}

/// An object's two keys: they are in different stripes more often than not.
fn keys(object: usize) -> [String; 2] {
    [format!("first:{object}"), format!("second:{object}")]
}

/// Whether the server has closed the connection.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}

pub(super) fn nonsense(what: &str, reply: &Reply) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} answered {reply}"),
    )
}
