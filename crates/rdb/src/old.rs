//! The packed forms of Redis 2 to 6, turned into ours: ziplists and zipmaps. Only read.
//!
//! ```text
//! ziplist  bytes(4) last(4) count(2) entry* 0xff        numbers little-endian
//! entry    length of the entry before (1, or 0xfe and 4), encoding, text
//! encoding 00llllll | 01llllll l | 10...... l l l l     texts, long lengths big-endian
//!          c0 i i | d0 i i i i | e0 i*8 | f0 i i i | fe i | f1..fd (0 to 12)     integers
//!
//! zipmap   count(1) pair* 0xff
//! pair     length(1, or 0xfe and 4) field  length spare(1) value, as many bytes as `spare` says
//! ```
//!
//! All bytes may be hostile. Source: ziplist.c and zipmap.c of Redis 6.

use structs::packed::{self, Element};

const ZIPLIST_HEAD: usize = 10;
const ZIPLIST_END: u8 = 0xff;
const ZIPLIST_LONG: u8 = 0xfe;
const COUNT_UNKNOWN: u16 = u16::MAX;
const ZIPMAP_LONG: u8 = 254;
const ZIPMAP_END: u8 = 255;
/// From here on a zipmap does not say how many pairs it has.
const ZIPMAP_COUNT_UNKNOWN: u8 = 254;

/// Takes bytes off the front.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }
}

/// The packed body with the elements of a ziplist, and their number; `None` if it is none.
#[must_use]
pub fn ziplist(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = Bytes(bytes);
    let total = u32::from_le_bytes(rest.array()?) as usize;
    let last = u32::from_le_bytes(rest.array()?) as usize;
    let stated = u16::from_le_bytes(rest.array()?);
    if total != bytes.len() {
        return None;
    }
    let (mut body, mut count) = (Vec::with_capacity(bytes.len()), 0);
    let (mut at, mut before, mut last_at) = (ZIPLIST_HEAD, 0, ZIPLIST_HEAD);
    while rest.0.first() != Some(&ZIPLIST_END) {
        let length_before = match rest.byte()? {
            ZIPLIST_LONG => u32::from_le_bytes(rest.array()?) as usize,
            short => short.into(),
        };
        if length_before != before {
            return None;
        }
        packed::push_back(&mut body, entry(&mut rest)?);
        count += 1;
        last_at = at;
        let after = bytes.len() - rest.0.len();
        (before, at) = (after - at, after);
    }
    let is_whole = rest.0.len() == 1 && last == last_at;
    let is_right = stated == COUNT_UNKNOWN || usize::from(stated) == count;
    (is_whole && is_right).then_some((body, count))
}

fn entry<'b>(rest: &mut Bytes<'b>) -> Option<Element<'b>> {
    let first = rest.byte()?;
    let low = usize::from(first & 0x3f);
    let len = match first {
        0..0x40 => low,
        0x40..0x80 => low << 8 | usize::from(rest.byte()?),
        0x80 => u32::from_be_bytes(rest.array()?) as usize,
        _ => return integer(first, rest).map(Element::Int),
    };
    rest.take(len).map(Element::of)
}

fn integer(first: u8, rest: &mut Bytes<'_>) -> Option<i64> {
    Some(match first {
        0xc0 => i16::from_le_bytes(rest.array()?).into(),
        0xd0 => i32::from_le_bytes(rest.array()?).into(),
        0xe0 => i64::from_le_bytes(rest.array()?),
        0xf0 => {
            let [low, middle, high] = rest.array()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xfe => i8::from_le_bytes(rest.array()?).into(),
        0xf1..=0xfd => i64::from(first & 0x0f) - 1,
        _ => return None,
    })
}

/// The packed body with the fields and values of a zipmap, and the number of both together; `None`
/// if it is none.
#[must_use]
pub fn zipmap(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = Bytes(bytes);
    let stated = rest.byte()?;
    let (mut body, mut pairs) = (Vec::with_capacity(bytes.len()), 0_usize);
    while let Some(len) = zipmap_length(&mut rest)? {
        packed::push_back(&mut body, Element::of(rest.take(len)?));
        let len = zipmap_length(&mut rest)??;
        let spare = rest.byte()?;
        packed::push_back(&mut body, Element::of(rest.take(len)?));
        rest.take(spare.into())?;
        pairs += 1;
    }
    let is_right = stated >= ZIPMAP_COUNT_UNKNOWN || usize::from(stated) == pairs;
    (rest.0.is_empty() && is_right).then_some((body, 2 * pairs))
}

/// A length; `Some(None)` is the end.
fn zipmap_length(rest: &mut Bytes<'_>) -> Option<Option<usize>> {
    Some(match rest.byte()? {
        ZIPMAP_END => None,
        ZIPMAP_LONG => Some(u32::from_le_bytes(rest.array()?) as usize),
        short => Some(short.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(body: &[u8]) -> Vec<Vec<u8>> {
        let mut digits = packed::IntText::default();
        packed::iter(body)
            .map(|element| element.text(&mut digits).to_vec())
            .collect()
    }

    /// As Redis 6.0 kept `RPUSH l 1024 hi -5 12 70000`.
    const ZIPLIST: &[u8] = &[
        33, 0, 0, 0, 26, 0, 0, 0, 5, 0, //
        0, 0xc0, 0, 4, // 1024
        4, 2, b'h', b'i', //
        4, 0xfe, 0xfb, // -5
        3, 0xfd, // 12
        2, 0xf0, 0x70, 0x11, 0x01, // 70000
        0xff,
    ];

    #[test]
    fn a_ziplist_is_read() {
        let mut bytes = ZIPLIST.to_vec();
        bytes[0] = bytes.len() as u8;
        bytes[4] = 10 + 4 + 4 + 3 + 2;
        let (body, count) = ziplist(&bytes).unwrap();
        let expected: [&[u8]; 5] = [b"1024", b"hi", b"-5", b"12", b"70000"];
        assert_eq!(
            (texts(&body), count),
            (expected.map(<[u8]>::to_vec).to_vec(), 5)
        );
        for cut in 0..bytes.len() {
            assert_eq!(ziplist(&bytes[..cut]), None);
        }
    }

    #[test]
    fn a_zipmap_is_read() {
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02worldxx\xff";
        let (body, count) = zipmap(bytes).unwrap();
        let expected: [&[u8]; 4] = [b"foo", b"bar", b"hello", b"world"];
        assert_eq!(
            (texts(&body), count),
            (expected.map(<[u8]>::to_vec).to_vec(), 4)
        );
        for cut in 0..bytes.len() {
            assert_eq!(zipmap(&bytes[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..60),
            changed in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut damaged = ZIPLIST.to_vec();
            damaged[changed.index(ZIPLIST.len())] = byte;
            if let Some(len) = u8::try_from(bytes.len()).ok().filter(|_| bytes.len() > 4) {
                bytes[..4].copy_from_slice(&[len, 0, 0, 0]);
            }
            for input in [&damaged, &bytes] {
                for (body, count) in [ziplist(input), zipmap(input)].into_iter().flatten() {
                    prop_assert_eq!(packed::validate(&body), Some(count));
                }
            }
        }
    }
}
