//! The effects of the command under way: commands that reproduce what it did, as bytes ready for
//! the journal.
//!
//! All of a worker's effects go into one buffer that is used again and again, so that recording one
//! allocates nothing. Whoever passes them on (the server, after each outermost command) frames them
//! as a transaction if there are several, and says which database they are of.

use base::ids::DbIndex;
use resp::{Value, decode, encode_words};

/// More room than this is given back after a command.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Effects {
    bytes: Vec<u8>,
    /// Of each effect the database, and where it ends in `bytes`.
    ends: Vec<(DbIndex, usize)>,
}

/// One effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The database it applies to.
    pub db: DbIndex,
    /// The command as an array of bulk strings.
    pub bytes: &'a [u8],
}

/// One effect as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The database it applies to.
    pub db: DbIndex,
    /// The words of the command.
    pub words: Vec<Vec<u8>>,
}

impl Effects {
    /// Adds one.
    #[inline]
    pub(crate) fn push<'a>(&mut self, db: DbIndex, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        encode_words(words, &mut self.bytes);
        self.ends.push((db, self.bytes.len()));
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&(db, end)| {
            let bytes = &self.bytes[start..end];
            start = end;
            Record { db, bytes }
        })
    }

    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_BYTES_MAX);
    }
}

impl From<Record<'_>> for Words {
    fn from(record: Record<'_>) -> Words {
        let words = match decode(record.bytes) {
            Ok(Some((Value::Array(words), _))) => words,
            _ => Vec::new(),
        };
        let bytes = |word| match word {
            Value::Bulk(bytes) => bytes,
            _ => Vec::new(),
        };
        Words {
            db: record.db,
            words: words.into_iter().map(bytes).collect(),
        }
    }
}
