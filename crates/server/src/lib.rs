//! server.

pub mod config;
pub mod daemon;
pub mod logging;
