//! Running other programs: inherit their output, or take it.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use testkit::peers;

/// The cargo that runs us.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Nightly's cargo, or what to do to have it. Through rustup: the cargo that runs us knows no other
/// toolchain than its own.
pub(crate) fn nightly_cargo() -> Result<Command, String> {
    let in_nightly = || {
        let mut rustup = Command::new("rustup");
        rustup.args(["run", "nightly", "cargo"]);
        rustup
    };
    match output(in_nightly().arg("--version")) {
        Ok((true, _)) => Ok(in_nightly()),
        Ok((false, _)) => Err("nightly is missing: rustup toolchain install nightly".to_owned()),
        Err(why) => Err(format!(
            "{why} (nightly is needed, which comes with rustup)"
        )),
    }
}

/// Runs a program in the repository's root; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.current_dir(peers::root()).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", name(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} failed: {status}", name(command)))
    }
}

/// Runs a program in the repository's root and returns what it printed, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Result<(bool, String), String> {
    let output = command
        .current_dir(peers::root())
        .stderr(Stdio::inherit())
        .output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", name(command)))?;
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    ))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
