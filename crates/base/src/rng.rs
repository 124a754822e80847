//! Pseudo-random numbers: small, fast, seedable, and the same on every machine.
//!
//! The generator is xoshiro256++ (Blackman and Vigna, 2018, public domain), its state filled from
//! the seed by splitmix64 as the authors advise. Good for sampling, eviction and tests; not for
//! secrets. Real entropy comes in through [`seed_from_os`] and [`fill_from_os`] only, so that a
//! test or the simulator that passes its own seed sees the same run again.

use std::ops::Range;

/// A seeded generator. Two with the same seed give the same numbers for ever.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator that depends on `seed` alone. Any seed is as good as any other.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut walk = seed;
        // Splitmix64 visits zero once in 2^64 steps, so that the state cannot be all zeros.
        Self {
            state: std::array::from_fn(|_| splitmix64(&mut walk)),
        }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, each with the same probability. `bound` must not be zero.
    ///
    /// Lemire's method: a multiplication, and a division only when a biased draw is possible.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "no number is below zero");
        let mut wide = u128::from(self.next_u64()) * u128::from(bound);
        if (wide as u64) < bound {
            let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
            while (wide as u64) < threshold {
                wide = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (wide >> 64) as u64
    }

    /// A number in `range`, each with the same probability. The range must not be empty.
    #[inline]
    pub fn in_range(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// One step of splitmix64 (Steele, Lea, Flood, 2014): spreads poor seeds over all bits.
fn splitmix64(walk: &mut u64) -> u64 {
    *walk = walk.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *walk;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A seed that nobody can guess.
///
/// # Panics
/// When the operating system has no entropy to give: no server should start with guessable seeds.
#[must_use]
pub fn seed_from_os() -> u64 {
    let mut bytes = [0; 8];
    fill_from_os(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Fills `bytes` from the operating system's generator; fit for secrets.
///
/// # Panics
/// As [`seed_from_os`].
pub fn fill_from_os(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no random bytes: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_first_numbers() {
        // The authors' C code, seeded through splitmix64 with 0, as other implementations have it.
        let mut rng = Rng::from_seed(0);
        assert_eq!(rng.next_u64(), 0x5317_5d61_490b_23df);
        assert_eq!(rng.next_u64(), 0x61da_6f3d_c380_d507);
        let mut walk = 1_234_567;
        assert_eq!(splitmix64(&mut walk), 6_457_827_717_110_365_317);
    }

    #[test]
    fn below_is_even() {
        let mut rng = Rng::from_seed(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        // Five standard deviations of a binomial (100,000, 1/10) are 474.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 474),
            "{counts:?}"
        );
    }

    #[test]
    fn below_has_no_bias_where_a_plain_multiplication_would() {
        // Four draws for three numbers: without rejection every third number would come twice.
        let mut rng = Rng::from_seed(8);
        let bound = 3 << 62;
        let thirds = (0..30_000)
            .filter(|_| rng.below(bound).is_multiple_of(3))
            .count();
        // Five standard deviations of a binomial (30,000, 1/3) are 408.
        assert!(thirds.abs_diff(10_000) < 409, "{thirds}");
    }

    #[test]
    fn os_seeds_differ() {
        assert_ne!(seed_from_os(), seed_from_os());
    }

    proptest! {
        #[test]
        fn below_is_below(seed: u64, bound in 1_u64..) {
            let mut rng = Rng::from_seed(seed);
            prop_assert!(rng.below(bound) < bound);
            prop_assert_eq!(rng.below(1), 0);
            prop_assert!((5..5 + bound.min(1000)).contains(&rng.in_range(5..5 + bound.min(1000))));
        }

        #[test]
        fn fill_is_the_numbers(seed: u64, length in 0_usize..40) {
            let mut bytes = vec![0; length];
            Rng::from_seed(seed).fill(&mut bytes);
            let mut rng = Rng::from_seed(seed);
            let all: Vec<u8> = (0..5).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
            prop_assert_eq!(&bytes, &all[..length]);
        }
    }
}
