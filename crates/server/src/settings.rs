//! What the workers need of the configuration, in the form in which they need it.
//!
//! A worker keeps an `Arc<Settings>` and looks once per batch whether a newer one was published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::access::Recency;
use engine::env::Limits;
use parking_lot::RwLock;

/// Limits of pending replies of one class of clients; 0 = no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputLimit {
    /// Above this many bytes the client is closed at once.
    pub hard_bytes: u64,
    /// Above this many bytes for `soft_seconds` it is closed too.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `requirepass`; empty = none.
    pub password: Vec<u8>,
    /// `maxclients`.
    pub clients_max: u64,
    /// `timeout`: idle seconds after which a client is closed; 0 = never.
    pub idle_seconds_max: u64,
    /// `tcp-keepalive`, in seconds; 0 = off.
    pub keepalive_seconds: u64,
    /// `protected-mode`.
    pub protected: bool,
    /// `proto-max-bulk-len`.
    pub bulk_bytes_max: u64,
    /// `client-query-buffer-limit`.
    pub query_bytes_max: u64,
    /// `client-output-buffer-limit normal`.
    pub output: OutputLimit,
    /// `maxmemory`; 0 = no limit.
    pub memory_bytes_max: u64,
    /// How accesses are remembered, by `maxmemory-policy`.
    pub recency: Recency,
    /// `enable-debug-command`.
    pub debug: DebugAccess,
}

/// Who may use DEBUG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugAccess {
    /// Nobody.
    No,
    /// Clients on this machine.
    Local,
    /// Everybody.
    Yes,
}

impl Settings {
    /// What the engine's handlers obey.
    pub fn engine_limits(&self) -> Limits {
        Limits {
            string_bytes_max: self.bulk_bytes_max,
            recency: self.recency,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            password: Vec::new(),
            clients_max: 10_000,
            idle_seconds_max: 0,
            keepalive_seconds: 300,
            protected: true,
            bulk_bytes_max: 512 << 20,
            query_bytes_max: 1 << 30,
            output: OutputLimit::default(),
            memory_bytes_max: 0,
            recency: Recency::Lru,
            debug: DebugAccess::No,
        }
    }
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
