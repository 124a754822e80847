//! Differences between two servers that are known and meant, each with its reason. Keep this table short.

use crate::peers::Kind;
use crate::reply::Reply;

/// A difference that is let through.
pub(super) struct Accepted {
    /// Between this kind of peer and any subject of another kind.
    peer: Kind,
    /// The command's first words, upper case; empty for any command.
    command: &'static str,
    /// Why this is as it should be.
    pub(super) reason: &'static str,
    /// Whether the two replies (subject, peer) differ in just this way.
    fits: fn(&Reply, &Reply) -> bool,
}

/// All of them.
const TABLE: &[Accepted] = &[];

/// The row that explains why two replies to this command differ.
pub(super) fn explain(
    subject_kind: Kind,
    peer_kind: Kind,
    line: &str,
    subject: &Reply,
    peer: &Reply,
) -> Option<&'static Accepted> {
    let line = line.to_uppercase();
    TABLE.iter().find(|row| {
        row.peer == peer_kind
            && subject_kind != peer_kind
            && line.starts_with(row.command)
            && (row.fits)(subject, peer)
    })
}
