//! The control commands: what clients ask of the connection and the server rather than of the data.
//! One family a file, its table first.

use engine::spec::Spec;
use resp::Reply;

use crate::session::ControlRun;

mod client;
mod command;
mod config;
mod connection;
mod debug;
pub(crate) mod function;
mod info;
mod memory;
mod migrate;
mod persistence;
mod pubsub;
mod replica;
mod replication;
mod script;
mod server;
mod transaction;

/// Every control command.
pub const TABLES: &[&[Spec<ControlRun>]] = &[
    client::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    function::COMMANDS,
    info::COMMANDS,
    memory::COMMANDS,
    migrate::COMMANDS,
    persistence::COMMANDS,
    pubsub::COMMANDS,
    replica::COMMANDS,
    replication::COMMANDS,
    script::COMMANDS,
    server::COMMANDS,
    transaction::COMMANDS,
];

/// The lines of a HELP.
fn reply_help(lines: &[&str], out: &mut Reply) {
    out.array(lines.len());
    lines.iter().for_each(|line| out.simple(line.as_bytes()));
}
