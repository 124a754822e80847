//! Whom this server follows: REPLICAOF, SLAVEOF, FAILOVER. What they do is in `replicating`.

use base::num::parse_i64;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Deprecated, Flags, Group, Run, Spec};
use log::info;
use replication::handover::Patience;
use resp::Reply;

use crate::replicating::failover::Wish;
use crate::replicating::replica::{self, Primary};
use crate::session::{ControlRun, Session};

const FLAGS: Flags = Flags::ADMIN
    .or(Flags::NOSCRIPT)
    .or(Flags::STALE)
    .or(Flags::NO_ASYNC_LOADING);

const PLACE: &[Arg] = &[
    Arg::new("host", ArgKind::String),
    Arg::new("port", ArgKind::Integer),
];
const NO_ONE: &[Arg] = &[Arg::word("no", "NO"), Arg::word("one", "ONE")];
const ARGS: &[Arg] = &[Arg::one_of(
    "args",
    &[Arg::block("host-port", PLACE), Arg::block("no-one", NO_ONE)],
)];

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
        since: "6.2.0",
        summary: "Hands the place of the primary over to one of its replicas.",
        args: &[
            Arg::block(
                "target",
                &[
                    Arg::new("host", ArgKind::String),
                    Arg::new("port", ArgKind::Integer),
                    Arg::word("force", "FORCE").optional(),
                ],
            )
            .token("TO")
            .optional(),
            Arg::word("abort", "ABORT").optional(),
            Arg::new("milliseconds", ArgKind::Integer)
                .token("TIMEOUT")
                .optional(),
        ],
        ..Spec::new("failover", -1, Group::Server, Run::Do(failover))
    },
    Spec {
        flags: FLAGS,
        since: "5.0.0",
        summary: "Makes the server a replica of another one, or a primary.",
        args: ARGS,
        ..Spec::new("replicaof", 3, Group::Server, Run::Do(replicaof))
    },
    Spec {
        flags: FLAGS,
        deprecated: Some(Deprecated {
            since: "5.0.0",
            replaced_by: "`REPLICAOF`",
        }),
        summary: "Makes the server a replica of another one, or a primary.",
        args: ARGS,
        ..Spec::new("slaveof", 3, Group::Server, Run::Do(replicaof))
    },
];

const WRONG_PORT: Failure = Failure::fixed("ERR Invalid master port");

fn replicaof(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let (host, port) = (args.bytes(), args.bytes());
    args.end()?;
    let server = session.server;
    let primary = match (host.to_ascii_lowercase().as_slice(), port) {
        (b"no", port) if port.eq_ignore_ascii_case(b"one") => None,
        _ => {
            let port = parse_i64(port).and_then(|port| u16::try_from(port).ok());
            let port = port.ok_or(WRONG_PORT)?;
            let host = host.to_vec();
            Some(Primary { host, port })
        }
    };
    let is = server.replicating.replica.primary();
    if primary.is_some() && primary == is {
        info!("REPLICAOF names the master that is followed already: nothing to do");
        out.simple(b"OK Already connected to specified master");
        return Ok(());
    }
    if server.replicating.failover.is_active() {
        return Err(Failure::fixed(
            "ERR REPLICAOF not allowed while failing over.",
        ));
    }
    server.config.lock().set_primary(primary.as_ref());
    session.lease.cover_all();
    match primary {
        Some(primary) => {
            info!(
                "REPLICAOF {}:{} enabled",
                String::from_utf8_lossy(&primary.host),
                primary.port
            );
            replica::follow(server, primary, false);
        }
        None if is.is_some() => {
            info!("MASTER MODE enabled");
            replica::lead(server);
        }
        None => {}
    }
    out.ok();
    Ok(())
}

/// The words after FAILOVER.
#[derive(Default)]
struct Words {
    target: Option<Primary>,
    timeout: Option<i64>,
    forced: bool,
    abort: bool,
}

fn parse_failover(args: &mut Args<'_>) -> Result<Words, Failure> {
    let mut words = Words::default();
    while args.left() > 0 {
        if words.timeout.is_none() && args.left() > 1 && args.accept("TIMEOUT") {
            let timeout = args.int();
            args.check()?;
            if timeout <= 0 {
                return Err(Failure::fixed(
                    "ERR FAILOVER timeout must be greater than 0",
                ));
            }
            words.timeout = Some(timeout);
        } else if !words.abort && args.accept("ABORT") {
            words.abort = true;
        } else if words.target.is_none() && args.left() > 2 && args.accept("TO") {
            let host = args.bytes().to_vec();
            let port = args.int();
            args.check()?;
            let port = u16::try_from(port).map_err(|_| STRANGER)?;
            words.target = Some(Primary { host, port });
        } else if !words.forced && args.accept("FORCE") {
            words.forced = true;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    Ok(words)
}

const STRANGER: Failure = Failure::fixed("ERR FAILOVER target HOST and PORT is not a replica.");

fn failover(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let words = parse_failover(args)?;
    let server = session.server;
    let failover = &server.replicating.failover;
    if words.abort {
        if words.target.is_some() || words.timeout.is_some() || words.forced {
            return Err(Failure::SYNTAX);
        }
        session.lease.cover_all();
        failover.abort("Failover manually aborted", server)?;
    } else {
        let now = session.env.now;
        let wish = Wish {
            target: words.target,
            patience: Patience {
                until: words.timeout.map(|millis| now.saturating_add(millis)),
                forced: words.forced,
            },
        };
        failover.begin(wish, server)?;
    }
    out.ok();
    Ok(())
}
