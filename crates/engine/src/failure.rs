//! What a client is told when a command cannot be done: one line whose first word clients test.
//!
//! The texts are Redis 8.2.3's, byte for byte.

use std::borrow::Cow;

/// The text of an error reply, without the leading `-` and the line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Cow<'static, [u8]>, bool);

impl Failure {
    /// The key holds another type.
    pub const WRONG_TYPE: Failure =
        Failure::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// An option list that makes no sense.
    pub const SYNTAX: Failure = Failure::fixed("ERR syntax error");
    /// Text that should have been a 64-bit integer.
    pub const NOT_INTEGER: Failure = Failure::fixed("ERR value is not an integer or out of range");
    /// Text that should have been a number.
    pub const NOT_FLOAT: Failure = Failure::fixed("ERR value is not a valid float");
    /// A command that needs the key to exist.
    pub const NO_SUCH_KEY: Failure = Failure::fixed("ERR no such key");
    /// SELECT, MOVE and COPY beyond `databases`.
    pub const DB_INDEX: Failure = Failure::fixed("ERR DB index is out of range");
    /// Source and destination are one.
    pub const SAME_OBJECT: Failure =
        Failure::fixed("ERR source and destination objects are the same");
    /// A string that would pass `proto-max-bulk-len`.
    pub const STRING_TOO_LONG: Failure =
        Failure::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// A write on a replica.
    pub const READ_ONLY: Failure =
        Failure::fixed("READONLY You can't write against a read only replica.");
    /// A write while `maxmemory` is reached and nothing can be evicted.
    pub const OUT_OF_MEMORY: Failure =
        Failure::fixed("OOM command not allowed when used memory > 'maxmemory'.");

    /// A script holds what the command needs, and has done so for long.
    pub const BUSY: Failure = Failure::fixed(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    );

    /// A text known at compile time.
    pub const fn fixed(text: &'static str) -> Failure {
        Failure(Cow::Borrowed(text.as_bytes()), false)
    }

    /// A text that names something the client sent.
    pub fn owned(text: impl Into<Vec<u8>>) -> Failure {
        Failure(Cow::Owned(text.into()), false)
    }

    /// The wrong number of arguments for `command` (`get`, `config|get`).
    pub fn arity(command: &str) -> Failure {
        Failure::owned(format!(
            "ERR wrong number of arguments for '{command}' command"
        ))
    }

    /// The same, for an error that a nested command was answered and counted for already.
    #[must_use]
    pub fn counted(self, counted: bool) -> Failure {
        Failure(self.0, counted)
    }

    /// Whether it is counted already.
    pub fn is_counted(&self) -> bool {
        self.1
    }

    /// The text as sent.
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}
