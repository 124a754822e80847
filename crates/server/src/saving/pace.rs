//! Slowing saving and loading down, for tests: `rdb-key-save-delay` and `key-load-delay`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long is slept at once: a shorter delay, or the end, is noticed so soon.
const NAP: Duration = Duration::from_millis(5);

/// Microseconds for each key; or, if negative, one microsecond for so many keys.
#[derive(Debug, Default)]
pub struct Pace {
    micros: AtomicI64,
    keys: AtomicU64,
}

impl Pace {
    /// Changes it; who is asleep notices.
    pub fn set(&self, micros: i64) {
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// A key is done: sleeps for its time, unless `ended`.
    #[inline]
    pub fn key(&self, ended: &mut dyn FnMut() -> bool) {
        if self.micros.load(Ordering::Relaxed) != 0 {
            self.sleep(ended);
        }
    }

    /// Whether it is one of sleeping.
    pub fn is_slow(&self) -> bool {
        self.micros.load(Ordering::Relaxed) > 0
    }

    #[cold]
    fn sleep(&self, ended: &mut dyn FnMut() -> bool) {
        let begun = Instant::now();
        let keys = self.keys.fetch_add(1, Ordering::Relaxed);
        loop {
            let micros = self.micros.load(Ordering::Relaxed);
            let time = match u64::try_from(micros) {
                Ok(micros) => micros,
                Err(_) => u64::from(keys.is_multiple_of(micros.unsigned_abs())),
            };
            let left = Duration::from_micros(time).saturating_sub(begun.elapsed());
            if left.is_zero() || ended() {
                return;
            }
            thread::park_timeout(left.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_delay_or_the_end_wakes_who_sleeps() {
        let pace = Pace::default();
        pace.set(i64::from(i32::MAX));
        pace.key(&mut || true);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| pace.key(&mut || false));
            pace.set(0);
            sleeper.join().expect("it wakes up");
        });
        pace.set(-1000);
        (0..2000).for_each(|_| pace.key(&mut || false));
    }
}
