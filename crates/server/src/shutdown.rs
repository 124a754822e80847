//! The orderly end: no command is admitted any more, what must be on disk is written, then the
//! workers stop. If it cannot be written, the server goes on, unless it is forced to end.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base::time::UnixMillis;
use log::{error, info, warn};

use crate::mailbox::Message;
use crate::server::{PauseKind, Server};

/// How somebody wants the server to end: the words of SHUTDOWN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// SAVE or NOSAVE; `None`: a snapshot is written if there are `save` points.
    pub save: Option<bool>,
    /// NOW: replicas are not waited for.
    pub now: bool,
    /// FORCE: end even if it cannot be written.
    pub force: bool,
}

/// How long the end waits for the append-only file.
const SYNC_PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked how far the replicas are.
const LOOK: Duration = Duration::from_millis(10);

/// Whether the end waits for replicas, and whether somebody has called it off meanwhile.
#[derive(Debug, Default)]
pub struct ShutdownWait {
    waiting: AtomicBool,
    aborted: AtomicBool,
    /// What replicas have is what will be on disk: nothing more is sent.
    sealed: AtomicBool,
}

impl ShutdownWait {
    /// SHUTDOWN ABORT; whether there was anything to call off.
    pub fn abort(&self) -> bool {
        let waiting = self.waiting.load(SeqCst);
        if waiting {
            self.aborted.store(true, SeqCst);
        }
        waiting
    }

    /// Whether nothing more may be sent to replicas.
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(SeqCst)
    }
}

/// Does what has to be done before the workers stop; `false` if that was not possible: then the
/// server is as before.
pub fn prepare(server: &Server, wish: Wish) -> bool {
    let points = !server.settings.get().save_points.is_empty();
    let saves = wish.save.unwrap_or(points);
    let logs = server.appending.journal.is_on();
    let before = *server.pause.lock();
    if !wish.now && !wait_for_replicas(server) {
        info!("The shutdown is called off");
        go_on(server, before);
        return false;
    }
    server.shutdown_wait.sealed.store(true, SeqCst);
    if !saves && !logs {
        return true;
    }
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
    go_on(server, before);
    false
}

/// Gives the replicas time to take all there is; `false` if somebody has called the end off.
fn wait_for_replicas(server: &Server) -> bool {
    let primary = &server.replicating.primary;
    let seconds = server.settings.get().primary.shutdown_seconds;
    if seconds == 0 || primary.count() == 0 || server.replicating.is_replica() {
        return true;
    }
    server.pause(UnixMillis(i64::MAX), PauseKind::Write);
    wait_for_workers(server);
    let (end, wait) = (server.appending.journal.end(), &server.shutdown_wait);
    let lags = || primary.have(end, false) < primary.online();
    if !lags() {
        return true;
    }
    info!("Waiting for replicas before shutting down.");
    wait.aborted.store(false, SeqCst);
    wait.waiting.store(true, SeqCst);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    primary.ask();
    server.broadcast(|| Message::Feed);
    while lags() && Instant::now() < deadline && !wait.aborted.load(SeqCst) {
        std::thread::park_timeout(LOOK);
    }
    wait.waiting.store(false, SeqCst);
    if lags() && !wait.aborted.load(SeqCst) {
        warn!("Lagging replicas are left behind when shutting down.");
    }
    !wait.aborted.load(SeqCst)
}

/// The server does not end after all: what held commands back is lifted.
fn go_on(server: &Server, before: Option<(UnixMillis, PauseKind)>) {
    server.shutdown_wait.sealed.store(false, SeqCst);
    server.end_pause(UnixMillis(i64::MAX));
    if let Some((until, kind)) = before {
        server.pause(until, kind);
    }
    server.broadcast(|| Message::NotEnding);
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
