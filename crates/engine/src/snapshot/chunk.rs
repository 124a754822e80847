//! Small entries as plain bytes, one after the other: what is copied under a stripe's lock and
//! encoded later, elsewhere.
//!
//! ```text
//! entry   kind  access  key-length  value-length  [deadline]  key  value
//!         u8    u32     u32         u32           i64
//! ```
//!
//! Little endian. The bits of `kind`: what the value is (`KINDS`), and whether
//! there is a deadline.

use base::ids::DbIndex;
use base::time::UnixMillis;

use crate::entry::{Entry, FORMS, Text, Value};

const INT: u8 = 0;
const TEXT: u8 = 1;
/// Packed collections: this plus the number of the form in `entry::FORMS`.
const PACKED: u8 = 2;
const TIMED: u8 = 1 << 7;

/// Entries of one database.
#[derive(Debug)]
pub struct Chunk {
    /// The database.
    pub db: DbIndex,
    /// Number of entries.
    pub keys: usize,
    bytes: Vec<u8>,
}

/// An entry of a chunk, or one seen like that.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// The key.
    pub key: &'a [u8],
    /// When it expires, if ever.
    pub deadline: Option<UnixMillis>,
    /// Its access bits.
    pub access: u32,
    /// The value; in a chunk an integer, a short string or a packed collection.
    pub value: Value<'a>,
}

impl<'a> Copied<'a> {
    /// An entry of any kind, seen as one of a chunk.
    pub fn of(entry: &'a Entry) -> Copied<'a> {
        Copied {
            key: entry.key(),
            deadline: entry.deadline(),
            access: entry.access(),
            value: entry.value(),
        }
    }
}

impl Chunk {
    /// An empty one with room for so many bytes.
    pub(super) fn with_room(db: DbIndex, bytes: usize) -> Chunk {
        let bytes = Vec::with_capacity(bytes);
        Chunk { db, keys: 0, bytes }
    }

    /// Bytes that the entries take.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies an entry; whether its value is of the kind that a chunk takes.
    pub(super) fn push(&mut self, entry: &Entry) -> bool {
        let int;
        let (kind, value): (u8, &[u8]) = match entry.value() {
            Value::Text(Text::Int(number)) => {
                int = number.to_le_bytes();
                (INT, &int)
            }
            Value::Text(Text::Inline(bytes)) => (TEXT, bytes),
            Value::Packed(form, bytes) => (PACKED + form as u8, bytes),
            Value::Text(Text::Shared(_)) | Value::Object(_) => return false,
        };
        let (key, deadline) = (entry.key(), entry.deadline());
        let timed = if deadline.is_some() { TIMED } else { 0 };
        self.bytes.push(kind | timed);
        for number in [entry.access(), key.len() as u32, value.len() as u32] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        if let Some(UnixMillis(at)) = deadline {
            self.bytes.extend_from_slice(&at.to_le_bytes());
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.keys += 1;
        true
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = Copied<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || take_entry(&mut rest))
    }
}

/// The first entry of these bytes, which `push` has written; none when they are at an end.
fn take_entry<'a>(rest: &mut &'a [u8]) -> Option<Copied<'a>> {
    let (&kind, mut left) = rest.split_first()?;
    let mut number = || {
        let (bytes, after) = left.split_first_chunk()?;
        left = after;
        Some(u32::from_le_bytes(*bytes))
    };
    let (access, key_len, value_len) = (number()?, number()? as usize, number()? as usize);
    let deadline = if kind & TIMED != 0 {
        let (at, after) = left.split_first_chunk()?;
        left = after;
        Some(UnixMillis(i64::from_le_bytes(*at)))
    } else {
        None
    };
    let (key, left) = left.split_at_checked(key_len)?;
    let (bytes, left) = left.split_at_checked(value_len)?;
    let value = match kind & !TIMED {
        INT => Value::Text(Text::Int(i64::from_le_bytes(bytes.try_into().ok()?))),
        TEXT => Value::Text(Text::Inline(bytes)),
        packed => Value::Packed(*FORMS.get(usize::from(packed - PACKED))?, bytes),
    };
    *rest = left;
    Some(Copied {
        key,
        deadline,
        access,
        value,
    })
}
