//! The data commands, one family a file: its table first, its handlers after it in table order.

use crate::spec::{DataRun, Spec};

mod expiry;
mod hash;
mod keys;
mod scanning;
mod string;

/// Every data command.
pub const TABLES: &[&[Spec<DataRun>]] = &[string::COMMANDS, hash::COMMANDS, keys::COMMANDS];
