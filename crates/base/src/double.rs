//! Doubles as text, digit for digit as the reference server prints them.
//!
//! Redis 8.2.3 prints integers of up to 62 bits as integers and everything else with Grisu2
//! (Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", 2010).
//! Grisu2's text always reads back as the same number, but in about 4 of 1000 random doubles it is
//! not the shortest such text, or not the closest among the shortest: 1e23 prints as
//! `99999999999999990000000`. Clients compare scores as text, so we compute the same digits rather
//! than better ones.

use crate::powers::{FIRST_POWER, POWER_STEP, POWERS};

/// Integers beyond this are printed from their significant digits.
const INTEGER_MAX: f64 = (1_u64 << 62) as f64;
const FRACTION_BITS: i32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;
/// The scaled number's binary exponent must lie here, so that its integer part fits into 32 bits.
const SCALED_EXPONENT_MIN: i32 = -60;
const SCALED_EXPONENT_MAX: i32 = -32;
/// Grisu2 yields at most 17 digits (18 with a wrong guess of the power); the text adds a sign, a
/// point, an exponent (`-1.2345678901234567e-308`: 24 bytes) or zeros (24 digits before the point).
const TEXT_BYTES_MAX: usize = 32;
const DIGITS_MAX: usize = 20;
/// Weights of the digits before the point.
const TENS: [u32; 10] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// Room for the text of one double.
#[derive(Clone, Debug, Default)]
pub struct DoubleText {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
}

impl DoubleText {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn zeros(&mut self, count: usize) {
        self.bytes[self.len..self.len + count].fill(b'0');
        self.len += count;
    }
}

/// Writes `value` as Redis does: `3`, `-0`, `0.1`, `1e+20`, `1e-7`, `100000000000000000`, `inf`,
/// `-inf`, `nan`.
pub fn format_double(value: f64, text: &mut DoubleText) -> &[u8] {
    text.len = 0;
    if value.is_nan() {
        text.extend(b"nan");
    } else if value.is_infinite() {
        text.extend(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        text.extend(if value.is_sign_negative() {
            b"-0"
        } else {
            b"0"
        });
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        text.extend(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        if value < 0.0 {
            text.push(b'-');
        }
        let digits = shortest_digits(value.abs());
        place_digits(digits.as_slice(), digits.exponent, value < 0.0, text);
    }
    &text.bytes[..text.len]
}

/// Appends `value` with 17 significant digits, zeros at the end cut off: `printf`'s `%.17g`.
pub fn append_17_digits(value: f64, out: &mut Vec<u8>) {
    append_digits(value, 17, out);
}

/// Appends `value` with so many significant digits (at least one), zeros at the end cut off:
/// `printf`'s `%.*g`.
pub fn append_digits(value: f64, digits: usize, out: &mut Vec<u8>) {
    if value == 0.0 || !value.is_finite() {
        return out.extend_from_slice(format_double(value, &mut DoubleText::default()));
    }
    let digits = digits.max(1);
    let text = format!("{value:.*e}", digits - 1);
    // Invariant: that format has a mantissa, `e` and the exponent.
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits as i32).contains(&exponent) {
        let places = (digits as i32 - 1 - exponent) as usize;
        let text = format!("{value:.places$}");
        out.extend_from_slice(without_zeros(&text).as_bytes());
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let text = format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Without the zeros after the last digit that counts, if there is a point.
fn without_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// Chooses between plain and scientific notation. The number is `digits * 10^exponent`.
fn place_digits(digits: &[u8], exponent: i32, negative: bool, text: &mut DoubleText) {
    let count = digits.len() as i32;
    let scientific = exponent + count - 1; // exponent of the first digit
    if exponent >= 0 && scientific < count + 7 {
        text.extend(digits);
        text.zeros(exponent as usize);
    } else if exponent < 0 && (exponent > -7 || scientific.abs() < 4) {
        let whole = count + exponent; // digits before the point
        if whole > 0 {
            let (before, after) = digits.split_at(whole as usize);
            text.extend(before);
            text.push(b'.');
            text.extend(after);
        } else {
            text.extend(b"0.");
            text.zeros(-whole as usize);
            text.extend(digits);
        }
    } else {
        let digits = &digits[..digits.len().min(18 - usize::from(negative))];
        text.push(digits[0]);
        if digits.len() > 1 {
            text.push(b'.');
            text.extend(&digits[1..]);
        }
        text.extend(if scientific < 0 { b"e-" } else { b"e+" });
        text.extend(
            itoa::Buffer::new()
                .format(scientific.unsigned_abs())
                .as_bytes(),
        );
    }
}

/// Decimal digits (ASCII) and the decimal exponent of the last one.
struct Digits {
    bytes: [u8; DIGITS_MAX],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Leading zeros are dropped.
    fn push(&mut self, digit: u64) {
        if digit != 0 || self.len != 0 {
            self.bytes[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }
}

/// `significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Binary {
    significand: u64,
    exponent: i32,
}

impl Binary {
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self {
            significand: self.significand << shift,
            exponent: self.exponent - shift as i32,
        }
    }

    /// The product, its significand rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand) + (1 << 63);
        Self {
            significand: (product >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// Grisu2: digits inside the interval of numbers that round to `value`, which is positive and
/// finite.
fn shortest_digits(value: f64) -> Digits {
    let bits = value.to_bits();
    let fraction = bits & (HIDDEN_BIT - 1);
    let biased = (bits >> FRACTION_BITS) as i32;
    let exact = match biased {
        0 => Binary {
            significand: fraction,
            exponent: -1022 - FRACTION_BITS,
        },
        _ => Binary {
            significand: fraction | HIDDEN_BIT,
            exponent: biased - 1023 - FRACTION_BITS,
        },
    };
    // Half-way points to the neighbours; below a power of two the neighbour is twice as near.
    let upper = Binary {
        significand: exact.significand * 2 + 1,
        exponent: exact.exponent - 1,
    }
    .normalized();
    let shift = if exact.significand == HIDDEN_BIT {
        2
    } else {
        1
    };
    let lower_exponent = exact.exponent - shift;
    let lower = Binary {
        significand: ((exact.significand << shift) - 1) << (lower_exponent - upper.exponent),
        exponent: upper.exponent,
    };
    let (power, decimal) = scaling_power(upper.exponent);
    let exact = exact.normalized().times(power);
    let mut upper = upper.times(power);
    let mut lower = lower.times(power);
    // One unit of caution for the rounding of the power.
    lower.significand += 1;
    upper.significand -= 1;
    generate(exact, upper, lower, -decimal)
}

/// The power of ten that brings a number with this binary exponent into the scaled range, and its
/// exponent.
fn scaling_power(exponent: i32) -> (Binary, i32) {
    const LOG10_OF_2: f64 = 0.301_029_995_663_981_14;
    let estimate = (-f64::from(exponent + POWERS.len() as i32) * LOG10_OF_2) as i32;
    let mut index = (estimate - FIRST_POWER) / POWER_STEP;
    loop {
        let (significand, power_exponent) = POWERS[index as usize];
        let scaled = exponent + i32::from(power_exponent) + 64;
        if scaled < SCALED_EXPONENT_MIN {
            index += 1;
        } else if scaled > SCALED_EXPONENT_MAX {
            index -= 1;
        } else {
            let power = Binary {
                significand,
                exponent: i32::from(power_exponent),
            };
            return (power, FIRST_POWER + index * POWER_STEP);
        }
    }
}

/// Digits of `upper` until what is left is smaller than the interval, then the last digit moved
/// towards `exact`. All three have the same exponent after scaling.
fn generate(exact: Binary, upper: Binary, lower: Binary, exponent: i32) -> Digits {
    let mut digits = Digits {
        bytes: [0; DIGITS_MAX],
        len: 0,
        exponent,
    };
    let mut distance = upper.significand - exact.significand;
    let mut width = upper.significand - lower.significand;
    let point = -upper.exponent as u32; // bits behind the binary point, 32..=60
    let one = 1_u64 << point;
    let mut whole = (upper.significand >> point) as u32; // 64 - point bits
    let mut rest = upper.significand & (one - 1);

    for power in (0..=whole.checked_ilog10().unwrap_or(0)).rev() {
        let divisor = TENS[power as usize];
        digits.push(u64::from(whole / divisor));
        whole %= divisor;
        let left = (u64::from(whole) << point) + rest;
        if left <= width {
            digits.exponent += power as i32;
            approach(
                &mut digits,
                width,
                left,
                u64::from(divisor) << point,
                distance,
            );
            return digits;
        }
    }
    loop {
        rest *= 10; // below 2^60 * 10
        width = width.wrapping_mul(10);
        distance = distance.wrapping_mul(10);
        digits.push(rest >> point);
        digits.exponent -= 1;
        rest &= one - 1;
        if rest < width {
            approach(&mut digits, width, rest, one, distance);
            return digits;
        }
    }
}

/// Lowers the last digit while that brings the text nearer to the exact number and keeps it in the
/// interval. `unit` is the weight of that digit, `left` how far the digits are below the upper
/// bound, `distance` how far the exact number is.
fn approach(digits: &mut Digits, width: u64, mut left: u64, unit: u64, distance: u64) {
    let last = digits.len - 1; // the interval excludes zero: a first digit was pushed
    while left < distance
        && width - left >= unit
        && (left + unit < distance || distance - left > left + unit - distance)
    {
        digits.bytes[last] -= 1;
        left += unit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventeen_digits_as_printf_has_them() {
        for (value, expected) in [
            (0.1, "0.10000000000000001"),
            (1e-7, "9.9999999999999995e-08"),
            (1e20, "1e+20"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (0.0001, "0.0001"),
            (-1.5, "-1.5"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut text = Vec::new();
            append_17_digits(value, &mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }

    /// `factor * 10^power`, little-endian in base 2^32.
    fn times_power_of_ten(factor: u128, power: i32) -> Vec<u32> {
        let mut limbs: Vec<u32> = (0..4).map(|i| (factor >> (32 * i)) as u32).collect();
        for _ in 0..power {
            let mut carry = 0_u64;
            for limb in &mut limbs {
                let product = u64::from(*limb) * 10 + carry;
                *limb = product as u32;
                carry = product >> 32;
            }
            limbs.push(carry as u32);
        }
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        limbs
    }

    fn bits(number: &[u32]) -> i32 {
        number.len() as i32 * 32 - number.last().map_or(0, |top| top.leading_zeros() as i32)
    }

    /// The bit of weight `2^index`; 0 below the point.
    fn bit(number: &[u32], index: i32) -> u128 {
        match index {
            0.. => u128::from(number[index as usize / 32] >> (index % 32) & 1),
            _ => 0,
        }
    }

    /// Rounded down to 65 bits and one bit cut, or: half a unit on either side encloses the power.
    #[test]
    fn powers_are_right() {
        for (index, &(significand, exponent)) in POWERS.iter().enumerate() {
            let (decimal, exponent) =
                (FIRST_POWER + index as i32 * POWER_STEP, i32::from(exponent));
            assert!(significand >> 63 == 1, "row {index}");
            if decimal >= 0 {
                let power = times_power_of_ten(1, decimal);
                let below = bits(&power) - 65;
                let top = (0..65).fold(0, |top, i| top << 1 | bit(&power, below + 64 - i));
                assert_eq!(
                    (significand, exponent),
                    (((top + 1) >> 1) as u64, below + 1)
                );
            } else {
                // (2f - 1) * 10^-k < 2^(1 - e) < (2f + 1) * 10^-k; no product is a power of two.
                let twice = u128::from(significand) * 2;
                assert_eq!(
                    bits(&times_power_of_ten(twice - 1, -decimal)),
                    1 - exponent,
                    "{index}"
                );
                assert_eq!(
                    bits(&times_power_of_ten(twice + 1, -decimal)),
                    2 - exponent,
                    "{index}"
                );
            }
        }
    }
}
