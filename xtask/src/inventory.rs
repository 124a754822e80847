//! The neighbours' commands, from `xtask/data/commands.tsv`: what COMPATIBILITY.md measures us by.

use std::fs;

use testkit::peers;

/// Where the inventory is.
const FILE: &str = "xtask/data/commands.tsv";

/// One command.
pub(crate) struct Row {
    /// `GET` or `CLIENT LIST`.
    pub(crate) name: String,
    pub(crate) group: String,
    /// Since which Redis, or `-`.
    pub(crate) redis: String,
    /// Since which Valkey, or `-`.
    pub(crate) valkey: String,
    /// Letters of the other servers that have it, or `-`.
    pub(crate) others: String,
}

/// All rows, in order of their names.
pub(crate) fn read() -> Result<Vec<Row>, String> {
    let text = fs::read_to_string(peers::root().join(FILE)).map_err(|e| format!("{FILE}: {e}"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| parse(line).ok_or_else(|| format!("{FILE}: malformed: {line}")))
        .collect()
}

fn parse(line: &str) -> Option<Row> {
    let mut fields = line.split('\t').map(str::to_owned);
    let row = Row {
        name: fields.next()?,
        group: fields.next()?,
        redis: fields.next()?,
        valkey: fields.next()?,
        others: fields.next()?,
    };
    fields.next().is_none().then_some(row)
}
