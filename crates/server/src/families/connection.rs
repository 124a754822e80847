//! The connection itself: PING, ECHO, SELECT, QUIT.

use base::ids::DbIndex;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use resp::Reply;

use crate::client::Fate;
use crate::session::{ControlRun, Session};

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: Flags::FAST,
        summary: "Answers PONG, or the message.",
        args: &[Arg::new("message", ArgKind::String).optional()],
        ..Spec::new("ping", -1, Group::Connection, Run::Do(ping))
    },
    Spec {
        flags: Flags::FAST.or(Flags::LOADING).or(Flags::STALE),
        summary: "Changes the database of this connection.",
        args: &[Arg::new("index", ArgKind::Integer)],
        ..Spec::new("select", 2, Group::Connection, Run::Do(select))
    },
    Spec {
        flags: Flags::FAST,
        summary: "Closes the connection.",
        ..Spec::new("quit", -1, Group::Connection, Run::Do(quit))
    },
];

fn ping(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    match args.left() {
        0 => out.pong(),
        1 => out.bulk(args.bytes()),
        _ => return Err(Failure::arity("ping")),
    }
    Ok(())
}

fn select(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let index = args.int();
    args.end()?;
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
