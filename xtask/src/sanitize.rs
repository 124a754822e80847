//! `cargo xtask sanitize`: the engine's tests under AddressSanitizer, for the `unsafe` code they
//! reach; with `--thread`, what threads share under ThreadSanitizer. Needs nightly, so it is no
//! part of `cargo xtask test`.
//!
//! ThreadSanitizer must see every access and every lock, the standard library's too, so that is
//! built anew (`-Zbuild-std`, which needs the component `rust-src`). Servers that tests start write
//! their reports into files beside the build; any such file is a failure.

use std::fs;
use std::path::Path;

use clap::Args;
use testkit::peers;

use crate::shell;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// ThreadSanitizer over the tests of what threads share, instead of AddressSanitizer.
    #[arg(long)]
    thread: bool,
}

/// The sanitizer wants a target by name, so that build scripts are built without it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What ThreadSanitizer reports wrongly, with reasons.
const SUPPRESSIONS: &str = "xtask/data/thread-sanitizer.txt";

/// jemalloc starts its own threads past the sanitizer, which crashes in them.
const ALLOCATOR_OPTIONS: &str = "background_thread:false";

/// Servers are ten times slower under it, and some tests are about large numbers.
const REPLY_SECONDS: &str = "120";

/// What runs under ThreadSanitizer: arguments of `cargo test`.
const THREAD_TESTS: &[&[&str]] = &[
    &["--package", "engine", "--lib", "snapshot"],
    &["--package", "engine", "--test", "it", "waiting"],
    &[
        "--package",
        "server",
        "--test",
        "it",
        "--",
        "--test-threads",
        "1",
        "linear",
        "blocking",
        "caching",
        "pubsub",
        "transactions",
    ],
];

/// Builds and runs the tests; products go to `asan` or `tsan` in the target directory.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    if options.thread {
        return run_thread();
    }
    let mut cargo = shell::nightly_cargo()?;
    cargo.env("RUSTFLAGS", "-Zsanitizer=address");
    cargo.args(["test", "--package", "engine", "--target", TARGET]);
    cargo.arg("--target-dir");
    cargo.arg(peers::target_dir().join("asan"));
    shell::run(&mut cargo)
}

fn run_thread() -> Result<(), String> {
    let products = peers::target_dir().join("tsan");
    let reports = products.join("reports");
    let say = |error| format!("{}: {error}", reports.display());
    if reports.is_dir() {
        fs::remove_dir_all(&reports).map_err(say)?;
    }
    fs::create_dir_all(&reports).map_err(say)?;
    let options = format!(
        "suppressions={} log_path={}/report history_size=4",
        peers::root().join(SUPPRESSIONS).display(),
        reports.display()
    );
    let mut failed = Vec::new();
    for tests in THREAD_TESTS {
        let mut cargo = shell::nightly_cargo()?;
        cargo.env("RUSTFLAGS", "-Zsanitizer=thread");
        cargo.env("TSAN_OPTIONS", &options);
        cargo.env("_RJEM_MALLOC_CONF", ALLOCATOR_OPTIONS);
        cargo.env("RUDDLE_REPLY_SECONDS", REPLY_SECONDS);
        cargo.args(["test", "-Zbuild-std", "--target", TARGET]);
        cargo.arg("--target-dir").arg(&products);
        failed.extend(shell::run(cargo.args(*tests)).err());
    }
    let found = reported(&reports).map_err(say)?;
    if failed.is_empty() && found.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n{found}", failed.join("\n")))
    }
}

/// All reports.
fn reported(directory: &Path) -> std::io::Result<String> {
    let mut found = String::new();
    for entry in fs::read_dir(directory)? {
        found.push_str(&fs::read_to_string(entry?.path())?);
    }
    Ok(found)
}
