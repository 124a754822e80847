//! One element: what it is, how it is encoded and decoded.

use base::num::{I64_TEXT_MAX, append_i64, digits_of_i64, format_i64, parse_i64};

/// Where an integer's text can be written.
pub type IntText = [u8; I64_TEXT_MAX];

/// An element as it is kept. `Bytes` is never the canonical text of an `i64`: [`Element::of`] makes
/// it an `Int`. So two elements are equal exactly if their texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// An integer, which stands for its canonical text.
    Int(i64),
    /// Any other text.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that stands for a text.
    #[inline]
    #[must_use]
    pub fn of(text: &'a [u8]) -> Element<'a> {
        match parse_i64(text) {
            Some(value) => Element::Int(value),
            None => Element::Bytes(text),
        }
    }

    /// Length of its text in bytes.
    #[inline]
    #[must_use]
    pub fn text_len(self) -> usize {
        match self {
            Element::Int(value) => digits_of_i64(value),
            Element::Bytes(text) => text.len(),
        }
    }

    /// Its text; an integer's is written into `buffer`.
    #[inline]
    #[must_use]
    pub fn text<'b>(self, buffer: &'b mut IntText) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::Int(value) => format_i64(value, buffer),
            Element::Bytes(text) => text,
        }
    }

    /// Appends its text to `out`.
    #[inline]
    pub fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Element::Int(value) => append_i64(value, out),
            Element::Bytes(text) => out.extend_from_slice(text),
        }
    }

    /// Whether `text` is its text. Nothing is formatted; compare elements rather than texts where
    /// one text is compared with many.
    #[inline]
    #[must_use]
    pub fn is(self, text: &[u8]) -> bool {
        match self {
            Element::Int(value) => parse_i64(text) == Some(value),
            Element::Bytes(own) => own == text,
        }
    }

    /// Bytes that it takes in a body, backlen included.
    #[inline]
    #[must_use]
    pub fn packed_len(self) -> usize {
        let len = match self {
            Element::Int(value) => int_encoding_len(value),
            Element::Bytes(text) => text_head_len(text.len()) + text.len(),
        };
        len + backlen_size(len)
    }
}

/// The longest encoding of an integer.
const HEAD_MAX: usize = 9;
/// The longest backlen.
const BACKLEN_MAX: usize = 5;

const INT_13: u8 = 0xc0;
const TEXT_6: u8 = 0x80;
const TEXT_12: u8 = 0xe0;
const TEXT_32: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

/// An element's bytes in a body, in three parts: head (an integer as a whole), text, backlen.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    head: [u8; HEAD_MAX],
    head_len: u8,
    backlen_len: u8,
    backlen: [u8; BACKLEN_MAX],
    text: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Encodes. A text is at most 4 GiB long.
    #[inline]
    #[must_use]
    pub fn new(element: Element<'a>) -> Encoded<'a> {
        let (head, head_len, text) = match element {
            Element::Int(value) => {
                let (head, len) = int_head(value);
                (head, len, &[][..])
            }
            Element::Bytes(text) => {
                let (head, len) = text_head(text.len());
                (head, len, text)
            }
        };
        let (backlen, backlen_len) = backlen(head_len + text.len());
        Encoded {
            head,
            head_len: head_len as u8,
            backlen_len: backlen_len as u8,
            backlen,
            text,
        }
    }

    /// How many bytes it is.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an encoding is never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.text.len() + usize::from(self.backlen_len)
    }

    /// Whether the element at `position` is this one.
    #[inline]
    #[must_use]
    pub fn is_at(&self, body: &[u8], position: usize) -> bool {
        if body[position] != self.head[0] {
            return false;
        }
        let head = &self.head[..usize::from(self.head_len)];
        let text_at = position + head.len();
        if head.len() > 1 && body.get(position + 1..text_at) != Some(&head[1..]) {
            return false;
        }
        let Some(text) = body.get(text_at..text_at + self.text.len()) else {
            return false;
        };
        // The last bytes of different texts are the likeliest to differ.
        text.last() == self.text.last() && text == self.text
    }

    /// Writes it to the beginning of `out`, which is at least [`Self::len`] long; returns the rest.
    #[inline]
    pub fn write<'o>(&self, out: &'o mut [u8]) -> &'o mut [u8] {
        let (head, out) = out.split_at_mut(usize::from(self.head_len));
        head.copy_from_slice(&self.head[..head.len()]);
        let (text, out) = out.split_at_mut(self.text.len());
        text.copy_from_slice(self.text);
        let (backlen, out) = out.split_at_mut(usize::from(self.backlen_len));
        backlen.copy_from_slice(&self.backlen[..backlen.len()]);
        out
    }

    /// Appends it without the backlen, for runs that are only read forwards.
    #[inline]
    pub fn append_forward(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head[..usize::from(self.head_len)]);
        out.extend_from_slice(self.text);
    }

    /// Appends it.
    #[inline]
    pub fn append_to(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&self.head[..usize::from(self.head_len)]);
        body.extend_from_slice(self.text);
        body.extend_from_slice(&self.backlen[..usize::from(self.backlen_len)]);
    }
}

/// How many bytes the backlen of an encoding of `len` bytes takes.
///
/// Compat: 16383 and its like would fit one byte less, but Redis compares with "less".
#[inline]
pub(super) fn backlen_size(len: usize) -> usize {
    match len {
        0..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

#[inline]
fn backlen(len: usize) -> ([u8; BACKLEN_MAX], usize) {
    let mut bytes = [0; BACKLEN_MAX];
    let size = backlen_size(len);
    bytes[0] = (len >> (7 * (size - 1))) as u8;
    for (index, byte) in bytes[..size].iter_mut().enumerate().skip(1) {
        *byte = (len >> (7 * (size - 1 - index))) as u8 | 0x80;
    }
    (bytes, size)
}

#[inline]
fn int_encoding_len(value: i64) -> usize {
    match value {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7fff => 3,
        -0x80_0000..=0x7f_ffff => 4,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 9,
    }
}

#[inline]
fn int_head(value: i64) -> ([u8; HEAD_MAX], usize) {
    let len = int_encoding_len(value);
    let mut head = [0; HEAD_MAX];
    match len {
        1 => head[0] = value as u8,
        2 => {
            head[0] = INT_13 | ((value >> 8) as u8 & 0x1f);
            head[1] = value as u8;
        }
        _ => {
            head[0] = match len {
                3 => INT_16,
                4 => INT_24,
                5 => INT_32,
                _ => INT_64,
            };
            head[1..len].copy_from_slice(&value.to_le_bytes()[..len - 1]);
        }
    }
    (head, len)
}

#[inline]
fn text_head_len(text_len: usize) -> usize {
    match text_len {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    }
}

#[inline]
fn text_head(text_len: usize) -> ([u8; HEAD_MAX], usize) {
    let mut head = [0; HEAD_MAX];
    let len = text_head_len(text_len);
    match len {
        1 => head[0] = TEXT_6 | text_len as u8,
        2 => {
            head[0] = TEXT_12 | (text_len >> 8) as u8;
            head[1] = text_len as u8;
        }
        _ => {
            debug_assert!(u32::try_from(text_len).is_ok());
            head[0] = TEXT_32;
            head[1..5].copy_from_slice(&(text_len as u32).to_le_bytes());
        }
    }
    (head, len)
}

/// Length of the encoding at `at`, without the backlen.
#[inline]
#[must_use]
pub fn encoding_len(body: &[u8], at: usize) -> usize {
    let lead = body[at];
    match lead {
        ..TEXT_6 => 1,
        TEXT_6..INT_13 => 1 + usize::from(lead & 0x3f),
        INT_13..TEXT_12 => 2,
        TEXT_12..TEXT_32 => 2 + text_12_len(lead, body[at + 1]),
        TEXT_32 => 5 + little_endian(&body[at + 1..at + 5]) as usize,
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        // No other lead byte is in a body.
        _ => 9,
    }
}

#[inline]
fn text_12_len(lead: u8, second: u8) -> usize {
    usize::from(lead & 0xf) << 8 | usize::from(second)
}

/// The unsigned number in at most 8 bytes.
#[inline]
fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The signed number in 1 to 8 bytes.
#[inline]
fn signed_little_endian(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len() as u32;
    (little_endian(bytes) << unused) as i64 >> unused
}

/// The element at `at` and the position after it.
#[inline]
pub(super) fn decode(body: &[u8], at: usize) -> (Element<'_>, usize) {
    let lead = body[at];
    let text = |head: usize, len: usize| {
        let start = at + head;
        let after = start + len + backlen_size(head + len);
        (Element::Bytes(&body[start..start + len]), after)
    };
    let int = |bytes: &[u8]| {
        // An integer's encoding is at most 9 bytes long, its backlen is one.
        let after = at + 1 + bytes.len() + 1;
        (Element::Int(signed_little_endian(bytes)), after)
    };
    match lead {
        ..TEXT_6 => (Element::Int(i64::from(lead)), at + 2),
        TEXT_6..INT_13 => {
            let len = usize::from(lead & 0x3f);
            (Element::Bytes(&body[at + 1..at + 1 + len]), at + 2 + len)
        }
        INT_13..TEXT_12 => {
            let bits = i64::from(lead & 0x1f) << 8 | i64::from(body[at + 1]);
            // Bit 12 is the sign.
            let value = bits << 51 >> 51;
            (Element::Int(value), at + 3)
        }
        TEXT_12..TEXT_32 => text(2, text_12_len(lead, body[at + 1])),
        TEXT_32 => text(5, little_endian(&body[at + 1..at + 5]) as usize),
        INT_16 => int(&body[at + 1..at + 3]),
        INT_24 => int(&body[at + 1..at + 4]),
        INT_32 => int(&body[at + 1..at + 5]),
        _ => int(&body[at + 1..at + 9]),
    }
}

/// The element at `at` and the position after it, if all its bytes are there and right: a known
/// encoding, the backlen that belongs to it. It need not be the shortest encoding. Any bytes.
pub(super) fn decode_checked(body: &[u8], at: usize) -> Option<(Element<'_>, usize)> {
    let rest = body.get(at..)?;
    let head_len = match *rest.first()? {
        TEXT_12..TEXT_32 => 2,
        TEXT_32 => 5,
        0xf5.. => return None,
        _ => 1,
    };
    if rest.len() < head_len {
        return None;
    }
    let len = encoding_len(rest, 0);
    let (bytes, size) = backlen(len);
    if rest.len() < len.checked_add(size)? || rest[len..len + size] != bytes[..size] {
        return None;
    }
    let (element, after) = decode(rest, 0);
    Some((element, at + after))
}
