//! Numbers as text: the strict integers and the lenient floats of the wire protocol and of values.
//!
//! Integers have one spelling each: a text that parses is the text that formatting gives back, so
//! "is this value an integer?" and "can it be stored as one?" are the same question. Floats take
//! all that the C library's `strtod` takes except white space and NaN, as Redis 8.2.3 does (the
//! tables in the tests were read off it).

/// The longest text of an `i64`, sign included.
pub const I64_TEXT_MAX: usize = 20;

/// Digits that always fit an `i64` and a `u64`: no overflow check is needed up to here.
const DIGITS_SAFE: usize = 18;

/// Parses the canonical decimal text of an `i64`: no `+`, no leading zero, no `-0`, no white space.
#[inline]
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => {
            let magnitude = parse_u64(digits)?;
            // Zero has no negative spelling; wrapping turns 2^63 into i64::MIN and back.
            let in_range = magnitude != 0 && magnitude <= i64::MIN.unsigned_abs();
            in_range.then(|| (magnitude as i64).wrapping_neg())
        }
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// Parses the canonical decimal text of a `u64`, by the same rules as [`parse_i64`].
#[inline]
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] if text.len() <= I64_TEXT_MAX => {}
        _ => return None,
    }
    let (head, tail) = text.split_at(text.len().min(DIGITS_SAFE));
    let mut value = 0_u64;
    for &byte in head {
        value = value * 10 + u64::from(digit(byte)?);
    }
    for &byte in tail {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit(byte)?))?;
    }
    Some(value)
}

/// The value of an ASCII decimal digit.
#[inline]
fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(value)
}

/// Writes the decimal text of `value` into `buffer` and returns it.
#[inline]
pub fn format_i64(value: i64, buffer: &mut [u8; I64_TEXT_MAX]) -> &[u8] {
    let mut formatter = itoa::Buffer::new();
    let text = formatter.format(value).as_bytes();
    buffer[..text.len()].copy_from_slice(text);
    &buffer[..text.len()]
}

/// Appends the decimal text of `value` to `out`.
#[inline]
pub fn append_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes the decimal text of `value` into `buffer` and returns it. A `u64` has no more digits than
/// an `i64` has with its sign.
#[inline]
pub fn format_u64(value: u64, buffer: &mut [u8; I64_TEXT_MAX]) -> &[u8] {
    let mut formatter = itoa::Buffer::new();
    let text = formatter.format(value).as_bytes();
    buffer[..text.len()].copy_from_slice(text);
    &buffer[..text.len()]
}

/// Appends the decimal text of `value` to `out`.
#[inline]
pub fn append_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// How many decimal digits `value` has; 1 for zero.
#[inline]
#[must_use]
pub const fn digits_of_u64(value: u64) -> usize {
    match value.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

/// How long the decimal text of `value` is, sign included: what STRLEN says of an integer value.
#[inline]
#[must_use]
pub const fn digits_of_i64(value: i64) -> usize {
    digits_of_u64(value.unsigned_abs()) + (value < 0) as usize
}

/// Parses a double as `strtod` does: decimal or hexadecimal, optional sign and exponent, `inf` and
/// `infinity` in any case; no white space, nothing after the number, no NaN.
///
/// `None` too when the number is too large for a double, or not zero but too small for one.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, magnitude) = split_sign(text);
    let value = match classify(magnitude)? {
        FloatText::Infinity => f64::INFINITY,
        FloatText::Decimal => in_range(decimal_f64(magnitude)?, has_nonzero_digit(magnitude))?,
        FloatText::Hex(hex) => in_range(hex.to_f64(), hex.mantissa != 0)?,
    };
    Some(if negative { -value } else { value })
}

/// Splits an optional sign off; true means minus.
pub(crate) fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

/// What kind of float an unsigned text is.
pub(crate) enum FloatText {
    /// `inf` or `infinity`.
    Infinity,
    /// Begins like a decimal number; not checked further.
    Decimal,
    /// A complete hexadecimal number.
    Hex(WideFloat),
}

/// Tells the kinds of number apart by their beginning. `None`: certainly no number.
pub(crate) fn classify(magnitude: &[u8]) -> Option<FloatText> {
    match magnitude {
        [b'0', b'x' | b'X', rest @ ..] => WideFloat::parse_hex(rest).map(FloatText::Hex),
        [b'0'..=b'9' | b'.', ..] => Some(FloatText::Decimal),
        _ if magnitude.eq_ignore_ascii_case(b"inf") => Some(FloatText::Infinity),
        _ if magnitude.eq_ignore_ascii_case(b"infinity") => Some(FloatText::Infinity),
        _ => None,
    }
}

/// Rust's own parser has the same decimal grammar as `strtod` once the first byte is a digit or
/// dot, and rounds correctly too.
fn decimal_f64(magnitude: &[u8]) -> Option<f64> {
    std::str::from_utf8(magnitude).ok()?.parse().ok()
}

/// Whether a decimal text has a digit other than zero before its exponent.
pub(crate) fn has_nonzero_digit(magnitude: &[u8]) -> bool {
    magnitude
        .iter()
        .take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'))
        .any(|byte| (b'1'..=b'9').contains(byte))
}

/// Refuses what `strtod` reports as out of range: infinity from digits, and zero from nonzero ones.
fn in_range(value: f64, nonzero: bool) -> Option<f64> {
    (value.is_finite() && (value != 0.0 || !nonzero)).then_some(value)
}

/// An unsigned float `mantissa x 2^exponent` with more bits than any result keeps. What did not fit
/// is noted in the lowest bit (sticky), which is enough for correct rounding to anything narrower.
pub(crate) struct WideFloat {
    /// Zero only when the number is zero. At least 66 bits wide when the lowest one is sticky.
    pub(crate) mantissa: u128,
    /// The power of two that the mantissa's lowest bit stands for; saturated far outside any
    /// format.
    pub(crate) exponent: i64,
}

impl WideFloat {
    /// Parses what follows the `0x` of a hexadecimal number: hex digits with an optional point,
    /// optional `p` and decimal exponent.
    fn parse_hex(text: &[u8]) -> Option<Self> {
        let end = text
            .iter()
            .position(|b| b.eq_ignore_ascii_case(&b'p'))
            .unwrap_or(text.len());
        let (digits, exponent) = (&text[..end], &text[end..]);
        let (mut mantissa, mut scale) = (0_u128, 0_i64);
        let (mut any_digit, mut after_point) = (false, false);
        for &byte in digits {
            if byte == b'.' && !after_point {
                after_point = true;
                continue;
            }
            let nibble = (byte as char).to_digit(16)?;
            any_digit = true;
            if mantissa >> 120 == 0 {
                mantissa = mantissa << 4 | u128::from(nibble);
                scale -= if after_point { 4 } else { 0 };
            } else {
                mantissa |= u128::from(nibble != 0);
                scale += if after_point { 0 } else { 4 };
            }
        }
        let power = match exponent {
            [] => 0,
            [_, power @ ..] => parse_exponent(power)?,
        };
        any_digit.then_some(Self {
            mantissa,
            exponent: scale.saturating_add(power),
        })
    }

    /// Parses a plain decimal number, digits with an optional point: `None` for any other text and
    /// when there are more than 19 digits or more than [`Self::DECIMALS_MAX`] after the point. The
    /// short way for the texts that people write.
    pub(crate) fn parse_short_decimal(text: &[u8]) -> Option<Self> {
        let (mut digits, mut digit_count, mut decimals) = (0_u64, 0, None);
        for &byte in text {
            if byte == b'.' && decimals.is_none() {
                decimals = Some(0);
                continue;
            }
            digits = digits
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit(byte)?));
            digit_count += 1;
            decimals = decimals.map(|count| count + 1);
        }
        let decimals = decimals.unwrap_or(0);
        if digit_count == 0 || digit_count > 19 || decimals > Self::DECIMALS_MAX {
            return None;
        }
        let divisor = u128::from(10_u64.pow(decimals));
        // With the highest bit at 127 and a divisor below 2^57, 71 bits of quotient remain or more.
        let shift = u128::from(digits).leading_zeros() % u128::BITS;
        let dividend = u128::from(digits) << shift;
        let inexact = !dividend.is_multiple_of(divisor);
        let mantissa = (dividend / divisor) | u128::from(inexact);
        Some(Self {
            mantissa,
            exponent: -i64::from(shift),
        })
    }

    /// Digits after the point that [`Self::parse_short_decimal`] takes.
    const DECIMALS_MAX: u32 = 17;

    /// Rounds to `precision` bits, ties to even, but keeps no bit below 2^`lowest`. Returns the
    /// kept mantissa (at most 2^`precision`) and the power of two of its lowest bit.
    pub(crate) fn round(&self, precision: u32, lowest: i64) -> (u128, i64) {
        if self.mantissa == 0 {
            return (0, 0);
        }
        let width = i64::from(u128::BITS - self.mantissa.leading_zeros());
        let lowest = self
            .exponent
            .saturating_add(width - i64::from(precision))
            .max(lowest);
        let drop = lowest.saturating_sub(self.exponent);
        if drop <= 0 {
            // The text was shorter than `precision`: nothing to round away.
            return (self.mantissa, self.exponent);
        }
        (round_half_even(self.mantissa, drop), lowest)
    }

    /// The nearest double; infinity when too large, subnormal or zero when small.
    fn to_f64(&self) -> f64 {
        let lowest_subnormal = i64::from(f64::MIN_EXP) - i64::from(f64::MANTISSA_DIGITS);
        let (kept, power) = self.round(f64::MANTISSA_DIGITS, lowest_subnormal);
        scale_by_power_of_two(kept as f64, power)
    }
}

/// `value / 2^drop` rounded to the nearest integer, ties to even.
pub(crate) fn round_half_even(value: u128, drop: i64) -> u128 {
    match drop {
        ..=0 => value,
        1..=127 => {
            let (quotient, rest) = (value >> drop, value & ((1 << drop) - 1));
            let half = 1 << (drop - 1);
            quotient + u128::from(rest > half || (rest == half && quotient & 1 == 1))
        }
        // 2^128 / 2 and more: only a value above the half rounds up to one.
        128 => u128::from(value > 1 << 127),
        _ => 0,
    }
}

/// `value x 2^power`, exact when the result is representable; overflows to infinity.
/// In three steps, since a power that a double can hold may be out of range for one step alone.
fn scale_by_power_of_two(value: f64, power: i64) -> f64 {
    let mut left = power.clamp(-3000, 3000) as i32;
    let mut scaled = value;
    for _ in 0..3 {
        let step = left.clamp(-1000, 1000);
        scaled *= 2_f64.powi(step);
        left -= step;
    }
    scaled
}

/// A decimal exponent with optional sign, saturated far beyond any float's range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for &byte in digits {
        value = value
            .saturating_mul(10)
            .saturating_add(i64::from(digit(byte)?));
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests;
