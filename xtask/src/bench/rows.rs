//! What is measured: one row each, in the order of the report.
//!
//! Consecutive rows with the same data and line-up share their servers. To add a measurement: one
//! row.

use testkit::peers::Kind;

/// The keys that a server holds while a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataSet {
    /// Number of keys, 16 bytes each.
    pub(super) keys: u64,
    /// Bytes of each value.
    pub(super) value_bytes: u64,
}

/// A server and how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    /// What the report calls it.
    pub(super) label: &'static str,
    /// Which program.
    pub(super) kind: Kind,
    /// Directives besides the usual ones.
    pub(super) arguments: &'static [&'static str],
}

/// Servers that are compared, and where they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineUp {
    /// All of them; the first is ours.
    pub(super) contenders: &'static [Contender],
    /// The label of the one that ratios are taken to.
    pub(super) base: &'static str,
    /// Whether servers are bound to core 0 and the load to core 1.
    pub(super) pinned: bool,
}

/// What is done to the servers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// Nothing: the fill itself was the measurement.
    Fill,
    /// The load generator with these options.
    Load(&'static [&'static str]),
    /// The same while a single other client sends this command again and again.
    LoadBeside(&'static [&'static str], &'static [&'static str]),
}

/// The number that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// Server's processor time per reply.
    CpuPerReply,
    /// Replies a second.
    Throughput,
    /// Resident memory over that of the empty server, per key.
    BytesPerKey,
    /// Latency that 99.9 % of replies keep to.
    P999,
}

/// What ours must reach against the base.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Better by this factor: less of what is spent, more of what is done.
    TimesBetter(f64),
    /// Ours is at most this part of the base's.
    AtMost(f64),
}

/// One line of `BENCHMARKS.md`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) data: DataSet,
    pub(super) line_up: LineUp,
    pub(super) work: Work,
    pub(super) metric: Metric,
    pub(super) goal: Goal,
}

const fn ruddle(label: &'static str, arguments: &'static [&'static str]) -> Contender {
    Contender {
        label,
        kind: Kind::Ruddle,
        arguments,
    }
}

const VALKEY: Contender = Contender {
    label: "valkey",
    kind: Kind::Valkey,
    arguments: &[],
};
const REDIS: Contender = Contender {
    label: "redis",
    kind: Kind::Redis,
    arguments: &[],
};

/// A core of server against a core of load.
const PINNED: LineUp = LineUp {
    contenders: &[ruddle("ruddle", &["--workers", "1"]), VALKEY, REDIS],
    base: "valkey",
    pinned: true,
};

/// Ours against itself: what more workers cost.
const TWO_WORKERS: LineUp = LineUp {
    contenders: &[
        ruddle("workers 2", &["--workers", "2"]),
        ruddle("workers 1", &["--workers", "1"]),
    ],
    base: "workers 1",
    pinned: false,
};
const FOUR_WORKERS: LineUp = LineUp {
    contenders: &[
        ruddle("workers 4", &["--workers", "4"]),
        ruddle("workers 1", &["--workers", "1"]),
    ],
    base: "workers 1",
    pinned: false,
};

/// All cores for everybody.
const FREE: LineUp = LineUp {
    contenders: &[ruddle("ruddle", &["--workers", "2"]), VALKEY, REDIS],
    base: "valkey",
    pinned: false,
};

const SMALL: DataSet = DataSet {
    keys: 1_000_000,
    value_bytes: 64,
};
const TINY: DataSet = DataSet {
    keys: 1_000_000,
    value_bytes: 8,
};
const SMALL_MORE: DataSet = DataSet {
    keys: 1_500_000,
    value_bytes: 64,
};
const TINY_MORE: DataSet = DataSet {
    keys: 1_500_000,
    value_bytes: 8,
};
const MEDIUM: DataSet = DataSet {
    keys: 10_000,
    value_bytes: 16 * 1024,
};
const LARGE: DataSet = DataSet {
    keys: 100,
    value_bytes: 1024 * 1024,
};

/// A row about processor time per reply on one core.
const fn cpu(name: &'static str, options: &'static [&'static str], times: f64) -> Row {
    Row {
        name,
        data: SMALL,
        line_up: PINNED,
        work: Work::Load(options),
        metric: Metric::CpuPerReply,
        goal: Goal::TimesBetter(times),
    }
}

/// A row about resident memory after loading.
const fn memory(name: &'static str, data: DataSet, part: f64) -> Row {
    Row {
        name,
        data,
        line_up: PINNED,
        work: Work::Fill,
        metric: Metric::BytesPerKey,
        goal: Goal::AtMost(part),
    }
}

/// A row about the throughput of large values.
const fn large(name: &'static str, data: DataSet) -> Row {
    Row {
        name,
        data,
        line_up: PINNED,
        work: Work::Load(&["-t", "get"]),
        metric: Metric::Throughput,
        goal: Goal::TimesBetter(1.2),
    }
}

/// A row about what more workers cost per reply.
const fn workers(name: &'static str, line_up: LineUp, options: &'static [&'static str]) -> Row {
    Row {
        name,
        data: SMALL,
        line_up,
        work: Work::Load(options),
        metric: Metric::CpuPerReply,
        goal: Goal::AtMost(1.15),
    }
}

/// All rows.
pub(super) const ROWS: &[Row] = &[
    cpu("GET P=1", &["-t", "get", "-P", "1"], 1.1),
    cpu("SET P=1", &["-t", "set", "-P", "1"], 1.1),
    cpu("GET P=16", &["-t", "get", "-P", "16"], 1.6),
    cpu("SET P=16", &["-t", "set", "-P", "16"], 1.8),
    cpu("GET P=100", &["-t", "get", "-P", "100"], 2.5),
    cpu("SET P=100", &["-t", "set", "-P", "100"], 3.0),
    cpu("MGET(10) P=16", &["-t", "mget10", "-P", "16"], 1.5),
    cpu(
        "90/10 mix P=16",
        &["-t", "mix", "--ratio", "1:9", "-P", "16"],
        1.5,
    ),
    memory("memory 16+64, 1M", SMALL, 0.85),
    // Last of its data: it adds keys.
    cpu("INCR P=16", &["-t", "incr", "-P", "16"], 1.5),
    memory("memory 16+8, 1M", TINY, 0.80),
    memory("memory 16+64, 1.5M", SMALL_MORE, 0.85),
    memory("memory 16+8, 1.5M", TINY_MORE, 0.80),
    large("GET 16 KiB", MEDIUM),
    large("GET 1 MiB", LARGE),
    workers("GET P=1, 2 workers", TWO_WORKERS, &["-t", "get", "-P", "1"]),
    workers(
        "GET P=16, 2 workers",
        TWO_WORKERS,
        &["-t", "get", "-P", "16"],
    ),
    workers(
        "SET P=16, 2 workers",
        TWO_WORKERS,
        &["-t", "set", "-P", "16"],
    ),
    workers(
        "GET P=100, 2 workers",
        TWO_WORKERS,
        &["-t", "get", "-P", "100"],
    ),
    workers(
        "GET P=1, 4 workers",
        FOUR_WORKERS,
        &["-t", "get", "-P", "1"],
    ),
    workers(
        "GET P=16, 4 workers",
        FOUR_WORKERS,
        &["-t", "get", "-P", "16"],
    ),
    workers(
        "SET P=16, 4 workers",
        FOUR_WORKERS,
        &["-t", "set", "-P", "16"],
    ),
    workers(
        "GET P=100, 4 workers",
        FOUR_WORKERS,
        &["-t", "get", "-P", "100"],
    ),
    Row {
        name: "GET beside KEYS *",
        data: SMALL,
        line_up: FREE,
        work: Work::LoadBeside(&["-t", "get", "-c", "20", "--rate", "2000"], &["KEYS", "*"]),
        metric: Metric::P999,
        goal: Goal::AtMost(0.2),
    },
];
