//! Replication's commands: what replicas say (REPLCONF, PSYNC, SYNC), and what clients ask of their
//! primary (ROLE, WAIT).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base::ids::RunId;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use journal::Offset;
use journal::journal::Cursor;
use log::{info, warn};
use parking_lot::Mutex;
use replication::feed::{Feed, Request, Shelf, Way, Why};
use resp::Reply;

use super::persistence::await_wish;
use crate::client::ReplyMode;
use crate::held::DiskWish;
use crate::replicating::primary::rewind;
use crate::replicating::primary::{Attached, Introduction, Standing, Without};
use crate::replicating::replica;
use crate::replicating::report;
use crate::server::Server;
use crate::session::{ControlRun, Session};

const SYNC: Flags = Flags::ADMIN
    .or(Flags::NOSCRIPT)
    .or(Flags::NO_MULTI)
    .or(Flags::NO_ASYNC_LOADING);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: SYNC,
        since: "2.8.0",
        summary: "Makes the connection a replica's, from where in its history it is.",
        complexity: "",
        args: &[
            Arg::new("replicationid", ArgKind::String),
            Arg::new("offset", ArgKind::Integer),
        ],
        ..Spec::new("psync", -3, Group::Server, Run::Do(psync))
    },
    Spec {
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::ALLOW_BUSY),
        since: "3.0.0",
        summary: "Tells what a replica is and how far it has come.",
        internal: true,
        ..Spec::new("replconf", -1, Group::Server, Run::Do(replconf))
    },
    Spec {
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST),
        categories: &["admin", "dangerous"],
        since: "2.8.12",
        summary: "Tells whether the server is a primary or a replica, and of whom.",
        ..Spec::new("role", 1, Group::Server, Run::Do(role))
    },
    Spec {
        flags: SYNC,
        summary: "Makes the connection a replica's that has nothing yet.",
        complexity: "",
        ..Spec::new("sync", 1, Group::Server, Run::Do(sync))
    },
    Spec {
        flags: Flags::BLOCKING,
        categories: &["connection"],
        since: "3.0.0",
        summary: "Waits until replicas have what the connection has written.",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        args: &[
            Arg::new("numreplicas", ArgKind::Integer),
            Arg::new("timeout", ArgKind::Integer),
        ],
        ..Spec::new("wait", 3, Group::GenericOfTypes, Run::Do(wait))
    },
];

/// Longest name or address that a replica may give.
const IP_BYTES_MAX: usize = 256;

fn role(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    report::role(session.server, out);
    Ok(())
}

fn wait(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if session.server.replicating.is_replica() {
        return Err(Failure::fixed(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis \
             4.0 if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let replicas = args.int();
    args.check()?;
    let millis = args.int_or(Failure::fixed(
        "ERR timeout is not an integer or out of range",
    ));
    args.end()?;
    if millis < 0 {
        return Err(Failure::fixed("ERR timeout is negative"));
    }
    let until = session.env.now.0.checked_add(millis);
    if until.is_none() {
        return Err(Failure::fixed("ERR timeout is out of range"));
    }
    let wish = DiskWish {
        upto: session.client.wrote,
        durable: false,
        local: false,
        replicas: usize::try_from(replicas).unwrap_or(0),
        until: (millis > 0).then(|| session.env.now.saturating_add(millis)),
        muted: session.client.reply_mode != ReplyMode::On,
    };
    await_wish(wish, session, out);
    Ok(())
}

fn replconf(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if !args.left().is_multiple_of(2) {
        return Err(Failure::SYNTAX);
    }
    while args.left() > 0 {
        let name = args.bytes();
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("ack") {
            acknowledge(session, args);
            return Ok(());
        }
        if is("getack") {
            // Only a primary asks, in its stream; nobody else is answered.
            if let Some(upstream) = &mut session.client.upstream {
                let answer = upstream.answer(&session.server.appending.journal);
                session.client.unmuted.extend_from_slice(&answer);
            }
            return Ok(());
        }
        let about = session.client.introduction.get_or_insert_default();
        if is("listening-port") {
            about.port = args.int();
            args.check()?;
        } else if is("ip-address") {
            about.ip = Some(address(args.bytes())?);
        } else if is("capa") {
            let capability = args.bytes();
            about.knows_marks |= capability.eq_ignore_ascii_case(b"eof");
            about.knows_names |= capability.eq_ignore_ascii_case(b"psync2");
        } else if is("version") {
            about.tells_version = true;
            args.skip(1);
        } else if is("rdb-only") {
            about.copy_only = flag(args)?;
        } else if is("rdb-filter-only") {
            about.without = filter(args.bytes())?;
        } else {
            let text = [b"ERR Unrecognized REPLCONF option: ", name].concat();
            return Err(Failure::owned(text));
        }
    }
    out.ok();
    Ok(())
}

fn address(word: &[u8]) -> Result<String, Failure> {
    if word.len() >= IP_BYTES_MAX {
        let bytes = word.len();
        return Err(Failure::owned(format!(
            "ERR REPLCONF ip-address provided by replica instance is too long: {bytes} bytes"
        )));
    }
    Ok(String::from_utf8_lossy(word).into_owned())
}

fn flag(args: &mut Args<'_>) -> Result<bool, Failure> {
    let number = args.int();
    args.check()?;
    match number {
        0 | 1 => Ok(number == 1),
        _ => Err(Failure::fixed(
            "ERR value is out of range, value must between 0 and 1",
        )),
    }
}

/// What a copy leaves out that has only these parts.
fn filter(word: &[u8]) -> Result<Without, Failure> {
    let mut without = Without {
        keys: true,
        functions: true,
    };
    for part in word
        .split(u8::is_ascii_whitespace)
        .filter(|part| !part.is_empty())
    {
        if !part.eq_ignore_ascii_case(b"functions") {
            let text = [b"ERR Unsupported rdb-filter-only option: ", part].concat();
            return Err(Failure::owned(text));
        }
        without.functions = false;
    }
    Ok(without)
}

/// REPLCONF ACK offset [FACK offset]: no reply, whatever it says.
fn acknowledge(session: &mut Session<'_, '_>, args: &mut Args<'_>) {
    let now = session.env.now;
    let Some(attached) = &session.client.attached else {
        return;
    };
    let offset = |word: &[u8]| {
        let number = base::num::parse_i64(word).and_then(|number| u64::try_from(number).ok());
        number.map(Offset)
    };
    let Some(received) = offset(args.bytes()) else {
        return;
    };
    let says_durable = args.left() >= 2 && args.bytes().eq_ignore_ascii_case(b"fack");
    let durable = says_durable.then(|| offset(args.bytes())).flatten();
    attached.standing.feed.lock().ack(received, durable, now);
    session
        .server
        .replicating
        .primary
        .heard(session.server, now);
}

fn psync(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let (id, next) = (args.bytes(), args.bytes());
    if args.accept("failover") {
        // Compat: whatever else follows is passed over.
        take_over(session, id)?;
    }
    if !may_begin(session, out)? {
        return Ok(());
    }
    let Some(next) = base::num::parse_i64(next) else {
        let name = &session.client.card.peer;
        warn!("Replica {name} asks for synchronization but with a wrong offset");
        return Err(Failure::NOT_INTEGER);
    };
    let primary = &session.server.replicating.primary;
    let request = Request {
        id: RunId::parse(id),
        next,
    };
    match go_on(session, &request) {
        Gone::On(line) => out.simple(line.as_bytes()),
        Gone::OnSoon => {}
        Gone::No => {
            if id != b"?" {
                primary.counters.refused.fetch_add(1, Relaxed);
            }
            begin_full(session, false);
        }
    }
    Ok(())
}

/// The primary hands its place over to this replica.
fn take_over(session: &mut Session<'_, '_>, id: &[u8]) -> Result<(), Failure> {
    let server = session.server;
    let replicating = &server.replicating;
    info!(
        "Failover request received for replid {}.",
        String::from_utf8_lossy(id)
    );
    if !replicating.is_replica() {
        return Err(Failure::fixed(
            "ERR PSYNC FAILOVER can't be sent to a master.",
        ));
    }
    if RunId::parse(id) != Some(replicating.history().id()) {
        return Err(Failure::fixed(
            "ERR PSYNC FAILOVER replid must match my replid.",
        ));
    }
    server.config.lock().set_primary(None);
    session.lease.cover_all();
    replica::lead(server);
    session.lease.release();
    let name = &session.client.card.peer;
    info!("MASTER MODE enabled (failover request from '{name}')");
    Ok(())
}

fn sync(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    if may_begin(session, out)? {
        begin_full(session, true);
    }
    Ok(())
}

/// Whether the connection can become a replica's now.
fn may_begin(session: &Session<'_, '_>, out: &Reply) -> Result<bool, Failure> {
    if session.client.attached.is_some() {
        return Ok(false);
    }
    if out.len_bytes() > 0 {
        return Err(Failure::fixed(
            "ERR SYNC and PSYNC are invalid with pending output",
        ));
    }
    let replicating = &session.server.replicating;
    if replicating.is_replica() && !replicating.replica.is_up() {
        return Err(Failure::fixed(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    let about = session.client.introduction.as_deref();
    if about.is_some_and(|about| about.without != Without::default() && !about.knows_marks) {
        return Err(Failure::fixed(
            "ERR Filtered replica requires EOF capability",
        ));
    }
    Ok(true)
}

/// What this server has of its log.
struct Kept<'s>(&'s Server);

impl Shelf for Kept<'_> {
    type Place = Cursor;

    fn is_complete(&self) -> bool {
        let journal = &self.0.appending.journal;
        journal.is_kept() || journal.is_on()
    }

    fn place(&self, from: Offset) -> Option<Cursor> {
        self.0.appending.journal.cursor(from)
    }

    fn place_behind_files(&self, from: Offset) -> Option<Cursor> {
        let journal = &self.0.appending.journal;
        let reaches = from < journal.end() && rewind::reaches(self.0, from);
        reaches.then(|| journal.cursor_at_start())
    }
}

/// Whether a replica that asks to goes on where it was.
enum Gone {
    /// It does, and is told so by this line.
    On(String),
    /// It does, and is told so by whoever sends it what memory does not reach back to.
    OnSoon,
    /// It needs a copy.
    No,
}

/// Lets a replica go on that asks to, if that is possible. All under one lease: a history that
/// changed its name in between would be told by its old one.
fn go_on(session: &mut Session<'_, '_>, request: &Request) -> Gone {
    let (server, now) = (session.server, session.env.now);
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    session.lease.cover_all();
    let shelf = Kept(server);
    if shelf.is_complete() {
        replicating.primary.begin(server, now);
    }
    let history = replicating.history();
    let gone = match request.way(&history, &shelf) {
        Way::Continue(cursor) => {
            let about = introduction(session, false);
            let bytes = journal.end().0 - cursor.at().0;
            let line = match about.knows_names {
                true => format!("CONTINUE {}", history.id()),
                false => "CONTINUE".to_owned(),
            };
            attach(session, about, Beginning::Here(cursor));
            tell(
                session,
                request,
                &format!("Sending {bytes} bytes of backlog"),
            );
            Gone::On(line)
        }
        Way::Rewind(from, cursor) => {
            let about = introduction(session, false);
            attach(session, about, Beginning::Rewound(from, cursor));
            tell(session, request, "It is fed from the append-only file");
            Gone::OnSoon
        }
        Way::Anew(why) => {
            refuse(session, request, why);
            Gone::No
        }
    };
    session.lease.release();
    if !matches!(gone, Gone::No) {
        replicating.primary.counters.partial.fetch_add(1, Relaxed);
    }
    gone
}

fn tell(session: &Session<'_, '_>, request: &Request, what: &str) {
    info!(
        "Partial resynchronization request from {} accepted. {what} starting from offset {}.",
        session.client.card.peer, request.next
    );
}

fn refuse(session: &Session<'_, '_>, request: &Request, why: Why) {
    let name = &session.client.card.peer;
    match why {
        Why::Nameless => {}
        Why::Stranger | Why::Unlogged => info!(
            "Partial resynchronization not accepted: the history that {name} asks for is not \
             this one"
        ),
        Why::Gone => warn!(
            "Unable to partial resync with replica {name} for lack of backlog (Replica request \
             was: {}).",
            request.next
        ),
    }
}

fn introduction(session: &mut Session<'_, '_>, old: bool) -> Introduction {
    let about = session.client.introduction.take();
    Introduction {
        old,
        ..about.map(|about| *about).unwrap_or_default()
    }
}

/// It needs a copy of everything.
fn begin_full(session: &mut Session<'_, '_>, old: bool) {
    let primary = &session.server.replicating.primary;
    primary.counters.full.fetch_add(1, Relaxed);
    let about = introduction(session, old);
    session.lease.cover_all();
    primary.begin(session.server, session.env.now);
    session.lease.release();
    attach(session, about, Beginning::Copy);
}

/// What a replica is sent first.
enum Beginning {
    Copy,
    Here(Cursor),
    Rewound(Offset, Cursor),
}

/// The connection is a replica's from now on.
fn attach(session: &mut Session<'_, '_>, about: Introduction, beginning: Beginning) {
    let now = session.env.now;
    let (mut feed, mut rewound) = (Feed::new(!about.old, now), None);
    let (mut here, mut later) = (None, None);
    match beginning {
        Beginning::Copy => {}
        Beginning::Here(cursor) => {
            feed = Feed::online(now);
            here = Some(cursor);
        }
        Beginning::Rewound(from, cursor) => {
            rewound = Some(from);
            later = Some(cursor);
        }
    }
    let standing = Arc::new(Standing {
        card: Arc::clone(&session.client.card),
        about,
        feed: Mutex::new(feed),
        rewound,
        cursor: Mutex::new(later),
        waiting_bytes: Default::default(),
    });
    info!("Replica {} asks for synchronization", standing.name());
    session
        .server
        .replicating
        .primary
        .add(Arc::clone(&standing));
    session.client.attached = Some(Box::new(Attached {
        standing,
        handed: here.is_some(),
        cursor: here,
        begun: false,
        bytes_in: 0,
    }));
}
