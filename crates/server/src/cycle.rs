//! The active expiry cycle of one worker: when it sweeps, for how long, and how often.
//!
//! Each worker sweeps the stripes whose number modulo the number of workers is its own. It works in
//! slices of at most [`SLICE_NANOS`] between two rounds of the event loop and pauses in between, so
//! that it takes at most a quarter of the worker's time (more with a higher `active-expire-effort`)
//! and no client waits longer than a slice. A lap that finds nothing makes the next one wait
//! longer, up to [`PAUSE_MAX_NANOS`]; as soon as keys expire, laps follow one another every few
//! milliseconds.
//!
//! Why this keeps stale keys few: a segment is looked through when 0.5 % of its keys are due
//! (`Table::visit_expired`), and that is noticed after a pause, which is short while keys expire.

use std::sync::atomic::Ordering;

use engine::env::Env;
use engine::expire::{Lap, Sweep, Swept};
use engine::keyspace::{Keyspace, Lease};

use crate::aftermath;
use crate::mailbox::WorkerId;
use crate::server::Server;
use crate::stats::{WorkerStats, bump};

/// Longest piece of work between two rounds.
const SLICE_NANOS: u64 = 300_000;
/// Shortest time between two laps: what is due by then is at most a few keys per segment.
const PAUSE_MIN_NANOS: u64 = 2_000_000;
/// Longest time between two laps, when nothing expires.
const PAUSE_MAX_NANOS: u64 = 100_000_000;
/// Share of the worker's time at effort 1, and what each further step of effort adds. Percent.
const SHARE_PERCENT: u64 = 25;
const SHARE_PERCENT_PER_EFFORT: u64 = 2;

/// See the module's head.
pub struct Cycle {
    own: WorkerId,
    sweep: Sweep,
    /// When the next slice is due, in `Server::ticks_nanos`.
    next_nanos: u64,
    /// Pause after the last lap.
    pause_nanos: u64,
    /// Time spent in the lap under way.
    lap_nanos: u64,
    /// Stale keys as a share of volatile ones, in parts per million, smoothed over laps.
    stale_ppm: f64,
}

impl Cycle {
    /// The cycle of worker `id` of `workers`.
    pub fn new(keyspace: &Keyspace, id: WorkerId, workers: usize) -> Cycle {
        let mine = keyspace
            .stripes()
            .filter(|stripe| stripe.0 as usize % workers == usize::from(id.0));
        Cycle {
            own: id,
            sweep: Sweep::new(mine.collect()),
            next_nanos: 0,
            pause_nanos: PAUSE_MAX_NANOS,
            lap_nanos: 0,
            stale_ppm: 0.0,
        }
    }

    /// When [`Cycle::run`] wants to be called next, in `Server::ticks_nanos`.
    pub fn next_nanos(&self) -> u64 {
        self.next_nanos
    }

    /// Sweeps for one slice, if one is due at `now_nanos`.
    pub fn run(
        &mut self,
        now_nanos: u64,
        effort: u32,
        server: &Server,
        stats: &WorkerStats,
        lease: &mut Lease<'_>,
        env: &Env,
    ) {
        if now_nanos < self.next_nanos {
            return;
        }
        if !env.expire || !server.expires_actively() {
            self.next_nanos = now_nanos + PAUSE_MAX_NANOS;
            return;
        }
        let share = SHARE_PERCENT + SHARE_PERCENT_PER_EFFORT * u64::from(effort.saturating_sub(1));
        let mut spent;
        let lap = loop {
            let swept = self.sweep.step(lease, env);
            aftermath::settle(server, self.own, env, lease, None);
            lease.release();
            let now = server.ticks_nanos();
            spent = now - now_nanos;
            match swept {
                Swept::Lap(lap) => break Some(lap),
                Swept::Some if spent >= SLICE_NANOS => break None,
                Swept::Some => {}
            }
        };
        bump(&stats.expire_cycle_nanos, spent);
        self.lap_nanos += spent;
        // A slice that the system interrupted looks longer than the work it was.
        let rest = spent.min(2 * SLICE_NANOS) * (100 - share) / share;
        let pause = match lap {
            Some(lap) => self.end_lap(lap, stats).max(rest),
            None => {
                bump(&stats.expire_cycle_cuts, 1);
                rest
            }
        };
        self.next_nanos = now_nanos + spent + pause;
    }

    /// Takes stock of a lap and returns the pause before the next one.
    fn end_lap(&mut self, lap: Lap, stats: &WorkerStats) -> u64 {
        // Smoothed as Redis smooths its estimate: one twentieth of the news.
        let stale_ppm = lap.expired as f64 * 1e6 / lap.volatile.max(1) as f64;
        self.stale_ppm = self.stale_ppm * 0.95 + stale_ppm * 0.05;
        stats
            .expired_stale_ppm
            .store(self.stale_ppm as u64, Ordering::Relaxed);
        let idle_nanos = std::mem::take(&mut self.lap_nanos);
        self.pause_nanos = if lap.visits > 0 {
            PAUSE_MIN_NANOS
        } else {
            // Even passing every segment by costs time: not more than a twentieth of it.
            let pause = (self.pause_nanos * 2).max(idle_nanos * 20);
            pause.clamp(PAUSE_MIN_NANOS, PAUSE_MAX_NANOS)
        };
        self.pause_nanos
    }
}
