//! Scripts that run for long: who tells the others, and who may end them.
//!
//! A script enters itself when its first look at the clock comes (about a millisecond after its
//! start), so that short ones cost nothing. Once it has run for `busy-reply-threshold`, it is
//! busy: other clients are refused, and SCRIPT KILL or FUNCTION KILL may end it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Kind;
use crate::mailbox::WorkerId;

/// A script or function that has been running for a while.
#[derive(Clone, Debug)]
pub struct Long {
    /// What it is.
    pub kind: Kind,
    /// The function's name.
    pub name: Vec<u8>,
    /// The words of the command that runs it.
    pub words: Vec<Vec<u8>>,
    /// When it began, in monotonic nanoseconds.
    pub since: u64,
    /// It has run for longer than the threshold.
    pub busy: bool,
    /// It has written: it cannot be ended.
    pub wrote: bool,
}

#[derive(Default)]
struct Place {
    long: Mutex<Option<Long>>,
    killed: AtomicBool,
}

/// See the module's head.
pub struct Running {
    places: Box<[Place]>,
    busy: AtomicUsize,
}

/// What became of a wish to end a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// It will end.
    Yes,
    /// There is none.
    Idle,
    /// There is one of the other kind.
    Other(Kind),
    /// It has written.
    Wrote,
}

impl Running {
    /// Nothing runs.
    pub fn new(workers: usize) -> Running {
        Running {
            places: (0..workers).map(|_| Place::default()).collect(),
            busy: AtomicUsize::new(0),
        }
    }

    fn place(&self, worker: WorkerId) -> &Place {
        &self.places[usize::from(worker.0)]
    }

    /// Whether other clients are to be refused.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) != 0
    }

    /// Whether this worker's script is the reason.
    pub fn is_busy_at(&self, worker: WorkerId) -> bool {
        let long = self.place(worker).long.lock();
        self.is_busy() && long.as_ref().is_some_and(|long| long.busy)
    }

    /// A script has run long enough to be known of.
    pub fn enter(&self, worker: WorkerId, long: Long) {
        let place = self.place(worker);
        place.killed.store(false, Ordering::Relaxed);
        *place.long.lock() = Some(long);
    }

    /// It has become busy.
    pub fn set_busy(&self, worker: WorkerId) {
        if let Some(long) = &mut *self.place(worker).long.lock()
            && !long.busy
        {
            long.busy = true;
            self.busy.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It has written.
    pub fn set_wrote(&self, worker: WorkerId) {
        if let Some(long) = &mut *self.place(worker).long.lock() {
            long.wrote = true;
        }
    }

    /// It is over.
    pub fn leave(&self, worker: WorkerId) {
        let long = self.place(worker).long.lock().take();
        if long.is_some_and(|long| long.busy) {
            self.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether the script of this worker has been killed.
    pub fn is_killed(&self, worker: WorkerId) -> bool {
        self.place(worker).killed.load(Ordering::Relaxed)
    }

    /// Ends the busy scripts of this kind that may be ended.
    pub fn kill(&self, kind: Kind) -> Killed {
        let mut result = Killed::Idle;
        for place in &self.places {
            let long = place.long.lock();
            let Some(long) = long.as_ref().filter(|long| long.busy) else {
                continue;
            };
            let one = if long.kind != kind {
                Killed::Other(long.kind)
            } else if long.wrote {
                Killed::Wrote
            } else {
                place.killed.store(true, Ordering::Relaxed);
                Killed::Yes
            };
            result = match (result, one) {
                (Killed::Yes, _) | (_, Killed::Yes) => Killed::Yes,
                (Killed::Wrote, _) | (_, Killed::Wrote) => Killed::Wrote,
                (_, one) => one,
            };
        }
        result
    }

    /// The scripts that have been running for a while.
    pub fn all(&self) -> Vec<Long> {
        let places = self.places.iter();
        places
            .filter_map(|place| place.long.lock().clone())
            .collect()
    }

    /// The kind of the script for which clients are refused.
    pub fn busy_kind(&self) -> Option<Kind> {
        let mut long = self.all().into_iter().filter(|long| long.busy);
        long.next().map(|long| long.kind)
    }
}
