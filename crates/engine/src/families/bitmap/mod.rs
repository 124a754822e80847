//! Bitmaps: strings seen as bits, the highest bit of the first byte first; and as small integers
//! side by side (BITFIELD).
//!
//! This file has the table and what several handlers share; `bit` has the commands of one bit,
//! `range` those that look at many, `bitop` and `bitfield` what they are called after. What happens
//! to the bytes is in `structs::bits`.

use base::num::parse_i64;

use crate::env::Env;
use crate::failure::Failure;
use crate::spec::{Arg, ArgKind, DataRun, Flags, Group, KeySpec, ReadRun, Run, Spec, WriteRun};

mod bit;
mod bitfield;
mod bitop;
mod range;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        keys: READ_FIRST,
        since: "2.6.0",
        summary: "Counts the set bits of a string or of a part of it.",
        complexity: "O(N) in the length of the part",
        history: UNIT_HISTORY,
        args: &[
            Arg::KEY,
            Arg::block(
                "range",
                &[
                    Arg::new("start", ArgKind::Integer),
                    Arg::new("end", ArgKind::Integer),
                    UNIT,
                ],
            )
            .optional(),
        ],
        ..read("bitcount", -2, range::bitcount)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec {
            notes: Some("This command allows both access and modification of the key"),
            ..KeySpec::first(&["RW", "access", "update", "variable_flags"])
        }],
        since: "3.2.0",
        summary: "Reads and changes integers of any width anywhere in a string.",
        complexity: "O(1) for each operation",
        args: &[
            Arg::KEY,
            Arg::one_of("operation", &[GET_FIELD, WRITE_FIELD])
                .optional()
                .multiple(),
        ],
        ..write("bitfield", -2, bitfield::bitfield)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        since: "6.0.0",
        summary: "Reads integers of any width anywhere in a string.",
        complexity: "O(1) for each operation",
        args: &[
            Arg::KEY,
            Arg {
                multiple_token: true,
                ..GET_FIELD.optional().multiple()
            },
        ],
        ..read("bitfield_ro", -2, bitfield::bitfield_ro)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::at(2, &["OW", "update"]),
            KeySpec::range(3, -1, 1, &["RO", "access"]),
        ],
        since: "2.6.0",
        summary: "Combines strings bit by bit and stores the result.",
        complexity: "O(N) in the length of the longest string, times the number of strings",
        args: &[
            Arg::one_of(
                "operation",
                &[
                    Arg::word("and", "AND"),
                    Arg::word("or", "OR"),
                    Arg::word("xor", "XOR"),
                    Arg::word("not", "NOT"),
                    Arg::word("diff", "DIFF"),
                    Arg::word("diff1", "DIFF1"),
                    Arg::word("andor", "ANDOR"),
                    Arg::word("one", "ONE"),
                ],
            ),
            Arg::new("destkey", ArgKind::Key).of_key_spec(0),
            Arg::new("key", ArgKind::Key).of_key_spec(1).multiple(),
        ],
        ..write("bitop", -4, bitop::bitop)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.8.7",
        summary: "Finds the first set or clear bit of a string or of a part of it.",
        complexity: "O(N) in the length of the part",
        history: UNIT_HISTORY,
        args: &[
            Arg::KEY,
            Arg::new("bit", ArgKind::Integer),
            Arg::block(
                "range",
                &[
                    Arg::new("start", ArgKind::Integer),
                    Arg::block("end-unit-block", &[Arg::new("end", ArgKind::Integer), UNIT])
                        .optional(),
                ],
            )
            .optional(),
        ],
        ..read("bitpos", -3, range::bitpos)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        since: "2.2.0",
        summary: "Returns one bit of a string.",
        args: &[Arg::KEY, Arg::new("offset", ArgKind::Integer)],
        ..read("getbit", 3, bit::getbit)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::first(&["RW", "access", "update"])],
        since: "2.2.0",
        summary: "Sets or clears one bit of a string, which grows if need be; returns the old bit.",
        args: &[
            Arg::KEY,
            Arg::new("offset", ArgKind::Integer),
            Arg::new("value", ArgKind::Integer),
        ],
        ..write("setbit", 4, bit::setbit)
    },
];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];

const UNIT_HISTORY: &[(&str, &str)] = &[("7.0.0", "Added the `BYTE|BIT` option.")];

const UNIT: Arg = Arg::one_of(
    "unit",
    &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")],
)
.optional()
.since("7.0.0");

const ENCODING: Arg = Arg::new("encoding", ArgKind::String);
const OFFSET: Arg = Arg::new("offset", ArgKind::Integer);

const GET_FIELD: Arg = Arg::block("get-block", &[ENCODING, OFFSET]).token("GET");

const WRITE_FIELD: Arg = Arg::block(
    "write",
    &[
        Arg::one_of(
            "overflow-block",
            &[
                Arg::word("wrap", "WRAP"),
                Arg::word("sat", "SAT"),
                Arg::word("fail", "FAIL"),
            ],
        )
        .token("OVERFLOW")
        .optional(),
        Arg::one_of(
            "write-operation",
            &[
                Arg::block(
                    "set-block",
                    &[ENCODING, OFFSET, Arg::new("value", ArgKind::Integer)],
                )
                .token("SET"),
                Arg::block(
                    "incrby-block",
                    &[ENCODING, OFFSET, Arg::new("increment", ArgKind::Integer)],
                )
                .token("INCRBY"),
            ],
        ),
    ],
);

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Bitmap, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Bitmap, Run::Do(DataRun::Write(run)))
}

/// A word as the number of a bit, none of them beyond the longest string.
fn bit_offset(word: &[u8], env: &Env) -> Result<u64, Failure> {
    let offset = parse_i64(word).and_then(|offset| u64::try_from(offset).ok());
    let allowed = offset.filter(|offset| offset / 8 < env.limits.string_bytes_max);
    allowed.ok_or(BAD_OFFSET)
}

const BAD_OFFSET: Failure = Failure::fixed("ERR bit offset is not an integer or out of range");
