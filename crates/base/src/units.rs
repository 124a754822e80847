//! Amounts of memory as redis.conf spells them and as INFO shows them.

/// Unit names and what they multiply by: without `b` decimal, with it binary.
const UNITS: &[(&[u8], u64)] = &[
    (b"", 1),
    (b"b", 1),
    (b"k", 1_000),
    (b"kb", 1 << 10),
    (b"m", 1_000_000),
    (b"mb", 1 << 20),
    (b"g", 1_000_000_000),
    (b"gb", 1 << 30),
];

/// The longest run of digits taken, leading zeros included.
const DIGITS_MAX: usize = 127;

/// Suffixes of [`format_human`], each 1024 times the one before, beginning with 1024 bytes.
const HUMAN_SUFFIXES: [char; 5] = ['K', 'M', 'G', 'T', 'P'];

/// Parses an amount of memory: digits and an optional unit in any case, nothing else. In bytes.
///
/// Compat: no digits at all count as zero, so the empty text is 0 and so is `kb`. An amount that
/// does not fit 64 bits is refused, where the upstream wraps around (`18014398509481984kb` is 0
/// there, which for a limit means none).
#[must_use]
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let split = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let &(_, factor) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let mut amount = 0_u64;
    for &byte in digits {
        amount = amount
            .checked_mul(10)?
            .checked_add(u64::from(byte - b'0'))?;
    }
    amount.checked_mul(factor)
}

/// A limit given in bytes or as a share of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// So many percent. Not checked against 100: the caller has an error text of its own for that.
    Percent(u64),
}

/// Parses `5%` or what [`parse_memory`] takes (the directive `maxmemory-clients`). The percentage
/// is a canonical integer: `05%` and `1.5%` are refused.
#[must_use]
pub fn parse_memory_limit(text: &[u8]) -> Option<MemoryLimit> {
    match text {
        [number @ .., b'%'] => crate::num::parse_u64(number).map(MemoryLimit::Percent),
        amount => parse_memory(amount).map(MemoryLimit::Bytes),
    }
}

/// An amount of memory as INFO's `*_human` fields show it: bytes as they are, above that two
/// decimals of the largest unit that is not larger than the amount.
///
/// Compat: from 2^60 on bytes again; 1048575 is `1024.00K`.
#[must_use]
pub fn format_human(bytes: u64) -> String {
    let exponent = bytes.checked_ilog2().unwrap_or(0) / 10;
    match HUMAN_SUFFIXES.get((exponent as usize).wrapping_sub(1)) {
        Some(suffix) => format!(
            "{:.2}{suffix}",
            bytes as f64 / (1_u64 << (10 * exponent)) as f64
        ),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `CONFIG SET maxmemory text` on Redis 8.2.3.
    #[test]
    fn memory_texts_as_upstream() {
        for (text, expected) in [
            ("", Some(0)),
            ("b", Some(0)),
            ("k", Some(0)),
            ("0", Some(0)),
            ("1", Some(1)),
            ("01", Some(1)),
            ("1b", Some(1)),
            ("1B", Some(1)),
            ("1k", Some(1_000)),
            ("1kb", Some(1_024)),
            ("1Kb", Some(1_024)),
            ("1M", Some(1_000_000)),
            ("1mb", Some(1_048_576)),
            ("1g", Some(1_000_000_000)),
            ("1GB", Some(1_073_741_824)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("17179869184gb", None),
            ("1t", None),
            ("1tb", None),
            (" 1", None),
            ("1 ", None),
            ("1 k", None),
            ("+1", None),
            ("-1", None),
            ("1.5g", None),
            ("0x10", None),
            ("5%", None),
            ("1kbb", None),
            ("1\0", None),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(parse_memory(format!("{:0127}", 1).as_bytes()), Some(1));
        assert_eq!(parse_memory(format!("{:0128}", 1).as_bytes()), None);
    }

    /// `CONFIG SET maxmemory-clients text` on Redis 8.2.3.
    #[test]
    fn percentages_as_upstream() {
        for (text, expected) in [
            ("5%", Some(MemoryLimit::Percent(5))),
            ("0%", Some(MemoryLimit::Percent(0))),
            ("101%", Some(MemoryLimit::Percent(101))),
            ("1g", Some(MemoryLimit::Bytes(1_000_000_000))),
            ("", Some(MemoryLimit::Bytes(0))),
            ("-5%", None),
            ("+5%", None),
            ("05%", None),
            ("1.5%", None),
            ("5 %", None),
            ("5%%", None),
            ("%", None),
            ("-1", None),
        ] {
            assert_eq!(parse_memory_limit(text.as_bytes()), expected, "{text:?}");
        }
    }

    /// `maxmemory_human` of Redis 8.2.3.
    #[test]
    fn human_texts_as_upstream() {
        for (bytes, expected) in [
            (0, "0B"),
            (1, "1B"),
            (1_023, "1023B"),
            (1_024, "1.00K"),
            (1_030, "1.01K"),
            (1_152, "1.12K"),
            (10_240, "10.00K"),
            (1_048_575, "1024.00K"),
            (1_048_576, "1.00M"),
            (1_064_304, "1.01M"),
            (5_000_000, "4.77M"),
            (1_073_741_824, "1.00G"),
            (123_456_789_012, "114.98G"),
            ((1 << 40) - 1, "1024.00G"),
            (1 << 40, "1.00T"),
            (1 << 50, "1.00P"),
            ((1 << 60) - 1, "1024.00P"),
            (1 << 60, "1152921504606846976B"),
        ] {
            assert_eq!(format_human(bytes), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(text: Vec<u8>) {
            let _ = parse_memory_limit(&text);
        }

        #[test]
        fn plain_numbers_are_bytes(bytes: u64) {
            prop_assert_eq!(parse_memory(bytes.to_string().as_bytes()), Some(bytes));
        }
    }
}
