//! The settings in force, as the workers see them.
//!
//! A worker keeps an `Arc<Settings>` and looks once per round whether a newer one was published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::access::Recency;
use engine::env::{Limits, Packing};
use engine::evict::{Order, Policy, Scope};
use engine::keyspace::Keyspace;
use parking_lot::RwLock;

use crate::config::settings::EvictionPolicy;
pub use crate::config::settings::Settings;

/// What the engine's handlers obey.
pub fn engine_limits(settings: &Settings, keyspace: &Keyspace) -> Limits {
    let recency = match settings.maxmemory_policy {
        EvictionPolicy::AllkeysLfu | EvictionPolicy::VolatileLfu => Recency::Lfu {
            log_factor: settings.lfu_log_factor,
            decay_minutes: settings.lfu_decay_time_minutes,
        },
        _ => Recency::Lru,
    };
    Limits {
        string_bytes_max: settings.proto_max_bulk_len_bytes,
        recency,
        packing: Packing {
            seed: keyspace.seed(),
            ..settings.packing
        },
        dump: rdb::Target {
            reader: settings.snapshot_reader,
            compress: settings.rdbcompression,
        },
        payloads: match settings.skip_checksums {
            true => rdb::payload::Trust::Blind,
            false => rdb::payload::Trust::Sum,
        },
        events: settings.events,
    }
}

/// Which keys `maxmemory-policy` lets go, and in which order; `None` = no key.
pub fn eviction(policy: EvictionPolicy) -> Option<Policy> {
    let (scope, order) = match policy {
        EvictionPolicy::NoEviction => return None,
        EvictionPolicy::AllkeysLru => (Scope::All, Order::LeastRecent),
        EvictionPolicy::AllkeysLfu => (Scope::All, Order::LeastFrequent),
        EvictionPolicy::AllkeysRandom => (Scope::All, Order::Random),
        EvictionPolicy::VolatileLru => (Scope::Volatile, Order::LeastRecent),
        EvictionPolicy::VolatileLfu => (Scope::Volatile, Order::LeastFrequent),
        EvictionPolicy::VolatileRandom => (Scope::Volatile, Order::Random),
        EvictionPolicy::VolatileTtl => (Scope::Volatile, Order::NearestDeadline),
    };
    Some(Policy { scope, order })
}

/// The published settings.
pub struct Published {
    current: RwLock<Arc<Settings>>,
    version: AtomicU64,
}

impl Published {
    /// Publishes the first settings.
    pub fn new(settings: Settings) -> Published {
        Published {
            current: RwLock::new(Arc::new(settings)),
            version: AtomicU64::new(1),
        }
    }

    /// Number of publications so far.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The newest settings.
    pub fn get(&self) -> Arc<Settings> {
        self.current.read().clone()
    }

    /// Replaces the settings.
    pub fn set(&self, settings: Settings) {
        *self.current.write() = Arc::new(settings);
        self.version.fetch_add(1, Ordering::Release);
    }
}
