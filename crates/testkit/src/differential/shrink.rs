//! Makes a difference small: reruns shorter and shorter streams on empty servers, keeping what
//! still differs.
//!
//! First only the end of the stream, doubling until it differs; then pieces are cut out, halving
//! their size (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002,
//! without the complement step).

use std::time::{Duration, Instant};

use super::session::Pair;
use super::{CHUNK, Difference, Step};

/// After this time what has been reached is good enough. (A server that hangs costs a timeout per
/// try.)
const TIME_MAX: Duration = Duration::from_secs(60);

/// The shortest stream found that still makes the two servers differ, as a difference.
pub(super) fn minimise(
    pair: &mut Pair,
    steps: &[Step],
    found: Difference,
) -> Result<Difference, String> {
    let mut shrinker = Shrinker {
        pair,
        deadline: Instant::now() + TIME_MAX,
    };
    let mut length = 2;
    let mut best = None;
    while best.is_none() && length < steps.len() * 2 {
        best = shrinker.rerun(&steps[steps.len().saturating_sub(length)..])?;
        length *= 2;
    }
    let Some(mut best) = best else {
        // Not reproducible: timing, or state that an empty server does not have. Say what was seen.
        return Ok(Difference {
            asked: format!("{} (seen once only)", found.asked),
            ..found
        });
    };
    let mut piece = best.steps.len().div_ceil(2);
    while piece > 0 && shrinker.has_time() {
        let cut_any = shrinker.cut(&mut best, piece)?;
        if !(cut_any && piece == 1) {
            piece /= 2;
        }
    }
    Ok(best)
}

struct Shrinker<'a> {
    pair: &'a mut Pair,
    deadline: Instant,
}

impl Shrinker<'_> {
    fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// Tries to leave out each piece of this length; whether one could go.
    fn cut(&mut self, best: &mut Difference, piece: usize) -> Result<bool, String> {
        let mut cut_any = false;
        let mut at = 0;
        while at < best.steps.len() && self.has_time() {
            let mut shorter = best.steps.clone();
            shorter.drain(at..(at + piece).min(best.steps.len()));
            match self.rerun(&shorter)? {
                Some(found) if found.steps.len() < best.steps.len() => {
                    *best = found;
                    cut_any = true;
                }
                _ => at += piece,
            }
        }
        Ok(cut_any)
    }

    /// The first difference of this stream on empty servers. Its steps include the one that
    /// differs.
    fn rerun(&mut self, steps: &[Step]) -> Result<Option<Difference>, String> {
        self.pair.begin()?;
        for (index, chunk) in steps.chunks(CHUNK).enumerate() {
            if let Some(mut found) = self.pair.exchange(chunk) {
                let length = index * CHUNK + found.steps.len() + 1;
                found.steps = steps[..length.min(steps.len())].to_vec();
                return Ok(Some(found));
            }
        }
        let found = self.pair.audit();
        Ok(found.map(|found| Difference {
            steps: steps.to_vec(),
            ..found
        }))
    }
}
