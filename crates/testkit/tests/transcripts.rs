//! Every transcript against Ruddle and against its peer, one test per file and server.
//!
//! `cargo test -p testkit --test transcripts -- redis/get` runs one; `UPDATE_EXPECT=redis`
//! rewrites.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use testkit::peers::{self, Kind};
use testkit::transcript::{self, Transcript};

fn main() {
    let arguments = Arguments::from_args();
    let trials = files()
        .into_iter()
        .flat_map(|path| trials_of(&path))
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for directory in transcript::DIRECTORIES {
        // A crate without transcripts has no directory.
        let Ok(entries) = fs::read_dir(peers::root().join(directory)) else {
            continue;
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "txt")));
    }
    files.sort();
    files
}

/// One trial per server that the file concerns. A file that does not parse is one failing trial.
fn trials_of(path: &Path) -> Vec<Trial> {
    let stem = path
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default();
    let kinds = match Transcript::read(path) {
        Ok(transcript) => transcript::kinds_for(&transcript),
        Err(why) => {
            return vec![Trial::test(format!("parse/{stem}"), || {
                Err(Failed::from(why))
            })];
        }
    };
    let present = |kind: &Kind| *kind != Kind::Ruddle || peers::has_ruddle();
    let wanted = |kind: &Kind| transcript::update_requested().is_none_or(|peer| peer == *kind);
    let trial = |kind: Kind| {
        let path = path.to_path_buf();
        Trial::test(format!("{}/{stem}", kind.name()), move || run(&path, kind))
    };
    kinds
        .into_iter()
        .filter(present)
        .filter(wanted)
        .map(trial)
        .collect()
}

fn run(path: &Path, kind: Kind) -> Result<(), Failed> {
    let outcome = transcript::run_against(path, kind)?;
    if outcome.failures.is_empty() {
        return Ok(());
    }
    Err(format!("{} differs from {}\n{outcome}", kind.name(), path.display()).into())
}
