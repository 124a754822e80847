//! Replies to writes that must not leave before enough replicas have the write on disk
//! (`min-replicas-to-ack`, `min-replicas-to-ack-users`, CLIENT QUORUM): what becomes of the bytes
//! of a connection's output. Who waits for what is `replication::quorum`'s.
//!
//! What is promised: who gets the reply to a write knows that so many replicas have said (REPLCONF
//! ACK with FACK) that it is on their disks. Who gets the error [`IN_DOUBT`] knows nothing: the
//! write is done here, and may or may not outlive this server. What is not promised: others may
//! read what is not yet acknowledged.

use replication::quorum::Vote;
use resp::Reply;

/// What a client is told whose write too few replicas have acknowledged in time.
pub const IN_DOUBT: &[u8] =
    b"INDOUBT The write was done here, but too few replicas have it on disk in time. It may or \
      may not survive a failover.";

/// What stands at this position of the output, or behind it, has moved by so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// In the positions of before.
    pub from: u64,
    /// Bytes.
    pub by: i64,
}

/// Puts errors in the places of these votes, which are in the order of the output. `sent` bytes of
/// the output are gone from `out`. Returns by how many bytes what stands behind a position moves.
pub fn tell_doubt(doubtful: &[Vote], out: &mut Reply, sent: u64) -> Vec<Shift> {
    if doubtful.is_empty() {
        return Vec::new();
    }
    let (mut old, mut new) = (Vec::new(), Vec::new());
    out.copy_to(&mut old);
    let mut error = Reply::new(out.proto());
    error.error(IN_DOUBT);
    let mut text = Vec::new();
    error.copy_to(&mut text);
    let (mut at, mut shifts) = (0, Vec::new());
    for vote in doubtful {
        let (start, end) = ((vote.start - sent) as usize, (vote.end - sent) as usize);
        new.extend_from_slice(&old[at..start]);
        new.extend_from_slice(&text);
        at = end;
        shifts.push(Shift {
            from: vote.end,
            by: text.len() as i64 - (end - start) as i64,
        });
    }
    new.extend_from_slice(&old[at..]);
    out.clear();
    out.raw(&new);
    shifts
}

#[cfg(test)]
mod tests {
    use journal::Offset;
    use replication::quorum::Era;
    use resp::Proto;

    use super::*;

    #[test]
    fn replies_in_doubt_are_replaced_where_they_stand() {
        let mut out = Reply::new(Proto::Resp2);
        out.raw(b"$1\r\na\r\n+OK\r\n:1\r\n:2\r\n:3\r\n");
        let vote = |(start, end): (u64, u64)| Vote {
            start: 100 + start,
            end: 100 + end,
            upto: Offset(1),
            era: Era(0),
            replicas: 1,
            until: None,
        };
        let shifts = tell_doubt(&[(7, 12), (12, 16)].map(vote), &mut out, 100);
        let mut text = Vec::new();
        out.copy_to(&mut text);
        let error = format!("-{}\r\n", String::from_utf8_lossy(IN_DOUBT));
        let expected = format!("$1\r\na\r\n{error}{error}:2\r\n:3\r\n");
        assert_eq!(String::from_utf8_lossy(&text), expected);
        let moved: i64 = shifts.iter().map(|shift| shift.by).sum();
        assert_eq!(moved, 2 * error.len() as i64 - 9);
        assert!(tell_doubt(&[], &mut out, 0).is_empty());
    }
}
