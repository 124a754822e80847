//! A new base: a snapshot of all data takes the place of everything logged before it.
//!
//! The snapshot begins under a lease on all stripes, and under that same lease the log is cut: what
//! was done before is in the snapshot, what is done after goes into another file. While the base is
//! written, the old set stays whole on disk; the manifest names the new one when it is.

use std::fs::remove_file;
use std::path::Path;
use std::sync::Arc;

use engine::keyspace::Lease;
use journal::files::{BaseFormat, Files, OpenIncrement, Rest};
use log::info;
use parking_lot::Mutex;

use super::{warn_of, words};
use crate::directory;
use crate::saving::Moment;
use crate::saving::file::{About, write_here};
use crate::saving::pieces::Pieces;
use crate::saving::walk::{self, Control};
use crate::server::Server;
use crate::settings::Settings;

/// Rewrites, and begins to log if nothing was logged before and `logs` says so.
pub(super) fn run(server: &Server, settings: &Settings, logs: bool) {
    let control = Arc::new(Control::at_pace(&server.saving.pace));
    if !server.appending.begin_rewrite(&control, server.now()) {
        return;
    }
    let result = rewrite(server, settings, logs, &control);
    server.appending.end_rewrite(&result, server.now());
}

/// The most bytes that waited to be written.
fn rewrite(
    server: &Server,
    settings: &Settings,
    logs: bool,
    control: &Control,
) -> Result<u64, String> {
    directory::reenter(settings);
    let files = server.appending.files(settings)?;
    let temporary = {
        let files = files.lock();
        files.make_dir().map_err(|trouble| trouble.to_string())?;
        let name = format!("temp-rewriteaof-bg-{}.aof", std::process::id());
        files.place().path(name.as_bytes())
    };
    let was_on = server.appending.journal.is_on();
    info!("Background append only file rewriting started");
    let result = write(server, settings, logs, control, &temporary).and_then(|peak_bytes| {
        install(server, settings, logs, &files, &temporary)?;
        Ok(peak_bytes)
    });
    if result.is_err() {
        // It may not be there: what matters is reported already.
        let _ = remove_file(&temporary);
        if logs && !was_on {
            super::stop(server);
        }
    }
    result
}

/// Writes the base, and cuts the log where it begins.
fn write(
    server: &Server,
    settings: &Settings,
    logs: bool,
    control: &Control,
    temporary: &Path,
) -> Result<u64, String> {
    let journal = &server.appending.journal;
    let begin = |lease: &mut Lease<'_>| {
        let moment = Moment::of(server, lease, control);
        if logs {
            if journal.turn_on() {
                server.replicating.begin_anew(journal);
            }
            journal.cut();
        }
        moment
    };
    let write = |pieces: &Pieces, moment: Moment| {
        write_file(server, settings, temporary, pieces, control, &moment)
    };
    let taken = walk::take(
        &server.keyspace,
        &server.snapshot_turn,
        control,
        begin,
        write,
    );
    let Ok(written) = taken else {
        return Err("called off".to_owned());
    };
    if logs {
        journal.wait_for_cut()?;
    }
    written.map_err(|error| format!("{}: {error}", temporary.display()))
}

fn write_file(
    server: &Server,
    settings: &Settings,
    path: &Path,
    pieces: &Pieces,
    control: &Control,
    moment: &Moment,
) -> std::io::Result<u64> {
    let about = About {
        settings,
        counts: &moment.counts,
        now: server.now(),
        used_bytes: crate::allocator::used_bytes(),
        libraries: &moment.libraries,
        is_base: true,
        stream: None,
    };
    match settings.aof.rdb_base {
        true => write_here(path, pieces, control, &about)?,
        false => words::write(path, pieces, control, &about)?,
    }
    Ok(pieces.peak_bytes() as u64)
}

fn format(settings: &Settings) -> BaseFormat {
    match settings.aof.rdb_base {
        true => BaseFormat::Rdb,
        false => BaseFormat::Commands,
    }
}

/// The base takes the place of what was before it.
fn install(
    server: &Server,
    settings: &Settings,
    logs: bool,
    files: &Mutex<Files>,
    temporary: &Path,
) -> Result<(), String> {
    let mut files = files.lock();
    let rest = match logs {
        true => Rest::LastIncrement,
        false => Rest::Nothing,
    };
    let installed = files.install(temporary, format(settings), rest);
    installed.map_err(|trouble| trouble.to_string())?;
    if !settings.aof.keep_history {
        warn_of("History stays for now", files.remove_history());
    }
    let total = files.total_bytes().unwrap_or(0);
    server.appending.journal.note_base(total);
    if logs {
        server.appending.journal.set_complete();
        server.appending.tell_awaiting(&server.mailboxes);
    }
    Ok(())
}

/// Opens the file to go on in at the start; makes an empty base if there is none.
pub(super) fn open_at_start(
    server: &Server,
    settings: &Settings,
    files: &Mutex<Files>,
) -> Result<OpenIncrement, String> {
    let mut files = files.lock();
    if files.manifest().base.is_none() && files.manifest().increments.is_empty() {
        files.make_dir().map_err(|trouble| trouble.to_string())?;
        let temporary = files.place().path(b"temp-rewriteaof.aof");
        let pieces = Pieces::default();
        pieces.complete();
        let control = Control::default();
        let nothing = Moment::default();
        write_file(server, settings, &temporary, &pieces, &control, &nothing)
            .map_err(|error| format!("cannot write {}: {error}", temporary.display()))?;
        let installed = files.install(&temporary, format(settings), Rest::Nothing);
        installed.map_err(|trouble| trouble.to_string())?;
    }
    let start = server.appending.journal.end();
    let open = files.resume(start).map_err(|trouble| trouble.to_string())?;
    warn_of("History stays for now", files.remove_history());
    let total = files.total_bytes().unwrap_or(0);
    server.appending.journal.note_base(total);
    Ok(open)
}
