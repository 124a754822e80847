//! Rows about lists, sets, hashes, sorted sets, streams, bitmaps, HyperLogLogs and places: what one
//! operation costs in large collections, what a call about a whole collection costs, and memory.
//!
//! Servers are started and filled once for each type.

use super::{DataSet, Fill, Goal, Group, LineUp, Load, Median, Metric, Row, VALKEY, Work, ruddle};

const PAIR: LineUp = LineUp {
    contenders: &[ruddle("ruddle", &["--workers", "1"]), VALKEY],
    base: "valkey",
    pinned: true,
};

/// Elements of the large collections.
const ELEMENTS: u64 = 1_000_000;

const fn data(fill: &'static [Load]) -> DataSet {
    DataSet {
        keys: ELEMENTS,
        value_bytes: 16,
        fill: Fill::Loads(fill),
    }
}

/// A command, sent as the context of the load says.
const fn send(command: &'static str) -> Load {
    send_with(&[], command)
}

const fn send_with(options: &'static [&'static str], command: &'static str) -> Load {
    Load { options, command }
}

/// Sent once.
const fn once(command: &'static str) -> Load {
    send_with(&["-n", "1", "-c", "1", "-P", "1"], command)
}

/// Sent a million times.
const fn million(command: &'static str) -> Load {
    send_with(&["-n", "1000000"], command)
}

/// One operation: its name, and what is done to measure it.
type Operation = (&'static str, Work);

const LISTS: DataSet = data(&[send_with(&["-n", "10000"], "RPUSH range __data__")]);

const LIST_OPERATIONS: &[Operation] = &[
    (
        "LPUSH",
        Work::LoadAfter(&[once("DEL list")], million("LPUSH list __data__")),
    ),
    (
        "RPOP",
        Work::LoadAfter(
            &[
                once("DEL list"),
                send_with(
                    &["-n", "110000", "-P", "16"],
                    "RPUSH list __data__ __data__ __data__ __data__ __data__ __data__ __data__ \
                     __data__ __data__ __data__",
                ),
            ],
            million("RPOP list"),
        ),
    ),
    ("LRANGE 100", Work::Load(send("LRANGE range 0 99"))),
];

const SETS: DataSet = data(&[send("SADD set __key__")]);

const SET_OPERATIONS: &[Operation] = &[
    (
        "SADD",
        Work::LoadAfter(&[once("DEL adding")], million("SADD adding __key__")),
    ),
    ("SISMEMBER", Work::Load(send("SISMEMBER set __key__"))),
];

const HASHES: DataSet = data(&[
    send("HSET hash __key__ __data__"),
    send_with(
        &["-n", "10000", "-r", "10000"],
        "HSET small:__key__ f00 __data__ f01 __data__ f02 __data__ f03 __data__ f04 __data__ \
         f05 __data__ f06 __data__ f07 __data__ f08 __data__ f09 __data__ f10 __data__ \
         f11 __data__ f12 __data__ f13 __data__ f14 __data__ f15 __data__ f16 __data__ \
         f17 __data__ f18 __data__ f19 __data__",
    ),
]);

const HASH_OPERATIONS: &[Operation] = &[
    ("HSET", Work::Load(send("HSET hash __key__ __data__"))),
    ("HGET", Work::Load(send("HGET hash __key__"))),
    (
        "HGETALL 20",
        Work::Load(send_with(&["-r", "10000"], "HGETALL small:__key__")),
    ),
];

const ZSETS: DataSet = data(&[send("ZADD zset __num__ key:000000__same__")]);

const ZSET_OPERATIONS: &[Operation] = &[
    ("ZADD", Work::Load(send("ZADD zset __num__ __key__"))),
    (
        "ZRANGE by rank",
        // Ranks from 500,000 to 599,999.
        Work::Load(send_with(
            &["-r", "10000"],
            "ZRANGE zset 5__num__0 5__same__9",
        )),
    ),
    (
        "ZRANGE by score",
        Work::Load(send("ZRANGE zset __num__ +inf BYSCORE LIMIT 0 10")),
    ),
    ("ZRANK", Work::Load(send("ZRANK zset __key__"))),
    ("ZINCRBY", Work::Load(send("ZINCRBY zset 1 __key__"))),
];

const STREAMS: DataSet = data(&[send_with(
    &["--key-pattern", "sequential", "-c", "1"],
    "XADD filled 1__num__-1 field __data__",
)]);

const STREAM_OPERATIONS: &[Operation] = &[
    (
        "XADD",
        Work::LoadAfter(
            &[once("DEL stream")],
            million("XADD stream * field __data__"),
        ),
    ),
    (
        "XRANGE 10",
        Work::Load(send("XRANGE filled 1__num__ + COUNT 10")),
    ),
];

const STRINGS: DataSet = data(&[once("SETBIT bits 11000000 1"), send("PFADD hll __key__")]);

const STRING_OPERATIONS: &[Operation] = &[
    ("SETBIT", Work::Load(send("SETBIT bits 1__num__ 1"))),
    ("PFADD", Work::Load(send("PFADD hll __key__"))),
];

/// Ten thousand places in a square of one degree, that is, one in 1.24 square kilometres.
const PLACES: DataSet = data(&[send_with(
    &["-n", "10000", "--key-pattern", "uniform"],
    "GEOADD geo 1.__num__ 1.__num__ __key__",
)]);

const PLACE_OPERATIONS: &[Operation] = &[(
    "GEOSEARCH 100",
    Work::Load(send(
        "GEOSEARCH geo FROMLONLAT 1.4__num__ 1.4__num__ BYRADIUS 6.27 km",
    )),
)];

const OPERATIONS: &[(DataSet, &[Operation])] = &[
    (LISTS, LIST_OPERATIONS),
    (SETS, SET_OPERATIONS),
    (HASHES, HASH_OPERATIONS),
    (ZSETS, ZSET_OPERATIONS),
    (STREAMS, STREAM_OPERATIONS),
    (STRINGS, STRING_OPERATIONS),
    (PLACES, PLACE_OPERATIONS),
];

/// Requests under way per connection, and how many times better an operation must be then.
const PIPELINES: &[(u32, f64)] = &[(16, 1.4), (100, 1.6)];

pub(super) const MEDIANS: &[Median] = &[
    Median {
        name: "median of operations P=16",
        group: Group::Types,
        suffix: " P=16",
        times: 1.8,
    },
    Median {
        name: "median of operations P=100",
        group: Group::Types,
        suffix: " P=100",
        times: 2.2,
    },
];

/// A call that takes long: few at a time.
const fn call(command: &'static str) -> Load {
    send_with(&["-c", "4"], command)
}

/// For each kind of call what it needs.
const CALLS: &[(DataSet, &[Operation])] = &[
    (
        data(&[send_with(
            &["-n", "1", "-c", "1", "-d", "1m"],
            "SET big __data__",
        )]),
        &[("BITCOUNT 1 MiB", Work::Load(call("BITCOUNT big")))],
    ),
    (
        // Half of each set is in the other one, too.
        data(&[
            send_with(&["-n", "10000", "-r", "10000"], "SADD s1 member:__num__"),
            send_with(&["-n", "5000", "-r", "5000"], "SADD s2 member:__num__"),
            send_with(&["-n", "5000", "-r", "5000"], "SADD s2 other:__num__"),
        ]),
        &[
            ("SINTER 2 x 10k", Work::Load(call("SINTER s1 s2"))),
            ("SUNION 2 x 10k", Work::Load(call("SUNION s1 s2"))),
        ],
    ),
    (
        data(&[
            send_with(
                &["-n", "10000", "-r", "10000"],
                "ZADD z1 __num__ member:__same__",
            ),
            send_with(
                &["-n", "5000", "-r", "5000"],
                "ZADD z2 __num__ member:__same__",
            ),
            send_with(
                &["-n", "5000", "-r", "5000"],
                "ZADD z2 __num__ other:__same__",
            ),
        ]),
        &[(
            "ZUNIONSTORE 2 x 10k",
            Work::Load(call("ZUNIONSTORE union 2 z1 z2")),
        )],
    ),
    (
        data(&[
            send_with(
                &["-n", "10000", "-c", "1", "--key-pattern", "uniform"],
                "RPUSH numbers __num__",
            ),
            send_with(
                &[
                    "-n",
                    "10000",
                    "-c",
                    "1",
                    "-r",
                    "10000",
                    "--key-pattern",
                    "sequential",
                ],
                "RPUSH words word:__num__",
            ),
        ]),
        &[
            ("SORT 10k", Work::Load(call("SORT numbers"))),
            ("LPOS in 10k", Work::Load(call("LPOS words word:9999"))),
        ],
    ),
];

/// Data of which only the size matters, and the part of the base's it may have.
const MEMORY: &[(&str, DataSet, f64)] = &[
    (
        "memory zset 1M",
        data(&[send("ZADD zset __num__ key:000000__same__")]),
        0.75,
    ),
    (
        "memory hash 1M 16+16",
        data(&[send("HSET hash __key__ __data__")]),
        0.95,
    ),
    ("memory set 1M", data(&[send("SADD set __key__")]), 0.95),
    ("memory list 1M", data(&[send("RPUSH list __data__")]), 1.0),
    (
        "memory stream 1M",
        data(&[send("XADD stream * a __num__ b __num__")]),
        1.0,
    ),
    (
        "memory 1M hashes of 5",
        data(&[send(
            "HSET __key__ field1 __num__ field2 __same__ field3 __same__ field4 __same__ \
             field5 __same__",
        )]),
        0.9,
    ),
];

/// All rows of this group.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let cpu = |name: String, data: DataSet, work: Work, pipeline: u32, times: f64| Row {
        group: Group::Types,
        name,
        data,
        line_up: PAIR,
        work,
        pipeline: Some(pipeline),
        metric: Metric::CpuPerReply,
        goal: Goal::TimesBetter(times),
    };
    for &(data, operations) in OPERATIONS {
        for &(name, work) in operations {
            for &(pipeline, times) in PIPELINES {
                let name = format!("{name} P={pipeline}");
                rows.push(cpu(name, data, work, pipeline, times));
            }
        }
    }
    for &(data, calls) in CALLS {
        rows.extend(
            calls
                .iter()
                .map(|&(name, work)| cpu(name.to_owned(), data, work, 1, 1.5)),
        );
    }
    rows.extend(MEMORY.iter().map(|&(name, data, part)| Row {
        group: Group::Types,
        name: name.to_owned(),
        data,
        line_up: PAIR,
        work: Work::Fill,
        pipeline: None,
        metric: Metric::BytesPerKey,
        goal: Goal::AtMost(part),
    }));
    rows
}
