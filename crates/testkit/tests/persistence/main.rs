//! Data carried between Ruddle and its peers: in snapshot files, payloads, append-only files, and
//! along chains of replicas. The peers are the pinned Redis and Valkey, and Redis 7.0.

mod appendonly;
mod chains;
mod data;
mod snapshots;
