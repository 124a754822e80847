//! How an entry is laid out in an arena.
//!
//! ```text
//!  | head | key length | deadline | key            | value length | value     |
//!  | 1    | 0, 1 or 2  | 0 or 8   | bytes, or 10 * | 0, 1 or 3    | bytes, * 2 |
//!
//!  head:  dead 1 bit, timed 1 bit, valued 1 bit, 5 bits of key length
//!  * outside: a u16 index of a buffer; a key has its 8-byte hash behind that.
//! ```
//!
//! Numbers are little-endian. A removed entry becomes filler: a head with the dead bit and a
//! length, and bytes without meaning. A 16-byte member of a set takes 17 bytes.

use std::sync::Arc;

use base::time::UnixMillis;

/// Longer keys and values are buffers of their own, which replies can borrow.
pub const INLINE_MAX: usize = 512;

/// This is filler.
pub(super) const DEAD: u8 = 0x80;
/// It has a deadline.
const TIMED: u8 = 0x40;
/// It has a value.
const VALUED: u8 = 0x20;
/// The rest of the head: a key length of up to `SHORT_MAX`, or how it is told.
const LENGTH: u8 = 0x1f;
const SHORT_MAX: usize = 28;
/// One byte follows: the length less `SHORT_MAX + 1`.
const LENGTH_IN_BYTE: u8 = 29;
/// Two bytes follow.
const LENGTH_IN_WORD: u8 = 30;
/// The key is outside.
const KEY_OUTSIDE: u8 = 31;
/// Filler of up to this many bytes says so in its head; longer in two more bytes.
const SHORT_FILLER_MAX: usize = 127;

/// The first byte of a value's length: up to this, the length itself.
const VALUE_SHORT_MAX: usize = 253;
const VALUE_LENGTH_IN_WORD: u8 = 254;
const VALUE_OUTSIDE: u8 = 255;

const DEADLINE_BYTES: usize = 8;
/// Index and hash.
const KEY_OUTSIDE_BYTES: usize = 10;
/// Index.
const VALUE_OUTSIDE_BYTES: usize = 2;

/// An entry, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The member or field.
    pub key: &'a [u8],
    /// The value; empty if it has none.
    pub value: &'a [u8],
    /// When it ends.
    pub deadline: Option<UnixMillis>,
    /// The buffer of a key longer than [`INLINE_MAX`].
    pub shared_key: Option<&'a Arc<Vec<u8>>>,
    /// The buffer of a value longer than [`INLINE_MAX`].
    pub shared_value: Option<&'a Arc<Vec<u8>>>,
}

/// A key, for writing.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Inline(&'a [u8]),
    Outside { index: u16, hash: u64 },
}

/// A value, for writing.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Inline(&'a [u8]),
    Outside { index: u16 },
}

/// Bytes of a key with its length, the head left out.
pub(super) const fn key_size(length: usize) -> usize {
    match length {
        0..=SHORT_MAX => length,
        29..=284 => 1 + length,
        285..=INLINE_MAX => 2 + length,
        _ => KEY_OUTSIDE_BYTES,
    }
}

const _: () = assert!(SHORT_MAX + 1 == 29 && SHORT_MAX + 1 + u8::MAX as usize == 284);
const _: () = assert!(VALUE_SHORT_MAX + 1 == 254);

/// Bytes of a value with its length.
pub(super) const fn value_size(length: usize) -> usize {
    match length {
        0..=VALUE_SHORT_MAX => 1 + length,
        254..=INLINE_MAX => 3 + length,
        _ => 1 + VALUE_OUTSIDE_BYTES,
    }
}

/// Bytes of a deadline.
pub(super) const fn deadline_size(deadline: Option<UnixMillis>) -> usize {
    if deadline.is_some() {
        DEADLINE_BYTES
    } else {
        0
    }
}

/// Appends a whole entry.
pub(super) fn write(
    out: &mut Vec<u8>,
    key: Key<'_>,
    value: Option<Value<'_>>,
    deadline: Option<UnixMillis>,
) {
    let flags = flags(value.is_some(), deadline.is_some());
    match key {
        Key::Inline(key) if key.len() <= SHORT_MAX => out.push(flags | key.len() as u8),
        Key::Inline(key) if key.len() <= SHORT_MAX + 1 + usize::from(u8::MAX) => {
            let rest = (key.len() - SHORT_MAX - 1) as u8;
            out.extend_from_slice(&[flags | LENGTH_IN_BYTE, rest]);
        }
        Key::Inline(key) => {
            let [low, high] = (key.len() as u16).to_le_bytes();
            out.extend_from_slice(&[flags | LENGTH_IN_WORD, low, high]);
        }
        Key::Outside { .. } => out.push(flags | KEY_OUTSIDE),
    }
    write_deadline(out, deadline);
    match key {
        Key::Inline(key) => out.extend_from_slice(key),
        Key::Outside { index, hash } => {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(&hash.to_le_bytes());
        }
    }
    if let Some(value) = value {
        write_value(out, value);
    }
}

fn flags(valued: bool, timed: bool) -> u8 {
    (if valued { VALUED } else { 0 }) | (if timed { TIMED } else { 0 })
}

/// The first byte of an entry like the one that begins with `head`, but for this.
pub(super) fn changed_head(head: u8, valued: bool, timed: bool) -> u8 {
    head & LENGTH | flags(valued, timed)
}

/// Appends a deadline.
pub(super) fn write_deadline(out: &mut Vec<u8>, deadline: Option<UnixMillis>) {
    if let Some(deadline) = deadline {
        out.extend_from_slice(&deadline.0.to_le_bytes());
    }
}

/// Appends a value with its length.
pub(super) fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Inline(value) => {
            if value.len() <= VALUE_SHORT_MAX {
                out.push(value.len() as u8);
            } else {
                let [low, high] = (value.len() as u16).to_le_bytes();
                out.extend_from_slice(&[VALUE_LENGTH_IN_WORD, low, high]);
            }
            out.extend_from_slice(value);
        }
        Value::Outside { index } => {
            let [low, high] = index.to_le_bytes();
            out.extend_from_slice(&[VALUE_OUTSIDE, low, high]);
        }
    }
}

/// A part of an entry.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Where its bytes (or its index) are, from the first of the entry.
    pub(super) at: usize,
    /// Their number.
    pub(super) length: usize,
    /// Whether it is outside.
    pub(super) outside: bool,
}

/// Where the parts of an entry are.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) deadline: Option<usize>,
    pub(super) key: Part,
    pub(super) value: Option<Part>,
    /// Bytes of the whole.
    pub(super) size: usize,
}

impl Layout {
    /// Of the living entry that `bytes` begin with.
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Layout {
        let head = bytes[0];
        let (after_length, key_bytes) = match head & LENGTH {
            LENGTH_IN_BYTE => (2, SHORT_MAX + 1 + usize::from(bytes[1])),
            LENGTH_IN_WORD => (3, word(bytes, 1)),
            KEY_OUTSIDE => (1, KEY_OUTSIDE_BYTES),
            length => (1, usize::from(length)),
        };
        let timed = head & TIMED != 0;
        let key = Part {
            at: after_length + if timed { DEADLINE_BYTES } else { 0 },
            length: key_bytes,
            outside: head & LENGTH == KEY_OUTSIDE,
        };
        let end = key.at + key.length;
        let value = (head & VALUED != 0).then(|| {
            let outside = bytes[end] == VALUE_OUTSIDE;
            let (at, length) = match bytes[end] {
                VALUE_LENGTH_IN_WORD => (end + 3, word(bytes, end + 1)),
                VALUE_OUTSIDE => (end + 1, VALUE_OUTSIDE_BYTES),
                length => (end + 1, usize::from(length)),
            };
            Part {
                at,
                length,
                outside,
            }
        });
        Layout {
            deadline: timed.then_some(after_length),
            key,
            value,
            size: value.map_or(end, |value| value.at + value.length),
        }
    }

    /// The deadline of the entry, which `bytes` begin with.
    #[inline]
    pub(super) fn deadline(&self, bytes: &[u8]) -> Option<UnixMillis> {
        self.deadline.map(|at| UnixMillis(long(bytes, at) as i64))
    }

    /// The hash of the entry's key: `of` computes it unless the key is outside.
    #[inline]
    pub(super) fn hash(&self, bytes: &[u8], of: impl FnOnce(&[u8]) -> u64) -> u64 {
        if self.key.outside {
            long(bytes, self.key.at + 2)
        } else {
            of(&bytes[self.key.at..self.after_key()])
        }
    }

    /// Bytes between the head and the deadline or key.
    pub(super) fn length_bytes(&self) -> usize {
        self.deadline.unwrap_or(self.key.at) - 1
    }

    /// Where what follows the key begins.
    #[inline]
    pub(super) fn after_key(&self) -> usize {
        self.key.at + self.key.length
    }
}

/// Whether the entry that `bytes` begin with has `key`; `None` if that takes a closer look.
#[inline]
pub(super) fn short_key_is(bytes: &[u8], key: &[u8]) -> Option<bool> {
    let length = usize::from(bytes[0] & (LENGTH | TIMED));
    (length <= SHORT_MAX).then(|| length == key.len() && &bytes[1..1 + length] == key)
}

/// The key of the living entry that `bytes` begin with, if it is short and all there is.
#[inline]
pub(super) fn short_member(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(bytes[0]);
    (length <= SHORT_MAX).then(|| &bytes[1..1 + length])
}

/// A number of two bytes.
#[inline]
pub(super) fn word(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut long = [0; 8];
    long.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(long)
}

/// Overwrites the length of a value whose bytes begin at `at`, if it is and was told in one byte.
pub(super) fn set_value_length(bytes: &mut [u8], at: usize, old: usize, new: usize) -> bool {
    let both_short = old.max(new) <= VALUE_SHORT_MAX;
    if both_short {
        bytes[at - 1] = new as u8;
    }
    both_short || old == new
}

/// Bytes that the filler at the start of `bytes` covers.
#[inline]
pub(super) fn filler_size(bytes: &[u8]) -> usize {
    match bytes[0] & !DEAD {
        0 => word(bytes, 1),
        short => usize::from(short),
    }
}

/// Makes the first `size` bytes filler; at least one.
pub(super) fn write_filler(bytes: &mut [u8], size: usize) {
    if size <= SHORT_FILLER_MAX {
        bytes[0] = DEAD | size as u8;
    } else {
        bytes[0] = DEAD;
        bytes[1..3].copy_from_slice(&(size as u16).to_le_bytes());
    }
}
