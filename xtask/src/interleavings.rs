//! `cargo xtask interleavings`: the tests of locks, waiters and mailboxes under shuttle, which
//! tries interleavings of their threads. They are built apart (`--cfg shuttle`), so it is no part
//! of `cargo xtask test`.

use std::process::Command;

use testkit::peers;

use crate::shell;

/// Where the tests are: arguments of `cargo test`. All of their names hold the last word.
const TESTS: &[&[&str]] = &[
    &["--package", "engine", "--test", "it", "interleavings"],
    &["--package", "server", "--lib", "interleavings"],
];

/// Builds and runs the tests; products go to `shuttle` in the target directory.
pub(crate) fn run() -> Result<(), String> {
    for tests in TESTS {
        let mut cargo = Command::new(shell::cargo());
        cargo.env("RUSTFLAGS", "--cfg shuttle").arg("test");
        cargo.arg("--target-dir");
        cargo.arg(peers::target_dir().join("shuttle"));
        shell::run(cargo.args(*tests))?;
    }
    Ok(())
}
