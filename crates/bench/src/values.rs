//! The values that are stored: their sizes and their bytes, both derived from the key's number.
//!
//! Whoever knows the key knows its value, so `--check` can verify a GET without remembering any
//! SET. A value is the start of one fixed pattern whose first eight bytes are replaced by a tag of
//! the key: changing a prepared request to another key costs one eight-byte store, whatever the
//! value's size.

use std::str::FromStr;

/// Bytes at a value's start that depend on the key.
pub(crate) const TAG_BYTES: usize = 8;

/// Which sizes values have, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// All the same.
    Fixed(usize),
    /// Uniform between both, inclusive.
    Range(usize, usize),
    /// Each of these equally often.
    List(Vec<usize>),
}

/// No server takes a longer string.
const SIZE_BYTES_MAX: usize = 512 * 1024 * 1024;

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((low, high)) = text.split_once('-') {
            let (low, high) = (size(low)?, size(high)?);
            if low > high {
                return Err(format!("the range {text} is upside down"));
            }
            return Ok(Self::Range(low, high));
        }
        match text
            .split(',')
            .map(size)
            .collect::<Result<Vec<_>, _>>()?
            .as_slice()
        {
            [single] => Ok(Self::Fixed(*single)),
            several => Ok(Self::List(several.to_vec())),
        }
    }
}

/// One size: a number with an optional binary unit, as in `16k` or `1m`.
fn size(text: &str) -> Result<usize, String> {
    let lower = text.trim().to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix(['k', 'm']) {
        Some(digits) if lower.ends_with('k') => (digits, 1024),
        Some(digits) => (digits, 1024 * 1024),
        None => (lower.as_str(), 1),
    };
    let number: usize = digits
        .parse()
        .map_err(|_| format!("{text:?} is not a size in bytes"))?;
    match number.checked_mul(unit) {
        Some(bytes) if bytes <= SIZE_BYTES_MAX => Ok(bytes),
        _ => Err(format!("{text} is more than {SIZE_BYTES_MAX} bytes")),
    }
}

/// Maps a key's number to its value.
pub(crate) struct Values {
    sizes: Sizes,
    pattern: Vec<u8>,
}

impl Values {
    /// Values of the given sizes.
    pub(crate) fn new(sizes: Sizes) -> Self {
        let longest = match &sizes {
            Sizes::Fixed(bytes) | Sizes::Range(_, bytes) => *bytes,
            Sizes::List(list) => list.iter().copied().max().unwrap_or(0),
        };
        let mut random = fastrand::Rng::with_seed(PATTERN_SEED);
        let pattern = (0..longest).map(|_| random.alphanumeric() as u8).collect();
        Self { sizes, pattern }
    }

    /// Whether all values have one size.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self.sizes, Sizes::Fixed(_))
    }

    /// Bytes of the value that belongs to `key`.
    pub(crate) fn len(&self, key: u64) -> usize {
        match &self.sizes {
            Sizes::Fixed(bytes) => *bytes,
            Sizes::Range(low, high) => {
                let span = (high - low + 1) as u128;
                low + ((u128::from(mix(key)) * span) >> 64) as usize
            }
            Sizes::List(list) => list[((u128::from(mix(key)) * list.len() as u128) >> 64) as usize],
        }
    }

    /// Appends the value of `key`.
    pub(crate) fn append(&self, out: &mut Vec<u8>, key: u64) {
        let at = out.len();
        let len = self.len(key);
        out.extend_from_slice(&self.pattern[..len]);
        patch(out, at, len, key);
    }

    /// Whether `chunk` is what the value of `key` holds from `offset` on.
    pub(crate) fn matches(&self, key: u64, offset: usize, chunk: &[u8]) -> bool {
        let len = self.len(key);
        let Some(expected) = self.pattern[..len].get(offset..offset + chunk.len()) else {
            return false;
        };
        let tagged = TAG_BYTES.saturating_sub(offset).min(chunk.len());
        let tag = tag(key);
        chunk[..tagged] == tag[offset.min(TAG_BYTES)..][..tagged]
            && chunk[tagged..] == expected[tagged..]
    }
}

/// Turns the value of `len` bytes that starts at `at` into that of `key`; the sizes must agree.
#[inline]
pub(crate) fn patch(out: &mut [u8], at: usize, len: usize, key: u64) {
    if len >= TAG_BYTES {
        out[at..at + TAG_BYTES].copy_from_slice(&tag(key));
    } else {
        out[at..at + len].copy_from_slice(&tag(key)[..len]);
    }
}

/// Eight printable bytes that tell keys apart: four bits of a hash in each.
fn tag(key: u64) -> [u8; TAG_BYTES] {
    ((mix(key) & 0x0f0f_0f0f_0f0f_0f0f) | 0x6060_6060_6060_6060).to_le_bytes()
}

/// A bijection that spreads neighbouring keys (the finalizer of SplitMix64).
fn mix(key: u64) -> u64 {
    let mut mixed = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fixed, so that one run can check what another has stored.
const PATTERN_SEED: u64 = 0x5255_4444_4c45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_number_range_or_list() {
        assert_eq!("64".parse(), Ok(Sizes::Fixed(64)));
        assert_eq!("16k".parse(), Ok(Sizes::Fixed(16_384)));
        assert_eq!("1-1M".parse(), Ok(Sizes::Range(1, 1_048_576)));
        assert_eq!("8,64,512".parse(), Ok(Sizes::List(vec![8, 64, 512])));
        for bad in ["", "x", "9-1", "1g", "600m", "1,", "-5"] {
            assert!(bad.parse::<Sizes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_matches_itself_in_any_pieces_and_no_other_key() {
        for sizes in ["0", "3", "64", "1-40", "2,30"] {
            let values = Values::new(sizes.parse().unwrap());
            for key in 0..50 {
                let mut value = Vec::new();
                values.append(&mut value, key);
                assert_eq!(value.len(), values.len(key));
                for cut in 0..=value.len() {
                    assert!(values.matches(key, 0, &value[..cut]));
                    assert!(values.matches(key, cut, &value[cut..]));
                }
                if value.len() >= TAG_BYTES {
                    assert!(!values.matches(key + 1, 0, &value));
                }
                value.push(b'x');
                assert!(
                    !values.matches(key, 0, &value),
                    "a longer value must not match"
                );
            }
        }
    }

    #[test]
    fn a_patched_value_is_the_other_keys_value() {
        for len in [0, 1, 7, 8, 9, 64] {
            let values = Values::new(Sizes::Fixed(len));
            let (mut patched, mut fresh) = (Vec::new(), Vec::new());
            values.append(&mut patched, 1);
            patch(&mut patched, 0, len, 2);
            values.append(&mut fresh, 2);
            assert_eq!(patched, fresh);
        }
    }
}
