//! What SCAN and its kin for the elements of one collection share: cursors and options.

use base::glob::glob_match;
use base::num::parse_i64;
use resp::Reply;

use crate::args::Args;
use crate::failure::Failure;

/// Entries that are visited without COUNT.
pub(super) const COUNT_DEFAULT: u64 = 10;

/// What is no number.
pub(super) const INVALID_CURSOR: Failure = Failure::fixed("ERR invalid cursor");

/// The number after COUNT; below 1 is a syntax error.
pub(super) fn parse_count(args: &mut Args<'_>) -> u64 {
    match args.int() {
        count @ 1.. => count as u64,
        _ => {
            args.fail(Failure::SYNTAX);
            COUNT_DEFAULT
        }
    }
}

/// Compat: cursors are read as C's `strtoull` reads them, except that small negative numbers are
/// refused: white space and a sign may stand before the digits.
pub(super) fn parse_cursor(text: &[u8]) -> Option<u64> {
    if parse_i64(text).is_some_and(|number| number < 0) {
        return None;
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

#[derive(Clone, Copy)]
enum ElementOption {
    Match,
    Count,
    Bare,
}

const ELEMENT_OPTIONS: &[(&str, ElementOption)] = &[
    ("MATCH", ElementOption::Match),
    ("COUNT", ElementOption::Count),
    ("NOVALUES", ElementOption::Bare),
];

/// The options of a scan of one collection.
pub(super) struct ElementScan<'a> {
    /// `None` = all.
    pattern: Option<&'a [u8]>,
    /// How many elements to visit, about.
    pub(super) wanted: u64,
    /// NOVALUES: fields without their values.
    pub(super) bare: bool,
}

impl<'a> ElementScan<'a> {
    /// Reads the words after the cursor.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn parse(args: &mut Args<'a>) -> Result<ElementScan<'a>, Failure> {
        let mut scan = ElementScan {
            pattern: None,
            wanted: COUNT_DEFAULT,
            bare: false,
        };
        while let Some(option) = args.option(ELEMENT_OPTIONS) {
            match option {
                ElementOption::Match => {
                    let pattern = args.bytes();
                    scan.pattern = (pattern != b"*").then_some(pattern);
                }
                ElementOption::Count => scan.wanted = parse_count(args),
                ElementOption::Bare => scan.bare = true,
            }
        }
        args.end()?;
        Ok(scan)
    }

    /// Whether every element is wanted.
    pub(super) fn wants_all(&self) -> bool {
        self.pattern.is_none()
    }

    /// Whether this element is wanted.
    pub(super) fn matches(&self, element: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob_match(pattern, element, false))
    }
}

/// The reply of a scan that found nothing and is over.
pub(super) fn reply_nothing(out: &mut Reply) {
    out.array(2);
    out.bulk(b"0");
    out.array(0);
}
