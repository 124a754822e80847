//! Replication without I/O: what primary and replica know of each other, and what they do next.
//!
//! The bytes that travel are the journal's, at the journal's offsets (`journal`); sockets, threads
//! and files are the server's. What is here takes bytes, offsets and times, and answers with what
//! is to be done, so that a simulation can run it with lost links, crashes and slow disks from a
//! seed.
//!
//! Reading order: `history` (which bytes two servers have in common), `feed` (a replica as its
//! primary sees it), `link` (a replica's end of a link), `quorum` (replies that wait for replicas'
//! disks), `handover` (when a primary gives its place to a replica). `tests/simulation` runs them.
//!
//! Source of the protocol: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>.

#![forbid(unsafe_code)]

pub mod feed;
pub mod handover;
pub mod history;
pub mod link;
pub mod quorum;
