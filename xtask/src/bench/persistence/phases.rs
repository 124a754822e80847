//! The phases: each does one thing to one server and returns one number.
//!
//! What takes its time is awaited by asking INFO. The peers' memory is that of parent and child
//! together: the sum of their proportional shares, so that a page counts twice only once it has
//! been copied.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::process::Server;

use super::super::subject::{Subject, finish};

/// Something that goes on beside the commands: how it is begun, and the field of INFO that says
/// whether it has ended, and how.
#[derive(Clone, Copy)]
pub(super) struct Beside {
    command: &'static str,
    running: &'static str,
    status: &'static str,
}

pub(super) const SAVE: Beside = Beside {
    command: "BGSAVE",
    running: "rdb_bgsave_in_progress",
    status: "rdb_last_bgsave_status",
};
pub(super) const REWRITE: Beside = Beside {
    command: "BGREWRITEAOF",
    running: "aof_rewrite_in_progress",
    status: "aof_last_bgrewrite_status",
};

/// One write to four reads, so many a second, sent on time whether or not answers come.
const STEADY: &[&str] = &["-t", "mix", "--ratio", "1:4", "--rate", "20000", "-c", "20"];
/// Random overwrites as fast as they go.
const OVERWRITES: &[&str] = &["-t", "set", "-P", "16", "--until-eof"];
/// A load is under way for so long before anything is done beside it.
const WARM_UP: Duration = Duration::from_millis(500);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// A file system without a disk.
const MEMORY_DISK: &str = "/dev/shm";
const LOOK: Duration = Duration::from_millis(5);
/// Looking at the memory of a process costs it some time.
const MEMORY_LOOK: Duration = Duration::from_millis(50);

/// Seconds that BGSAVE takes, with nothing else going on.
pub(super) fn save(subject: &Subject<'_>) -> Result<f64, String> {
    let begun = Instant::now();
    run(subject, SAVE, LOOK, || Ok(()))?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The same with a file that lies in memory.
pub(super) fn save_to_memory(subject: &Subject<'_>) -> Result<f64, String> {
    let directory = Path::new(MEMORY_DISK).join(format!("ruddle-bench-{}", subject.server.pid()));
    fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let result = move_to(subject, &directory).and_then(|()| save(subject));
    let back = move_to(subject, subject.server.directory());
    // What is left there takes memory, and nothing else.
    let _ = fs::remove_dir_all(&directory);
    back.and(result)
}

fn move_to(subject: &Subject<'_>, directory: &Path) -> Result<(), String> {
    let command = format!("CONFIG SET dir {}", directory.display());
    say(&mut connect(&subject.server)?, &command).map(drop)
}

/// Seconds from the start of another process until it has loaded the file that was saved.
pub(super) fn load(subject: &Subject<'_>) -> Result<f64, String> {
    let directory = subject.server.directory().display().to_string();
    let arguments = ["--dir", &directory];
    let begun = Instant::now();
    let other = Server::start_binary(subject.contender.kind, subject.binary(), &arguments)?;
    let mut client = connect(&other)?;
    await_field(&mut client, "loading", "0", LOOK, || Ok(()))?;
    let seconds = begun.elapsed().as_secs_f64();
    let counts = [size(&mut client)?, size(&mut connect(&subject.server)?)?];
    match counts[0] == counts[1] {
        true => Ok(seconds),
        false => Err(format!("{} of {} keys were loaded", counts[0], counts[1])),
    }
}

/// MiB by which memory grows beside BGSAVE, while keys are overwritten.
pub(super) fn memory(subject: &Subject<'_>) -> Result<f64, String> {
    let load = subject.spawn_load(OVERWRITES, "")?;
    let grown = during(load, || {
        thread::sleep(WARM_UP);
        let before = memory_bytes(subject.server.pid())?;
        let mut peak = before;
        run(subject, SAVE, MEMORY_LOOK, || {
            peak = peak.max(memory_bytes(subject.server.pid())?);
            Ok(())
        })?;
        Ok(peak - before)
    })?;
    Ok(grown.0 as f64 / f64::from(1 << 20))
}

/// Microseconds that 99.9 % of answers keep to, with nothing beside.
pub(super) fn calm(subject: &Subject<'_>, seconds: f64) -> Result<f64, String> {
    let seconds = (seconds + 1.0).to_string();
    let load = subject.spawn_load(&[STEADY, &["--duration", &seconds]].concat(), "")?;
    finish(load).map(|measured| measured.p999_us)
}

/// The same with something beside, from its beginning to its end.
pub(super) fn beside(subject: &Subject<'_>, what: Beside) -> Result<f64, String> {
    let load = subject.spawn_load(&[STEADY, &["--until-eof"]].concat(), "")?;
    let ((), measured) = during(load, || run(subject, what, LOOK, || Ok(())))?;
    Ok(measured.p999_us)
}

/// Turns the append-only file on and waits for its base.
pub(super) fn turn_journal_on(subject: &Subject<'_>) -> Result<(), String> {
    let mut client = connect(&subject.server)?;
    say(&mut client, "CONFIG SET appendonly yes")?;
    // The rewrite may be waiting for its turn.
    await_field(&mut client, "aof_rewrite_scheduled", "0", LOOK, || Ok(()))?;
    await_field(&mut client, REWRITE.running, "0", LOOK, || Ok(()))
}

/// SETs a second from many connections.
pub(super) fn throughput(subject: &Subject<'_>, seconds: f64) -> Result<f64, String> {
    let seconds = seconds.to_string();
    let options = ["-t", "set", "-c", "50", "--duration", &seconds];
    finish(subject.spawn_load(&options, "")?).map(|measured| measured.per_second)
}

/// Microseconds of processor time that a SET costs the server.
pub(super) fn processor_time(subject: &Subject<'_>, seconds: f64) -> Result<f64, String> {
    let before = subject.cpu_ns()?;
    let seconds = seconds.to_string();
    let options = ["-t", "set", "-P", "16", "--duration", &seconds];
    let measured = finish(subject.spawn_load(&options, "")?)?;
    Ok((subject.cpu_ns()? - before) as f64 / 1e3 / measured.replies as f64)
}

/// Does something while a load runs that ends when it is told to; what both came to.
fn during<T>(
    load: Child,
    what: impl FnOnce() -> Result<T, String>,
) -> Result<(T, bench::Measurement), String> {
    let done = what();
    let measured = finish(load)?;
    Ok((done?, measured))
}

/// Begins something, and looks again and again until it has ended well.
fn run(
    subject: &Subject<'_>,
    what: Beside,
    pause: Duration,
    look: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let mut client = connect(&subject.server)?;
    say(&mut client, what.command)?;
    await_field(&mut client, what.running, "0", pause, look)?;
    match field(&mut client, what.status)?.as_str() {
        "ok" => Ok(()),
        other => Err(format!("{}: {other}", what.command)),
    }
}

fn await_field(
    client: &mut Client,
    name: &str,
    wanted: &str,
    pause: Duration,
    mut look: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while field(client, name)? != wanted {
        if Instant::now() > deadline {
            return Err(format!("{name} is not {wanted} in time"));
        }
        look()?;
        thread::sleep(pause);
    }
    Ok(())
}

/// A field of INFO.
fn field(client: &mut Client, name: &str) -> Result<String, String> {
    let text = say(client, "INFO persistence")?;
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| format!("INFO has no {name}"))
}

pub(in super::super) fn connect(server: &Server) -> Result<Client, String> {
    server.connect().map_err(|error| error.to_string())
}

pub(in super::super) fn say(client: &mut Client, command: &str) -> Result<String, String> {
    let words: Vec<&str> = command.split(' ').collect();
    let reply = client
        .call(&words)
        .map_err(|error| format!("{command}: {error}"))?;
    match reply.bytes() {
        Some(text) if !reply.is_error() => Ok(String::from_utf8_lossy(text).into_owned()),
        _ => Err(format!("{command}: {reply}")),
    }
}

fn size(client: &mut Client) -> Result<String, String> {
    let reply = client.call(&["DBSIZE"]);
    reply
        .map(|reply| reply.to_string())
        .map_err(|error| format!("DBSIZE: {error}"))
}

/// Anonymous memory of a process and its children.
pub(in super::super) fn memory_bytes(process: u32) -> Result<u64, String> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let own = kibibytes.ok_or_else(|| format!("{path}: no Pss_Anon"))? * 1024;
    // A child that ends meanwhile has no memory any more.
    let of_children = children(process)?
        .into_iter()
        .map(|child| memory_bytes(child).unwrap_or(0));
    Ok(own + of_children.sum::<u64>())
}

fn children(process: u32) -> Result<Vec<u32>, String> {
    let tasks = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
    let mut found = Vec::new();
    for task in tasks.flatten() {
        // A thread that ended meanwhile has no children.
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(
            text.split_whitespace()
                .filter_map(|word| word.parse::<u32>().ok()),
        );
    }
    Ok(found)
}
