//! The limits up to which collections stay packed, and the seed that their tables hash with.

use base::hash::Seed;

/// One field per setting, with its meaning and its default.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Hashes members and fields; the same as the keyspace's.
    pub seed: Seed,
    /// `list-max-listpack-size`: elements in a node, or with -1..-5 its bytes (4 KiB to 64 KiB).
    pub list_node_max: i32,
    /// A long list's element of so many bytes gets a node of its own; 0 = one that no node could
    /// hold. Only DEBUG sets it.
    pub list_single_bytes_min: usize,
    /// `list-compress-depth`: nodes at each end that stay uncompressed; 0 = all.
    pub list_compress_depth: u32,
    /// `set-max-intset-entries`.
    pub set_ints_max: usize,
    /// `set-max-listpack-entries`.
    pub set_entries_max: usize,
    /// `set-max-listpack-value`: bytes of the longest member.
    pub set_value_max: usize,
    /// `hash-max-listpack-entries`.
    pub hash_entries_max: usize,
    /// `hash-max-listpack-value`: bytes of the longest field or value.
    pub hash_value_max: usize,
    /// `zset-max-listpack-entries`.
    pub zset_entries_max: usize,
    /// `zset-max-listpack-value`: bytes of the longest member.
    pub zset_value_max: usize,
    /// `stream-node-max-bytes`; 0 = no limit.
    pub stream_node_bytes_max: usize,
    /// `stream-node-max-entries`; 0 = no limit.
    pub stream_node_entries_max: usize,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_bytes_max: usize,
}

impl Packing {
    /// The defaults of Redis 8.2.
    pub const fn with_seed(seed: Seed) -> Packing {
        Packing {
            seed,
            list_node_max: -2,
            list_single_bytes_min: 0,
            list_compress_depth: 0,
            set_ints_max: 512,
            set_entries_max: 128,
            set_value_max: 64,
            hash_entries_max: 512,
            hash_value_max: 64,
            zset_entries_max: 128,
            zset_value_max: 64,
            stream_node_bytes_max: 4096,
            stream_node_entries_max: 100,
            hll_sparse_bytes_max: 3000,
        }
    }
}
