//! The data commands, one family a file: its table first, its handlers after it in table order.

use crate::spec::{DataRun, Spec};

mod bitmap;
mod expiry;
mod hash;
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
    set::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    stream::COMMANDS,
];
