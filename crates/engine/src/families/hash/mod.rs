//! Hashes: HSET, HGET and friends, and fields with deadlines of their own.
//!
//! This file has the table and what several handlers share; `read` has what only reads, `write`
//! what sets, deletes and counts, `time` the deadlines, `combined` the commands that do two of
//! these, `random` HRANDFIELD and HSCAN. `fields` reads the words that name fields, `due` removes
//! fields whose time has come, `effect` records what was changed.

use resp::Reply;
use structs::hash::Text;

use crate::spec::{
    Arg, ArgKind, DataRun, Deprecated, Flags, Group, KeySpec, ReadRun, Run, Spec, WriteRun,
};

use super::{expiry::DUE_ARGS, words};

mod combined;
mod due;
mod effect;
mod fields;
mod random;
mod read;
mod time;
mod write;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete"])],
        member: 2,
        since: "2.0.0",
        summary: "Deletes fields of a hash; the last one takes the key with it.",
        complexity: "O(N) where N is the number of fields to be deleted",
        history: &[("2.4.0", "Several fields may be given.")],
        args: &[Arg::KEY, FIELDS],
        ..write("hdel", -3, write::hdel)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        member: 2,
        since: "2.0.0",
        summary: "Tells whether a hash has a field.",
        args: &[Arg::KEY, FIELD],
        ..read("hexists", 3, read::hexists)
    },
    Spec {
        flags: Flags::FAST,
        keys: UPDATE,
        since: "7.4.0",
        summary: "Makes fields of a hash expire after some seconds.",
        complexity: PER_FIELD,
        args: &[
            Arg::KEY,
            Arg::new("seconds", ArgKind::Integer),
            CONDITION,
            NAMED_FIELDS,
        ],
        ..write("hexpire", -6, time::hexpire)
    },
    Spec {
        flags: Flags::FAST,
        keys: UPDATE,
        since: "7.4.0",
        summary: "Makes fields of a hash expire at a Unix time in seconds.",
        complexity: PER_FIELD,
        args: &[Arg::KEY, UNIX_SECONDS, CONDITION, NAMED_FIELDS],
        ..write("hexpireat", -6, time::hexpireat)
    },
    Spec {
        flags: Flags::FAST,
        keys: ACCESS,
        since: "7.4.0",
        summary: "Tells when fields of a hash expire, as a Unix time in seconds.",
        complexity: PER_FIELD,
        args: &[Arg::KEY, NAMED_FIELDS],
        ..read("hexpiretime", -5, time::hexpiretime)
    },
    Spec {
        flags: Flags::FAST,
        keys: ACCESS,
        member: 2,
        since: "2.0.0",
        summary: "Reads a field of a hash.",
        args: &[Arg::KEY, FIELD],
        ..read("hget", 3, read::hget)
    },
    Spec {
        keys: ACCESS,
        since: "2.0.0",
        summary: "Reads all fields of a hash with their values.",
        complexity: ALL,
        tips: &[ANY_ORDER],
        args: &[Arg::KEY],
        ..read("hgetall", 2, read::hgetall)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "access", "delete"])],
        since: "8.0.0",
        summary: "Reads fields of a hash and deletes them.",
        complexity: PER_FIELD,
        args: &[Arg::KEY, NAMED_FIELDS],
        ..write("hgetdel", -5, combined::hgetdel)
    },
    Spec {
        flags: Flags::FAST,
        keys: KS_HGETEX,
        since: "8.0.0",
        summary: "Reads fields of a hash and changes when they expire.",
        complexity: PER_FIELD,
        args: HGETEX_ARGS,
        ..write("hgetex", -5, combined::hgetex)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "access", "update"])],
        member: 2,
        since: "2.0.0",
        summary: "Adds a number to an integer in a field; a missing field counts as 0.",
        args: &[Arg::KEY, FIELD, Arg::new("increment", ArgKind::Integer)],
        ..write("hincrby", 4, write::hincrby)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "access", "update"])],
        member: 2,
        since: "2.6.0",
        summary: "Adds a number to a floating-point number in a field; a missing one counts as 0.",
        args: &[Arg::KEY, FIELD, Arg::new("increment", ArgKind::Double)],
        ..write("hincrbyfloat", 4, write::hincrbyfloat)
    },
    Spec {
        keys: ACCESS,
        since: "2.0.0",
        summary: "Lists the fields of a hash.",
        complexity: ALL,
        tips: &[ANY_ORDER],
        args: &[Arg::KEY],
        ..read("hkeys", 2, read::hkeys)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        since: "2.0.0",
        summary: "Counts the fields of a hash.",
        args: &[Arg::KEY],
        ..read("hlen", 2, read::hlen)
    },
    Spec {
        flags: Flags::FAST,
        keys: ACCESS,
        member: 2,
        since: "2.0.0",
        summary: "Reads several fields of a hash.",
        complexity: "O(N) where N is the number of fields asked for",
        args: &[Arg::KEY, FIELDS],
        ..read("hmget", -3, read::hmget)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: UPDATE,
        member: 2,
        since: "2.0.0",
        summary: "Sets fields of a hash.",
        complexity: "O(N) where N is the number of fields to be set",
        deprecated: Some(Deprecated {
            since: "4.0.0",
            replaced_by: "`HSET` with several pairs",
        }),
        args: &[Arg::KEY, PAIRS],
        ..write("hmset", -4, write::hmset)
    },
    Spec {
        flags: Flags::FAST,
        keys: UPDATE,
        since: "7.4.0",
        summary: "Makes fields of a hash never expire.",
        complexity: PER_FIELD,
        args: &[Arg::KEY, NAMED_FIELDS],
        ..write("hpersist", -5, time::hpersist)
    },
    Spec {
        flags: Flags::FAST,
        keys: UPDATE,
        since: "7.4.0",
        summary: "Makes fields of a hash expire after some milliseconds.",
        complexity: PER_FIELD,
        args: &[
            Arg::KEY,
            Arg::new("milliseconds", ArgKind::Integer),
            CONDITION,
            NAMED_FIELDS,
        ],
        ..write("hpexpire", -6, time::hpexpire)
    },
    Spec {
        flags: Flags::FAST,
        keys: UPDATE,
        since: "7.4.0",
        summary: "Makes fields of a hash expire at a Unix time in milliseconds.",
        complexity: PER_FIELD,
        args: &[Arg::KEY, UNIX_MILLIS, CONDITION, NAMED_FIELDS],
        ..write("hpexpireat", -6, time::hpexpireat)
    },
    Spec {
        flags: Flags::FAST,
        keys: ACCESS,
        since: "7.4.0",
        summary: "Tells when fields of a hash expire, as a Unix time in milliseconds.",
        complexity: PER_FIELD,
        args: &[Arg::KEY, NAMED_FIELDS],
        ..read("hpexpiretime", -5, time::hpexpiretime)
    },
    Spec {
        flags: Flags::FAST,
        keys: ACCESS,
        since: "7.4.0",
        summary: "Tells in how many milliseconds fields of a hash expire.",
        complexity: PER_FIELD,
        tips: &[ANY_OUTPUT],
        args: &[Arg::KEY, NAMED_FIELDS],
        ..read("hpttl", -5, time::hpttl)
    },
    Spec {
        keys: ACCESS,
        since: "6.2.0",
        summary: "Picks fields of a hash at random.",
        complexity: "O(N) where N is the number of fields returned",
        tips: &[ANY_OUTPUT],
        args: HRANDFIELD_ARGS,
        ..read("hrandfield", -2, random::hrandfield)
    },
    Spec {
        keys: ACCESS,
        since: "2.8.0",
        summary: "Goes through the fields of a hash, some at each call.",
        complexity: "O(1) for each call, O(N) for all of them, where N is the number of fields",
        tips: &[ANY_OUTPUT],
        args: HSCAN_ARGS,
        ..read("hscan", -3, random::hscan)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: UPDATE,
        member: 2,
        since: "2.0.0",
        summary: "Sets fields of a hash; a missing key counts as an empty hash.",
        complexity: "O(1) for each field, so O(N) for N of them",
        history: &[("4.0.0", "Several pairs may be given.")],
        args: &[Arg::KEY, PAIRS],
        ..write("hset", -4, write::hset)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: UPDATE,
        since: "8.0.0",
        summary: "Sets fields of a hash and when they expire, on conditions if wanted.",
        complexity: "O(N) where N is the number of fields to be set",
        args: HSETEX_ARGS,
        ..write("hsetex", -6, combined::hsetex)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "insert"])],
        member: 2,
        since: "2.0.0",
        summary: "Sets a field of a hash unless it is there.",
        args: &[Arg::KEY, FIELD, VALUE],
        ..write("hsetnx", 4, write::hsetnx)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        member: 2,
        since: "3.2.0",
        summary: "Measures the value of a field in bytes.",
        args: &[Arg::KEY, FIELD],
        ..read("hstrlen", 3, read::hstrlen)
    },
    Spec {
        flags: Flags::FAST,
        keys: ACCESS,
        since: "7.4.0",
        summary: "Tells in how many seconds fields of a hash expire.",
        complexity: PER_FIELD,
        tips: &[ANY_OUTPUT],
        args: &[Arg::KEY, NAMED_FIELDS],
        ..read("httl", -5, time::httl)
    },
    Spec {
        keys: ACCESS,
        since: "2.0.0",
        summary: "Lists the values in a hash.",
        complexity: ALL,
        tips: &[ANY_ORDER],
        args: &[Arg::KEY],
        ..read("hvals", 2, read::hvals)
    },
];

const UPDATE: &[KeySpec] = &[KeySpec::first(&["RW", "update"])];
const ACCESS: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const KS_HGETEX: &[KeySpec] = &[KeySpec {
    notes: Some("RW and UPDATE because it changes the TTL"),
    ..KeySpec::first(&["RW", "access", "update"])
}];

const PER_FIELD: &str = "O(N) where N is the number of fields given";
const ALL: &str = "O(N) where N is the size of the hash";
const ANY_ORDER: &str = "nondeterministic_output_order";
const ANY_OUTPUT: &str = "nondeterministic_output";

const FIELD: Arg = Arg::new("field", ArgKind::String);
const FIELDS: Arg = FIELD.multiple();
const VALUE: Arg = Arg::new("value", ArgKind::String);
const PAIRS: Arg = Arg::block("data", &[FIELD, VALUE]).multiple();
const NUMBER: Arg = Arg::new("numfields", ArgKind::Integer);
const NAMED_FIELDS: Arg = Arg::block("fields", &[NUMBER, FIELDS]).token("FIELDS");
const UNIX_SECONDS: Arg = Arg::new("unix-time-seconds", ArgKind::UnixTime);
const UNIX_MILLIS: Arg = Arg::new("unix-time-milliseconds", ArgKind::UnixTime);

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[
        Arg::word("nx", "NX"),
        Arg::word("xx", "XX"),
        Arg::word("gt", "GT"),
        Arg::word("lt", "LT"),
    ],
)
.optional();

const HGETEX_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::one_of(
        "expiration",
        &[
            DUE_ARGS[0],
            DUE_ARGS[1],
            DUE_ARGS[2],
            DUE_ARGS[3],
            Arg::word("persist", "PERSIST"),
        ],
    )
    .optional(),
    NAMED_FIELDS,
];

const HSETEX_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::one_of(
        "key-condition",
        &[Arg::word("nx", "NX"), Arg::word("xx", "XX")],
    )
    .optional(),
    Arg::one_of(
        "condition",
        &[Arg::word("fnx", "FNX"), Arg::word("fxx", "FXX")],
    )
    .optional(),
    Arg::one_of(
        "expiration",
        &[
            DUE_ARGS[0],
            DUE_ARGS[1],
            DUE_ARGS[2],
            DUE_ARGS[3],
            Arg::word("keepttl", "KEEPTTL"),
        ],
    )
    .optional(),
    Arg::block("fields", &[NUMBER, PAIRS]).token("FIELDS"),
];

const HRANDFIELD_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::block(
        "options",
        &[
            Arg::new("count", ArgKind::Integer),
            Arg::word("withvalues", "WITHVALUES").optional(),
        ],
    )
    .optional(),
];

const HSCAN_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::new("cursor", ArgKind::Integer),
    Arg::new("pattern", ArgKind::Pattern)
        .token("MATCH")
        .optional(),
    Arg::new("count", ArgKind::Integer)
        .token("COUNT")
        .optional(),
    Arg::word("novalues", "NOVALUES").optional(),
];

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Hash, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Hash, Run::Do(DataRun::Write(run)))
}

/// A field or a value as bulk reply.
#[inline]
fn reply_text(text: Text<'_>, out: &mut Reply) {
    match text {
        Text::Int(number) => out.bulk_int(number),
        Text::Bytes(bytes) => out.bulk(bytes),
        Text::Shared(shared) => out.bulk_shared(shared.clone()),
    }
}

/// A value as bulk reply, or null.
#[inline]
fn reply_text_or_null(text: Option<Text<'_>>, out: &mut Reply) {
    match text {
        Some(text) => reply_text(text, out),
        None => out.null(),
    }
}
