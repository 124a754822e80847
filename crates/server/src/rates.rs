//! Commands, bytes and rounds per second, as INFO's `instantaneous_` fields show them: means over
//! the last sixteen samples, which the first worker takes ten times a second.

use parking_lot::Mutex;

use crate::stats::Totals;

const SAMPLES: usize = 16;

/// Quantities that are measured.
const QUANTITIES: usize = 5;

/// Per second: commands, bytes received, bytes sent, rounds of event loops, nanoseconds in them.
pub type PerSecond = [u64; QUANTITIES];

/// See the module's head.
#[derive(Default)]
pub struct Rates(Mutex<Sampled>);

#[derive(Default)]
struct Sampled {
    /// Ring of rates.
    rates: [PerSecond; SAMPLES],
    next: usize,
    /// Time of the latest sample in monotonic nanoseconds, and the sums at that time.
    latest: Option<(u64, [u64; QUANTITIES])>,
}

impl Rates {
    /// Takes a sample of the sums over all workers.
    pub fn sample(&self, now_nanos: u64, totals: &Totals) {
        let sums = [
            totals.commands_processed,
            totals.bytes_in,
            totals.bytes_out,
            totals.rounds,
            totals.round_nanos,
        ];
        let mut sampled = self.0.lock();
        let latest = sampled.latest.replace((now_nanos, sums));
        let Some((then, before)) = latest else { return };
        let nanos = u128::from(now_nanos.saturating_sub(then).max(1));
        let rate = |at: usize| {
            let count = u128::from(sums[at].saturating_sub(before[at]));
            (count * 1_000_000_000 / nanos) as u64
        };
        let at = sampled.next;
        sampled.rates[at] = std::array::from_fn(rate);
        sampled.next = (at + 1) % SAMPLES;
    }

    /// The means.
    pub fn per_second(&self) -> PerSecond {
        let sampled = self.0.lock();
        let sum = |at: usize| sampled.rates.iter().map(|rates| rates[at]).sum::<u64>();
        std::array::from_fn(|at| sum(at) / SAMPLES as u64)
    }

    /// Forgets all samples (CONFIG RESETSTAT).
    pub fn reset(&self) {
        *self.0.lock() = Sampled::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_after_sixteen_samples() {
        let rates = Rates::default();
        for tick in 0..=SAMPLES as u64 {
            let totals = Totals {
                commands_processed: tick * 50,
                bytes_in: tick * 100,
                ..Totals::default()
            };
            rates.sample(tick * 100_000_000, &totals);
        }
        assert_eq!(rates.per_second(), [500, 1000, 0, 0, 0]);
        rates.reset();
        assert_eq!(rates.per_second(), [0; QUANTITIES]);
    }
}
