//! The data engine: everything that happens to keys and values, and nothing that happens to
//! sockets, threads, files or clocks.
//!
//! Read in this order: `entry` (one key in memory), `object`
//! (what does not fit into one), `table` (a database's part in one stripe),
//! `keyspace` (stripes, leases), `tx` (what a handler may touch), `spec` (what a command is),
//! `dispatch` (how one runs), `families` (the commands).

pub mod access;
pub mod args;
mod byhash;
pub mod describe;
pub mod dispatch;
pub mod dump;
pub mod effect;
pub mod entry;
pub mod env;
pub mod event;
pub mod evict;
pub mod expire;
pub mod failure;
pub mod families;
pub mod keyspace;
pub mod object;
pub mod parts;
mod popcount;
mod prefetch;
pub mod serve;
pub mod snapshot;
pub mod spec;
pub mod sync;
pub mod table;
pub mod track;
pub mod tx;
pub mod waiters;
pub mod watch;
