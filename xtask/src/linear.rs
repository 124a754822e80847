//! `cargo xtask linear`: the long run of the linearizability checker against a server with many
//! workers; see `testkit::linear`. `cargo test` has a short one.

use clap::Args;
use testkit::linear::{Plan, run as run_plan};
use testkit::peers::Kind;
use testkit::process::Server;

use crate::differential::{clock_seed, kind};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Operations, all connections together.
    #[arg(long, default_value_t = 1_000_000)]
    operations: usize,
    /// Connections, at most 64.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// The server's workers; peers have one.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Kill random clients on the way.
    #[arg(long)]
    kills: bool,
    /// Seed of the calls; how they interleave is not decided by it [default: from the clock].
    #[arg(long)]
    seed: Option<u64>,
    /// The server that is judged: ruddle, or a peer to test the checker itself.
    #[arg(long, default_value = "ruddle", value_parser = kind)]
    subject: Kind,
}

/// Runs and reports; answers that no order explains are an error.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let workers = options.workers.to_string();
    let args: &[&str] = match options.subject {
        Kind::Ruddle => &["--workers", &workers],
        Kind::Redis | Kind::Valkey => &[],
    };
    let server = Server::start(options.subject, args)?;
    let plan = Plan {
        operations: options.operations,
        connections: options.connections,
        seed: options.seed.unwrap_or_else(clock_seed),
        kills: options.kills,
    };
    println!("linear: {}, {plan:?}", options.subject.name());
    let report = run_plan(&server, &plan)?;
    println!("{report}");
    if report.faults.is_empty() {
        Ok(())
    } else {
        Err(report.faults.join("\n"))
    }
}
