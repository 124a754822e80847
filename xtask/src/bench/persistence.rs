//! Persistence, measured in phases rather than rows: snapshots, rewriting and loading act on a
//! whole data set, and what they do to others is measured while they run.
//!
//! All servers are up and filled throughout. Each phase goes through them in turn, several times;
//! the least disturbed pass counts.

pub(super) mod phases;

use serde::Serialize;

use super::rows::{Contender, DataSet, Fill, REDIS, VALKEY, ruddle};
use super::subject::Subject;
use super::{QUICK_SHRINK, Session, report};

/// What one phase came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What was measured, and in what.
    pub(super) what: &'static str,
    /// One per server, ours first.
    pub(super) values: Vec<f64>,
    pub(super) goal: Goal,
}

/// What a finding must show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) enum Goal {
    /// Nothing: others are compared with it.
    None,
    /// Ours is smaller than each peer's by this factor.
    Smaller(f64),
    /// Ours is larger than each peer's by this factor.
    Larger(f64),
    /// Ours is at most this.
    AtMost(f64),
}

const fn line_up(arguments: &'static [&'static str]) -> [Contender; 3] {
    [
        ruddle("ruddle", arguments),
        Contender { arguments, ..REDIS },
        Contender {
            arguments,
            ..VALKEY
        },
    ]
}

/// No rewrite begins by itself, and `dir` may be set.
const PLAIN: &[Contender] = &line_up(&[
    "--auto-aof-rewrite-percentage",
    "0",
    "--enable-protected-configs",
    "yes",
]);
const ALWAYS: &[Contender] = &line_up(&["--appendonly", "yes", "--appendfsync", "always"]);
const EVERY_SECOND: &[Contender] = &line_up(&["--appendonly", "yes", "--appendfsync", "everysec"]);

/// Passes of the phases that take as long as the data is large.
const LONG_PASSES: usize = 2;
/// Keys where their number does not matter.
const FEW_KEYS: u64 = 100_000;
const VALUE_BYTES: u64 = 64;

type Measure<'a> = &'a dyn Fn(&Subject<'_>) -> Result<f64, String>;

/// Measures everything with so many keys.
pub(super) fn run(session: &Session, keys: u64) -> Result<Vec<Finding>, String> {
    let mut findings = large(session, keys / session.shrink)?;
    findings.extend(journaled(session)?);
    Ok(findings)
}

/// What depends on the size of the data.
fn large(session: &Session, keys: u64) -> Result<Vec<Finding>, String> {
    let subjects = start(session, PLAIN, keys, false)?;
    let passes = LONG_PASSES.min(session.passes);
    let least = |what, goal, measure: Measure<'_>| {
        let values = in_turn(&subjects, passes, what, measure)?;
        let values = values.iter().map(|of_one| extreme(of_one, f64::min));
        Ok::<_, String>(Finding {
            what,
            values: values.collect(),
            goal,
        })
    };
    let seconds = session.seconds;
    let mut findings = vec![
        // A slow disk makes all alike, so there is a row without one.
        least(
            "BGSAVE to memory, s",
            Goal::Smaller(2.0),
            &phases::save_to_memory,
        )?,
        least("BGSAVE to disk, s", Goal::None, &phases::save)?,
        least("loading, s", Goal::Smaller(2.0), &phases::load)?,
        least(
            "memory beside BGSAVE, MiB",
            Goal::Smaller(5.0),
            &phases::memory,
        )?,
        least("p99.9, us", Goal::None, &|subject| {
            phases::calm(subject, seconds)
        })?,
        least("p99.9 beside BGSAVE, us", Goal::Smaller(5.0), &|subject| {
            phases::beside(subject, phases::SAVE)
        })?,
    ];
    findings.push(calm(
        &findings[4],
        &findings[5],
        "p99.9 beside BGSAVE to without",
    ));
    for subject in &subjects {
        phases::turn_journal_on(subject)?;
    }
    findings.extend([
        least("p99.9 with AOF, us", Goal::None, &|subject| {
            phases::calm(subject, seconds)
        })?,
        least(
            "p99.9 beside AOF rewrite, us",
            Goal::Smaller(5.0),
            &|subject| phases::beside(subject, phases::REWRITE),
        )?,
    ]);
    findings.push(calm(
        &findings[7],
        &findings[8],
        "p99.9 beside AOF rewrite to without",
    ));
    Ok(findings)
}

/// What depends on the policy of syncing.
fn journaled(session: &Session) -> Result<Vec<Finding>, String> {
    let seconds = session.seconds;
    let measured = |contenders, pinned, what, measure: Measure<'_>| {
        let subjects = start(session, contenders, FEW_KEYS, pinned)?;
        in_turn(&subjects, session.passes, what, measure)
    };
    let what = "SET with appendfsync always, 1/s";
    let always = measured(ALWAYS, false, what, &|subject| {
        phases::throughput(subject, seconds)
    })?;
    let throughput = Finding {
        what,
        values: always
            .iter()
            .map(|of_one| extreme(of_one, f64::max))
            .collect(),
        goal: Goal::Larger(1.5),
    };
    let what = "CPU per SET with everysec, P=16, us";
    let every_second = measured(EVERY_SECOND, true, what, &|subject| {
        phases::processor_time(subject, seconds)
    })?;
    let processor_time = Finding {
        what,
        values: every_second
            .iter()
            .map(|of_one| extreme(of_one, f64::min))
            .collect(),
        goal: Goal::Smaller(1.6),
    };
    Ok(vec![throughput, processor_time])
}

/// A line-up's servers, filled.
fn start<'a>(
    session: &'a Session,
    contenders: &[Contender],
    keys: u64,
    pinned: bool,
) -> Result<Vec<Subject<'a>>, String> {
    let data = DataSet {
        keys: keys.max(QUICK_SHRINK),
        value_bytes: VALUE_BYTES,
        fill: Fill::Strings,
    };
    let start = |contender: &Contender| session.start_one(*contender, data, pinned);
    contenders.iter().map(start).collect()
}

/// Measures each server in turn, several times: for each its passes.
fn in_turn(
    subjects: &[Subject<'_>],
    passes: usize,
    what: &str,
    measure: Measure<'_>,
) -> Result<Vec<Vec<f64>>, String> {
    eprintln!("{what} ...");
    let mut values = vec![Vec::new(); subjects.len()];
    for _ in 0..passes {
        for (subject, values) in subjects.iter().zip(&mut values) {
            let told = |why| format!("{what}: {}: {why}", subject.contender.label);
            values.push(measure(subject).map_err(told)?);
        }
    }
    // The table comes at the end, minutes later.
    eprintln!("  {values:?}");
    Ok(values)
}

fn extreme(values: &[f64], better: fn(f64, f64) -> f64) -> f64 {
    values.iter().copied().reduce(better).unwrap_or(f64::NAN)
}

/// How many times each server's value without a disturbance its value with it is.
fn calm(without: &Finding, with: &Finding, what: &'static str) -> Finding {
    let pairs = with.values.iter().zip(&without.values);
    Finding {
        what,
        values: pairs.map(|(with, without)| with / without).collect(),
        goal: Goal::AtMost(1.3),
    }
}

impl Finding {
    /// Ours against the better peer: times better. Nothing if that is not the question.
    fn ratio(&self) -> Option<f64> {
        let (ours, peers) = self.values.split_first()?;
        match self.goal {
            Goal::None | Goal::AtMost(_) => None,
            Goal::Smaller(_) => Some(extreme(peers, f64::min) / ours),
            Goal::Larger(_) => Some(ours / extreme(peers, f64::max)),
        }
    }

    fn is_reached(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::Smaller(times) | Goal::Larger(times) => Some(self.ratio()? >= times),
            Goal::AtMost(most) => Some(*self.values.first()? <= most),
        }
    }
}

/// What the report calls the servers.
pub(super) const LABELS: &[&str] = &["ruddle", "redis", "valkey"];

/// One line per finding about these servers.
pub(super) fn table(findings: &[Finding], servers: &[&str], markdown: bool) -> String {
    let titles = [&["what"], servers, &["times better", "goal", "reached"]].concat();
    let titles = titles.into_iter().map(String::from);
    let lines = findings.iter().map(|finding| {
        let mut cells = vec![finding.what.to_owned()];
        cells.extend(finding.values.iter().map(|value| shown(*value)));
        cells.push(
            finding
                .ratio()
                .map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        );
        cells.push(match finding.goal {
            Goal::None => "-".to_owned(),
            Goal::Smaller(times) | Goal::Larger(times) => format!("{times} times better"),
            Goal::AtMost(most) => format!("at most {most}"),
        });
        cells.push(match finding.is_reached() {
            None => "-".to_owned(),
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
        });
        cells
    });
    report::table(titles.collect(), lines.collect(), markdown)
}

/// With as many digits as mean something.
fn shown(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(values: &[f64], goal: Goal) -> Finding {
        Finding {
            what: "it",
            values: values.to_vec(),
            goal,
        }
    }

    #[test]
    fn the_better_peer_counts() {
        let smaller = finding(&[1.0, 2.5, 1.9], Goal::Smaller(2.0));
        assert_eq!(
            (smaller.ratio(), smaller.is_reached()),
            (Some(1.9), Some(false))
        );
        let larger = finding(&[6.0, 3.0, 2.0], Goal::Larger(2.0));
        assert_eq!(
            (larger.ratio(), larger.is_reached()),
            (Some(2.0), Some(true))
        );
        let at_most = finding(&[1.2, 9.0, 9.0], Goal::AtMost(1.3));
        assert_eq!((at_most.ratio(), at_most.is_reached()), (None, Some(true)));
    }
}
