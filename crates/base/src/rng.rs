//! tmp
/// rng
pub struct Rng(u64);
impl Rng {
    /// x
    pub fn from_seed(s: u64) -> Rng {
        Rng(s | 1)
    }
    /// x
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa0761d6478bd642f);
        let t = u128::from(self.0) * u128::from(self.0 ^ 0xe7037ed1a0b428db);
        (t >> 64) as u64 ^ t as u64
    }
    /// x
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }
}
