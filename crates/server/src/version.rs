//! Which version we are, and whose we say we speak.

/// Ruddle's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The Redis version whose commands and replies we imitate: HELLO and INFO say it.
pub const REDIS_VERSION: &str = "8.2.3";

/// The Valkey version whose snapshots we can load: a replica tells its primary, and a Valkey
/// chooses the format by it.
pub const VALKEY_VERSION: &str = "9.1.2";
