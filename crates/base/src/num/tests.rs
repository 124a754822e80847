//! Spellings accepted and refused as Redis 8.2.3 does (INCRBY, ZADD), and round trips.

use super::*;
use proptest::prelude::*;

#[test]
fn integers_have_one_spelling() {
    for (text, expected) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("-1", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        ("100000000000000000000", None),
        ("-18446744073709551615", None),
        ("", None),
        ("-", None),
        ("+1", None),
        ("-0", None),
        ("00", None),
        ("01", None),
        ("-01", None),
        (" 1", None),
        ("1 ", None),
        ("1.0", None),
        ("1e3", None),
        ("0x10", None),
        ("1\0", None),
        ("1/", None),
        ("1:", None),
        ("--1", None),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), expected, "{text:?}");
    }
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"18446744073709551616"), None);
    assert_eq!(parse_u64(b"-1"), None);
}

#[test]
fn digit_counts() {
    for (value, digits) in [
        (0, 1),
        (9, 1),
        (10, 2),
        (-1, 2),
        (i64::MAX, 19),
        (i64::MIN, 20),
    ] {
        assert_eq!(digits_of_i64(value), digits, "{value}");
    }
    assert_eq!(digits_of_u64(u64::MAX), 20);
}

/// `ZADD z INCR text m` on Redis 8.2.3.
#[test]
fn floats_are_accepted_as_upstream_does() {
    for (text, expected) in [
        ("1", 1.0),
        ("+1", 1.0),
        ("-1", -1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("+.5e1", 5.0),
        ("1e5", 1e5),
        ("1E5", 1e5),
        ("00012", 12.0),
        ("1e-320", 1e-320),
        ("4e-324", 5e-324),
        ("0e-400", 0.0),
        ("0e999999", 0.0),
        ("inf", f64::INFINITY),
        ("+INF", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("iNfInItY", f64::INFINITY),
        ("0x10", 16.0),
        ("0X1P3", 8.0),
        ("0x1.8", 1.5),
        ("0x.8p1", 1.0),
        ("-0x1p-2", -0.25),
        ("0x1.p2", 4.0),
        ("0x1e5", 485.0),
        ("0x1p-1074", 5e-324),
        ("0x1.8p-1074", 1e-323),
        ("0x1.fffffffffffff8p0", 2.0),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.000000000000080001p0", 1.000_000_000_000_000_2),
        ("0x1.fffffffffffff7fp1023", f64::MAX),
        ("0x0p99999999999999999999", 0.0),
    ] {
        assert_eq!(parse_f64(text.as_bytes()), Some(expected), "{text}");
    }
    assert_eq!(
        parse_f64(&b"1".repeat(200)),
        Some(1.111_111_111_111_111_1e199)
    );
    assert_eq!(parse_f64(&b"0".repeat(6000)), Some(0.0));
    assert!(parse_f64(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
}

#[test]
fn floats_are_refused_as_upstream_does() {
    for text in [
        "",
        "+",
        "-",
        ".",
        " 1",
        "1 ",
        "\t1",
        "\n1",
        "\u{b}1",
        "1e",
        "1e+",
        "e5",
        "1e5.5",
        "1_000",
        "1,5",
        "1\0",
        "1.0\0",
        "--1",
        "+-1",
        "1f",
        "1d",
        "1p3",
        "0b1",
        "infinit",
        "infx",
        "nan",
        "NaN",
        "-nan",
        "nan(1)",
        "1e400",
        "-1e400",
        "1e-400",
        "2e-324",
        "1e99999999999999999999",
        "0x",
        "0xg",
        "0x.p1",
        "0x1p",
        "0x1p+",
        "0x1p1e",
        "0x1..8",
        "0x1p1025",
        "0x1p-1080",
        "0x1p-1075",
        "1e0x1",
        "0x1.fffffffffffff8p1023",
        "0x1p99999999999999999999",
        "é",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(parse_f64(&b"1".repeat(400)), None);
    assert_eq!(
        parse_f64(&[b"0x", b"1".repeat(300).as_slice()].concat()),
        None
    );
}

/// A double's exact hexadecimal spelling.
fn hex_text(value: f64) -> String {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52) as i64 & 0x7ff, bits & ((1 << 52) - 1));
    let sign = if value.is_sign_negative() { "-" } else { "" };
    match exponent {
        0 => format!("{sign}0x0.{fraction:013x}p-1022"),
        _ => format!("{sign}0x1.{fraction:013x}p{}", exponent - 1023),
    }
}

proptest! {
    #[test]
    fn integers_round_trip(value: i64) {
        let mut buffer = [0; I64_TEXT_MAX];
        let text = format_i64(value, &mut buffer).to_vec();
        prop_assert_eq!(String::from_utf8_lossy(&text), value.to_string());
        prop_assert_eq!(parse_i64(&text), Some(value));
        prop_assert_eq!(digits_of_i64(value), text.len());
        let mut appended = b"x".to_vec();
        append_i64(value, &mut appended);
        prop_assert_eq!(&appended[1..], text.as_slice());
    }

    #[test]
    fn what_parses_formats_back(text in "[-+ 0-9]{0,21}") {
        if let Some(value) = parse_i64(text.as_bytes()) {
            prop_assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn doubles_round_trip(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(parse_f64(format!("{value:e}").as_bytes()), Some(value));
        prop_assert_eq!(parse_f64(hex_text(value).as_bytes()), Some(value));
    }

    #[test]
    fn any_bytes_are_safe(text: Vec<u8>) {
        let _ = (parse_i64(&text), parse_f64(&text));
    }
}
