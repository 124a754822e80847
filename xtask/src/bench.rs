//! `cargo xtask bench`: Ruddle and the peers side by side, on the same machine, in turns.
//!
//! For each row of `bench/rows`: start all its servers, fill them, then measure one after the
//! other, several times over (ABCABC...), so that whatever else happens on the machine hits all
//! alike. The lowest processor time per reply of the passes is compared, since disturbance only
//! ever adds. How to read the numbers: `BENCHMARKS.md`.

mod outcome;
mod persistence;
mod replication;
mod report;
mod rows;
mod subject;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde::Serialize;
use testkit::peers::{self, Kind};

use outcome::Outcome;
use rows::{Contender, DataSet, Group, LineUp, MEDIANS, Row, Work};
use subject::{Generator, Sample, Subject};

use crate::shell;

/// What to measure and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// A tenth of the keys, one short pass: to see that all runs, not to compare.
    #[arg(long)]
    quick: bool,
    /// Only rows of this group.
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Only rows whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Ruddle's binary; without it, the release build is made now.
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Another load generator than the binary's own `bench` subcommand.
    #[arg(long, value_name = "PATH")]
    load: Option<PathBuf>,
    /// Times that each server is measured per row.
    #[arg(long, default_value_t = 5, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    seconds: f64,
    /// Keys that are saved and loaded in the group "persistence".
    #[arg(long, default_value_t = 5_000_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// MiB that are copied in the group "replication".
    #[arg(long, default_value_t = 2048, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..))]
    copy_mib: u64,
    /// Print Markdown.
    #[arg(long)]
    markdown: bool,
    /// Write everything measured to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Where and how the numbers came about.
#[derive(Serialize)]
struct Circumstances {
    machine: String,
    kernel: String,
    commit: String,
    passes: usize,
    seconds: f64,
    quick: bool,
}

/// The file that `--json` writes.
#[derive(Serialize)]
struct Record<'a> {
    circumstances: &'a Circumstances,
    outcomes: &'a [Outcome],
    persistence: &'a [persistence::Finding],
    replication: &'a [persistence::Finding],
}

/// What does not change from row to row.
struct Session {
    ruddle: PathBuf,
    generator: Generator,
    passes: usize,
    seconds: f64,
    /// The rows' numbers of keys are divided by this.
    shrink: u64,
}

const QUICK_SECONDS: f64 = 0.5;
const QUICK_SHRINK: u64 = 10;

/// Measures all rows that are asked for, then prints and writes the results.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let session = Session::new(options)?;
    let circumstances = Circumstances {
        machine: machine(),
        kernel: first_line(Command::new("uname").arg("-sr")),
        commit: first_line(Command::new("git").args(["describe", "--always", "--dirty"])),
        passes: session.passes,
        seconds: session.seconds,
        quick: options.quick,
    };
    let outcomes = session.measure_all(&wanted_rows(options));
    let wanted = |group| options.only.is_none() && options.group.is_none_or(|it| it == group);
    let findings = match wanted(Group::Persistence) {
        true => persistence::run(&session, options.keys)?,
        false => Vec::new(),
    };
    let copies = match wanted(Group::Replication) {
        true => replication::run(&session, options.copy_mib)?,
        false => Vec::new(),
    };
    println!(
        "{}\n{}, commit {}, {} passes of {} s\n",
        circumstances.machine,
        circumstances.kernel,
        circumstances.commit,
        circumstances.passes,
        circumstances.seconds
    );
    if !outcomes.is_empty() {
        println!("{}", report::verdicts(&outcomes, options.markdown));
        print!("{}", report::numbers(&outcomes, options.markdown));
    }
    for (findings, servers) in [
        (&findings, persistence::LABELS),
        (&copies, replication::LABELS),
    ] {
        if !findings.is_empty() {
            let table = persistence::table(findings, servers, options.markdown);
            println!("{table}");
        }
    }
    if let Some(path) = &options.json {
        let record = Record {
            circumstances: &circumstances,
            outcomes: &outcomes,
            persistence: &findings,
            replication: &copies,
        };
        let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    match outcomes.iter().find_map(|outcome| outcome.problem.as_ref()) {
        Some(problem) => Err(format!("not all rows could be measured: {problem}")),
        None => Ok(()),
    }
}

fn wanted_rows(options: &Options) -> Vec<Row> {
    let wanted = |row: &Row| {
        options.group.is_none_or(|group| group == row.group)
            && options
                .only
                .as_ref()
                .is_none_or(|text| row.name.contains(text.as_str()))
    };
    rows::rows().into_iter().filter(wanted).collect()
}

impl Session {
    fn new(options: &Options) -> Result<Self, String> {
        let ruddle = match &options.bin {
            Some(path) => absolute(path)?,
            None => release_build()?,
        };
        let generator = match &options.load {
            Some(program) => Generator {
                program: absolute(program)?,
                arguments: Vec::new(),
            },
            None => Generator {
                program: ruddle.clone(),
                arguments: vec!["bench".to_string()],
            },
        };
        let (passes, seconds, shrink) = if options.quick {
            (1, QUICK_SECONDS, QUICK_SHRINK)
        } else {
            (options.passes as usize, options.seconds, 1)
        };
        Ok(Self {
            ruddle,
            generator,
            passes,
            seconds,
            shrink,
        })
    }

    /// Measures rows, those with the same data and line-up together, and adds the medians.
    fn measure_all(&self, rows: &[Row]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let together =
            |left: &Row, right: &Row| left.data == right.data && left.line_up == right.line_up;
        for rows in rows.chunk_by(together) {
            match self.start(&rows[0].line_up, rows[0].data) {
                Ok(subjects) => {
                    outcomes.extend(rows.iter().map(|row| self.outcome(row, &subjects)));
                }
                Err(why) => outcomes.extend(rows.iter().map(|row| failed(row, &why))),
            }
        }
        let medians = MEDIANS
            .iter()
            .filter_map(|median| Outcome::median(median, rows, &outcomes));
        let medians: Vec<Outcome> = medians.collect();
        outcomes.extend(medians);
        outcomes
    }

    fn outcome(&self, row: &Row, subjects: &[Subject<'_>]) -> Outcome {
        eprintln!("{} ...", row.name);
        match self.measure(row, subjects) {
            Ok(samples) => Outcome::of(row, subjects, &samples),
            Err(why) => failed(row, &why),
        }
    }

    /// Measures one row: for each subject its passes.
    fn measure(&self, row: &Row, subjects: &[Subject<'_>]) -> Result<Vec<Vec<Sample>>, String> {
        let mut samples: Vec<Vec<_>> = subjects.iter().map(|_| Vec::new()).collect();
        for pass in 0..self.passes {
            for (subject, samples) in subjects.iter().zip(&mut samples) {
                let load = |load| subject.load(load, row.pipeline, self.seconds, pass);
                let sample = match &row.work {
                    Work::Fill => continue,
                    Work::Load(work) => load(work),
                    Work::LoadAfter(before, work) => before
                        .iter()
                        .try_for_each(|load| subject.prepare(load))
                        .and_then(|()| load(work)),
                    Work::LoadBeside(work, command) => {
                        subject.load_beside(work, command, self.seconds, pass)
                    }
                };
                let told = |why| format!("{}: {why}", subject.contender.label);
                samples.push(sample.map_err(told)?);
            }
        }
        Ok(samples)
    }

    /// Starts and fills a line-up's servers.
    fn start(&self, line_up: &LineUp, data: DataSet) -> Result<Vec<Subject<'_>>, String> {
        let data = DataSet {
            keys: (data.keys / self.shrink).max(1),
            ..data
        };
        let start = |contender: &Contender| self.start_one(*contender, data, line_up.pinned);
        line_up.contenders.iter().map(start).collect()
    }

    fn start_one(
        &self,
        contender: Contender,
        data: DataSet,
        pinned: bool,
    ) -> Result<Subject<'_>, String> {
        let binary = match contender.kind {
            Kind::Ruddle => self.ruddle.clone(),
            Kind::Redis | Kind::Valkey => contender.kind.binary()?,
        };
        eprintln!("filling {} with {} keys ...", contender.label, data.keys);
        Subject::start(contender, binary, &self.generator, data, pinned)
    }
}

/// The outcome of a row that could not be measured, which is said at once.
fn failed(row: &Row, why: &str) -> Outcome {
    eprintln!("{}: {why}", row.name);
    Outcome::failed(row, why)
}

/// The servers run in directories of their own, where a relative path leads elsewhere.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Builds `ruddle` as it is shipped.
fn release_build() -> Result<PathBuf, String> {
    let mut build = Command::new(shell::cargo());
    shell::run(build.args([
        "build",
        "--release",
        "--package",
        "server",
        "--bin",
        "ruddle",
    ]))?;
    Ok(peers::target_dir().join("release/ruddle"))
}

/// The processor's name and the number of cores.
fn machine() -> String {
    let text = fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let field = |name: &'static str| text.lines().filter(move |line| line.starts_with(name));
    let model = field("model name")
        .next()
        .and_then(|line| line.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{model}, {} cores", field("processor").count())
}

/// The first line a program prints, "unknown" if it cannot say: only ever shown.
fn first_line(command: &mut Command) -> String {
    let output = shell::output(command)
        .map(|(_, text)| text)
        .unwrap_or_default();
    output.lines().next().unwrap_or("unknown").to_string()
}
