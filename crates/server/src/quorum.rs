//! Replies to writes that must not leave before enough replicas have the write on disk
//! (`min-replicas-to-ack`, CLIENT QUORUM).
//!
//! What is promised: who gets the reply to a write knows that so many replicas have said (REPLCONF
//! ACK with FACK) that it is on their disks. Who gets the error [`IN_DOUBT`] knows nothing: the
//! write is done here, and may or may not outlive this server. What is not promised: others may
//! read what is not yet acknowledged.
//!
//! Each such reply is a [`Vote`]: its place in the connection's output. What comes behind it waits,
//! too, so that replies stay in order; commands go on meanwhile, so that a pipeline waits once. A
//! vote whose time is up is replaced by the error where it stands.
//!
//! Invariants: votes are in the order of the output, and do not overlap; a vote's bytes are unsent.

use std::collections::VecDeque;

use base::time::UnixMillis;
use journal::Offset;
use resp::Reply;

/// What a client is told whose write too few replicas have acknowledged in time.
pub const IN_DOUBT: &[u8] =
    b"INDOUBT The write was done here, but too few replicas have it on disk in time. It may or \
      may not survive a failover.";

/// What a client's writes need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// So many replicas have the write on disk.
    pub replicas: usize,
    /// Milliseconds until the client is told that it is in doubt; 0: never.
    pub patience_millis: i64,
}

/// The reply to a write.
#[derive(Clone, Copy, Debug)]
pub struct Vote {
    /// Where it begins among the bytes of the output, counted as `Held` does.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The journal's end after the write.
    pub upto: Offset,
    /// So many replicas are to have it.
    pub replicas: usize,
    /// When the client is told that it is in doubt.
    pub until: Option<UnixMillis>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Votes(VecDeque<Vote>);

impl Votes {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more, behind the others.
    pub fn push(&mut self, vote: Vote) {
        debug_assert!(self.0.back().is_none_or(|last| last.end <= vote.start));
        if vote.start < vote.end {
            self.0.push_back(vote);
        }
    }

    /// Output before this position may be sent.
    #[inline]
    pub fn barrier(&self) -> Option<u64> {
        self.0.front().map(|vote| vote.start)
    }

    /// Lets go what enough replicas have (`is_reached` says so of an offset and their number), and
    /// tells those in `out` whose time is up at `now`. `sent` bytes of the output are gone from
    /// `out`. Returns by how many bytes what stands at and behind a position moves, in order.
    pub fn decide(
        &mut self,
        out: &mut Reply,
        sent: u64,
        now: UnixMillis,
        is_reached: impl Fn(Offset, usize) -> bool,
    ) -> Vec<Shift> {
        let mut expired = Vec::new();
        while let Some(&vote) = self.0.front() {
            let is_up = vote.until.is_some_and(|until| until <= now);
            if !is_reached(vote.upto, vote.replicas) {
                if !is_up {
                    break;
                }
                expired.push(vote);
            }
            self.0.pop_front();
        }
        if expired.is_empty() {
            return Vec::new();
        }
        let shifts = replace(&expired, out, sent);
        for vote in &mut self.0 {
            let by: i64 = shifts.iter().map(|shift| shift.by).sum();
            vote.start = vote.start.wrapping_add_signed(by);
            vote.end = vote.end.wrapping_add_signed(by);
        }
        shifts
    }
}

/// What stands at this position of the output, or behind it, has moved by so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// In the positions of before.
    pub from: u64,
    /// Bytes.
    pub by: i64,
}

/// Puts errors in the places of these votes.
fn replace(expired: &[Vote], out: &mut Reply, sent: u64) -> Vec<Shift> {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    out.copy_to(&mut old);
    let mut error = Reply::new(out.proto());
    error.error(IN_DOUBT);
    let mut text = Vec::new();
    error.copy_to(&mut text);
    let (mut at, mut shifts) = (0, Vec::new());
    for vote in expired {
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
    use resp::Proto;

    use super::*;

    fn text(out: &Reply) -> String {
        let mut bytes = Vec::new();
        out.copy_to(&mut bytes);
        String::from_utf8(bytes).expect("text")
    }

    fn votes(rows: &[(u64, u64, u64, i64)]) -> Votes {
        let vote = |&(start, end, upto, until)| Vote {
            start,
            end,
            upto: Offset(upto),
            replicas: 2,
            until: (until > 0).then_some(UnixMillis(until)),
        };
        Votes(rows.iter().map(vote).collect())
    }

    #[test]
    fn what_replicas_have_goes_and_the_rest_waits() {
        let mut out = Reply::new(Proto::Resp2);
        out.raw(b"+OK\r\n:1\r\n:2\r\n");
        let mut votes = votes(&[(100, 105, 10, 0), (109, 113, 20, 0)]);
        assert_eq!(votes.barrier(), Some(100));
        assert!(
            votes
                .decide(&mut out, 100, UnixMillis(9), |upto, _| upto <= Offset(9))
                .is_empty()
        );
        assert_eq!(votes.barrier(), Some(100));
        votes.decide(&mut out, 100, UnixMillis(9), |upto, _| upto <= Offset(10));
        assert_eq!(votes.barrier(), Some(109));
        votes.decide(&mut out, 100, UnixMillis(9), |upto, _| upto <= Offset(20));
        assert_eq!(votes.barrier(), None);
        assert_eq!(text(&out), "+OK\r\n:1\r\n:2\r\n");
    }

    #[test]
    fn replies_in_doubt_are_replaced_where_they_stand() {
        let mut out = Reply::new(Proto::Resp2);
        out.raw(b"$1\r\na\r\n+OK\r\n:1\r\n:2\r\n:3\r\n");
        let mut votes = votes(&[(7, 12, 10, 50), (12, 16, 20, 50), (20, 24, 30, 90)]);
        let shifts = votes.decide(&mut out, 0, UnixMillis(50), |upto, _| upto <= Offset(5));
        let error = format!("-{}\r\n", String::from_utf8_lossy(IN_DOUBT));
        assert_eq!(text(&out), format!("$1\r\na\r\n{error}{error}:2\r\n:3\r\n"));
        let moved = 2 * error.len() as u64 - 9;
        assert_eq!(
            shifts.iter().map(|shift| shift.by).sum::<i64>(),
            moved as i64
        );
        assert_eq!(votes.barrier(), Some(20 + moved));
    }
}
