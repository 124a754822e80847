//! A real client library (redis-py, installed beside the peers) against Ruddle: what an application
//! does first.

use std::process::Command;

use testkit::peers::{self, Kind};
use testkit::process::Server;

use crate::shell;
use crate::test::Tally;

/// Prints one line per check: `ok NAME` or `failed NAME: why`.
const SCRIPT: &str = "xtask/data/smoke.py";

/// Runs the script against a fresh server and counts its lines.
pub(crate) fn run() -> Tally {
    if !peers::has_ruddle() {
        return Tally::default();
    }
    match checks() {
        Ok(tally) => tally,
        Err(why) => {
            eprintln!("{why}");
            Tally {
                passed: 0,
                failed: 1,
            }
        }
    }
}

fn checks() -> Result<Tally, String> {
    let server = Server::start(Kind::Ruddle, &[])?;
    let mut python = Command::new("python3");
    python
        .env("PYTHONPATH", peers::directory())
        .arg(SCRIPT)
        .arg(server.port().to_string());
    let (succeeded, printed) = shell::output(&mut python)?;
    print!("{printed}");
    let count = |word: &str| {
        printed
            .lines()
            .filter(|line| line.starts_with(word))
            .count()
    };
    let tally = Tally {
        passed: count("ok "),
        failed: count("failed "),
    };
    if !succeeded && tally.failed == 0 {
        return Err(format!("{SCRIPT} ended with an error\n{}", server.log()));
    }
    Ok(tally)
}
