//! Strings: SET, GET and friends. Values are byte strings or integers in binary.
//!
//! This file has the table and what several handlers share; `set` has what stores a whole value,
//! `read` what reads or takes one, `multi` the commands of several keys, `range` those of a part of
//! a value, `number` the counters, `conditional` the comparisons, `lcs` the longest common
//! subsequence.

use base::num::parse_i64;
use resp::Reply;

use crate::entry::{NewValue, Text};
use crate::event::Classes;
use crate::keyspace::Key;
use crate::spec::{
    Arg, ArgKind, DataRun, Deprecated, Find, Flags, Group, KeySpec, ReadRun, Run, Spec, WriteRun,
};
use crate::tx::{Deadline, WriteTx};

use super::{expiry::DUE_ARGS, words};

mod conditional;
mod increx;
mod lcs;
mod multi;
mod number;
mod range;
mod read;
mod set;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "insert"])],
        since: "2.0.0",
        summary: "Adds bytes to the end of a string; a missing key counts as empty.",
        complexity: "O(1) amortised, when what is added is short",
        args: &[Arg::KEY, VALUE],
        ..write("append", 3, range::append)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        summary: "Subtracts one from an integer; a missing key counts as 0.",
        args: &[Arg::KEY],
        ..write("decr", 2, number::decr)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        summary: "Subtracts a number from an integer; a missing key counts as 0.",
        args: &[Arg::KEY, Arg::new("decrement", ArgKind::Integer)],
        ..write("decrby", 3, number::decrby)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete", "variable_flags"])],
        since: "8.4.0",
        summary: "Deletes a key, on condition of its value or its value's digest if wanted.",
        complexity: "O(N) in the length of the value for IFDEQ and IFDNE, O(1) otherwise",
        args: &[
            Arg::KEY,
            Arg::one_of(
                "condition",
                &[
                    Arg::new("ifeq-value", ArgKind::String).token("IFEQ"),
                    Arg::new("ifne-value", ArgKind::String).token("IFNE"),
                    Arg::new("ifdeq-digest", ArgKind::String).token("IFDEQ"),
                    Arg::new("ifdne-digest", ArgKind::String).token("IFDNE"),
                ],
            )
            .optional(),
        ],
        ..write("delex", -2, conditional::delex)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RM", "delete"])],
        since: "9.0.0",
        summary: "Deletes a key if it holds this string.",
        args: &[Arg::KEY, VALUE],
        ..write("delifeq", 3, conditional::delifeq)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        since: "8.4.0",
        summary: "Returns the XXH3 digest of a string as 16 hexadecimal digits.",
        complexity: "O(N) in the length of the value",
        args: &[Arg::KEY],
        ..read("digest", 2, conditional::digest)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        summary: "Returns the string at a key.",
        args: &[Arg::KEY],
        ..read("get", 2, read::get)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "access", "delete"])],
        since: "6.2.0",
        summary: "Returns the string at a key and deletes the key.",
        args: &[Arg::KEY],
        ..write("getdel", 2, read::getdel)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec {
            notes: Some("RW and UPDATE because it changes the TTL"),
            ..KeySpec::first(&["RW", "access", "update"])
        }],
        since: "6.2.0",
        summary: "Returns the string at a key and sets or removes its expiry.",
        args: &[
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
        ],
        ..write("getex", -2, read::getex)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.4.0",
        summary: "Returns a part of a string.",
        complexity: "O(N) in the length of the part",
        args: RANGE_ARGS,
        ..read("getrange", 4, range::getrange)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        summary: "Sets a key to a string and returns what it held before.",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`SET` with the `GET` argument",
        }),
        args: &[Arg::KEY, VALUE],
        ..write("getset", 3, set::getset)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        summary: "Adds one to an integer; a missing key counts as 0.",
        args: &[Arg::KEY],
        ..write("incr", 2, number::incr)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        summary: "Adds a number to an integer; a missing key counts as 0.",
        args: &[Arg::KEY, Arg::new("increment", ArgKind::Integer)],
        ..write("incrby", 3, number::incrby)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        since: "2.6.0",
        summary: "Adds a number to a floating-point number; a missing key counts as 0.",
        args: &[Arg::KEY, Arg::new("increment", ArgKind::Double)],
        ..write("incrbyfloat", 3, number::incrbyfloat)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: COUNTER,
        since: "8.8.0",
        summary: "Adds a number within bounds and sets the expiry, in one step.",
        args: INCREX_ARGS,
        ..write("increx", -2, increx::increx)
    },
    Spec {
        keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
        since: "7.0.0",
        summary: "Finds the longest common subsequence of two strings.",
        complexity: "O(N*M) where N and M are the lengths of the strings",
        args: &[
            Arg::new("key1", ArgKind::Key).of_key_spec(0),
            Arg::new("key2", ArgKind::Key).of_key_spec(0),
            Arg::word("len", "LEN").optional(),
            Arg::word("idx", "IDX").optional(),
            Arg::new("min-match-len", ArgKind::Integer)
                .token("MINMATCHLEN")
                .optional(),
            Arg::word("withmatchlen", "WITHMATCHLEN").optional(),
        ],
        ..read("lcs", -3, lcs::lcs)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::range(1, -1, 1, &["RO", "access"])],
        summary: "Returns the strings at several keys at once.",
        complexity: "O(N) in the number of keys",
        tips: &["request_policy:multi_shard"],
        args: &[Arg::KEY.multiple()],
        ..read("mget", -2, multi::mget)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::range(1, -1, 2, &["OW", "update"])],
        since: "1.0.1",
        summary: "Sets several keys at once.",
        complexity: "O(N) in the number of keys",
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        args: &[PAIRS],
        ..write("mset", -3, multi::mset)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec {
            find: Find::KeyNum {
                at: 0,
                first: 1,
                step: 2,
            },
            ..KeySpec::first(&["OW", "update"])
        }],
        since: "8.4.0",
        summary: "Sets several keys at once, with one expiry and on one condition if wanted.",
        complexity: "O(N) in the number of keys",
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        args: &[
            Arg::new("numkeys", ArgKind::Integer),
            PAIRS,
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
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
        ],
        ..write("msetex", -4, multi::msetex)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::range(1, -1, 2, &["OW", "insert"])],
        since: "1.0.1",
        summary: "Sets several keys at once if none of them exists.",
        complexity: "O(N) in the number of keys",
        args: &[PAIRS],
        ..write("msetnx", -3, multi::msetnx)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: OVERWRITE,
        since: "2.6.0",
        summary: "Sets a key to a string that expires after some milliseconds.",
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with the `PX` argument",
        }),
        args: &[Arg::KEY, Arg::new("milliseconds", ArgKind::Integer), VALUE],
        ..write("psetex", 4, set::psetex)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec {
            notes: Some("RW and ACCESS due to the optional `GET` argument"),
            ..KeySpec::first(&["RW", "access", "update", "variable_flags"])
        }],
        summary: "Makes a key hold a string, whatever it held before.",
        history: &[
            ("2.6.12", "`EX`, `PX`, `NX` and `XX` came."),
            ("6.0.0", "`KEEPTTL` came."),
            ("6.2.0", "`GET`, `EXAT` and `PXAT` came."),
            ("7.0.0", "`NX` and `GET` may stand together."),
            ("8.4.0", "`IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` came."),
        ],
        args: SET_ARGS,
        ..write("set", -3, set::set)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: OVERWRITE,
        since: "2.0.0",
        summary: "Sets a key to a string that expires after some seconds.",
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with the `EX` argument",
        }),
        args: &[Arg::KEY, Arg::new("seconds", ArgKind::Integer), VALUE],
        ..write("setex", 4, set::setex)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["OW", "insert"])],
        summary: "Sets a key to a string if it does not exist.",
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with the `NX` argument",
        }),
        args: &[Arg::KEY, VALUE],
        ..write("setnx", 3, set::setnx)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::first(&["RW", "update"])],
        since: "2.2.0",
        summary: "Writes over a part of a string, filling with zero bytes up to it.",
        complexity: "O(M) in the length of what is written, and of the filling",
        args: &[Arg::KEY, Arg::new("offset", ArgKind::Integer), VALUE],
        ..write("setrange", 4, range::setrange)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        since: "2.2.0",
        summary: "Returns the length of a string in bytes.",
        args: &[Arg::KEY],
        ..read("strlen", 2, range::strlen)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns a part of a string.",
        complexity: "O(N) in the length of the part",
        deprecated: Some(Deprecated {
            since: "2.0.0",
            replaced_by: "`GETRANGE`",
        }),
        args: RANGE_ARGS,
        ..read("substr", 4, range::getrange)
    },
];

const VALUE: Arg = Arg::new("value", ArgKind::String);
const PAIRS: Arg = Arg::block("data", &[Arg::KEY, VALUE]).multiple();
const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const COUNTER: &[KeySpec] = &[KeySpec::first(&["RW", "access", "update"])];
const OVERWRITE: &[KeySpec] = &[KeySpec::first(&["OW", "update"])];

const RANGE_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::new("start", ArgKind::Integer),
    Arg::new("end", ArgKind::Integer),
];

const SET_ARGS: &[Arg] = &[
    Arg::KEY,
    VALUE,
    Arg::one_of(
        "condition",
        &[
            Arg::word("nx", "NX"),
            Arg::word("xx", "XX"),
            comparison("ifeq-value", "IFEQ"),
            comparison("ifne-value", "IFNE"),
            comparison("ifdeq-digest", "IFDEQ"),
            comparison("ifdne-digest", "IFDNE"),
        ],
    )
    .since("2.6.12")
    .optional(),
    Arg::word("get", "GET").since("6.2.0").optional(),
    Arg::one_of(
        "expiration",
        &[
            DUE_ARGS[0].since("2.6.12"),
            DUE_ARGS[1].since("2.6.12"),
            DUE_ARGS[2].since("6.2.0"),
            DUE_ARGS[3].since("6.2.0"),
            Arg::word("keepttl", "KEEPTTL").since("6.0.0"),
        ],
    )
    .optional(),
];

const INCREX_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::one_of(
        "increment",
        &[
            Arg::new("float", ArgKind::Double).token("BYFLOAT"),
            Arg::new("integer", ArgKind::Integer).token("BYINT"),
        ],
    )
    .optional(),
    Arg::word("saturate", "SATURATE").optional(),
    Arg::new("lowerbound", ArgKind::String)
        .token("LBOUND")
        .optional(),
    Arg::new("upperbound", ArgKind::String)
        .token("UBOUND")
        .optional(),
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
    Arg::word("enx", "ENX").optional(),
];

const fn comparison(name: &'static str, token: &'static str) -> Arg {
    Arg::new(name, ArgKind::String).token(token).since("8.4.0")
}

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::String, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::String, Run::Do(DataRun::Write(run)))
}

/// The string as bulk reply.
fn reply_string(value: Text<'_>, out: &mut Reply) {
    match value {
        Text::Inline(bytes) => out.bulk(bytes),
        Text::Int(number) => out.bulk_int(number),
        Text::Shared(shared) => out.bulk_shared(shared.clone()),
    }
}

/// The string as bulk reply, or null.
fn reply_string_or_null(value: Option<Text<'_>>, out: &mut Reply) {
    match value {
        Some(value) => reply_string(value, out),
        None => out.null(),
    }
}

/// The form in which a client's bytes are kept.
#[inline]
fn stored(bytes: &[u8]) -> NewValue<'_> {
    parse_i64(bytes).map_or(NewValue::Bytes(bytes), NewValue::Int)
}

/// Tells that `key` was set, and that it got a deadline.
#[inline]
fn set_events(tx: &WriteTx<'_, '_>, key: Key<'_>, deadline: Deadline) {
    tx.event(Classes::STRING, "set", key);
    if matches!(deadline, Deadline::At(_)) {
        tx.event(Classes::GENERIC, "expire", key);
    }
}

/// The SET that gives `key` this value and this deadline.
fn set_words(key: &[u8], value: &[u8], deadline: Deadline) -> Vec<Vec<u8>> {
    let mut words = words(&[b"SET", key, value]);
    append_deadline(deadline, &mut words);
    words
}

/// Appends the option that says the same as `deadline`.
fn append_deadline(deadline: Deadline, words: &mut Vec<Vec<u8>>) {
    match deadline {
        Deadline::Clear => {}
        Deadline::Keep => words.push(b"KEEPTTL".to_vec()),
        Deadline::At(at) => {
            words.push(b"PXAT".to_vec());
            words.push(at.0.to_string().into_bytes());
        }
    }
}
