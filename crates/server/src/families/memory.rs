//! MEMORY: what a key costs, where the memory goes, and what to do about it.

use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, KeySpec, Run, Spec};
use engine::table::SLOT_BYTES;
use engine::tx::ReadTx;
use resp::Reply;

use crate::allocator;
use crate::memory::{MemoryInfo, memory_info};
use crate::session::{ControlRun, Session};

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    since: "4.0.0",
    summary: "A container for memory diagnostics commands.",
    complexity: "Depends on subcommand.",
    ..Spec::new("memory", -2, Group::Server, Run::Container(SUBCOMMANDS))
}];

const REPORT_TIPS: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
];

const SUBCOMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        since: "4.0.0",
        summary: "Looks for memory problems and says what to do about them.",
        tips: REPORT_TIPS,
        ..Spec::new("doctor", 2, Group::Server, Run::Do(doctor))
    },
    Spec {
        since: "4.0.0",
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "Lists the subcommands.",
        ..Spec::new("help", 2, Group::Server, Run::Do(help))
    },
    Spec {
        since: "4.0.0",
        summary: "Returns the allocator's own statistics.",
        complexity: "Depends on how much memory is allocated, could be slow",
        tips: REPORT_TIPS,
        ..Spec::new("malloc-stats", 2, Group::Server, Run::Do(malloc_stats))
    },
    Spec {
        since: "4.0.0",
        summary: "Makes the allocator return free memory to the system.",
        complexity: "Depends on how much memory is allocated, could be slow",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..Spec::new("purge", 2, Group::Server, Run::Do(purge))
    },
    Spec {
        since: "4.0.0",
        summary: "Returns where the memory goes.",
        tips: REPORT_TIPS,
        ..Spec::new("stats", 2, Group::Server, Run::Do(stats))
    },
    Spec {
        since: "4.0.0",
        flags: Flags::READONLY,
        keys: &[KeySpec::at(2, &["RO"])],
        summary: "Returns the memory that a key and its value take.",
        complexity: "O(N) where N is the number of samples.",
        args: &[
            Arg::KEY,
            Arg::new("count", ArgKind::Integer)
                .token("SAMPLES")
                .optional(),
        ],
        ..Spec::new("usage", -3, Group::Server, Run::Do(usage))
    },
];

fn doctor(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    out.verbatim(
        b"txt",
        diagnosis(&memory_info(session.server, session.lease)).as_bytes(),
    );
    Ok(())
}

fn help(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    args.end()?;
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line.as_bytes()));
    Ok(())
}

fn malloc_stats(
    _: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    out.verbatim(b"txt", &allocator::report());
    Ok(())
}

fn purge(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    args.end()?;
    if !allocator::purge() {
        return Err(Failure::fixed("ERR Error purging dirty pages"));
    }
    out.ok();
    Ok(())
}

fn stats(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    let info = memory_info(session.server, session.lease);
    let (before, after) = (
        numbers_before_databases(&info),
        numbers_after_databases(&info),
    );
    out.map(before.len() + info.databases.len() + after.len());
    reply_numbers(&before, out);
    for db in &info.databases {
        out.bulk(format!("db.{}", db.db.0).as_bytes());
        out.map(2);
        reply_numbers(
            &[
                ("overhead.hashtable.main", Number::Bytes(db.table_bytes)),
                // Deadlines are in the entries: no second table.
                ("overhead.hashtable.expires", Number::Bytes(0)),
            ],
            out,
        );
    }
    reply_numbers(&after, out);
    Ok(())
}

/// One value of MEMORY STATS.
#[derive(Clone, Copy)]
enum Number {
    Bytes(u64),
    Signed(i64),
    Real(f64),
}

fn reply_numbers(rows: &[(&str, Number)], out: &mut Reply) {
    for &(name, number) in rows {
        out.bulk(name.as_bytes());
        match number {
            Number::Bytes(bytes) => out.int(bytes as i64),
            Number::Signed(value) => out.int(value),
            Number::Real(value) => out.double(value),
        }
    }
}

/// Fields of capabilities that are still to come are there and zero, as tools expect them.
fn numbers_before_databases(info: &MemoryInfo) -> Vec<(&'static str, Number)> {
    vec![
        ("peak.allocated", Number::Bytes(info.peak)),
        ("total.allocated", Number::Bytes(info.used)),
        ("startup.allocated", Number::Bytes(info.startup)),
        ("replication.backlog", Number::Bytes(0)),
        ("replica.fullsync.buffer", Number::Bytes(0)),
        ("clients.slaves", Number::Bytes(0)),
        ("clients.normal", Number::Bytes(info.clients)),
        ("cluster.links", Number::Bytes(0)),
        ("aof.buffer", Number::Bytes(0)),
        ("lua.caches", Number::Bytes(0)),
        ("functions.caches", Number::Bytes(0)),
        ("script.VMs", Number::Bytes(0)),
    ]
}

fn numbers_after_databases(info: &MemoryInfo) -> Vec<(&'static str, Number)> {
    let tables = info.databases.iter().map(|db| db.table_bytes).sum();
    let (frag, allocator_rss) = (info.allocator_fragmentation(), info.allocator_rss());
    let (rss_overhead, all) = (info.rss_overhead(), info.fragmentation());
    vec![
        ("overhead.db.hashtable.lut", Number::Bytes(tables)),
        // Tables grow by one segment at a time; there is never a second one being filled.
        ("overhead.db.hashtable.rehashing", Number::Bytes(0)),
        ("overhead.total", Number::Bytes(info.overhead)),
        ("db.dict.rehashing.count", Number::Bytes(0)),
        ("keys.count", Number::Bytes(info.keys())),
        ("keys.bytes-per-key", Number::Bytes(info.bytes_per_key())),
        ("dataset.bytes", Number::Bytes(info.dataset())),
        ("dataset.percentage", Number::Real(info.dataset_percent())),
        ("peak.percentage", Number::Real(info.peak_percent())),
        (
            "allocator.allocated",
            Number::Bytes(info.allocator.allocated),
        ),
        ("allocator.active", Number::Bytes(info.allocator.active)),
        ("allocator.resident", Number::Bytes(info.allocator.resident)),
        ("allocator.muzzy", Number::Bytes(info.allocator.muzzy)),
        ("allocator-fragmentation.ratio", Number::Real(frag.ratio)),
        ("allocator-fragmentation.bytes", Number::Signed(frag.bytes)),
        ("allocator-rss.ratio", Number::Real(allocator_rss.ratio)),
        ("allocator-rss.bytes", Number::Signed(allocator_rss.bytes)),
        ("rss-overhead.ratio", Number::Real(rss_overhead.ratio)),
        ("rss-overhead.bytes", Number::Signed(rss_overhead.bytes)),
        ("fragmentation", Number::Real(all.ratio)),
        ("fragmentation.bytes", Number::Signed(all.bytes)),
    ]
}

fn usage(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    while args.left() > 0 {
        // Strings are measured, not sampled; the count only has to make sense.
        args.option(&[("SAMPLES", ())]);
        if args.int() < 0 {
            return Err(Failure::SYNTAX);
        }
        args.check()?;
    }
    args.end()?;
    session.lease.cover(std::iter::once(key.hash));
    let tx = ReadTx::new(session.lease, session.env, session.client.db);
    match tx.peek(key) {
        Some(entry) => out.int((entry.allocated() + SLOT_BYTES) as i64),
        None => out.null(),
    }
    Ok(())
}

/// A finding of MEMORY DOCTOR: when it applies, and what it says.
type Finding = (fn(&MemoryInfo) -> bool, &'static str);

/// Below this nothing can be said: a few pages are a large part of so little.
const DIAGNOSED_BYTES_MIN: u64 = 5 << 20;
/// Waste that matters, in bytes.
const WASTE_BYTES_MIN: i64 = 10 << 20;
/// Buffers per connection that are worth a look.
const CLIENT_BYTES_MAX: u64 = 200 << 10;

const FINDINGS: &[Finding] = &[
    (
        |info| info.peak > info.used / 2 * 3,
        "Peak: at its peak the server used over 150 % of what it uses now. Until the allocator \
         gives pages back, the process may look larger than its data. MEMORY PURGE speeds that up.",
    ),
    (
        |info| wasteful(info.allocator_fragmentation(), 1.1),
        "Fragmentation: more than a tenth of the pages in use is free space between blocks. This \
         happens when sizes of values change a lot; it is reused when such values come again.",
    ),
    (
        |info| wasteful(info.allocator_rss(), 1.1),
        "Free pages: the allocator keeps many pages that hold nothing. They go back to the system \
         after some seconds of rest, or at once by MEMORY PURGE.",
    ),
    (
        |info| wasteful(info.rss_overhead(), 1.1),
        "Process: resident memory is much larger than what the allocator holds: something other \
         than the data takes it.",
    ),
    (
        |info| info.clients > CLIENT_BYTES_MAX * 10 && info.clients > info.used / 4,
        "Connections: their buffers hold over a quarter of the memory. Some clients send large \
         queries or read replies too slowly; see CLIENT LIST, and client-output-buffer-limit.",
    ),
    (
        |info| info.limit > 0 && info.used > info.limit,
        "Limit: more memory is used than maxmemory allows. Commands that need memory evict keys \
         first, or fail if the policy finds none.",
    ),
];

fn wasteful(spread: crate::memory::Spread, ratio: f64) -> bool {
    spread.ratio > ratio && spread.bytes > WASTE_BYTES_MIN
}

fn diagnosis(info: &MemoryInfo) -> String {
    if info.used < DIAGNOSED_BYTES_MIN {
        return "There is too little data to say anything about memory. Ask again with more."
            .into();
    }
    let found: Vec<&str> = FINDINGS
        .iter()
        .filter(|(applies, _)| applies(info))
        .map(|&(_, text)| text)
        .collect();
    if found.is_empty() {
        return "No memory problem found.".into();
    }
    format!("Findings:\n\n * {}\n", found.join("\n\n * "))
}

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Look for memory problems.",
    "MALLOC-STATS",
    "    Show the allocator's statistics.",
    "PURGE",
    "    Give free pages back to the system.",
    "STATS",
    "    Show where the memory goes.",
    "USAGE <key> [SAMPLES <count>]",
    "    Show the bytes that <key> and its value take. Strings are measured exactly;",
    "    <count> (default 5, 0 means all) is for values with many elements.",
    "HELP",
    "    Show this text.",
];
