//! FAILOVER: a primary hands its place over to one of its replicas, without losing a write.
//!
//! ```text
//! none -> waiting: commands that write are held back until the replica has all bytes
//!      -> handing: this server follows the replica, and asks it (PSYNC ... FAILOVER) to take over
//!      -> none: the stream of the new primary flows, or it was called off
//! ```
//! Worker 0 looks after it ([`Failover::tick`]); nothing expires and nothing is pinged meanwhile,
//! so that the replica can catch up.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use base::time::UnixMillis;
use engine::failure::Failure;
use engine::keyspace::Lease;
use log::{info, warn};
use parking_lot::Mutex;
use replication::handover::{Patience, Step};

use super::primary::Standing;
use super::replica::{self, Primary};
use crate::mailbox::Message;
use crate::server::Server;

/// What FAILOVER was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who is to take over; else whoever has caught up first.
    pub target: Option<Primary>,
    /// How long the replica may take to catch up.
    pub patience: Patience,
}

struct Handing {
    wish: Wish,
    /// This server follows the target already.
    begun: bool,
}

/// See the module's head.
#[derive(Default)]
pub struct Failover {
    active: AtomicBool,
    state: Mutex<Option<Handing>>,
}

const ACTIVE: Failure = Failure::fixed("ERR FAILOVER already in progress.");
const NONE: Failure = Failure::fixed("ERR No failover in progress.");
const IS_REPLICA: Failure = Failure::fixed("ERR FAILOVER is not valid when server is a replica.");
const NO_REPLICAS: Failure = Failure::fixed("ERR FAILOVER requires connected replicas.");
const FORCE_ALONE: Failure = Failure::fixed(
    "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
);
const STRANGER: Failure = Failure::fixed("ERR FAILOVER target HOST and PORT is not a replica.");
const NOT_ONLINE: Failure = Failure::fixed("ERR FAILOVER target replica is not online.");

impl Failover {
    /// Whether one is under way.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// What INFO calls how far it is.
    pub fn name(&self) -> &'static str {
        match self.state.lock().as_ref().map(|handing| handing.begun) {
            None => "no-failover",
            Some(false) => "waiting-for-sync",
            Some(true) => "failover-in-progress",
        }
    }

    /// Begins one.
    ///
    /// # Errors
    /// As FAILOVER says.
    pub fn begin(&self, wish: Wish, server: &Server) -> Result<(), Failure> {
        let mut state = self.state.lock();
        if state.is_some() {
            return Err(ACTIVE);
        }
        if server.replicating.is_replica() {
            return Err(IS_REPLICA);
        }
        let replicas = server.replicating.primary.replicas();
        if replicas.is_empty() {
            return Err(NO_REPLICAS);
        }
        let Patience { until, forced } = wish.patience;
        if forced && (wish.target.is_none() || until.is_none()) {
            return Err(FORCE_ALONE);
        }
        if let Some(target) = &wish.target {
            let standing = replicas.iter().find(|standing| is_at(standing, target));
            let standing = standing.ok_or(STRANGER)?;
            if !standing.feed.lock().is_online() {
                return Err(NOT_ONLINE);
            }
        }
        info!("FAILOVER requested");
        self.active.store(true, SeqCst);
        server.publish_pause();
        *state = Some(Handing { wish, begun: false });
        Ok(())
    }

    /// Calls it off. Under a lease on all stripes.
    ///
    /// # Errors
    /// There is none.
    pub fn abort(&self, why: &str, server: &Server) -> Result<(), Failure> {
        let begun = self.state.lock().as_ref().map(|handing| handing.begun);
        let begun = begun.ok_or(NONE)?;
        info!("Aborting failover: {why}");
        if begun {
            replica::lead(server);
        }
        self.end(server);
        Ok(())
    }

    /// It is over, one way or the other.
    pub fn end(&self, server: &Server) {
        if self.state.lock().take().is_none() {
            return;
        }
        self.active.store(false, SeqCst);
        server.publish_pause();
        server.broadcast(|| Message::Resume);
    }

    /// Looks whether the replica has caught up, or the time is over.
    pub fn tick(&self, server: &Server, lease: &mut Lease<'_>, now: UnixMillis) {
        if !self.is_active() {
            return;
        }
        let waiting = {
            let state = self.state.lock();
            let waiting = state.as_ref().filter(|handing| !handing.begun);
            waiting.map(|handing| handing.wish.clone())
        };
        let Some(wish) = waiting else {
            return;
        };
        lease.cover_all();
        match wish.patience.step(self.ready(&wish, server), now) {
            Step::To(target) => self.hand_over(target, server),
            Step::Regardless => {
                // Compat: words that people look for.
                warn!("FAILOVER time out exceeded, failing over.");
                if let Some(target) = wish.target {
                    self.hand_over(target, server);
                }
            }
            Step::GiveUp => {
                // Invariant: it is there, as was just seen, and nobody else ends it under our lease
                // but FAILOVER ABORT, which leaves nothing to do.
                let _ = self.abort("Replica never caught up before timeout", server);
            }
            Step::Wait => {}
        }
        lease.release();
    }

    /// The replica that has all bytes, if it is one that may take over.
    fn ready(&self, wish: &Wish, server: &Server) -> Option<Primary> {
        let end = server.appending.journal.end();
        let replicas = server.replicating.primary.replicas();
        let fits = |standing: &&std::sync::Arc<Standing>| {
            let feed = standing.feed.lock();
            let wanted = wish.target.as_ref();
            feed.has_all(end) && wanted.is_none_or(|target| is_at(standing, target))
        };
        let standing = replicas.iter().find(fits)?;
        Some(Primary {
            host: standing.ip().as_bytes().to_vec(),
            port: u16::try_from(standing.about.port).ok()?,
        })
    }

    fn hand_over(&self, target: Primary, server: &Server) {
        let mut state = self.state.lock();
        let Some(handing) = &mut *state else {
            return;
        };
        handing.begun = true;
        drop(state);
        info!(
            "Failover target {}:{} is synced, failing over.",
            String::from_utf8_lossy(&target.host),
            target.port
        );
        replica::follow(server, target, true);
    }
}

/// Whether a replica is known by this address.
fn is_at(standing: &Standing, target: &Primary) -> bool {
    standing.ip().as_bytes() == target.host && standing.about.port == i64::from(target.port)
}
