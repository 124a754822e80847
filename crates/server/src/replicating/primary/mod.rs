//! This server as a primary: its replicas, how far they are, and the copies they wait for.
//!
//! A replica is a connection of a worker. What others may know of it is its [`Standing`]; its
//! worker feeds it from the journal (`worker/feeding`). One thread ([`sync::serve`]) sends copies
//! of all data to those who need one. Once a second, worker 0 looks after time ([`Primary::tick`]).
//!
//! Invariants: a standing is in the list as long as its connection is attached. Who writes to a
//! replica's socket is its phase's business: the worker while it waits and once it is online, the
//! thread in between.

pub(crate) mod rewind;
pub mod sync;
mod wires;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize};

use base::time::UnixMillis;
use engine::keyspace::Lease;
use journal::Offset;
use journal::journal::Cursor;
use log::{info, warn};
use parking_lot::Mutex;
use replication::feed::{Cut, Feed, Limits, Phase};
use replication::quorum::different;

use crate::clients::Card;
use crate::mailbox::{Message, WorkerId};
use crate::server::Server;
use crate::settings::Settings;

/// What a replica has said about itself before it asked for the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// `listening-port`.
    pub port: i64,
    /// `ip-address`.
    pub ip: Option<String>,
    /// `capa eof`: a copy may end with a mark.
    pub knows_marks: bool,
    /// `capa psync2`: a history may change its name.
    pub knows_names: bool,
    /// `version`: only Valkey says that, which does not read what Redis writes of hashes whose
    /// fields expire.
    pub tells_version: bool,
    /// `rdb-only`: it wants no stream.
    pub copy_only: bool,
    /// It came with SYNC: it never says how far it is.
    pub old: bool,
    /// What its copy leaves out (`rdb-filter-only`).
    pub without: Without,
}

/// What a copy leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// The keys.
    pub keys: bool,
    /// The functions.
    pub functions: bool,
}

/// What everybody may know of a replica.
pub struct Standing {
    /// Its connection.
    pub card: Arc<Card>,
    /// What it has said about itself.
    pub about: Introduction,
    /// How far it is.
    pub feed: Mutex<Feed>,
    /// It goes on from here, by way of the append-only file.
    pub rewound: Option<Offset>,
    /// Where its stream begins, until its worker takes over.
    pub cursor: Mutex<Option<Cursor>>,
    /// Bytes of the journal that it has not been sent.
    pub waiting_bytes: AtomicU64,
}

impl Standing {
    /// The address others know it by.
    pub fn ip(&self) -> &str {
        let peer = || self.card.peer.rsplit_once(':').map_or("", |(host, _)| host);
        let ip = self.about.ip.as_deref().filter(|ip| !ip.is_empty());
        ip.unwrap_or_else(peer).trim_matches(['[', ']'])
    }

    /// Whether it speaks the older protocol.
    pub fn is_old(&self) -> bool {
        self.about.old
    }

    /// Its name in the log.
    pub fn name(&self) -> String {
        format!("{}:{}", self.ip(), self.about.port)
    }
}

/// What a replica's worker keeps of it.
pub struct Attached {
    /// What everybody may know.
    pub standing: Arc<Standing>,
    /// Where its stream is; none until it begins.
    pub cursor: Option<Cursor>,
    /// The thread that sends copies knows of it, or need not.
    pub handed: bool,
    /// The stream has begun: nothing else may be written.
    pub begun: bool,
    /// Bytes received when it was last looked at.
    pub bytes_in: u64,
}

impl Attached {
    /// Whether what is sent to it is all a copy or the stream: a reply would be taken for a part.
    pub fn is_beyond_replies(&self) -> bool {
        self.begun || self.handed && self.standing.feed.lock().phase() != Phase::Online
    }
}

/// Replicas of one worker.
#[derive(Default)]
struct Door {
    replicas: AtomicU32,
    /// It has been told that there is more to send, and has not looked yet.
    told: AtomicBool,
}

/// What has happened, for INFO.
#[derive(Default)]
pub struct Counters {
    /// Copies of everything.
    pub full: AtomicU64,
    /// Replicas that went on where they were.
    pub partial: AtomicU64,
    /// Those that wanted to and could not.
    pub refused: AtomicU64,
    /// Commands of the stream that failed here, as a replica.
    pub failed: AtomicU64,
}

impl Counters {
    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        let all = [&self.full, &self.partial, &self.refused, &self.failed];
        all.iter().for_each(|counter| counter.store(0, Relaxed));
    }
}

/// See the module's head.
pub struct Primary {
    replicas: Mutex<Vec<Arc<Standing>>>,
    count: AtomicUsize,
    doors: Box<[Door]>,
    /// Online replicas that are not far behind in time.
    good: AtomicU64,
    /// They are too few for commands that write.
    lacking: AtomicBool,
    /// Somebody waits for acknowledgements.
    asks: AtomicBool,
    /// Writes wait for replicas: offsets count from now on, whether there are any or not.
    counting: AtomicBool,
    /// Acknowledgements so far.
    heard: AtomicU64,
    /// When the stream was last pinged, and the last replica went.
    pinged_at: AtomicI64,
    alone_since: AtomicI64,
    /// See there.
    pub counters: Counters,
    /// Copies that are wanted.
    pub queue: sync::Queue,
}

impl Primary {
    /// A primary without replicas, with so many workers.
    pub fn new(workers: usize) -> Primary {
        Primary {
            replicas: Mutex::default(),
            count: AtomicUsize::new(0),
            doors: (0..workers).map(|_| Door::default()).collect(),
            good: AtomicU64::new(0),
            lacking: AtomicBool::new(false),
            asks: AtomicBool::new(false),
            counting: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            pinged_at: AtomicI64::new(0),
            alone_since: AtomicI64::new(0),
            counters: Counters::default(),
            queue: sync::Queue::default(),
        }
    }

    /// A new replica.
    pub fn add(&self, standing: Arc<Standing>) {
        self.doors[usize::from(standing.card.worker.0)]
            .replicas
            .fetch_add(1, SeqCst);
        standing.card.replica.store(true, Relaxed);
        let mut replicas = self.replicas.lock();
        replicas.push(standing);
        self.count.store(replicas.len(), SeqCst);
    }

    /// Its connection is closed.
    pub fn remove(&self, standing: &Arc<Standing>, now: UnixMillis) {
        let mut replicas = self.replicas.lock();
        let before = replicas.len();
        replicas.retain(|known| !Arc::ptr_eq(known, standing));
        if replicas.len() < before {
            let door = &self.doors[usize::from(standing.card.worker.0)];
            door.replicas.fetch_sub(1, SeqCst);
            self.count.store(replicas.len(), SeqCst);
            self.alone_since.store(now.0, SeqCst);
        }
        drop(replicas);
        self.queue.look();
    }

    /// All replicas, those that are about to be closed left out.
    pub fn replicas(&self) -> Vec<Arc<Standing>> {
        let alive = |standing: &&Arc<Standing>| !standing.card.killed.load(Relaxed);
        self.replicas.lock().iter().filter(alive).cloned().collect()
    }

    /// How many there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// Online replicas that are not far behind in time.
    pub fn good(&self) -> u64 {
        self.good.load(Relaxed)
    }

    /// Whether there are too few of those for commands that write.
    #[inline]
    pub fn is_lacking(&self) -> bool {
        self.lacking.load(Relaxed)
    }

    /// How many replicas have the bytes before `upto`; on disk, if `durable`.
    pub fn have(&self, upto: Offset, durable: bool) -> usize {
        let replicas = self.replicas.lock();
        let has = |standing: &&Arc<Standing>| {
            let feed = standing.feed.lock();
            match durable {
                true => feed.has_on_disk(upto),
                false => feed.has(upto),
            }
        };
        replicas.iter().filter(has).count()
    }

    /// How many different replicas have the bytes before `upto` on disk.
    pub fn have_on_disks(&self, upto: Offset) -> usize {
        let replicas = self.replicas.lock();
        let has = |standing: &&Arc<Standing>| standing.feed.lock().has_on_disk(upto);
        let having = replicas.iter().filter(has);
        different(having.map(|standing| (standing.ip(), standing.about.port)))
    }

    /// How many of them are online.
    pub fn online(&self) -> usize {
        let replicas = self.replicas.lock();
        let online = replicas.iter().filter(|it| it.feed.lock().is_online());
        online.count()
    }

    /// The replicas are to say how far they are. The stream asks them at the end of the round.
    pub fn ask(&self) {
        self.asks.store(true, SeqCst);
    }

    /// The end of a worker's round: asks the replicas if somebody wants to know.
    #[inline]
    pub fn ask_if_wanted(&self, server: &Server, now: UnixMillis) {
        if self.asks.load(Relaxed) && self.asks.swap(false, SeqCst) {
            let command = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
            self.append(server, command, now);
        }
    }

    /// Puts a command into the stream that is only for replicas.
    pub fn append(&self, server: &Server, command: &[u8], now: UnixMillis) {
        let replicating = &server.replicating;
        // Who takes over must be able to have everything.
        let still = replicating.is_replica() || replicating.failover.is_active();
        if self.count() > 0 && !still && !server.shutdown_wait.is_sealed() {
            server.appending.journal.append_aside(command, now);
        }
    }

    /// The journal has grown: the workers of replicas are told, but for `own`.
    pub fn wake_others(&self, server: &Server, own: WorkerId) {
        for (at, door) in self.doors.iter().enumerate() {
            let concerned = door.replicas.load(Relaxed) > 0 && at != usize::from(own.0);
            if concerned && !door.told.swap(true, SeqCst) {
                server.mailboxes[at].send(Message::Feed);
            }
        }
    }

    /// A worker looks what there is to send.
    pub fn note_looking(&self, worker: WorkerId) {
        self.doors[usize::from(worker.0)].told.store(false, SeqCst);
    }

    /// A replica has said how far it is.
    pub fn heard(&self, server: &Server, now: UnixMillis) {
        self.heard.fetch_add(1, SeqCst);
        self.count_good(server, now);
        server.appending.tell_awaiting(&server.mailboxes);
    }

    /// How often a replica has said how far it is.
    pub fn heard_count(&self) -> u64 {
        self.heard.load(SeqCst)
    }

    fn count_good(&self, server: &Server, now: UnixMillis) {
        let replicas = self.replicas.lock();
        // Looked at under the lock, so that who comes last has seen the last change.
        let settings = server.settings.get();
        let primary = &settings.primary;
        let (least, lag_max) = (primary.replicas_min, primary.lag_seconds_max * 1000);
        let is_good = |standing: &&Arc<Standing>| standing.feed.lock().is_good(lag_max, now);
        let good = replicas.iter().filter(is_good).count() as u64;
        self.good.store(good, Relaxed);
        let lacking = least > 0 && lag_max > 0 && good < least;
        self.lacking.store(lacking, Relaxed);
    }

    /// The settings have changed.
    pub fn apply(&self, server: &Server, now: UnixMillis) {
        self.count_good(server, now);
    }

    /// Once a second: pings, and what time alone brings about. The lease covers nothing.
    pub fn tick(
        &self,
        server: &Server,
        settings: &Settings,
        lease: &mut Lease<'_>,
        now: UnixMillis,
    ) {
        let millis = settings.primary.ping_seconds * 1000;
        if self.count() > 0 && now.0 - self.pinged_at.load(Relaxed) >= millis {
            self.pinged_at.store(now.0, Relaxed);
            self.append(server, b"*1\r\n$4\r\nPING\r\n", now);
        }
        self.count_good(server, now);
        self.cut_off(server, settings, now);
        self.forget_backlog(server, settings, lease, now);
    }

    /// Gives up the replicas that are too slow.
    fn cut_off(&self, server: &Server, settings: &Settings, now: UnixMillis) {
        let (limits, end) = (limits(settings), server.appending.journal.end());
        for standing in self.replicas() {
            let waiting = standing.waiting_bytes(end);
            standing.waiting_bytes.store(waiting, Relaxed);
            if let Some(cut) = standing.feed.lock().look(waiting, &limits, now) {
                report(&standing, cut);
                close(server, &standing);
            }
        }
    }

    /// Nobody has come back for long enough: what is kept for replicas is let go.
    fn forget_backlog(
        &self,
        server: &Server,
        settings: &Settings,
        lease: &mut Lease<'_>,
        now: UnixMillis,
    ) {
        let journal = &server.appending.journal;
        let ttl = settings.primary.backlog_ttl_seconds;
        let alone = now.0 - self.alone_since.load(SeqCst);
        let due = journal.is_kept() && ttl > 0 && alone > ttl.saturating_mul(1000);
        let needed = self.count() > 0 || self.counting.load(SeqCst);
        if !due || needed || server.replicating.is_replica() {
            return;
        }
        lease.cover_all();
        if self.count() == 0 {
            journal.stop_keeping();
            if !journal.is_on() {
                server.replicating.begin_anew(journal);
            }
            info!("Replication backlog freed after {ttl} seconds without connected replicas.");
        }
        lease.release();
    }

    /// From now on every byte is kept that a replica may need. All stripes are leased.
    pub fn begin(&self, server: &Server, now: UnixMillis) {
        let journal = &server.appending.journal;
        if journal.is_kept() {
            return;
        }
        self.pinged_at.store(now.0, Relaxed);
        self.alone_since.store(now.0, SeqCst);
        if journal.keep(server.settings.get().primary.backlog_bytes) {
            server.replicating.begin_anew(journal);
        }
    }

    /// Some writes wait for replicas: from now on each has an offset that they can have. No lease
    /// is needed: who shares this history begins with a copy, and that is later.
    pub fn count_writes(&self, server: &Server, now: UnixMillis) {
        self.counting.store(true, SeqCst);
        self.begin(server, now);
    }

    /// Lets [`sync::serve`] return.
    pub fn end(&self) {
        self.queue.end();
    }

    /// Disconnects every replica, so that each learns what has become of the history.
    pub fn disconnect_all(&self, server: &Server) {
        for standing in self.replicas() {
            close(server, &standing);
        }
    }
}

impl Standing {
    fn waiting_bytes(&self, end: Offset) -> u64 {
        match &*self.cursor.lock() {
            Some(cursor) => end.0.saturating_sub(cursor.at().0),
            None => self.waiting_bytes.load(Relaxed),
        }
    }
}

/// What `client-output-buffer-limit` and others allow a replica.
pub fn limits(settings: &Settings) -> Limits {
    let limit = &settings.client_output_buffer_limit.replica;
    Limits {
        hard_bytes: limit.hard_bytes,
        soft_bytes: limit.soft_bytes,
        soft_millis: (limit.soft_seconds as i64).saturating_mul(1000),
        backlog_bytes: settings.primary.backlog_bytes,
        silence_millis: settings.primary.timeout_seconds.saturating_mul(1000),
    }
}

/// Logs that a replica is given up.
pub fn report(standing: &Standing, cut: Cut) {
    let name = standing.name();
    match cut {
        Cut::Silent => warn!("Disconnecting timedout replica (streaming sync): {name}"),
        Cut::Behind => warn!(
            "Replica {name} is disconnected: more of the stream is waiting for it than \
             client-output-buffer-limit allows"
        ),
    }
}

/// Has a replica's connection closed.
pub fn close(server: &Server, standing: &Standing) {
    standing.card.killed.store(true, Relaxed);
    let mailbox = &server.mailboxes[usize::from(standing.card.worker.0)];
    mailbox.send(Message::Close(Arc::clone(&standing.card)));
}

/// What INFO calls a phase.
pub fn phase_name(feed: &Feed) -> &'static str {
    match feed.phase() {
        Phase::Waiting | Phase::Copying => "wait_bgsave",
        Phase::Copied | Phase::Online => "online",
    }
}
