//! `cargo xtask differential`: Ruddle and a peer side by side under one random stream; see
//! `testkit::differential`.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use testkit::differential::several::{self, Theme};
use testkit::differential::{Plan, Report, lua, pubsub, run as run_plan, transactions};
use testkit::peers::Kind;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Seed of the stream [default: taken from the clock and printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Length of the stream.
    #[arg(long, default_value_t = 200_000)]
    commands: usize,
    /// The server that knows: redis or valkey.
    #[arg(long, default_value = "redis", value_parser = kind)]
    peer: Kind,
    /// The server that is judged: ruddle, or a peer to test the runner itself.
    #[arg(long, default_value = "ruddle", value_parser = kind)]
    subject: Kind,
    /// Report known differences, too.
    #[arg(long)]
    strict: bool,
    /// Compare the keyspace events of each command, too.
    #[arg(long)]
    events: bool,
    /// Compare publish/subscribe on several connections instead.
    #[arg(long, conflicts_with = "events")]
    pubsub: bool,
    /// Compare transactions, scripts and client-side caching on several connections instead.
    #[arg(long, conflicts_with_all = ["events", "pubsub"])]
    transactions: bool,
    /// Compare what scripts compute instead.
    #[arg(long, conflicts_with_all = ["events", "pubsub", "transactions"])]
    lua: bool,
}

/// Themes of several connections.
pub(crate) const PUBSUB: &Theme = &pubsub::THEME;
pub(crate) const TRANSACTIONS: &Theme = &transactions::THEME;

pub(crate) fn kind(name: &str) -> Result<Kind, String> {
    Kind::named(name).ok_or_else(|| "expected ruddle, redis or valkey".to_owned())
}

/// Runs and reports; a difference is an error.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let themes = [
        (options.pubsub, PUBSUB),
        (options.transactions, TRANSACTIONS),
    ];
    if let Some((_, theme)) = themes.iter().find(|(wanted, _)| *wanted) {
        let seed = options.seed.unwrap_or_else(clock_seed);
        let servers = (options.subject, options.peer);
        return check_several(theme, servers, seed, options.commands);
    }
    if options.lua {
        let seed = options.seed.unwrap_or_else(clock_seed);
        return check_lua((options.subject, options.peer), seed, options.commands);
    }
    let plan = Plan {
        subject: options.subject,
        peer: options.peer,
        seed: options.seed.unwrap_or_else(clock_seed),
        commands: options.commands,
        accept_known: !options.strict,
        events: options.events,
    };
    check(&plan)
}

/// Compares several connections, prints what happened; a difference is an error.
pub(crate) fn check_several(
    theme: &Theme,
    (subject, peer): (Kind, Kind),
    seed: u64,
    steps: usize,
) -> Result<(), String> {
    let names = (subject.name(), peer.name());
    println!(
        "differential: {}, {} against {}, seed {seed}",
        theme.name, names.0, names.1
    );
    let done = several::run(theme, (subject, peer), seed, steps)?;
    println!("differential: {done} steps, no difference");
    Ok(())
}

/// Compares what scripts compute, prints what happened; a difference is an error.
fn check_lua((subject, peer): (Kind, Kind), seed: u64, scripts: usize) -> Result<(), String> {
    let names = (subject.name(), peer.name());
    println!(
        "differential: scripts, {} against {}, seed {seed}",
        names.0, names.1
    );
    let done = lua::run(subject, peer, seed, scripts)?;
    println!("differential: {done} scripts, no difference");
    Ok(())
}

/// Runs a plan, prints what happened; a difference is an error.
pub(crate) fn check(plan: &Plan) -> Result<(), String> {
    let (subject, peer) = (plan.subject.name(), plan.peer.name());
    println!("differential: {subject} against {peer}, seed {}", plan.seed);
    let report = run_plan(plan)?;
    print_notes(&report);
    match &report.difference {
        None => {
            println!("differential: {} commands, no difference", report.commands);
            Ok(())
        }
        Some(found) => Err(format!(
            "{subject} and {peer} differ after {} commands (seed {}); on an empty server:\n{found}",
            report.commands, plan.seed
        )),
    }
}

fn print_notes(report: &Report) {
    if !report.left_out.is_empty() {
        println!(
            "  not generated, one side lacks them: {}",
            report.left_out.join(" ")
        );
    }
    for (reason, count) in &report.accepted {
        println!("  accepted {count} times: {reason}");
    }
}

pub(crate) fn clock_seed() -> u64 {
    // A clock before 1970 gives seed 0, which is as good as any.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
