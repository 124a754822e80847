//! What is on disk, carried between Ruddle and its peers: snapshot files, payloads, append-only
//! files. The peers are the pinned Redis and Valkey, and Redis 7.0.

mod appendonly;
mod data;
mod snapshots;
