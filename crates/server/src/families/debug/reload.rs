//! DEBUG RELOAD and LOADAOF: through the files and back.

use std::time::Duration;

use engine::args::Args;
use engine::failure::Failure;
use log::{error, warn};
use resp::Reply;

use crate::appending::replay;
use crate::scripting::libraries::Libraries;
use crate::session::Session;
use crate::{loading, saving};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Merge,
    NoFlush,
    NoSave,
}

const WORDS: &[(&str, Word)] = &[
    ("merge", Word::Merge),
    ("noflush", Word::NoFlush),
    ("nosave", Word::NoSave),
];

const UNKNOWN_WORD: Failure =
    Failure::fixed("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
const IN_TRANSACTION: Failure =
    Failure::fixed("ERR this needs all data, which a transaction does not hold");
const NOT_LOADED: Failure =
    Failure::fixed("ERR Error trying to load the RDB dump, check server logs.");

/// All of it happens at once for everybody else.
pub(super) fn reload(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut words = Vec::new();
    while args.left() > 0 {
        words.push(args.option(WORDS).ok_or(UNKNOWN_WORD)?);
    }
    if session.lease.is_pinned() {
        return Err(IN_TRANSACTION);
    }
    session.lease.cover_all();
    session.lease.pin();
    let outcome = through_the_file(session, &words);
    session.lease.unpin();
    outcome.map(|()| out.ok())
}

fn through_the_file(session: &mut Session<'_, '_>, words: &[Word]) -> Result<(), Failure> {
    let (server, lease) = (session.server, &mut *session.lease);
    if !words.contains(&Word::NoSave) {
        saving::save_held(server, lease).map_err(|why| {
            error!("DEBUG RELOAD cannot save: {why}");
            Failure::fixed("ERR Error trying to save the RDB dump, check server logs.")
        })?;
    }
    if !words.contains(&Word::NoFlush) {
        lease.clear(session.env);
        server.scripting.set_libraries(Libraries::default());
    }
    let replace = words.contains(&Word::Merge);
    loading::under_lease(server, lease, session.env, replace).map_err(|why| {
        error!("{why}");
        NOT_LOADED
    })?;
    warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}

/// How long LOADAOF waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Like a restart with the append-only file, for everybody else at once.
pub(super) fn load_log(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    if session.lease.is_pinned() {
        return Err(IN_TRANSACTION);
    }
    let (server, lease) = (session.server, &mut *session.lease);
    let journal = &server.appending.journal;
    lease.cover_all();
    lease.pin();
    let synced = match journal.is_on() {
        true => journal.sync(PATIENCE),
        false => Ok(()),
    };
    let loaded = synced.and_then(|()| {
        lease.clear(session.env);
        server.scripting.set_libraries(Libraries::default());
        replay::under_lease(server, lease)
    });
    lease.unpin();
    loaded.map_err(|why| {
        error!("{why}");
        Failure::fixed("ERR Error trying to load the AOF files, check server logs.")
    })?;
    warn!("Append Only File loaded by DEBUG LOADAOF");
    out.ok();
    Ok(())
}
