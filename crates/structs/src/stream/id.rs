//! The ids of a stream's entries: milliseconds and a number within the millisecond.

use base::num::{I64_TEXT_MAX, format_u64, parse_i64, parse_u64};
use base::strings::until_nul;

/// An entry's id. Ordered by milliseconds, then by sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, as a rule.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

/// The longest text of an id: two numbers and a dash.
pub const ID_TEXT_MAX: usize = 2 * I64_TEXT_MAX + 1;

/// Longer texts are not looked at. Compat: the size of upstream's buffer, without its last byte.
const TEXT_READ_MAX: usize = 127;

/// What an id's text says of the sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Nothing: `5`.
    Missing,
    /// That it be chosen: `5-*`.
    Auto,
    /// A number: `5-1`.
    Given(u64),
}

impl StreamId {
    /// The smallest id. No entry has it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The largest id.
    pub const MAX: StreamId = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The id after this one; `None` after the largest.
    #[must_use]
    pub fn next(self) -> Option<StreamId> {
        let (seq, carry) = self.seq.overflowing_add(1);
        let ms = self.ms.checked_add(u64::from(carry))?;
        Some(StreamId { ms, seq })
    }

    /// The id before this one; `None` before the smallest.
    #[must_use]
    pub fn previous(self) -> Option<StreamId> {
        let (seq, borrow) = self.seq.overflowing_sub(1);
        let ms = self.ms.checked_sub(u64::from(borrow))?;
        Some(StreamId { ms, seq })
    }

    /// Parses `ms`, `ms-seq` or `ms-*`.
    ///
    /// Compat: the numbers are those of C's `strtoull`, see [`number`].
    #[must_use]
    pub fn parse_parts(text: &[u8]) -> Option<(u64, Sequence)> {
        if text.len() > TEXT_READ_MAX {
            return None;
        }
        let text = until_nul(text);
        let Some(dash) = text.iter().position(|&byte| byte == b'-') else {
            return Some((number(text)?, Sequence::Missing));
        };
        let ms = number(&text[..dash])?;
        match &text[dash + 1..] {
            b"*" => Some((ms, Sequence::Auto)),
            seq => Some((ms, Sequence::Given(number(seq)?))),
        }
    }

    /// Parses `ms-seq`, or `ms` with `missing` as the sequence number.
    #[must_use]
    pub fn parse(text: &[u8], missing: u64) -> Option<StreamId> {
        let (ms, seq) = StreamId::parse_parts(text)?;
        let seq = match seq {
            Sequence::Missing => missing,
            Sequence::Given(seq) => seq,
            Sequence::Auto => return None,
        };
        Some(StreamId { ms, seq })
    }

    /// Its text, `ms-seq`, written into `buffer`.
    #[inline]
    #[must_use]
    pub fn text(self, buffer: &mut [u8; ID_TEXT_MAX]) -> &[u8] {
        let mut digits = [0; I64_TEXT_MAX];
        let mut len = 0;
        let mut put = |part: &[u8]| {
            buffer[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        };
        put(format_u64(self.ms, &mut digits));
        put(b"-");
        put(format_u64(self.seq, &mut digits));
        &buffer[..len]
    }

    /// Its text as an owned word.
    #[must_use]
    pub fn to_word(self) -> Vec<u8> {
        self.text(&mut [0; ID_TEXT_MAX]).to_vec()
    }
}

/// A number as C's `strtoull` reads it, unless it is plainly a negative one: `+5`, ` 007`, and even
/// `-05`, which is counted down from zero.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_u64(text) {
        return Some(number);
    }
    if parse_i64(text).is_some() {
        return None;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let spaces = text.iter().take_while(|byte| is_space(byte)).count();
    let text = &text[spaces..];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    let number = match &digits[zeros..] {
        [] if zeros > 0 => 0,
        rest => parse_u64(rest)?,
    };
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let id = |ms, seq| Some(StreamId { ms, seq });
        assert_eq!(StreamId::parse(b"5-1", 0), id(5, 1));
        assert_eq!(StreamId::parse(b"5", 7), id(5, 7));
        assert_eq!(StreamId::parse(b"007-+3", 0), id(7, 3));
        assert_eq!(StreamId::parse(b"00", 0), id(0, 0));
        assert_eq!(StreamId::parse(b"5-1\0junk", 0), id(5, 1));
        // As Redis 8.2.3 reads them.
        assert_eq!(StreamId::parse(b" 5-\x0b+1", 0), id(5, 1));
        assert_eq!(StreamId::parse(b"5--0", 0), id(5, 0));
        assert_eq!(StreamId::parse(b"5- -3", 0), id(5, u64::MAX - 2));
        assert_eq!(StreamId::parse(b"5--05", 0), id(5, u64::MAX - 4));
        for bad in [
            "", "-", "-1", "5-", "5--1", "5-*", "a", "5-a", "5 ", "5- + 1", "+", "5-1-1",
        ] {
            assert_eq!(StreamId::parse(bad.as_bytes(), 0), None, "{bad:?}");
        }
        assert_eq!(StreamId::parse(b"18446744073709551616", 0), None);
        assert_eq!(StreamId::parse(&[b'0'; 128], 0), None);
        assert_eq!(
            StreamId::MAX.to_word(),
            b"18446744073709551615-18446744073709551615"
        );
        assert_eq!(StreamId::parse_parts(b"5-*"), Some((5, Sequence::Auto)));
    }

    #[test]
    fn neighbours() {
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.previous(), None);
        let last = StreamId {
            ms: 4,
            seq: u64::MAX,
        };
        assert_eq!(last.next(), Some(StreamId { ms: 5, seq: 0 }));
        assert_eq!(last.next().and_then(StreamId::previous), Some(last));
    }
}
