//! What is wrong with bytes that were read, and where.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// What is wrong.
#[derive(Debug)]
pub enum Problem {
    /// The bytes end too early.
    Truncated,
    /// The operating system cannot read on.
    Io(io::Error),
    /// The bytes are not what they should be.
    Corrupt(Cow<'static, str>),
    /// The bytes may be fine, but nobody here can read them.
    Unsupported(Cow<'static, str>),
    /// Stated and computed checksum differ.
    Checksum {
        /// What the file says.
        stated: u64,
        /// What its bytes give.
        computed: u64,
    },
}

/// A problem and the offset of the first byte that was not read when it was found.
#[derive(Debug)]
pub struct Fault {
    /// Bytes from the beginning of the file or payload.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Truncated => write!(f, "the data end here, in the middle of something"),
            Problem::Io(error) => write!(f, "cannot be read: {error}"),
            Problem::Corrupt(what) => write!(f, "damaged: {what}"),
            Problem::Unsupported(what) => write!(f, "cannot be loaded: {what}"),
            Problem::Checksum { stated, computed } => write!(
                f,
                "damaged: RDB CRC error: the sum of the data is {computed:016x}, and should be \
                 {stated:016x}"
            ),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset, self.problem)
    }
}

impl std::error::Error for Fault {}
