//! Wall-clock and monotonic time behind one door, so that tests and the simulator own time.
//!
//! The engine reads the clock once per batch and passes the [`UnixMillis`] down; nothing below the
//! workers asks the operating system for the time. Invariant: a [`Clock`]'s monotonic nanoseconds
//! never go back, its wall clock may (operators set clocks).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in wall-clock time: milliseconds since 1970-01-01 00:00 UTC, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This time moved by `millis` (negative: back), pinned to the range of `i64`.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`, negative when `earlier` is later; saturating.
    #[inline]
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the epoch, rounded towards the past.
    #[inline]
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock. May go back when somebody sets it.
    fn now(&self) -> UnixMillis;

    /// The wall clock in microseconds since the epoch (the TIME command's resolution).
    fn now_micros(&self) -> i64;

    /// Nanoseconds since some fixed point of this clock's own. Never goes back.
    fn monotonic_nanos(&self) -> u64;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic nanoseconds count from this call.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now_micros().div_euclid(1000))
    }

    #[inline]
    fn now_micros(&self) -> i64 {
        // Microseconds fit i64 for 292,000 years either way; the pinning is for broken clocks.
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros)
            }
        }
    }

    #[inline]
    fn monotonic_nanos(&self) -> u64 {
        // 64 bits of nanoseconds are 584 years of uptime.
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until a test moves it. Shared by reference between threads.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_micros: AtomicI64,
    monotonic_nanos: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`; its monotonic time starts at zero.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self {
            wall_micros: AtomicI64::new(now.0.saturating_mul(1000)),
            monotonic_nanos: AtomicU64::new(0),
        }
    }

    /// Lets `millis` pass, on the wall and monotonically.
    pub fn advance_millis(&self, millis: u32) {
        self.wall_micros
            .fetch_add(i64::from(millis) * 1000, Ordering::SeqCst);
        self.monotonic_nanos
            .fetch_add(u64::from(millis) * 1_000_000, Ordering::SeqCst);
    }

    /// Sets the wall clock, back or forth, as an operator would; monotonic time stands still.
    pub fn set(&self, now: UnixMillis) {
        self.wall_micros
            .store(now.0.saturating_mul(1000), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now_micros().div_euclid(1000))
    }

    fn now_micros(&self) -> i64 {
        self.wall_micros.load(Ordering::SeqCst)
    }

    fn monotonic_nanos(&self) -> u64 {
        self.monotonic_nanos.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_millis_saturate() {
        assert_eq!(UnixMillis(5).saturating_add(-7), UnixMillis(-2));
        assert_eq!(UnixMillis(i64::MAX).saturating_add(1), UnixMillis(i64::MAX));
        assert_eq!(
            UnixMillis(i64::MIN).saturating_add(-1),
            UnixMillis(i64::MIN)
        );
        assert_eq!(UnixMillis(i64::MIN).millis_since(UnixMillis(1)), i64::MIN);
        assert_eq!(UnixMillis(1999).as_secs(), 1);
        assert_eq!(UnixMillis(-1).as_secs(), -1);
    }

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(UnixMillis(1_000));
        assert_eq!(
            (clock.now(), clock.monotonic_nanos()),
            (UnixMillis(1_000), 0)
        );
        clock.advance_millis(250);
        assert_eq!(
            (clock.now(), clock.monotonic_nanos()),
            (UnixMillis(1_250), 250_000_000)
        );
        clock.set(UnixMillis(-5));
        assert_eq!(
            (clock.now(), clock.monotonic_nanos()),
            (UnixMillis(-5), 250_000_000)
        );
    }

    #[test]
    fn system_clock_is_plausible() {
        let clock = SystemClock::new();
        let (first, second) = (clock.monotonic_nanos(), clock.monotonic_nanos());
        assert!(first <= second);
        // 2020-01-01; a machine whose clock is older than this code is set wrongly.
        assert!(clock.now() > UnixMillis(1_577_836_800_000));
        assert!((clock.now_micros() / 1000 - clock.now().0).abs() < 60_000);
    }
}
