//! The working directory, which all paths to data start from.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use log::warn;

use crate::settings::Settings;

/// Enters `dir` once more if the directory that the process is in was removed: another may have
/// been made in its place. To be called before files are made.
pub fn reenter(settings: &Settings) {
    let is_removed = fs::metadata(".").is_ok_and(|metadata| metadata.nlink() == 0);
    if !is_removed {
        return;
    }
    let dir = settings.dir.display();
    match std::env::set_current_dir(&settings.dir) {
        Ok(()) => warn!("The working directory was removed; entered the one now at {dir}"),
        Err(error) => warn!("The working directory was removed; cannot enter {dir}: {error}"),
    }
}
