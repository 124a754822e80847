//! Sorted sets: ZADD, ZRANGE and friends.
//!
//! This file has the table; `add` has what adds members, `read` what asks for one, `range` the
//! ranges, `remove` what takes members out, `block` what waits for them, `combine` unions,
//! intersections and differences, `sample` random members and scans; `bounds` reads the ends of
//! ranges, `entries` writes replies.

use crate::spec::{
    Arg, ArgKind, Begin, BlockRun, DataRun, Deprecated, Find, Flags, Group, KeySpec, ReadRun, Run,
    Spec, WriteRun,
};

pub(in crate::families) mod add;
mod block;
pub(in crate::families) mod bounds;
mod combine;
pub(in crate::families) mod entries;
mod range;
mod read;
mod remove;
mod sample;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::BLOCKING,
        keys: &[counted(2, &["RW", "access", "delete"])],
        since: "7.0.0",
        summary: "Pops the lowest or highest members of the first sorted set that has any; waits \
                  if none has.",
        complexity: "O(K + M*log(N)): K the number of keys, M the members popped",
        args: &[
            TIMEOUT,
            NUMKEYS,
            Arg::KEY.multiple(),
            Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
            Arg::new("count", ArgKind::Integer)
                .token("COUNT")
                .optional(),
        ],
        ..blocks("bzmpop", -5, block::bzmpop)
    },
    Spec {
        summary: "Pops the member with the highest score of the first sorted set that has any; \
                  waits if none has.",
        ..pops_or_waits("bzpopmax", block::bzpopmax)
    },
    Spec {
        summary: "Pops the member with the lowest score of the first sorted set that has any; \
                  waits if none has.",
        ..pops_or_waits("bzpopmin", block::bzpopmin)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "update"])],
        member: 3,
        since: "1.2.0",
        summary: "Adds members with scores, or changes the scores of those that are there.",
        complexity: "O(log(N)) for each member",
        history: &[
            ("2.4.0", "Several members at once."),
            ("3.0.2", "`XX`, `NX`, `CH` and `INCR`."),
            ("6.2.0", "`GT` and `LT`."),
        ],
        args: &[
            Arg::KEY,
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
                .since("3.0.2")
                .optional(),
            Arg::one_of(
                "comparison",
                &[Arg::word("gt", "GT"), Arg::word("lt", "LT")],
            )
            .since("6.2.0")
            .optional(),
            Arg::word("change", "CH").since("3.0.2").optional(),
            Arg::word("increment", "INCR").since("3.0.2").optional(),
            Arg::block("data", &[Arg::new("score", ArgKind::Double), MEMBER]).multiple(),
        ],
        ..write("zadd", -4, add::zadd)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        since: "1.2.0",
        summary: "Returns the number of members of a sorted set.",
        args: &[Arg::KEY],
        ..read("zcard", 2, read::zcard)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        since: "2.0.0",
        summary: "Counts the members whose scores lie in a range.",
        complexity: "O(log(N))",
        args: &[
            Arg::KEY,
            Arg::new("min", ArgKind::Double),
            Arg::new("max", ArgKind::Double),
        ],
        ..read("zcount", 4, read::zcount)
    },
    Spec {
        keys: READ_COUNTED,
        since: "6.2.0",
        summary: "Returns the members of the first sorted set that no other one has.",
        complexity: "O(L + K*log(K)): L the members of all sets, K the result",
        args: &[NUMKEYS, Arg::KEY.multiple(), WITHSCORES],
        ..read("zdiff", -3, combine::zdiff)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["OW", "update"]),
            counted(2, &["RO", "access"]),
        ],
        since: "6.2.0",
        summary: "Stores the members of the first sorted set that no other one has.",
        complexity: "O(L + K*log(K)): L the members of all sets, K the result",
        args: &[
            Arg::new("destination", ArgKind::Key).of_key_spec(0),
            NUMKEYS,
            Arg::new("key", ArgKind::Key).of_key_spec(1).multiple(),
        ],
        ..write("zdiffstore", -4, combine::zdiffstore)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "access", "update"])],
        member: 3,
        since: "1.2.0",
        summary: "Adds a number to the score of a member; a missing one counts as 0.",
        complexity: "O(log(N))",
        args: &[Arg::KEY, Arg::new("increment", ArgKind::Integer), MEMBER],
        ..write("zincrby", 4, add::zincrby)
    },
    Spec {
        keys: READ_COUNTED,
        since: "6.2.0",
        summary: "Returns the members that all of several sorted sets have.",
        complexity: "O(N*K + M*log(M)): N the smallest set, K the number of sets, M the result",
        args: &[NUMKEYS, Arg::KEY.multiple(), WEIGHTS, AGGREGATE, WITHSCORES],
        ..read("zinter", -3, combine::zinter)
    },
    Spec {
        keys: READ_COUNTED,
        since: "7.0.0",
        summary: "Counts the members that all of several sorted sets have.",
        complexity: "O(N*K): N the smallest set, K the number of sets",
        args: &[
            NUMKEYS,
            Arg::KEY.multiple(),
            Arg::new("limit", ArgKind::Integer)
                .token("LIMIT")
                .optional(),
        ],
        ..read("zintercard", -3, combine::zintercard)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["OW", "update"]),
            counted(2, &["RO", "access"]),
        ],
        since: "2.0.0",
        summary: "Stores the members that all of several sorted sets have.",
        complexity: "O(N*K + M*log(M)): N the smallest set, K the number of sets, M the result",
        args: &[
            Arg::new("destination", ArgKind::Key).of_key_spec(0),
            NUMKEYS,
            Arg::new("key", ArgKind::Key).of_key_spec(1).multiple(),
            WEIGHTS,
            AGGREGATE,
        ],
        ..write("zinterstore", -4, combine::zinterstore)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        since: "2.8.9",
        summary: "Counts the members in a range of members, in a set of one score.",
        complexity: "O(log(N))",
        args: &[
            Arg::KEY,
            Arg::new("min", ArgKind::String),
            Arg::new("max", ArgKind::String),
        ],
        ..read("zlexcount", 4, read::zlexcount)
    },
    Spec {
        keys: &[counted(1, &["RW", "access", "delete"])],
        since: "7.0.0",
        summary: "Pops the lowest or highest members of the first sorted set that has any.",
        complexity: "O(K + M*log(N)): K the number of keys, M the members popped",
        args: &[
            NUMKEYS,
            Arg::KEY.multiple(),
            Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
            Arg::new("count", ArgKind::Integer)
                .token("COUNT")
                .optional(),
        ],
        ..write("zmpop", -4, remove::zmpop)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        member: 2,
        since: "6.2.0",
        summary: "Returns the scores of several members.",
        complexity: "O(N) in the number of members asked for",
        args: &[Arg::KEY, MEMBER.multiple()],
        ..read("zmscore", -3, read::zmscore)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "access", "delete"])],
        since: "5.0.0",
        summary: "Removes and returns the members with the highest scores.",
        complexity: "O(M*log(N)) where M is the number of members popped",
        args: &[Arg::KEY, Arg::new("count", ArgKind::Integer).optional()],
        ..write("zpopmax", -2, remove::zpopmax)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "access", "delete"])],
        since: "5.0.0",
        summary: "Removes and returns the members with the lowest scores.",
        complexity: "O(M*log(N)) where M is the number of members popped",
        args: &[Arg::KEY, Arg::new("count", ArgKind::Integer).optional()],
        ..write("zpopmin", -2, remove::zpopmin)
    },
    Spec {
        keys: READ_FIRST,
        since: "6.2.0",
        summary: "Returns members chosen at random.",
        complexity: "O(M*log(N)) where M is the number of members returned",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::KEY,
            Arg::block(
                "options",
                &[Arg::new("count", ArgKind::Integer), WITHSCORES],
            )
            .optional(),
        ],
        ..read("zrandmember", -2, sample::zrandmember)
    },
    Spec {
        keys: READ_FIRST,
        since: "1.2.0",
        summary: "Returns the members in a range of ranks, scores or members.",
        complexity: "O(log(N)+M) where M is the number of members returned",
        history: &[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT`.")],
        args: &[
            Arg::KEY,
            Arg::new("start", ArgKind::String),
            Arg::new("stop", ArgKind::String),
            Arg::one_of(
                "sortby",
                &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")],
            )
            .since("6.2.0")
            .optional(),
            Arg::word("rev", "REV").since("6.2.0").optional(),
            LIMIT.since("6.2.0").optional(),
            WITHSCORES,
        ],
        ..read("zrange", -4, range::zrange)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.8.9",
        summary: "Returns the members in a range of members, in a set of one score.",
        complexity: "O(log(N)+M) where M is the number of members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `BYLEX` argument",
        }),
        args: &[
            Arg::KEY,
            Arg::new("min", ArgKind::String),
            Arg::new("max", ArgKind::String),
            LIMIT.optional(),
        ],
        ..read("zrangebylex", -4, range::zrangebylex)
    },
    Spec {
        keys: READ_FIRST,
        since: "1.0.5",
        summary: "Returns the members whose scores lie in a range.",
        complexity: "O(log(N)+M) where M is the number of members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `BYSCORE` argument",
        }),
        history: &[("2.0.0", "`WITHSCORES`.")],
        args: &[
            Arg::KEY,
            Arg::new("min", ArgKind::Double),
            Arg::new("max", ArgKind::Double),
            Arg::word("withscores", "WITHSCORES")
                .since("2.0.0")
                .optional(),
            LIMIT.optional(),
        ],
        ..read("zrangebyscore", -4, range::zrangebyscore)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["OW", "update"]),
            KeySpec::at(2, &["RO", "access"]),
        ],
        since: "6.2.0",
        summary: "Stores the members in a range of ranks, scores or members.",
        complexity: "O(log(N)+M) where M is the number of members stored",
        args: &[
            Arg::new("dst", ArgKind::Key).of_key_spec(0),
            Arg::new("src", ArgKind::Key).of_key_spec(1),
            Arg::new("min", ArgKind::String),
            Arg::new("max", ArgKind::String),
            Arg::one_of(
                "sortby",
                &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")],
            )
            .optional(),
            Arg::word("rev", "REV").optional(),
            LIMIT.optional(),
        ],
        ..write("zrangestore", -5, range::zrangestore)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        member: 2,
        since: "2.0.0",
        summary: "Returns how many members come before a member.",
        complexity: "O(log(N))",
        history: &[("7.2.0", "`WITHSCORE`.")],
        args: &[
            Arg::KEY,
            MEMBER,
            Arg::word("withscore", "WITHSCORE").optional(),
        ],
        ..read("zrank", -3, read::zrank)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete"])],
        member: 2,
        since: "1.2.0",
        summary: "Removes members.",
        complexity: "O(M*log(N)) where M is the number of members removed",
        history: &[("2.4.0", "Several members at once.")],
        args: &[Arg::KEY, MEMBER.multiple()],
        ..write("zrem", -3, remove::zrem)
    },
    Spec {
        keys: &[KeySpec::first(&["RW", "delete"])],
        since: "2.8.9",
        summary: "Removes the members in a range of members, in a set of one score.",
        complexity: "O(log(N)+M) where M is the number of members removed",
        args: &[
            Arg::KEY,
            Arg::new("min", ArgKind::String),
            Arg::new("max", ArgKind::String),
        ],
        ..write("zremrangebylex", 4, remove::zremrangebylex)
    },
    Spec {
        keys: &[KeySpec::first(&["RW", "delete"])],
        since: "2.0.0",
        summary: "Removes the members in a range of ranks.",
        complexity: "O(log(N)+M) where M is the number of members removed",
        args: &[
            Arg::KEY,
            Arg::new("start", ArgKind::Integer),
            Arg::new("stop", ArgKind::Integer),
        ],
        ..write("zremrangebyrank", 4, remove::zremrangebyrank)
    },
    Spec {
        keys: &[KeySpec::first(&["RW", "delete"])],
        since: "1.2.0",
        summary: "Removes the members whose scores lie in a range.",
        complexity: "O(log(N)+M) where M is the number of members removed",
        args: &[
            Arg::KEY,
            Arg::new("min", ArgKind::Double),
            Arg::new("max", ArgKind::Double),
        ],
        ..write("zremrangebyscore", 4, remove::zremrangebyscore)
    },
    Spec {
        keys: READ_FIRST,
        since: "1.2.0",
        summary: "Returns the members in a range of ranks, the highest first.",
        complexity: "O(log(N)+M) where M is the number of members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` argument",
        }),
        args: &[
            Arg::KEY,
            Arg::new("start", ArgKind::Integer),
            Arg::new("stop", ArgKind::Integer),
            WITHSCORES,
        ],
        ..read("zrevrange", -4, range::zrevrange)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.8.9",
        summary: "Returns a range of members, the last first, in a set of one score.",
        complexity: "O(log(N)+M) where M is the number of members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments",
        }),
        args: &[
            Arg::KEY,
            Arg::new("max", ArgKind::String),
            Arg::new("min", ArgKind::String),
            LIMIT.optional(),
        ],
        ..read("zrevrangebylex", -4, range::zrevrangebylex)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.2.0",
        summary: "Returns the members whose scores lie in a range, the highest first.",
        complexity: "O(log(N)+M) where M is the number of members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
        }),
        history: &[("2.1.6", "`WITHSCORES`.")],
        args: &[
            Arg::KEY,
            Arg::new("max", ArgKind::Double),
            Arg::new("min", ArgKind::Double),
            WITHSCORES,
            LIMIT.optional(),
        ],
        ..read("zrevrangebyscore", -4, range::zrevrangebyscore)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        member: 2,
        since: "2.0.0",
        summary: "Returns how many members come after a member.",
        complexity: "O(log(N))",
        history: &[("7.2.0", "`WITHSCORE`.")],
        args: &[
            Arg::KEY,
            MEMBER,
            Arg::word("withscore", "WITHSCORE").optional(),
        ],
        ..read("zrevrank", -3, read::zrevrank)
    },
    Spec {
        keys: READ_FIRST,
        since: "2.8.0",
        summary: "Goes through a sorted set in steps.",
        complexity: "O(1) for each step, O(N) for all of them",
        tips: &["nondeterministic_output"],
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
        ..read("zscan", -3, sample::zscan)
    },
    Spec {
        flags: Flags::FAST,
        keys: READ_FIRST,
        member: 2,
        since: "1.2.0",
        summary: "Returns the score of a member.",
        args: &[Arg::KEY, MEMBER],
        ..read("zscore", 3, read::zscore)
    },
    Spec {
        keys: READ_COUNTED,
        since: "6.2.0",
        summary: "Returns the members of several sorted sets.",
        complexity: "O(N + M*log(M)): N the members of all sets, M the result",
        args: &[NUMKEYS, Arg::KEY.multiple(), WEIGHTS, AGGREGATE, WITHSCORES],
        ..read("zunion", -3, combine::zunion)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["OW", "update"]),
            counted(2, &["RO", "access"]),
        ],
        since: "2.0.0",
        summary: "Stores the members of several sorted sets.",
        complexity: "O(N + M*log(M)): N the members of all sets, M the result",
        args: &[
            Arg::new("destination", ArgKind::Key).of_key_spec(0),
            NUMKEYS,
            Arg::new("key", ArgKind::Key).of_key_spec(1).multiple(),
            WEIGHTS,
            AGGREGATE,
        ],
        ..write("zunionstore", -4, combine::zunionstore)
    },
];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const READ_COUNTED: &[KeySpec] = &[counted(1, &["RO", "access"])];

const MEMBER: Arg = Arg::new("member", ArgKind::String);
const TIMEOUT: Arg = Arg::new("timeout", ArgKind::Double);
const NUMKEYS: Arg = Arg::new("numkeys", ArgKind::Integer);
const WITHSCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();
const WEIGHTS: Arg = Arg::new("weight", ArgKind::Integer)
    .token("WEIGHTS")
    .multiple()
    .optional();
const AGGREGATE: Arg = Arg::one_of(
    "aggregate",
    &[
        Arg::word("sum", "SUM"),
        Arg::word("min", "MIN"),
        Arg::word("max", "MAX"),
        Arg::word("count", "COUNT").since("8.8.0"),
    ],
)
.token("AGGREGATE")
.optional();
const LIMIT: Arg = Arg::block(
    "limit",
    &[
        Arg::new("offset", ArgKind::Integer),
        Arg::new("count", ArgKind::Integer),
    ],
)
.token("LIMIT");

/// Keys whose number stands at a word.
const fn counted(at: i16, flags: &'static [&'static str]) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Index(at),
        find: Find::KeyNum {
            at: 0,
            first: 1,
            step: 1,
        },
        notes: None,
    }
}

const ALL_BUT_TIMEOUT: &[KeySpec] = &[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])];
const POP_OR_WAIT_ARGS: &[Arg] = &[Arg::KEY.multiple(), TIMEOUT];

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::SortedSet, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::SortedSet, Run::Do(DataRun::Write(run)))
}

const fn blocks(name: &'static str, arity: i16, run: BlockRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::SortedSet, Run::Do(DataRun::Block(run)))
}

const fn pops_or_waits(name: &'static str, run: BlockRun) -> Spec<DataRun> {
    Spec {
        flags: Flags::BLOCKING.or(Flags::FAST),
        keys: ALL_BUT_TIMEOUT,
        since: "5.0.0",
        complexity: "O(K + log(N)): K the number of keys",
        history: &[("6.0.0", "The timeout may have a fraction.")],
        args: POP_OR_WAIT_ARGS,
        ..blocks(name, -3, run)
    }
}
