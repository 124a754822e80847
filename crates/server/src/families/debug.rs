//! DEBUG: doors for tests, open only where `enable-debug-command` permits it.
//!
//! It is one command with its own table of subcommands, as in Redis, where COMMAND does not list
//! them either. What would show or change a machine that this server does not have is left out.

mod digest;
mod object;
mod protocol;
mod reload;

use std::sync::atomic::Ordering;
use std::time::Duration;

use base::glob::glob_match;
use base::ids::DbIndex;
use base::num::parse_i64;
use base::strings::eq_ignore_case;
use base::units::parse_memory;
use engine::args::Args;
use engine::entry::NewValue;
use engine::failure::Failure;
use engine::spec::{Flags, Group, Run, Spec};
use engine::tx::{Deadline, WriteTx};
use log::warn;
use resp::Reply;

use crate::config::Extent;
use crate::families::reply_help;
use crate::session::{ControlRun, Session};
use crate::settings::engine_limits;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::PROTECTED),
    summary: "Opens doors for tests.",
    complexity: "Depends on the subcommand",
    ..Spec::new("debug", -2, Group::Server, Run::Do(debug))
}];

struct Subcommand {
    name: &'static str,
    /// Least and largest number of words after the name.
    words: (usize, usize),
    run: ControlRun,
}

const fn row(name: &'static str, words: (usize, usize), run: ControlRun) -> Subcommand {
    Subcommand { name, words, run }
}

const SUBCOMMANDS: &[Subcommand] = &[
    row("config-rewrite-force-all", (0, 0), rewrite_all),
    row("digest", (0, 0), digest::digest),
    row("digest-value", (0, usize::MAX), digest::digest_value),
    row("error", (1, 1), error),
    row("help", (0, 0), help),
    row("htstats", (1, 2), table_stats),
    row("htstats-key", (1, 2), object::table_stats),
    row("listpack", (1, 1), object::listpack),
    row("loadaof", (0, 0), reload::load_log),
    row("log", (1, 1), log_line),
    row("object", (1, 1), object::object),
    row("populate", (1, 3), populate),
    row("protocol", (1, 1), protocol::protocol),
    row("quicklist-packed-threshold", (1, 1), list_single),
    row("reload", (0, 3), reload::reload),
    row("replicate", (1, usize::MAX), replicate),
    row("set-active-expire", (1, 1), set_active_expire),
    row("set-disable-deny-scripts", (1, 1), deny_scripts_nothing),
    row("set-skip-checksum-validation", (1, 1), skip_checksums),
    row("sleep", (1, 1), sleep),
    row("stringmatch-len", (2, 2), string_match),
];

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONFIG-REWRITE-FORCE-ALL",
    "    As CONFIG REWRITE, but write every parameter into the file.",
    "DIGEST",
    "    Sum up all data in 40 hexadecimal digits.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Sum up each of these values.",
    "ERROR <text>",
    "    Answer an error with this text.",
    "HTSTATS <db> [full]",
    "    Describe the tables of a database.",
    "HTSTATS-KEY <key> [full]",
    "    Describe the table that a value is kept in.",
    "LISTPACK <key>",
    "    Write the elements of a packed value to the log.",
    "LOADAOF",
    "    Forget all data and load the append-only files.",
    "LOG <text>",
    "    Write a line to the log.",
    "OBJECT <key>",
    "    Describe how a value is kept.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create strings with the keys <prefix>:0, <prefix>:1 and so on.",
    "PROTOCOL <type>",
    "    Answer a value of this type: string, integer, double, bignum, null, array, set, map,",
    "    attrib, push, verbatim, true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Give elements of this size a node of their own in long lists; 0 = as usual.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Write the snapshot file, delete all keys, and load the file. MERGE: what is there may be",
    "    in the file too, which wins. NOFLUSH: delete no keys. NOSAVE: load the file as it is.",
    "REPLICATE <word> [<word> ...]",
    "    Send replicas these words as a command that was not run here: their data may differ then.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Look for expired keys nobody asks for, or do not.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Let scripts call commands about the server and the connection that are not for them.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Take payloads and snapshot files whatever their checksums, or do not.",
    "SLEEP <seconds>",
    "    Stop the worker of this connection for so long. Other workers go on.",
    "STRINGMATCH-LEN <length> <pattern>",
    "    Match a pattern against so many letters a.",
    "HELP",
    "    Show these lines.",
];

fn debug(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let name = args.bytes();
    let count = args.left();
    let is_it = |row: &&Subcommand| {
        eq_ignore_case(name, row.name.as_bytes()) && (row.words.0..=row.words.1).contains(&count)
    };
    match SUBCOMMANDS.iter().find(is_it) {
        Some(row) => (row.run)(session, args, out),
        None => {
            let shown = &name[..name.len().min(NAME_SHOWN_BYTES_MAX)];
            let shown = String::from_utf8_lossy(shown);
            Err(Failure::owned(format!(
                "ERR unknown subcommand or wrong number of arguments for '{shown}'. \
                 Try DEBUG HELP."
            )))
        }
    }
}

/// Longest name quoted in the error for an unknown subcommand.
const NAME_SHOWN_BYTES_MAX: usize = 128;

fn help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(HELP, out);
    Ok(())
}

fn rewrite_all(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    super::config::rewrite_file(session, Extent::All, out)
}

fn error(_: &mut Session<'_, '_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Failure> {
    Err(Failure::owned(args.bytes()))
}

fn log_line(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.bytes()));
    out.ok();
    Ok(())
}

/// Longest sleep; more would only hang a test.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

/// Sleeps on the worker: what it serves waits, what other workers serve does not.
fn sleep(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(args.bytes());
    // Compat: what is no number is no time.
    let seconds: f64 = text.parse().unwrap_or(0.0);
    let seconds = if seconds.is_nan() { 0.0 } else { seconds };
    std::thread::sleep(Duration::from_secs_f64(
        seconds.clamp(0.0, SLEEP_SECONDS_MAX),
    ));
    out.ok();
    Ok(())
}

/// Puts a command into the stream whatever it is.
fn replicate(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut words = Vec::new();
    while args.left() > 0 {
        words.push(args.bytes());
    }
    let mut command = Vec::new();
    resp::encode_command(&words, &mut command);
    let primary = &session.server.replicating.primary;
    primary.append(session.server, &command, session.env.now);
    out.ok();
    Ok(())
}

fn list_single(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let bytes = parse_memory(args.bytes()).filter(|&bytes| bytes <= LIST_SINGLE_BYTES_MAX);
    let Some(bytes) = bytes else {
        return Err(Failure::fixed(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        ));
    };
    let mut config = session.server.config.lock();
    config.set_list_single_bytes_min(bytes as usize);
    session.env.limits = engine_limits(config.settings(), &session.server.keyspace);
    session.server.settings.set(config.settings().clone());
    out.ok();
    Ok(())
}

/// Largest argument of QUICKLIST-PACKED-THRESHOLD.
const LIST_SINGLE_BYTES_MAX: u64 = (1 << 32) - (1 << 20);

fn set_active_expire(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    // Compat: what is no number is zero.
    let on = parse_i64(args.bytes()).unwrap_or(0) != 0;
    session.server.active_expire.store(on, Ordering::Relaxed);
    out.ok();
    Ok(())
}

fn deny_scripts_nothing(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    // Compat: what is no number is zero.
    let on = parse_i64(args.bytes()).unwrap_or(0) != 0;
    let scripting = &session.server.scripting;
    scripting.any_command.store(on, Ordering::Relaxed);
    out.ok();
    Ok(())
}

fn skip_checksums(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    // Compat: what is no number is zero.
    let skip = parse_i64(args.bytes()).unwrap_or(0) != 0;
    let mut config = session.server.config.lock();
    config.set_skip_checksums(skip);
    session.env.limits = engine_limits(config.settings(), &session.server.keyspace);
    session.server.settings.set(config.settings().clone());
    out.ok();
    Ok(())
}

/// Longest text that STRINGMATCH-LEN makes, in bytes.
const MATCHED_BYTES_MAX: i64 = 64 << 20;

fn string_match(
    _: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let length = args.int();
    let pattern = args.bytes();
    args.end()?;
    let text = vec![b'a'; length.clamp(0, MATCHED_BYTES_MAX) as usize];
    out.int(glob_match(pattern, &text, false).into());
    Ok(())
}

const NOT_POSITIVE: Failure = Failure::fixed("ERR value is out of range, must be positive");

fn positive(args: &mut Args<'_>) -> usize {
    usize::try_from(args.int_or(NOT_POSITIVE)).unwrap_or_else(|_| {
        args.fail(NOT_POSITIVE);
        0
    })
}

/// Creates the keys that are not there yet. Leases one key after the other.
fn populate(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let count = positive(args);
    let prefix: &[u8] = if args.left() > 0 {
        args.bytes()
    } else {
        b"key"
    };
    let size = (args.left() > 0).then(|| positive(args));
    args.end()?;
    let keyspace = session.lease.keyspace();
    for number in 0..count {
        let name = [prefix, format!(":{number}").as_bytes()].concat();
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        let key = keyspace.key(&name);
        session.lease.cover(std::iter::once(key.hash));
        let mut tx = WriteTx::new(session.lease, session.env, session.client.db);
        if tx.find(key).is_none() {
            tx.put(key, NewValue::Bytes(&value), Deadline::Clear);
        }
    }
    out.ok();
    Ok(())
}

/// Sums over the stripes of one database.
#[derive(Default)]
struct TableStats {
    tables: usize,
    keys: usize,
    volatile: usize,
    segments: usize,
    slots: usize,
    overhead_bytes: usize,
}

fn table_stats(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let db = args.int();
    args.check()?;
    let keyspace = session.lease.keyspace();
    let db = u32::try_from(db)
        .ok()
        .filter(|&db| db < keyspace.databases())
        .ok_or(Failure::fixed("ERR Out of range database"))?;
    let mut stats = TableStats::default();
    for stripe in keyspace.stripes() {
        let table = session.lease.only(stripe).table(DbIndex(db));
        stats.tables += 1;
        stats.keys += table.len();
        stats.volatile += table.volatile();
        stats.segments += table.segment_count();
        stats.slots += table.slots();
        stats.overhead_bytes += table.overhead_bytes();
    }
    let text = format!(
        "tables: {}\nkeys: {}\nkeys with a deadline: {}\nsegments: {}\nslots: {}\nbytes: {}\n",
        stats.tables, stats.keys, stats.volatile, stats.segments, stats.slots, stats.overhead_bytes
    );
    out.verbatim(b"txt", text.as_bytes());
    Ok(())
}
