//! Sums as Redis 8.2.3 on x86-64 answered them (SET key a, INCRBYFLOAT key b), and a naive printer.
//!
//! 120,000 random pairs in the same style were compared with that server by hand when this was
//! written, without a difference: decimal and hexadecimal, exponents over the whole range, ties at
//! the 17th digit and at the 65th bit, chains of sums, and texts that are no numbers.

use super::*;
use proptest::prelude::*;

/// First value, increment, reply.
const SUMS: &[(&str, &str, &str)] = &[
    ("0.1", "0.2", "0.3"),
    ("3.0", "0", "3"),
    ("10.50", "0.1", "10.6"),
    ("5.0e3", "2.0e2", "5200"),
    ("3.0", "1.00", "4"),
    ("0", "-0", "0"),
    ("0", "-1e-18", "0"),
    ("0", "1e-17", "0.00000000000000001"),
    ("0", "1e-18", "0"),
    ("0", "5e-18", "0"),
    ("0", "-5e-18", "0"),
    ("0", "5.0000000000000000001e-18", "0"),
    ("1", "1e-17", "1.00000000000000001"),
    ("1", "5e-18", "1"),
    ("1", "6e-18", "1.00000000000000001"),
    ("100", "0.00000000000000001", "100.00000000000000001"),
    ("0x10", "0", "16"),
    ("0x1.8p1", "1", "4"),
    ("-0x.8P-3", "0", "-0.0625"),
    ("0X1p-64", "1", "1"),
    (".5", "5.", "5.5"),
    ("+1.5", "-1.5", "0"),
    ("1e20", "0", "100000000000000000000"),
    ("1e20", "1", "100000000000000000000"),
    ("1e17", "1", "100000000000000001"),
    (
        "123456789012345678901234567890",
        "0",
        "123456789012345678899921813504",
    ),
    ("18446744073709551615", "0", "18446744073709551615"),
    ("18446744073709551615", "1", "18446744073709551616"),
    ("18446744073709551616", "1", "18446744073709551616"),
    ("18446744073709551616", "2", "18446744073709551618"),
    ("18446744073709551616", "3", "18446744073709551620"),
    ("9223372036854775807", "1", "9223372036854775808"),
    ("-9223372036854775808", "-1", "-9223372036854775809"),
    ("9223372036854775807.5", "0", "9223372036854775807.5"),
    ("4611686018427387904.25", "0", "4611686018427387904"),
    ("4611686018427387904.125", "0", "4611686018427387904"),
    ("0x1p-18", "0", "0.00000381469726562"),
    ("0x3p-18", "0", "0.00001144409179688"),
    ("0x5p-18", "0", "0.00001907348632812"),
    ("-0x7p-18", "0", "-0.00002670288085938"),
    ("0x1p-57", "0", "0.00000000000000001"),
    ("0.99999999999999999", "0", "0.99999999999999999"),
    ("0.999999999999999999", "0", "1"),
    ("0.9999999999999999999", "0", "1"),
    ("0.99999999999999999999", "0", "1"),
    ("9.99999999999999999e0", "0", "9.99999999999999999"),
    ("-0.999999999999999995", "0", "-1"),
    (
        "3.14159265358979323846264338327950288",
        "0",
        "3.14159265358979324",
    ),
    (
        "2.71828182845904523536028747135266249e10",
        "0",
        "27182818284.59045235440135002",
    ),
    ("36893488147419103233", "0", "36893488147419103232"),
    ("36893488147419103234", "0", "36893488147419103232"),
    ("36893488147419103235", "0", "36893488147419103236"),
    ("1e-4950", "0", "0"),
    ("3e-4951", "1", "1"),
    ("0x1p-16445", "0", "0"),
    ("0x1.8p-16446", "0", "0"),
    ("00012.500", "000.5", "13"),
    ("1E5", "1e+5", "200000"),
    ("1e-5", "1e-05", "0.00002"),
    ("1234567.891", "-1234567.89", "0.00099999999997635"),
    ("1.1", "2.2", "3.3"),
    ("0.7", "0.1", "0.8"),
    ("100.1", "-100", "0.1"),
    ("4.35", "100", "104.35"),
    ("1e19", "0.5", "10000000000000000000"),
    ("33.333333333333333333", "66.666666666666666667", "100"),
];

/// First value, increment, length of the reply, its first and its last 30 digits.
const LONG_SUMS: &[(&str, &str, usize, &str, &str)] = &[
    (
        "1e300",
        "0",
        301,
        "100000000000000000000899732407",
        "187386105690089424915104006144",
    ),
    (
        "1e300",
        "1",
        301,
        "100000000000000000000899732407",
        "187386105690089424915104006144",
    ),
    (
        "1.7976931348623157e308",
        "1.7976931348623157e308",
        309,
        "359538626972463139991842093548",
        "319971852753604933726679072768",
    ),
    (
        "1e4931",
        "0",
        4932,
        "100000000000000000000601894938",
        "116314108653841811379188662272",
    ),
    (
        "-1e4931",
        "-1e4931",
        4933,
        "-20000000000000000000120378987",
        "232628217307683622758377324544",
    ),
    (
        "1.18e4932",
        "0",
        4933,
        "118000000000000000000065281291",
        "222606896512585853888628785152",
    ),
    (
        "0x1p16383",
        "-0x1p16320",
        4932,
        "594865747678615882478384189716",
        "472580374196038441477007736832",
    ),
];

fn number(text: &str) -> LongDouble {
    LongDouble::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
}

fn sum(first: &str, increment: &str) -> String {
    String::from_utf8(number(first).add(number(increment)).format_human()).expect("ASCII digits")
}

#[test]
fn sums_as_upstream() {
    for &(first, increment, expected) in SUMS {
        assert_eq!(sum(first, increment), expected, "{first} + {increment}");
    }
    for &(first, increment, length, head, tail) in LONG_SUMS {
        let text = sum(first, increment);
        assert_eq!(text.len(), length, "{first} + {increment}");
        assert_eq!(
            (&text[..30], &text[length - 30..]),
            (head, tail),
            "{first} + {increment}"
        );
    }
}

#[test]
fn texts_that_are_no_numbers() {
    for text in [
        "",
        "+",
        "-",
        ".",
        "e1",
        ".e1",
        "1e",
        "1e+",
        "1e5e",
        "1.1.1",
        "1_0",
        " 1",
        "1 ",
        "1\0",
        "--1",
        "+-1",
        "1e0x1",
        "0x",
        "0x.p1",
        "0x1p",
        "0x1p+",
        "0xg",
        "0x1..1",
        "nan",
        "-NaN",
        "nan(1)",
        "snan",
        "Infinit",
        "infx",
        "1e4933",
        "1.19e4932",
        "-1e5000",
        "1e99999999999999999999",
        "0x1p16384",
        "1e-4951",
        "1e-5000",
        "0x1p-16446",
        "1e-99999999999999999999",
        "1\u{661}",
        "0x1p99999999999999999999",
        "0x1p-99999999999999999999",
    ] {
        assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn long_texts_are_refused_from_5120_bytes_on() {
    assert!(LongDouble::parse(&b"1".repeat(4932)).is_some());
    assert!(LongDouble::parse(&b"0".repeat(LongDouble::TEXT_MAX)).is_some());
    assert!(LongDouble::parse(&b"0".repeat(LongDouble::TEXT_MAX + 1)).is_none());
}

#[test]
fn infinities_and_their_sums() {
    for text in ["inf", "+INF", "Infinity", "iNfInItY"] {
        assert!(
            !number(text).is_finite() && !number(text).is_nan(),
            "{text}"
        );
    }
    assert_eq!(sum("inf", "0"), "inf");
    assert_eq!(sum("-inf", "1"), "-inf");
    assert_eq!(sum("inf", "-inf"), "nan");
    assert!(number("inf").add(number("-inf")).is_nan());
    assert!(!number("1e4932").add(number("1e4932")).is_finite());
    assert!(!number("-1e4932").add(number("-1e4932")).is_finite());
}

/// `mantissa x 2^power` in decimal digits by doubling or halving them one at a time, then rounded
/// to 17 digits after the point, half to even.
fn naive_text(mantissa: u64, power: i64) -> String {
    let mut integer: Vec<u8> = mantissa
        .to_string()
        .bytes()
        .map(|b| b - b'0')
        .rev()
        .collect();
    for _ in 0..power {
        let mut carry = 0;
        for digit in &mut integer {
            (*digit, carry) = ((*digit * 2 + carry) % 10, (*digit * 2 + carry) / 10);
        }
        integer.extend((carry > 0).then_some(carry));
    }
    // Digits after the point, highest first. Halving needs one more of them each time.
    let mut fraction: Vec<u8> = Vec::new();
    for _ in power..0 {
        let mut rest = 0;
        fraction.resize(fraction.len() + 1, 0);
        for digit in integer.iter_mut().rev().chain(&mut fraction) {
            let wide = rest * 10 + *digit;
            (*digit, rest) = (wide / 2, wide % 2);
        }
    }
    fraction.resize(fraction.len().max(FRACTION_DIGITS + 1), 0);
    let cut = fraction.split_off(FRACTION_DIGITS);
    let odd = fraction[FRACTION_DIGITS - 1] % 2 == 1;
    let exactly_half = cut[0] == 5 && cut[1..].iter().all(|&digit| digit == 0);
    let mut carry = u8::from(if exactly_half { odd } else { cut[0] >= 5 });
    for digit in fraction.iter_mut().rev().chain(&mut integer) {
        (*digit, carry) = ((*digit + carry) % 10, (*digit + carry) / 10);
    }
    integer.extend((carry > 0).then_some(carry));
    let text: String = integer
        .iter()
        .rev()
        .map(|digit| (digit + b'0') as char)
        .collect();
    let text = format!("{}.", text.trim_start_matches('0'));
    let text = fraction
        .iter()
        .fold(text, |text, digit| text + &digit.to_string());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text.starts_with('.') {
        format!("0{text}")
    } else {
        text.to_owned()
    }
}

proptest! {
    #[test]
    fn prints_every_digit(
        mantissa in 1_u64..,
        power in prop_oneof![-140..70_i64, -130..-40_i64, 0..1200_i64],
    ) {
        let (integer, fraction) = split_at_point(mantissa, power);
        let mut out = Vec::new();
        append_scaled_integer(integer, power.max(0) as u32, &mut out);
        append_fraction(fraction, &mut out);
        prop_assert_eq!(String::from_utf8_lossy(&out), naive_text(mantissa, power));
    }

    #[test]
    fn ties_go_to_the_even_digit(numerator in 0..1_u64 << 40, power in 18..58_i64) {
        // A fraction of exactly `power` bits has `power` decimals and ends in 5: ties at power 18.
        let odd = numerator | 1;
        let text = number(&format!("0x{odd:x}p-{power}")).format_human();
        prop_assert_eq!(String::from_utf8_lossy(&text), naive_text(odd, -power));
    }

    #[test]
    fn eighteen_digits_come_back(digits in 0..10_u64.pow(18), negative: bool) {
        let sign = if negative { "-" } else { "" };
        let (integer, fraction) = (digits / FRACTION_SCALE, digits % FRACTION_SCALE);
        let text = format!("{sign}{integer}.{fraction:017}");
        let shortest = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        prop_assume!(shortest != "-0");
        prop_assert_eq!(sum(&text, "0"), shortest);
    }

    #[test]
    fn short_decimals_agree_with_long_ones(digits: u64, decimals in 0..18_u32, cut in 0..20_u32) {
        let digits = digits.checked_shr(3 * cut).unwrap_or(digits);
        let scale = 10_u64.pow(decimals);
        let width = decimals as usize;
        let text = format!("{}.{:0width$}", digits / scale, digits % scale);
        // An exponent leads past the short way.
        prop_assert_eq!(number(&text), number(&format!("{text}e0")));
    }

    #[test]
    fn integers_are_exact(a: i32, b: i64) {
        let text = LongDouble::from(i64::from(a)).add(LongDouble::from(b)).format_human();
        let exact = i128::from(a) + i128::from(b);
        prop_assert_eq!(String::from_utf8_lossy(&text), exact.to_string());
        prop_assert_eq!(number(&b.to_string()), LongDouble::from(b));
    }

    #[test]
    fn any_bytes_are_safe(text: Vec<u8>) {
        let _ = LongDouble::parse(&text);
    }

    #[test]
    fn any_number_like_text_is_safe(text in "[-+]?(0x)?[0-9a-f.]{0,30}[ep]?[-+]?[0-9]{0,22}") {
        if let Some(value) = LongDouble::parse(text.as_bytes()) {
            prop_assert!(value.format_human().len() <= 4934 + FRACTION_DIGITS);
        }
    }
}

/// `printf("%.17Lg")` of glibc on x86-64.
#[test]
fn general_form_as_in_c() {
    for (text, expected) in [
        ("0", "0"),
        ("-0", "-0"),
        ("60", "60"),
        ("-1", "-1"),
        ("0.1", "0.1"),
        ("100.1", "100.1"),
        ("-2.5", "-2.5"),
        ("123456.789", "123456.789"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("1e16", "10000000000000000"),
        ("1e17", "1e+17"),
        ("123456789012345678", "1.2345678901234568e+17"),
        ("12345678901234567", "12345678901234567"),
        ("9223372036854775807", "9.2233720368547758e+18"),
        ("1e300", "1e+300"),
        ("1.5e-300", "1.5e-300"),
        ("0.333333333333333333333", "0.33333333333333333"),
        ("inf", "inf"),
        ("-inf", "-inf"),
    ] {
        let value = LongDouble::parse(text.as_bytes()).expect("a number");
        let printed = String::from_utf8(value.format_general()).expect("text");
        assert_eq!(printed, expected, "{text}");
    }
}

#[test]
fn integer_parts() {
    for (text, expected) in [
        ("2.9", Some(2)),
        ("-2.9", Some(-2)),
        ("0.5", Some(0)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808.5", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("1e30", None),
        ("inf", None),
    ] {
        let value = LongDouble::parse(text.as_bytes()).expect("a number");
        assert_eq!(value.trunc_i64(), expected, "{text}");
    }
}
