//!
//! Sits beside the program, never inside it: only dev-dependencies and `xtask` import this crate.
//! Everything here judges Ruddle from outside, through a socket, against a pinned peer
//! (Redis or Valkey), so that an expectation comes from the reference and not from memory.
//!
//! Reading order: [`reply`] (what a server said), [`client`] (one connection), [`process`] (one
//! server), [`peers`] (where the reference servers are), [`transcript`] (conversations as data
//! files),

pub mod client;
pub mod differential;
pub mod peers;
pub mod process;
pub mod reply;
pub mod transcript;
