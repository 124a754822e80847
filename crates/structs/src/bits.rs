//! Bitmaps: a byte string seen as bits, the highest bit of the first byte first.
//!
//! Pure functions on bytes, for the commands of the family `bitmap`. What lies beyond the end of a
//! string counts as zeros. Loops are written so that the compiler turns them into vector code: one
//! operation on whole slices, no branch inside.

use std::ops::RangeInclusive;

/// How BITOP combines its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// Bits that all sources have.
    And,
    /// Bits that any source has.
    Or,
    /// Bits that an odd number of sources have.
    Xor,
    /// Bits that the only source has not.
    Not,
    /// Bits of the first source that no other has.
    Diff,
    /// Bits of any other source that the first has not.
    Diff1,
    /// Bits of the first source that any other has too.
    AndOr,
    /// Bits that exactly one source has.
    One,
}

/// Result bytes that are made at a time: they and a block of each source stay in the cache.
const BLOCK_BYTES: usize = 8 * 1024;

/// Combines `sources` (at least one); the result is as long as the longest of them.
pub fn combine(how: Combination, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    // Not asked for as zeros: for that, the allocator gives pages back and takes them anew.
    let mut result = Vec::with_capacity(len);
    let mut block = [0; BLOCK_BYTES];
    while result.len() < len {
        let start = result.len();
        let end = len.min(start + BLOCK_BYTES);
        let part = |source: &&[u8]| start.min(source.len())..end.min(source.len());
        let parts = sources.iter().map(|source| &source[part(source)]);
        let block = &mut block[..end - start];
        combine_block(how, parts, block);
        result.extend_from_slice(block);
    }
    result
}

/// Combines one block, whatever is in it before.
fn combine_block<'a>(
    how: Combination,
    mut parts: impl Iterator<Item = &'a [u8]>,
    block: &mut [u8],
) {
    let first = parts.next().unwrap_or_default();
    match how {
        Combination::And => {
            copy(first, block);
            parts.for_each(|part| {
                zip(block, part, |a, b| a & b);
                block[part.len()..].fill(0);
            });
        }
        Combination::Or => {
            copy(first, block);
            parts.for_each(|part| zip(block, part, |a, b| a | b));
        }
        Combination::Xor => {
            copy(first, block);
            parts.for_each(|part| zip(block, part, |a, b| a ^ b));
        }
        Combination::Not => {
            copy(first, block);
            block.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Combination::Diff => {
            copy(first, block);
            parts.for_each(|part| zip(block, part, |a, b| a & !b));
        }
        Combination::Diff1 => {
            block.fill(0);
            parts.for_each(|part| zip(block, part, |a, b| a | b));
            zip(block, first, |a, b| a & !b);
        }
        Combination::AndOr => {
            block.fill(0);
            parts.for_each(|part| zip(block, part, |a, b| a | b));
            zip(block, first, |a, b| a & b);
            block[first.len()..].fill(0);
        }
        Combination::One => combine_one(first, parts, block),
    }
}

fn combine_one<'a>(first: &[u8], parts: impl Iterator<Item = &'a [u8]>, block: &mut [u8]) {
    let mut twice = [0; BLOCK_BYTES];
    copy(first, block);
    for part in parts {
        for ((once, twice), byte) in block.iter_mut().zip(&mut twice).zip(part) {
            *twice |= *once & byte;
            *once |= byte;
        }
    }
    zip(block, &twice, |once, twice| once & !twice);
}

/// Copies, and fills the rest with zeros.
fn copy(from: &[u8], to: &mut [u8]) {
    let (copied, rest) = to.split_at_mut(from.len());
    copied.copy_from_slice(from);
    rest.fill(0);
}

/// Changes as much of `to` as `with` is long.
fn zip(to: &mut [u8], with: &[u8], change: impl Fn(u8, u8) -> u8) {
    for (to, with) in to.iter_mut().zip(with) {
        *to = change(*to, *with);
    }
}

/// Whether the bit is set; `false` beyond the end.
#[inline]
#[must_use]
pub fn is_set(bytes: &[u8], bit: u64) -> bool {
    usize::try_from(bit / 8)
        .ok()
        .and_then(|byte| bytes.get(byte))
        .is_some_and(|byte| byte & mask(bit) != 0)
}

/// The bit's place in its byte.
#[inline]
#[must_use]
pub fn mask(bit: u64) -> u8 {
    0x80 >> (bit % 8)
}

/// Number of set bits. Always inlined, so that the engine can compile it for processors that count
/// faster than the baseline's.
#[inline(always)]
#[must_use]
pub fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = |sum: u64, word: &[u8; 8]| sum + u64::from(u64::from_le_bytes(*word).count_ones());
    words.iter().fold(0, sum)
        + rest
            .iter()
            .map(|byte| u64::from(byte.count_ones()))
            .sum::<u64>()
}

/// Bytes that are looked through without a branch.
const SKIP_BYTES: usize = 64;

/// Index of the first bit that is `wanted`.
#[must_use]
pub fn position(bytes: &[u8], wanted: bool) -> Option<u64> {
    let dull = if wanted { 0 } else { 0xff };
    let (blocks, _) = bytes.as_chunks::<SKIP_BYTES>();
    let is_dull =
        |block: &&[u8; SKIP_BYTES]| block.iter().fold(0, |other, byte| other | (byte ^ dull)) == 0;
    let skipped = blocks.iter().take_while(is_dull).count() * SKIP_BYTES;
    let byte = skipped + bytes[skipped..].iter().position(|&byte| byte != dull)?;
    let bit = (bytes[byte] ^ dull).leading_zeros();
    Some(byte as u64 * 8 + u64::from(bit))
}

/// Index of the first bit that is `wanted` among those of `within`, which lies inside `bytes`.
#[must_use]
pub fn position_within(bytes: &[u8], within: RangeInclusive<u64>, wanted: bool) -> Option<u64> {
    let (first, last) = ((within.start() / 8) as usize, (within.end() / 8) as usize);
    // An edge byte with what lies outside turned into what is not looked for.
    let edge = |at: usize| {
        let outside = outside(&within, at as u64);
        if wanted {
            bytes[at] & !outside
        } else {
            bytes[at] | outside
        }
    };
    let found_in = |at: usize, bytes: &[u8]| Some(at as u64 * 8 + position(bytes, wanted)?);
    found_in(first, &[edge(first)])
        .or_else(|| found_in(first + 1, bytes.get(first + 1..last)?))
        .or_else(|| found_in(last, &[edge(last)]))
}

/// Number of set bits in the edge bytes of `within` that are not in `within`, which lies inside
/// `bytes`: what a count of its bytes has too many.
#[must_use]
pub fn count_outside(bytes: &[u8], within: &RangeInclusive<u64>) -> u64 {
    let (first, last) = (within.start() / 8, within.end() / 8);
    let extra = |at: u64| u64::from((bytes[at as usize] & outside(within, at)).count_ones());
    if first == last {
        extra(first)
    } else {
        extra(first) + extra(last)
    }
}

/// The bits of byte `at` that are not in `within`.
fn outside(within: &RangeInclusive<u64>, at: u64) -> u8 {
    let before = if at == within.start() / 8 {
        !(0xff >> (within.start() % 8))
    } else {
        0
    };
    let after = if at == within.end() / 8 {
        !(0xff_u8 << (7 - within.end() % 8))
    } else {
        0
    };
    before | after
}

/// Bytes that a field of 64 bits may touch.
const FIELD_BYTES_MAX: usize = 9;

/// The field of `width` bits (1 to 64) from `bit` on as an unsigned number.
#[must_use]
pub fn field(bytes: &[u8], bit: u64, width: u32) -> u64 {
    let start = usize::try_from(bit / 8).unwrap_or(usize::MAX);
    let held = bytes.get(start..).unwrap_or_default();
    let held = &held[..held.len().min(FIELD_BYTES_MAX)];
    let mut padded = [0; 16];
    padded[..held.len()].copy_from_slice(held);
    let shifted = u128::from_be_bytes(padded) << (bit % 8);
    (shifted >> (128 - width)) as u64
}

/// Writes the low `width` bits (1 to 64) of `value` from `bit` on. The field must lie inside.
pub fn set_field(bytes: &mut [u8], bit: u64, width: u32, value: u64) {
    let start = (bit / 8) as usize;
    let end = ((bit + u64::from(width) - 1) / 8) as usize + 1;
    let held = &mut bytes[start..end];
    let mut padded = [0; 16];
    padded[..held.len()].copy_from_slice(held);
    let shift = 128 - width - (bit % 8) as u32;
    let mask = (u128::MAX >> (128 - width)) << shift;
    let value = (u128::from(value) << shift) & mask;
    let changed = u128::from_be_bytes(padded) & !mask | value;
    held.copy_from_slice(&changed.to_be_bytes()[..held.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit_of(bytes: &[u8], bit: usize) -> bool {
        bytes
            .get(bit / 8)
            .is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1)
    }

    /// The definition, bit by bit.
    fn combined(how: Combination, has: &[bool]) -> bool {
        let others = has[1..].contains(&true);
        match how {
            Combination::And => has.iter().all(|&bit| bit),
            Combination::Or => has[0] | others,
            Combination::Xor => has.iter().filter(|&&bit| bit).count() % 2 == 1,
            Combination::Not => !has[0],
            Combination::Diff => has[0] & !others,
            Combination::Diff1 => !has[0] & others,
            Combination::AndOr => has[0] & others,
            Combination::One => has.iter().filter(|&&bit| bit).count() == 1,
        }
    }

    const ALL: [Combination; 8] = [
        Combination::And,
        Combination::Or,
        Combination::Xor,
        Combination::Not,
        Combination::Diff,
        Combination::Diff1,
        Combination::AndOr,
        Combination::One,
    ];

    fn check(how: Combination, sources: &[&[u8]]) {
        let result = combine(how, sources);
        let len = sources.iter().map(|source| source.len()).max().unwrap();
        assert_eq!(result.len(), len, "{how:?}");
        for bit in 0..len * 8 {
            let has: Vec<bool> = sources.iter().map(|source| bit_of(source, bit)).collect();
            assert_eq!(
                bit_of(&result, bit),
                combined(how, &has),
                "{how:?}, bit {bit}"
            );
        }
    }

    #[test]
    fn blocks_join_without_seam() {
        let long: Vec<u8> = (0..BLOCK_BYTES * 2 + 3)
            .map(|at| (at * 7 / 3) as u8)
            .collect();
        let other: Vec<u8> = (0..BLOCK_BYTES + 1).map(|at| (at * 5) as u8).collect();
        for how in ALL {
            check(how, &[&long, &other, &long[..10]]);
            check(how, &[&other[..10], &long, b""]);
        }
    }

    proptest! {
        #[test]
        fn combinations_are_bitwise(sources in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..40), 1..5)) {
            let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            ALL.into_iter().for_each(|how| check(how, &sources));
        }

        #[test]
        fn counting_and_searching(sparse in prop::collection::vec(
            prop_oneof![Just(0_u8), Just(255), any::<u8>()], 0..200), fill in 0..300_usize,
            filler in prop_oneof![Just(0_u8), Just(255)]) {
            let mut bytes = vec![filler; fill];
            bytes.extend(sparse);
            let bits: Vec<bool> = (0..bytes.len() * 8).map(|bit| bit_of(&bytes, bit)).collect();
            prop_assert_eq!(count(&bytes), bits.iter().filter(|&&bit| bit).count() as u64);
            for wanted in [false, true] {
                let found = bits.iter().position(|&bit| bit == wanted).map(|at| at as u64);
                prop_assert_eq!(position(&bytes, wanted), found);
            }
            for bit in (0..bits.len()).step_by(13) {
                prop_assert_eq!(is_set(&bytes, bit as u64), bits[bit]);
            }
            prop_assert!(!is_set(&bytes, bits.len() as u64));
            prop_assert!(!is_set(&bytes, u64::MAX));
        }

        #[test]
        fn ranges_of_bits(bytes in prop::collection::vec(
            prop_oneof![Just(0_u8), Just(255), any::<u8>()], 1..12), a: u64, b: u64) {
            let bits = bytes.len() as u64 * 8;
            let within = (a % bits).min(b % bits)..=(a % bits).max(b % bits);
            let (first, last) = ((within.start() / 8) as usize, (within.end() / 8) as usize);
            let counted = within.clone().filter(|&bit| is_set(&bytes, bit)).count() as u64;
            prop_assert_eq!(count(&bytes[first..=last]) - count_outside(&bytes, &within), counted);
            for wanted in [false, true] {
                let expected = within.clone().find(|&bit| is_set(&bytes, bit) == wanted);
                prop_assert_eq!(position_within(&bytes, within.clone(), wanted), expected);
            }
        }

        #[test]
        fn fields_are_read_back(mut bytes in prop::collection::vec(any::<u8>(), 20),
            bit in 0..90_u64, width in 1..=64_u32, value: u64) {
            let before = bytes.clone();
            let mut expected = 0;
            for at in bit..bit + u64::from(width) {
                expected = expected << 1 | u64::from(is_set(&bytes, at));
            }
            prop_assert_eq!(field(&bytes, bit, width), expected);
            set_field(&mut bytes, bit, width, value);
            prop_assert_eq!(field(&bytes, bit, width), value & (u64::MAX >> (64 - width)));
            for at in (0..160).filter(|at| !(bit..bit + u64::from(width)).contains(at)) {
                prop_assert_eq!(is_set(&bytes, at), is_set(&before, at));
            }
            prop_assert_eq!(field(&bytes, 160, width), 0);
            prop_assert_eq!(field(&bytes, u64::MAX, width), 0);
        }
    }
}
