//! Where the memory goes: the numbers behind INFO memory, MEMORY STATS and MEMORY DOCTOR.
//!
//! `used` is what the allocator counted (`allocator.rs`); jemalloc's and the kernel's figures are
//! read when somebody asks. Byte counts throughout, ratios as plain factors.

use std::fs;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use base::ids::DbIndex;
use base::time::UnixMillis;
use engine::keyspace::Lease;

use crate::allocator::{self, AllocatorStats, allocator_stats};
use crate::config::settings::EvictionPolicy;
use crate::connection::Connection;
use crate::server::Server;

/// Memory at start and at its peak. The peak is seen ten times a second by each worker, and
/// whenever `used_memory` is read: what came and went in between is missed.
#[derive(Debug, Default)]
pub struct Marks {
    startup: AtomicU64,
    peak: AtomicU64,
    peak_at: AtomicI64,
}

impl Marks {
    /// The server is built and holds no data.
    pub fn start(&self, now: UnixMillis) {
        let used = allocator::used_bytes();
        self.startup.store(used, Ordering::Relaxed);
        self.note(used, now);
    }

    /// So much is in use now.
    pub fn note(&self, used: u64, now: UnixMillis) {
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(used, Ordering::Relaxed);
            self.peak_at.store(now.0, Ordering::Relaxed);
        }
    }

    /// The peak is what is in use now (CONFIG RESETSTAT).
    pub fn reset_peak(&self, now: UnixMillis) {
        self.peak.store(0, Ordering::Relaxed);
        self.note(allocator::used_bytes(), now);
    }
}

/// One database's part.
#[derive(Clone, Copy, Debug)]
pub struct DbMemory {
    /// Which.
    pub db: DbIndex,
    /// Keys, expired ones not yet deleted included.
    pub keys: u64,
    /// Keys with a deadline.
    pub volatile: u64,
    /// Buckets and directories.
    pub table_bytes: u64,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct MemoryInfo {
    /// Allocated and not freed (`used_memory`).
    pub used: u64,
    /// Resident set of the process.
    pub rss: u64,
    /// Largest `used` seen.
    pub peak: u64,
    /// When that was.
    pub peak_at: UnixMillis,
    /// `used` of the empty server.
    pub startup: u64,
    /// What is not data: the empty server, tables, connections.
    pub overhead: u64,
    /// Buffers and state of the connections, part of `overhead`.
    pub clients: u64,
    /// Memory of the connections of replicas.
    pub replicas: u64,
    /// Databases that have keys.
    pub databases: Vec<DbMemory>,
    /// jemalloc's view.
    pub allocator: AllocatorStats,
    /// The machine's memory.
    pub system: u64,
    /// `maxmemory`; 0 = no limit.
    pub limit: u64,
    /// `maxmemory-policy`.
    pub policy: EvictionPolicy,
    /// Keys and values that wait for the background thread.
    pub lazyfree_pending_objects: u64,
}

/// Collects the numbers. Covers one stripe after the other, and none afterwards.
pub fn memory_info(server: &Server, lease: &mut Lease<'_>) -> MemoryInfo {
    let used = allocator::used_bytes();
    server.memory.note(used, server.now());
    let databases = databases(server, lease);
    let (clients, replicas) = clients(server);
    let startup = server.memory.startup.load(Ordering::Relaxed);
    let tables: u64 = databases.iter().map(|db| db.table_bytes).sum();
    let settings = server.settings.get();
    MemoryInfo {
        used,
        rss: rss_bytes(),
        peak: server.memory.peak.load(Ordering::Relaxed),
        peak_at: UnixMillis(server.memory.peak_at.load(Ordering::Relaxed)),
        startup,
        overhead: startup + tables + clients,
        clients,
        replicas,
        databases,
        allocator: allocator_stats(),
        system: system_bytes(),
        limit: settings.maxmemory_bytes,
        policy: settings.maxmemory_policy,
        lazyfree_pending_objects: server.background.pending_objects(),
    }
}

impl MemoryInfo {
    /// What is data: keys, values, deadlines.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    /// Data as a percentage of what came on top of the empty server.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// `used` as a percentage of the peak.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|db| db.keys).sum()
    }

    /// Memory per key beyond the empty server.
    pub fn bytes_per_key(&self) -> u64 {
        self.used
            .saturating_sub(self.startup)
            .checked_div(self.keys())
            .unwrap_or(0)
    }

    /// Pages in use against blocks in use.
    pub fn allocator_fragmentation(&self) -> Spread {
        Spread::of(self.allocator.active, self.allocator.allocated)
    }

    /// Pages that jemalloc holds against pages in use.
    pub fn allocator_rss(&self) -> Spread {
        Spread::of(self.allocator.resident, self.allocator.active)
    }

    /// The process against what jemalloc holds: code, stacks.
    pub fn rss_overhead(&self) -> Spread {
        Spread::of(self.rss, self.allocator.resident)
    }

    /// The process against `used_memory`.
    pub fn fragmentation(&self) -> Spread {
        Spread::of(self.rss, self.used)
    }
}

/// How much larger one amount is than another.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Quotient; 0 when the smaller amount is 0.
    pub ratio: f64,
    /// Difference; negative when the kernel has taken pages away.
    pub bytes: i64,
}

impl Spread {
    fn of(large: u64, small: u64) -> Spread {
        Spread {
            ratio: if small == 0 {
                0.0
            } else {
                large as f64 / small as f64
            },
            bytes: large as i64 - small as i64,
        }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

fn databases(server: &Server, lease: &mut Lease<'_>) -> Vec<DbMemory> {
    let keyspace = &server.keyspace;
    let mut databases: Vec<DbMemory> = (0..keyspace.databases())
        .map(|db| DbMemory {
            db: DbIndex(db),
            keys: 0,
            volatile: 0,
            table_bytes: 0,
        })
        .collect();
    for stripe in keyspace.stripes() {
        let stripe = lease.only(stripe);
        for sum in &mut databases {
            let table = stripe.table(sum.db);
            sum.keys += table.len() as u64;
            sum.volatile += table.volatile() as u64;
            sum.table_bytes += table.overhead_bytes() as u64;
        }
    }
    lease.release();
    databases.retain(|db| db.keys > 0);
    databases
}

/// Of ordinary clients, and of replicas.
fn clients(server: &Server) -> (u64, u64) {
    let fixed = size_of::<Connection>() as u64;
    let cards = server.clients.all();
    let (mut clients, mut replicas) = (0, 0);
    for card in cards {
        let buffers = [&card.query_bytes, &card.query_free_bytes, &card.reply_bytes];
        let buffers: u64 = buffers
            .iter()
            .map(|size| size.load(Ordering::Relaxed))
            .sum();
        let sum = if card.replica.load(Ordering::Relaxed) {
            &mut replicas
        } else {
            &mut clients
        };
        *sum += fixed + buffers;
    }
    (clients, replicas)
}

/// Resident memory of this process; 0 where /proc is missing.
fn rss_bytes() -> u64 {
    kilobytes_in("/proc/self/status", "VmRSS:") * 1024
}

/// Memory of the machine; 0 where /proc is missing.
fn system_bytes() -> u64 {
    kilobytes_in("/proc/meminfo", "MemTotal:") * 1024
}

fn kilobytes_in(file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_our_size() {
        assert!(rss_bytes() > 1 << 20);
        assert!(system_bytes() > rss_bytes());
        assert_eq!(kilobytes_in("/proc/self/status", "NoSuchField:"), 0);
        assert_eq!(kilobytes_in("/no/such/file", "VmRSS:"), 0);
    }

    #[test]
    fn the_peak_only_rises() {
        let marks = Marks::default();
        marks.note(10, UnixMillis(1));
        marks.note(5, UnixMillis(2));
        assert_eq!(marks.peak.load(Ordering::Relaxed), 10);
        assert_eq!(marks.peak_at.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn spreads_and_percentages_survive_zero() {
        assert_eq!(Spread::of(5, 0).ratio, 0.0);
        assert_eq!(Spread::of(4, 8).bytes, -4);
        assert_eq!(percent(1, 0), 0.0);
        assert_eq!(percent(1, 4), 25.0);
    }
}
