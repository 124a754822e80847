//! `cargo xtask tidy`: the rules of the house that a program can check. What they are is in
//! `tables.rs`.
//!
//! Every check returns its complaints, `path:line: what`, and none stops at the first one.

mod coverage;
mod crates;
mod scanner;
mod source;
mod tables;
mod wrap;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use testkit::peers;

use crate::{docs, server};

/// What to do besides checking.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Wrap comment lines that are too long, first.
    #[arg(long)]
    fix: bool,
    /// Only what can be said without building and starting the server.
    #[arg(long)]
    offline: bool,
}

/// One checked file.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

/// Runs all checks; prints every complaint; an error if there was one.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let sources = sources()?;
    if options.fix {
        return wrap::fix(&sources);
    }
    let mut complaints = crates::check()?;
    complaints.extend(source::check(&sources));
    if !options.offline && peers::has_ruddle() {
        let commands = server::commands()?;
        complaints.extend(coverage::check(&commands)?);
        complaints.extend(docs::check(&commands)?);
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        count => Err(format!("tidy: {count} complaints")),
    }
}

/// Every Rust file of the workspace, in order.
fn sources() -> Result<Vec<Source>, String> {
    let root = peers::root();
    let mut paths = Vec::new();
    for top in tables::SOURCE_DIRECTORIES {
        walk(&root.join(top), &mut paths)?;
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        // All paths were found below the root.
        let relative = path.strip_prefix(&root).unwrap_or(path);
        Ok(Source {
            path: relative.to_string_lossy().into_owned(),
            text,
        })
    };
    paths.iter().map(read).collect()
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if !directory.is_dir() || directory.ends_with("target") {
        return Ok(());
    }
    let entries = fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
