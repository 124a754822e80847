//! Snapshots on disk: when they are taken (SAVE, BGSAVE, `save` points, the end of the process) and
//! how the last one went.
//!
//! One thread, [`serve`], takes them; everybody else asks for one ([`Saving::ask`]) and, if they
//! wait for it, are told by a message to every worker. Nothing forks and nobody stops: see `walk`.

mod encoding;
pub mod file;
mod outlet;
pub mod pace;
pub mod pieces;
pub mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::ids::DbIndex;
use base::time::UnixMillis;
use engine::keyspace::Lease;
use log::{error, info};
use parking_lot::{Condvar, Mutex};

use crate::allocator;
use crate::directory;
use crate::mailbox::Message;
use crate::scripting::libraries::Libraries;
use crate::server::Server;
use crate::settings::Settings;
use file::{About, Counts, StreamPlace};
use pace::Pace;
use pieces::Pieces;
pub use walk::Running;
use walk::{CalledOff, Control};

/// After a failure, `save` points wait so long before they try again.
const RETRY_MILLIS: i64 = 5_000;

/// Why a snapshot is not begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// One is being written.
    Saving,
    /// The process is about to end.
    Ending,
}

/// How the last snapshot went, for INFO and LASTSAVE.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the file was last replaced; the start of the process if never.
    pub saved_at: UnixMillis,
    /// Whether the last try succeeded.
    pub ok: bool,
    /// How long it took.
    pub seconds: Option<i64>,
    /// Files written since the start.
    pub saves: u64,
    /// Most bytes that waited to be written in the last one.
    pub peak_bytes: u64,
    /// Changes that the last file has.
    pub changes_saved: u64,
}

struct State {
    /// Asked for, and not begun yet.
    asked: bool,
    running: Option<Running>,
    tried_at: UnixMillis,
    report: Report,
    /// Changes that the file has in fact, while `report` counts those that it is about to have.
    unsaved_since: Option<u64>,
    ending: bool,
}

/// How far a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has been asked for, and waits for its turn or has been called off.
    Waiting,
    /// It is being taken.
    Running,
}

impl State {
    fn stage(&self) -> Option<Stage> {
        stage(self.asked, self.running.as_ref())
    }
}

/// How far a snapshot is that was asked for, or is on its way.
pub fn stage(asked: bool, running: Option<&Running>) -> Option<Stage> {
    let load = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
    match running {
        Some(Running { control, .. }) if load(&control.cancelled) => None,
        Some(Running { control, .. }) if load(&control.begun) => Some(Stage::Running),
        Some(_) => Some(Stage::Waiting),
        None => asked.then_some(Stage::Waiting),
    }
}

/// See the module's head.
pub struct Saving {
    state: Mutex<State>,
    asked: Condvar,
    /// A snapshot has ended.
    ended: Condvar,
    /// The last try failed: `stop-writes-on-bgsave-error`.
    failing: AtomicBool,
    /// How fast keys are written.
    pub pace: Arc<Pace>,
}

impl Saving {
    /// Nothing was saved yet.
    pub fn new(started: UnixMillis) -> Saving {
        Saving {
            state: Mutex::new(State {
                asked: false,
                running: None,
                tried_at: UnixMillis(0),
                report: Report {
                    saved_at: started,
                    ok: true,
                    seconds: None,
                    saves: 0,
                    peak_bytes: 0,
                    changes_saved: 0,
                },
                unsaved_since: None,
                ending: false,
            }),
            asked: Condvar::new(),
            ended: Condvar::new(),
            failing: AtomicBool::new(false),
            pace: Arc::default(),
        }
    }

    /// Asks for a snapshot.
    ///
    /// # Errors
    /// There is one already.
    pub fn ask(&self) -> Result<(), Busy> {
        let mut state = self.state.lock();
        if state.ending {
            return Err(Busy::Ending);
        }
        // One that FLUSHALL has asked for is in nobody's way: another follows it.
        let busy = state.asked || state.running.is_some();
        if busy && state.unsaved_since.is_none() {
            return Err(Busy::Saving);
        }
        state.asked = true;
        self.asked.notify_one();
        Ok(())
    }

    /// Ends the snapshot under way, or forgets the one that is about to begin; which of them there
    /// was.
    pub fn cancel(&self) -> Option<Stage> {
        let mut state = self.state.lock();
        let stage = state.stage();
        state.asked = false;
        if let Some(running) = &state.running {
            running.control.cancelled.store(true, Ordering::Relaxed);
        }
        stage
    }

    /// Saves what is there now, and waits for it; whether that went well. A snapshot under way,
    /// which would be of an earlier moment, is given up.
    pub fn save_now(&self) -> bool {
        self.cancel();
        let mut state = self.state.lock();
        while state.running.is_some() {
            self.ended.wait(&mut state);
        }
        state.asked = true;
        self.asked.notify_one();
        while state.asked || state.running.is_some() {
            self.ended.wait(&mut state);
        }
        state.report.ok
    }

    /// All data are gone (FLUSHALL): a snapshot under way would bring them back, and is given up.
    /// With `save` points an empty one takes its place, and until that fails nothing is said to be
    /// unsaved.
    pub fn forget(&self, changes: u64, settings: &Settings) {
        self.cancel();
        if settings.save_points.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.ending {
            return;
        }
        let Report { changes_saved, .. } = state.report;
        state.unsaved_since.get_or_insert(changes_saved);
        state.report.changes_saved = changes;
        state.asked = true;
        self.asked.notify_one();
    }

    /// How the last one went.
    pub fn report(&self) -> Report {
        self.state.lock().report.clone()
    }

    /// The one under way.
    pub fn running(&self) -> Option<Running> {
        self.state.lock().running.clone()
    }

    /// Whether one is under way or about to be.
    pub fn is_busy(&self) -> bool {
        self.stage().is_some()
    }

    /// How far the one is that is under way or about to be.
    pub fn stage(&self) -> Option<Stage> {
        self.state.lock().stage()
    }

    /// Whether the last try failed.
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// What is in memory is what is in the file (DEBUG RELOAD, loading).
    pub fn note_in_step(&self, changes: u64) {
        self.state.lock().report.changes_saved = changes;
    }

    /// Begins what a `save` point asks for. Called every 100 milliseconds.
    pub fn tick(&self, server: &Server, settings: &Settings, now: UnixMillis) {
        if settings.save_points.is_empty() || server.loading.is_active() {
            return;
        }
        let changes = server.totals().changes;
        let state = self.state.lock();
        let Report {
            changes_saved,
            saved_at,
            ok,
            ..
        } = state.report;
        let rested = ok || now.0 - state.tried_at.0 > RETRY_MILLIS;
        drop(state);
        let unsaved = changes.wrapping_sub(changes_saved);
        let due = settings.save_points.iter().find(|point| {
            unsaved >= point.changes && now.0 - saved_at.0 > point.seconds.saturating_mul(1000)
        });
        if let Some(point) = due
            && unsaved > 0
            && rested
            && self.ask().is_ok()
        {
            let (changes, seconds) = (point.changes, point.seconds);
            info!("Save point \"{seconds} {changes}\" is reached: {unsaved} unsaved changes");
        }
    }

    /// Lets [`serve`] return once the snapshot under way is over.
    pub fn end(&self) {
        self.state.lock().ending = true;
        // Who wants the data to be saved has waited for it before.
        self.cancel();
        self.asked.notify_all();
    }

    /// Waits for somebody to ask; `None` when the process ends.
    fn wait(&self, now: impl Fn() -> UnixMillis) -> Option<Arc<Control>> {
        let mut state = self.state.lock();
        while !state.asked {
            if state.ending {
                return None;
            }
            self.asked.wait(&mut state);
        }
        state.asked = false;
        let control = Arc::new(Control::at_pace(&self.pace));
        let since = now();
        state.running = Some(Running {
            since,
            control: Arc::clone(&control),
        });
        Some(control)
    }

    fn conclude(&self, result: &Result<Saved, String>, now: UnixMillis) {
        let mut state = self.state.lock();
        let since = state.running.take().map_or(now, |running| running.since);
        state.tried_at = now;
        state.report.seconds = Some((now.0 - since.0) / 1000);
        state.report.ok = result.is_ok();
        let unsaved_since = state.unsaved_since.take();
        if let (Err(_), Some(changes)) = (result, unsaved_since) {
            state.report.changes_saved = changes;
        }
        if let Ok(saved) = result {
            state.report.saves += 1;
            state.report.saved_at = now;
            state.report.changes_saved = saved.changes;
            state.report.peak_bytes = saved.peak_bytes;
        }
        self.failing.store(result.is_err(), Ordering::Relaxed);
    }
}

/// A snapshot that is on disk.
struct Saved {
    /// Changes to the data set until its moment.
    changes: u64,
    peak_bytes: u64,
}

/// Takes the snapshots that are asked for, until [`Saving::end`].
pub fn serve(server: &Server) {
    let saving = &server.saving;
    while let Some(control) = saving.wait(|| server.now()) {
        let result = save(server, &control);
        match &result {
            Ok(saved) => info!(
                "DB saved on disk, at most {} KiB held in memory for it",
                saved.peak_bytes / 1024
            ),
            Err(why) => error!("Background saving error: {why}"),
        }
        // A snapshot that was called off says nothing about the disk.
        let called_off = control.cancelled.load(Ordering::Relaxed);
        if called_off {
            saving.state.lock().running = None;
        } else {
            saving.conclude(&result, server.now());
        }
        saving.ended.notify_all();
        if saving.state.lock().asked {
            // Who waits for a snapshot waits for the one that follows.
            continue;
        }
        let ok = result.is_ok();
        server.broadcast(|| Message::Saved(ok));
    }
}

/// Writes the snapshot file.
fn save(server: &Server, control: &Control) -> Result<Saved, String> {
    let settings = server.settings.get();
    directory::reenter(&settings);
    let path = &settings.dbfilename;
    let mut changes = 0;
    let begin = |lease: &mut Lease<'_>| {
        changes = server.totals().changes;
        Moment::of(server, lease, control)
    };
    let write = |pieces: &Pieces, moment: Moment| {
        let about = About {
            settings: &settings,
            counts: &moment.counts,
            now: server.now(),
            used_bytes: allocator::used_bytes(),
            libraries: &moment.libraries,
            is_base: false,
            stream: moment.stream,
        };
        let written = file::write(path, pieces, control, &about);
        written.map(|()| pieces.peak_bytes() as u64)
    };
    match walk::take(
        &server.keyspace,
        &server.snapshot_turn,
        control,
        begin,
        write,
    ) {
        Ok(Ok(peak_bytes)) => Ok(Saved {
            changes,
            peak_bytes,
        }),
        Ok(Err(why)) => Err(format!("{}: {why}", path.display())),
        Err(CalledOff) => Err("called off".to_owned()),
    }
}

/// Writes the snapshot file at once, on this thread, with all stripes leased: for DEBUG RELOAD.
///
/// # Errors
/// One line.
pub fn save_held(server: &Server, lease: &mut Lease<'_>) -> Result<(), String> {
    let settings = server.settings.get();
    let path = &settings.dbfilename;
    let about = About {
        settings: &settings,
        counts: &count(lease),
        now: server.now(),
        used_bytes: allocator::used_bytes(),
        libraries: &server.scripting.libraries.read().clone(),
        is_base: false,
        stream: None,
    };
    let written = file::write_held(path, lease, &about);
    written.map_err(|why| format!("{}: {why}", path.display()))?;
    server.saving.note_in_step(server.totals().changes);
    Ok(())
}

/// What a snapshot has to know of its moment, besides the entries.
#[derive(Default)]
pub struct Moment {
    /// The entries of each database.
    pub counts: Vec<Counts>,
    /// The libraries of functions.
    pub libraries: Libraries,
    /// Where in which history it is, if anybody has to know.
    pub stream: Option<StreamPlace>,
}

impl Moment {
    /// This moment: all stripes are leased, without which no library changes either.
    pub fn of(server: &Server, lease: &mut Lease<'_>, control: &Control) -> Moment {
        let counts = count(lease);
        let keys = counts.iter().map(|db| db.keys).sum();
        control.keys.store(keys, Ordering::Relaxed);
        Moment {
            counts,
            libraries: server.scripting.libraries.read().clone(),
            stream: server.replicating.place(&server.appending.journal),
        }
    }
}

/// The keys of each database. All stripes are leased.
pub fn count(lease: &mut Lease<'_>) -> Vec<Counts> {
    let databases = lease.keyspace().databases();
    let mut counts = vec![Counts::default(); databases as usize];
    for stripe in lease.held() {
        for (db, count) in (0..databases).map(DbIndex).zip(&mut counts) {
            let table = stripe.table(db);
            count.keys += table.len() as u64;
            count.volatile += table.volatile() as u64;
            count.timed += table.timed() as u64;
        }
    }
    counts
}
