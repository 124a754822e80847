//! The control commands: what clients ask of the connection and the server rather than of the data.
//! One family a file, its table first.

use engine::spec::Spec;

use crate::session::ControlRun;

mod client;
mod connection;
mod memory;

/// Every control command.
pub const TABLES: &[&[Spec<ControlRun>]] =
    &[client::COMMANDS, connection::COMMANDS, memory::COMMANDS];
