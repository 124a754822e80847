//! Whom this server follows: REPLICAOF, SLAVEOF. What they do is in `replicating/replica`.

use base::num::parse_i64;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Deprecated, Flags, Group, Run, Spec};
use log::info;
use resp::Reply;

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
    session.lease.cover_all();
    server.config.lock().set_primary(primary.as_ref());
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
