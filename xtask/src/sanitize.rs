//! `cargo xtask sanitize`: the engine's tests under AddressSanitizer, for the `unsafe` code they
//! reach. Needs nightly, so it is no part of `cargo xtask test`.

use testkit::peers;

use crate::shell;

/// The sanitizer wants a target by name, so that build scripts are built without it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds and runs the tests; products go to `asan` in the target directory.
pub(crate) fn run() -> Result<(), String> {
    let mut cargo = shell::nightly_cargo()?;
    cargo.env("RUSTFLAGS", "-Zsanitizer=address");
    cargo.args(["test", "--package", "engine", "--target", TARGET]);
    cargo.arg("--target-dir");
    cargo.arg(peers::target_dir().join("asan"));
    shell::run(&mut cargo)
}
