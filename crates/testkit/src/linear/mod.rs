//! The linearizability checker: many real connections hammer a server, and what they saw must be
//! explained by one command after the other.
//!
//! [`drive`] runs the connections and writes down each operation's call, answer and the times
//! between which it happened. [`check`] searches for an order of the operations that respects those
//! times and in which every answer is what [`model`] says. Linearizability is local (Herlihy and
//! Wing 1990): each object, which is a pair of keys that no operation leaves, is checked by itself.
//!
//! An operation whose connection was closed before the answer has an unknown outcome: it may have
//! happened, and then before the client saw the connection's end, or it has not. (A server that is
//! told of the end by the client may act later; here it is the server that closes.)

mod check;
mod drive;
mod model;
mod scripts;

pub use check::{Operation, Verdict, check};
pub use drive::{Plan, Report, run};
pub use model::{Answer, By, Call, State};
