//! `cargo xtask test`: everything that decides whether the project is sound, and one line of
//! numbers at the end.
//!
//! The parts run in order and all of them always run; the last line, `N passed, N failed`, sums
//! them up and is what CI reads.

use std::process::Command;

use clap::Args;
use testkit::differential::Plan;
use testkit::differential::several::Theme;
use testkit::peers::{self as peers_lookup, Kind};

use crate::{differential, peers, queues, shell, smoke, tidy};

/// How much to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Length of the differential run against each peer.
    #[arg(long, default_value_t = 200_000)]
    commands: usize,
    /// Seed of the differential runs. Fixed, so that a red build is red for its own change.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How many checks of a part went well, how many did not, and what those said.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    faults: Vec<String>,
}

impl Tally {
    /// The checks of a script that prints `ok NAME` or `failed NAME: why` for each; an error if it
    /// `succeeded` in none, or ended otherwise than its lines say.
    pub(crate) fn of_lines(printed: &str, succeeded: bool) -> Result<Tally, String> {
        let count = |word| {
            let lines = printed.lines();
            lines.filter(|line| line.starts_with(word)).count()
        };
        let (passed, failed) = (count("ok "), count("failed "));
        if failed == 0 && (!succeeded || passed == 0) {
            return Err(format!("ended early, after {passed} checks"));
        }
        let lines = printed.lines().filter(|line| line.starts_with("failed "));
        Ok(Tally {
            passed,
            failed,
            faults: lines.map(str::to_owned).collect(),
        })
    }

    /// Success, if nothing failed. What failed is told once more, right before the closing line:
    /// of a log that is too long to keep, the end is what is kept.
    pub(crate) fn result(self) -> Result<(), String> {
        for fault in &self.faults {
            println!("{}", shortened(fault));
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        match self.failed {
            0 => Ok(()),
            _ => Err("tests failed".to_owned()),
        }
    }

    /// The sum.
    pub(crate) fn and(mut self, other: Tally) -> Tally {
        self.passed += other.passed;
        self.failed += other.failed;
        self.faults.extend(other.faults);
        self
    }

    /// One check, and whether it went well; a failure is printed.
    pub(crate) fn of(result: Result<(), String>) -> Tally {
        let mut tally = Tally::default();
        match result {
            Ok(()) => tally.passed = 1,
            Err(why) => {
                eprintln!("{why}");
                tally.failed = 1;
                tally.faults.push(why);
            }
        }
        tally
    }
}

/// Lines of one failure that the end of the log repeats.
const FAULT_LINES: usize = 40;

fn shortened(fault: &str) -> String {
    let mut lines: Vec<&str> = fault.lines().take(FAULT_LINES + 1).collect();
    if lines.len() > FAULT_LINES {
        lines[FAULT_LINES] = "[...]";
    }
    lines.join("\n")
}

type Part = fn(&Options) -> Tally;

/// The parts, in order: what the later ones need comes first.
const PARTS: &[(&str, Part)] = &[
    ("build", |_| Tally::of(build())),
    ("peers", |_| Tally::of(peers::run())),
    ("tidy", |_| Tally::of(tidy::run(&tidy::Options::default()))),
    ("cargo test", |_| cargo_test()),
    ("client library", |_| smoke::run()),
    ("queue libraries", |_| queues::run()),
    ("differential, redis", |options| {
        compare(options, Kind::Redis, false)
    }),
    ("differential, valkey", |options| {
        compare(options, Kind::Valkey, false)
    }),
    ("differential, redis, publish/subscribe", |options| {
        compare_several(options, differential::PUBSUB)
    }),
    (
        "differential, redis, transactions, scripts, caching",
        |options| compare_several(options, differential::TRANSACTIONS),
    ),
    ("differential, redis, events", |options| {
        compare(options, Kind::Redis, true)
    }),
    ("differential, valkey, events", |options| {
        compare(options, Kind::Valkey, true)
    }),
];

/// Runs all parts.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut total = Tally::default();
    for (name, part) in PARTS {
        println!("== {name}");
        let tally = part(options);
        println!(
            "== {name}: {} passed, {} failed",
            tally.passed, tally.failed
        );
        total = total.and(tally);
    }
    total.result()
}

fn build() -> Result<(), String> {
    shell::run(Command::new(shell::cargo()).args(["build", "--workspace", "--all-targets"]))
}

/// Unit tests, integration tests, and with them the transcripts against Ruddle and its peers.
fn cargo_test() -> Tally {
    let mut cargo = Command::new(shell::cargo());
    let tested = shell::output(cargo.args(["test", "--workspace", "--no-fail-fast"]));
    let (succeeded, printed) = match tested {
        Ok(tested) => tested,
        Err(why) => return Tally::of(Err(why)),
    };
    print!("{printed}");
    let mut tally = Tally {
        faults: faults_of(&printed),
        ..Tally::default()
    };
    for line in printed.lines() {
        let Some(numbers) = line.strip_prefix("test result: ") else {
            continue;
        };
        tally.passed += number_before(numbers, " passed");
        tally.failed += number_before(numbers, " failed");
    }
    // A test that does not compile or dies has no line of its own.
    if !succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    tally
}

/// What each failed test has printed, which `cargo test` gives under a heading of dashes.
fn faults_of(printed: &str) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    let mut inside = false;
    for line in printed.lines() {
        if line.starts_with("---- ") {
            inside = true;
            faults.push(String::new());
        } else if line == "failures:" {
            inside = false;
        }
        if inside && let Some(fault) = faults.last_mut() {
            fault.push_str(line);
            fault.push('\n');
        }
    }
    faults
}

/// The number right before `word`; 0 if there is none.
fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn compare(options: &Options, peer: Kind, events: bool) -> Tally {
    if !peers_lookup::has_ruddle() {
        return Tally::default();
    }
    Tally::of(differential::check(&Plan {
        subject: Kind::Ruddle,
        peer,
        seed: options.seed,
        commands: options.commands,
        accept_known: true,
        events,
    }))
}

fn compare_several(options: &Options, theme: &Theme) -> Tally {
    if !peers_lookup::has_ruddle() {
        return Tally::default();
    }
    let steps = options.commands / COMMANDS_PER_STEP;
    let servers = (Kind::Ruddle, Kind::Redis);
    let checked = differential::check_several(theme, servers, options.seed, steps);
    Tally::of(checked)
}

/// A step of several connections is so many times the work of a command.
const COMMANDS_PER_STEP: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_again() {
        let printed = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nwhy\n\n\
                       failures:\n    a\n\ntest result: FAILED. 0 passed; 1 failed\n";
        assert_eq!(faults_of(printed), ["---- a stdout ----\nwhy\n\n"]);
        let long = "line\n".repeat(FAULT_LINES + 5);
        assert!(shortened(&long).ends_with("line\n[...]"));
        assert_eq!(shortened("short\n"), "short");
    }

    #[test]
    fn the_numbers_of_a_result_line_are_read() {
        let line = "FAILED. 12 passed; 3 failed; 0 ignored; 0 measured";
        assert_eq!(
            (
                number_before(line, " passed"),
                number_before(line, " failed")
            ),
            (12, 3)
        );
        assert_eq!(number_before("ok.", " passed"), 0);
    }
}
