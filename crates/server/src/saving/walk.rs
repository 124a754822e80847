//! Taking a snapshot of the keyspace beside the commands: one thread walks, another writes; the
//! latter and its helpers leave the processor to those that answer clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base::time::UnixMillis;
use engine::keyspace::{Keyspace, Lease};
use engine::snapshot::Snapshot;
use log::info;
use parking_lot::Mutex;

use super::pace::Pace;
use super::pieces::Pieces;
use crate::allocator;
use crate::priority;

/// What others may see and say while a snapshot is taken.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to end it early.
    pub cancelled: AtomicBool,
    /// Keys there were when it began.
    pub keys: AtomicU64,
    /// Of a thousand parts, how many are done.
    pub permille: AtomicU64,
    /// Its turn has come.
    pub begun: AtomicBool,
    /// How fast keys are written.
    pace: Arc<Pace>,
}

impl Control {
    /// Of a snapshot that is written at this pace.
    pub fn at_pace(pace: &Arc<Pace>) -> Control {
        Control {
            pace: Arc::clone(pace),
            ..Control::default()
        }
    }

    /// Whether keys are to be written slowly.
    pub fn is_slow(&self) -> bool {
        self.pace.is_slow()
    }

    /// A key is written.
    #[inline]
    pub fn key_written(&self) {
        self.pace
            .key(&mut || self.cancelled.load(Ordering::Relaxed));
    }
}

/// A snapshot that is being taken.
#[derive(Clone)]
pub struct Running {
    /// Since when.
    pub since: UnixMillis,
    /// How far it is, and the way to end it.
    pub control: Arc<Control>,
}

/// There is one snapshot at a time, whatever it is for: who takes one has the turn.
#[derive(Debug, Default)]
pub struct Turn(Mutex<()>);

impl Turn {
    /// Does something that nobody who has the turn may see half done, unless somebody has it;
    /// whether it was done.
    pub fn unless_taken(&self, what: impl FnOnce()) -> bool {
        let turn = self.0.try_lock();
        turn.map(|_turn| what()).is_some()
    }
}

/// How often who waits for his turn looks whether he is called off.
const LOOK: Duration = Duration::from_millis(20);
/// The log is told so often how far a snapshot is.
const TELL: Duration = Duration::from_secs(5);

/// It was called off before its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalledOff;

/// Takes a snapshot, once it is its turn. `begin` runs at its very moment, with all stripes leased;
/// `write` gets what it returned, and the pieces, on a thread of its own, and if it returns before
/// the end the rest is given up.
///
/// # Errors
/// It was called off before. Then neither was called.
pub fn take<B: Send, R: Send>(
    keyspace: &Keyspace,
    turn: &Turn,
    control: &Control,
    begin: impl FnOnce(&mut Lease<'_>) -> B,
    write: impl FnOnce(&Pieces, B) -> R + Send,
) -> Result<R, CalledOff> {
    let _turn = loop {
        if control.cancelled.load(Ordering::Relaxed) {
            return Err(CalledOff);
        }
        if let Some(turn) = turn.0.try_lock_for(LOOK) {
            break turn;
        }
    };
    control.begun.store(true, Ordering::Relaxed);
    let pieces = Pieces::beside(allocator::used_bytes());
    let mut lease = keyspace.lease();
    // Invariant: who has had the turn has walked to the end.
    let mut snapshot =
        Snapshot::begin(&mut lease, Box::new(pieces.clone())).expect("one snapshot at a time");
    let begun = begin(&mut lease);
    lease.release();
    let taken = &pieces;
    let result = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            // The walk holds stripes; who encodes and writes does not.
            priority::lower();
            let result = write(taken, begun);
            taken.abandon();
            result
        });
        walk(&mut snapshot, &pieces, &mut lease, control);
        pieces.complete();
        match writer.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    snapshot.end(&mut lease);
    result
}

/// Walks to the end, whoever still wants it: what is of the past must be marked.
fn walk(snapshot: &mut Snapshot, pieces: &Pieces, lease: &mut Lease<'_>, control: &Control) {
    let keyspace = lease.keyspace();
    let mut told = Instant::now();
    loop {
        let wanted = pieces.wait_for_room() && !control.cancelled.load(Ordering::Relaxed);
        if !wanted {
            snapshot.cancel();
        }
        let more = snapshot.step(lease);
        lease.release();
        let permille = (snapshot.progress(keyspace) * 1000.0) as u64;
        control.permille.store(permille, Ordering::Relaxed);
        if told.elapsed() >= TELL && wanted {
            told = Instant::now();
            info!("Snapshot: {} % of the keys passed", permille / 10);
        }
        if !more {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use base::hash::Seed;

    use super::*;

    /// A snapshot that is asked for while another is being taken waits, and is no failure.
    #[test]
    fn snapshots_are_taken_in_turn() {
        let keyspace = Keyspace::new(4, 1, Seed::from_u64(1));
        let (turn, control) = (Turn::default(), Control::default());
        let (begun, first_begun) = channel();
        let (may_end, end) = channel();
        thread::scope(|scope| {
            let (keyspace, turn, control) = (&keyspace, &turn, &control);
            let first = scope.spawn(move || {
                let write = move |_: &Pieces, ()| {
                    begun.send(()).expect("somebody listens");
                    end.recv().expect("somebody speaks");
                };
                take(keyspace, turn, control, |_| (), write)
            });
            first_begun.recv().expect("it begins");
            let called_off = Control::default();
            called_off.cancelled.store(true, Ordering::Relaxed);
            let refused = take(keyspace, turn, &called_off, |_| (), |_, ()| ());
            assert_eq!(refused, Err(CalledOff));
            let second = scope.spawn(|| take(keyspace, turn, control, |_| (), |_, ()| ()));
            may_end.send(()).expect("somebody listens");
            assert_eq!(first.join().expect("no panic"), Ok(()));
            assert_eq!(second.join().expect("no panic"), Ok(()));
        });
    }
}
