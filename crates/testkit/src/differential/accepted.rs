//! Differences between two servers that are known and meant, each with its reason. Keep this table
//! short.

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

/// All of them. Ruddle answers as Redis does where the two peers differ, so those with Valkey are
/// the long part.
const TABLE: &[Accepted] = &[
    Accepted {
        peer: Kind::Valkey,
        command: "OBJECT ENCODING",
        reason: "the length at which a string stops being embstr differs",
        fits: |ours, theirs| {
            let names = [&b"raw"[..], b"embstr"];
            let named = |reply: &Reply| reply.bytes().is_some_and(|name| names.contains(&name));
            named(ours) && named(theirs)
        },
    },
    Accepted {
        peer: Kind::Valkey,
        command: "GETEX",
        reason: "GETEX: Valkey looks at the options first, Redis at the key",
        fits: |ours, theirs| (is_nil(ours) || ours.is_error()) && theirs.is_error(),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "OBJECT ENCODING",
        reason: "Valkey converts hashes with deadlines of fields otherwise",
        fits: |ours, theirs| {
            let names = [&b"listpack"[..], b"listpackex", b"hashtable"];
            let named = |reply: &Reply| reply.bytes().is_some_and(|name| names.contains(&name));
            named(ours) && named(theirs)
        },
    },
    Accepted {
        peer: Kind::Valkey,
        command: "H",
        reason: "mistakes in commands about the deadlines of fields have other texts in Valkey",
        fits: |ours, theirs| ours.is_error() && theirs.is_error(),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "BITCOUNT",
        reason: "BITCOUNT: of several errors Valkey reports another one",
        fits: |ours, theirs| ours.is_error() && theirs.is_error(),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "BITCOUNT",
        reason: "BITCOUNT with a start and no end is a syntax error in Redis",
        fits: |ours, theirs| ours.is_error() && matches!(theirs, Reply::Int(_)),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "OBJECT REFCOUNT",
        reason: "the number of references is each server's own business",
        fits: |ours, theirs| matches!((ours, theirs), (Reply::Int(_), Reply::Int(_))),
    },
];

fn is_nil(reply: &Reply) -> bool {
    matches!(reply, Reply::NilBulk | Reply::Null)
}

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
