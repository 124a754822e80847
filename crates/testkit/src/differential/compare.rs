//! When two replies to the same command count as the same.

use super::Mode;
use crate::reply::Reply;

/// Whether the two replies agree as far as `mode` asks. An error equals only the same error.
pub(super) fn agree(mode: Mode, subject: &Reply, peer: &Reply) -> bool {
    if subject == peer {
        return true;
    }
    if subject.is_error() || peer.is_error() {
        return false;
    }
    match (mode, subject, peer) {
        (Mode::Exact, ..) => false,
        (Mode::Unordered | Mode::Scan, ..) => subject.clone().sorted() == peer.clone().sorted(),
        (Mode::Shape, ..) => std::mem::discriminant(subject) == std::mem::discriminant(peer),
        // -1 and -2 are no times but words.
        (Mode::Near(by), Reply::Int(a), Reply::Int(b)) => *a >= 0 && *b >= 0 && (a - b).abs() <= by,
        (Mode::Near(_), Reply::Array(ours), Reply::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| agree(mode, a, b))
        }
        (Mode::Near(_), ..) => false,
        (Mode::Times, ..) => agree_but_for_times(subject, peer),
        (Mode::Keys, ..) => {
            std::mem::discriminant(subject) == std::mem::discriminant(peer)
                && keys(subject) == keys(peer)
        }
    }
}

/// Milliseconds by which two servers' times may differ.
const TIMES_APART: i64 = 5000;
/// Numbers from here on are moments, in milliseconds since 1970.
const MOMENTS_FROM: i64 = 1_000_000_000_000;
/// Keys of XINFO whose value is a time, or the server's own business.
const TIMED_KEYS: &[&[u8]] = &[b"idle", b"inactive", b"radix-tree-nodes"];

/// Whether two replies are equal up to: moments, the values of some keys, and the third of four
/// elements that begin with an id (the idle time of a pending entry).
fn agree_but_for_times(subject: &Reply, peer: &Reply) -> bool {
    let near = |a: &Reply, b: &Reply, from: i64| match (a, b) {
        (Reply::Int(a), Reply::Int(b)) => {
            a == b || *a >= from && *b >= from && (a - b).abs() <= TIMES_APART
        }
        _ => agree_but_for_times(a, b),
    };
    let is_timed = |key: &Reply| key.bytes().is_some_and(|key| TIMED_KEYS.contains(&key));
    match (subject, peer) {
        (Reply::Array(ours), Reply::Array(theirs)) => {
            let is_pending = ours.len() == 4
                && ours[0].bytes().is_some_and(|id| id.contains(&b'-'))
                && ours[1].bytes().is_some();
            let is_loose =
                |index: usize| is_pending && index == 2 || index > 0 && is_timed(&ours[index - 1]);
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).enumerate().all(|(index, (a, b))| {
                    near(a, b, if is_loose(index) { 0 } else { MOMENTS_FROM })
                })
        }
        (Reply::Map(ours), Reply::Map(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|((key, a), (their_key, b))| {
                    let from = if is_timed(key) { 0 } else { MOMENTS_FROM };
                    key == their_key && near(a, b, from)
                })
        }
        _ => near_equal(subject, peer),
    }
}

fn near_equal(subject: &Reply, peer: &Reply) -> bool {
    match (subject, peer) {
        (Reply::Int(a), Reply::Int(b)) if *a >= MOMENTS_FROM && *b >= MOMENTS_FROM => {
            (a - b).abs() <= TIMES_APART
        }
        _ => subject == peer,
    }
}

/// The keys of a map, or of the flat array that stands for one.
fn keys(reply: &Reply) -> Vec<&Reply> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|(key, _)| key).collect(),
        Reply::Array(items) => items.iter().step_by(2).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_let_through_what_they_say() {
        let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        let error = |text: &str| Reply::Error(text.as_bytes().to_vec());
        let rows = [
            (Mode::Exact, bulk("a"), bulk("a"), true),
            (Mode::Exact, bulk("a"), Reply::Status(b"a".to_vec()), false),
            (Mode::Shape, bulk("a"), bulk("b"), true),
            (Mode::Shape, bulk("a"), Reply::NilBulk, false),
            (Mode::Shape, error("a"), error("b"), false),
            (Mode::Near(5), Reply::Int(10), Reply::Int(15), true),
            (Mode::Near(5), Reply::Int(10), Reply::Int(16), false),
            (Mode::Near(5), Reply::Int(-1), Reply::Int(1), false),
            (
                Mode::Unordered,
                Reply::Array(vec![bulk("a"), bulk("b")]),
                Reply::Array(vec![bulk("b"), bulk("a")]),
                true,
            ),
        ];
        for (mode, subject, peer, same) in rows {
            assert_eq!(
                agree(mode, &subject, &peer),
                same,
                "{mode:?} {subject} {peer}"
            );
        }
    }
}
