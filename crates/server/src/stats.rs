//! Counters: each worker writes its own, INFO adds them up.
//!
//! A counter has one writer, so it is stored, not added to atomically; readers may see it a batch
//! late.

use std::sync::atomic::{AtomicU64, Ordering};

/// Adds to a counter that only the calling thread writes.
#[inline]
pub fn bump(counter: &AtomicU64, count: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(count),
        Ordering::Relaxed,
    );
}

/// Counters of one command on one worker.
#[derive(Debug, Default)]
pub struct CommandStats {
    /// Times it was run.
    pub calls: AtomicU64,
    /// Time spent in it, in nanoseconds.
    pub nanos: AtomicU64,
    /// Times it was refused before it ran.
    pub rejected: AtomicU64,
    /// Times it answered an error.
    pub failed: AtomicU64,
}

macro_rules! worker_stats {
    ($($name:ident: $doc:literal;)*) => {
        /// Counters of one worker. On cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct WorkerStats {
            $(#[doc = $doc] pub $name: AtomicU64,)*
            /// One per row of the registry.
            pub commands: Vec<CommandStats>,
        }

        /// Sums over all workers.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Totals {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Totals {
            /// Adds one worker's counters.
            pub fn add(&mut self, worker: &WorkerStats) {
                $(self.$name += worker.$name.load(Ordering::Relaxed);)*
            }
        }

        impl WorkerStats {
            /// Sets every counter to zero but the changes, which are no statistics (CONFIG
            /// RESETSTAT).
            pub fn reset(&self) {
                let changes = self.changes.load(Ordering::Relaxed);
                $(self.$name.store(0, Ordering::Relaxed);)*
                self.changes.store(changes, Ordering::Relaxed);
                for command in &self.commands {
                    for counter in
                        [&command.calls, &command.nanos, &command.rejected, &command.failed]
                    {
                        counter.store(0, Ordering::Relaxed);
                    }
                }
            }
        }
    };
}

worker_stats! {
    commands_processed: "Commands run.";
    bytes_in: "Bytes read from clients.";
    bytes_out: "Bytes written to clients.";
    reads: "Reads from sockets that brought something.";
    writes: "Writes to sockets.";
    keyspace_hits: "Reads that found their key.";
    keyspace_misses: "Reads that did not.";
    expired_keys: "Keys deleted because their deadline had passed.";
    expired_fields: "Fields of hashes deleted because their deadline had passed.";
    evicted_keys: "Keys deleted to stay below maxmemory.";
    changes: "Changes to the data set.";
    lazyfreed_objects: "Values freed in the background.";
    expire_cycle_nanos: "Time spent in the active expiry cycle, in nanoseconds.";
    expire_cycle_cuts: "Slices of the expiry cycle that ended for lack of time.";
    expired_stale_ppm: "Overdue keys per million with a deadline: a gauge; divide by workers.";
    rounds: "Rounds of the event loop.";
    round_nanos: "Time spent in them, waiting not counted, in nanoseconds.";
    errors: "Error replies.";
    output_limit_closes: "Clients closed because their replies piled up.";
    evicted_clients: "Clients closed because all together took too much memory.";
    query_limit_closes: "Clients closed because their query grew too large.";
}

impl WorkerStats {
    /// Counters for a registry of `rows` rows.
    pub fn new(rows: usize) -> WorkerStats {
        let commands = (0..rows).map(|_| CommandStats::default()).collect();
        WorkerStats {
            commands,
            ..WorkerStats::default()
        }
    }

    /// Moves the engine's counters here.
    pub fn publish(&self, engine: &engine::env::Stats) {
        for (counter, news) in [
            (&self.keyspace_hits, &engine.keyspace_hits),
            (&self.keyspace_misses, &engine.keyspace_misses),
            (&self.expired_keys, &engine.expired_keys),
            (&self.expired_fields, &engine.expired_fields),
            (&self.evicted_keys, &engine.evicted_keys),
            (&self.changes, &engine.changes),
            (&self.lazyfreed_objects, &engine.lazyfreed_objects),
        ] {
            let news = news.take();
            if news != 0 {
                bump(counter, news);
            }
        }
    }
}
