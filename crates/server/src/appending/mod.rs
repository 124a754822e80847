//! The append-only file: when it is begun, rewritten and ended, and how that went.
//!
//! Workers append effects to the `journal`; its writer thread brings them to disk. One more thread,
//! [`serve`], does what takes long and must be done in order: it takes the snapshot that a new base
//! is made of (`rewrite`), begins a file when `appendonly` is switched on and ends it when it is
//! switched off. Everybody else asks it ([`Appending::ask`]). At the start `replay` loads the
//! files.

mod lanes;
pub mod replay;
mod rewrite;
mod words;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::time::UnixMillis;
use journal::disk::RealDisk;
use journal::files::{Files, Place};
use journal::writer::{self, Told, Writer};
use journal::{Journal, Policy};
use log::{error, info, warn};
use parking_lot::{Condvar, Mutex};

use crate::mailbox::{Mailbox, Message, WorkerId};
use crate::saving::walk::{Control, Running};
use crate::saving::{Stage, stage};
use crate::server::Server;
use crate::settings::Settings;

/// How often it is looked whether the file has grown enough to be rewritten, and whether
/// `appendonly` is as it should be.
const LOOK: Duration = Duration::from_millis(100);
/// After a failure, a rewrite that nobody has asked for waits so long; doubled with each failure up
/// to the maximum.
const RETRY_MILLIS: i64 = 5_000;
const RETRY_MILLIS_MAX: i64 = 3_600_000;

/// How rewriting went, for INFO.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether the last rewrite succeeded.
    pub ok: bool,
    /// How long it took.
    pub seconds: Option<i64>,
    /// Rewrites begun.
    pub rewrites: u64,
    /// Rewrites in a row that failed.
    pub failures: u32,
    /// Most bytes that waited to be written in the last one.
    pub peak_bytes: u64,
}

struct State {
    asked: bool,
    running: Option<Running>,
    tried_at: UnixMillis,
    report: Report,
    ending: bool,
    /// Nothing is logged until a full copy of a primary is there.
    suspended: bool,
}

/// See the module's head.
pub struct Appending {
    /// The log.
    pub journal: Journal,
    /// Brings the log to disk.
    writer: OnceLock<Mutex<Writer>>,
    files: Mutex<Option<Arc<Mutex<Files>>>>,
    state: Mutex<State>,
    asked: Condvar,
    /// A rewrite has ended.
    ended: Condvar,
    /// By worker: it wants to be told when more is on disk.
    awaiting: Arc<[AtomicBool]>,
}

impl Appending {
    /// Nothing is logged yet.
    pub fn new(settings: &Settings, workers: usize) -> Appending {
        let journal = Journal::new(settings.aof.policy);
        journal.set(settings.aof.policy, settings.aof.timestamps);
        Appending {
            journal,
            writer: OnceLock::new(),
            files: Mutex::new(None),
            state: Mutex::new(State {
                asked: false,
                running: None,
                tried_at: UnixMillis(0),
                report: Report {
                    ok: true,
                    seconds: None,
                    rewrites: 0,
                    failures: 0,
                    peak_bytes: 0,
                },
                ending: false,
                suspended: false,
            }),
            asked: Condvar::new(),
            ended: Condvar::new(),
            awaiting: (0..workers).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Asks for a rewrite; whether there was none before.
    pub fn ask(&self) -> bool {
        let mut state = self.state.lock();
        // One that is called off is as good as over.
        let is_wanted = |running: &Running| !running.control.cancelled.load(Ordering::Relaxed);
        if state.asked || state.running.as_ref().is_some_and(is_wanted) {
            return false;
        }
        state.asked = true;
        self.asked.notify_one();
        true
    }

    /// The settings have changed.
    pub fn apply(&self, settings: &Settings, before: &Settings) {
        self.journal
            .set(settings.aof.policy, settings.aof.timestamps);
        if settings.aof.on && !before.aof.on {
            self.ask();
        }
        if !settings.aof.on && before.aof.on {
            // What is being written is not wanted any more.
            self.call_off();
        }
        self.asked.notify_one();
    }

    /// Ends the rewrite under way, and forgets the one that is about to begin.
    pub fn call_off(&self) {
        let mut state = self.state.lock();
        let asked = std::mem::take(&mut state.asked);
        if asked || state.running.is_some() {
            // Compat: the words that people look for, though no process is involved.
            info!("Killing AOF child: the AOF rewrite under way is called off");
        }
        if let Some(running) = &state.running {
            running.control.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// The end of a worker's round: what it has appended is on its way.
    #[inline]
    pub fn push(&self) {
        if !self.journal.is_on() {
            return;
        }
        let writer = match self.journal.policy() {
            Policy::Always => None,
            Policy::EverySecond | Policy::No => self.writer.get(),
        };
        let written = writer
            .and_then(|writer| writer.try_lock())
            .is_some_and(|mut writer| !writer.write_through());
        if !written {
            // It is being written, or the thread has to.
            self.journal.nudge();
        }
    }

    /// Writes the log until [`Appending::end`].
    pub fn run_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer::run(writer);
        }
    }

    /// A worker wants to be told, once, when more is on disk.
    pub fn await_disk(&self, worker: WorkerId) {
        self.awaiting[usize::from(worker.0)].store(true, Ordering::SeqCst);
    }

    /// Lets the workers that have asked for news from the disk look again.
    pub fn tell_awaiting(&self, mailboxes: &[Mailbox]) {
        for (mailbox, awaits) in mailboxes.iter().zip(&*self.awaiting) {
            if awaits.swap(false, Ordering::SeqCst) {
                mailbox.send(Message::Durable);
            }
        }
    }

    /// How rewriting went.
    pub fn report(&self) -> Report {
        self.state.lock().report.clone()
    }

    /// The rewrite under way.
    pub fn running(&self) -> Option<Running> {
        self.state.lock().running.clone()
    }

    /// Whether one is under way or about to be.
    pub fn is_busy(&self) -> bool {
        self.stage().is_some()
    }

    /// How far the one is that is under way or about to be.
    pub fn stage(&self) -> Option<Stage> {
        let state = self.state.lock();
        stage(state.asked, state.running.as_ref())
    }

    /// The directory's files, looked at when they are first needed.
    ///
    /// # Errors
    /// One line: the manifest cannot be read.
    pub fn files(&self, settings: &Settings) -> Result<Arc<Mutex<Files>>, String> {
        let mut slot = self.files.lock();
        if let Some(files) = &*slot {
            return Ok(Arc::clone(files));
        }
        let opened = Files::open(Arc::new(RealDisk), place(settings));
        let files = Arc::new(Mutex::new(opened.map_err(|fault| fault.to_string())?));
        *slot = Some(Arc::clone(&files));
        Ok(files)
    }

    /// Lets [`serve`] and the journal's writer return.
    pub fn end(&self) {
        self.state.lock().ending = true;
        self.call_off();
        self.asked.notify_all();
        self.journal.end_writer();
    }

    /// Whether a rewrite is due by `auto-aof-rewrite-percentage` and `-min-size`.
    fn has_grown(&self, settings: &Settings) -> bool {
        let status = self.journal.status();
        let (percent, current) = (settings.aof.rewrite_percent, status.current_bytes());
        let base = status.base_bytes.max(1);
        percent > 0
            && current > settings.aof.rewrite_min_bytes
            && current.saturating_sub(base).saturating_mul(100) / base >= percent
    }

    /// What a rewrite that nobody has asked for waits, after so many failures.
    fn has_rested(&self, now: UnixMillis) -> bool {
        let state = self.state.lock();
        let wait = match state.report.failures {
            0 => 0,
            many => (RETRY_MILLIS << (many - 1).min(20)).min(RETRY_MILLIS_MAX),
        };
        now.millis_since(state.tried_at) >= wait
    }
}

/// Where the files of these settings are.
pub fn place(settings: &Settings) -> Place {
    Place {
        dir: settings.aof.dir_name.clone(),
        name: settings.aof.file_name.clone(),
    }
}

/// The single file that Redis up to 6 wrote.
pub fn single_file(settings: &Settings) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(&settings.aof.file_name)).to_owned()
}

/// What the journal's writer tells, to those whom it concerns.
fn messenger(server: &Server) -> Box<dyn Fn(Told) + Send> {
    let mailboxes: Vec<Mailbox> = server.mailboxes.clone();
    let awaiting = Arc::clone(&server.appending.awaiting);
    Box::new(move |told| {
        for (mailbox, awaits) in mailboxes.iter().zip(&*awaiting) {
            if awaits.swap(false, Ordering::SeqCst) {
                mailbox.send(Message::Durable);
            }
            if matches!(told, Told::CaughtUp | Told::Recovered) {
                mailbox.send(Message::Resume);
            }
        }
    })
}

/// Begins to log if `appendonly` is on: goes on in the last file. [`Appending::run_writer`] is to
/// be called then, on a thread of its own, whether it is on or not.
///
/// # Errors
/// One line.
pub fn begin(server: &Server) -> Result<(), String> {
    let settings = server.settings.get();
    let appending = &server.appending;
    let mut open = None;
    let files = match settings.aof.on {
        false => Files::open(Arc::new(RealDisk), place(&settings)).map_or_else(
            // A directory that is not used may be as broken as it likes.
            |_| {
                Arc::new(Mutex::new(Files::empty(
                    Arc::new(RealDisk),
                    place(&settings),
                )))
            },
            |files| Arc::new(Mutex::new(files)),
        ),
        true => {
            let files = appending.files(&settings)?;
            open = Some(rewrite::open_at_start(server, &settings, &files)?);
            files
        }
    };
    *appending.files.lock() = Some(Arc::clone(&files));
    let journal = &appending.journal;
    if settings.aof.on {
        journal.turn_on();
        journal.set_complete();
        let replicating = &server.replicating;
        replicating.set_history(replicating.history(), journal);
    }
    let writer = Writer::new(journal, files, open, messenger(server));
    // Set once: this is called once.
    let _ = appending.writer.set(Mutex::new(writer));
    Ok(())
}

/// Does what is asked for, until [`Appending::end`].
pub fn serve(server: &Server) {
    let appending = &server.appending;
    loop {
        let asked = {
            let mut state = appending.state.lock();
            if !state.asked && !state.ending {
                // Woken early or not, there is a look at everything.
                appending.asked.wait_for(&mut state, LOOK);
            }
            if state.ending {
                return;
            }
            state.asked && !state.suspended
        };
        if server.loading.is_active() || appending.state.lock().suspended {
            continue;
        }
        let settings = server.settings.get();
        let (wanted, on) = (settings.aof.on, appending.journal.is_on());
        if on && !wanted {
            stop(server);
        }
        let rested = appending.has_rested(server.now());
        let gone = on && appending.journal.status().gone;
        let due = wanted && rested && (!on || gone || appending.has_grown(&settings));
        if due && on && !asked && !gone {
            info!("Starting automatic rewriting of AOF");
        }
        if asked || due {
            rewrite::run(server, &settings, wanted);
        }
    }
}

/// Ends the file until [`resume`]: the data are about to be replaced by others.
pub fn suspend(server: &Server) {
    let appending = &server.appending;
    appending.state.lock().suspended = true;
    appending.call_off();
    let mut state = appending.state.lock();
    while state.running.is_some() {
        appending.ended.wait(&mut state);
    }
    drop(state);
    if appending.journal.is_on() {
        stop(server);
    }
}

/// The file begins anew, with the data as they are, if `appendonly` is on.
pub fn resume(server: &Server) {
    server.appending.state.lock().suspended = false;
    server.appending.asked.notify_one();
}

/// Ends the file: everything is in it, and no more will be.
fn stop(server: &Server) {
    let mut lease = server.keyspace.lease();
    lease.cover_all();
    server.appending.journal.turn_off();
    lease.release();
    server.appending.journal.close_file();
    info!("The append-only file is closed");
}

impl Appending {
    /// Whether it may begin.
    fn begin_rewrite(&self, control: &Arc<Control>, now: UnixMillis) -> bool {
        let mut state = self.state.lock();
        if state.suspended {
            return false;
        }
        state.asked = false;
        state.running = Some(Running {
            since: now,
            control: Arc::clone(control),
        });
        state.report.rewrites += 1;
        true
    }

    fn end_rewrite(&self, result: &Result<u64, String>, now: UnixMillis) {
        let mut state = self.state.lock();
        let since = state.running.take().map_or(now, |running| running.since);
        self.ended.notify_all();
        state.tried_at = now;
        state.report.ok = result.is_ok();
        state.report.seconds = Some(now.millis_since(since) / 1000);
        match result {
            Ok(peak_bytes) => {
                state.report.failures = 0;
                state.report.peak_bytes = *peak_bytes;
                info!("Background AOF rewrite finished successfully");
            }
            Err(why) => {
                state.report.failures = state.report.failures.saturating_add(1);
                error!("Background AOF rewrite terminated with error: {why}");
            }
        }
    }
}

/// Says what could not be removed; it will be tried again.
fn warn_of(what: &str, result: Result<(), journal::disk::Trouble>) {
    if let Err(trouble) = result {
        warn!("{what}: {trouble}");
    }
}
