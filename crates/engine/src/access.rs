//! The 24 access bits of an entry: what eviction and OBJECT IDLETIME / FREQ know about it.
//!
//! Under an LRU policy they are the low 24 bits of the second of the last access. Under an LFU
//! policy the upper 16 are the low bits of the minute of the last decay, the lower 8 a logarithmic
//! counter (Morris, 1978), as redis.io describes under "Key eviction".

use base::rng::Rng;
use base::time::UnixMillis;

const MASK: u32 = 0x00ff_ffff;
/// New keys start here, so that they are not evicted before they had a chance.
const LFU_INITIAL: u32 = 5;

/// How accesses are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    /// By the time of the last access.
    Lru,
    /// By a decaying count. `log_factor` and `decay_minutes` are `lfu-log-factor`,
    /// `lfu-decay-time`.
    Lfu {
        /// How slowly the counter saturates.
        log_factor: u32,
        /// Minutes after which the counter loses one; 0 = never.
        decay_minutes: u32,
    },
}

/// The bits of an entry made now.
pub fn fresh(recency: Recency, now: UnixMillis) -> u32 {
    match recency {
        Recency::Lru => seconds(now),
        Recency::Lfu { .. } => minutes(now) << 8 | LFU_INITIAL,
    }
}

/// The bits after an access now.
#[inline]
pub fn touched(access: u32, recency: Recency, now: UnixMillis, rng: &mut Rng) -> u32 {
    match recency {
        Recency::Lru => seconds(now),
        Recency::Lfu {
            log_factor,
            decay_minutes,
        } => {
            let count = decayed(access, decay_minutes, now);
            minutes(now) << 8 | incremented(count, log_factor, rng)
        }
    }
}

/// Seconds since the last access, under LRU.
pub fn idle_seconds(access: u32, now: UnixMillis) -> u32 {
    seconds(now).wrapping_sub(access) & MASK
}

/// The counter as of now, under LFU.
pub fn decayed(access: u32, decay_minutes: u32, now: UnixMillis) -> u32 {
    let count = access & 0xff;
    let elapsed = minutes(now).wrapping_sub(access >> 8) & 0xffff;
    match elapsed.checked_div(decay_minutes) {
        Some(periods) => count.saturating_sub(periods),
        None => count,
    }
}

/// The bits of an entry that was last used so many seconds ago, under LRU.
pub fn idle_since(idle_seconds: u64, now: UnixMillis) -> u32 {
    let last = now.as_secs().saturating_sub_unsigned(idle_seconds);
    last.max(0) as u32 & MASK
}

/// The bits of an entry whose counter is this now, under LFU.
pub fn with_count(count: u8, now: UnixMillis) -> u32 {
    minutes(now) << 8 | u32::from(count)
}

fn incremented(count: u32, log_factor: u32, rng: &mut Rng) -> u32 {
    if count >= 255 {
        return 255;
    }
    let base = u64::from(count.saturating_sub(LFU_INITIAL));
    let odds = base * u64::from(log_factor) + 1;
    count + u32::from(rng.below(odds) == 0)
}

fn seconds(now: UnixMillis) -> u32 {
    (now.0 / 1000) as u32 & MASK
}

fn minutes(now: UnixMillis) -> u32 {
    (now.0 / 60_000) as u32 & 0xffff
}
