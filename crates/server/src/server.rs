//! What the workers share: data, configuration, clients, counters, mailboxes.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use base::hash::Seed;
use base::ids::RunId;
use base::rng::{Rng, seed_from_os};
use base::time::{Clock, SystemClock, UnixMillis};
use engine::env::Garbage;
use engine::keyspace::Keyspace;
use parking_lot::Mutex;

use crate::appending::Appending;
use crate::background::Background;
use crate::client_memory::Burden;
use crate::clients::{Card, Clients};
use crate::config::Config;
use crate::doors::Doors;
use crate::loading::Progress;
use crate::mailbox::{Mailbox, Message, WorkerId};
use crate::memory::Marks;
use crate::migrating::Migrations;
use crate::monitor::Monitors;
use crate::pubsub::Exchange;
use crate::rates::Rates;
use crate::registry::Registry;
use crate::replicating::Replicating;
use crate::saving::Saving;
use crate::saving::walk::Turn;
use crate::scripting::Scripting;
use crate::settings::Published;
use crate::settings::Settings;
use crate::shutdown::{ShutdownWait, Wish};
use crate::stats::{Totals, WorkerStats, bump};
use crate::tracking::Tracking;

/// Which commands a pause holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseKind {
    /// Those that may change data.
    Write,
    /// All.
    All,
}

/// Kinds of errors counted apart, as in Redis.
const ERROR_KINDS_MAX: usize = 128;

/// The kind of an error is its first word if that ends within so many bytes.
const ERROR_KIND_BYTES_MAX: usize = 32;

/// Least time between two warnings of the same attack.
const BROWSER_WARNING_MILLIS: i64 = 60_000;

/// See the module's head.
pub struct Server {
    /// All data.
    pub keyspace: Keyspace,
    /// All commands.
    pub registry: Registry,
    /// The whole configuration, for CONFIG.
    pub config: Mutex<Config>,
    /// Settings for the workers.
    pub settings: Published,
    /// Connected clients.
    pub clients: Clients,
    /// One per worker.
    pub stats: Vec<WorkerStats>,
    /// One per worker; filled when the workers start.
    pub mailboxes: Vec<Mailbox>,
    /// When the process started.
    pub started: UnixMillis,
    /// The clocks.
    pub clock: SystemClock,
    /// Cheap monotonic time for measuring commands.
    pub ticks: quanta::Clock,
    /// Error replies by their first word.
    pub errors: Mutex<BTreeMap<Vec<u8>, u64>>,
    /// Connections accepted, and refused for `maxclients`.
    pub accepted: AtomicU64,
    /// Connections refused for `maxclients`.
    pub refused: AtomicU64,
    /// CLIENT PAUSE: until when (Unix milliseconds) and what.
    pub pause: Mutex<Option<(UnixMillis, PauseKind)>>,
    /// A copy of the pause's end for a quick look; 0 = none.
    pub paused_until: AtomicI64,
    /// When [`Server::warn_of_browser`] last logged.
    pub warned_of_browser: AtomicI64,
    /// Connections of each worker.
    pub load: Vec<AtomicU64>,
    /// Frees what takes long to free.
    pub background: Background,
    /// Memory at start and at its peak.
    pub memory: Marks,
    /// DEBUG SET-ACTIVE-EXPIRE: whether due keys are looked for.
    pub active_expire: AtomicBool,
    /// Names this run of the process (`run_id`).
    pub run_id: RunId,
    /// Who copies this server, or whom it copies.
    pub replicating: Replicating,
    /// The listening sockets.
    pub doors: Doors,
    /// Who listens to which channel.
    pub exchange: Exchange,
    /// Memory of the connections.
    pub burden: Burden,
    /// Who caches keys.
    pub tracking: Tracking,
    /// Who is shown all commands.
    pub monitors: Monitors,
    /// Commands and bytes per second.
    pub rates: Rates,
    /// How far loading is.
    pub loading: Progress,
    /// Scripts and functions.
    pub scripting: Scripting,
    /// Snapshots on disk.
    pub saving: Saving,
    /// Whose turn it is to take a snapshot.
    pub snapshot_turn: Turn,
    /// Keys on their way to other servers.
    pub migrations: Migrations,
    /// The append-only file.
    pub appending: Appending,
    /// What SHUTDOWN was told.
    pub shutdown: Mutex<Option<Wish>>,
    /// Whether the end waits for replicas.
    pub shutdown_wait: ShutdownWait,
}

impl Server {
    /// A server without data for `mailboxes.len()` workers.
    ///
    /// # Errors
    /// The operating system gives no thread for background work.
    pub fn new(config: Config, mailboxes: Vec<Mailbox>) -> io::Result<Server> {
        let workers = mailboxes.len();
        let settings = config.settings().clone();
        let registry = Registry::new();
        let appending = Appending::new(&settings, workers);
        let clock = SystemClock::new();
        let seed = Seed::random();
        let mut rng = Rng::from_seed(seed_from_os());
        let server = Server {
            keyspace: Keyspace::new(Keyspace::stripes_for(workers), settings.databases, seed),
            settings: Published::new(settings),
            config: Mutex::new(config),
            clients: Clients::default(),
            stats: (0..workers)
                .map(|_| WorkerStats::new(registry.len()))
                .collect(),
            registry,
            migrations: Migrations::new(mailboxes.clone()),
            mailboxes,
            started: clock.now(),
            clock,
            ticks: quanta::Clock::new(),
            errors: Mutex::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            pause: Mutex::new(None),
            paused_until: AtomicI64::new(0),
            warned_of_browser: AtomicI64::new(0),
            load: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            background: Background::start()?,
            memory: Marks::default(),
            active_expire: AtomicBool::new(true),
            run_id: RunId::generate(&mut rng),
            replicating: Replicating::new(RunId::generate(&mut rng), workers),
            doors: Doors::default(),
            exchange: Exchange::new(workers, Seed::random()),
            burden: Burden::new(workers),
            tracking: Tracking::new(workers),
            monitors: Monitors::new(workers),
            rates: Rates::default(),
            loading: Progress::default(),
            scripting: Scripting::new(workers),
            saving: Saving::new(clock.now()),
            snapshot_turn: Turn::default(),
            appending,
            shutdown: Mutex::new(None),
            shutdown_wait: ShutdownWait::default(),
        };
        server.memory.start(server.started);
        server.set_paces(&server.settings.get());
        Ok(server)
    }

    /// Saving and loading go at the paces that the settings say.
    pub fn set_paces(&self, settings: &Settings) {
        self.saving.pace.set(settings.rdb_key_save_delay);
        self.loading.pace.set(settings.key_load_delay);
    }

    /// The worker with the fewest connections; it is counted as having one more. One whose script
    /// runs for long comes last.
    pub fn least_loaded(&self) -> WorkerId {
        let loads = self.load.iter().enumerate();
        let least = loads.min_by_key(|(at, load)| {
            let busy = self.scripting.running.is_busy_at(WorkerId(*at as u16));
            (busy, load.load(Ordering::Relaxed))
        });
        let at = least.map_or(0, |(at, _)| at);
        self.load[at].fetch_add(1, Ordering::Relaxed);
        WorkerId(at as u16)
    }

    /// A client's connection is gone.
    pub fn forget(&self, card: &Card) {
        self.load[usize::from(card.worker.0)].fetch_sub(1, Ordering::Relaxed);
        self.clients.remove(card.id);
    }

    /// Monotonic nanoseconds.
    pub fn ticks_nanos(&self) -> u64 {
        self.clock.monotonic_nanos()
    }

    /// Frees values away from the workers.
    pub fn free_later(&self, garbage: Vec<Garbage>) {
        self.background.free(garbage);
    }

    /// The wall clock.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Counters of all workers.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.stats.iter().for_each(|worker| totals.add(worker));
        totals
    }

    /// Sets what INFO counts to zero (CONFIG RESETSTAT). A worker that is counting at this moment
    /// may write a counter back: what it loses is a command or two.
    pub fn reset_stats(&self) {
        self.stats.iter().for_each(WorkerStats::reset);
        self.errors.lock().clear();
        self.accepted.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
        self.rates.reset();
        self.replicating.primary.counters.reset();
        self.scripting.store.reset_stats();
        self.memory.reset_peak(self.now());
    }

    /// Whether it is a primary with too few replicas to be written to.
    #[inline]
    pub fn lacks_replicas(&self) -> bool {
        self.replicating.primary.is_lacking() && !self.replicating.is_replica()
    }

    /// Whether CLIENT PAUSE holds anything back.
    #[inline]
    pub fn is_pausing(&self) -> bool {
        self.paused_until.load(Ordering::Relaxed) != 0
    }

    /// Whether due keys are looked for: not while commands are paused or a log is loaded, and not
    /// if DEBUG said so.
    pub fn expires_actively(&self) -> bool {
        let may = self.active_expire.load(Ordering::Relaxed) && !self.loading.keeps_all();
        may && !self.is_pausing()
    }

    /// CLIENT PAUSE: holds commands back until then. A pause in force is never shortened nor
    /// weakened.
    pub fn pause(&self, until: UnixMillis, kind: PauseKind) {
        let mut pause = self.pause.lock();
        let in_force = pause.filter(|(end, _)| *end > self.now());
        let (end, kind) = match in_force {
            Some((end, PauseKind::All)) => (end.max(until), PauseKind::All),
            Some((end, PauseKind::Write)) => (end.max(until), kind),
            None => (until, kind),
        };
        *pause = Some((end, kind));
        drop(pause);
        self.publish_pause();
    }

    /// Brings the copy up to date that says whether anything is held back: by CLIENT PAUSE, or
    /// while a replica takes over.
    pub fn publish_pause(&self) {
        let pause = self.pause.lock();
        let until = match self.replicating.failover.is_active() {
            true => i64::MAX,
            false => pause.map_or(0, |(end, _)| end.0),
        };
        self.paused_until.store(until, Ordering::Relaxed);
    }

    /// Lets the commands go on that a pause has held back, if it was over at `now`.
    pub fn end_pause(&self, now: UnixMillis) {
        if !self.is_pausing() {
            return;
        }
        let mut pause = self.pause.lock();
        if pause.is_some_and(|(end, _)| end > now) {
            return;
        }
        if pause.take().is_none() {
            return;
        }
        drop(pause);
        self.publish_pause();
        self.broadcast(|| Message::Resume);
    }

    /// What the pause in force holds back.
    pub fn pause_kind(&self) -> Option<PauseKind> {
        let pause = *self.pause.lock();
        let in_force = pause.filter(|(until, _)| *until > self.now());
        let handed_over = self.replicating.failover.is_active();
        let kind = in_force.map(|(_, kind)| kind);
        kind.or_else(|| handed_over.then_some(PauseKind::Write))
    }

    /// Logs, at most once a minute, that somebody let a web browser speak to us.
    #[cold]
    pub fn warn_of_browser(&self, card: &Card, now: UnixMillis) {
        let last = self.warned_of_browser.load(Ordering::Relaxed);
        if now.0 - last < BROWSER_WARNING_MILLIS {
            return;
        }
        self.warned_of_browser.store(now.0, Ordering::Relaxed);
        log::warn!(
            "{} sent an HTTP request (POST or Host:): a web page may be trying to give commands \
             through its visitor's browser. The connection is closed.",
            card.peer
        );
    }

    /// Counts an error reply under its first word.
    #[cold]
    pub fn count_error(&self, text: &[u8], stats: &WorkerStats) {
        bump(&stats.errors, 1);
        // A word alone, which only a script can make an error of, is not its kind.
        let start = &text[..text.len().min(ERROR_KIND_BYTES_MAX)];
        let space = start.iter().position(|&byte| byte == b' ');
        let word = space.map_or(&b"ERR"[..], |end| &text[..end]);
        let mut errors = self.errors.lock();
        if errors.len() < ERROR_KINDS_MAX || errors.contains_key(word) {
            *errors.entry(word.to_vec()).or_default() += 1;
        }
    }

    /// Tells every worker.
    pub fn broadcast(&self, message: impl Fn() -> Message) {
        self.mailboxes
            .iter()
            .for_each(|mailbox| mailbox.send(message()));
    }
}
