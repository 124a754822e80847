//! The data commands, one family a file: its table first, its handlers after it in table order.

use crate::spec::{DataRun, Spec};

mod array;
mod bitmap;
mod expiry;
mod hyperloglog;
mod keys;
mod scanning;
mod set;
mod stream;
mod string;

/// Every data command.
pub const TABLES: &[&[Spec<DataRun>]] = &[
    string::COMMANDS,
    keys::COMMANDS,
    bitmap::COMMANDS,
    array::COMMANDS,
    set::COMMANDS,
    hyperloglog::COMMANDS,
    stream::COMMANDS,
];
