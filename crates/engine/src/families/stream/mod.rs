//! Streams: logs of entries, read by ids or by groups of consumers.
//!
//! This file has the table of the commands and what several handlers share. `add` has XADD and what
//! is remembered of producers, `trim` XTRIM, `delete` what removes single entries, `range` reading
//! by ids, `read` XREAD, `readgroup` XREADGROUP, `group` XGROUP and XSETID, `acknowledge` XACK and
//! XNACK, `pending` XPENDING, `claim` XCLAIM and XAUTOCLAIM, `info` XINFO; `effects` has the
//! commands that do again what happened to a group.

use base::strings::until_nul;

use crate::args::Args;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::spec::{
    Arg, ArgKind, Begin, DataRun, Find, Flags, Group, KeySpec, ReadRun, Run, Spec, WriteRun,
};

use super::words;

mod acknowledge;
mod add;
mod claim;
mod delete;
mod effects;
mod group;
mod ids;
mod info;
mod pending;
mod range;
mod read;
mod readgroup;
mod reply;
mod trim;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "update"])],
        summary: "Takes entries off a group's pending list; returns how many were there.",
        complexity: "O(log N) for each id, N being the number of pending entries",
        args: &[Arg::KEY, GROUP, ID.multiple()],
        ..write("xack", -4, acknowledge::xack)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "update", "delete"])],
        since: "8.2.0",
        summary: "Takes entries off a group's pending list and deletes them.",
        complexity: "O(log N) for each id, N being the number of entries",
        args: &[Arg::KEY, GROUP, REFERENCES, IDS],
        ..write("xackdel", -6, delete::xackdel)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec {
            notes: Some("UPDATE instead of INSERT because of the optional trimming feature"),
            ..KeySpec::first(&["RW", "update"])
        }],
        summary: "Adds an entry to the end of a stream, which is made if it is missing.",
        complexity: "O(1) for adding, O(N) in the number of entries that trimming removes",
        tips: &["nondeterministic_output"],
        history: &[
            ("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT` came."),
            ("7.0.0", "Ids of the form `<ms>-*` came."),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED` came."),
            ("8.6.0", "`IDMP` and `IDMPAUTO` came."),
        ],
        args: ADD_ARGS,
        ..write("xadd", -5, add::xadd)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete"])],
        since: "6.2.0",
        summary: "Takes over pending entries that nobody has acknowledged for some time.",
        complexity: "O(N) in the number of pending entries looked at",
        tips: &["nondeterministic_output"],
        history: &[(
            "7.0.0",
            "The reply names the entries that were gone from the stream.",
        )],
        args: &[
            Arg::KEY,
            GROUP,
            CONSUMER,
            Arg::new("min-idle-time", ArgKind::String),
            Arg::new("start", ArgKind::String),
            COUNT,
            Arg::word("justid", "JUSTID").optional(),
        ],
        ..write("xautoclaim", -6, claim::xautoclaim)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "update"])],
        since: "8.6.0",
        summary: "Sets how long and how many messages of a producer a stream remembers.",
        args: &[
            Arg::KEY,
            Arg::new("idmp-duration", ArgKind::Integer)
                .token("IDMP-DURATION")
                .optional(),
            Arg::new("idmp-maxsize", ArgKind::Integer)
                .token("IDMP-MAXSIZE")
                .optional(),
        ],
        ..write("xcfgset", -2, add::xcfgset)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "update"])],
        summary: "Makes a consumer the owner of pending entries.",
        complexity: "O(log N) for each id, N being the number of pending entries",
        tips: &["nondeterministic_output"],
        args: CLAIM_ARGS,
        ..write("xclaim", -6, claim::xclaim)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete"])],
        summary: "Deletes entries; returns how many there were.",
        complexity: "O(log N) for each id, N being the number of entries",
        args: &[Arg::KEY, ID.multiple()],
        ..write("xdel", -3, delete::xdel)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "delete"])],
        since: "8.2.0",
        summary: "Deletes entries, with or without those that groups still need.",
        complexity: "O(log N) for each id, N being the number of entries",
        args: &[Arg::KEY, REFERENCES, IDS],
        ..write("xdelex", -5, delete::xdelex)
    },
    Spec {
        summary: "Makes and changes groups of consumers.",
        complexity: "Depends on the subcommand",
        since: "5.0.0",
        ..Spec::new("xgroup", -2, Group::Stream, Run::Container(XGROUP))
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "update"])],
        since: "8.6.2",
        summary: "Remembers which entry was made of a producer's message. For replication.",
        args: &[
            Arg::KEY,
            Arg::new("pid", ArgKind::String),
            Arg::new("iid", ArgKind::String),
            Arg::new("stream-id", ArgKind::String),
        ],
        ..write("xidmprecord", 5, add::xidmprecord)
    },
    Spec {
        summary: "Tells about streams, groups and consumers.",
        complexity: "Depends on the subcommand",
        since: "5.0.0",
        ..Spec::new("xinfo", -2, Group::Stream, Run::Container(XINFO))
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        summary: "Returns the number of entries.",
        args: &[Arg::KEY],
        ..read("xlen", 2, range::xlen)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RW", "update"])],
        since: "8.8.0",
        summary: "Gives pending entries back to the group without acknowledging them.",
        complexity: "O(log N) for each id, N being the number of pending entries",
        args: NACK_ARGS,
        ..write("xnack", -7, acknowledge::xnack)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Tells what is pending in a group, in sum or entry by entry.",
        complexity: "O(N) in the number of entries looked at; the sum O(N) in the number of \
                     consumers",
        tips: &["nondeterministic_output"],
        history: &[("6.2.0", "`IDLE` and ranges without their ends came.")],
        args: PENDING_ARGS,
        ..read("xpending", -3, pending::xpending)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns the entries within a range of ids.",
        complexity: "O(log N + M), N being the number of entries and M of those returned",
        history: &[("6.2.0", "Ranges without their ends came.")],
        args: &[Arg::KEY, START, END, COUNT],
        ..read("xrange", -4, range::xrange)
    },
    Spec {
        flags: Flags::BLOCKING,
        keys: STREAMS_ALONE,
        summary: "Returns the entries of several streams after given ids; may wait for some.",
        complexity: "O(log N + M) for each stream, N being the number of entries and M of those \
                     returned",
        args: READ_ARGS,
        ..row("xread", -4, DataRun::BlockRead(read::xread))
    },
    Spec {
        flags: Flags::BLOCKING,
        keys: STREAMS_IN_GROUP,
        summary: "Returns what a group has not got yet, or a consumer has not acknowledged; may \
                  wait for some.",
        complexity: "O(log N + M) for each stream, N being the number of entries and M of those \
                     returned",
        history: &[
            ("8.4.0", "`CLAIM` came."),
            ("8.10.0", "`MAXCOUNT` and `MAXSIZE` came."),
        ],
        args: READ_GROUP_ARGS,
        ..row("xreadgroup", -7, DataRun::Block(readgroup::xreadgroup))
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns the entries within a range of ids, the last one first.",
        complexity: "O(log N + M), N being the number of entries and M of those returned",
        history: &[("6.2.0", "Ranges without their ends came.")],
        args: &[Arg::KEY, END, START, COUNT],
        ..read("xrevrange", -4, range::xrevrange)
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "update"])],
        summary: "Sets the last id of a stream. For replication.",
        history: &[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID` came.")],
        args: &[
            Arg::KEY,
            Arg::new("last-id", ArgKind::String),
            Arg::new("entries-added", ArgKind::Integer)
                .token("ENTRIESADDED")
                .optional()
                .since("7.0.0"),
            Arg::new("max-deleted-id", ArgKind::String)
                .token("MAXDELETEDID")
                .optional()
                .since("7.0.0"),
        ],
        ..write("xsetid", -3, group::xsetid)
    },
    Spec {
        keys: &[KeySpec::first(&["RW", "delete"])],
        summary: "Removes the oldest entries; returns how many.",
        complexity: "O(N) in the number of entries removed; whole nodes of entries go at once",
        tips: &["nondeterministic_output"],
        history: &[
            ("6.2.0", "`MINID` and `LIMIT` came."),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED` came."),
        ],
        args: &[
            Arg::KEY,
            Arg::block(
                "trim",
                &[
                    TRIM_PARTS[0],
                    TRIM_PARTS[1],
                    TRIM_PARTS[2],
                    TRIM_PARTS[3],
                    REFERENCES,
                ],
            ),
        ],
        ..write("xtrim", -4, trim::xtrim)
    },
];

const XGROUP: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::at(2, &["RW", "insert"])],
        summary: "Makes a group of consumers.",
        history: &[("7.0.0", "`ENTRIESREAD` came.")],
        args: &[
            Arg::KEY,
            GROUP,
            ID_OR_LAST,
            Arg::word("mkstream", "MKSTREAM").optional(),
            ENTRIES_READ,
        ],
        ..write("create", -5, group::create)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::at(2, &["RW", "insert"])],
        since: "6.2.0",
        summary: "Makes a consumer of a group.",
        args: &[Arg::KEY, GROUP, CONSUMER],
        ..write("createconsumer", 5, group::createconsumer)
    },
    Spec {
        keys: &[KeySpec::at(2, &["RW", "delete"])],
        summary: "Removes a consumer from a group; returns how many entries were pending for it.",
        complexity: "O(N log M), N being the number of its pending entries and M of the group's",
        args: &[Arg::KEY, GROUP, CONSUMER],
        ..write("delconsumer", 5, group::delconsumer)
    },
    Spec {
        keys: &[KeySpec::at(2, &["RW", "delete"])],
        summary: "Removes a group.",
        complexity: "O(N) in the number of its pending entries",
        args: &[Arg::KEY, GROUP],
        ..write("destroy", 4, group::destroy)
    },
    Spec {
        summary: "Describes the subcommands.",
        ..help(group::HELP)
    },
    Spec {
        keys: &[KeySpec::at(2, &["RW", "update"])],
        summary: "Sets up to which entry a group has got everything.",
        history: &[("7.0.0", "`ENTRIESREAD` came.")],
        args: &[Arg::KEY, GROUP, ID_OR_LAST, ENTRIES_READ],
        ..write("setid", -5, group::setid)
    },
];

const XINFO: &[Spec<DataRun>] = &[
    Spec {
        keys: &[KeySpec::at(2, &["RO", "access"])],
        summary: "Lists the consumers of a group.",
        complexity: "O(N) in the number of consumers",
        tips: &["nondeterministic_output"],
        history: &[("7.2.0", "`inactive` came, and `idle` means the last try.")],
        args: &[Arg::KEY, GROUP],
        ..read("consumers", 4, info::consumers)
    },
    Spec {
        keys: &[KeySpec::at(2, &["RO", "access"])],
        summary: "Lists the groups of a stream.",
        complexity: "O(N) in the number of groups",
        history: &[("7.0.0", "`entries-read` and `lag` came.")],
        args: &[Arg::KEY],
        ..read("groups", 3, info::groups)
    },
    Spec {
        summary: "Describes the subcommands.",
        ..help(info::HELP)
    },
    Spec {
        keys: &[KeySpec::at(2, &["RO", "access"])],
        summary: "Tells about a stream.",
        complexity: "O(1); with FULL O(N) in what is listed",
        history: &[
            ("6.0.0", "`FULL` came."),
            (
                "7.0.0",
                "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
                 `entries-read` and `lag` came.",
            ),
            (
                "7.2.0",
                "`active-time` came, and `seen-time` means the last try.",
            ),
        ],
        args: &[
            Arg::KEY,
            Arg::block("full-block", &[Arg::word("full", "FULL"), COUNT]).optional(),
        ],
        ..read("stream", -3, info::stream)
    },
];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const STREAMS_ALONE: &[KeySpec] = &[streams(1)];
const STREAMS_IN_GROUP: &[KeySpec] = &[streams(4)];

/// The first half of the words after STREAMS, which is searched from a word on.
const fn streams(from: i16) -> KeySpec {
    KeySpec {
        flags: &["RO", "access"],
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range {
            last: -1,
            step: 1,
            limit: 2,
        },
        notes: None,
    }
}

const GROUP: Arg = Arg::new("group", ArgKind::String);
const CONSUMER: Arg = Arg::new("consumer", ArgKind::String);
const ID: Arg = Arg::new("id", ArgKind::String);
const START: Arg = Arg::new("start", ArgKind::String);
const END: Arg = Arg::new("end", ArgKind::String);
const COUNT: Arg = Arg::new("count", ArgKind::Integer)
    .token("COUNT")
    .optional();
const IDS: Arg = Arg::block(
    "ids",
    &[Arg::new("numids", ArgKind::Integer), ID.multiple()],
)
.token("IDS");
const REFERENCES: Arg = Arg::one_of(
    "condition",
    &[
        Arg::word("keepref", "KEEPREF"),
        Arg::word("delref", "DELREF"),
        Arg::word("acked", "ACKED"),
    ],
)
.optional();
const ID_OR_LAST: Arg = Arg::one_of("id-selector", &[ID, Arg::word("new-id", "$")]);
const ENTRIES_READ: Arg = Arg::new("entriesread", ArgKind::Integer)
    .token("ENTRIESREAD")
    .optional();

const TRIM_PARTS: [Arg; 4] = [
    Arg::one_of(
        "strategy",
        &[
            Arg::word("maxlen", "MAXLEN"),
            Arg::word("minid", "MINID").since("6.2.0"),
        ],
    ),
    Arg::one_of(
        "operator",
        &[Arg::word("equal", "="), Arg::word("approximately", "~")],
    )
    .optional(),
    Arg::new("threshold", ArgKind::String),
    Arg::new("count", ArgKind::Integer)
        .token("LIMIT")
        .optional()
        .since("6.2.0"),
];

const ADD_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::word("nomkstream", "NOMKSTREAM")
        .optional()
        .since("6.2.0"),
    REFERENCES,
    Arg::one_of(
        "idmp",
        &[
            Arg::new("idmpauto-producer", ArgKind::String).token("IDMPAUTO"),
            Arg::block(
                "idmp-message",
                &[
                    Arg::new("producer-id", ArgKind::String),
                    Arg::new("idempotent-id", ArgKind::String),
                ],
            )
            .token("IDMP"),
        ],
    )
    .optional()
    .since("8.6.0"),
    Arg::block("trim", &TRIM_PARTS).optional(),
    Arg::one_of("id-selector", &[Arg::word("auto-id", "*"), ID]),
    Arg::block(
        "data",
        &[
            Arg::new("field", ArgKind::String),
            Arg::new("value", ArgKind::String),
        ],
    )
    .multiple(),
];

const CLAIM_ARGS: &[Arg] = &[
    Arg::KEY,
    GROUP,
    CONSUMER,
    Arg::new("min-idle-time", ArgKind::String),
    ID.multiple(),
    Arg::new("ms", ArgKind::Integer).token("IDLE").optional(),
    Arg::new("unix-time-milliseconds", ArgKind::UnixTime)
        .token("TIME")
        .optional(),
    Arg::new("count", ArgKind::Integer)
        .token("RETRYCOUNT")
        .optional(),
    Arg::word("force", "FORCE").optional(),
    Arg::word("justid", "JUSTID").optional(),
    Arg::new("lastid", ArgKind::String)
        .token("LASTID")
        .optional(),
];

const NACK_ARGS: &[Arg] = &[
    Arg::KEY,
    GROUP,
    Arg::one_of(
        "mode",
        &[
            Arg::word("silent", "SILENT"),
            Arg::word("fail", "FAIL"),
            Arg::word("fatal", "FATAL"),
        ],
    ),
    IDS,
    Arg::new("count", ArgKind::Integer)
        .token("RETRYCOUNT")
        .optional(),
    Arg::word("force", "FORCE").optional(),
];

const PENDING_ARGS: &[Arg] = &[
    Arg::KEY,
    GROUP,
    Arg::block(
        "filters",
        &[
            Arg::new("min-idle-time", ArgKind::Integer)
                .token("IDLE")
                .optional()
                .since("6.2.0"),
            START,
            END,
            Arg::new("count", ArgKind::Integer),
            CONSUMER.optional(),
        ],
    )
    .optional(),
];

const MAXCOUNT: Arg = Arg::new("maxcount", ArgKind::Integer)
    .token("MAXCOUNT")
    .optional()
    .since("8.10.0");
const MAXSIZE: Arg = Arg::new("maxsize", ArgKind::Integer)
    .token("MAXSIZE")
    .optional()
    .since("8.10.0");
const BLOCK: Arg = Arg::new("milliseconds", ArgKind::Integer)
    .token("BLOCK")
    .optional();
const STREAMS: Arg = Arg::block("streams", &[Arg::KEY.multiple(), ID.multiple()]).token("STREAMS");

const READ_ARGS: &[Arg] = &[COUNT, MAXCOUNT, MAXSIZE, BLOCK, STREAMS];

const READ_GROUP_ARGS: &[Arg] = &[
    Arg::block("group-block", &[GROUP, CONSUMER]).token("GROUP"),
    COUNT,
    MAXCOUNT,
    MAXSIZE,
    BLOCK,
    Arg::new("min-idle-time", ArgKind::Integer)
        .token("CLAIM")
        .optional()
        .since("8.4.0"),
    Arg::word("noack", "NOACK").optional(),
    STREAMS,
];

const fn row(name: &'static str, arity: i16, run: DataRun) -> Spec<DataRun> {
    Spec {
        since: "5.0.0",
        ..Spec::new(name, arity, Group::Stream, Run::Do(run))
    }
}

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    row(name, arity, DataRun::Read(run))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    row(name, arity, DataRun::Write(run))
}

const fn help(lines: &'static [&'static str]) -> Spec<DataRun> {
    Spec {
        flags: Flags::LOADING.or(Flags::STALE),
        ..row("help", 2, DataRun::Help(lines))
    }
}

/// What a client is told that names a group of a stream which is not there.
fn no_group_in(group: &[u8], key: Key<'_>) -> Failure {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such consumer group '",
        until_nul(group),
        b"' for key name '",
        until_nul(key.bytes),
        b"'",
    ];
    Failure::owned(parts.concat())
}

/// The same where the stream may be missing too.
fn no_key_or_group(key: Key<'_>, group: &[u8]) -> Failure {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        until_nul(key.bytes),
        b"' or consumer group '",
        until_nul(group),
        b"'",
    ];
    Failure::owned(parts.concat())
}

/// A subcommand of `container` got words that it does not know.
fn subcommand_syntax(container: &str, args: &Args<'_>) -> Failure {
    let parts: [&[u8]; 5] = [
        b"ERR unknown subcommand or wrong number of arguments for '",
        args.word(1),
        b"'. Try ",
        container.as_bytes(),
        b" HELP.",
    ];
    Failure::owned(parts.concat())
}
