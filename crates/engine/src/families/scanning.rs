//! What SCAN, SSCAN, HSCAN and ZSCAN have in common: cursors, options, and how far one call goes.
//!
//! A cursor is a scan position: a prefix of a hash, below which everything has been visited (see
//! `structs::table`). Packed collections are answered whole, with the cursor 0.

use base::glob::glob_match;
use base::num::parse_i64;
use resp::Reply;
use structs::table::{Entry, POSITION_BITS, Table};

use crate::args::Args;
use crate::failure::Failure;

/// Entries that a scan visits without COUNT.
pub(super) const COUNT_DEFAULT: u64 = 10;
/// Buckets that a scan visits per entry it was asked for, when they are empty.
pub(super) const BUCKETS_PER_ENTRY_MAX: u64 = 10;

const INVALID_CURSOR: Failure = Failure::fixed("ERR invalid cursor");
/// NOVALUES where there are none.
pub(super) const NO_VALUES: Failure =
    Failure::fixed("ERR NOVALUES option can only be used in HSCAN");

/// The next word as a cursor.
pub(super) fn cursor(args: &mut Args<'_>) -> u64 {
    let word = args.bytes();
    parse_cursor(word).unwrap_or_else(|| {
        args.fail(INVALID_CURSOR);
        0
    })
}

/// The next word as COUNT's number.
pub(super) fn count(args: &mut Args<'_>) -> u64 {
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
fn parse_cursor(text: &[u8]) -> Option<u64> {
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

/// The options of SSCAN, HSCAN and ZSCAN.
pub(super) struct Options<'a> {
    /// `None` = all.
    pattern: Option<&'a [u8]>,
    count: u64,
    /// Fields without their values.
    pub(super) no_values: bool,
}

#[derive(Clone, Copy)]
enum Word {
    Match,
    Count,
    NoValues,
}

const WORDS: &[(&str, Word)] = &[
    ("MATCH", Word::Match),
    ("COUNT", Word::Count),
    ("NOVALUES", Word::NoValues),
];

impl<'a> Options<'a> {
    /// The options that are the rest of the words.
    ///
    /// # Errors
    /// Whatever is wrong with any word so far.
    pub(super) fn parse(args: &mut Args<'a>) -> Result<Options<'a>, Failure> {
        Options::parse_refusing(args, None)
    }

    /// As `parse`, for collections without values.
    ///
    /// # Errors
    /// As `parse`; NOVALUES.
    pub(super) fn parse_without_values(args: &mut Args<'a>) -> Result<Options<'a>, Failure> {
        Options::parse_refusing(args, Some(NO_VALUES))
    }

    fn parse_refusing(
        args: &mut Args<'a>,
        no_values: Option<Failure>,
    ) -> Result<Options<'a>, Failure> {
        let mut options = Options {
            pattern: None,
            count: COUNT_DEFAULT,
            no_values: false,
        };
        while let Some(word) = args.option(WORDS) {
            match (word, &no_values) {
                // `*` is no pattern: looking at the members would be for nothing.
                (Word::Match, _) => options.pattern = Some(args.bytes()).filter(|p| p != b"*"),
                (Word::Count, _) => options.count = count(args),
                (Word::NoValues, None) => options.no_values = true,
                (Word::NoValues, Some(refusal)) => args.fail(refusal.clone()),
            }
        }
        args.end()?;
        Ok(options)
    }

    /// Whether a member is to be returned.
    #[inline]
    pub(super) fn wants(&self, member: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob_match(pattern, member, false))
    }

    /// The entries that one call visits, with the next cursor: as many as COUNT says, and a bucket
    /// at least. `keep` says which of them are to be returned.
    pub(super) fn visit<'t>(
        &self,
        table: &'t Table,
        cursor: u64,
        keep: impl Fn(&Entry<'t>) -> bool,
    ) -> (u64, Vec<Entry<'t>>) {
        let mut found = Vec::new();
        let mut visited = 0;
        let mut buckets_left = self.count.saturating_mul(BUCKETS_PER_ENTRY_MAX);
        let mut next = Some(cursor).filter(|cursor| cursor >> POSITION_BITS == 0);
        while let Some(position) = next
            && buckets_left > 0
            && visited < self.count
        {
            buckets_left -= 1;
            next = table.scan(position, |entry| {
                visited += 1;
                if self.wants(entry.key) && keep(&entry) {
                    found.push(entry);
                }
            });
        }
        (next.unwrap_or(0), found)
    }
}

/// Begins the reply of a collection's scan. An array of elements must follow.
pub(super) fn begin_reply(out: &mut Reply, cursor: u64) {
    out.array(2);
    // A position has 48 bits.
    out.bulk_int(cursor as i64);
}

/// The reply of a scan of a missing key.
pub(super) fn reply_empty(out: &mut Reply) {
    begin_reply(out, 0);
    out.array(0);
}
