//! The arithmetic of INCRBYFLOAT and HINCRBYFLOAT: 80-bit extended precision, as on an x86 FPU.
//!
//! Upstream adds in C's `long double` and prints with `%.17Lf`. On x86-64 that type has a 64-bit
//! mantissa and reaches 1e4932; a plain double would print other digits (0.1 + 0.2 is `0.3` here).
//! Parsing and adding are `rustc_apfloat`'s, so the answers are the same on every CPU. Printing is
//! ours and exact: both the 16,000 bits above the point and the rounding of the 17 digits below it.

use std::cmp::Ordering;

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};

use crate::num::{self, FloatText, WideFloat};

/// Digits printed after the decimal point before trailing zeros are cut.
const FRACTION_DIGITS: usize = 17;

/// Significant digits of [`LongDouble::format_general`].
const GENERAL_DIGITS: usize = 17;

/// 10 to the power of [`FRACTION_DIGITS`].
const FRACTION_SCALE: u64 = 10_u64.pow(FRACTION_DIGITS as u32);

/// The power of two of the lowest bit of the smallest (subnormal) value.
const LOWEST_POWER: i64 = -16445;

/// An x87 extended-precision number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// The longest text that [`LongDouble::parse`] takes, in bytes.
    pub const TEXT_MAX: usize = 5119;

    /// Parses what `strtold` takes: decimal or hexadecimal, optional sign and exponent, `inf` and
    /// `infinity` in any case; no white space, nothing after the number, no NaN.
    ///
    /// `None` too when the text is longer than [`Self::TEXT_MAX`], or the number is too large, or
    /// it is not zero but too small.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > Self::TEXT_MAX {
            return None;
        }
        let (negative, magnitude) = num::split_sign(text);
        let value = match num::classify(magnitude)? {
            FloatText::Infinity => X87DoubleExtended::INFINITY,
            FloatText::Decimal => in_range(decimal(magnitude)?, num::has_nonzero_digit(magnitude))?,
            FloatText::Hex(hex) => in_range(from_wide(&hex), hex.mantissa != 0)?,
        };
        Some(Self(if negative { -value } else { value }))
    }

    /// Zero.
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// The largest finite number, about 1.19e4932; the smallest is its negation.
    #[must_use]
    pub fn largest() -> Self {
        Self(X87DoubleExtended::largest())
    }

    /// The same number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The sum, rounded to nearest, ties to even. Infinity when too large, NaN for inf - inf.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "an operator would hide that this is soft float"
    )]
    pub fn add(self, other: Self) -> Self {
        Self((self.0 + other.0).value)
    }

    /// Neither infinite nor NaN.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The result of an undefined sum.
    #[must_use]
    pub fn is_nan(self) -> bool {
        self.0.is_nan()
    }

    /// Appends the decimal text: never in exponent form, at most 17 digits after the point (rounded
    /// half to even) and no trailing zeros among them; up to 4933 digits before it. Zero has no
    /// sign.
    pub fn append_human(self, out: &mut Vec<u8>) {
        let (negative, mantissa, power) = match self.unpack() {
            Unpacked::Special(text) => return out.extend_from_slice(text),
            Unpacked::Finite {
                negative,
                mantissa,
                power,
            } => (negative, mantissa, power),
        };
        let (integer, fraction) = split_at_point(mantissa, power);
        if negative && (integer, fraction) != (0, 0) {
            out.push(b'-');
        }
        append_scaled_integer(integer, power.max(0) as u32, out);
        append_fraction(fraction, out);
    }

    /// [`Self::append_human`] into a buffer of its own.
    #[must_use]
    pub fn format_human(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        self.append_human(&mut out);
        out
    }

    /// The decimal text of C's `%.17Lg`: 17 significant digits at most, without trailing zeros, in
    /// exponent form below 1e-4 and from 1e17 on.
    #[must_use]
    pub fn format_general(self) -> Vec<u8> {
        if let Unpacked::Special(text) = self.unpack() {
            return text.to_vec();
        }
        if self.0.is_zero() {
            return if self.0.is_negative() {
                b"-0"
            } else {
                &b"0"[..]
            }
            .to_vec();
        }
        // A width of zero asks for the form `d.dddE+x`. Its last digits may be off, hence more.
        let digits = 2 * GENERAL_DIGITS;
        general(&format!("{:width$.digits$}", self.0, width = 0))
    }

    /// The integer part, if it fits.
    #[must_use]
    pub fn trunc_i64(self) -> Option<i64> {
        let whole = self.0.to_i128_r(64, Round::TowardZero, &mut false);
        let in_range = !whole.status.contains(Status::INVALID_OP);
        in_range.then_some(whole.value as i64)
    }

    /// Takes the 80 bits apart: sign, 15 bits of exponent, 64 bits of mantissa with explicit one.
    fn unpack(self) -> Unpacked {
        if self.is_nan() {
            return Unpacked::Special(b"nan");
        }
        let bits = self.0.to_bits();
        let negative = bits >> 79 & 1 == 1;
        if !self.is_finite() {
            return Unpacked::Special(if negative { b"-inf" } else { b"inf" });
        }
        // Subnormals (exponent field 0) share the scale of field 1.
        let exponent = ((bits >> 64 & 0x7fff) as i64).max(1);
        Unpacked::Finite {
            negative,
            mantissa: bits as u64,
            power: exponent - 1 + LOWEST_POWER,
        }
    }
}

impl From<i64> for LongDouble {
    /// Exact: 64 bits of mantissa hold every `i64`.
    fn from(value: i64) -> Self {
        Self(X87DoubleExtended::from_i128(i128::from(value)).value)
    }
}

/// A number taken apart.
enum Unpacked {
    /// Infinity or NaN, as text.
    Special(&'static [u8]),
    /// `mantissa x 2^power`.
    Finite {
        negative: bool,
        mantissa: u64,
        power: i64,
    },
}

/// A decimal number without sign that begins with a digit or a point.
fn decimal(magnitude: &[u8]) -> Option<X87DoubleExtended> {
    if let Some(wide) = WideFloat::parse_short_decimal(magnitude) {
        return Some(from_wide(&wide));
    }
    // The library takes an exponent without digits for zero; `strtold` leaves it as garbage.
    let ends_well = magnitude
        .last()
        .is_some_and(|b| b.is_ascii_digit() || *b == b'.');
    let text = std::str::from_utf8(magnitude)
        .ok()
        .filter(|text| ends_well && text.is_ascii())?;
    text.parse::<X87DoubleExtended>().ok()
}

/// The nearest number; infinity when too large, subnormal or zero when small.
fn from_wide(wide: &WideFloat) -> X87DoubleExtended {
    let (kept, power) = wide.round(X87DoubleExtended::PRECISION as u32, LOWEST_POWER);
    // Both limits lie so far outside the format that pinning to them changes nothing.
    let power = power.clamp(-40_000, 40_000) as i32;
    X87DoubleExtended::from_u128(kept).value.scalbn(power)
}

/// Refuses what `strtold` reports as out of range: infinity from digits, and zero from nonzero
/// ones.
fn in_range(value: X87DoubleExtended, nonzero: bool) -> Option<X87DoubleExtended> {
    (value.is_finite() && value.is_zero() != nonzero).then_some(value)
}

/// Turns `d.dddE+x` into what `%g` prints.
fn general(scientific: &str) -> Vec<u8> {
    let (sign, magnitude) = match scientific.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", scientific),
    };
    let (mantissa, exponent) = magnitude.split_once('E').unwrap_or((magnitude, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let (digits, carried) = round_digits(digits);
    let exponent = exponent.parse::<i64>().unwrap_or(0) + i64::from(carried);
    let digits = digits.trim_end_matches('0');
    let with_point = |whole: &str, fraction: &str| match fraction {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    };
    let text = match exponent {
        -4..0 => {
            let zeros = "0".repeat((-exponent) as usize - 1);
            with_point("0", &(zeros + digits))
        }
        0..=16 if digits.len() > exponent as usize => {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            with_point(whole, fraction)
        }
        0..=16 => format!("{digits:0<width$}", width = exponent as usize + 1),
        _ => {
            let mantissa = with_point(&digits[..1], &digits[1..]);
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
    };
    [sign, &text].concat().into_bytes()
}

/// Rounds to [`GENERAL_DIGITS`] digits, ties to even; whether there is one more before the point.
fn round_digits(mut digits: Vec<u8>) -> (String, bool) {
    let cut = digits.split_off(digits.len().min(GENERAL_DIGITS));
    let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
    let significant = cut
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(0, |last| last + 1);
    let mut carry = match cut[..significant].cmp(b"5") {
        Ordering::Less => false,
        Ordering::Equal => odd,
        Ordering::Greater => true,
    };
    for digit in digits.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    if carry {
        digits.insert(0, b'1');
    }
    (digits.into_iter().map(char::from).collect(), carry)
}

/// Splits `mantissa x 2^power` at the decimal point into an integer and a fraction in units of
/// 1/[`FRACTION_SCALE`]. With a positive power the integer is still to be scaled by it.
fn split_at_point(mantissa: u64, power: i64) -> (u64, u64) {
    if power >= 0 {
        return (mantissa, 0);
    }
    let shift = power.unsigned_abs();
    let (integer, rest) = if shift < 64 {
        (mantissa >> shift, mantissa & ((1 << shift) - 1))
    } else {
        (0, mantissa)
    };
    // 64 bits times 57 bits fit the 128 easily.
    let fraction =
        num::round_half_even(u128::from(rest) * u128::from(FRACTION_SCALE), -power) as u64;
    if fraction == FRACTION_SCALE {
        (integer + 1, 0)
    } else {
        (integer, fraction)
    }
}

/// Appends the point and the digits of `fraction` without trailing zeros; nothing for zero.
fn append_fraction(fraction: u64, out: &mut Vec<u8>) {
    if fraction == 0 {
        return;
    }
    out.push(b'.');
    let digits = num::digits_of_u64(fraction);
    out.resize(out.len() + FRACTION_DIGITS - digits, b'0');
    out.extend_from_slice(itoa::Buffer::new().format(fraction).as_bytes());
    let kept = out
        .iter()
        .rposition(|&byte| byte != b'0')
        .map_or(0, |last| last + 1);
    out.truncate(kept);
}

/// Appends the exact decimal digits of `value x 2^power`.
///
/// Limbs of nine decimal digits, lowest first, doubled up to 29 times per pass: all in 64-bit
/// arithmetic. Quadratic in the number's length, which the format bounds at 4933 digits.
fn append_scaled_integer(value: u64, power: u32, out: &mut Vec<u8>) {
    const LIMB: u64 = 1_000_000_000;
    const LIMB_DIGITS: usize = 9;
    const STEP_MAX: u32 = 29;
    if power == 0 {
        return out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    let mut limbs = Vec::with_capacity(4 + power as usize / STEP_MAX as usize);
    push_limbs(&mut limbs, value, LIMB);
    let mut left = power;
    while left > 0 {
        let step = left.min(STEP_MAX);
        let mut carry = 0;
        for limb in &mut limbs {
            let wide = (*limb << step) + carry;
            (*limb, carry) = (wide % LIMB, wide / LIMB);
        }
        push_limbs(&mut limbs, carry, LIMB);
        left -= step;
    }
    let mut formatter = itoa::Buffer::new();
    for (nth, &limb) in limbs.iter().rev().enumerate() {
        let text = formatter.format(limb).as_bytes();
        let padding = if nth == 0 {
            0
        } else {
            LIMB_DIGITS - text.len()
        };
        out.resize(out.len() + padding, b'0');
        out.extend_from_slice(text);
    }
}

/// Appends `value` to the number as limbs above the present ones.
fn push_limbs(limbs: &mut Vec<u64>, mut value: u64, limb: u64) {
    while value > 0 {
        limbs.push(value % limb);
        value /= limb;
    }
}

#[cfg(test)]
mod tests;
