//! Rows about clients that work together through the server: scripts, transactions,
//! publish/subscribe, and waiting for one another.

use super::{DataSet, Fill, Goal, Group, LineUp, Load, Metric, Row, VALKEY, Work, ruddle};

const PAIR: LineUp = LineUp {
    contenders: &[ruddle("ruddle", &["--workers", "1"]), VALKEY],
    base: "valkey",
    pinned: true,
};

/// A hundred thousand counters; the values that are sent have 64 bytes.
const DATA: DataSet = DataSet {
    keys: 100_000,
    value_bytes: 64,
    fill: Fill::Loads(&[
        Load {
            options: &[],
            command: "INCR counter:__key__",
        },
        Load {
            options: &["-n", "1", "-c", "1", "-P", "1"],
            command: "SCRIPT LOAD redis.call('GET',KEYS[1])return(redis.call('INCR',KEYS[1]))",
        },
    ]),
};

/// The script by its digest; a wrong one is answered with an error, which fails the row.
const EVALSHA: &str = "EVALSHA f1cfca4fdb97e95cbb239d08ba75318be58a0bb7 1 counter:__key__";

/// A row: its name, the generator's options, the command if they name no scenario, the number it
/// is about, and how many times better that must be.
type Measurement = (
    &'static str,
    &'static [&'static str],
    &'static str,
    Metric,
    f64,
);

/// The first goal of a pair of rows is the one that was set; the second row is beside it to tell
/// what of it is system calls.
const MEASUREMENTS: &[Measurement] = &[
    (
        "EVALSHA GET, INCR P=16",
        &["-P", "16"],
        EVALSHA,
        Metric::CpuPerReply,
        1.5,
    ),
    (
        "MULTI, INCR, INCR, EXEC P=16",
        &["-t", "multi", "-P", "16"],
        "",
        Metric::CpuPerReply,
        1.8,
    ),
    (
        "MULTI, INCR, INCR, EXEC P=4",
        &["-t", "multi", "-P", "4"],
        "",
        Metric::CpuPerReply,
        1.8,
    ),
    (
        "PUBLISH to 100 P=1",
        &[
            "-t",
            "publish",
            "--subscribers",
            "100",
            "-c",
            "1",
            "-P",
            "1",
        ],
        "",
        Metric::CpuPerMessage,
        1.3,
    ),
    (
        "PUBLISH to 100 P=16",
        &[
            "-t",
            "publish",
            "--subscribers",
            "100",
            "-c",
            "1",
            "-P",
            "16",
        ],
        "",
        Metric::CpuPerMessage,
        1.3,
    ),
];

/// Numbers of connections of BLPOP/LPUSH ping-pong.
const PLAYERS: &[(&str, &[&str])] = &[
    (
        "BLPOP/LPUSH ping-pong, 1 pair",
        &["-t", "pingpong", "-P", "1", "-c", "2"],
    ),
    (
        "BLPOP/LPUSH ping-pong, 25 pairs",
        &["-t", "pingpong", "-P", "1", "-c", "50"],
    ),
];

/// All rows of this group.
pub(super) fn rows() -> Vec<Row> {
    let row = |name: &str, work: Work, metric: Metric, times: f64| Row {
        group: Group::Coordination,
        name: name.to_owned(),
        data: DATA,
        line_up: PAIR,
        work,
        pipeline: None,
        metric,
        goal: Goal::TimesBetter(times),
    };
    let measurements = MEASUREMENTS.iter();
    let mut rows: Vec<Row> = measurements
        .map(|&(name, options, command, metric, times)| {
            row(name, Work::Load(Load { options, command }), metric, times)
        })
        .collect();
    rows.extend(PLAYERS.iter().map(|&(name, options)| {
        let work = Work::LoadAfter(
            EMPTY,
            Load {
                options,
                command: "",
            },
        );
        row(name, work, Metric::CpuPerReply, 1.1)
    }));
    rows
}

/// The end of a run may leave an element in a list.
const EMPTY: &[Load] = &[Load {
    options: &["-n", "1", "-c", "1", "-P", "1"],
    command: "FLUSHALL",
}];
