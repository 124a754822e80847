//! Every command of the server is covered by a transcript, and every transcript covers a command.

use std::collections::BTreeSet;
use std::fs;

use testkit::peers;
use testkit::transcript::{DIRECTORIES, Transcript};

use crate::inventory;

/// Complaints about coverage, given the server's commands (`GET`, `CLIENT LIST`).
pub(super) fn check(commands: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let mut covered = BTreeSet::new();
    let mut complaints = Vec::new();
    let known: BTreeSet<String> = inventory::read()?.into_iter().map(|row| row.name).collect();
    for transcript in transcripts()? {
        for name in &transcript.covers {
            let container = format!("{name} ");
            let is_name = |other: &String| other == name || other.starts_with(&container);
            if !commands.iter().any(is_name) && !known.iter().any(is_name) {
                let path = transcript.path.display();
                complaints.push(format!("{path}: covers `{name}`, which is no command"));
            }
        }
        covered.extend(transcript.covers);
    }
    let missing = commands.iter().filter(|name| !covered.contains(*name));
    complaints.extend(missing.map(|name| format!("no transcript says `# covers: {name}`")));
    Ok(complaints)
}

fn transcripts() -> Result<Vec<Transcript>, String> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        // A crate without transcripts has no directory.
        let Ok(entries) = fs::read_dir(peers::root().join(directory)) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "txt")
            {
                found.push(Transcript::read(&entry.path())?);
            }
        }
    }
    Ok(found)
}
