//! tmp
use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};
/// seed
#[derive(Clone, Copy)]
pub struct Seed(RapidSecrets);
impl Seed {
    /// x
    pub fn new(seed: u64) -> Seed {
        Seed(RapidSecrets::seed(seed))
    }
}
/// hash
#[inline(always)]
pub fn hash_key(seed: &Seed, key: &[u8]) -> u64 {
    rapidhash_v3_nano_inline::<true, false>(key, &seed.0)
}
