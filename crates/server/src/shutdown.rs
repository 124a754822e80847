//! The orderly end: no command is admitted any more, what must be on disk is written, then the
//! workers stop. If it cannot be written, the server goes on, unless it is forced to end.

use std::sync::mpsc;
use std::time::Duration;

use base::time::UnixMillis;
use log::{error, info, warn};

use crate::mailbox::Message;
use crate::server::{PauseKind, Server};

/// How somebody wants the server to end: the words of SHUTDOWN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// SAVE or NOSAVE; `None`: a snapshot is written if there are `save` points.
    pub save: Option<bool>,
    /// FORCE: end even if it cannot be written.
    pub force: bool,
}

/// How long the end waits for the append-only file.
const SYNC_PATIENCE: Duration = Duration::from_secs(60);

/// Does what has to be done before the workers stop; `false` if that was not possible: then the
/// server is as before.
pub fn prepare(server: &Server, wish: Wish) -> bool {
    let points = !server.settings.get().save_points.is_empty();
    let saves = wish.save.unwrap_or(points);
    let logs = server.appending.journal.is_on();
    if !saves && !logs {
        return true;
    }
    let before = *server.pause.lock();
    server.pause(UnixMillis(i64::MAX), PauseKind::All);
    wait_for_workers(server);
    if (!logs || sync(server)) && (!saves || save(server)) {
        return true;
    }
    if wish.force {
        warn!("Not everything could be written: ending all the same, as told");
        return true;
    }
    error!("Not everything could be written: the server does not end");
    server.end_pause(UnixMillis(i64::MAX));
    if let Some((until, kind)) = before {
        server.pause(until, kind);
    }
    server.broadcast(|| Message::NotEnding);
    false
}

/// Waits until all commands that were admitted before now are done.
fn wait_for_workers(server: &Server) {
    let (done, all) = mpsc::channel();
    server.broadcast(|| Message::Barrier(done.clone()));
    drop(done);
    // Ends when each has answered and dropped its sender.
    all.iter().for_each(drop);
}

/// Writes the rest of the append-only file; whether that went well.
fn sync(server: &Server) -> bool {
    info!("Calling fsync() on the AOF file.");
    let result = server.appending.journal.sync(SYNC_PATIENCE);
    result
        .map_err(|why| error!("The append-only file cannot be written: {why}"))
        .is_ok()
}

/// Writes a snapshot of what is there now; whether that went well.
fn save(server: &Server) -> bool {
    info!("Saving the final snapshot before exiting");
    // It would have its turn first.
    server.appending.call_off();
    server.saving.save_now()
}
