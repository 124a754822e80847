//! Fields whose value follows from what this server cannot do yet. Each row goes when the
//! capability comes.

/// No cluster links.
pub(super) const NO_CLIENT_KINDS: &[(&str, &str)] = &[("cluster_connections", "0")];

/// Never happens here: no fork, no client eviction.
pub(super) const NO_EVENTS: &[(&str, &str)] = &[("latest_fork_usec", "0"), ("total_forks", "0")];

/// No cluster, and no buffers beside the journal: no memory for them.
pub(super) const NO_BUFFERS: &[(&str, &str)] = &[
    ("mem_not_counted_for_evict", "0"),
    ("mem_cluster_links", "0"),
    ("mem_aof_buffer", "0"),
];
