//! The primary as a client: what it sends is done here and copied into the journal byte for byte.
//!
//! Its commands go through the batches like everybody's, with these differences. They are run
//! before every deadline, because only the primary says when keys end. They are admitted whatever
//! stands against it. They get no answers. And each is run under a lease that is pinned, under
//! which it is first looked whether the order is still in force, and its bytes are appended to the
//! journal, so that whoever holds all stripes sees data and offset agree. The commands from MULTI
//! to EXEC are appended as one.

use std::sync::atomic::Ordering::Relaxed;

use base::ids::DbIndex;
use base::time::UnixMillis;
use engine::args::KeyWord;
use engine::env::Env;
use engine::keyspace::Lease;
use engine::spec::DataRun;
use journal::{Journal, Offset, Policy};
use replication::link::{self, Beat, Pulse};

use crate::client::Client;
use crate::connection::Connection;
use crate::registry::{Handler, InMulti, RowId};
use crate::server::Server;
use crate::settings::Settings;

/// A buffer longer than this is given back after a command.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What a primary's connection has besides a client's.
pub struct Upstream {
    /// The order that it is for.
    number: u64,
    pulse: Pulse,
    /// Bytes that had come when the pulse was last told.
    heard_bytes: u64,
    /// Bytes of commands that are not in the journal yet.
    pending: Vec<u8>,
    /// The primary has asked how far we are, and was not told that this is on disk.
    owed: Option<Offset>,
    /// Its next command waits for a script.
    pub stalled: bool,
}

/// What of an environment is different for a primary's commands.
pub struct Ordinary {
    now: UnixMillis,
    access_time: Option<UnixMillis>,
    expire: bool,
    owns_deadlines: bool,
}

impl Upstream {
    /// The stream begins.
    pub fn new(number: u64, now: UnixMillis) -> Upstream {
        Upstream {
            number,
            pulse: Pulse::new(now),
            heard_bytes: 0,
            pending: Vec::new(),
            owed: None,
            stalled: false,
        }
    }

    /// The order that it is for.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Notes a command's bytes; how many there were before.
    pub fn note(&mut self, bytes: &[u8]) -> usize {
        let before = self.pending.len();
        self.pending.extend_from_slice(bytes);
        before
    }

    /// The last command is not run after all.
    pub fn forget(&mut self, before: usize) {
        self.pending.truncate(before);
    }

    /// Answers the primary how far we are. What is not on disk yet it will be told of as soon as it
    /// is: it waits for that.
    pub fn answer(&mut self, journal: &Journal) -> Vec<u8> {
        let end = journal.end();
        let will_be = journal.is_on() && journal.policy() != Policy::No;
        let is_not = journal.restorable().is_none_or(|at| at < end);
        self.owed = (will_be && is_not).then_some(end);
        acknowledgement(journal)
    }

    /// Whether an answer is owed.
    pub fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// The answer that is owed, if it can be given.
    pub fn late_answer(&mut self, journal: &Journal) -> Option<Vec<u8>> {
        let restorable = journal.restorable()?;
        self.owed.take_if(|owed| *owed <= restorable)?;
        Some(acknowledgement(journal))
    }

    /// Appends what was noted to the journal. Under the lease under which it was done.
    #[inline]
    pub fn commit(&mut self, journal: &Journal, db: DbIndex, now: UnixMillis) {
        if !self.pending.is_empty() {
            journal.append_stream(&self.pending, db, now);
            self.pending.clear();
            self.pending.shrink_to(KEPT_BYTES_MAX);
        }
    }
}

/// The acknowledgement of what is in the journal, and of what a restart would give back.
pub fn acknowledgement(journal: &Journal) -> Vec<u8> {
    link::ack(journal.end(), journal.restorable())
}

/// The outermost command of a client is over: if it is the primary, its bytes are appended, unless
/// it is in the middle of a transaction.
#[inline]
pub fn settle(client: &mut Client, server: &Server, env: &Env) {
    if let Some(upstream) = &mut client.upstream
        && client.transaction.is_none()
    {
        let now = env.access_time.unwrap_or(env.now);
        upstream.commit(&server.appending.journal, client.db, now);
    }
}

/// A command of the stream has failed: the data are not those of the primary.
#[cold]
pub fn complain(command: &str, why: &[u8], server: &Server, settings: &Settings) {
    let counters = &server.replicating.primary.counters;
    counters.failed.fetch_add(1, Relaxed);
    let why = String::from_utf8_lossy(why);
    log::error!(
        "== CRITICAL == This replica is sending an error to its master: '{why}' after processing \
         the command '{command}'"
    );
    if settings.replica.ends_on_failure && settings.replica.read_only {
        log::error!("The process ends, as propagation-error-behavior wants it");
        std::process::abort();
    }
}

/// From now on commands are a primary's.
pub fn enter(env: &mut Env) -> Ordinary {
    let ordinary = Ordinary {
        now: env.now,
        access_time: env.access_time,
        expire: env.expire,
        owns_deadlines: env.owns_deadlines,
    };
    env.access_time = Some(env.now);
    env.now = UnixMillis(0);
    env.expire = false;
    env.owns_deadlines = false;
    ordinary
}

/// From now on they are anybody's.
pub fn leave(env: &mut Env, ordinary: Ordinary) {
    env.now = ordinary.now;
    env.access_time = ordinary.access_time;
    env.expire = ordinary.expire;
    env.owns_deadlines = ordinary.owns_deadlines;
}

/// Leases and pins what a command needs; `false` if somebody has it for long.
pub fn lease(
    row: Option<RowId>,
    keys: &[KeyWord],
    client: &Client,
    server: &Server,
    lease: &mut Lease<'_>,
) -> bool {
    let Some(row) = row.map(|id| server.registry.row(id)) else {
        return true;
    };
    let covered = match (&client.transaction, row.in_multi, &row.handler) {
        (Some(_), InMulti::Queued, _) => return true,
        (Some(transaction), InMulti::Exec, _) => transaction.try_cover(lease),
        (_, _, Handler::Data(DataRun::Read(_) | DataRun::Write(_) | DataRun::Refresh(_))) => {
            lease.try_cover(keys.iter().map(|key| key.hash))
        }
        _ => lease.try_cover_all(),
    };
    if covered {
        lease.pin();
    }
    covered
}

/// Once a second: acknowledges, and gives a silent link up. Whether the connection needs to be
/// served.
pub fn beat(connection: &mut Connection, server: &Server, settings: &Settings, now: UnixMillis) {
    let bytes = connection.client.card.bytes_in.load(Relaxed);
    let Some(upstream) = &mut connection.client.upstream else {
        return;
    };
    if bytes != upstream.heard_bytes {
        upstream.heard_bytes = bytes;
        upstream.pulse.hear(now);
    }
    let patience = settings.primary.timeout_seconds * 1000;
    match upstream.pulse.beat(now, patience) {
        Beat::Rest => {}
        Beat::Ack => {
            let ack = acknowledgement(&server.appending.journal);
            connection.out.raw(&ack);
        }
        Beat::Dead => {
            log::warn!("MASTER timeout: no data nor PING received...");
            connection.client.fate = crate::client::Fate::CloseNow;
        }
    }
    connection.dirty = true;
}
