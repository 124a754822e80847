//! From samples to verdicts: one `Outcome` per row, what `--json` holds and the report is made of.

use serde::Serialize;

use super::rows::{Goal, Metric, Row};
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
    /// Server's processor time per reply: the least of the passes, that is, the least disturbed.
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
        let (ratio, goal, reached) = match row.goal {
            Goal::TimesBetter(times) => {
                let ratio = if row.metric == Metric::Throughput {
                    ours / base
                } else {
                    base / ours
                };
                (
                    ratio,
                    format!("at least {times} times better"),
                    ratio >= times,
                )
            }
            Goal::AtMost(part) => {
                let ratio = ours / base;
                (
                    ratio,
                    format!("at most {part} of {}", row.line_up.base),
                    ratio <= part,
                )
            }
        };
        Self {
            row: row.name.to_string(),
            metric: row.metric.name(),
            servers,
            ratio,
            goal,
            reached,
        }
    }
}

impl Score {
    /// The number that a row of this metric compares; not a number when it was not measured.
    fn value(&self, metric: Metric) -> f64 {
        let load = |field: fn(&LoadScore) -> f64| self.load.as_ref().map_or(f64::NAN, field);
        match metric {
            Metric::CpuPerReply => load(|load| load.cpu_us_lowest),
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
            Self::Throughput => "throughput",
            Self::BytesPerKey => "bytes/key",
            Self::P999 => "p99.9",
        }
    }
}
