//! Rows about strings, and about the server as a whole.

use super::{DataSet, Fill, Goal, Group, LineUp, Load, Metric, REDIS, Row, VALKEY, Work, ruddle};

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

const SMALL: DataSet = strings(1_000_000, 64);
const TINY: DataSet = strings(1_000_000, 8);
const SMALL_MORE: DataSet = strings(1_500_000, 64);
const TINY_MORE: DataSet = strings(1_500_000, 8);
const MEDIUM: DataSet = strings(10_000, 16 * 1024);
const LARGE: DataSet = strings(100, 1024 * 1024);

const fn strings(keys: u64, value_bytes: u64) -> DataSet {
    DataSet {
        keys,
        value_bytes,
        fill: Fill::Strings,
    }
}

/// A load of the generator's own scenarios.
const fn scenario(options: &'static [&'static str]) -> Load {
    Load {
        options,
        command: "",
    }
}

/// A row about processor time per reply on one core.
fn cpu(name: &'static str, options: &'static [&'static str], times: f64) -> Row {
    Row {
        group: Group::Strings,
        name: name.to_owned(),
        data: SMALL,
        line_up: PINNED,
        work: Work::Load(scenario(options)),
        pipeline: None,
        metric: Metric::CpuPerReply,
        goal: Goal::TimesBetter(times),
    }
}

/// A row about resident memory after loading.
fn memory(name: &'static str, data: DataSet, part: f64) -> Row {
    Row {
        group: Group::Strings,
        name: name.to_owned(),
        data,
        line_up: PINNED,
        work: Work::Fill,
        pipeline: None,
        metric: Metric::BytesPerKey,
        goal: Goal::AtMost(part),
    }
}

/// A row about the throughput of large values.
fn large(name: &'static str, data: DataSet) -> Row {
    Row {
        group: Group::Strings,
        name: name.to_owned(),
        data,
        line_up: PINNED,
        work: Work::Load(scenario(&["-t", "get"])),
        pipeline: None,
        metric: Metric::Throughput,
        goal: Goal::TimesBetter(1.2),
    }
}

/// A row about what more workers cost per reply.
fn workers(name: &'static str, line_up: LineUp, options: &'static [&'static str]) -> Row {
    Row {
        group: Group::Strings,
        name: name.to_owned(),
        data: SMALL,
        line_up,
        work: Work::Load(scenario(options)),
        pipeline: None,
        metric: Metric::CpuPerReply,
        goal: Goal::AtMost(1.15),
    }
}

/// All rows of this group.
pub(super) fn rows() -> Vec<Row> {
    vec![
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
            group: Group::Strings,
            name: "GET beside KEYS *".to_owned(),
            data: SMALL,
            line_up: FREE,
            work: Work::LoadBeside(
                scenario(&["-t", "get", "-c", "20", "--rate", "2000"]),
                &["KEYS", "*"],
            ),
            pipeline: None,
            metric: Metric::P999,
            goal: Goal::AtMost(0.2),
        },
    ]
}
