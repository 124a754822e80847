//! Arrays: values at any index up to 2^64 - 2, a type of Redis 8.8 which no peer here has. They
//! follow its documentation. What happens to the values is in `structs::array`.
//!
//! This file has the table and what several handlers share; `element` has the commands that name
//! indexes, `cursor` those that append, `range` those that look at a range, `grep` ARGREP.

use base::num::{I64_TEXT_MAX, parse_u64};
use resp::Reply;
use structs::array::{INDEX_MAX, Value};

use crate::args::Args;
use crate::failure::Failure;
use crate::spec::{Arg, ArgKind, DataRun, Flags, Group, KeySpec, ReadRun, Run, Spec, WriteRun};

mod cursor;
mod element;
mod grep;
mod range;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::FAST,
        summary: "Returns the number of values in an array.",
        args: &[Arg::KEY],
        ..read("arcount", 2, element::arcount)
    },
    Spec {
        flags: Flags::FAST,
        keys: DELETES,
        summary: "Removes the values at some indexes of an array.",
        complexity: "O(N) with N indexes",
        args: &[Arg::KEY, INDEX.multiple()],
        ..write("ardel", -3, element::ardel)
    },
    Spec {
        keys: DELETES,
        summary: "Removes the values in one or several ranges of an array.",
        complexity: "O(N) with N values in the ranges, whatever their span",
        args: &[Arg::KEY, Arg::block("range", &[START, END]).multiple()],
        ..write("ardelrange", -4, element::ardelrange)
    },
    Spec {
        flags: Flags::FAST,
        summary: "Returns the value at an index of an array.",
        args: &[Arg::KEY, INDEX],
        ..read("arget", 3, element::arget)
    },
    Spec {
        summary: "Returns what is at every index of a range of an array.",
        complexity: "O(N) with N indexes in the range",
        args: &[Arg::KEY, START, END],
        ..read("argetrange", 4, range::argetrange)
    },
    Spec {
        summary: "Finds the values in a range of an array that match patterns.",
        complexity: "O(P * C) with P values in the range, when comparing one costs C",
        args: GREP_ARGS,
        ..read("argrep", -6, grep::argrep)
    },
    Spec {
        summary: "Describes an array.",
        complexity: "O(1), with FULL O(N) in the number of slices",
        args: &[Arg::KEY, Arg::word("full", "FULL").optional()],
        ..read("arinfo", -2, range::arinfo)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: UPDATES,
        summary: "Sets the indexes of an array from its cursor on, which moves along.",
        complexity: "O(N) with N values",
        args: &[Arg::KEY, VALUE.multiple()],
        ..write("arinsert", -3, cursor::arinsert)
    },
    Spec {
        summary: "Returns what was appended to an array last.",
        complexity: "O(N) with N indexes",
        args: &[
            Arg::KEY,
            Arg::new("count", ArgKind::Integer),
            Arg::word("rev", "REV").optional(),
        ],
        ..read("arlastitems", -3, cursor::arlastitems)
    },
    Spec {
        flags: Flags::FAST,
        summary: "Returns the length of an array: its last index and one.",
        args: &[Arg::KEY],
        ..read("arlen", 2, element::arlen)
    },
    Spec {
        flags: Flags::FAST,
        summary: "Returns the values at some indexes of an array.",
        complexity: "O(N) with N indexes",
        args: &[Arg::KEY, INDEX.multiple()],
        ..read("armget", -3, element::armget)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: UPDATES,
        summary: "Sets the values at some indexes of an array.",
        complexity: "O(N) with N values",
        args: &[Arg::KEY, Arg::block("data", &[INDEX, VALUE]).multiple()],
        ..write("armset", -4, element::armset)
    },
    Spec {
        flags: Flags::FAST,
        summary: "Returns the index that ARINSERT would set next.",
        args: &[Arg::KEY],
        ..read("arnext", 2, cursor::arnext)
    },
    Spec {
        summary: "Sums up, compares or counts the values in a range of an array.",
        complexity: "O(N) with N values in the range",
        args: OPERATION_ARGS,
        ..read("arop", -5, range::arop)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: UPDATES,
        summary: "Appends to an array that starts over at a size.",
        complexity: "O(M) with M values, O(N + M) when the size changes from or to N",
        args: &[
            Arg::KEY,
            Arg::new("size", ArgKind::Integer),
            VALUE.multiple(),
        ],
        ..write("arring", -4, cursor::arring)
    },
    Spec {
        summary: "Returns the values in a range of an array with their indexes.",
        complexity: "O(N) with N values in the range",
        args: &[
            Arg::KEY,
            START,
            END,
            Arg::new("limit", ArgKind::Integer)
                .token("LIMIT")
                .optional(),
        ],
        ..read("arscan", -4, range::arscan)
    },
    Spec {
        flags: Flags::FAST,
        keys: UPDATES,
        summary: "Moves the cursor of an array.",
        args: &[Arg::KEY, INDEX],
        ..write("arseek", 3, cursor::arseek)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: UPDATES,
        summary: "Sets the values of an array from an index on.",
        complexity: "O(N) with N values",
        args: &[Arg::KEY, INDEX, VALUE.multiple()],
        ..write("arset", -4, element::arset)
    },
];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const UPDATES: &[KeySpec] = &[KeySpec::first(&["RW", "update"])];
const DELETES: &[KeySpec] = &[KeySpec::first(&["RW", "delete"])];

const INDEX: Arg = Arg::new("index", ArgKind::Integer);
const START: Arg = Arg::new("start", ArgKind::Integer);
const END: Arg = Arg::new("end", ArgKind::Integer);
const VALUE: Arg = Arg::new("value", ArgKind::String);

const OPERATION_ARGS: &[Arg] = &[
    Arg::KEY,
    START,
    END,
    Arg::one_of(
        "operation",
        &[
            Arg::word("sum", "SUM"),
            Arg::word("min", "MIN"),
            Arg::word("max", "MAX"),
            Arg::word("and", "AND"),
            Arg::word("or", "OR"),
            Arg::word("xor", "XOR"),
            Arg::block("match", &[Arg::word("match", "MATCH"), VALUE]),
            Arg::word("used", "USED"),
        ],
    ),
];

const GREP_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::new("start", ArgKind::String),
    Arg::new("end", ArgKind::String),
    Arg::one_of(
        "predicate",
        &[
            Arg::block("exact", &[Arg::word("exact", "EXACT"), STRING]),
            Arg::block("match", &[Arg::word("match", "MATCH"), STRING]),
            Arg::block("glob", &[Arg::word("glob", "GLOB"), PATTERN]),
            Arg::block("re", &[Arg::word("re", "RE"), PATTERN]),
        ],
    )
    .multiple(),
    Arg::one_of(
        "options",
        &[
            Arg::word("and", "AND"),
            Arg::word("or", "OR"),
            Arg::new("limit", ArgKind::Integer).token("LIMIT"),
            Arg::word("withvalues", "WITHVALUES"),
            Arg::word("nocase", "NOCASE"),
        ],
    )
    .optional()
    .multiple(),
];

const STRING: Arg = Arg::new("string", ArgKind::String);
const PATTERN: Arg = Arg::new("pattern", ArgKind::String);

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec {
        keys: READ_FIRST,
        ..row(name, arity, DataRun::Read(run))
    }
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    row(name, arity, DataRun::Write(run))
}

const fn row(name: &'static str, arity: i16, run: DataRun) -> Spec<DataRun> {
    Spec {
        since: "8.8.0",
        ..Spec::new(name, arity, Group::Array, Run::Do(run))
    }
}

/// The next word as an index.
fn index(args: &mut Args<'_>) -> u64 {
    index_up_to(INDEX_MAX, args)
}

/// The next word as an index of at most `most`.
fn index_up_to(most: u64, args: &mut Args<'_>) -> u64 {
    let index = parse_u64(args.bytes()).filter(|&index| index <= most);
    index.unwrap_or_else(|| {
        args.fail(BAD_INDEX);
        0
    })
}

const BAD_INDEX: Failure = Failure::fixed("ERR invalid array index");

/// Most positions that one reply lists, used or not.
const POSITIONS_MAX: u64 = 1_000_000;

const TOO_MANY_POSITIONS: Failure = Failure::fixed("ERR range exceeds maximum of 1000000 items");

/// The value as a bulk string, or null.
fn reply_value(value: Option<Value<'_>>, out: &mut Reply) {
    match value {
        None => out.null(),
        Some(value) => out.bulk(value.bytes(&mut [0; I64_TEXT_MAX])),
    }
}

/// `[LIMIT count]`: the word after the token.
fn limit(args: &mut Args<'_>) -> u64 {
    let limit = args.int();
    if limit <= 0 {
        args.fail(Failure::fixed("ERR LIMIT must be positive"));
    }
    limit as u64
}
