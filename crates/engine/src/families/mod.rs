//! The data commands, one family a file: its table first, its handlers after it in table order.

use crate::spec::{DataRun, Spec};

mod array;
mod bitmap;
mod expiry;
mod geo;
mod hash;
mod hyperloglog;
mod keys;
mod list;
mod scanning;
mod set;
mod sort;
mod stream;
mod string;
mod timeout;
mod zset;

/// Every data command.
pub const TABLES: &[&[Spec<DataRun>]] = &[
    string::COMMANDS,
    list::COMMANDS,
    keys::COMMANDS,
    sort::COMMANDS,
    bitmap::COMMANDS,
    zset::COMMANDS,
    geo::COMMANDS,
    array::COMMANDS,
    set::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    stream::COMMANDS,
];

/// A command's words, to be recorded.
fn words(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| part.to_vec()).collect()
}
