//! Results: one record per scenario, as a table for people and as JSON for programs.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::Outcome;

/// What a run of the load generator writes with `--json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Server's address.
    pub server: String,
    /// Connections.
    pub connections: usize,
    /// Requests under way per connection.
    pub pipeline: usize,
    /// Threads of load.
    pub threads: usize,
    /// One per scenario, in order.
    pub results: Vec<Measurement>,
}

/// One scenario's result. Times are in the unit that the name ends with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The scenario.
    pub scenario: String,
    /// Replies received.
    pub replies: u64,
    /// Messages that came to subscribers.
    pub messages: u64,
    /// Error values among them.
    pub errors: u64,
    /// Nil values among them.
    pub misses: u64,
    /// Replies that `--check` found wrong.
    pub mismatches: u64,
    /// The first error or mismatch.
    pub first_fault: Option<String>,
    /// From the first request to the last reply.
    pub seconds: f64,
    /// Replies a second.
    pub per_second: f64,
    /// Requests, in bytes.
    pub sent_bytes: u64,
    /// Replies, in bytes.
    pub received_bytes: u64,
    /// Smallest latency.
    pub min_us: f64,
    /// Mean latency.
    pub mean_us: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that 99 % of the replies keep to.
    pub p99_us: f64,
    /// Latency that 99.9 % of the replies keep to.
    pub p999_us: f64,
    /// Largest latency.
    pub max_us: f64,
    /// Processor time of the load generator per reply, where the system tells.
    pub load_cpu_us: Option<f64>,
}

impl Measurement {
    /// Adds up what the threads have done (at least one).
    pub(crate) fn of(scenario: &str, outcomes: Vec<Outcome>) -> Self {
        let mut latencies = crate::load::empty_histogram();
        let mut tally = crate::sink::Tally::default();
        let (mut sent_bytes, mut received_bytes, mut seconds) = (0, 0, 0.0_f64);
        let mut messages = 0;
        let mut cpu_seconds = Some(0.0);
        for outcome in outcomes {
            // Invariant: all histograms have the same bounds.
            latencies
                .add(&outcome.latencies)
                .expect("histograms of one shape");
            sent_bytes += outcome.traffic.sent_bytes;
            received_bytes += outcome.traffic.received_bytes;
            messages += outcome.traffic.messages;
            seconds = seconds.max(outcome.elapsed.as_secs_f64());
            cpu_seconds = cpu_seconds
                .zip(outcome.cpu)
                .map(|(sum, cpu)| sum + cpu.as_secs_f64());
            tally.merge(outcome.traffic.tally);
        }
        let replies = tally.replies;
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let quantile = |histogram: &Histogram<u64>, q| microseconds(histogram.value_at_quantile(q));
        Self {
            scenario: scenario.to_string(),
            replies,
            messages,
            errors: tally.errors,
            misses: tally.misses,
            mismatches: tally.mismatches,
            first_fault: tally.first_fault,
            seconds,
            per_second: if seconds > 0.0 {
                replies as f64 / seconds
            } else {
                0.0
            },
            sent_bytes,
            received_bytes,
            min_us: microseconds(latencies.min()),
            mean_us: latencies.mean() / 1e3,
            p50_us: quantile(&latencies, 0.5),
            p99_us: quantile(&latencies, 0.99),
            p999_us: quantile(&latencies, 0.999),
            max_us: microseconds(latencies.max()),
            load_cpu_us: cpu_seconds
                .filter(|_| replies > 0)
                .map(|cpu| cpu * 1e6 / replies as f64),
        }
    }

    /// Whether every reply was as it should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors == 0 && self.mismatches == 0
    }

    /// Megabytes (10^6) a second of requests and replies together.
    fn megabytes_per_second(&self) -> f64 {
        if self.seconds == 0.0 {
            return 0.0;
        }
        (self.sent_bytes + self.received_bytes) as f64 / self.seconds / 1e6
    }

    /// One line: name, throughput, median and tail.
    pub(crate) fn short_line(&self) -> String {
        format!(
            "{}: {} per second, p50 {:.3} ms, p99.9 {:.3} ms{}",
            self.scenario,
            grouped(self.per_second),
            self.p50_us / 1e3,
            self.p999_us / 1e3,
            self.remarks()
        )
    }

    /// What went wrong or was absent, empty when there is nothing to say.
    fn remarks(&self) -> String {
        let counts = [
            (self.errors, "errors"),
            (self.mismatches, "wrong replies"),
            (self.misses, "nil"),
        ];
        let mut text = String::new();
        for (count, name) in counts.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {} {name}", grouped(count as f64)));
        }
        if let Some(fault) = &self.first_fault {
            text.push_str(&format!(" (first: {fault})"));
        }
        text
    }
}

/// A column: its title and what it shows of a result.
type Column = (&'static str, fn(&Measurement) -> String);

/// The numbers of the table; the scenario's name stands before them, remarks after them.
const COLUMNS: &[Column] = &[
    ("replies", |row| grouped(row.replies as f64)),
    ("seconds", |row| format!("{:.2}", row.seconds)),
    ("per second", |row| grouped(row.per_second)),
    ("MB/s", |row| format!("{:.1}", row.megabytes_per_second())),
    ("min ms", |row| milliseconds(row.min_us)),
    ("mean ms", |row| milliseconds(row.mean_us)),
    ("p50 ms", |row| milliseconds(row.p50_us)),
    ("p99 ms", |row| milliseconds(row.p99_us)),
    ("p99.9 ms", |row| milliseconds(row.p999_us)),
    ("max ms", |row| milliseconds(row.max_us)),
    ("load us/op", |row| {
        row.load_cpu_us
            .map_or("-".into(), |cpu| format!("{cpu:.2}"))
    }),
];

/// The table of all results, one line each.
pub(crate) fn table(results: &[Measurement]) -> String {
    let name_width = results
        .iter()
        .map(|row| row.scenario.len())
        .max()
        .unwrap_or(0)
        .max(8);
    let mut text = format!("{:name_width$}", "scenario");
    for (title, _) in COLUMNS {
        text.push_str(&format!(" {title:>10}"));
    }
    for row in results {
        text.push_str(&format!("\n{:name_width$}", row.scenario));
        for (_, show) in COLUMNS {
            text.push_str(&format!(" {:>10}", show(row)));
        }
        let remarks = row.remarks();
        if let Some(remarks) = remarks.strip_prefix(',') {
            text.push_str(&format!(" {remarks}"));
        }
    }
    text
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.3}", microseconds / 1e3)
}

/// A whole number with its thousands set apart: 1234567 becomes 1,234,567.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
