//! CRC-64 with the Jones polynomial, reflected, starting at 0: the checksum of snapshots and DUMP.
//!
//! Sixteen bytes at a time by sixteen tables ("slicing", Kounavis and Berry, 2005): safe code at a
//! few gigabytes per second.

/// The polynomial 0xad93d23594c935a9, its bits in reverse.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
/// Bytes at a time.
const SLICES: usize = 16;

/// `TABLES[n][byte]`: what a byte does to the sum when `n` bytes come after it.
static TABLES: [[u64; 256]; SLICES] = tables();

const fn tables() -> [[u64; 256]; SLICES] {
    let mut tables = [[0; 256]; SLICES];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u64, 0);
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut slice = 1;
    while slice < SLICES {
        byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// By `n`: x to the power of 8 * 2^n, modulo the polynomial. The highest bit is that of x^0.
static POWERS: [u64; usize::BITS as usize] = powers();

const fn powers() -> [u64; usize::BITS as usize] {
    let mut powers = [1 << (63 - 8); usize::BITS as usize];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = product(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
}

/// The product of two polynomials modulo that of the checksum.
const fn product(a: u64, mut b: u64) -> u64 {
    let (mut product, mut bit) = (0, 1 << 63);
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ (POLYNOMIAL * (b & 1));
        bit >>= 1;
    }
    product
}

/// A running checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// The checksum of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u64 {
        let mut crc = Crc64::default();
        crc.update(bytes);
        crc.sum()
    }

    /// Goes on with more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut sum = self.0;
        let (blocks, rest) = bytes.as_chunks::<SLICES>();
        for block in blocks {
            let first = sum.to_le_bytes();
            let mut next = 0;
            for (at, &byte) in block.iter().enumerate() {
                let byte = byte ^ first.get(at).copied().unwrap_or(0);
                next ^= TABLES[SLICES - 1 - at][usize::from(byte)];
            }
            sum = next;
        }
        for &byte in rest {
            sum = (sum >> 8) ^ TABLES[0][usize::from(sum as u8 ^ byte)];
        }
        self.0 = sum;
    }

    /// Goes on with `len` bytes of which only the sum is known. O(log len).
    ///
    /// Zeros instead of them would multiply the sum by x to the power of 8 `len`; what they add to
    /// that does not depend on what was before.
    pub fn append(&mut self, later: Crc64, len: usize) {
        let mut sum = self.0;
        for (bit, &power) in POWERS.iter().enumerate() {
            if len >> bit & 1 == 1 {
                sum = product(sum, power);
            }
        }
        self.0 = sum ^ later.0;
    }

    /// The checksum of the bytes so far.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(Crc64::of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(Crc64::of(b""), 0);
    }

    #[test]
    fn sums_of_pieces_give_that_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32)
            .map(|n| (n % 1009 * n % 251) as u8)
            .collect();
        for cut in [0, 1, 7, 255, 256, 65_536, 99_999, 100_000] {
            let (first, later) = bytes.split_at(cut);
            let (mut crc, mut rest) = (Crc64::default(), Crc64::default());
            crc.update(first);
            rest.update(later);
            crc.append(rest, later.len());
            assert_eq!(crc.sum(), Crc64::of(&bytes), "{cut}");
        }
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let bytes: Vec<u8> = (0..1000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for cut in [0, 1, 15, 16, 17, 500] {
            let mut crc = Crc64::default();
            crc.update(&bytes[..cut]);
            crc.update(&bytes[cut..]);
            assert_eq!(crc.sum(), Crc64::of(&bytes));
        }
    }
}
