//! Keys of any type: whether they are there, what they are, how long they live, where they go.
//!
//! This file holds the table; the handlers are in the files beside it, one subject each. What the
//! rows say is what COMMAND INFO and COMMAND DOCS of Redis 8.2.3 say, in our words.

mod dump;
mod expire;
mod flush;
mod object;
mod presence;
mod rename;
mod scan;
#[cfg(test)]
mod tests;

use crate::spec::{Arg, ArgKind, DataRun, Flags, Group, KeySpec, Run, Spec};

/// Keys that the command deletes, from the first word to the last.
const DELETED_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, &["RM", "delete"])];
/// Keys of which only the existence or an attribute is read, from the first word to the last.
const SEEN_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, &["RO"])];
/// The key of which only an attribute is read.
const SEEN_KEY: &[KeySpec] = &[KeySpec::first(&["RO"])];
/// The key whose deadline is read.
const TIMED_KEY: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
/// The key whose deadline is changed.
const CHANGED_KEY: &[KeySpec] = &[KeySpec::first(&["RW", "update"])];
/// The key of an OBJECT subcommand.
const OBJECT_KEY: &[KeySpec] = &[KeySpec::at(2, &["RO"])];

const KEYS: &[Arg] = &[Arg::KEY.multiple()];
const KEY_NEWKEY: &[Arg] = &[Arg::KEY, Arg::new("newkey", ArgKind::Key).of_key_spec(1)];

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[
        Arg::word("nx", "NX"),
        Arg::word("xx", "XX"),
        Arg::word("gt", "GT"),
        Arg::word("lt", "LT"),
    ],
)
.optional()
.since("7.0.0");
const CONDITION_HISTORY: &[(&str, &str)] = &[("7.0.0", "Conditions: `NX`, `XX`, `GT` and `LT`.")];
const MINUS_TWO_HISTORY: &[(&str, &str)] = &[("2.8.0", "-2 for a missing key.")];

const FLUSH_ARGS: &[Arg] = &[Arg::one_of(
    "flush-type",
    &[
        Arg::word("async", "ASYNC").since("4.0.0"),
        Arg::word("sync", "SYNC").since("6.2.0"),
    ],
)
.optional()];
const FLUSH_HISTORY: &[(&str, &str)] = &[
    ("4.0.0", "The `ASYNC` word."),
    ("6.2.0", "The `SYNC` word."),
];

/// A command that all shards get, whose replies are added up.
const SUMMED_TIPS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const NONDETERMINISTIC_TIPS: &[&str] = &["nondeterministic_output"];
const FLUSH_TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const RESTORE_HISTORY: &[(&str, &str)] = &[
    ("3.0.0", "The `REPLACE` word."),
    ("5.0.0", "The `ABSTTL` word."),
    ("5.0.0", "The options `IDLETIME` and `FREQ`."),
];
const RESTORE_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::new("ttl", ArgKind::Integer),
    Arg::new("serialized-value", ArgKind::String),
    Arg::word("replace", "REPLACE").optional().since("3.0.0"),
    Arg::word("absttl", "ABSTTL").optional().since("5.0.0"),
    Arg::new("seconds", ArgKind::Integer)
        .token("IDLETIME")
        .optional()
        .since("5.0.0"),
    Arg::new("frequency", ArgKind::Integer)
        .token("FREQ")
        .optional()
        .since("5.0.0"),
];

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        keys: DELETED_KEYS,
        summary: "Deletes keys.",
        complexity: "O(N), N being the number of keys",
        tips: SUMMED_TIPS,
        args: KEYS,
        ..Spec::new(
            "del",
            -2,
            Group::Generic,
            Run::Do(DataRun::Write(presence::del)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: DELETED_KEYS,
        since: "4.0.0",
        summary: "Deletes keys and leaves the freeing of large values to another thread.",
        complexity: "O(1) for each key; the freeing happens elsewhere",
        tips: SUMMED_TIPS,
        args: KEYS,
        ..Spec::new(
            "unlink",
            -2,
            Group::Generic,
            Run::Do(DataRun::Write(presence::del)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: SEEN_KEYS,
        summary: "Counts how many of the given keys are there.",
        complexity: "O(N), N being the number of keys",
        tips: SUMMED_TIPS,
        history: &[("3.0.3", "More than one key.")],
        args: KEYS,
        ..Spec::new(
            "exists",
            -2,
            Group::Generic,
            Run::Do(DataRun::Read(presence::exists)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: SEEN_KEYS,
        since: "3.2.1",
        summary: "Makes keys count as just used, and counts those that are there.",
        complexity: "O(N), N being the number of keys",
        tips: SUMMED_TIPS,
        args: KEYS,
        ..Spec::new(
            "touch",
            -2,
            Group::Generic,
            Run::Do(DataRun::Read(presence::touch)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: SEEN_KEY,
        summary: "Names the type of the value at a key.",
        args: &[Arg::KEY],
        ..Spec::new(
            "type",
            2,
            Group::Generic,
            Run::Do(DataRun::Read(presence::type_of)),
        )
    },
    Spec {
        keys: &[KeySpec::first(&["RO", "access"])],
        since: "2.6.0",
        summary: "Returns a value as bytes that RESTORE understands.",
        complexity: "O(N), N being the size of the value",
        tips: NONDETERMINISTIC_TIPS,
        args: &[Arg::KEY],
        ..Spec::new(
            "dump",
            2,
            Group::Generic,
            Run::Do(DataRun::Read(dump::dump)),
        )
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::first(&["OW", "update"])],
        categories: &["dangerous"],
        since: "2.6.0",
        summary: "Creates a key of the bytes that DUMP returned.",
        complexity: "O(N), N being the size of the value; O(N*log(N)) for large sorted sets",
        history: RESTORE_HISTORY,
        args: RESTORE_ARGS,
        ..Spec::new(
            "restore",
            -4,
            Group::Generic,
            Run::Do(DataRun::Write(dump::restore)),
        )
    },
    Spec {
        summary: "Returns some key, chosen at random.",
        tips: &[
            "request_policy:all_shards",
            "response_policy:special",
            "nondeterministic_output",
        ],
        ..Spec::new(
            "randomkey",
            1,
            Group::Generic,
            Run::Do(DataRun::ReadAll(presence::randomkey)),
        )
    },
    Spec {
        flags: Flags::FAST,
        categories: &["keyspace"],
        summary: "Counts the keys of the database.",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        ..Spec::new(
            "dbsize",
            1,
            Group::Server,
            Run::Do(DataRun::Walk(scan::dbsize)),
        )
    },
    Spec {
        keys: &[
            KeySpec::first(&["RW", "access", "delete"]),
            KeySpec::at(2, &["OW", "update"]),
        ],
        summary: "Gives a key another name, replacing whatever had that name.",
        args: KEY_NEWKEY,
        ..Spec::new(
            "rename",
            3,
            Group::Generic,
            Run::Do(DataRun::Write(rename::rename)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: &[
            KeySpec::first(&["RW", "access", "delete"]),
            KeySpec::at(2, &["OW", "insert"]),
        ],
        summary: "Gives a key another name, unless that name is taken.",
        history: &[("3.2.0", "The same name twice is no longer an error.")],
        args: KEY_NEWKEY,
        ..Spec::new(
            "renamenx",
            3,
            Group::Generic,
            Run::Do(DataRun::Write(rename::renamenx)),
        )
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["RO", "access"]),
            KeySpec::at(2, &["OW", "update"]),
        ],
        since: "6.2.0",
        summary: "Copies the value and the deadline of a key to another key.",
        complexity: "O(1) for strings, else O(N), N being the number of elements",
        args: &[
            Arg {
                name: "source",
                ..Arg::KEY
            },
            Arg::new("destination", ArgKind::Key).of_key_spec(1),
            Arg::new("destination-db", ArgKind::Integer)
                .token("DB")
                .optional(),
            Arg::word("replace", "REPLACE").optional(),
        ],
        ..Spec::new(
            "copy",
            -3,
            Group::Generic,
            Run::Do(DataRun::Write(rename::copy)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "access", "update"])],
        summary: "Takes a key to another database.",
        args: &[Arg::KEY, Arg::new("db", ArgKind::Integer)],
        ..Spec::new(
            "move",
            3,
            Group::Generic,
            Run::Do(DataRun::Write(rename::move_to_db)),
        )
    },
    Spec {
        categories: &["dangerous"],
        summary: "Lists the keys that match a pattern.",
        complexity: "O(N), N being the number of keys in the database",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        args: &[Arg::new("pattern", ArgKind::Pattern)],
        ..Spec::new(
            "keys",
            2,
            Group::Generic,
            Run::Do(DataRun::Walk(scan::keys)),
        )
    },
    Spec {
        since: "2.8.0",
        summary: "Lists some keys of the database and where to go on.",
        complexity: "O(1) for a call with a given COUNT, O(N) for a whole round over N keys",
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        history: &[("6.0.0", "The `TYPE` option.")],
        args: &[
            Arg::new("cursor", ArgKind::Integer),
            Arg::new("pattern", ArgKind::Pattern)
                .token("MATCH")
                .optional(),
            Arg::new("count", ArgKind::Integer)
                .token("COUNT")
                .optional(),
            Arg::new("type", ArgKind::String)
                .token("TYPE")
                .optional()
                .since("6.0.0"),
        ],
        ..Spec::new(
            "scan",
            -2,
            Group::Generic,
            Run::Do(DataRun::Walk(scan::scan)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: CHANGED_KEY,
        summary: "Lets a key expire after some seconds.",
        history: CONDITION_HISTORY,
        args: &[Arg::KEY, Arg::new("seconds", ArgKind::Integer), CONDITION],
        ..Spec::new(
            "expire",
            -3,
            Group::Generic,
            Run::Do(DataRun::Write(expire::expire)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: CHANGED_KEY,
        since: "2.6.0",
        summary: "Lets a key expire after some milliseconds.",
        history: CONDITION_HISTORY,
        args: &[
            Arg::KEY,
            Arg::new("milliseconds", ArgKind::Integer),
            CONDITION,
        ],
        ..Spec::new(
            "pexpire",
            -3,
            Group::Generic,
            Run::Do(DataRun::Write(expire::pexpire)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: CHANGED_KEY,
        since: "1.2.0",
        summary: "Lets a key expire at a Unix time in seconds.",
        history: CONDITION_HISTORY,
        args: &[
            Arg::KEY,
            Arg::new("unix-time-seconds", ArgKind::UnixTime),
            CONDITION,
        ],
        ..Spec::new(
            "expireat",
            -3,
            Group::Generic,
            Run::Do(DataRun::Write(expire::expireat)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: CHANGED_KEY,
        since: "2.6.0",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        history: CONDITION_HISTORY,
        args: &[
            Arg::KEY,
            Arg::new("unix-time-milliseconds", ArgKind::UnixTime),
            CONDITION,
        ],
        ..Spec::new(
            "pexpireat",
            -3,
            Group::Generic,
            Run::Do(DataRun::Write(expire::pexpireat)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: TIMED_KEY,
        summary: "Tells in how many seconds a key expires.",
        tips: NONDETERMINISTIC_TIPS,
        history: MINUS_TWO_HISTORY,
        args: &[Arg::KEY],
        ..Spec::new(
            "ttl",
            2,
            Group::Generic,
            Run::Do(DataRun::Read(expire::ttl)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: TIMED_KEY,
        since: "2.6.0",
        summary: "Tells in how many milliseconds a key expires.",
        tips: NONDETERMINISTIC_TIPS,
        history: MINUS_TWO_HISTORY,
        args: &[Arg::KEY],
        ..Spec::new(
            "pttl",
            2,
            Group::Generic,
            Run::Do(DataRun::Read(expire::pttl)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: TIMED_KEY,
        since: "7.0.0",
        summary: "Tells at which Unix time, in seconds, a key expires.",
        args: &[Arg::KEY],
        ..Spec::new(
            "expiretime",
            2,
            Group::Generic,
            Run::Do(DataRun::Read(expire::expiretime)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: TIMED_KEY,
        since: "7.0.0",
        summary: "Tells at which Unix time, in milliseconds, a key expires.",
        args: &[Arg::KEY],
        ..Spec::new(
            "pexpiretime",
            2,
            Group::Generic,
            Run::Do(DataRun::Read(expire::pexpiretime)),
        )
    },
    Spec {
        flags: Flags::FAST,
        keys: CHANGED_KEY,
        since: "2.2.0",
        summary: "Makes a key stay until it is deleted.",
        args: &[Arg::KEY],
        ..Spec::new(
            "persist",
            2,
            Group::Generic,
            Run::Do(DataRun::Write(expire::persist)),
        )
    },
    Spec {
        since: "2.2.3",
        summary: "Looks at how a value is kept: subcommands.",
        complexity: "See each subcommand",
        ..Spec::new("object", -2, Group::Generic, Run::Container(OBJECT))
    },
    Spec {
        categories: &["keyspace", "dangerous"],
        summary: "Empties all databases.",
        complexity: "O(N), N being the number of keys in all databases, on another thread",
        tips: FLUSH_TIPS,
        history: FLUSH_HISTORY,
        args: FLUSH_ARGS,
        ..Spec::new(
            "flushall",
            -1,
            Group::Server,
            Run::Do(DataRun::WriteAll(flush::flushall)),
        )
    },
    Spec {
        categories: &["keyspace", "dangerous"],
        summary: "Empties the database.",
        complexity: "O(N), N being the number of keys in the database, on another thread",
        tips: FLUSH_TIPS,
        history: FLUSH_HISTORY,
        args: FLUSH_ARGS,
        ..Spec::new(
            "flushdb",
            -1,
            Group::Server,
            Run::Do(DataRun::WriteAll(flush::flushdb)),
        )
    },
    Spec {
        flags: Flags::FAST,
        categories: &["keyspace", "dangerous"],
        since: "4.0.0",
        summary: "Exchanges the contents of two databases.",
        complexity: "O(N), N being the number of clients that watch or wait for keys in them",
        args: &[
            Arg::new("index1", ArgKind::Integer),
            Arg::new("index2", ArgKind::Integer),
        ],
        ..Spec::new(
            "swapdb",
            3,
            Group::Server,
            Run::Do(DataRun::WriteAll(flush::swapdb)),
        )
    },
];

/// The subcommands of OBJECT.
const OBJECT: &[Spec<DataRun>] = &[
    Spec {
        since: "6.2.0",
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "Explains the subcommands.",
        ..Spec::new(
            "help",
            2,
            Group::Generic,
            Run::Do(DataRun::Help(object::HELP)),
        )
    },
    Spec {
        keys: OBJECT_KEY,
        since: "2.2.3",
        summary: "Tells how many seconds ago a key was last used.",
        tips: NONDETERMINISTIC_TIPS,
        args: &[Arg::KEY],
        ..Spec::new(
            "idletime",
            3,
            Group::Generic,
            Run::Do(DataRun::Read(object::idletime)),
        )
    },
    Spec {
        keys: OBJECT_KEY,
        since: "2.2.3",
        summary: "Tells how many places refer to a value.",
        tips: NONDETERMINISTIC_TIPS,
        args: &[Arg::KEY],
        ..Spec::new(
            "refcount",
            3,
            Group::Generic,
            Run::Do(DataRun::Read(object::refcount)),
        )
    },
    Spec {
        keys: OBJECT_KEY,
        since: "2.2.3",
        summary: "Names the form in which a value is kept.",
        tips: NONDETERMINISTIC_TIPS,
        args: &[Arg::KEY],
        ..Spec::new(
            "encoding",
            3,
            Group::Generic,
            Run::Do(DataRun::Read(object::encoding)),
        )
    },
    Spec {
        keys: OBJECT_KEY,
        since: "4.0.0",
        summary: "Tells how often a key is used, as a logarithm.",
        tips: NONDETERMINISTIC_TIPS,
        args: &[Arg::KEY],
        ..Spec::new(
            "freq",
            3,
            Group::Generic,
            Run::Do(DataRun::Read(object::freq)),
        )
    },
];
