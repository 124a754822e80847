//! Differences between two servers that are known and meant, each with its reason. Keep this table
//! short.

use super::events::without_misses;
use crate::peers::Kind;
use crate::reply::Reply;

/// A difference that is let through.
pub(super) struct Accepted {
    /// Between this kind of peer and any subject of another kind.
    peer: Kind,
    /// The command's first words, upper case, and after dots what is to come somewhere; empty for
    /// any command.
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
        peer: Kind::Redis,
        command: "OBJECT ENCODING",
        reason: "SORT of a small sorted set leaves it in the large form in Redis and Valkey",
        fits: sorted_in_place,
    },
    Accepted {
        peer: Kind::Valkey,
        command: "OBJECT ENCODING",
        reason: "SORT of a small sorted set leaves it in the large form in Redis and Valkey",
        fits: sorted_in_place,
    },
    Accepted {
        peer: Kind::Valkey,
        command: "GEO",
        reason: "GEOSEARCH and its kin: of several errors Valkey reports another one",
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
        command: "XREAD",
        reason: "XREAD: Redis's text about unbalanced lists names the id +, too",
        fits: |ours, theirs| {
            let text = |reply: &Reply| reply.lines().concat().contains("Unbalanced 'xread' list");
            text(ours) && text(theirs)
        },
    },
    Accepted {
        peer: Kind::Valkey,
        command: "XREAD ",
        reason: "XREAD: + is the last entry in Redis, in Valkey only one with the stream's last id",
        fits: |ours, theirs| {
            let streams = |reply: &Reply| match reply {
                Reply::Map(streams) => streams.len(),
                reply => reply.items().map_or(0, <[Reply]>::len),
            };
            streams(ours) > streams(theirs) && !theirs.is_error()
        },
    },
    Accepted {
        peer: Kind::Valkey,
        command: "XINFO",
        reason: "XINFO: Redis 8 knows a group's entries-read and lag in more cases than Valkey",
        fits: |ours, theirs| without_progress(ours) == without_progress(theirs),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "ZSCAN",
        reason: "ZADD XX with a long member it does not add makes a sorted set large in Valkey, \
                 and ZSCAN writes scores of large ones with 17 digits",
        fits: |ours, theirs| {
            let texts = canonical(ours);
            texts.is_some() && texts == canonical(theirs)
        },
    },
    Accepted {
        peer: Kind::Valkey,
        command: "OBJECT REFCOUNT",
        reason: "the number of references is each server's own business",
        fits: |ours, theirs| matches!((ours, theirs), (Reply::Int(_), Reply::Int(_))),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "EVENTS OF HGETEX",
        reason: "HGETEX of a missing key is told as a miss by Valkey",
        fits: |ours, theirs| {
            let is_told = |reply: &Reply| reply.lines().concat().contains("keymiss");
            ours == &Reply::Array(Vec::new()) && is_told(theirs)
        },
    },
    Accepted {
        peer: Kind::Valkey,
        command: "EVENTS OF",
        reason: "a deadline in the past: Valkey tells of expiry, Redis of deletion",
        fits: past_deadlines,
    },
    Accepted {
        peer: Kind::Valkey,
        command: "EVENTS OF EXEC",
        reason: "misses and past deadlines of HGETEX and its kin, inside a transaction",
        fits: |ours, theirs| {
            let [ours, theirs] = [ours, theirs].map(|told| without_misses(told.clone()));
            past_deadlines(&ours, &theirs)
        },
    },
    Accepted {
        peer: Kind::Redis,
        command: "SORT",
        reason: "after any number out of range, even of another client's, SORT finds no numbers: \
                 Redis does not clear errno",
        fits: |ours, theirs| !ours.is_error() && is_not_a_score(theirs),
    },
    Accepted {
        peer: Kind::Redis,
        command: "SORT...BY NOSUCH",
        reason: UNORDERED_SET,
        fits: |ours, theirs| are_as_long(ours, theirs),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "SORT...BY NOSUCH",
        reason: UNORDERED_SET,
        fits: |ours, theirs| are_as_long(ours, theirs),
    },
    Accepted {
        peer: Kind::Valkey,
        command: "SORT",
        reason: "SORT: empty texts and numbers out of range are no numbers in Valkey",
        fits: |ours, theirs| !ours.is_error() && is_not_a_score(theirs),
    },
];

const UNORDERED_SET: &str = "a set that SORT does not sort comes in its table's order";

fn are_as_long(ours: &Reply, theirs: &Reply) -> bool {
    let len = |reply: &Reply| reply.items().map(<[Reply]>::len);
    len(ours).is_some() && len(ours) == len(theirs)
}

/// Whether two lists of keyspace events tell the same of deadlines that had passed already: Valkey
/// tells of expiry (with a deadline set before it), Redis of deletion.
fn past_deadlines(ours: &Reply, theirs: &Reply) -> bool {
    let told = |reply: &Reply| -> Vec<String> {
        let texts = reply.items().unwrap_or_default().iter();
        let texts = texts.map(|text| String::from_utf8_lossy(text.bytes().unwrap_or_default()));
        let pairs: Vec<_> = texts.collect();
        let by_key = pairs
            .chunks(2)
            .filter(|pair| pair[0].starts_with("__keyspace"));
        let mut events: Vec<String> = by_key.map(|pair| pair.join(" ")).collect();
        for event in &mut events {
            *event = event
                .replace(" hexpired", " hdel")
                .replace(" expired", " del");
        }
        events
    };
    let (ours, mut theirs) = (told(ours), told(theirs));
    if ours.iter().any(|event| event.ends_with(" hdel")) {
        theirs.retain(|event| !event.ends_with(" hexpire"));
    }
    ours == theirs
}

/// The printed reply without numbers and nils.
fn without_progress(reply: &Reply) -> String {
    let lines = reply.lines();
    let is_number = |line: &&String| {
        ["(integer)", "(nil)", "(null)"]
            .iter()
            .any(|word| line.contains(word))
    };
    let rest = lines.iter().filter(|line| !is_number(line));
    rest.map(String::as_str).collect()
}

/// Texts in order, numbers as they are usually written; `None` if the reply holds anything else.
fn canonical(reply: &Reply) -> Option<Vec<String>> {
    let text = |item: &Reply| {
        let text = String::from_utf8_lossy(item.bytes()?).into_owned();
        Some(text.parse().map_or(text, |number: f64| number.to_string()))
    };
    let mut texts: Vec<String> = reply.items()?.iter().map(text).collect::<Option<_>>()?;
    texts.sort();
    Some(texts)
}

fn is_not_a_score(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.ends_with(b"can't be converted into double"))
}

fn sorted_in_place(ours: &Reply, theirs: &Reply) -> bool {
    ours.bytes() == Some(b"listpack") && theirs.bytes() == Some(b"skiplist")
}

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
    let is_meant = |command: &str| {
        let (begin, part) = command.split_once("...").unwrap_or((command, ""));
        line.starts_with(begin) && line.contains(part)
    };
    TABLE.iter().find(|row| {
        row.peer == peer_kind
            && subject_kind != peer_kind
            && is_meant(row.command)
            && (row.fits)(subject, peer)
    })
}
