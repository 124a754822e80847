//! Ids and ranges of ids as arguments.

use std::ops::Range;

use structs::stream::StreamId;

use crate::args::Args;
use crate::failure::Failure;

const INVALID: Failure =
    Failure::fixed("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: Failure = Failure::fixed("ERR invalid start ID for the interval");
const INVALID_END: Failure = Failure::fixed("ERR invalid end ID for the interval");

/// An id with both numbers, or with `missing` for the second.
///
/// # Errors
/// It is none; `-` and `+` are none here.
pub(super) fn strict(word: &[u8], missing: u64) -> Result<StreamId, Failure> {
    StreamId::parse(word, missing).ok_or(INVALID)
}

/// An id as [`strict`] reads it, or `-` or `+` for the smallest and the largest.
pub(super) fn lenient(word: &[u8], missing: u64) -> Result<StreamId, Failure> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict(word, missing),
    }
}

/// What an id that cannot be read is called.
pub(super) const fn invalid() -> Failure {
    INVALID
}

/// The first id of a range: an id, or one after `(` that is not in the range.
pub(super) fn start(word: &[u8]) -> Result<StreamId, Failure> {
    match word.strip_prefix(b"(").filter(|rest| !rest.is_empty()) {
        Some(before) => strict(before, 0)?.next().ok_or(INVALID_START),
        None => lenient(word, 0),
    }
}

/// The last id of a range.
pub(super) fn end(word: &[u8]) -> Result<StreamId, Failure> {
    match word.strip_prefix(b"(").filter(|rest| !rest.is_empty()) {
        Some(after) => strict(after, u64::MAX)?.previous().ok_or(INVALID_END),
        None => lenient(word, u64::MAX),
    }
}

/// All words that are left.
pub(super) fn rest(args: &mut Args<'_>) -> Result<Vec<StreamId>, Failure> {
    (0..args.left()).map(|_| strict(args.bytes(), 0)).collect()
}

/// The words at these places.
pub(super) fn at(args: &Args<'_>, places: Range<usize>) -> Result<Vec<StreamId>, Failure> {
    places.map(|at| strict(args.word(at), 0)).collect()
}
