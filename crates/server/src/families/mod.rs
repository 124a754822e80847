//! The control commands: what clients ask of the connection and the server rather than of the data.
//! One family a file, its table first.

use engine::spec::Spec;

use crate::session::ControlRun;

mod connection;
mod memory;

/// Every control command.
pub const TABLES: &[&[Spec<ControlRun>]] = &[connection::COMMANDS, memory::COMMANDS];
