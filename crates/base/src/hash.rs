//! Hashing: a keyed hash for the keyspace and an unkeyed digest for DIGEST and IFDEQ.
//!
//! Clients choose the keys, so the table's hash is keyed: rapidhash v3 with a secret seed and seven
//! secret multipliers, all from the operating system, new in each process. Its known
//! seed-independent collisions rest on knowing the multipliers. The `PROTECTED` form is taken: it
//! xors the operands into each product, so that an input that zeroes one factor cannot erase the
//! other. That costs two instructions per multiplication. No such hash is proven against flooding
//! as SipHash is meant to be; hash values must not be shown to clients.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_inline};

use crate::rng;

/// The secret that keys a table's hash.
#[derive(Clone, Copy)]
pub struct Seed(RapidSecrets);

impl Seed {
    /// A seed that nobody can guess: 512 bits from the operating system.
    #[must_use]
    pub fn random() -> Self {
        let word = || {
            // A multiplier of few bits would mix badly. Fewer than one draw in 100,000,000 has
            // under 10 or over 54 ones.
            loop {
                let word = rng::seed_from_os();
                if (10..=54).contains(&word.count_ones()) {
                    return word;
                }
            }
        };
        Self(RapidSecrets {
            seed: word(),
            secrets: std::array::from_fn(|_| word()),
        })
    }

    /// A seed that depends on `seed` alone, for tests and simulations.
    #[must_use]
    pub const fn from_u64(seed: u64) -> Self {
        Self(RapidSecrets::seed(seed))
    }
}

impl std::fmt::Debug for Seed {
    /// Does not show the secret: logs travel.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The 64-bit hash of a key. All bits are of equal quality, so that any of them may pick the
/// stripe, the segment, the bucket and the tag.
#[inline]
#[must_use]
pub fn hash_key(seed: &Seed, key: &[u8]) -> u64 {
    rapidhash_v3_inline::<true, false, true>(key, &seed.0)
}

/// XXH3, 64 bits, seed 0: what DIGEST prints as 16 hexadecimal digits and IFDEQ compares.
#[inline]
#[must_use]
pub fn digest_xxh3(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digests_as_documented() {
        // Examples in the DIGEST pages of redis.io and dragonflydb.io.
        for (value, digest) in [
            ("Hello world", "b6acb9d84a38ff74"),
            ("Hello, Dragonfly!", "063b4909128e92b7"),
            ("test", "9ec9f7918d7dfc40"),
            ("hello", "9555e8555c62dcfd"),
        ] {
            assert_eq!(
                format!("{:016x}", digest_xxh3(value.as_bytes())),
                digest,
                "{value}"
            );
        }
    }

    #[test]
    fn random_seeds_differ_and_stay_secret() {
        let (first, second) = (Seed::random(), Seed::random());
        assert_ne!(hash_key(&first, b"key"), hash_key(&second, b"key"));
        assert_eq!(format!("{first:?}"), "Seed(..)");
    }

    #[test]
    fn sequential_keys_fill_every_bit_evenly() {
        let seed = Seed::from_u64(1);
        let mut ones = [0_u32; 64];
        for number in 0..10_000 {
            let hash = hash_key(&seed, format!("key:{number:012}").as_bytes());
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (hash >> bit & 1) as u32;
            }
        }
        // Six standard deviations of a binomial (10,000, 1/2) are 300.
        assert!(
            ones.iter().all(|count| count.abs_diff(5_000) < 300),
            "{ones:?}"
        );
    }

    #[test]
    fn keys_of_zero_bytes_differ_by_length() {
        let seed = Seed::from_u64(2);
        let zeros = [0; 300];
        let hashes: std::collections::BTreeSet<u64> = (0..=300)
            .map(|length| hash_key(&seed, &zeros[..length]))
            .collect();
        assert_eq!(hashes.len(), 301);
    }

    proptest! {
        #[test]
        fn same_key_same_hash(seed: u64, key: Vec<u8>) {
            let copy = key.clone();
            prop_assert_eq!(
                hash_key(&Seed::from_u64(seed), &key),
                hash_key(&Seed::from_u64(seed), &copy)
            );
        }

        #[test]
        fn one_bit_changes_half_of_them(seed: u64, key in prop::collection::vec(any::<u8>(), 1..64),
                                        at: prop::sample::Index, bit in 0..8_u32) {
            let seed = Seed::from_u64(seed);
            let mut other = key.clone();
            other[at.index(key.len())] ^= 1 << bit;
            let changed = (hash_key(&seed, &key) ^ hash_key(&seed, &other)).count_ones();
            prop_assert!((4..=60).contains(&changed), "{} bits", changed);
        }
    }
}
