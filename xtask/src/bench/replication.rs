//! Replication, measured in phases: a full copy from a server to another of its kind, what the copy
//! does to clients of the primary and to its memory, and what a write costs both ends of a stream.
//!
//! Each kind has its own defaults but for `repl-diskless-sync-delay`, which would only be waited
//! for. The copies are large, so one kind after the other has the machine for itself.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::process::Server;

use super::Session;
use super::persistence::phases::{connect, memory_bytes, say};
use super::persistence::{Finding, Goal};
use super::rows::{Contender, DataSet, Fill, VALKEY, ruddle};
use super::subject::{Subject, finish};

/// What the report calls them.
pub(super) const LABELS: &[&str] = &["ruddle", "valkey"];

const AT_ONCE: &[&str] = &["--repl-diskless-sync-delay", "0"];
/// Ours first.
const CONTENDERS: [Contender; 2] = [
    ruddle("ruddle", AT_ONCE),
    Contender {
        arguments: AT_ONCE,
        ..VALKEY
    },
];

const VALUE_BYTES: u64 = 64;
/// What a key takes of a copy: 16 bytes, its value, and what says so.
const KEY_BYTES: u64 = 16 + VALUE_BYTES + 3;
/// Keys where their number does not matter.
const FEW_KEYS: u64 = 100_000;
/// One write to four reads, so many a second, sent on time whether or not answers come.
const STEADY: &[&str] = &[
    "-t",
    "mix",
    "--ratio",
    "1:4",
    "--rate",
    "20000",
    "-c",
    "20",
    "--until-eof",
];
/// A load is under way for so long before anything is done beside it.
const WARM_UP: Duration = Duration::from_millis(500);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(10);
/// Looking at the memory of a large process costs tens of milliseconds.
const MEMORY_LOOK: Duration = Duration::from_millis(500);

/// What one kind came to.
#[derive(Default)]
struct Numbers {
    copy_seconds: f64,
    copy_cpu_seconds: [f64; 2],
    loaded_seconds: f64,
    p999_us: f64,
    memory_mib: f64,
    set_us: [f64; 2],
}

/// Measures both kinds with copies of so many MiB.
pub(super) fn run(session: &Session, copy_mib: u64) -> Result<Vec<Finding>, String> {
    let keys = (copy_mib << 20) / KEY_BYTES / session.shrink;
    let mut all = Vec::new();
    for contender in CONTENDERS {
        let told = |why| format!("{}: {why}", contender.label);
        let mut numbers = Numbers::default();
        copies(session, contender, keys.max(1), &mut numbers).map_err(told)?;
        stream(session, contender, &mut numbers).map_err(told)?;
        all.push(numbers);
    }
    let finding = |what, goal, value: fn(&Numbers) -> f64| Finding {
        what,
        values: all.iter().map(value).collect(),
        goal,
    };
    Ok(vec![
        finding("full copy, s", Goal::Smaller(1.5), |it| it.copy_seconds),
        finding("its CPU at the primary, s", Goal::None, |it| {
            it.copy_cpu_seconds[0]
        }),
        finding("its CPU at the replica, s", Goal::None, |it| {
            it.copy_cpu_seconds[1]
        }),
        finding("full copy beside a load, s", Goal::None, |it| {
            it.loaded_seconds
        }),
        finding(
            "p99.9 at the primary meanwhile, us",
            Goal::Smaller(5.0),
            |it| it.p999_us,
        ),
        finding("its memory meanwhile, MiB more", Goal::Smaller(5.0), |it| {
            it.memory_mib
        }),
        finding(
            "CPU per SET with a replica, P=16, us",
            Goal::Smaller(1.8),
            |it| it.set_us[0],
        ),
        finding("CPU per SET at the replica, us", Goal::Smaller(1.5), |it| {
            it.set_us[1]
        }),
    ])
}

/// Copies, first with nothing else going on, then beside a load.
fn copies(
    session: &Session,
    contender: Contender,
    keys: u64,
    numbers: &mut Numbers,
) -> Result<(), String> {
    let primary = start(session, contender, keys)?;
    eprintln!("a copy of {keys} keys, {} ...", contender.label);
    let before = cpu_seconds(primary.server.pid())?;
    let replica = empty(&primary)?;
    let replica_before = cpu_seconds(replica.pid())?;
    let begun = Instant::now();
    copy(&primary, &replica, || Ok(()))?;
    numbers.copy_seconds = begun.elapsed().as_secs_f64();
    numbers.copy_cpu_seconds = [
        cpu_seconds(primary.server.pid())? - before,
        cpu_seconds(replica.pid())? - replica_before,
    ];
    drop(replica);

    eprintln!("the same beside a load ...");
    let replica = empty(&primary)?;
    let load = primary.spawn_load(STEADY, "")?;
    let done = beside(&primary, &replica, numbers);
    let measured = finish(load)?;
    done?;
    numbers.p999_us = measured.p999_us;
    Ok(())
}

/// A copy, and the memory that it takes.
fn beside(primary: &Subject<'_>, replica: &Server, numbers: &mut Numbers) -> Result<(), String> {
    thread::sleep(WARM_UP);
    let process = primary.server.pid();
    let before = memory_bytes(process)?;
    let (mut peak, mut looked) = (before, Instant::now());
    let begun = Instant::now();
    copy(primary, replica, || {
        if looked.elapsed() >= MEMORY_LOOK {
            peak = peak.max(memory_bytes(process)?);
            looked = Instant::now();
        }
        Ok(())
    })?;
    numbers.loaded_seconds = begun.elapsed().as_secs_f64();
    numbers.memory_mib = (peak - before) as f64 / f64::from(1 << 20);
    Ok(())
}

/// What a SET costs a primary with one replica, and that replica.
fn stream(session: &Session, contender: Contender, numbers: &mut Numbers) -> Result<(), String> {
    let primary = start(session, contender, FEW_KEYS)?;
    let replica = empty(&primary)?;
    copy(&primary, &replica, || Ok(()))?;
    eprintln!("SET with a replica, {} ...", contender.label);
    numbers.set_us = [f64::INFINITY; 2];
    for _ in 0..session.passes {
        let before = [
            cpu_seconds(primary.server.pid())?,
            cpu_seconds(replica.pid())?,
        ];
        let seconds = session.seconds.to_string();
        let options = ["-t", "set", "-P", "16", "--duration", &seconds];
        let load: Child = primary.spawn_load(&options, "")?;
        let replies = finish(load)?.replies as f64;
        catch_up(&primary, &replica)?;
        let after = [
            cpu_seconds(primary.server.pid())?,
            cpu_seconds(replica.pid())?,
        ];
        for ((least, after), before) in numbers.set_us.iter_mut().zip(after).zip(before) {
            *least = least.min((after - before) * 1e6 / replies);
        }
    }
    Ok(())
}

fn start(session: &Session, contender: Contender, keys: u64) -> Result<Subject<'_>, String> {
    let data = DataSet {
        keys,
        value_bytes: VALUE_BYTES,
        fill: Fill::Strings,
    };
    session.start_one(contender, data, false)
}

/// Another server of the same kind, without data.
fn empty(primary: &Subject<'_>) -> Result<Server, String> {
    let kind = primary.contender.kind;
    Server::start_binary(kind, primary.binary(), primary.contender.arguments)
}

/// Makes `replica` follow `primary` and waits until it does; `look` is called now and then.
fn copy(
    primary: &Subject<'_>,
    replica: &Server,
    mut look: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let mut client = connect(replica)?;
    let port = primary.server.port();
    say(&mut client, &format!("REPLICAOF 127.0.0.1 {port}"))?;
    until("the copy is not complete", || {
        look()?;
        Ok(field(&mut client, "master_link_status")? == "up")
    })?;
    let counts = [size(replica)?, size(&primary.server)?];
    match counts[0] == counts[1] {
        true => Ok(()),
        false => Err(format!("{} of {} keys were copied", counts[0], counts[1])),
    }
}

/// Waits until the replica has done all that the primary did.
fn catch_up(primary: &Subject<'_>, replica: &Server) -> Result<(), String> {
    let (mut above, mut below) = (connect(&primary.server)?, connect(replica)?);
    until("the replica does not catch up", || {
        let wanted = field(&mut above, "master_repl_offset")?;
        Ok(field(&mut below, "slave_repl_offset")? == wanted)
    })
}

fn until(what: &str, mut done: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err(format!("{what} in time"));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// A field of INFO replication.
fn field(client: &mut Client, name: &str) -> Result<String, String> {
    let text = say(client, "INFO replication")?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(of, _)| *of == name);
    found
        .map(|(_, value)| value.trim().to_owned())
        .ok_or_else(|| format!("INFO has no {name}"))
}

fn size(server: &Server) -> Result<String, String> {
    let reply = connect(server)?.call(&["DBSIZE"]);
    reply
        .map(|reply| reply.to_string())
        .map_err(|error| format!("DBSIZE: {error}"))
}

/// Processor time of a process, of its threads that have ended and of its children that have.
fn cpu_seconds(process: u32) -> Result<f64, String> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // Behind the name, which may have anything in it: the state is the third field of all.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: Option<u64> = ticks.map(|field| field.parse::<u64>().ok()).sum();
    let ticks = ticks.ok_or_else(|| format!("{path}: {text:?}"))?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// In which the kernel tells processor time to programs.
const TICKS_PER_SECOND: f64 = 100.0;
