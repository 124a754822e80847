//! Servers that follow one another on a bad network, with disks that are slow and lose what was
//! not synced, from one seed per world. What decides is the crate itself: `History`, `Request`,
//! `Feed`, `Handshake`, `Framing`, `Pulse`, `Votes`, `Patience`; played is what the server does
//! around them: sockets (`net`), files (`disk`), a primary's and a replica's side (`primary`,
//! `replica`), whoever runs them (`world`).
//!
//! Named properties (`book` has the judge's own record of what truly is where):
//!
//! - **one name, one sequence**: what two servers have under one name never differs; so a replica
//!   is a prefix of its primary, and nobody goes on with bytes that follow on others;
//! - **no copy without need**: nobody is sent everything who could have gone on where it was;
//! - **a yes is true**: when the reply to a quorum write leaves, so many other disks have had it;
//! - **no acknowledged quorum write is lost**: when a primary is gone and the replica takes over
//!   that has most of its history, every acknowledged write is there that some survivor had;
//! - **rest is reached**: once the network and the disks are well, all soon have the same, by one
//!   copy each at most, and after another cut by none.
//!
//! `RUDDLE_REPLICATION_SEEDS=n` runs so many worlds of each kind, `RUDDLE_REPLICATION_SEED=n` only
//! this one, with a trace of what happened.

mod book;
mod disk;
mod net;
mod node;
mod primary;
mod replica;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::world::{Kind, Score, World};

/// Worlds of each kind in an ordinary run.
const SEEDS: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> (Range<u64>, bool) {
    match number("RUDDLE_REPLICATION_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (
            0..number("RUDDLE_REPLICATION_SEEDS").unwrap_or(SEEDS),
            false,
        ),
    }
}

/// Runs all worlds of a kind. What they have in common must have happened often enough for the
/// properties to mean something.
fn run(kind: Kind) -> (Score, u64) {
    let (seeds, traced) = seeds();
    let count = seeds.end - seeds.start;
    let mut total = Score::default();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(kind, seed, traced).run()));
        match run {
            Ok(score) => total.add(&score),
            Err(panic) => {
                eprintln!("{kind:?}: replay with RUDDLE_REPLICATION_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    println!("{kind:?}: {count} worlds, {total:?}");
    (total, count)
}

/// Anybody may be told anything at any time.
#[test]
fn servers_that_are_told_anything() {
    let (score, worlds) = run(Kind::Anything);
    if worlds >= 100 {
        assert!(score.partial > worlds && score.full > worlds, "{score:?}");
        assert!(score.rewound * 20 > worlds, "{score:?}");
        assert!(
            score.acknowledged > worlds && score.doubtful > worlds,
            "{score:?}"
        );
    }
}

/// One primary, which is replaced when it is gone, and hands its place over when it is told to.
#[test]
fn a_primary_that_is_replaced_when_it_is_gone() {
    let (score, worlds) = run(Kind::Guarded);
    if worlds >= 100 {
        assert!(score.elections > worlds / 2, "{score:?}");
        assert!(score.handed * 4 > worlds, "{score:?}");
        assert!(
            score.acknowledged > worlds && score.partial > worlds,
            "{score:?}"
        );
    }
}
