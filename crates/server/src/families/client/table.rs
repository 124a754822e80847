//! The rows of CLIENT and its subcommands.

use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};

use crate::session::ControlRun;

/// The table of this family.
pub(in crate::families) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    since: "2.4.0",
    summary: "Commands about connections.",
    complexity: "Depends on the subcommand.",
    ..Spec::new("client", -2, Group::Connection, Run::Container(SUBCOMMANDS))
}];

const HELP_FLAGS: Flags = Flags::LOADING.or(Flags::STALE);
const NORMAL: Flags = Flags::NOSCRIPT.or(HELP_FLAGS);
const ADMIN: Flags = Flags::ADMIN.or(NORMAL);
const NONDETERMINISTIC: &[&str] = &["nondeterministic_output"];
/// A cluster's client sends it to every node.
const NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: NORMAL,
        since: "6.0.0",
        summary: "Says whether the next command's keys will be cached.",
        args: CACHING_ARGS,
        ..Spec::new(
            "caching",
            3,
            Group::Connection,
            Run::Do(super::tracking::caching),
        )
    },
    Spec {
        flags: NORMAL,
        since: "8.0.0",
        summary: "Claims that the client can do something that not all clients can.",
        complexity: "O(1)",
        args: &[Arg::new("capability", ArgKind::String).multiple()],
        ..Spec::new("capa", -3, Group::Connection, Run::Do(super::capa))
    },
    Spec {
        flags: NORMAL,
        since: "2.6.9",
        summary: "Tells the connection's name.",
        ..Spec::new("getname", 2, Group::Connection, Run::Do(super::getname))
    },
    Spec {
        flags: NORMAL,
        since: "6.0.0",
        summary: "Tells which connection gets this one's invalidation messages.",
        ..Spec::new(
            "getredir",
            2,
            Group::Connection,
            Run::Do(super::tracking::getredir),
        )
    },
    Spec {
        flags: HELP_FLAGS,
        since: "5.0.0",
        summary: "Lists the subcommands.",
        ..Spec::new("help", 2, Group::Connection, Run::Do(super::help::help))
    },
    Spec {
        flags: NORMAL,
        since: "5.0.0",
        summary: "Tells the connection's ID, which no other ever has.",
        ..Spec::new("id", 2, Group::Connection, Run::Do(super::id))
    },
    Spec {
        flags: NORMAL,
        since: "8.1.0",
        summary: "Says whether this connection feeds an import; there is none.",
        args: ENABLED_ARGS,
        ..Spec::new(
            "import-source",
            3,
            Group::Connection,
            Run::Do(super::tracking::import_source),
        )
    },
    Spec {
        flags: NORMAL,
        since: "6.2.0",
        summary: "Tells all about this connection.",
        tips: NONDETERMINISTIC,
        ..Spec::new("info", 2, Group::Connection, Run::Do(super::list::info))
    },
    Spec {
        flags: ADMIN,
        since: "2.4.0",
        summary: "Closes connections.",
        complexity: "O(N) for N connections",
        history: &[
            (
                "2.8.12",
                "Filters, ID among them, besides the bare address.",
            ),
            ("3.2.0", "TYPE knows master."),
            ("5.0.0", "TYPE knows replica, the new word for slave."),
            ("6.2.0", "The LADDR filter."),
            ("7.4.0", "The MAXAGE filter."),
        ],
        args: KILL_ARGS,
        ..Spec::new("kill", -3, Group::Connection, Run::Do(super::kill::kill))
    },
    Spec {
        flags: ADMIN,
        since: "2.4.0",
        summary: "Tells all about the connections.",
        complexity: "O(N) for N connections",
        tips: NONDETERMINISTIC,
        history: &[
            ("2.8.12", "The id field."),
            ("5.0.0", "The TYPE filter."),
            ("6.0.0", "The user field."),
            (
                "6.2.0",
                "The argv-mem, tot-mem, laddr and redir fields and the ID filter.",
            ),
            ("7.0.0", "The resp, multi-mem, rbs and rbp fields."),
            ("7.0.3", "The ssub field."),
            ("7.2.0", "The lib-name and lib-ver fields."),
            ("7.4.0", "The watch field."),
            ("8.0.0", "The io-thread field."),
        ],
        args: LIST_ARGS,
        ..Spec::new("list", -2, Group::Connection, Run::Do(super::list::list))
    },
    Spec {
        flags: ADMIN,
        since: "7.0.0",
        summary: "Sets whether the connection may be closed when clients need too much memory.",
        args: ENABLED_ARGS,
        ..Spec::new("no-evict", 3, Group::Connection, Run::Do(super::no_evict))
    },
    Spec {
        flags: NORMAL,
        since: "8.2.0",
        summary: "Sets how many replicas must have this connection's writes on disk.",
        complexity: "O(1)",
        args: &[
            Arg::one_of(
                "demand",
                &[
                    Arg::new("numreplicas", ArgKind::Integer),
                    Arg::word("default", "DEFAULT"),
                ],
            ),
            Arg::new("milliseconds", ArgKind::Integer)
                .token("TIMEOUT")
                .optional(),
        ],
        ..Spec::new("quorum", -3, Group::Connection, Run::Do(super::quorum))
    },
    Spec {
        flags: NORMAL,
        since: "7.2.0",
        summary: "Sets whether reading a key counts as using it, for eviction.",
        args: ENABLED_ARGS,
        ..Spec::new("no-touch", 3, Group::Connection, Run::Do(super::no_touch))
    },
    Spec {
        flags: ADMIN,
        since: "3.0.0",
        summary: "Holds back the clients' commands for a while.",
        history: &[("6.2.0", "A mode, and with it WRITE.")],
        args: PAUSE_ARGS,
        ..Spec::new("pause", -3, Group::Connection, Run::Do(super::pause))
    },
    Spec {
        flags: NORMAL,
        since: "3.2.0",
        summary: "Sets whether commands are answered.",
        args: REPLY_ARGS,
        ..Spec::new("reply", 3, Group::Connection, Run::Do(super::reply))
    },
    Spec {
        flags: NORMAL,
        since: "7.2.0",
        summary: "Sets what is known of the client library.",
        tips: NODES,
        args: SETINFO_ARGS,
        ..Spec::new("setinfo", 4, Group::Connection, Run::Do(super::setinfo))
    },
    Spec {
        flags: NORMAL,
        since: "2.6.9",
        summary: "Names the connection.",
        tips: NODES,
        args: &[Arg::new("connection-name", ArgKind::String)],
        ..Spec::new("setname", 3, Group::Connection, Run::Do(super::setname))
    },
    Spec {
        flags: NORMAL,
        since: "6.0.0",
        summary: "Lets this connection hear when keys that it caches change.",
        complexity: "O(1), and more with some of the options",
        args: TRACKING_ARGS,
        ..Spec::new(
            "tracking",
            -3,
            Group::Connection,
            Run::Do(super::tracking::tracking),
        )
    },
    Spec {
        flags: NORMAL,
        since: "6.2.0",
        summary: "Tells how this connection caches keys.",
        ..Spec::new(
            "trackinginfo",
            2,
            Group::Connection,
            Run::Do(super::tracking::trackinginfo),
        )
    },
    Spec {
        flags: ADMIN,
        since: "5.0.0",
        summary: "Ends the waiting of another connection.",
        complexity: "O(log N) for N connections",
        args: UNBLOCK_ARGS,
        ..Spec::new("unblock", -3, Group::Connection, Run::Do(super::unblock))
    },
    Spec {
        flags: ADMIN,
        since: "6.2.0",
        summary: "Lets the commands go on that a pause holds back.",
        complexity: "O(N) for N held-back clients",
        ..Spec::new("unpause", 2, Group::Connection, Run::Do(super::unpause))
    },
];

const ENABLED_ARGS: &[Arg] = &[Arg::one_of(
    "enabled",
    &[Arg::word("on", "ON"), Arg::word("off", "OFF")],
)];

const CACHING_ARGS: &[Arg] = &[Arg::one_of(
    "mode",
    &[Arg::word("yes", "YES"), Arg::word("no", "NO")],
)];

const TRACKING_ARGS: &[Arg] = &[
    Arg::one_of("status", &[Arg::word("on", "ON"), Arg::word("off", "OFF")]),
    Arg::new("client-id", ArgKind::Integer)
        .token("REDIRECT")
        .optional(),
    Arg {
        multiple_token: true,
        ..Arg::new("prefix", ArgKind::String)
            .token("PREFIX")
            .optional()
            .multiple()
    },
    Arg::word("bcast", "BCAST").optional(),
    Arg::word("optin", "OPTIN").optional(),
    Arg::word("optout", "OPTOUT").optional(),
    Arg::word("noloop", "NOLOOP").optional(),
];

const REPLY_ARGS: &[Arg] = &[Arg::one_of(
    "action",
    &[
        Arg::word("on", "ON"),
        Arg::word("off", "OFF"),
        Arg::word("skip", "SKIP"),
    ],
)];

const SETINFO_ARGS: &[Arg] = &[Arg::one_of(
    "attr",
    &[
        Arg::new("libname", ArgKind::String).token("LIB-NAME"),
        Arg::new("libver", ArgKind::String).token("LIB-VER"),
    ],
)];

const PAUSE_ARGS: &[Arg] = &[
    Arg::new("timeout", ArgKind::Integer),
    Arg::one_of(
        "mode",
        &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")],
    )
    .optional()
    .since("6.2.0"),
];

const UNBLOCK_ARGS: &[Arg] = &[
    Arg::new("client-id", ArgKind::Integer),
    Arg::one_of(
        "unblock-type",
        &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")],
    )
    .optional(),
];

const LIST_ARGS: &[Arg] = &[
    Arg::one_of(
        "client-type",
        &[
            Arg::word("normal", "NORMAL"),
            Arg::word("master", "MASTER"),
            Arg::word("replica", "REPLICA"),
            Arg::word("pubsub", "PUBSUB"),
        ],
    )
    .token("TYPE")
    .optional()
    .since("5.0.0"),
    Arg::new("client-id", ArgKind::Integer)
        .token("ID")
        .optional()
        .multiple()
        .since("6.2.0"),
];

const KILL_ARGS: &[Arg] = &[Arg::one_of(
    "filter",
    &[
        Arg::new("old-format", ArgKind::String),
        Arg::one_of("new-format", KILL_FILTERS).multiple(),
    ],
)];

const KILL_FILTERS: &[Arg] = &[
    Arg::new("client-id", ArgKind::Integer)
        .token("ID")
        .optional()
        .since("2.8.12"),
    Arg::one_of(
        "client-type",
        &[
            Arg::word("normal", "NORMAL"),
            Arg::word("master", "MASTER").since("3.2.0"),
            Arg::word("slave", "SLAVE"),
            Arg::word("replica", "REPLICA").since("5.0.0"),
            Arg::word("pubsub", "PUBSUB"),
        ],
    )
    .token("TYPE")
    .optional()
    .since("2.8.12"),
    Arg::new("username", ArgKind::String)
        .token("USER")
        .optional(),
    Arg::new("addr", ArgKind::String).token("ADDR").optional(),
    Arg::new("laddr", ArgKind::String)
        .token("LADDR")
        .optional()
        .since("6.2.0"),
    Arg::one_of("skipme", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])
        .token("SKIPME")
        .optional(),
    Arg::new("maxage", ArgKind::Integer)
        .token("MAXAGE")
        .optional()
        .since("7.4.0"),
];
