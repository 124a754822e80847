//! The ground floor: what every other crate may use and what none of them should write twice.
//!
//! Numbers as text, patterns, time, randomness, hashing, identifiers, memory arithmetic. Nothing in
//! here does IO or starts a thread; time and entropy enter through [`time::Clock`] and
//! [`rng::seed_from_os`] only, so that everything above can run under a test's clock and seed.
//! Depends on no other crate of the workspace.

#![forbid(unsafe_code)]

pub mod double;
pub mod glob;
pub mod hash;
pub mod ids;
pub mod long_double;
pub mod memory;
pub mod num;
mod powers;
pub mod rng;
pub mod strings;
pub mod time;
pub mod units;
