//! Which key comes next, and how a key is spelled.
//!
//! A key is a number below the key space's size. On the wire it is a prefix and that number in
//! decimal, padded with zeros, so every key has the same length and a request is changed by
//! overwriting digits. Zipf sampling is rejection-inversion (Hörmann and Derflinger,
//! "Rejection-inversion to generate variates from monotone discrete distributions", 1996): constant
//! set-up time, whatever the key space's size.

use std::ops::Range;

use clap::ValueEnum;

/// What every key starts with.
const PREFIX: &[u8] = b"key:";

/// Bytes of a key unless told otherwise: the prefix and twelve digits.
pub(crate) const DEFAULT_KEY_BYTES: usize = PREFIX.len() + 12;

/// The order in which keys are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    /// Every key equally often, in random order.
    Uniform,
    /// One after the other, starting over at the end.
    Sequential,
    /// Each once in an order that looks random, then again.
    Shuffled,
    /// Few keys very often, most keys rarely; key 0 is the most frequent.
    Zipf,
}

/// How keys are spelled: total length and the digits that vary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyShape {
    key_bytes: usize,
    digits: usize,
}

impl KeyShape {
    /// The shape of keys `0..keyspace` in `key_bytes` bytes; an error when they do not fit.
    pub(crate) fn new(keyspace: u64, key_bytes: usize) -> Result<Self, String> {
        let largest = keyspace.saturating_sub(1);
        let digits = largest.checked_ilog10().map_or(1, |log| log as usize + 1);
        let needed = PREFIX.len() + digits;
        if key_bytes < needed {
            return Err(format!(
                "{keyspace} keys need a --key-size of at least {needed}"
            ));
        }
        Ok(Self { key_bytes, digits })
    }

    /// Bytes of every bare number.
    pub(crate) fn number_bytes(self) -> usize {
        self.digits
    }

    /// Appends key 0, whose digits [`KeyShape::patch_key`] overwrites.
    pub(crate) fn append_key_zero(self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        out.resize(out.len() + self.key_bytes - PREFIX.len(), b'0');
    }

    /// Turns the key that starts at `at` into key `number`.
    pub(crate) fn patch_key(self, out: &mut [u8], at: usize, number: u64) {
        let end = at + self.key_bytes;
        write_digits(&mut out[end - self.digits..end], number);
    }

    /// Turns the bare number that starts at `at` into `number`.
    pub(crate) fn patch_number(self, out: &mut [u8], at: usize, number: u64) {
        write_digits(&mut out[at..at + self.digits], number);
    }
}

/// Writes `number` in decimal, right-aligned, over all of `out`; digits that do not fit are
/// dropped.
pub(crate) fn write_digits(out: &mut [u8], mut number: u64) {
    let mut pairs = out.rchunks_exact_mut(2);
    for pair in pairs.by_ref() {
        let two = (number % 100) as usize * 2;
        pair.copy_from_slice(&DIGIT_PAIRS[two..two + 2]);
        number /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + (number % 10) as u8;
    }
}

const DIGIT_PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[number * 2] = b'0' + (number / 10) as u8;
        pairs[number * 2 + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    pairs
};

/// An endless source of key numbers in a range.
#[derive(Clone)]
pub(crate) struct KeySource {
    random: fastrand::Rng,
    range: Range<u64>,
    order: Order,
}

#[derive(Clone)]
enum Order {
    Uniform,
    Sequential { next: u64 },
    Shuffled { next: u64, shuffle: Shuffle },
    Zipf(Zipf),
}

impl KeySource {
    /// Keys of `range` (not empty) in the order of `pattern`; `exponent` matters to Zipf only.
    pub(crate) fn new(pattern: Pattern, range: Range<u64>, exponent: f64, seed: u64) -> Self {
        let order = match pattern {
            Pattern::Uniform => Order::Uniform,
            Pattern::Sequential => Order::Sequential { next: range.start },
            Pattern::Shuffled => Order::Shuffled {
                next: 0,
                shuffle: Shuffle::new(range.end - range.start),
            },
            Pattern::Zipf => Order::Zipf(Zipf::new(range.end - range.start, exponent)),
        };
        Self {
            random: fastrand::Rng::with_seed(seed),
            range,
            order,
        }
    }

    /// The next key.
    #[inline]
    pub(crate) fn draw(&mut self) -> u64 {
        match &mut self.order {
            Order::Uniform => {
                let size = u128::from(self.range.end - self.range.start);
                self.range.start + ((u128::from(self.random.u64(..)) * size) >> 64) as u64
            }
            Order::Sequential { next } => {
                let number = *next;
                *next = if number + 1 == self.range.end {
                    self.range.start
                } else {
                    number + 1
                };
                number
            }
            Order::Shuffled { next, shuffle } => {
                let number = shuffle.at(*next);
                *next = (*next + 1) % shuffle.size;
                self.range.start + number
            }
            Order::Zipf(zipf) => self.range.start + zipf.rank(&mut self.random),
        }
    }

    /// A uniform choice among `count` things (not zero), from the same seed.
    pub(crate) fn choose(&mut self, count: usize) -> usize {
        self.random.usize(..count)
    }
}

/// The numbers `0..size` in another order: a bijection of the next power of two, with those that it
/// puts beyond the end sent through it again.
#[derive(Clone)]
struct Shuffle {
    size: u64,
    mask: u64,
    shift: u32,
}

impl Shuffle {
    fn new(size: u64) -> Self {
        let bits = u64::BITS - (size - 1).leading_zeros();
        Self {
            size,
            mask: u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0),
            shift: bits / 2 + 1,
        }
    }

    /// Multiplying by an odd number and folding high bits onto low ones can both be undone.
    fn at(&self, number: u64) -> u64 {
        let mut mixed = number;
        loop {
            for factor in [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9] {
                mixed = (mixed.wrapping_mul(factor) ^ SHUFFLE_KEY) & self.mask;
                mixed ^= mixed >> self.shift;
            }
            if mixed < self.size {
                return mixed;
            }
        }
    }
}

/// Any number: without it, 0 would always come first.
const SHUFFLE_KEY: u64 = 0x94d0_49bb_1331_11eb;

/// Ranks `0..count` with probability proportional to `1 / (rank + 1)^exponent`.
#[derive(Clone)]
struct Zipf {
    count: f64,
    exponent: f64,
    area_first: f64,
    area_last: f64,
    squeeze: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Self {
        let mut zipf = Self {
            count: count as f64,
            exponent,
            area_first: 0.0,
            area_last: 0.0,
            squeeze: 0.0,
        };
        zipf.area_first = zipf.area(1.5) - 1.0;
        zipf.area_last = zipf.area(zipf.count + 0.5);
        zipf.squeeze = 2.0 - zipf.area_inverse(zipf.area(2.5) - zipf.density(2.0));
        zipf
    }

    fn rank(&self, random: &mut fastrand::Rng) -> u64 {
        loop {
            let area = self.area_last + random.f64() * (self.area_first - self.area_last);
            let point = self.area_inverse(area);
            let nearest = point.round().clamp(1.0, self.count);
            if nearest - point <= self.squeeze
                || area >= self.area(nearest + 0.5) - self.density(nearest)
            {
                return nearest as u64 - 1;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        x.powf(-self.exponent)
    }

    /// The antiderivative of `density`.
    fn area(&self, x: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power.abs() < NEARLY_ZERO {
            x.ln()
        } else {
            x.powf(power) / power
        }
    }

    fn area_inverse(&self, area: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power.abs() < NEARLY_ZERO {
            area.exp()
        } else {
            (area * power).powf(1.0 / power)
        }
    }
}

/// Below this distance from 1 an exponent counts as 1, where the general formula divides by zero.
const NEARLY_ZERO: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_right_aligned_for_every_width() {
        for width in 1..=20 {
            let mut out = vec![b'x'; width];
            write_digits(&mut out, 907);
            let expected = format!("{:0width$}", 907 % 10_u64.pow(width.min(3) as u32));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn a_key_is_prefix_zeros_and_number() {
        let shape = KeyShape::new(1_000_000, DEFAULT_KEY_BYTES).unwrap();
        let mut out = b"$16\r\n".to_vec();
        shape.append_key_zero(&mut out);
        shape.patch_key(&mut out, 5, 999_999);
        assert_eq!(out, b"$16\r\nkey:000000999999");
        assert!(KeyShape::new(1_000_001, 10).is_err());
        assert!(KeyShape::new(1_000_000, 10).is_ok());
    }

    #[test]
    fn every_pattern_stays_in_its_range_and_repeats_with_its_seed() {
        let patterns = [
            Pattern::Uniform,
            Pattern::Sequential,
            Pattern::Shuffled,
            Pattern::Zipf,
        ];
        for pattern in patterns {
            let mut once = KeySource::new(pattern, 100..350, 0.99, 7);
            let mut again = KeySource::new(pattern, 100..350, 0.99, 7);
            let mut seen = [false; 250];
            for _ in 0..20_000 {
                let number = once.draw();
                assert_eq!(number, again.draw());
                seen[(number - 100) as usize] = true;
            }
            assert!(seen.iter().all(|&seen| seen), "{pattern:?} leaves keys out");
        }
    }

    #[test]
    fn a_shuffle_has_every_number_once_and_in_another_order() {
        for size in (1..70).chain([1000, 65_536, 100_001]) {
            let shuffle = Shuffle::new(size);
            let order: Vec<u64> = (0..size).map(|number| shuffle.at(number)).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..size), "{size}");
            let rising = order.windows(2).filter(|pair| pair[0] < pair[1]).count() as u64;
            assert!(
                size < 1000 || rising.abs_diff(size / 2) < size / 10,
                "{size}: {rising}"
            );
        }
    }

    #[test]
    fn zipf_frequencies_follow_the_law() {
        for exponent in [0.7, 1.0, 1.3] {
            let zipf = Zipf::new(1000, exponent);
            let mut random = fastrand::Rng::with_seed(1);
            let mut counts = vec![0_u32; 1000];
            for _ in 0..400_000 {
                counts[zipf.rank(&mut random) as usize] += 1;
            }
            for rank in [1, 4, 9] {
                let measured = f64::from(counts[0]) / f64::from(counts[rank]);
                let law = (rank as f64 + 1.0).powf(exponent);
                assert!(
                    (measured / law - 1.0).abs() < 0.1,
                    "s={exponent} rank={rank}: {measured} {law}"
                );
            }
        }
    }
}
