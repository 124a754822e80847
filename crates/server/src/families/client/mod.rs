//! CLIENT: what a connection is, and what others may do to it.

use std::sync::atomic::Ordering::Relaxed;

use base::ids::ClientId;
use base::num::parse_i64;
use base::time::UnixMillis;
use engine::args::Args;
use engine::failure::Failure;
use replication::quorum::Demand;
use resp::Reply;

use crate::client::ReplyMode;
use crate::clients::Card;
use crate::server::PauseKind;
use crate::session::Session;
use crate::waking::{self, Ending};

mod filter;
mod help;
mod kill;
mod list;
mod table;
mod tracking;

pub(super) use table::COMMANDS;

const ON_OFF: &[(&str, bool)] = &[("ON", true), ("OFF", false)];

/// A client name may be shown in a line of fields: visible ASCII without spaces.
///
/// # Errors
/// It may not. The empty name is allowed and means none.
pub(super) fn check_name(name: &[u8]) -> Result<(), Failure> {
    const BAD: Failure =
        Failure::fixed("ERR Client names cannot contain spaces, newlines or special characters.");
    if is_showable(name) { Ok(()) } else { Err(BAD) }
}

/// Gives the client a name, or none if it is empty.
///
/// # Errors
/// See [`check_name`].
pub(super) fn set_name(card: &Card, name: &[u8]) -> Result<(), Failure> {
    check_name(name)?;
    card.names.lock().name = name.to_vec();
    Ok(())
}

fn is_showable(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// A subcommand that takes up to `words_max` words got more.
fn check_words(args: &Args<'_>, words_max: usize) -> Result<(), Failure> {
    if args.count() <= words_max {
        return Ok(());
    }
    let text: [&[u8]; 3] = [
        b"ERR unknown subcommand or wrong number of arguments for '",
        args.word(1),
        b"'. Try CLIENT HELP.",
    ];
    Err(Failure::owned(text.concat()))
}

fn id(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    out.int(session.client.card.id.0 as i64);
    Ok(())
}

fn getname(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    match &session.client.card.names.lock().name[..] {
        b"" => out.null(),
        name => out.bulk(name),
    }
    Ok(())
}

fn setname(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    set_name(&session.client.card, args.bytes())?;
    out.ok();
    Ok(())
}

fn setinfo(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let attribute = args.peek().unwrap_or_default();
    let is_name = args.accept("LIB-NAME");
    if !is_name && !args.accept("LIB-VER") {
        let text: [&[u8]; 3] = [b"ERR Unrecognized option '", attribute, b"'"];
        return Err(Failure::owned(text.concat()));
    }
    let value = args.bytes();
    if !is_showable(value) {
        let reason = b" cannot contain spaces, newlines or special characters.";
        return Err(Failure::owned([b"ERR ", attribute, reason].concat()));
    }
    let mut names = session.client.card.names.lock();
    if is_name {
        names.lib_name = value.to_vec();
    } else {
        names.lib_version = value.to_vec();
    }
    out.ok();
    Ok(())
}

/// A replica sends those who claim `redirect` to its primary (`gate`).
fn capa(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    while args.left() > 0 {
        if args.accept("REDIRECT") {
            session.client.card.can_redirect.store(true, Relaxed);
        } else {
            // What nobody knows is no error, so that clients can claim what later servers know.
            args.skip(1);
        }
    }
    out.ok();
    Ok(())
}

fn reply(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const MODES: &[(&str, ReplyMode)] = &[
        ("ON", ReplyMode::On),
        ("OFF", ReplyMode::Off),
        ("SKIP", ReplyMode::SkipNext),
    ];
    let mode = args.option(MODES).ok_or(Failure::SYNTAX)?;
    if mode == ReplyMode::On {
        out.ok();
    }
    let stays_off = session.client.reply_mode == ReplyMode::Off && mode == ReplyMode::SkipNext;
    if !stays_off {
        session.client.reply_mode = mode;
    }
    Ok(())
}

fn no_evict(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let on = args.option(ON_OFF).ok_or(Failure::SYNTAX)?;
    session.client.card.no_evict.store(on, Relaxed);
    out.ok();
    Ok(())
}

/// Replicas that this connection's writes need, instead of what the settings say.
fn quorum(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const BAD_NUMBER: Failure =
        Failure::fixed("ERR number of replicas is not an integer or out of range");
    const BAD_TIMEOUT: Failure = Failure::fixed("ERR timeout is not an integer or out of range");
    if args.left() == 1 && args.accept("DEFAULT") {
        session.client.quorum = None;
        out.ok();
        return Ok(());
    }
    let replicas = args.int_or(BAD_NUMBER);
    let patience_millis = match args.accept("TIMEOUT") {
        true => args.int_or(BAD_TIMEOUT),
        false => session.settings.primary.quorum.patience_millis,
    };
    args.end()?;
    let replicas = usize::try_from(replicas).map_err(|_| BAD_NUMBER)?;
    if patience_millis < 0 {
        return Err(BAD_TIMEOUT);
    }
    if replicas > 0 {
        let (server, now) = (session.server, session.env.now);
        server.replicating.primary.count_writes(server, now);
    }
    session.client.quorum = Some(Demand {
        replicas,
        patience_millis,
    });
    out.ok();
    Ok(())
}

fn no_touch(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let on = args.option(ON_OFF).ok_or(Failure::SYNTAX)?;
    session.client.no_touch = on;
    session.client.card.no_touch.store(on, Relaxed);
    out.ok();
    Ok(())
}

fn unblock(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const BAD_REASON: Failure =
        Failure::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    check_words(args, 4)?;
    const ENDINGS: &[(&str, Ending)] = &[("TIMEOUT", Ending::TimedOut), ("ERROR", Ending::Error)];
    let id = args.bytes();
    let ending = match args.left() {
        0 => Ending::TimedOut,
        _ => args.option(ENDINGS).ok_or(BAD_REASON)?,
    };
    let id = parse_i64(id).ok_or(Failure::NOT_INTEGER)?;
    let card = u64::try_from(id).ok();
    let card = card.and_then(|id| session.server.clients.get(ClientId(id)));
    let ended = card.is_some_and(|card| waking::unblock(&card, ending, session));
    out.int(i64::from(ended));
    Ok(())
}

fn pause(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const NOT_INTEGER: Failure = Failure::fixed("ERR timeout is not an integer or out of range");
    const BAD_MODE: Failure = Failure::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL");
    check_words(args, 4)?;
    let millis = args.bytes();
    let kind = match args.left() {
        0 => PauseKind::All,
        _ if args.accept("WRITE") => PauseKind::Write,
        _ if args.accept("ALL") => PauseKind::All,
        _ => return Err(BAD_MODE),
    };
    let millis = parse_i64(millis).ok_or(NOT_INTEGER)?;
    if millis < 0 {
        return Err(Failure::fixed("ERR timeout is negative"));
    }
    let until = session.env.now.0.checked_add(millis);
    let until = until.ok_or(Failure::fixed("ERR timeout is out of range"))?;
    if millis > 0 {
        session.server.pause(UnixMillis(until), kind);
    }
    session.env.expire = !session.server.is_pausing();
    out.ok();
    Ok(())
}

fn unpause(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    session.server.end_pause(UnixMillis(i64::MAX));
    session.env.expire = true;
    out.ok();
    Ok(())
}
