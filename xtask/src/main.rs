//! Project automation: `cargo xtask TASK`. The only automation there is; CI runs nothing else.
//!
//! Each task is a module with one `run`. A task that fails says why in one message and ends with
//! code 1.

mod bench;
mod differential;
mod docs;
mod fuzz;
mod interleavings;
mod inventory;
mod linear;
mod peers;
mod queues;
mod sanitize;
mod server;
mod shell;
mod smoke;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Automation of the Ruddle project.")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the pinned peers (Redis, Valkey, redis-py) into target/peers, without root.
    Peers,
    /// Measure Ruddle and the peers side by side.
    Bench(bench::Options),
    /// Send one random stream of commands to two servers and compare every reply.
    Differential(differential::Options),
    /// Let many connections work on hot keys and check that one order explains their answers.
    Linear(linear::Options),
    /// Run BullMQ, rq and Celery against Ruddle.
    Queues,
    /// Check the rules of the house.
    Tidy(tidy::Options),
    /// Write COMPATIBILITY.md anew.
    Docs,
    /// Try interleavings of threads in the tests of locks, waiters and mailboxes, by shuttle.
    Interleavings,
    /// Run tests under a sanitizer (needs nightly).
    Sanitize(sanitize::Options),
    /// Run the fuzz targets (needs nightly and cargo-fuzz).
    Fuzz(fuzz::Options),
    /// Run every check there is; ends with `N passed, N failed`.
    Test(test::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Peers => peers::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Differential(options) => differential::run(&options),
        Task::Interleavings => interleavings::run(),
        Task::Linear(options) => linear::run(&options),
        Task::Queues => queues::run().result(),
        Task::Tidy(options) => tidy::run(&options),
        Task::Docs => docs::run(),
        Task::Sanitize(options) => sanitize::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Test(options) => test::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
