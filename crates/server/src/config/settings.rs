//! The configuration as the server reads it: one typed field per supported parameter.
//!
//! Every field is written by the row of the catalogue (`catalogue.rs`) that names it, and by
//! nothing else; a value that reached a field has passed that row's type and bounds. Reading code
//! takes these fields and never a text.

use std::path::PathBuf;

use base::hash::Seed;
use base::units::MemoryLimit;
use engine::env::Packing;
use engine::event::Classes;
use journal::Policy;
use replication::quorum::Demand;

use crate::shutdown::Wish;

/// Declares an enum whose variants have a name in the configuration.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All values, in the order in which an error text lists them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// Their names, in the order of [`Self::ALL`].
            pub const NAMES: &'static [&'static str] = &[$($text,)+];

            /// The name in the configuration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

named! {
    /// How much is logged: lines below the level are dropped.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Connections and other frequent events.
        Verbose = "verbose",
        /// What an operator wants to see in production.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// No line at all.
        Nothing = "nothing",
    }
}

named! {
    /// What goes first when `maxmemory` is reached.
    EvictionPolicy {
        /// Least recently used among the keys with a deadline.
        VolatileLru = "volatile-lru",
        /// Least frequently used among the keys with a deadline.
        VolatileLfu = "volatile-lfu",
        /// Any key with a deadline.
        VolatileRandom = "volatile-random",
        /// The key whose deadline is nearest.
        VolatileTtl = "volatile-ttl",
        /// Least recently used key.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used key.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// Nothing: commands that need memory fail.
        NoEviction = "noeviction",
    }
}

named! {
    /// How a full copy from a primary is loaded.
    DisklessLoad {
        /// From a file that it is received into.
        Disabled = "disabled",
        /// From the socket if there are no keys.
        OnEmptyDb = "on-empty-db",
        /// From the socket, beside the old data, which are served meanwhile and stay if it fails.
        SwapDb = "swapdb",
        /// From the socket, in place of the old data.
        FlushBeforeLoad = "flush-before-load",
    }
}

/// Where a primary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Its address or name.
    pub host: Vec<u8>,
    /// Its port.
    pub port: u16,
}

/// How this server is a replica.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// `replicaof`.
    pub of: Option<Primary>,
    /// `masteruser`.
    pub user: Option<Vec<u8>>,
    /// `masterauth`.
    pub password: Option<Vec<u8>>,
    /// `replica-read-only`.
    pub read_only: bool,
    /// `propagation-error-behavior`: a read-only replica ends when a command of its primary fails.
    pub ends_on_failure: bool,
    /// `replica-serve-stale-data`.
    pub serve_stale: bool,
    /// `replica-ignore-maxmemory`.
    pub ignore_maxmemory: bool,
    /// `replica-priority`.
    pub priority: u32,
    /// `replica-announced`.
    pub announced: bool,
    /// `replica-announce-ip`.
    pub announce_ip: Option<Vec<u8>>,
    /// `replica-announce-port`; 0 = the port it listens on.
    pub announce_port: u16,
    /// `repl-diskless-load`.
    pub diskless_load: DisklessLoad,
}

impl ReplicaSettings {
    fn blank() -> ReplicaSettings {
        ReplicaSettings {
            of: None,
            user: None,
            password: None,
            read_only: true,
            ends_on_failure: false,
            serve_stale: true,
            ignore_maxmemory: true,
            priority: 100,
            announced: true,
            announce_ip: None,
            announce_port: 0,
            diskless_load: DisklessLoad::Disabled,
        }
    }
}

named! {
    /// Who may do a guarded thing (DEBUG, setting protected parameters).
    Permission {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Connections from this machine.
        Local = "local",
    }
}

/// Where the client that asks for something is connected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPlace {
    /// A unix socket or a loopback address.
    Local,
    /// Any other address.
    Remote,
}

impl Permission {
    /// Whether a client connected from `place` may.
    pub fn allows(self, place: ClientPlace) -> bool {
        match self {
            Permission::No => false,
            Permission::Yes => true,
            Permission::Local => place == ClientPlace::Local,
        }
    }
}

/// The address part of one word of `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindHost {
    /// `*`: every IPv4 address of the machine.
    AnyV4,
    /// `::*`: every IPv6 address of the machine.
    AnyV6,
    /// An address or a host name.
    Named(String),
}

/// One word of `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// What to listen on.
    pub host: BindHost,
    /// `false` for a word that began with `-`: the server starts without an address that the
    /// machine does not have.
    pub required: bool,
}

/// The append-only file.
#[derive(Clone, Debug)]
pub struct AofSettings {
    /// `appendonly`.
    pub on: bool,
    /// `appendfsync`.
    pub policy: Policy,
    /// `appenddirname`.
    pub dir_name: PathBuf,
    /// `appendfilename`.
    pub file_name: Vec<u8>,
    /// `aof-load-truncated`.
    pub load_truncated: bool,
    /// `aof-timestamp-enabled`.
    pub timestamps: bool,
    /// `aof-use-rdb-preamble`.
    pub rdb_base: bool,
    /// `aof-disable-auto-gc`.
    pub keep_history: bool,
    /// `aof-rewrite-incremental-fsync`.
    pub incremental_fsync: bool,
    /// `auto-aof-rewrite-percentage`; 0 = never.
    pub rewrite_percent: u64,
    /// `auto-aof-rewrite-min-size`.
    pub rewrite_min_bytes: u64,
}

/// After so many seconds with so many changes, a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last one.
    pub seconds: i64,
    /// Changes since the last one.
    pub changes: u64,
}

/// When a client that does not read its replies is disconnected. Zero switches a limit off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// At once when this much is waiting.
    pub hard_bytes: u64,
    /// After `soft_seconds` without a break above this.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// `client-output-buffer-limit`, per class of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients that are neither of the others.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients subscribed to a channel.
    pub pubsub: OutputLimit,
}

/// What this server is as a primary.
#[derive(Clone, Debug, Default)]
pub struct PrimarySettings {
    /// `repl-backlog-size`.
    pub backlog_bytes: u64,
    /// `repl-backlog-ttl`; 0 = for ever.
    pub backlog_ttl_seconds: i64,
    /// `repl-diskless-sync`.
    pub diskless: bool,
    /// `repl-diskless-sync-delay`.
    pub delay_seconds: i64,
    /// `repl-diskless-sync-max-replicas`; 0 = any number is worth waiting for.
    pub enough_replicas: usize,
    /// `repl-disable-tcp-nodelay`.
    pub disable_nodelay: bool,
    /// `repl-ping-replica-period`.
    pub ping_seconds: i64,
    /// `repl-timeout`.
    pub timeout_seconds: i64,
    /// `min-replicas-to-write`.
    pub replicas_min: u64,
    /// `min-replicas-max-lag`; 0 = the minimum is no condition.
    pub lag_seconds_max: i64,
    /// `shutdown-timeout`.
    pub shutdown_seconds: u64,
    /// `min-replicas-to-ack` and `min-replicas-ack-timeout`.
    pub quorum: Demand,
    /// `min-replicas-to-ack-users`: what it is for these users instead.
    pub quorum_users: Vec<(Vec<u8>, usize)>,
}

impl PrimarySettings {
    /// What the writes of this user's connections need, unless they have said so themselves.
    #[inline]
    pub fn quorum_of(&self, user: &str) -> Demand {
        match self.quorum_users.is_empty() {
            true => self.quorum,
            false => self.quorum_of_one(user),
        }
    }

    fn quorum_of_one(&self, user: &str) -> Demand {
        let mut users = self.quorum_users.iter();
        let found = users.find(|(name, _)| name == user.as_bytes());
        Demand {
            replicas: found.map_or(self.quorum.replicas, |&(_, replicas)| replicas),
            ..self.quorum
        }
    }

    /// Whether somebody's writes wait for replicas.
    pub fn wants_quorum(&self) -> bool {
        let users = self.quorum_users.iter().map(|&(_, replicas)| replicas);
        users.chain([self.quorum.replicas]).any(|count| count > 0)
    }
}

/// Which deletions hand the value to the background thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LazyFree {
    /// Eviction at `maxmemory`.
    pub eviction: bool,
    /// Expiry.
    pub expire: bool,
    /// Values that a command replaces (RENAME, SET over a collection).
    pub server_del: bool,
    /// DEL behaves as UNLINK.
    pub user_del: bool,
    /// FLUSHALL and FLUSHDB without ASYNC or SYNC.
    pub user_flush: bool,
}

/// All parameters that the server reads. See the rows of the same names for their meaning.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "each field is documented by the row of its name in catalogue.rs"
)]
pub struct Settings {
    pub bind: Vec<BindAddress>,
    pub port: u16,
    pub unixsocket: Option<PathBuf>,
    /// Permission bits; `None` leaves them to the process's umask.
    pub unixsocketperm: Option<u32>,
    pub protected_mode: bool,
    pub requirepass: Option<Vec<u8>>,
    pub tcp_backlog: u32,
    /// Zero: no keepalive probes.
    pub tcp_keepalive_seconds: u32,
    /// Zero: idle clients stay.
    pub timeout_seconds: u32,
    pub maxclients: u32,
    /// Zero: one per core; see [`Settings::worker_count`].
    pub workers: usize,
    pub databases: u32,
    pub loglevel: LogLevel,
    /// `None`: standard output.
    pub logfile: Option<PathBuf>,
    pub hide_user_data_from_log: bool,
    pub always_show_logo: bool,
    pub daemonize: bool,
    pub pidfile: Option<PathBuf>,
    pub dir: PathBuf,
    /// Zero: no limit.
    pub maxmemory_bytes: u64,
    pub maxmemory_policy: EvictionPolicy,
    pub maxmemory_samples: u32,
    pub maxmemory_eviction_tenacity: u32,
    /// See `client_memory`.
    pub maxmemory_clients: MemoryLimit,
    /// Zero: no limit.
    pub tracking_table_max_keys: u64,
    pub lfu_log_factor: u32,
    /// Up to where collections stay packed: `*-max-listpack-*` and their like. The seed in it means
    /// nothing here; the keyspace has the true one.
    pub packing: Packing,
    /// `notify-keyspace-events`.
    pub events: Classes,
    pub dbfilename: PathBuf,
    pub save_points: Vec<SavePoint>,
    pub aof: AofSettings,
    /// For whom snapshots and DUMP payloads are written.
    pub snapshot_reader: rdb::Reader,
    pub rdbcompression: bool,
    pub rdbchecksum: bool,
    /// Checksums are not looked at. Only DEBUG sets it.
    pub skip_checksums: bool,
    pub rdb_save_incremental_fsync: bool,
    /// `rdb-del-sync-files`.
    pub rdb_del_sync_files: bool,
    /// Microseconds for each key that is saved; see `saving::pace`.
    pub rdb_key_save_delay: i64,
    /// The same for each key that is loaded.
    pub key_load_delay: i64,
    pub stop_writes_on_bgsave_error: bool,
    pub shutdown_on_sigint: Wish,
    pub shutdown_on_sigterm: Wish,
    pub lfu_decay_time_minutes: u32,
    pub client_output_buffer_limit: OutputLimits,
    pub client_query_buffer_limit_bytes: u64,
    pub proto_max_bulk_len_bytes: u64,
    pub lazyfree: LazyFree,
    pub primary: PrimarySettings,
    pub active_expire_effort: u32,
    pub busy_reply_threshold_millis: u64,
    pub script_undeclared_keys: bool,
    pub enable_debug_command: Permission,
    pub enable_protected_configs: Permission,
    pub replica: ReplicaSettings,
}

impl Settings {
    /// How many workers to start: `workers`, or the number of cores this process may use.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            count => count,
        }
    }

    /// The state before the catalogue's defaults are written into it; no reader ever sees it.
    pub(super) fn blank() -> Self {
        Settings {
            bind: Vec::new(),
            port: 0,
            unixsocket: None,
            unixsocketperm: None,
            protected_mode: true,
            requirepass: None,
            tcp_backlog: 0,
            tcp_keepalive_seconds: 0,
            timeout_seconds: 0,
            maxclients: 0,
            workers: 0,
            databases: 0,
            loglevel: LogLevel::Notice,
            logfile: None,
            hide_user_data_from_log: true,
            always_show_logo: false,
            daemonize: false,
            pidfile: None,
            dir: PathBuf::new(),
            maxmemory_bytes: 0,
            maxmemory_policy: EvictionPolicy::NoEviction,
            maxmemory_samples: 0,
            maxmemory_eviction_tenacity: 0,
            maxmemory_clients: MemoryLimit::Bytes(0),
            tracking_table_max_keys: 0,
            lfu_log_factor: 0,
            packing: Packing::with_seed(Seed::from_u64(0)),
            events: Classes::NONE,
            dbfilename: PathBuf::new(),
            save_points: Vec::new(),
            aof: AofSettings {
                on: false,
                policy: Policy::EverySecond,
                dir_name: PathBuf::new(),
                file_name: Vec::new(),
                load_truncated: true,
                timestamps: false,
                rdb_base: true,
                keep_history: false,
                incremental_fsync: true,
                rewrite_percent: 0,
                rewrite_min_bytes: 0,
            },
            snapshot_reader: rdb::Reader::Common,
            rdbcompression: true,
            rdbchecksum: true,
            skip_checksums: false,
            rdb_save_incremental_fsync: true,
            rdb_del_sync_files: false,
            rdb_key_save_delay: 0,
            key_load_delay: 0,
            stop_writes_on_bgsave_error: true,
            shutdown_on_sigint: Wish::default(),
            shutdown_on_sigterm: Wish::default(),
            lfu_decay_time_minutes: 0,
            client_output_buffer_limit: OutputLimits::default(),
            client_query_buffer_limit_bytes: 0,
            proto_max_bulk_len_bytes: 0,
            lazyfree: LazyFree::default(),
            primary: PrimarySettings::default(),
            active_expire_effort: 0,
            busy_reply_threshold_millis: 0,
            script_undeclared_keys: true,
            enable_debug_command: Permission::No,
            enable_protected_configs: Permission::No,
            replica: ReplicaSettings::blank(),
        }
    }
}
