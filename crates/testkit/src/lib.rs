//!
//! Sits beside the program, never inside it: only dev-dependencies and `xtask` import this crate.
//! Everything here judges Ruddle from outside, through a socket, against a pinned peer
//! (Redis or Valkey), so that an expectation comes from the reference and not from memory.
//!
//! Reading order: [`reply`] (what a server said), [`client`] (one connection), [`process`] (one
//! server), [`peers`] (where the reference servers are), [`transcript`] (conversations as data
//! files), [`linear`] (many connections at once, and whether their answers have an order),
//! [`proxy`] (a bad network between two servers).

pub mod client;
pub mod differential;
pub mod linear;
pub mod peers;
pub mod process;
pub mod proxy;
mod random;
pub mod reply;
pub mod transcript;
