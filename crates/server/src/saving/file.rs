//! Writing the snapshot file.
use std::io;
use std::path::Path;

use base::time::UnixMillis;

use super::pieces::Pieces;
use super::walk::Control;
use crate::settings::Settings;

pub(super) fn write(
    path: &Path,
    pieces: &Pieces,
    _control: &Control,
    _settings: &Settings,
    _now: UnixMillis,
) -> io::Result<()> {
    while pieces.take().is_some() {}
    std::fs::write(path, b"x")
}
