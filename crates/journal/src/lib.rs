//! The journal: the one ordered log of effects, in memory and as an append-only file.
//!
//! Effects are appended in the order in which the stripes' locks were held; the offset of a byte
//! never changes. Whoever consumes the log has a position in it: today the writer of the
//! append-only file. What is not yet on disk stays in memory, so that a write that fails is made
//! again, from the last byte known to be on disk.
//!
//! Reading order: `log` (the bytes in memory), `journal` (what the server sees of it), `writer`
//! (from memory to disk), `files` and `manifest` (the directory, in the format of Redis 7 and
//! later), `disk` (the door to the file system), `read` (what a file holds), `check` (what is wrong
//! with one).
//!
//! Invariants: only `disk` touches the file system. No byte is called durable before it is on disk
//! under a policy that says so. Nothing here knows a command, a socket or a worker.

#![forbid(unsafe_code)]

pub mod disk;
pub mod files;
pub mod journal;
mod log;
pub mod manifest;
pub mod read;
pub mod writer;

pub use journal::{Journal, Policy};

/// A position in the log: number of bytes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);
