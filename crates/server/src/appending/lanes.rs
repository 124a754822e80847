//! The commands of a log on several threads: each thread, a lane, has its share of the stripes and
//! runs the commands whose keys are there, in the order of the log.
//!
//! ```text
//! file -> reader: words, row, keys -+-> lane 0: stripes 0, 2, 4, ...
//!                                   +-> lane 1: stripes 1, 3, 5, ...
//! ```
//! A command that belongs to no lane alone (keys in several, or none) is run by the reader when the
//! lanes have run everything before it. So each key sees its commands in their order, and nothing
//! else can tell the difference: nobody looks while a log is loaded, and nothing expires by itself.
//!
//! Invariants: between two calls of [`Lanes::fence`] no command's keys are in two lanes; the reader
//! holds no stripe while a lane may want it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use base::ids::DbIndex;
use base::strings::repr;
use engine::args::{Args, KeyWord};
use engine::dispatch::{Call, Outcome, execute};
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::Lease;
use engine::keyspace::ahead::Ahead;
use engine::spec::DataRun;
use log::warn;
use resp::{Proto, Reply, Span};

use crate::loading::{Overdue, environment};
use crate::server::Server;
use crate::settings::Settings;

/// Lanes: more would wait for the reader.
const LANES_MAX: usize = 8;
/// A batch is handed over when it has so many commands ...
const BATCH_COMMANDS: usize = 128;
/// ... or so many bytes.
const BATCH_BYTES: usize = 64 << 10;
/// Batches that wait for a lane.
const WAITING_MAX: usize = 8;
/// Errors of commands that are named in the log.
const ERRORS_NAMED_MAX: u64 = 10;

/// Runs data commands as those of a log, on one thread.
pub(super) struct Runner<'r, 'k> {
    server: &'r Server,
    errors: &'r AtomicU64,
    env: Env,
    out: Reply,
    pub(super) lease: &'r mut Lease<'k>,
}

impl<'r, 'k> Runner<'r, 'k> {
    /// Counts commands that fail in `errors`.
    pub(super) fn new(
        server: &'r Server,
        settings: &Settings,
        errors: &'r AtomicU64,
        lease: &'r mut Lease<'k>,
    ) -> Runner<'r, 'k> {
        let mut env = environment(server, settings, Overdue::Kept);
        env.expire = false;
        Runner {
            server,
            errors,
            env,
            out: Reply::new(Proto::Resp3),
            lease,
        }
    }

    /// Runs a command.
    pub(super) fn run(&mut self, run: DataRun, db: DbIndex, mut args: Args<'_>) {
        let name = args.word(0);
        let start = self.out.mark();
        let args = &mut args;
        let outcome = execute(Call { run, db, args }, self.lease, &self.env, &mut self.out);
        self.out.truncate(start);
        if let Outcome::Failed(failure) = outcome {
            self.complain(name, &failure);
        }
        let garbage = self.env.take_garbage();
        if !garbage.is_empty() {
            self.server.free_later(garbage);
        }
    }

    /// Counts a command that failed, and names it in the log if there are few.
    pub(super) fn complain(&self, name: &[u8], failure: &Failure) {
        if self.errors.fetch_add(1, Relaxed) < ERRORS_NAMED_MAX {
            let (name, text) = (repr(name), failure.text());
            warn!(
                "A command of the append-only file failed: {}: {}",
                String::from_utf8_lossy(&name),
                String::from_utf8_lossy(text)
            );
        }
    }
}

/// Where a command is in its batch.
struct Command {
    run: DataRun,
    db: DbIndex,
    bytes: Range<usize>,
    words: Range<usize>,
    keys: Range<usize>,
}

/// Commands of one lane, in order.
#[derive(Default)]
struct Batch {
    commands: Vec<Command>,
    bytes: Vec<u8>,
    words: Vec<Span>,
    keys: Vec<KeyWord>,
}

impl Batch {
    fn add(&mut self, run: DataRun, db: DbIndex, bytes: &[u8], words: &[Span], keys: &[KeyWord]) {
        let command = Command {
            run,
            db,
            bytes: self.bytes.len()..self.bytes.len() + bytes.len(),
            words: self.words.len()..self.words.len() + words.len(),
            keys: self.keys.len()..self.keys.len() + keys.len(),
        };
        self.commands.push(command);
        self.bytes.extend_from_slice(bytes);
        self.words.extend_from_slice(words);
        self.keys.extend_from_slice(keys);
    }

    fn is_full(&self) -> bool {
        self.commands.len() >= BATCH_COMMANDS || self.bytes.len() >= BATCH_BYTES
    }

    /// Runs the commands under one lease, after asking for the memory that they will touch.
    fn run(&self, runner: &mut Runner<'_, '_>, ahead: &mut Ahead) {
        runner.lease.cover(self.keys.iter().map(|key| key.hash));
        let pinned = runner.lease.is_pinned();
        if !pinned {
            runner.lease.pin();
        }
        let more = |command: &Command| {
            let keys = self.keys[command.keys.clone()].iter();
            keys.fold(true, |_, key| {
                ahead.add(runner.lease, command.db, key.hash, None)
            })
        };
        // Those for which there is no room are looked up without.
        let _all = self.commands.iter().all(more);
        ahead.run(runner.lease);
        for command in &self.commands {
            let args = Args::new(
                &self.bytes[command.bytes.clone()],
                &self.words[command.words.clone()],
                &self.keys[command.keys.clone()],
            );
            runner.run(command.run, command.db, args);
        }
        if !pinned {
            runner.lease.unpin();
        }
    }
}

enum Work {
    Batch(Batch),
    /// Everything before is to be answered for.
    Fence(SyncSender<()>),
}

struct Lane {
    sender: SyncSender<Work>,
    filling: Batch,
    /// There may be batches that have not been run.
    busy: bool,
}

/// See the module's head.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    ahead: Ahead,
}

/// The lanes' threads are gone, which they only are after a panic.
#[derive(Debug)]
pub(super) struct Gone;

impl Lanes {
    /// No lanes: every command is the reader's.
    pub(super) fn none(server: &Server) -> Lanes {
        Lanes {
            lanes: Vec::new(),
            ahead: Ahead::new(server.keyspace.stripe_count()),
        }
    }

    /// As many as there are cores, if there are several.
    ///
    /// # Errors
    /// The operating system gives no threads.
    pub(super) fn start<'s>(
        scope: &'s Scope<'s, '_>,
        server: &'s Server,
        settings: &'s Settings,
        errors: &'s AtomicU64,
    ) -> std::io::Result<Lanes> {
        let mut lanes = Lanes::none(server);
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let count = cores.min(server.keyspace.stripe_count() as usize);
        if cores == 1 {
            return Ok(lanes);
        }
        for _ in 0..count.min(LANES_MAX) {
            let (sender, receiver) = sync_channel(WAITING_MAX);
            let builder = thread::Builder::new().name("loader".to_owned());
            builder.spawn_scoped(scope, move || serve(&receiver, server, settings, errors))?;
            lanes.lanes.push(Lane {
                sender,
                filling: Batch::default(),
                busy: false,
            });
        }
        Ok(lanes)
    }

    /// The lane that a command belongs to, if it belongs to one.
    fn of(&self, run: DataRun, keys: &[KeyWord], server: &Server) -> Option<usize> {
        let lanes = self.lanes.len();
        if lanes == 0 || !matches!(run, DataRun::Read(_) | DataRun::Write(_)) {
            return None;
        }
        let lane = |key: &KeyWord| server.keyspace.stripe_of(key.hash).0 as usize % lanes;
        let (first, rest) = keys.split_first()?;
        let first = lane(first);
        rest.iter().all(|key| lane(key) == first).then_some(first)
    }

    /// Gives a command to its lane; whether it has one.
    ///
    /// # Errors
    /// See [`Gone`].
    pub(super) fn take(
        &mut self,
        server: &Server,
        (run, db): (DataRun, DbIndex),
        bytes: &[u8],
        words: &[Span],
        keys: &[KeyWord],
    ) -> Result<bool, Gone> {
        let Some(number) = self.of(run, keys, server) else {
            return Ok(false);
        };
        let lane = &mut self.lanes[number];
        lane.filling.add(run, db, bytes, words, keys);
        if lane.filling.is_full() {
            lane.send()?;
        }
        Ok(true)
    }

    /// Waits until every command given to a lane has been run. What no thread has yet is run here.
    ///
    /// # Errors
    /// See [`Gone`].
    pub(super) fn fence(&mut self, runner: &mut Runner<'_, '_>) -> Result<(), Gone> {
        let (done, answers) = sync_channel(LANES_MAX);
        let mut waiting = 0;
        for lane in self.lanes.iter_mut().filter(|lane| lane.busy) {
            lane.send()?;
            let fence = Work::Fence(done.clone());
            lane.sender.send(fence).map_err(|_| Gone)?;
            lane.busy = false;
            waiting += 1;
        }
        for lane in &mut self.lanes {
            if !lane.filling.commands.is_empty() {
                std::mem::take(&mut lane.filling).run(runner, &mut self.ahead);
            }
        }
        (0..waiting).try_for_each(|_| answers.recv().map_err(|_| Gone))
    }
}

impl Lane {
    fn send(&mut self) -> Result<(), Gone> {
        if self.filling.commands.is_empty() {
            return Ok(());
        }
        self.busy = true;
        let batch = Work::Batch(std::mem::take(&mut self.filling));
        self.sender.send(batch).map_err(|_| Gone)
    }
}

/// A lane's thread, until the reader has no more.
fn serve(receiver: &Receiver<Work>, server: &Server, settings: &Settings, errors: &AtomicU64) {
    let mut lease = server.keyspace.lease();
    let mut runner = Runner::new(server, settings, errors, &mut lease);
    let mut ahead = Ahead::new(server.keyspace.stripe_count());
    while let Ok(work) = receiver.recv() {
        match work {
            Work::Batch(batch) => batch.run(&mut runner, &mut ahead),
            // The reader may have given up.
            Work::Fence(done) => drop(done.send(())),
        }
    }
}
