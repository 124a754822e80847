//! `ruddle bench`: a load generator for Redis-compatible servers.
//!
//! It is to cost so little that one core of load saturates one core of server. Hence: requests are
//! rendered once and patched (`batch`, from `scenario`, `keys`, `values`), a connection writes a
//! batch and reads its replies with one system call each (`connection`), replies are skimmed and
//! not built (`scan`, `sink`), and one thread serves all connections (`load`), those that only
//! listen to a channel (`listener`) among them. Around that: the
//! command line (`options`), connecting (`net`), and results (`report`).
//!
//! Reading order: `options`, this file, `load`, `connection`, `batch`, `scan`.
#![forbid(unsafe_code)]

mod batch;
mod connection;
mod keys;
mod listener;
mod load;
mod net;
mod options;
mod report;
mod scan;
mod scenario;
mod sink;
mod values;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;

use batch::Batches;
use connection::Connection;
use keys::{KeySource, Pattern};
use listener::Listener;
use load::{Limit, Outcome, Share};
use net::{Handshake, Stream};
use options::{Options, Output, Plan};
pub use report::{Measurement, Report};
use scenario::{CHANNEL, Command, PREFILL, Workload};
use values::Values;

/// Runs the load generator. `args` are the command line, the program's (or subcommand's) name
/// first. The exit code is 0 when every reply was right, 1 when one was not or the server could not
/// be reached, 2 for bad options.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match Options::try_parse_from(args) {
        Ok(options) => options,
        Err(error) => {
            // Failing to print a help text leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let plan = match options.plan() {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("ruddle bench: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(&plan) {
        Ok(report) if report.results.iter().all(Measurement::is_clean) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ruddle bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prefills if told so, runs all workloads and writes the results.
fn run(plan: &Plan) -> io::Result<Report> {
    if plan.prefill {
        let filled = measure(plan, &prefill(plan))?;
        if !filled.is_clean() {
            return Err(io::Error::other(format!(
                "prefill: {}",
                filled.short_line()
            )));
        }
    }
    if matches!(plan.limit, Limit::EndOfInput) {
        std::thread::spawn(load::watch_input);
    }
    let mut results = Vec::new();
    for workload in &plan.workloads {
        let run = Run {
            workload: workload.clone(),
            pipeline: plan.pipeline,
            limit: plan.limit,
            rate: plan.rate,
            pattern: plan.pattern,
            subscribers: plan.subscribers,
        };
        let result = measure(plan, &run)?;
        if plan.quiet && plan.output != Output::Json {
            println!("{}", result.short_line());
        }
        results.push(result);
    }
    let report = Report {
        server: plan.address.to_string(),
        connections: plan.connections,
        pipeline: plan.pipeline,
        threads: plan.threads,
        results,
    };
    write_results(plan, &report)?;
    Ok(report)
}

fn write_results(plan: &Plan, report: &Report) -> io::Result<()> {
    if plan.output != Output::Json && !plan.quiet {
        println!("{}", report::table(&report.results));
    }
    match &plan.output {
        Output::Table => Ok(()),
        Output::TableAndFile(path) => {
            let text = serde_json::to_string_pretty(report)?;
            std::fs::write(path, text + "\n").map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })
        }
        Output::Json => {
            let text = serde_json::to_string_pretty(report)?;
            writeln!(io::stdout(), "{text}")
        }
    }
}

/// One measurement to make: what differs between a prefill and the scenarios.
struct Run {
    workload: Workload,
    pipeline: usize,
    limit: Limit,
    rate: Option<f64>,
    pattern: Pattern,
    subscribers: usize,
}

/// Stores each key once, in order, in long batches.
fn prefill(plan: &Plan) -> Run {
    Run {
        workload: Workload::single("prefill", Command::new(PREFILL.split_whitespace())),
        pipeline: plan.pipeline.max(PREFILL_PIPELINE),
        limit: Limit::Requests(plan.keyspace),
        rate: None,
        pattern: Pattern::Sequential,
        subscribers: 0,
    }
}

/// Long enough that system calls hardly count.
const PREFILL_PIPELINE: usize = 64;

/// Connects, starts the threads, waits for them and adds up. The first failure of a thread is the
/// result's.
fn measure(plan: &Plan, run: &Run) -> io::Result<Measurement> {
    let shares: Vec<Share> = (0..plan.threads)
        .map(|thread| share(plan, run, thread))
        .collect::<io::Result<_>>()?;
    let answered = AtomicU64::new(0);
    let outcomes = std::thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        for share in shares {
            let (done, answered) = (done.clone(), &answered);
            // The receiver outlives the threads, unless one of them has failed: then nobody waits
            // for the others' news.
            scope.spawn(move || drop(done.send(load::run(share, answered))));
        }
        collect(plan, run, &finished, &answered)
    })?;
    Ok(Measurement::of(&run.workload.name, outcomes))
}

/// Waits for each thread's outcome, with a line of progress every second.
fn collect(
    plan: &Plan,
    run: &Run,
    finished: &mpsc::Receiver<io::Result<Outcome>>,
    answered: &AtomicU64,
) -> io::Result<Vec<Outcome>> {
    let mut progress = Progress::new(plan, &run.workload.name);
    let mut outcomes = Vec::new();
    let result = loop {
        if outcomes.len() == plan.threads {
            break Ok(outcomes);
        }
        match finished.recv_timeout(PROGRESS_INTERVAL) {
            Ok(Ok(outcome)) => outcomes.push(outcome),
            Ok(Err(error)) => {
                let text = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "the server closed a connection".to_string(),
                    _ => error.to_string(),
                };
                break Err(io::Error::new(
                    error.kind(),
                    format!("{}: {text}", plan.address),
                ));
            }
            Err(_) => progress.show(answered.load(Ordering::Relaxed)),
        }
    };
    progress.clear();
    result
}

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// One thread's part of the connections, keys and requests.
fn share(plan: &Plan, run: &Run, thread: usize) -> io::Result<Share> {
    let part = |total: u64| {
        let (thread, threads) = (thread as u64, plan.threads as u64);
        let upto = |count| (u128::from(total) * u128::from(count) / u128::from(threads)) as u64;
        upto(thread)..upto(thread + 1)
    };
    // In order, the threads share the keys out; at random, each draws from all.
    let range = match run.pattern {
        Pattern::Sequential | Pattern::Shuffled => part(plan.keyspace),
        Pattern::Uniform | Pattern::Zipf => 0..plan.keyspace,
    };
    let seed = plan
        .seed
        .wrapping_mul(plan.threads as u64)
        .wrapping_add(thread as u64);
    let keys = KeySource::new(run.pattern, range, plan.zipf_exponent, seed);
    let values = Values::new(plan.sizes.clone());
    let paired = run.workload.is_paired();
    let connections = part(plan.connections as u64)
        .map(|number| {
            let stream = Stream::open(&plan.address, &plan.handshake)?;
            let number = number as usize;
            let turn = if paired { number % 2 } else { 0 };
            Ok(Connection::new(stream, number, turn))
        })
        .collect::<io::Result<_>>()?;
    let listening = Handshake {
        resp3: false,
        channel: Some(CHANNEL),
        ..plan.handshake.clone()
    };
    let listeners = (0..run.subscribers)
        .map(|_| Stream::open(&plan.address, &listening).map(Listener::new))
        .collect::<io::Result<_>>()?;
    Ok(Share {
        connections,
        listeners,
        paired,
        batches: Batches::new(&run.workload, run.pipeline, keys, plan.shape, values),
        pipeline: run.pipeline,
        limit: match run.limit {
            Limit::Requests(count) => {
                let part = part(count);
                Limit::Requests(part.end - part.start)
            }
            other @ (Limit::Time(_) | Limit::EndOfInput) => other,
        },
        rate: run.rate.map(|rate| rate / plan.threads as f64),
        check: plan.check,
    })
}

/// The line on the terminal that is rewritten every second.
struct Progress<'a> {
    scenario: &'a str,
    visible: bool,
    start: Instant,
    last: (Instant, u64),
}

impl<'a> Progress<'a> {
    fn new(plan: &Plan, scenario: &'a str) -> Self {
        let now = Instant::now();
        let visible = !plan.quiet && io::stderr().is_terminal();
        Self {
            scenario,
            visible,
            start: now,
            last: (now, 0),
        }
    }

    fn show(&mut self, answered: u64) {
        if !self.visible {
            return;
        }
        let now = Instant::now();
        let lately = (answered - self.last.1) as f64 / (now - self.last.0).as_secs_f64();
        let overall = answered as f64 / (now - self.start).as_secs_f64();
        eprint!(
            "\r{}: {:.0} s, {} replies, {} per second now, {} overall\x1b[K",
            self.scenario,
            (now - self.start).as_secs_f64(),
            report::grouped(answered as f64),
            report::grouped(lately),
            report::grouped(overall),
        );
        self.last = (now, answered);
    }

    fn clear(&self) {
        if self.visible {
            eprint!("\r\x1b[K");
        }
    }
}
