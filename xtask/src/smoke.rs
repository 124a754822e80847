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
    checks().unwrap_or_else(|why| Tally::of(Err(why)))
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
    Tally::of_lines(&printed, succeeded).map_err(|why| format!("{SCRIPT} {why}\n{}", server.log()))
}
