//! `cargo xtask fuzz`: runs the targets of `fuzz/` for a while, one after the other. Needs nightly
//! and cargo-fuzz, so it is no part of `cargo xtask test`.
//!
//! What the targets keep between runs (`fuzz/corpus`) and what they found (`fuzz/artifacts`) stays
//! on this machine. The dictionary comes from the running server and is written anew every time.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use clap::Args;
use testkit::peers::{self, Kind};
use testkit::process::Server;
use testkit::reply::Reply;

use crate::{server, shell};

/// How long to look.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds per target.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Only this target.
    #[arg(long)]
    only: Option<String>,
}

const DICTIONARY: &str = "fuzz/session.dict";

/// The targets, with libFuzzer's options for them.
const TARGETS: &[(&str, &[&str])] = &[
    ("parse", &[]),
    ("hash", &[]),
    ("packed", &[]),
    ("stream", &[]),
    ("hll", &[]),
    ("intset", &[]),
    ("list", &[]),
    ("set", &[]),
    ("ziplist", &[]),
    ("aof", &["-rss_limit_mb=1024"]),
    ("rdb", &["-rss_limit_mb=1024"]),
    ("restore", &["-rss_limit_mb=1024"]),
    ("zset", &[]),
    (
        "session",
        &[
            "-dict=fuzz/session.dict",
            "-max_len=1024",
            "-rss_limit_mb=2048",
            "-timeout=30",
            // The server's memory is not a single session's.
            "-detect_leaks=0",
        ],
    ),
];

/// What commands are made of besides names and options, spelled as libFuzzer wants it: framing,
/// keys, numbers at the edges, patterns, quoting.
const PARTICLES: &[&str] = &[
    r"\x0d\x0a",
    r"*1\x0d\x0a",
    r"*2\x0d\x0a",
    r"*3\x0d\x0a",
    r"*4\x0d\x0a",
    r"$0\x0d\x0a\x0d\x0a",
    r"$1\x0d\x0aa\x0d\x0a",
    r"$3\x0d\x0aget\x0d\x0a",
    r"$3\x0d\x0aset\x0d\x0a",
    "a ",
    "b ",
    "0 ",
    "1 ",
    "-1 ",
    "100 ",
    "1.5 ",
    "-inf ",
    "nan ",
    "1048576 ",
    "1048577 ",
    "9223372036854775807 ",
    "-9223372036854775808 ",
    "* ",
    r"?[a-z]\\ ",
    r#"\"\\x00\" "#,
];

/// Runs every target.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let dictionary = dictionary()?;
    fs::write(peers::root().join(DICTIONARY), dictionary)
        .map_err(|error| format!("{DICTIONARY}: {error}"))?;
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    if !TARGETS.iter().any(|(name, _)| wanted(name)) {
        return Err("there is no such target".to_owned());
    }
    for (target, limits) in TARGETS.iter().filter(|(name, _)| wanted(name)) {
        let mut cargo = shell::nightly_cargo()?;
        is_there(&mut cargo)?;
        let mut cargo = shell::nightly_cargo()?;
        cargo.args(["fuzz", "run", target, "--"]).args(*limits);
        cargo.arg(format!("-max_total_time={}", options.seconds));
        shell::run(&mut cargo)?;
    }
    Ok(())
}

fn is_there(cargo: &mut Command) -> Result<(), String> {
    match shell::output(cargo.args(["fuzz", "--version"])) {
        Ok((true, _)) => Ok(()),
        _ => Err("cargo-fuzz is missing: cargo install cargo-fuzz".to_owned()),
    }
}

/// Names, options and [`PARTICLES`], one quoted entry per line.
fn dictionary() -> Result<String, String> {
    let mut words: BTreeSet<String> = server::commands()?;
    let ruddle = Server::start(Kind::Ruddle, &[])?;
    let docs = ruddle
        .connect()
        .and_then(|mut client| client.call(&["COMMAND", "DOCS"]))
        .map_err(|error| format!("COMMAND DOCS: {error}\n{}", ruddle.log()))?;
    collect_tokens(&docs, &mut words);
    let words = words
        .into_iter()
        .map(|word| format!("{} ", word.to_lowercase()));
    let entries = words.chain(PARTICLES.iter().map(|&particle| particle.to_owned()));
    Ok(entries.map(|entry| format!("\"{entry}\"\n")).collect())
}

/// The words that announce options: what follows `token`, however deep.
fn collect_tokens(docs: &Reply, found: &mut BTreeSet<String>) {
    let items = docs.items().unwrap_or_default();
    for pair in items.windows(2) {
        if let (Some(b"token"), Some(word)) = (pair[0].bytes(), pair[1].bytes())
            // COMMAND DOCS writes an empty word in quotes.
            && word.is_ascii()
            && !word.contains(&b'"')
        {
            found.insert(String::from_utf8_lossy(word).into_owned());
        }
    }
    items.iter().for_each(|item| collect_tokens(item, found));
}
