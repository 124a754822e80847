//! Keeping `used_memory` below `maxmemory`: before each command, keys are evicted until there is
//! room.
//!
//! As in Redis, room is made before every command, reads included, and a command that may need
//! memory is refused only when nothing can be evicted. The work per call is bounded by
//! `maxmemory-eviction-tenacity`; what is left is done before the next commands and between rounds.
//!
//! Everything allocated counts: data, buffers of clients, the server itself; but not, as in Redis,
//! what waits to be written to the append-only file. Strings that wait
//! for the background thread do not count any more: their keys are gone, and to evict others for
//! them would be wrong. For the same reason news for those who cache keys do not count while they
//! are in mailboxes.
//!
//! Cost without `maxmemory`: one branch per command. With it: the counters of all threads are
//! summed once per batch, and per command this thread's own is read, so that a batch of large
//! values cannot overshoot unseen.

use std::time::Duration;

use engine::env::Env;
use engine::evict::{Policy, Pool};
use engine::failure::Failure;
use engine::keyspace::Lease;
use engine::spec::Flags;

use crate::aftermath;
use crate::allocator;
use crate::client::Client;
use crate::mailbox::WorkerId;
use crate::server::Server;
use crate::settings::{Settings, eviction};

/// Keys evicted between two looks at the clock and at the other threads' memory.
const KEYS_PER_LOOK: usize = 16;
/// Time per call at tenacity 1 to 10, for each point. From 10 on it grows by 15 % a point, and 100
/// knows no limit. These are Redis's figures.
const TENACITY_STEP: Duration = Duration::from_micros(50);
const TENACITY_GROWTH: f64 = 1.15;
const TENACITY_LINEAR_MAX: u32 = 10;
const TENACITY_UNLIMITED: u32 = 100;

/// Whether a command that needs memory may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Enough,
    /// Memory is full and nothing can be evicted.
    None,
}

/// One worker's eviction: its candidates and its view of the memory in use.
pub struct Evictor {
    own: WorkerId,
    pool: Pool,
    policy: Option<Policy>,
    /// Bytes in use beyond this thread's own balance, as of the last look.
    others: i64,
    /// Time ran out before enough was evicted.
    behind: bool,
}

impl Evictor {
    /// The evictor of the worker `own`.
    pub fn new(own: WorkerId) -> Evictor {
        Evictor {
            own,
            pool: Pool::default(),
            policy: None,
            others: 0,
            behind: false,
        }
    }

    /// Looks at the memory of all threads: once per batch, when `maxmemory` is set.
    pub fn look(&mut self, server: &Server) {
        let used = allocator::used_bytes();
        server.memory.note(used, server.now());
        let gone = server.background.pending_bytes()
            + server.tracking.under_way_bytes()
            + server.appending.journal.held_bytes();
        self.others = used as i64 - gone as i64 - allocator::own_balance();
    }

    /// Whether there is eviction left to do that ran out of time.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    fn used(&self) -> u64 {
        u64::try_from(self.others + allocator::own_balance()).unwrap_or(0)
    }

    /// Refuses a command that may need memory when there is none. Evicts first if need be; `lease`
    /// then covers something else than before. `by` hears of evicted keys that it caches after this
    /// call, by [`Caching::tell`](crate::tracking::Caching::tell).
    ///
    /// # Errors
    /// The command must not run.
    #[inline]
    pub fn admit(
        &mut self,
        flags: Flags,
        server: &Server,
        settings: &Settings,
        lease: &mut Lease<'_>,
        env: &Env,
        by: &mut Client,
    ) -> Result<(), Failure> {
        let room = self.make_room(server, settings, lease, env, Some(by));
        if room == Room::None && flags.has(Flags::DENYOOM) {
            return Err(Failure::OUT_OF_MEMORY);
        }
        Ok(())
    }

    /// Evicts until `used_memory` is below `maxmemory`, nothing is left to evict or time is up.
    #[inline]
    pub fn make_room(
        &mut self,
        server: &Server,
        settings: &Settings,
        lease: &mut Lease<'_>,
        env: &Env,
        by: Option<&mut Client>,
    ) -> Room {
        let limit = settings.maxmemory_bytes;
        let leaves_it = server.replicating.is_replica() && settings.replica.ignore_maxmemory;
        if limit == 0 || leaves_it || self.used() <= limit {
            self.behind = false;
            return Room::Enough;
        }
        self.evict(server, settings, lease, env, by)
    }

    #[cold]
    fn evict(
        &mut self,
        server: &Server,
        settings: &Settings,
        lease: &mut Lease<'_>,
        env: &Env,
        mut by: Option<&mut Client>,
    ) -> Room {
        let policy = eviction(settings.maxmemory_policy);
        if self.policy != policy {
            self.policy = policy;
            self.pool.clear();
        }
        self.behind = false;
        let Some(policy) = policy else {
            return without_candidates(server);
        };
        let limit = settings.maxmemory_bytes;
        let until = server
            .ticks_nanos()
            .saturating_add(nanos_max(settings.maxmemory_eviction_tenacity));
        let samples = settings.maxmemory_samples as usize;
        while self.used() > limit {
            for _ in 0..KEYS_PER_LOOK {
                if !self.pool.evict_one(policy, samples, lease, env) {
                    return without_candidates(server);
                }
                aftermath::settle(server, self.own, env, lease, by.as_deref_mut());
                let garbage = env.take_garbage();
                let large = !garbage.is_empty();
                server.free_later(garbage);
                if large || self.used() <= limit {
                    break;
                }
            }
            self.look(server);
            if self.used() > limit && server.ticks_nanos() >= until {
                self.behind = true;
                break;
            }
        }
        Room::Enough
    }
}

/// Nothing can be evicted. While a flushed table is being freed, memory is about to be there.
fn without_candidates(server: &Server) -> Room {
    if server.background.is_freeing_tables() {
        Room::Enough
    } else {
        Room::None
    }
}

/// How long one call may take, by `maxmemory-eviction-tenacity`.
fn nanos_max(tenacity: u32) -> u64 {
    if tenacity >= TENACITY_UNLIMITED {
        return u64::MAX;
    }
    let linear = TENACITY_STEP * tenacity.min(TENACITY_LINEAR_MAX);
    let beyond = tenacity.saturating_sub(TENACITY_LINEAR_MAX);
    (linear.as_nanos() as f64 * TENACITY_GROWTH.powi(beyond as i32)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_in_nanoseconds() {
        assert_eq!(nanos_max(0), 0);
        assert_eq!(nanos_max(1), 50_000);
        assert_eq!(nanos_max(10), 500_000);
        assert_eq!(nanos_max(11), 575_000);
        assert!((100_000_000_000..200_000_000_000).contains(&nanos_max(99)));
        assert_eq!(nanos_max(100), u64::MAX);
    }
}
