//! MIGRATE: its row and its words. What it does is in `migrating`.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base::num::parse_i64;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Begin, Find, Flags, Group, KeySpec, Run, Spec};
use resp::Reply;

use crate::client::ReplyMode;
use crate::connection::Waiting;
use crate::migrating::{self, Login, Order, Sender};
use crate::session::{ControlRun, Session, Within};

/// What a timeout of zero or less means.
const TIMEOUT_MS: i64 = 1000;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    flags: Flags::WRITE,
    keys: &[
        KeySpec::at(3, &["RW", "access", "delete"]),
        KeySpec {
            flags: &["RW", "access", "delete", "incomplete"],
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 0,
            },
            notes: None,
        },
    ],
    categories: &["dangerous"],
    since: "2.6.0",
    summary: "Moves keys to another server.",
    complexity: "O(N), N being the size of the values",
    tips: &["nondeterministic_output"],
    history: &[
        ("3.0.0", "The words `COPY` and `REPLACE`."),
        ("3.0.6", "The word `KEYS`."),
        ("4.0.7", "The word `AUTH`."),
        ("6.0.0", "The word `AUTH2`."),
    ],
    args: &[
        Arg::new("host", ArgKind::String),
        Arg::new("port", ArgKind::Integer),
        Arg::one_of("key-selector", &[Arg::KEY, Arg::word("empty-string", "")]),
        Arg::new("destination-db", ArgKind::Integer),
        Arg::new("timeout", ArgKind::Integer),
        Arg::word("copy", "COPY").optional().since("3.0.0"),
        Arg::word("replace", "REPLACE").optional().since("3.0.0"),
        Arg::one_of("authentication", AUTHENTICATION).optional(),
        Arg::new("keys", ArgKind::Key)
            .token("KEYS")
            .of_key_spec(1)
            .optional()
            .multiple()
            .since("3.0.6"),
    ],
    ..Spec::new("migrate", -6, Group::Generic, Run::Do(migrate))
}];

const AUTHENTICATION: &[Arg] = &[
    Arg::new("auth", ArgKind::String)
        .token("AUTH")
        .since("4.0.7"),
    Arg::block(
        "auth2",
        &[
            Arg::new("username", ArgKind::String),
            Arg::new("password", ArgKind::String),
        ],
    )
    .token("AUTH2")
    .since("6.0.0"),
];

const KEY_AND_KEYS: Failure = Failure::fixed(
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
);
// Redis lets everybody wait for the other server here.
const NOT_INSIDE: Failure = Failure::fixed(
    "ERR MIGRATE waits for another server, which a transaction or a script cannot do",
);

fn migrate(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let (order, keys) = read_order(args)?;
    if session.within != Within::Nothing {
        return Err(NOT_INSIDE);
    }
    let card = &session.client.card;
    let sender = Sender {
        id: card.id,
        worker: card.worker,
        place: card.place.load(Relaxed) as usize,
    };
    let db = session.client.db;
    let migrations = &session.server.migrations;
    let (lease, env) = (&mut *session.lease, &*session.env);
    let departed = migrating::depart(migrations, order, &keys, db, sender, lease, env);
    // Keys may have been due.
    session.settle();
    if departed {
        let muted = session.client.reply_mode != ReplyMode::On;
        session.waiting = Some(Waiting::Migrate { muted });
    } else {
        out.simple(b"NOKEY");
    }
    Ok(())
}

fn read_order<'a>(args: &mut Args<'a>) -> Result<(Order, Vec<&'a [u8]>), Failure> {
    let (host, port, key) = (args.bytes(), args.bytes(), args.bytes());
    let (db, timeout) = (args.bytes(), args.bytes());
    let mut order = Order {
        host: host.to_vec(),
        // Compat: what is no port is port 0, which nobody listens to.
        port: parse_i64(port)
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(0),
        db: 0,
        timeout: Duration::ZERO,
        copy: false,
        replace: false,
        login: None,
    };
    let mut keys = vec![key];
    while args.left() > 0 {
        if args.accept("COPY") {
            order.copy = true;
        } else if args.accept("REPLACE") {
            order.replace = true;
        } else if args.accept("AUTH") {
            order.login = Some(Login {
                user: None,
                password: args.bytes().to_vec(),
            });
        } else if args.accept("AUTH2") {
            order.login = Some(Login {
                user: Some(args.bytes().to_vec()),
                password: args.bytes().to_vec(),
            });
        } else if args.accept("KEYS") {
            if !key.is_empty() {
                return Err(KEY_AND_KEYS);
            }
            keys = args.rest().collect();
            args.skip(keys.len());
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    args.end()?;
    let timeout = parse_i64(timeout).ok_or(Failure::NOT_INTEGER)?;
    order.db = parse_i64(db).ok_or(Failure::NOT_INTEGER)?;
    let timeout = if timeout > 0 { timeout } else { TIMEOUT_MS };
    order.timeout = Duration::from_millis(timeout.unsigned_abs());
    Ok((order, keys))
}
