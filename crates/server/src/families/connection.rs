//! The connection itself: PING, ECHO, SELECT, QUIT, RESET, and who speaks which protocol: HELLO,
//! AUTH.

use base::ids::DbIndex;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Deprecated, Flags, Group, Run, Spec};
use resp::{Proto, Reply};

use super::client::set_name;
use crate::client::Fate;
use crate::login;
use crate::session::{ControlRun, Session};
use crate::transaction;
use crate::version::REDIS_VERSION;

/// Allowed at any time: while loading, on a stale replica, before the login, during a long script.
const ALWAYS: Flags = Flags::NOSCRIPT
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::FAST)
    .or(Flags::NO_AUTH)
    .or(Flags::ALLOW_BUSY);
const ANYWHERE: Flags = Flags::LOADING.or(Flags::STALE).or(Flags::FAST);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: ALWAYS,
        summary: "Logs in with a password, as the default user or a named one.",
        complexity: "O(1)",
        history: &[("6.0.0", "A user name may precede the password.")],
        args: &[
            Arg::new("username", ArgKind::String)
                .optional()
                .since("6.0.0"),
            Arg::new("password", ArgKind::String),
        ],
        ..Spec::new("auth", -2, Group::Connection, Run::Do(auth))
    },
    Spec {
        flags: ANYWHERE,
        summary: "Answers the message.",
        args: &[Arg::new("message", ArgKind::String)],
        ..Spec::new("echo", 2, Group::Connection, Run::Do(echo))
    },
    Spec {
        flags: ALWAYS,
        since: "6.0.0",
        summary: "Chooses the protocol, logs in and names if asked, and tells about the server.",
        history: &[(
            "6.2.0",
            "The version may be left out, to be told about the server without changing anything.",
        )],
        args: HELLO_ARGS,
        ..Spec::new("hello", -1, Group::Connection, Run::Do(hello))
    },
    Spec {
        flags: Flags::FAST,
        summary: "Answers PONG, or the message.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[Arg::new("message", ArgKind::String).optional()],
        ..Spec::new("ping", -1, Group::Connection, Run::Do(ping))
    },
    Spec {
        flags: ALWAYS,
        summary: "Closes the connection.",
        deprecated: Some(Deprecated {
            since: "7.2.0",
            replaced_by: "just closing the connection",
        }),
        ..Spec::new("quit", -1, Group::Connection, Run::Do(quit))
    },
    Spec {
        flags: ALWAYS,
        since: "6.2.0",
        summary: "Makes the connection as good as new.",
        ..Spec::new("reset", 1, Group::Connection, Run::Do(reset))
    },
    Spec {
        flags: ANYWHERE,
        summary: "Changes the database of this connection.",
        args: &[Arg::new("index", ArgKind::Integer)],
        ..Spec::new("select", 2, Group::Connection, Run::Do(select))
    },
];

const HELLO_ARGS: &[Arg] = &[Arg::block(
    "arguments",
    &[
        Arg::new("protover", ArgKind::Integer),
        Arg::block(
            "auth",
            &[
                Arg::new("username", ArgKind::String),
                Arg::new("password", ArgKind::String),
            ],
        )
        .token("AUTH")
        .optional(),
        Arg::new("clientname", ArgKind::String)
            .token("SETNAME")
            .optional(),
    ],
)
.optional()];

fn ping(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let listening = session.client.subscriptions.any() && out.proto() == Proto::Resp2;
    match args.left() {
        // Told apart from a status, which a client that only listens does not expect.
        left @ ..=1 if listening => {
            out.array(2);
            out.bulk(b"pong");
            out.bulk(if left == 1 { args.bytes() } else { b"" });
        }
        0 => out.pong(),
        1 => out.bulk(args.bytes()),
        _ => return Err(Failure::arity("ping")),
    }
    Ok(())
}

fn echo(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    out.bulk(args.bytes());
    Ok(())
}

fn select(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const NOT_INT: Failure =
        Failure::fixed("ERR value is out of range, value must between -2147483648 and 2147483647");
    let index = args.int();
    args.end()?;
    let index = i32::try_from(index).map_err(|_| NOT_INT)?;
    let db = u32::try_from(index).map_err(|_| Failure::DB_INDEX)?;
    if db >= session.server.keyspace.databases() {
        return Err(Failure::DB_INDEX);
    }
    session.client.db = DbIndex(db);
    out.ok();
    Ok(())
}

fn quit(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    session.client.fate = Fate::CloseAfterReply;
    out.ok();
    Ok(())
}

fn reset(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let settings = session.server.settings.get();
    transaction::discard(session.client, session.lease);
    session.unsubscribe_all();
    session.client.stop_observing(session.server, session.desk);
    session.client.reset(&settings);
    out.set_proto(Proto::Resp2);
    out.simple(b"RESET");
    Ok(())
}

fn auth(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const NOT_NEEDED: Failure = Failure::fixed(
        "ERR AUTH <password> called without any password configured for the default user. Are you \
         sure your configuration is correct?",
    );
    let settings = session.server.settings.get();
    let user = match args.left() {
        1 if settings.requirepass.is_none() => return Err(NOT_NEEDED),
        1 => login::DEFAULT_USER.as_bytes(),
        _ => args.bytes(),
    };
    let password = args.bytes();
    args.end()?;
    if !login::accepts(&settings, user, password) {
        return Err(login::WRONG_PASSWORD);
    }
    session.client.authenticated = true;
    out.ok();
    Ok(())
}

/// What HELLO asks for.
#[derive(Default)]
struct Hello<'a> {
    proto: Option<Proto>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn hello(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const LOGIN_FIRST: Failure = Failure::fixed(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
         <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
         RESP protocol version at the same time",
    );
    let wanted = read_hello(args)?;
    let settings = session.server.settings.get();
    if let Some((user, password)) = wanted.login {
        if !login::accepts(&settings, user, password) {
            return Err(login::WRONG_PASSWORD);
        }
        session.client.authenticated = true;
    }
    if !session.client.may_speak(&settings) {
        return Err(LOGIN_FIRST);
    }
    if let Some(name) = wanted.name {
        set_name(&session.client.card, name)?;
    }
    if let Some(proto) = wanted.proto {
        out.set_proto(proto);
    }
    introduce(session, out);
    Ok(())
}

fn read_hello<'a>(args: &mut Args<'a>) -> Result<Hello<'a>, Failure> {
    let mut hello = Hello::default();
    if args.left() == 0 {
        return Ok(hello);
    }
    let version = args.int_or(Failure::fixed(
        "ERR Protocol version is not an integer or out of range",
    ));
    args.check()?;
    hello.proto = Some(match version {
        2 => Proto::Resp2,
        3 => Proto::Resp3,
        _ => return Err(Failure::fixed("NOPROTO unsupported protocol version")),
    });
    while args.left() > 0 {
        let option = args.peek().unwrap_or_default();
        if args.left() > 2 && args.accept("AUTH") {
            hello.login = Some((args.bytes(), args.bytes()));
        } else if args.left() > 1 && args.accept("SETNAME") {
            let name = args.bytes();
            super::client::check_name(name)?;
            hello.name = Some(name);
        } else {
            let text = [b"ERR Syntax error in HELLO option '", option, b"'"].concat();
            return Err(Failure::owned(text));
        }
    }
    Ok(hello)
}

fn introduce(session: &Session<'_, '_>, out: &mut Reply) {
    let version = match out.proto() {
        Proto::Resp2 => 2,
        Proto::Resp3 => 3,
    };
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(REDIS_VERSION.as_bytes());
    out.bulk(b"proto");
    out.int(version);
    out.bulk(b"id");
    out.int(session.client.card.id.0 as i64);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
}
