//! From samples to verdicts: one `Outcome` per row, what `--json` holds and the report is made of.

use serde::Serialize;

use super::rows::{Goal, Median, Metric, Row};
use super::subject::{Sample, Subject};

/// A row's result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) row: String,
    /// The number that the row is about.
    pub(super) metric: &'static str,
    /// One per server, ours first.
    pub(super) servers: Vec<Score>,
    /// Ours against the base: times better, or part of the base's.
    pub(super) ratio: f64,
    /// The goal as text.
    pub(super) goal: String,
    /// Whether the goal is reached.
    pub(super) reached: bool,
    /// Why there are no numbers.
    pub(super) problem: Option<String>,
}

/// One server's numbers in one row; loads are absent where only memory was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Score {
    pub(super) label: String,
    /// Resident memory per key after the fill.
    pub(super) bytes_per_key: f64,
    pub(super) load: Option<LoadScore>,
}

/// What several passes of one load came to. The other numbers are medians over the passes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LoadScore {
    /// Server's processor time per reply (per message, if there were any): the least of the
    /// passes, that is, the least disturbed.
    pub(super) cpu_us_lowest: f64,
    pub(super) cpu_us_median: f64,
    /// The most of the passes.
    pub(super) per_second_highest: f64,
    pub(super) per_second_median: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// The load generator's own processor time per reply, and the share of its core that this was.
    pub(super) generator_cpu_us: f64,
    pub(super) generator_busy: f64,
}

impl LoadScore {
    /// Sums up the passes; there is at least one.
    fn of(samples: &[Sample]) -> Self {
        let all = |field: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = samples.iter().map(field).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |field: fn(&Sample) -> f64| all(field)[samples.len() / 2];
        Self {
            cpu_us_lowest: all(|sample| sample.cpu_us)[0],
            cpu_us_median: median(|sample| sample.cpu_us),
            per_second_highest: all(|sample| sample.load.per_second)[samples.len() - 1],
            per_second_median: median(|sample| sample.load.per_second),
            p50_us: median(|sample| sample.load.p50_us),
            p99_us: median(|sample| sample.load.p99_us),
            p999_us: median(|sample| sample.load.p999_us),
            generator_cpu_us: median(generator_cpu_us),
            generator_busy: median(|sample| {
                generator_cpu_us(sample) * sample.load.per_second / 1e6
            }),
        }
    }
}

fn generator_cpu_us(sample: &Sample) -> f64 {
    sample.load.load_cpu_us.unwrap_or(0.0)
}

impl Outcome {
    /// Judges a row: `samples` holds each subject's passes, in the subjects' order.
    pub(super) fn of(row: &Row, subjects: &[Subject<'_>], samples: &[Vec<Sample>]) -> Self {
        let servers: Vec<Score> = subjects
            .iter()
            .zip(samples)
            .map(|(subject, passes)| Score {
                label: subject.contender.label.to_string(),
                bytes_per_key: subject.bytes_per_key,
                load: (!passes.is_empty()).then(|| LoadScore::of(passes)),
            })
            .collect();
        let ours = servers
            .first()
            .map_or(f64::NAN, |score| score.value(row.metric));
        let base = servers.iter().find(|score| score.label == row.line_up.base);
        let base = base.map_or(f64::NAN, |score| score.value(row.metric));
        let ratio = match (row.goal, row.metric) {
            (Goal::TimesBetter(_), Metric::Throughput) | (Goal::AtMost(_), _) => ours / base,
            (Goal::TimesBetter(_), _) => base / ours,
        };
        Self {
            row: row.name.clone(),
            metric: row.metric.name(),
            servers,
            ratio,
            goal: goal(row),
            reached: match row.goal {
                Goal::TimesBetter(times) => ratio >= times,
                Goal::AtMost(part) => ratio <= part,
            },
            problem: None,
        }
    }

    /// A row without numbers.
    pub(super) fn failed(row: &Row, why: &str) -> Self {
        Self {
            row: row.name.clone(),
            metric: row.metric.name(),
            servers: Vec::new(),
            ratio: f64::NAN,
            goal: goal(row),
            reached: false,
            problem: Some(why.to_owned()),
        }
    }

    /// The median of those outcomes (of `rows`, in the same order) that it is about; nothing if
    /// there is none.
    pub(super) fn median(median: &Median, rows: &[Row], outcomes: &[Outcome]) -> Option<Self> {
        let mut ratios: Vec<f64> = rows
            .iter()
            .zip(outcomes)
            .filter(|(row, _)| row.group == median.group && row.name.ends_with(median.suffix))
            .map(|(_, outcome)| outcome.ratio)
            .filter(|ratio| ratio.is_finite())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = *ratios.get(ratios.len().saturating_sub(1) / 2)?;
        Some(Self {
            row: format!("{} ({} rows)", median.name, ratios.len()),
            metric: Metric::CpuPerReply.name(),
            servers: Vec::new(),
            ratio,
            goal: times_better(median.times),
            reached: ratio >= median.times,
            problem: None,
        })
    }
}

/// A row's goal as text.
fn goal(row: &Row) -> String {
    match row.goal {
        Goal::TimesBetter(times) => times_better(times),
        Goal::AtMost(part) => format!("at most {part} of {}", row.line_up.base),
    }
}

fn times_better(times: f64) -> String {
    format!("at least {times} times better")
}

impl Score {
    /// The number that a row of this metric compares; not a number when it was not measured.
    fn value(&self, metric: Metric) -> f64 {
        let load = |field: fn(&LoadScore) -> f64| self.load.as_ref().map_or(f64::NAN, field);
        match metric {
            Metric::CpuPerReply | Metric::CpuPerMessage => load(|load| load.cpu_us_lowest),
            Metric::Throughput => load(|load| load.per_second_highest),
            Metric::BytesPerKey => self.bytes_per_key,
            Metric::P999 => load(|load| load.p999_us),
        }
    }
}

impl Metric {
    /// What the report calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CpuPerReply => "CPU/op",
            Self::CpuPerMessage => "CPU/message",
            Self::Throughput => "throughput",
            Self::BytesPerKey => "bytes/key",
            Self::P999 => "p99.9",
        }
    }
}
