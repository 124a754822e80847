//! Replication: this server as a primary (`primary`), as a replica (`replica`), on the way from the
//! one to the other (`failover`), and what all share: the name of the history that the data are of,
//! and which of the two it is.
//!
//! The bytes that travel are the journal's, at the journal's offsets. Protocol decisions without
//! I/O are the crate `replication`'s.
//!
//! Invariant: a name stands for one sequence of bytes. So the history changes only under a lease on
//! all stripes (or while nobody writes), and whoever turns the journal on after it was off begins
//! it anew ([`Replicating::begin_anew`]).

pub mod failover;
pub mod primary;
pub mod replica;
pub mod report;

use std::sync::atomic::{AtomicBool, Ordering};

use base::ids::{DbIndex, RunId};
use base::rng::{Rng, seed_from_os};
use journal::{Journal, Offset};
use log::info;
use parking_lot::Mutex;
use replica::Replica;
use replication::history::{History, Role};
use replication::quorum::Era;

use self::failover::Failover;
use self::primary::Primary;
use crate::saving::file::StreamPlace;
use crate::server::Server;

/// See the module's head.
pub struct Replicating {
    history: Mutex<History>,
    is_replica: AtomicBool,
    /// Whom it follows.
    pub replica: Replica,
    /// Its replicas.
    pub primary: Primary,
    /// Handing its place over.
    pub failover: Failover,
}

impl Replicating {
    /// A primary without replicas, whose history has this name.
    pub fn new(id: RunId, workers: usize) -> Replicating {
        Replicating {
            history: Mutex::new(History::new(id)),
            is_replica: AtomicBool::new(false),
            replica: Replica::default(),
            primary: Primary::new(workers),
            failover: Failover::default(),
        }
    }

    /// Which history the data are of.
    pub fn history(&self) -> History {
        *self.history.lock()
    }

    /// Another history, or another name of it. Under a lease on all stripes.
    pub fn set_history(&self, history: History, journal: &Journal) {
        *self.history.lock() = history;
        journal.set_remark(history.line().as_bytes());
    }

    /// Begins a history that nobody shares: the data may have changed without a byte in the
    /// journal. Under a lease on all stripes.
    pub fn begin_anew(&self, journal: &Journal) {
        self.set_history(History::new(new_name()), journal);
    }

    /// Goes on after a restart: the disk has given back the bytes of `history` before `end`. What
    /// follows has a name of its own, for what was lost may be elsewhere. Nobody writes yet.
    ///
    /// A replica has a prefix of its primary's history, whatever was lost: it keeps the name, and
    /// the database `db` that is selected there.
    pub fn resume(&self, server: &Server, mut history: History, end: Offset, db: DbIndex) {
        let journal = &server.appending.journal;
        journal.begin_at(end);
        self.primary.begin(server, server.now());
        let role = match server.settings.get().replica.of {
            Some(_) => Role::Replica,
            None => Role::Primary,
        };
        if role == Role::Replica {
            journal.append_stream(&[], db, server.now());
        }
        history.restart(role, new_name(), end);
        self.set_history(history, journal);
        info!("The replication history is resumed at offset {}", end.0);
    }

    /// Where in which history the data are, if a journal is kept. All stripes are leased.
    pub fn place(&self, journal: &Journal) -> Option<StreamPlace> {
        let (db, offset) = journal.selected(false);
        let id = self.history().id();
        let known = journal.is_kept() || journal.is_on();
        known.then_some(StreamPlace { id, offset, db })
    }

    /// What replicas acknowledge is about the bytes of this era's writes.
    #[inline]
    pub fn era(&self) -> Era {
        Era(self.replica.order_number())
    }

    /// Whether this server is a replica.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.is_replica.load(Ordering::Relaxed)
    }

    /// It becomes a replica, or a primary. Under a lease on all stripes.
    pub fn set_replica(&self, replica: bool) {
        self.is_replica.store(replica, Ordering::SeqCst);
    }
}

/// A name that no other history has.
pub fn new_name() -> RunId {
    RunId::generate(&mut Rng::from_seed(seed_from_os()))
}
