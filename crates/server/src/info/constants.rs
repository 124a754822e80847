//! Fields whose value follows from what this server cannot do yet. Each row goes when the
//! capability comes.

/// No cluster links.
pub(super) const NO_CLIENT_KINDS: &[(&str, &str)] = &[("cluster_connections", "0")];

/// Never happens here: no fork, no replicas, no client eviction.
pub(super) const NO_EVENTS: &[(&str, &str)] = &[
    ("sync_full", "0"),
    ("sync_partial_ok", "0"),
    ("sync_partial_err", "0"),
    ("latest_fork_usec", "0"),
    ("total_forks", "0"),
    ("unexpected_error_replies", "0"),
];

/// No replication, no append-only file, no cluster: no memory for them.
pub(super) const NO_BUFFERS: &[(&str, &str)] = &[
    ("mem_not_counted_for_evict", "0"),
    ("mem_replication_backlog", "0"),
    ("mem_clients_slaves", "0"),
    ("mem_cluster_links", "0"),
    ("mem_aof_buffer", "0"),
];
