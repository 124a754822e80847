//! Sets: SADD, SISMEMBER and friends.
//!
//! This file has the table and what several handlers share; `member` has the commands of named
//! members, `random` those that choose members, `algebra` those of several sets, `read` what
//! returns or walks through all members.

mod algebra;
mod member;
mod random;
mod read;

use resp::Reply;
use structs::packed::IntText;
use structs::set::Item;

use crate::spec::{
    Arg, ArgKind, Begin, DataRun, Find, Flags, Group, KeySpec, ReadRun, Run, Spec, WriteRun,
};

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "insert"])],
        member: 2,
        summary: "Adds members to a set, which is made if the key is missing.",
        complexity: "O(N), N being the number of members given",
        history: MEMBERS_HISTORY,
        args: &[Arg::KEY, MEMBER.multiple()],
        ..write("sadd", -3, member::sadd)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        summary: "Returns the number of members of a set.",
        args: &[Arg::KEY],
        ..read_only("scard", 2, read::scard)
    },
    Spec {
        keys: READ_ALL,
        summary: "Returns the members of the first set that none of the others has.",
        complexity: "O(N), N being the number of members of all sets",
        tips: UNORDERED,
        args: &[Arg::KEY.multiple()],
        ..read_only("sdiff", -2, algebra::sdiff)
    },
    Spec {
        keys: COUNTED_KEYS,
        since: "8.10.0",
        summary: "Counts the members of the first set that none of the others has.",
        complexity: "O(N), N being the number of members of all sets",
        args: COUNTED_ARGS,
        ..read_only("sdiffcard", -3, algebra::sdiffcard)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: STORING_KEYS,
        summary: "Stores the members of the first set that none of the others has.",
        complexity: "O(N), N being the number of members of all sets",
        args: STORING_ARGS,
        ..write("sdiffstore", -3, algebra::sdiffstore)
    },
    Spec {
        keys: READ_ALL,
        summary: "Returns the members that all of the sets have.",
        complexity: INTERSECTION_COMPLEXITY,
        tips: UNORDERED,
        args: &[Arg::KEY.multiple()],
        ..read_only("sinter", -2, algebra::sinter)
    },
    Spec {
        keys: COUNTED_KEYS,
        since: "7.0.0",
        summary: "Counts the members that all of the sets have.",
        complexity: INTERSECTION_COMPLEXITY,
        args: COUNTED_ARGS,
        ..read_only("sintercard", -3, algebra::sintercard)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: STORING_KEYS,
        summary: "Stores the members that all of the sets have.",
        complexity: INTERSECTION_COMPLEXITY,
        args: STORING_ARGS,
        ..write("sinterstore", -3, algebra::sinterstore)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        member: 2,
        summary: "Tells whether a set has a member.",
        args: &[Arg::KEY, MEMBER],
        ..read_only("sismember", 3, member::sismember)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns all members of a set.",
        complexity: "O(N), N being the number of members",
        tips: UNORDERED,
        args: &[Arg::KEY],
        ..read_only("smembers", 2, read::smembers)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        member: 2,
        since: "6.2.0",
        summary: "Tells for each of several members whether a set has it.",
        complexity: "O(N), N being the number of members given",
        args: &[Arg::KEY, MEMBER.multiple()],
        ..read_only("smismember", -3, member::smismember)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[
            KeySpec::first(&["RW", "access", "delete"]),
            KeySpec::at(2, &["RW", "insert"]),
        ],
        member: 3,
        summary: "Moves a member from one set to another.",
        args: &[
            Arg {
                name: "source",
                ..Arg::KEY
            },
            Arg::new("destination", ArgKind::Key).of_key_spec(1),
            MEMBER,
        ],
        ..write("smove", 4, member::smove)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "access", "delete"])],
        summary: "Takes members out of a set by chance and returns them.",
        complexity: "O(1) without the count, else O(N), N being the count",
        tips: NONDETERMINISTIC,
        history: &[("3.2.0", "The `count` argument.")],
        args: &[Arg::KEY, COUNT.since("3.2.0").optional()],
        ..write("spop", -2, random::spop)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns members of a set by chance.",
        complexity: "O(1) without the count, else O(N), N being the count without its sign",
        tips: NONDETERMINISTIC,
        history: &[("2.6.0", "The `count` argument.")],
        args: &[Arg::KEY, COUNT.since("2.6.0").optional()],
        ..read_only("srandmember", -2, random::srandmember)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete"])],
        member: 2,
        summary: "Removes members from a set; the key goes with the last one.",
        complexity: "O(N), N being the number of members given",
        history: MEMBERS_HISTORY,
        args: &[Arg::KEY, MEMBER.multiple()],
        ..write("srem", -3, member::srem)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.8.0",
        summary: "Walks through the members of a set.",
        complexity: "O(1) a call, O(N) for the whole walk, N being the number of members",
        tips: NONDETERMINISTIC,
        args: &[
            Arg::KEY,
            Arg::new("cursor", ArgKind::Integer),
            Arg::new("pattern", ArgKind::Pattern)
                .token("MATCH")
                .optional(),
            Arg::new("count", ArgKind::Integer)
                .token("COUNT")
                .optional(),
        ],
        ..read_only("sscan", -3, read::sscan)
    },
    Spec {
        keys: READ_ALL,
        summary: "Returns the members that any of the sets has.",
        complexity: "O(N), N being the number of members of all sets",
        tips: UNORDERED,
        args: &[Arg::KEY.multiple()],
        ..read_only("sunion", -2, algebra::sunion)
    },
    Spec {
        keys: COUNTED_KEYS,
        since: "8.10.0",
        summary: "Counts the members that any of the sets has.",
        complexity: "O(N), N being the number of members of all sets",
        args: &[
            COUNTED_ARGS[0],
            COUNTED_ARGS[1],
            Arg::word("approx", "APPROX").optional(),
            COUNTED_ARGS[2],
        ],
        ..read_only("sunioncard", -3, algebra::sunioncard)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: STORING_KEYS,
        summary: "Stores the members that any of the sets has.",
        complexity: "O(N), N being the number of members of all sets",
        args: STORING_ARGS,
        ..write("sunionstore", -3, algebra::sunionstore)
    },
];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const READ_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, &["RO", "access"])];
const STORING_KEYS: &[KeySpec] = &[
    KeySpec::first(&["OW", "update"]),
    KeySpec::range(2, -1, 1, &["RO", "access"]),
];
const COUNTED_KEYS: &[KeySpec] = &[KeySpec {
    flags: &["RO", "access"],
    begin: Begin::Index(1),
    find: Find::KeyNum {
        at: 0,
        first: 1,
        step: 1,
    },
    notes: None,
}];

const MEMBER: Arg = Arg::new("member", ArgKind::String);
const COUNT: Arg = Arg::new("count", ArgKind::Integer);
const STORING_ARGS: &[Arg] = &[
    Arg {
        name: "destination",
        ..Arg::KEY
    },
    Arg::KEY.of_key_spec(1).multiple(),
];
const COUNTED_ARGS: &[Arg] = &[
    Arg::new("numkeys", ArgKind::Integer),
    Arg::KEY.multiple(),
    Arg::new("limit", ArgKind::Integer)
        .token("LIMIT")
        .optional(),
];

const INTERSECTION_COMPLEXITY: &str =
    "O(N*M) at worst, N being the size of the smallest set and M the number of sets";
const MEMBERS_HISTORY: &[(&str, &str)] = &[("2.4.0", "Several members in one call.")];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const NONDETERMINISTIC: &[&str] = &["nondeterministic_output"];

const fn read_only(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Set, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Set, Run::Do(DataRun::Write(run)))
}

/// A member as bulk reply.
#[inline]
fn reply_item(item: Item<'_>, out: &mut Reply) {
    match item {
        Item::Int(value) => out.bulk_int(value),
        Item::Text(text) => out.bulk(text),
    }
}

/// A member as a word to be recorded.
fn item_word(item: Item<'_>) -> Vec<u8> {
    item.text(&mut IntText::default()).to_vec()
}
