//! The catalogue of parameters: one row each, and everything there is to know about it.
//!
//! CONFIG GET, SET and REWRITE, the configuration file and the command line all work from these
//! rows; `params.rs` says what their parts mean. To add a parameter: a field in `settings.rs` and a
//! row here. Names, types, bounds and defaults are Redis 8.2.3's, then Valkey 9.1.2's for what only
//! it has; the tests compare them with lists taken from those servers (`tests/data/`). Rows are in
//! alphabetical order.

use journal::Policy;

use super::kinds::{Kind, Overflow, ReadWords, any_text, unread};
use super::params::{Apply, Param, p};
use super::settings::{DisklessLoad, EvictionPolicy, LogLevel, Permission, Settings};
use super::words;

const I32: i64 = i32::MAX as i64;
const I64: i64 = i64::MAX;
const MIB: u64 = 1 << 20;

/// Kinds of rows that only keep their value.
const BOOL: Kind = Kind::Bool(unread);
const TEXT: Kind = Kind::Text(any_text);
const PORT: Kind = int(0, 65535);
const PERMISSION: &[&str] = Permission::NAMES;

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int {
        min,
        max,
        store: unread,
    }
}

const fn uint(min: u64, max: u64) -> Kind {
    Kind::Uint {
        min,
        max,
        store: unread,
    }
}

const fn memory(min: u64, overflow: Overflow) -> Kind {
    Kind::Memory {
        min,
        overflow,
        store: unread,
    }
}

const fn choice(names: &'static [&'static str]) -> Kind {
    Kind::Choice {
        names,
        store: unread,
    }
}

const fn list(read: ReadWords) -> Kind {
    Kind::Words {
        read,
        lines: words::one_line,
    }
}

/// Rows with a destination. The casts are safe: the bounds stand beside them.
const fn int_to(min: i64, max: i64, store: fn(&mut Settings, i64)) -> Kind {
    Kind::Int { min, max, store }
}

const fn count_to(store: fn(&mut Settings, u64)) -> Kind {
    Kind::Uint {
        min: 0,
        max: i64::MAX as u64,
        store,
    }
}

const fn bytes_to(store: fn(&mut Settings, u64)) -> Kind {
    Kind::Memory {
        min: 0,
        overflow: Overflow::Negative,
        store,
    }
}

/// `appendfsync`, in the same order twice.
const FSYNC: &[&str] = &["everysec", "always", "no"];
const FSYNC_POLICIES: &[Policy] = &[Policy::EverySecond, Policy::Always, Policy::No];

// What the notices name.
const ACL: &str = "access control lists";
const CLUSTER: &str = "cluster mode";
const LATENCY: &str = "latency monitoring";
const LOG_FORMATS: &str = "another log format";
const MODULES: &str = "modules";
/// In the order of the names of `snapshot-reader`.
const SNAPSHOT_READERS: [rdb::Reader; 3] = [
    rdb::Reader::Common,
    rdb::Reader::Valkey,
    rdb::Reader::Redis70,
];

const PERSISTENCE: &str = "persistence";
const REPLICATION: &str = "replication";
const SCRIPTS: &str = "functions that were removed from scripts for safety";
const SLOW_LOG: &str = "the slow log";
const SUPERVISION: &str = "reporting to an init system";
const SYSLOG: &str = "syslog";
const TLS: &str = "TLS";

// What happens instead.
const NO_DEFRAG: &str = "values are allocated compactly and never defragmented";
const NO_DEBUG: &str = "the server has no such debugging aid";
const NO_FORK: &str = "the server never forks";
const NO_PINNING: &str = "threads are not pinned; start the server under taskset to restrict it";
const NO_RDMA: &str = "RDMA";
const OWN_TIMERS: &str = "each worker keeps its own timers and adapts them to its load";
const NO_TITLE: &str = "the process keeps its name";
const USE_WORKERS: &str = "every worker does its own reading and writing; see `workers`";

/// All parameters, in alphabetical order.
pub const PARAMS: &[Param] = &[
    p(
        "acl-pubsub-default",
        choice(&["allchannels", "resetchannels"]),
        "resetchannels",
        "Whether a new user may use every channel or none.",
    )
    .ahead(ACL),
    p("aclfile", TEXT, "", "File with the definitions of users.")
        .fixed()
        .refused(ACL),
    p(
        "acllog-max-len",
        int(0, I64),
        "128",
        "How many refused accesses are remembered.",
    )
    .ahead(ACL),
    p(
        "active-defrag-cycle-max",
        int(1, 99),
        "25",
        "Most CPU time for defragmentation, in percent.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-defrag-cycle-min",
        int(1, 99),
        "1",
        "Least CPU time for defragmentation, in percent.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-defrag-cycle-us",
        int(0, 100_000),
        "500",
        "Length of one step of defragmentation, in microseconds.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-defrag-ignore-bytes",
        memory(1, Overflow::Negative),
        "104857600",
        "Fragmentation below this many bytes is ignored.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-defrag-max-scan-fields",
        int(1, I64),
        "1000",
        "Larger collections are defragmented in steps.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-defrag-threshold-lower",
        int(0, 1000),
        "10",
        "Fragmentation at which defragmentation begins, in percent.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-defrag-threshold-upper",
        int(0, 1000),
        "100",
        "Fragmentation at which it works its hardest, in percent.",
    )
    .moot(NO_DEFRAG),
    p(
        "active-expire-effort",
        int_to(1, 10, |s, v| s.active_expire_effort = v as u32),
        "1",
        "How hard the background cycle looks for expired keys.",
    ),
    p(
        "activedefrag",
        BOOL,
        "no",
        "Defragments memory while serving.",
    )
    .moot(NO_DEFRAG),
    p(
        "activerehashing",
        BOOL,
        "yes",
        "Spends idle time on growing tables.",
    )
    .moot("tables grow one segment at a time, within the command that needs the room"),
    p(
        "always-show-logo",
        Kind::Bool(|s, v| s.always_show_logo = v),
        "no",
        "Shows the start-up banner also when the log is not a terminal.",
    )
    .fixed(),
    p(
        "aof-disable-auto-gc",
        Kind::Bool(|s, v| s.aof.keep_history = v),
        "no",
        "Keeps files of the append-only log that are no longer needed.",
    )
    .hidden(),
    p(
        "aof-load-truncated",
        Kind::Bool(|s, v| s.aof.load_truncated = v),
        "yes",
        "Loads an append-only file whose end is missing.",
    ),
    p(
        "aof-rewrite-cpulist",
        TEXT,
        "",
        "Cores for the process that rewrites the append-only file.",
    )
    .alias(&["aof_rewrite_cpulist"])
    .fixed()
    .moot(NO_FORK),
    p(
        "aof-rewrite-incremental-fsync",
        Kind::Bool(|s, v| s.aof.incremental_fsync = v),
        "yes",
        "Syncs the file piece by piece during a rewrite.",
    ),
    p(
        "aof-timestamp-enabled",
        Kind::Bool(|s, v| s.aof.timestamps = v),
        "no",
        "Writes times into the append-only file.",
    )
    .then(Apply::Journal),
    p(
        "aof-use-rdb-preamble",
        Kind::Bool(|s, v| s.aof.rdb_base = v),
        "yes",
        "Begins a rewritten append-only file with a snapshot.",
    ),
    p(
        "appenddirname",
        Kind::Text(words::appenddirname),
        "appendonlydir",
        "Directory of the append-only files.",
    )
    .fixed(),
    p(
        "appendfilename",
        Kind::Text(words::appendfilename),
        "appendonly.aof",
        "First part of the names of the append-only files.",
    )
    .fixed(),
    p(
        "appendfsync",
        Kind::Choice {
            names: FSYNC,
            store: |s, i| s.aof.policy = FSYNC_POLICIES[i],
        },
        "everysec",
        "When the append-only file is forced to disk.",
    )
    .then(Apply::Journal),
    p(
        "appendonly",
        Kind::Bool(|s, v| s.aof.on = v),
        "no",
        "Logs every write to the append-only file.",
    )
    .then(Apply::Journal),
    p(
        "auto-aof-rewrite-min-size",
        Kind::Memory {
            min: 0,
            overflow: Overflow::OutOfRange,
            store: |s, v| s.aof.rewrite_min_bytes = v,
        },
        "67108864",
        "Smaller append-only files are not rewritten by themselves.",
    ),
    p(
        "auto-aof-rewrite-percentage",
        int_to(0, I32, |s, v| s.aof.rewrite_percent = v as u64),
        "100",
        "Growth at which the append-only file is rewritten, in percent.",
    ),
    p(
        "availability-zone",
        TEXT,
        "",
        "Name of the zone this server runs in, for clients to read.",
    )
    .ahead("telling clients the zone"),
    p(
        "bgsave-cpulist",
        TEXT,
        "",
        "Cores for the process that writes snapshots.",
    )
    .alias(&["bgsave_cpulist"])
    .fixed()
    .moot(NO_FORK),
    p(
        "bind",
        list(words::bind),
        "* -::*",
        "Addresses to listen on; one with `-` before it may be missing.",
    )
    .then(Apply::Listeners),
    p(
        "bind-source-addr",
        TEXT,
        "",
        "Address from which connections to other servers are made.",
    )
    .ahead(REPLICATION),
    p("bio-cpulist", TEXT, "", "Cores for the background threads.")
        .alias(&["bio_cpulist"])
        .fixed()
        .moot(NO_PINNING),
    p(
        "busy-reply-threshold",
        int_to(0, I64, |s, v| s.busy_reply_threshold_millis = v as u64),
        "5000",
        "Milliseconds after which other clients are told that a script is running.",
    )
    .alias(&["lua-time-limit"]),
    p(
        "client-output-buffer-limit",
        Kind::Words {
            read: words::output_limits,
            lines: words::output_limit_lines,
        },
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Per class of client: unread replies above these limits end the connection.",
    ),
    p(
        "client-query-buffer-limit",
        Kind::Memory {
            min: MIB,
            overflow: Overflow::Negative,
            store: |s, v| s.client_query_buffer_limit_bytes = v,
        },
        "1073741824",
        "Most bytes of an unfinished request.",
    ),
    p(
        "cluster-allow-pubsubshard-when-down",
        BOOL,
        "yes",
        "Serves sharded channels while the cluster is down.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-allow-reads-when-down",
        BOOL,
        "no",
        "Serves reads while the cluster is down.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-allow-replica-migration",
        BOOL,
        "yes",
        "Lets replicas move to a primary that has none.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-bus-port",
        int(0, 65535),
        "0",
        "Port of the cluster bus as others see it.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-client-ipv4",
        TEXT,
        "",
        "IPv4 address that clients are sent to.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-client-ipv6",
        TEXT,
        "",
        "IPv6 address that clients are sent to.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-client-port",
        int(0, 65535),
        "0",
        "Port that clients are sent to.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-client-tls-port",
        int(0, 65535),
        "0",
        "TLS port that clients are sent to.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-hostname",
        TEXT,
        "",
        "Host name of this node as others see it.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-human-nodename",
        TEXT,
        "",
        "Name of this node for logs.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-ip",
        TEXT,
        "",
        "Address of this node as others see it.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-port",
        int(0, 65535),
        "0",
        "Port of this node as others see it.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-announce-tls-port",
        int(0, 65535),
        "0",
        "TLS port of this node as others see it.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-blacklist-ttl",
        uint(0, i64::MAX as u64),
        "60",
        "Seconds for which a forgotten node stays forgotten.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-compatibility-sample-ratio",
        int(0, 100),
        "0",
        "Share of commands checked for fitness for a cluster, in percent.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-config-file",
        TEXT,
        "nodes.conf",
        "File in which a node keeps its view of the cluster.",
    )
    .fixed()
    .ahead(CLUSTER),
    p(
        "cluster-config-save-behavior",
        choice(&["sync", "best-effort"]),
        "sync",
        "Whether a node may go on when that file cannot be written.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-databases",
        int(1, I32),
        "1",
        "Number of databases in cluster mode.",
    )
    .fixed()
    .ahead(CLUSTER),
    p(
        "cluster-enabled",
        BOOL,
        "no",
        "Runs as a node of a cluster.",
    )
    .fixed()
    .refused(CLUSTER),
    p(
        "cluster-link-sendbuf-limit",
        memory(0, Overflow::Negative),
        "0",
        "Most unsent bytes on a link between nodes.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-manual-failover-timeout",
        int(1, I32),
        "5000",
        "Milliseconds for a failover by hand.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-migration-barrier",
        int(0, I32),
        "1",
        "Replicas a primary keeps before one may move away.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-node-timeout",
        int(0, I64),
        "15000",
        "Milliseconds after which a silent node counts as failing.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-ping-interval",
        int(0, I64),
        "0",
        "Milliseconds between pings of the cluster bus.",
    )
    .hidden()
    .ahead(CLUSTER),
    p("cluster-port", PORT, "0", "Port of the cluster bus.")
        .fixed()
        .ahead(CLUSTER),
    p(
        "cluster-preferred-endpoint-type",
        choice(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        "What redirections name.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-replica-no-failover",
        BOOL,
        "no",
        "Keeps this replica from taking over.",
    )
    .alias(&["cluster-slave-no-failover"])
    .ahead(CLUSTER),
    p(
        "cluster-replica-validity-factor",
        int(0, I32),
        "10",
        "How stale a replica may be and still take over.",
    )
    .alias(&["cluster-slave-validity-factor"])
    .ahead(CLUSTER),
    p(
        "cluster-require-full-coverage",
        BOOL,
        "yes",
        "Stops serving while a slot has no owner.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-slot-migration-log-max-len",
        int(0, I64),
        "1000",
        "How many past slot migrations are remembered.",
    )
    .ahead(CLUSTER),
    p(
        "cluster-slot-stats-enabled",
        BOOL,
        "no",
        "Counts CPU time and traffic per slot.",
    )
    .ahead(CLUSTER),
    p(
        "commandlog-execution-slower-than",
        int(-1, I64),
        "10000",
        "Microseconds from which a command is logged as slow.",
    )
    .ahead(SLOW_LOG),
    p(
        "commandlog-large-reply-max-len",
        int(0, I64),
        "128",
        "How many large replies are remembered.",
    )
    .ahead(SLOW_LOG),
    p(
        "commandlog-large-request-max-len",
        int(0, I64),
        "128",
        "How many large requests are remembered.",
    )
    .ahead(SLOW_LOG),
    p(
        "commandlog-reply-larger-than",
        int(-1, I64),
        "1048576",
        "Bytes from which a reply is logged as large.",
    )
    .ahead(SLOW_LOG),
    p(
        "commandlog-request-larger-than",
        int(-1, I64),
        "1048576",
        "Bytes from which a request is logged as large.",
    )
    .ahead(SLOW_LOG),
    p(
        "commandlog-slow-execution-max-len",
        int(0, I64),
        "128",
        "How many slow commands are remembered.",
    )
    .ahead(SLOW_LOG),
    p(
        "crash-log-enabled",
        BOOL,
        "yes",
        "Writes a report when the server crashes.",
    )
    .moot("a panic is always reported"),
    p(
        "crash-memcheck-enabled",
        BOOL,
        "yes",
        "Tests the memory after a crash.",
    )
    .moot("memory is not tested after a crash"),
    p(
        "daemonize",
        Kind::Bool(|s, v| s.daemonize = v),
        "no",
        "Runs in the background.",
    )
    .fixed(),
    p(
        "databases",
        int_to(1, I32, |s, v| s.databases = v as u32),
        "16",
        "Number of databases.",
    )
    .fixed(),
    p(
        "dbfilename",
        Kind::Text(words::dbfilename),
        "dump.rdb",
        "Name of the snapshot file.",
    )
    .protected(),
    p("debug-context", TEXT, "", "A note for crash reports.")
        .hidden()
        .moot(NO_DEBUG),
    p("dir", Kind::Text(words::dir), ".", "Working directory.")
        .protected()
        .then(Apply::WorkingDirectory)
        .always_written(),
    p(
        "disable-thp",
        BOOL,
        "yes",
        "Switches transparent huge pages off for the process.",
    )
    .fixed()
    .moot("huge pages are left as the system has them; without forks they do no harm"),
    p(
        "dual-channel-replication-enabled",
        BOOL,
        "no",
        "Sends a full copy to a replica beside the stream of changes.",
    )
    .ahead(REPLICATION),
    p(
        "dynamic-hz",
        BOOL,
        "yes",
        "Adapts `hz` to the number of clients.",
    )
    .moot(OWN_TIMERS),
    p(
        "enable-debug-assert",
        BOOL,
        "no",
        "Switches expensive checks on.",
    )
    .fixed()
    .hidden()
    .moot("debug builds check their invariants, release builds do not"),
    p(
        "enable-debug-command",
        Kind::Choice {
            names: PERMISSION,
            store: |s, i| s.enable_debug_command = Permission::ALL[i],
        },
        "no",
        "Who may use DEBUG.",
    )
    .fixed(),
    p(
        "enable-module-command",
        choice(PERMISSION),
        "no",
        "Who may use MODULE.",
    )
    .fixed()
    .ahead(MODULES),
    p(
        "enable-protected-configs",
        Kind::Choice {
            names: PERMISSION,
            store: |s, i| s.enable_protected_configs = Permission::ALL[i],
        },
        "no",
        "Who may set protected parameters.",
    )
    .fixed(),
    p(
        "events-per-io-thread",
        int(0, I32),
        "2",
        "Events that justify one more thread.",
    )
    .hidden()
    .moot(USE_WORKERS),
    p(
        "extended-redis-compatibility",
        BOOL,
        "no",
        "Presents the server as Redis.",
    )
    .moot("clients always see a Redis"),
    p(
        "hash-max-listpack-entries",
        count_to(|s, v| s.packing.hash_entries_max = v as usize),
        "512",
        "Hashes up to this many fields are packed.",
    )
    .alias(&["hash-max-ziplist-entries"]),
    p(
        "hash-max-listpack-value",
        bytes_to(|s, v| s.packing.hash_value_max = v as usize),
        "64",
        "Hashes with fields up to this length are packed.",
    )
    .alias(&["hash-max-ziplist-value"]),
    p(
        "hash-seed",
        TEXT,
        "",
        "Seed of the hash function, for equal SCAN orders on several servers.",
    )
    .fixed()
    .moot("hash tables are seeded at random, which protects them from chosen keys"),
    p(
        "hide-user-data-from-log",
        Kind::Bool(|s, v| s.hide_user_data_from_log = v),
        "no",
        "Keeps keys and values out of the log.",
    ),
    p(
        "hll-sparse-max-bytes",
        bytes_to(|s, v| s.packing.hll_sparse_bytes_max = v as usize),
        "3000",
        "Largest sparse HyperLogLog.",
    ),
    p("hz", int(0, I32), "10", "Frequency of background work.").moot(OWN_TIMERS),
    p(
        "ignore-warnings",
        TEXT,
        "",
        "Start-up checks whose failure is ignored.",
    )
    .moot("there is no such check"),
    p(
        "import-mode",
        BOOL,
        "no",
        "Leaves expiry and eviction to the source of an import.",
    )
    .refused("importing"),
    p(
        "io-threads",
        int(1, 128),
        "1",
        "Threads that read and write for the main thread.",
    )
    .fixed()
    .moot(USE_WORKERS),
    p(
        "jemalloc-bg-thread",
        BOOL,
        "yes",
        "Lets the allocator return memory from a thread of its own.",
    )
    .moot("the allocator's own defaults apply"),
    p(
        "key-load-delay",
        int_to(i32::MIN as i64, I32, |s, v| s.key_load_delay = v),
        "0",
        "Slows loading down, for tests.",
    )
    .hidden()
    .then(Apply::Paces),
    p(
        "latency-monitor-threshold",
        int(0, I64),
        "0",
        "Milliseconds from which an event is recorded as slow.",
    )
    .ahead(LATENCY),
    p(
        "latency-tracking",
        BOOL,
        "yes",
        "Keeps a histogram of latencies per command.",
    )
    .ahead(LATENCY),
    p(
        "latency-tracking-info-percentiles",
        list(words::percentiles),
        "50 99 99.9",
        "Percentiles that INFO shows.",
    )
    .ahead(LATENCY),
    p(
        "lazyfree-lazy-eviction",
        Kind::Bool(|s, v| s.lazyfree.eviction = v),
        "no",
        "Frees evicted values in the background.",
    ),
    p(
        "lazyfree-lazy-expire",
        Kind::Bool(|s, v| s.lazyfree.expire = v),
        "no",
        "Frees expired values in the background.",
    ),
    p(
        "lazyfree-lazy-server-del",
        Kind::Bool(|s, v| s.lazyfree.server_del = v),
        "no",
        "Frees replaced values in the background.",
    ),
    p(
        "lazyfree-lazy-user-del",
        Kind::Bool(|s, v| s.lazyfree.user_del = v),
        "no",
        "Makes DEL behave as UNLINK.",
    ),
    p(
        "lazyfree-lazy-user-flush",
        Kind::Bool(|s, v| s.lazyfree.user_flush = v),
        "no",
        "Makes FLUSHALL and FLUSHDB asynchronous unless told otherwise.",
    ),
    p(
        "lfu-decay-time",
        int_to(0, I32, |s, v| s.lfu_decay_time_minutes = v as u32),
        "1",
        "Minutes after which a use counts less.",
    ),
    p(
        "lfu-log-factor",
        int_to(0, I32, |s, v| s.lfu_log_factor = v as u32),
        "10",
        "How many uses it takes to saturate the counter.",
    ),
    p(
        "list-compress-depth",
        int_to(0, I32, |s, v| s.packing.list_compress_depth = v as u32),
        "0",
        "Nodes at each end of a list that are not compressed.",
    ),
    p(
        "list-max-listpack-size",
        int_to(i32::MIN as i64, I32, |s, v| {
            s.packing.list_node_max = v as i32
        }),
        "-2",
        "Size of a node of a list.",
    )
    .alias(&["list-max-ziplist-size"]),
    p(
        "loading-process-events-interval-bytes",
        int(1024, I32),
        "524288",
        "Bytes loaded between two looks at the clients.",
    )
    .hidden()
    .ahead(PERSISTENCE),
    p(
        "locale-collate",
        Kind::Text(words::byte_order_locale),
        "",
        "Locale by which texts are ordered; only byte order is supported.",
    ),
    p(
        "log-format",
        choice(&["legacy", "logfmt", "json"]),
        "legacy",
        "Shape of a line of the log.",
    )
    .refused(LOG_FORMATS),
    p(
        "log-timestamp-format",
        choice(&["legacy", "iso8601", "milliseconds"]),
        "legacy",
        "Shape of the time in the log.",
    )
    .refused(LOG_FORMATS),
    p(
        "logfile",
        Kind::Text(|s, v| {
            s.logfile = words::non_empty(v).map(words::path_of);
            Ok(v.to_vec())
        }),
        "",
        "File to log to; none means standard output.",
    )
    .fixed(),
    p(
        "loglevel",
        Kind::Choice {
            names: LogLevel::NAMES,
            store: |s, i| s.loglevel = LogLevel::ALL[i],
        },
        "notice",
        "Least important lines to log.",
    )
    .then(Apply::LogLevel),
    p(
        "lua-enable-deprecated-api",
        BOOL,
        "no",
        "Gives scripts functions that were removed for safety.",
    )
    .fixed()
    .hidden()
    .ahead(SCRIPTS),
    p(
        "lua-enable-insecure-api",
        BOOL,
        "no",
        "The same under Valkey's name.",
    )
    .protected()
    .hidden()
    .ahead(SCRIPTS),
    p(
        "masterauth",
        Kind::Text(|s, v| {
            s.replica.password = words::non_empty(v).map(<[u8]>::to_vec);
            Ok(v.to_vec())
        }),
        "",
        "Password for the primary.",
    )
    .alias(&["primaryauth"])
    .secret(),
    p(
        "masteruser",
        Kind::Text(|s, v| {
            s.replica.user = words::non_empty(v).map(<[u8]>::to_vec);
            Ok(v.to_vec())
        }),
        "",
        "User name for the primary.",
    )
    .alias(&["primaryuser"])
    .secret(),
    p(
        "max-new-connections-per-cycle",
        uint(1, 1000),
        "10",
        "Connections accepted in one go.",
    )
    .moot("an acceptor takes what is waiting and hands it out evenly"),
    p(
        "max-new-tls-connections-per-cycle",
        uint(1, 1000),
        "1",
        "TLS connections accepted in one go.",
    )
    .ahead(TLS),
    p(
        "maxclients",
        Kind::Uint {
            min: 1,
            max: u32::MAX as u64,
            store: |s, v| s.maxclients = v as u32,
        },
        "10000",
        "Most connections at a time.",
    )
    .then(Apply::MaxClients),
    p(
        "maxmemory",
        Kind::Memory {
            min: 0,
            overflow: Overflow::Negative,
            store: |s, v| s.maxmemory_bytes = v,
        },
        "0",
        "Most memory for data, in bytes; 0 means no limit.",
    )
    .then(Apply::MaxMemory),
    p(
        "maxmemory-clients",
        Kind::MemoryOrPercent(|s, v| s.maxmemory_clients = v),
        "0",
        "Most memory for all connections together.",
    ),
    p(
        "maxmemory-eviction-tenacity",
        int_to(0, 100, |s, v| s.maxmemory_eviction_tenacity = v as u32),
        "10",
        "How long a command may be kept waiting for eviction: 0 least, 100 without limit.",
    ),
    p(
        "maxmemory-policy",
        Kind::Choice {
            names: EvictionPolicy::NAMES,
            store: |s, i| s.maxmemory_policy = EvictionPolicy::ALL[i],
        },
        "noeviction",
        "What goes first when `maxmemory` is reached.",
    )
    .then(Apply::MaxMemory),
    p(
        "maxmemory-samples",
        int_to(1, 64, |s, v| s.maxmemory_samples = v as u32),
        "5",
        "Keys compared to find one to evict.",
    ),
    p(
        "min-replicas-ack-timeout",
        int_to(0, I64, |s, v| s.primary.quorum.patience_millis = v),
        "5000",
        "Milliseconds until the reply to a write says that it is in doubt; 0: it waits on.",
    ),
    p(
        "min-replicas-max-lag",
        int_to(0, I32, |s, v| s.primary.lag_seconds_max = v),
        "10",
        "Seconds after which a replica counts as lagging.",
    )
    .alias(&["min-slaves-max-lag"]),
    p(
        "min-replicas-to-ack",
        int_to(0, I32, |s, v| s.primary.quorum.replicas = v as usize),
        "0",
        "Replicas that must have a write on disk before its reply leaves.",
    ),
    p(
        "min-replicas-to-ack-users",
        list(words::quorum_users),
        "",
        "The same for some users: their names, each with its number.",
    ),
    p(
        "min-replicas-to-write",
        int_to(0, I32, |s, v| s.primary.replicas_min = v as u64),
        "0",
        "Replicas without which writes are refused.",
    )
    .alias(&["min-slaves-to-write"]),
    p("mptcp", BOOL, "no", "Listens with multipath TCP.")
        .fixed()
        .moot("plain TCP is used"),
    p(
        "no-appendfsync-on-rewrite",
        BOOL,
        "no",
        "Does not sync the append-only file during a rewrite.",
    )
    .moot(NO_FORK),
    p(
        "notify-keyspace-events",
        Kind::Text(words::event_letters),
        "",
        "Which keyspace events are published.",
    ),
    p(
        "oom-score-adj",
        choice(&["no", "yes", "relative", "absolute"]),
        "no",
        "Sets the process's standing with the kernel's OOM killer.",
    )
    .moot("the score is left alone: there are no child processes to sacrifice first"),
    p(
        "oom-score-adj-values",
        list(words::oom_values),
        "0 200 800",
        "The values for `oom-score-adj`.",
    )
    .moot("the score is left alone"),
    p(
        "pidfile",
        Kind::Text(|s, v| {
            s.pidfile = words::non_empty(v).map(words::path_of);
            Ok(v.to_vec())
        }),
        "",
        "File that holds the process id while the server runs.",
    )
    .fixed(),
    p(
        "port",
        int_to(0, 65535, |s, v| s.port = v as u16),
        "6379",
        "TCP port; 0 means none.",
    )
    .then(Apply::Listeners),
    p(
        "prefetch-batch-max-size",
        int(0, 128),
        "16",
        "Commands whose keys are prefetched together.",
    )
    .moot("a batch is what one read brought"),
    p(
        "proc-title-template",
        Kind::Text(words::title_template),
        "{title} {listen-addr} {server-mode}",
        "What process listings show.",
    )
    .moot(NO_TITLE),
    p(
        "propagation-error-behavior",
        Kind::Choice {
            names: &["ignore", "panic", "panic-on-replicas"],
            store: |s, i| s.replica.ends_on_failure = i > 0,
        },
        "ignore",
        "What a replica does when a replicated command fails: it says so in the log, or it ends.",
    ),
    p(
        "protected-mode",
        Kind::Bool(|s, v| s.protected_mode = v),
        "yes",
        "Without a password, serves this machine only.",
    ),
    p(
        "proto-max-bulk-len",
        Kind::Memory {
            min: MIB,
            overflow: Overflow::OutOfRange,
            store: |s, v| s.proto_max_bulk_len_bytes = v,
        },
        "536870912",
        "Longest argument of a command, in bytes.",
    ),
    p(
        "rdb-del-sync-files",
        Kind::Bool(|s, v| s.rdb_del_sync_files = v),
        "no",
        "Without save points and append-only file, keeps no copy of a primary as a file.",
    ),
    p(
        "rdb-key-save-delay",
        int_to(i32::MIN as i64, I32, |s, v| s.rdb_key_save_delay = v),
        "0",
        "Slows saving down, for tests.",
    )
    .hidden()
    .then(Apply::Paces),
    p(
        "rdb-save-incremental-fsync",
        Kind::Bool(|s, v| s.rdb_save_incremental_fsync = v),
        "yes",
        "Syncs a snapshot piece by piece.",
    ),
    p(
        "rdb-version-check",
        choice(&["strict", "relaxed"]),
        "strict",
        "Whether snapshots of unknown versions are tried.",
    )
    .ahead(PERSISTENCE),
    p(
        "rdbchecksum",
        Kind::Bool(|s, v| s.rdbchecksum = v),
        "yes",
        "Ends snapshots with a checksum.",
    )
    .fixed(),
    p(
        "rdbcompression",
        Kind::Bool(|s, v| s.rdbcompression = v),
        "yes",
        "Compresses texts in snapshots.",
    ),
    p(
        "rdma-bind",
        list(words::any_words),
        "",
        "Addresses for RDMA.",
    )
    .refused(NO_RDMA),
    p(
        "rdma-completion-vector",
        int(-1, 1024),
        "-1",
        "Completion vector for RDMA.",
    )
    .fixed()
    .ahead(NO_RDMA),
    p("rdma-port", PORT, "0", "Port for RDMA.").refused(NO_RDMA),
    p(
        "rdma-rx-size",
        int(65536, 16_777_216),
        "1048576",
        "Receive buffer for RDMA, in bytes.",
    )
    .fixed()
    .ahead(NO_RDMA),
    p(
        "repl-backlog-size",
        Kind::Memory {
            min: 1,
            overflow: Overflow::OutOfRange,
            store: |s, v| s.primary.backlog_bytes = v,
        },
        "1048576",
        "Bytes of the stream kept for replicas that come back.",
    )
    .then(Apply::Backlog),
    p(
        "repl-backlog-ttl",
        int_to(0, I64, |s, v| s.primary.backlog_ttl_seconds = v),
        "3600",
        "Seconds without replicas after which they are given up.",
    ),
    p(
        "repl-disable-tcp-nodelay",
        Kind::Bool(|s, v| s.primary.disable_nodelay = v),
        "no",
        "Saves packets to replicas at the price of delay.",
    ),
    p(
        "repl-diskless-load",
        Kind::Choice {
            names: DisklessLoad::NAMES,
            store: |s, v| s.replica.diskless_load = DisklessLoad::ALL[v],
        },
        "disabled",
        "Whether a replica loads a full copy from the socket.",
    ),
    p(
        "repl-diskless-sync",
        Kind::Bool(|s, v| s.primary.diskless = v),
        "yes",
        "Sends a full copy without a file.",
    ),
    p(
        "repl-diskless-sync-delay",
        int_to(0, I32, |s, v| s.primary.delay_seconds = v),
        "5",
        "Seconds to wait for more replicas before a full copy.",
    ),
    p(
        "repl-diskless-sync-max-replicas",
        int_to(0, I32, |s, v| s.primary.enough_replicas = v as usize),
        "0",
        "Replicas that are enough not to wait.",
    ),
    p("repl-mptcp", BOOL, "no", "Replicates over multipath TCP.")
        .fixed()
        .ahead(REPLICATION),
    p(
        "repl-ping-replica-period",
        int_to(1, I32, |s, v| s.primary.ping_seconds = v),
        "10",
        "Seconds between pings to replicas.",
    )
    .alias(&["repl-ping-slave-period"]),
    p(
        "repl-rdb-channel",
        BOOL,
        "yes",
        "Sends a full copy over a connection of its own.",
    )
    .hidden()
    .ahead(REPLICATION),
    p(
        "repl-timeout",
        int_to(1, I32, |s, v| s.primary.timeout_seconds = v),
        "60",
        "Seconds of silence that end a replication link.",
    ),
    p(
        "replica-announce-ip",
        Kind::Text(|s, v| {
            s.replica.announce_ip = words::non_empty(v).map(<[u8]>::to_vec);
            Ok(v.to_vec())
        }),
        "",
        "Address of this replica as others see it.",
    )
    .alias(&["slave-announce-ip"]),
    p(
        "replica-announce-port",
        int_to(0, 65535, |s, v| s.replica.announce_port = v as u16),
        "0",
        "Port of this replica as others see it.",
    )
    .alias(&["slave-announce-port"]),
    p(
        "replica-announced",
        Kind::Bool(|s, v| s.replica.announced = v),
        "yes",
        "Whether Sentinel shows this replica.",
    ),
    p(
        "replica-full-sync-buffer-limit",
        memory(0, Overflow::OutOfRange),
        "0",
        "Bytes a replica buffers while it loads.",
    )
    .ahead(REPLICATION),
    p(
        "replica-ignore-disk-write-errors",
        BOOL,
        "no",
        "Whether a replica goes on when its disk is full.",
    )
    .ahead(REPLICATION),
    p(
        "replica-ignore-maxmemory",
        Kind::Bool(|s, v| s.replica.ignore_maxmemory = v),
        "yes",
        "Leaves eviction to the primary.",
    )
    .alias(&["slave-ignore-maxmemory"]),
    p(
        "replica-lazy-flush",
        BOOL,
        "no",
        "Empties a replica in the background before a full copy.",
    )
    .alias(&["slave-lazy-flush"])
    .moot("what a full copy replaces is always freed in the background"),
    p(
        "replica-priority",
        int_to(0, I32, |s, v| s.replica.priority = v as u32),
        "100",
        "Sentinel promotes the lowest first, and 0 never.",
    )
    .alias(&["slave-priority"]),
    p(
        "replica-read-only",
        Kind::Bool(|s, v| s.replica.read_only = v),
        "yes",
        "Refuses writes on a replica.",
    )
    .alias(&["slave-read-only"]),
    p(
        "replica-serve-stale-data",
        Kind::Bool(|s, v| s.replica.serve_stale = v),
        "yes",
        "Serves reads while the primary is out of reach.",
    )
    .alias(&["slave-serve-stale-data"]),
    p(
        "replicaof",
        list(words::replicaof),
        "",
        "The primary to replicate.",
    )
    .alias(&["slaveof"])
    .fixed(),
    p(
        "requirepass",
        Kind::Text(|s, v| {
            s.requirepass = words::non_empty(v).map(<[u8]>::to_vec);
            Ok(v.to_vec())
        }),
        "",
        "Password of the default user.",
    )
    .secret()
    .then(Apply::Password),
    p(
        "sanitize-dump-payload",
        choice(&["no", "yes", "clients"]),
        "no",
        "How carefully RESTORE checks what it is given.",
    )
    .moot("every payload and file is checked completely"),
    p(
        "save",
        Kind::Words {
            read: words::save,
            lines: words::save_lines,
        },
        "3600 1 300 100 60 10000",
        "After how many seconds and changes a snapshot is written.",
    )
    .always_written()
    .adds_up(),
    p(
        "script-undeclared-keys",
        Kind::Bool(|s, v| s.script_undeclared_keys = v),
        "yes",
        "Whether scripts may touch keys that were not named when they were called.",
    ),
    p(
        "server-cpulist",
        TEXT,
        "",
        "Cores for the threads that serve clients.",
    )
    .alias(&["server_cpulist"])
    .fixed()
    .moot(NO_PINNING),
    p(
        "set-max-intset-entries",
        count_to(|s, v| s.packing.set_ints_max = v as usize),
        "512",
        "Sets of integers up to this size are packed.",
    ),
    p(
        "set-max-listpack-entries",
        count_to(|s, v| s.packing.set_entries_max = v as usize),
        "128",
        "Sets up to this many members are packed.",
    ),
    p(
        "set-max-listpack-value",
        count_to(|s, v| s.packing.set_value_max = v as usize),
        "64",
        "Sets with members up to this length are packed.",
    ),
    p(
        "set-proc-title",
        BOOL,
        "yes",
        "Shows addresses and mode in process listings.",
    )
    .fixed()
    .moot(NO_TITLE),
    p(
        "shutdown-on-sigint",
        list(words::on_sigint),
        "default",
        "Options of the shutdown that SIGINT starts.",
    ),
    p(
        "shutdown-on-sigterm",
        list(words::on_sigterm),
        "default",
        "Options of the shutdown that SIGTERM starts.",
    ),
    p(
        "shutdown-timeout",
        int_to(0, I32, |s, v| s.primary.shutdown_seconds = v as u64),
        "10",
        "Seconds that a shutdown waits for replicas.",
    ),
    p(
        "slot-migration-max-failover-repl-bytes",
        memory(0, Overflow::OutOfRange),
        "0",
        "Bytes outstanding at which a slot migration may finish.",
    )
    .ahead(CLUSTER),
    p(
        "slowlog-log-slower-than",
        int(-1, I64),
        "10000",
        "Microseconds from which a command is logged as slow.",
    )
    .ahead(SLOW_LOG),
    p(
        "slowlog-max-len",
        int(0, I64),
        "128",
        "How many slow commands are remembered.",
    )
    .ahead(SLOW_LOG),
    p(
        "snapshot-reader",
        Kind::Choice {
            names: &["common", "valkey", "redis-7.0"],
            store: |s, i| s.snapshot_reader = SNAPSHOT_READERS[i],
        },
        "common",
        "For whom snapshots and DUMP payloads are written: common means Redis 7.2, Valkey 7.2 and \
         later ones, with what these cannot read as Redis writes it; valkey the same, but as \
         Valkey writes it; redis-7.0 is for that version.",
    ),
    p(
        "socket-mark-id",
        uint(0, u32::MAX as u64),
        "0",
        "Mark on all packets, for firewalls.",
    )
    .fixed()
    .refused("marking packets"),
    p(
        "stop-writes-on-bgsave-error",
        Kind::Bool(|s, v| s.stop_writes_on_bgsave_error = v),
        "yes",
        "Refuses writes after a snapshot has failed.",
    ),
    p(
        "stream-node-max-bytes",
        bytes_to(|s, v| s.packing.stream_node_bytes_max = v as usize),
        "4096",
        "Size of a node of a stream.",
    ),
    p(
        "stream-node-max-entries",
        int_to(0, I64, |s, v| {
            s.packing.stream_node_entries_max = v as usize
        }),
        "100",
        "Entries of a node of a stream.",
    ),
    p(
        "supervised",
        choice(&["upstart", "systemd", "auto", "no"]),
        "no",
        "The init system to report readiness to.",
    )
    .fixed()
    .refused(SUPERVISION),
    p("syslog-enabled", BOOL, "no", "Logs to syslog too.")
        .fixed()
        .refused(SYSLOG),
    p(
        "syslog-facility",
        choice(&[
            "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
        ]),
        "local0",
        "Facility for syslog.",
    )
    .fixed()
    .ahead(SYSLOG),
    p("syslog-ident", TEXT, "redis", "Name in syslog.")
        .fixed()
        .ahead(SYSLOG),
    p(
        "tcp-backlog",
        int_to(0, I32, |s, v| s.tcp_backlog = v as u32),
        "511",
        "Connections that may wait to be accepted.",
    )
    .fixed(),
    p(
        "tcp-keepalive",
        int_to(0, I32, |s, v| s.tcp_keepalive_seconds = v as u32),
        "300",
        "Seconds of silence before a peer is probed; 0 means never.",
    ),
    p(
        "timeout",
        int_to(0, I32, |s, v| s.timeout_seconds = v as u32),
        "0",
        "Seconds after which an idle client is disconnected; 0 means never.",
    ),
    p(
        "tls-auth-clients",
        choice(&["no", "yes", "optional"]),
        "yes",
        "Whether clients must show a certificate.",
    )
    .ahead(TLS),
    p(
        "tls-auth-clients-user",
        choice(&["CN", "URI", "off"]),
        "off",
        "Which field of a certificate names the user.",
    )
    .ahead(TLS),
    p(
        "tls-auto-reload-interval",
        int(0, I32),
        "0",
        "Seconds between looks for new certificates.",
    )
    .ahead(TLS),
    p(
        "tls-ca-cert-dir",
        TEXT,
        "",
        "Directory of trusted certificates.",
    )
    .ahead(TLS),
    p(
        "tls-ca-cert-file",
        TEXT,
        "",
        "File of trusted certificates.",
    )
    .ahead(TLS),
    p("tls-cert-file", TEXT, "", "The server's certificate.").ahead(TLS),
    p("tls-ciphers", TEXT, "", "Ciphers for TLS 1.2.").ahead(TLS),
    p("tls-ciphersuites", TEXT, "", "Ciphers for TLS 1.3.").ahead(TLS),
    p(
        "tls-client-cert-file",
        TEXT,
        "",
        "Certificate for connections to other servers.",
    )
    .ahead(TLS),
    p(
        "tls-client-key-file",
        TEXT,
        "",
        "Key for connections to other servers.",
    )
    .ahead(TLS),
    p(
        "tls-client-key-file-pass",
        TEXT,
        "",
        "Password of that key.",
    )
    .secret()
    .ahead(TLS),
    p("tls-cluster", BOOL, "no", "Uses TLS on the cluster bus.").refused(TLS),
    p("tls-dh-params-file", TEXT, "", "Diffie-Hellman parameters.").ahead(TLS),
    p("tls-key-file", TEXT, "", "Key of the server's certificate.").ahead(TLS),
    p("tls-key-file-pass", TEXT, "", "Password of that key.")
        .secret()
        .ahead(TLS),
    p("tls-port", PORT, "0", "Port for TLS; 0 means none.").refused(TLS),
    p(
        "tls-prefer-server-ciphers",
        BOOL,
        "no",
        "The server chooses the cipher.",
    )
    .ahead(TLS),
    p("tls-protocols", TEXT, "", "Versions of TLS to accept.").ahead(TLS),
    p(
        "tls-replication",
        BOOL,
        "no",
        "Uses TLS towards the primary.",
    )
    .refused(TLS),
    p(
        "tls-session-cache-size",
        int(0, I32),
        "20480",
        "TLS sessions remembered.",
    )
    .ahead(TLS),
    p(
        "tls-session-cache-timeout",
        int(0, I32),
        "300",
        "Seconds for which they are.",
    )
    .ahead(TLS),
    p(
        "tls-session-caching",
        BOOL,
        "yes",
        "Remembers TLS sessions.",
    )
    .ahead(TLS),
    p(
        "tracking-table-max-keys",
        count_to(|s, v| s.tracking_table_max_keys = v),
        "1000000",
        "Keys remembered for client-side caches.",
    ),
    p(
        "unixsocket",
        Kind::Text(|s, v| {
            s.unixsocket = words::non_empty(v).map(words::path_of);
            Ok(v.to_vec())
        }),
        "",
        "Path of a unix socket to listen on.",
    )
    .fixed(),
    p(
        "unixsocketgroup",
        TEXT,
        "",
        "Group that owns the unix socket.",
    )
    .fixed()
    .refused("a group for the unix socket"),
    p(
        "unixsocketperm",
        Kind::Octal {
            max: 0o777,
            store: |s, v| s.unixsocketperm = (v != 0).then_some(v as u32),
        },
        "0",
        "Permission bits of the unix socket, in octal; 0 leaves them to the umask.",
    )
    .fixed(),
    p(
        "use-exit-on-panic",
        BOOL,
        "no",
        "Exits instead of aborting on a fatal error.",
    )
    .hidden()
    .moot(NO_DEBUG),
    p(
        "vset-force-single-threaded-execution",
        BOOL,
        "no",
        "Computes vector similarity on one thread.",
    )
    .ahead("vector sets"),
    p(
        "watchdog-period",
        int(0, I32),
        "0",
        "Milliseconds after which a stuck server logs a stack trace.",
    )
    .hidden()
    .moot(NO_DEBUG),
    p(
        "workers",
        int_to(0, 1024, |s, v| s.workers = v as usize),
        "0",
        "Threads that serve clients; 0 means one per core.",
    )
    .fixed(),
    p(
        "zset-max-listpack-entries",
        count_to(|s, v| s.packing.zset_entries_max = v as usize),
        "128",
        "Sorted sets up to this many members are packed.",
    )
    .alias(&["zset-max-ziplist-entries"]),
    p(
        "zset-max-listpack-value",
        bytes_to(|s, v| s.packing.zset_value_max = v as usize),
        "64",
        "Sorted sets with members up to this length are packed.",
    )
    .alias(&["zset-max-ziplist-value"]),
];

/// Directives that exist only in a file, and the capability each belongs to.
pub(super) const FILE_ONLY: &[(&str, &str)] = &[
    ("loadmodule", MODULES),
    ("rename-command", "renaming commands"),
    ("sentinel", "running as a Sentinel"),
    ("user", ACL),
];

/// Directives that upstream has retired but still reads over.
pub(super) const RETIRED: &[&str] = &[
    "io-threads-do-reads",
    "list-max-ziplist-entries",
    "list-max-ziplist-value",
    "lua-replicate-commands",
];
