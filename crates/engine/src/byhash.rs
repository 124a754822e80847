//! Maps from the hashes of keys: what stripes know of those who watch, cache or wait.
//!
//! A key's hash is computed once per command and depends on a secret seed, so it needs no hashing
//! again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from hashes of keys.
pub(crate) type ByHash<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Takes a number as its own hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    /// The first bits are the same in all keys of a stripe. The map takes the place from the last
    /// bits and a tag from the first ones: half-way round neither is made of those.
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_left(32);
    }

    /// Not used: the maps have no other keys.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
