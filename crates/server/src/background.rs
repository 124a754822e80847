//! The background thread: frees what takes long to free, so that no worker and no lock waits for
//! it.
//!
//! Workers send garbage (flushed tables, long strings, large collections) through a channel and
//! forget it. Until it is freed it counts in `used_memory`, but not against `maxmemory`: see
//! [`Background::pending_bytes`].
//!
//! FLUSHALL SYNC answers once the tables are unlinked, and frees them here like FLUSHALL ASYNC
//! does: what a client can tell of it is that the keys are gone at the reply and `used_memory`
//! falls soon after.

use std::io;
use std::mem::forget;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use engine::entry::Large;
use engine::env::Garbage;

/// What the thread has still to do, for everybody to see.
#[derive(Debug, Default)]
struct Gauges {
    /// Values and keys.
    objects: AtomicU64,
    /// Bytes of the values among them. What a table holds is not known before it is taken apart.
    value_bytes: AtomicU64,
    /// Tables among them.
    tables: AtomicU64,
    /// The process is ending: what is left is left to the operating system.
    ending: AtomicBool,
}

/// What one piece of garbage weighs in the gauges.
#[derive(Clone, Copy)]
struct Weight {
    objects: u64,
    value_bytes: u64,
    tables: u64,
}

/// See the module's head. Dropping it ends the thread.
pub struct Background {
    sender: Option<Sender<Garbage>>,
    thread: Option<JoinHandle<()>>,
    gauges: Arc<Gauges>,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start() -> io::Result<Background> {
        let (sender, receiver) = channel();
        let gauges = Arc::new(Gauges::default());
        let shared = Arc::clone(&gauges);
        let thread = Builder::new()
            .name("background".to_owned())
            .spawn(move || free_all(&receiver, &shared))?;
        Ok(Background {
            sender: Some(sender),
            thread: Some(thread),
            gauges,
        })
    }

    /// Hands garbage over.
    pub fn free(&self, garbage: Vec<Garbage>) {
        for piece in garbage {
            self.gauges.add(weigh(&piece));
            // Invariant: the sender is there until drop. The thread ends only after it; if it
            // could not take the garbage, `send` gives it back and it is freed here.
            if let Some(sender) = &self.sender
                && let Err(refused) = sender.send(piece)
            {
                self.gauges.remove(weigh(&refused.0));
            }
        }
    }

    /// Keys and values not yet freed (`lazyfree_pending_objects`).
    pub fn pending_objects(&self) -> u64 {
        self.gauges.objects.load(Ordering::Relaxed)
    }

    /// Bytes of values not yet freed: allocated still, but as good as gone for eviction.
    #[inline]
    pub fn pending_bytes(&self) -> u64 {
        self.gauges.value_bytes.load(Ordering::Relaxed)
    }

    /// Whether a flushed table is being freed: memory is about to fall by an unknown amount.
    pub fn is_freeing_tables(&self) -> bool {
        self.gauges.tables.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.gauges.ending.store(true, Ordering::Relaxed);
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // The thread only drops values; were it to panic, there would be nothing left to do.
            let _ = thread.join();
        }
    }
}

impl Gauges {
    fn add(&self, weight: Weight) {
        self.objects.fetch_add(weight.objects, Ordering::Relaxed);
        self.value_bytes
            .fetch_add(weight.value_bytes, Ordering::Relaxed);
        self.tables.fetch_add(weight.tables, Ordering::Relaxed);
    }

    fn remove(&self, weight: Weight) {
        self.objects.fetch_sub(weight.objects, Ordering::Relaxed);
        self.value_bytes
            .fetch_sub(weight.value_bytes, Ordering::Relaxed);
        self.tables.fetch_sub(weight.tables, Ordering::Relaxed);
    }
}

fn weigh(piece: &Garbage) -> Weight {
    match piece {
        Garbage::Value(value) => Weight {
            objects: 1,
            value_bytes: match value {
                Large::Text(text) => text.capacity() as u64,
                Large::Object(object) => object.allocated() as u64,
            },
            tables: 0,
        },
        Garbage::Table(table) => Weight {
            objects: table.len() as u64,
            value_bytes: 0,
            tables: 1,
        },
    }
}

fn free_all(receiver: &Receiver<Garbage>, gauges: &Gauges) {
    for piece in receiver {
        let weight = weigh(&piece);
        if gauges.ending.load(Ordering::Relaxed) {
            // Freeing gigabytes one by one would only delay the end of the process.
            forget(piece);
        } else {
            drop(piece);
        }
        gauges.remove(weight);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::yield_now;

    use super::*;

    #[test]
    fn garbage_is_freed_and_gauges_return_to_zero() {
        let background = Background::start().expect("a thread");
        let held = Arc::new(vec![0_u8; 100_000]);
        background.free(vec![Garbage::Value(Large::Text(Arc::clone(&held)))]);
        while background.pending_objects() > 0 {
            yield_now();
        }
        assert_eq!(background.pending_bytes(), 0);
        assert!(!background.is_freeing_tables());
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn ending_does_not_wait_for_what_is_left() {
        let background = Background::start().expect("a thread");
        let pieces = (0..1000).map(|_| Garbage::Value(Large::Text(Arc::new(vec![0_u8; 1000]))));
        background.free(pieces.collect());
        drop(background);
    }
}
