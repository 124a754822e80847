//! A server under measurement: started, bound to a core, filled, loaded, and asked the kernel
//! about.
//!
//! Processor time is the sum of the threads' `schedstat` (nanoseconds), memory is `RssAnon`: what
//! is resident but for pages of files, which are the program's own. Both from /proc, so Linux only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Measurement, Report};
use testkit::process::Server;

use super::rows::{Contender, DataSet, Fill, Load};

/// Core of the servers and core of the load, when they are bound.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// The load generator: a program and the arguments before its options.
pub(super) struct Generator {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// Values read back after a fill, at most.
const VERIFIED_KEYS: u64 = 10_000;

/// A running server that holds its data.
pub(super) struct Subject<'a> {
    pub(super) contender: Contender,
    pub(super) bytes_per_key: f64,
    binary: PathBuf,
    pub(super) server: Server,
    generator: &'a Generator,
    data: DataSet,
    pinned: bool,
}

/// One load's numbers.
pub(super) struct Sample {
    /// Server's processor time per message to subscribers; without subscribers, per reply.
    pub(super) cpu_us: f64,
    /// What the load generator saw.
    pub(super) load: Measurement,
}

impl<'a> Subject<'a> {
    /// Starts the server, fills it, and verifies a sample of what it holds.
    pub(super) fn start(
        contender: Contender,
        binary: PathBuf,
        generator: &'a Generator,
        data: DataSet,
        pinned: bool,
    ) -> Result<Self, String> {
        let server = Server::start_binary(contender.kind, &binary, contender.arguments)?;
        let mut subject = Self {
            contender,
            bytes_per_key: 0.0,
            binary,
            server,
            generator,
            data,
            pinned,
        };
        if pinned {
            subject.pin()?;
        }
        let empty = subject.settled_rss_bytes()?;
        subject.fill()?;
        let grown = subject.settled_rss_bytes()?.saturating_sub(empty);
        subject.bytes_per_key = grown as f64 / data.keys as f64;
        Ok(subject)
    }

    fn fill(&self) -> Result<(), String> {
        match self.data.fill {
            Fill::Strings => self.fill_strings(),
            Fill::Loads(loads) => loads.iter().try_for_each(|load| self.prepare(load)),
        }
    }

    /// Sets every key and reads some of them back.
    fn fill_strings(&self) -> Result<(), String> {
        let sample = self.data.keys.min(VERIFIED_KEYS).to_string();
        let options = [
            "--prefill",
            "--check",
            "-P",
            "16",
            "-t",
            "get",
            "-n",
            &sample,
        ];
        let filled = finish(self.spawn_load(&options, "")?)?;
        if filled.misses > 0 {
            let label = self.contender.label;
            return Err(format!("{label}: a key is missing after the fill"));
        }
        Ok(())
    }

    /// Does something that is not measured, and waits until the server is idle again.
    pub(super) fn prepare(&self, load: &Load) -> Result<(), String> {
        let keys = self.data.keys.to_string();
        let usual = ["-n", &keys, "-P", "64", "--key-pattern", "shuffled"];
        finish(self.spawn_load(&[&usual, load.options].concat(), load.command)?)?;
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        loop {
            let before = self.cpu_ns()?;
            thread::sleep(SETTLE_INTERVAL);
            let used = Duration::from_nanos(self.cpu_ns()?.saturating_sub(before));
            if used < IDLE_TIME_MAX || Instant::now() > deadline {
                return Ok(());
            }
        }
    }

    /// Runs one load against the server: for some seconds, unless it says how often.
    pub(super) fn load(
        &self,
        load: &Load,
        pipeline: Option<u32>,
        seconds: f64,
        pass: usize,
    ) -> Result<Sample, String> {
        let before = self.cpu_ns()?;
        let (duration, seed) = (seconds.to_string(), pass.to_string());
        let pipeline = pipeline.map(|pipeline| pipeline.to_string());
        let mut options = vec!["--seed", &seed];
        if let Some(pipeline) = &pipeline {
            options.extend(["-P", pipeline]);
        }
        if !load.options.contains(&"-n") {
            options.extend(["--duration", &duration]);
        }
        options.extend(load.options);
        let load = finish(self.spawn_load(&options, load.command)?)?;
        let used_ns = self.cpu_ns()?.saturating_sub(before);
        let units = match load.messages {
            0 => load.replies,
            messages => messages,
        };
        let cpu_us = used_ns as f64 / 1e3 / units as f64;
        Ok(Sample { cpu_us, load })
    }

    /// Runs a load while another client sends `command` without pause.
    pub(super) fn load_beside(
        &self,
        load: &Load,
        command: &[&str],
        seconds: f64,
        pass: usize,
    ) -> Result<Sample, String> {
        // It begins before the load and ends after it.
        let duration = (seconds + 0.5).to_string();
        let command = command.join(" ");
        let hog = self.spawn_load(&["-c", "1", "--duration", &duration], &command)?;
        let sample = self.load(load, None, seconds, pass);
        let hog = finish(hog)?;
        if hog.replies == 0 {
            return Err(format!("{command} was never answered"));
        }
        sample
    }

    /// The server's program.
    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Binds all of the server's threads to its core.
    fn pin(&self) -> Result<(), String> {
        // It gives up at a thread that has ended since it looked: then it looks again.
        const ATTEMPTS: usize = 10;
        let mut complaint = String::new();
        for _ in 0..ATTEMPTS {
            let output = Command::new("taskset")
                .args(["-acp", SERVER_CORE, &self.server.pid().to_string()])
                .output()
                .map_err(|error| format!("cannot run taskset: {error}"))?;
            if output.status.success() {
                return Ok(());
            }
            complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        }
        Err(format!("taskset: {complaint}"))
    }

    /// Starts the load generator; an empty `command` means that the options name a scenario.
    pub(super) fn spawn_load(&self, options: &[&str], command_text: &str) -> Result<Child, String> {
        let program = &self.generator.program;
        let mut command = if self.pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", LOAD_CORE]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(&self.generator.arguments)
            .args(["-p", &self.server.port().to_string(), "--json", "-"])
            .args(["-r", &self.data.keys.to_string()])
            .args(["-d", &self.data.value_bytes.to_string()])
            .args(options)
            .args(command_text.split_whitespace())
            // Closed when it is waited for, which ends a load that has no other end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))
    }

    /// Nanoseconds that the server's threads have spent on processors.
    pub(super) fn cpu_ns(&self) -> Result<u64, String> {
        let tasks = format!("/proc/{}/task", self.server.pid());
        let mut sum = 0;
        for task in fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
            let path = task
                .map_err(|error| format!("{tasks}: {error}"))?
                .path()
                .join("schedstat");
            // A thread that ended meanwhile takes its share along: servers end threads rarely.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let spent = text
                .split_ascii_whitespace()
                .next()
                .and_then(|word| word.parse::<u64>().ok());
            sum += spent.ok_or_else(|| format!("{}: {text:?}", path.display()))?;
        }
        Ok(sum)
    }

    fn rss_bytes(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.server.pid());
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes
            .map(|count| count * 1024)
            .ok_or_else(|| format!("{path}: no RssAnon"))
    }

    /// Resident memory once it has stood still: servers finish rehashing and give memory back when
    /// idle.
    fn settled_rss_bytes(&self) -> Result<u64, String> {
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        let mut last = self.rss_bytes()?;
        let mut still = 0;
        while still < SETTLED_LOOKS && Instant::now() < deadline {
            thread::sleep(SETTLE_INTERVAL);
            let now = self.rss_bytes()?;
            still = if now == last { still + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

const SETTLE_INTERVAL: Duration = Duration::from_millis(100);
const SETTLED_LOOKS: usize = 5;
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
/// An idle server's processor time in one interval.
const IDLE_TIME_MAX: Duration = Duration::from_millis(2);

/// Waits for a load generator and reads its result; a faulty reply is an error.
pub(super) fn finish(load: Child) -> Result<Measurement, String> {
    let output = load
        .wait_with_output()
        .map_err(|error| format!("load generator: {error}"))?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("load generator ({}): {error}", output.status))?;
    let result = report
        .results
        .into_iter()
        .next()
        .ok_or("load generator: no result")?;
    if !result.is_clean() || result.replies == 0 {
        let fault = result.first_fault.as_deref().unwrap_or("no replies");
        return Err(format!("{}: {fault}", result.scenario));
    }
    Ok(result)
}
