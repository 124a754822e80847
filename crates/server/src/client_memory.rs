//! `maxmemory-clients`: the memory of all connections together, and which of them go when it is too
//! much.
//!
//! A worker weighs a connection where its round ends, by what CLIENT LIST shows as `tot-mem`, and
//! adds the difference to the sum that the workers share. Weights are sorted into classes, each
//! twice as heavy as the one before, as Redis sorts them: which connection of the heaviest class
//! goes first is no matter. A worker that finds the sum above the limit closes its own heaviest
//! connections, or asks the worker that has the heaviest; nobody looks through all connections.
//!
//! While the limit is off nothing is weighed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8};

use base::units::MemoryLimit;

use parking_lot::Mutex;

use crate::mailbox::{Mailbox, Message, WorkerId};

/// The least limit: with less nobody could speak to the server any more. Bytes.
const LIMIT_BYTES_MIN: u64 = 128 * 1024;
/// Connections lighter than this are in the lowest class. Bytes.
const CLASS_BYTES_MIN: u64 = 32 * 1024;

/// The limit in bytes; `None` = off. A share of no `maxmemory` is no limit.
pub fn limit_bytes(limit: MemoryLimit, maxmemory_bytes: u64) -> Option<u64> {
    let bytes = match limit {
        MemoryLimit::Bytes(bytes) => bytes,
        MemoryLimit::Percent(percent) => (maxmemory_bytes as f64 * percent as f64 / 100.0) as u64,
    };
    let off = match limit {
        MemoryLimit::Bytes(bytes) => bytes == 0,
        MemoryLimit::Percent(percent) => percent == 0 || maxmemory_bytes == 0,
    };
    (!off).then_some(bytes.max(LIMIT_BYTES_MIN))
}

/// The class of a weight, from 1.
fn class_of(bytes: u64) -> u8 {
    (bytes / CLASS_BYTES_MIN).checked_ilog2().unwrap_or(0) as u8 + 1
}

/// What the workers share.
pub struct Burden {
    bytes: AtomicI64,
    /// The heaviest class of each worker; 0 = it has nothing that may go.
    heaviest: Vec<AtomicU8>,
    /// Whether a worker has been asked to close something and has not come to it.
    asked: Vec<AtomicBool>,
    /// Held while a worker decides that a client goes and takes it off the sum: two that did so at
    /// the same time would both make room for the same bytes.
    pub turn: Mutex<()>,
}

impl Burden {
    /// No connection on any of so many workers.
    pub fn new(workers: usize) -> Burden {
        Burden {
            bytes: AtomicI64::new(0),
            heaviest: (0..workers).map(|_| AtomicU8::new(0)).collect(),
            asked: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            turn: Mutex::new(()),
        }
    }
}

/// A connection's part of the sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    bytes: u64,
    /// 0 = it may not go, or is not weighed.
    class: u8,
}

/// What to do about the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// Nothing, or another worker was asked.
    Enough,
    /// Close the connection at this place.
    Close(u32),
}

/// One worker's connections by weight.
pub struct Scales {
    own: WorkerId,
    limit: Option<u64>,
    by_class: BTreeSet<(u8, u32)>,
}

impl Scales {
    /// The scales of a worker without connections, switched off.
    pub fn new(own: WorkerId) -> Scales {
        Scales {
            own,
            limit: None,
            by_class: BTreeSet::new(),
        }
    }

    /// Whether there is a limit.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.limit.is_some()
    }

    /// Changes the limit; whether it was switched on or off, so that every connection has to be
    /// weighed, or taken off.
    pub fn set_limit(&mut self, limit: Option<u64>) -> bool {
        let switched = self.limit.is_some() != limit.is_some();
        self.limit = limit;
        switched
    }

    /// Weighs the connection at `place` anew. `may_go`: it is not protected by NO-EVICT.
    pub fn weigh(
        &mut self,
        place: u32,
        weight: &mut Weight,
        bytes: u64,
        may_go: bool,
        burden: &Burden,
    ) {
        let new = Weight {
            bytes,
            class: if may_go { class_of(bytes) } else { 0 },
        };
        self.change(place, weight, new, burden);
    }

    /// Takes the connection at `place` off.
    pub fn take_off(&mut self, place: u32, weight: &mut Weight, burden: &Burden) {
        self.change(place, weight, Weight::default(), burden);
    }

    fn change(&mut self, place: u32, weight: &mut Weight, new: Weight, burden: &Burden) {
        let old = std::mem::replace(weight, new);
        if new.bytes != old.bytes {
            let more = new.bytes as i64 - old.bytes as i64;
            burden.bytes.fetch_add(more, Relaxed);
        }
        if new.class == old.class {
            return;
        }
        self.by_class.remove(&(old.class, place));
        if new.class > 0 {
            self.by_class.insert((new.class, place));
        }
        let heaviest = self.by_class.last().map_or(0, |&(class, _)| class);
        burden.heaviest[usize::from(self.own.0)].store(heaviest, Relaxed);
    }

    /// What this worker has to do about the sum now.
    pub fn relieve(&self, burden: &Burden, mailboxes: &[Mailbox]) -> Relief {
        let Some(limit) = self.limit else {
            return Relief::Enough;
        };
        if burden.bytes.load(Relaxed) <= limit as i64 {
            return Relief::Enough;
        }
        let classes = burden.heaviest.iter().map(|class| class.load(Relaxed));
        let heaviest = classes.clone().max().unwrap_or(0);
        match self.by_class.last() {
            Some(&(class, place)) if class >= heaviest => return Relief::Close(place),
            _ => {}
        }
        if heaviest > 0
            && let Some(worker) = classes.clone().position(|class| class == heaviest)
            && !burden.asked[worker].swap(true, Relaxed)
        {
            mailboxes[worker].send(Message::Relieve);
        }
        Relief::Enough
    }

    /// This worker looks at the sum because another has asked it to.
    pub fn heed(&self, burden: &Burden) {
        burden.asked[usize::from(self.own.0)].store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bytes_or_a_share_and_never_tiny() {
        use MemoryLimit::{Bytes, Percent};
        assert_eq!(limit_bytes(Bytes(0), 1 << 30), None);
        assert_eq!(limit_bytes(Bytes(1), 0), Some(LIMIT_BYTES_MIN));
        assert_eq!(limit_bytes(Bytes(1 << 20), 0), Some(1 << 20));
        assert_eq!(limit_bytes(Percent(10), 0), None);
        assert_eq!(limit_bytes(Percent(0), 1 << 30), None);
        assert_eq!(limit_bytes(Percent(25), 1 << 30), Some(1 << 28));
    }

    #[test]
    fn the_heaviest_class_goes_first_and_the_protected_never() {
        let burden = Burden::new(1);
        let mut scales = Scales::new(WorkerId(0));
        assert!(scales.set_limit(Some(LIMIT_BYTES_MIN)));
        let mut weights = [Weight::default(); 3];
        let sizes = [(50_000, true), (1 << 20, false), (200_000, true)];
        for (place, (&(bytes, may_go), weight)) in (0..).zip(sizes.iter().zip(&mut weights)) {
            scales.weigh(place, weight, bytes, may_go, &burden);
        }
        assert_eq!(scales.relieve(&burden, &[]), Relief::Close(2));
        scales.take_off(2, &mut weights[2], &burden);
        assert_eq!(scales.relieve(&burden, &[]), Relief::Close(0));
        scales.take_off(0, &mut weights[0], &burden);
        assert_eq!(scales.relieve(&burden, &[]), Relief::Enough);
        scales.take_off(1, &mut weights[1], &burden);
        assert_eq!(burden.bytes.load(Relaxed), 0);
    }

    #[test]
    fn classes_double() {
        let class = |kib: u64| class_of(kib * 1024);
        assert_eq!((class(0), class(31), class(63)), (1, 1, 1));
        assert_eq!((class(64), class(127), class(128)), (2, 2, 3));
        assert!(class_of(u64::MAX) < 64);
    }
}
