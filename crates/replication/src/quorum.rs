//! Replies to writes that must not leave before enough replicas have the write on disk.
//!
//! Each such reply is a [`Vote`]: its place in the connection's output, and how far the replicas
//! must be. What comes behind it waits, too, so that replies stay in order; commands go on
//! meanwhile, so that a pipeline waits once. A vote that is lost, or whose time is up, is told to
//! be in doubt.
//!
//! An offset means something within one history only. So a vote belongs to an era: the time between
//! two orders whom to follow. One of an earlier era is lost, whatever replicas acknowledge: that
//! may be about other bytes.
//!
//! Invariants: votes are in the order of the output, and do not overlap; a vote's bytes are unsent.

use std::collections::VecDeque;

use base::time::UnixMillis;
use journal::Offset;

/// What a client's writes need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// So many replicas have the write on disk.
    pub replicas: usize,
    /// Milliseconds until the client is told that it is in doubt; 0: never.
    pub patience_millis: i64,
}

/// Names the time between two orders whom to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Era(pub u64);

/// The reply to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Where it begins among the bytes of the output, counted from the connection's beginning.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The journal's end after the write.
    pub upto: Offset,
    /// In which era.
    pub era: Era,
    /// So many replicas are to have it.
    pub replicas: usize,
    /// When the client is told that it is in doubt.
    pub until: Option<UnixMillis>,
}

/// The votes on a connection. See the module's head.
#[derive(Debug, Default)]
pub struct Votes(VecDeque<Vote>);

impl Votes {
    /// Whether there are none.
    #[inline]
    #[must_use]
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
    #[must_use]
    pub fn barrier(&self) -> Option<u64> {
        self.0.front().map(|vote| vote.start)
    }

    /// Lets go what enough replicas have (`has` says how many of an offset), and takes out those
    /// that are in doubt at `now`, in `era`: these come back, in order.
    pub fn decide(
        &mut self,
        now: UnixMillis,
        era: Era,
        has: impl Fn(Offset) -> usize,
    ) -> Vec<Vote> {
        let mut doubtful = Vec::new();
        while let Some(&vote) = self.0.front() {
            let is_up = vote.until.is_some_and(|until| until <= now);
            if vote.era != era || has(vote.upto) < vote.replicas {
                if vote.era == era && !is_up {
                    break;
                }
                doubtful.push(vote);
            }
            self.0.pop_front();
        }
        doubtful
    }

    /// All that is left moves by so many bytes: what was before it has changed its length.
    pub fn shift(&mut self, by: i64) {
        for vote in &mut self.0 {
            vote.start = vote.start.wrapping_add_signed(by);
            vote.end = vote.end.wrapping_add_signed(by);
        }
    }
}

/// How many replicas these are, by the names that others know them by. One that has come back while
/// its former connection has not been closed yet is there twice, and its last words on that
/// connection may still be on their way.
pub fn different<N: PartialEq>(names: impl Iterator<Item = N>) -> usize {
    let mut known: Vec<N> = Vec::new();
    for name in names {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(rows: &[(u64, u64, i64)]) -> Votes {
        let vote = |(at, &(upto, era, until)): (usize, &(u64, u64, i64))| Vote {
            start: 10 * at as u64,
            end: 10 * at as u64 + 5,
            upto: Offset(upto),
            era: Era(era),
            replicas: 2,
            until: (until > 0).then_some(UnixMillis(until)),
        };
        Votes(rows.iter().enumerate().map(vote).collect())
    }

    /// The offsets of those that come back, and where the rest begins.
    fn decide(votes: &mut Votes, now: i64, has_two_of: u64) -> (Vec<u64>, Option<u64>) {
        let has = |upto| 1 + usize::from(upto <= Offset(has_two_of));
        let doubtful = votes.decide(UnixMillis(now), Era(1), has);
        let doubtful = doubtful.iter().map(|vote| vote.upto.0).collect();
        (doubtful, votes.barrier())
    }

    #[test]
    fn what_replicas_have_goes_and_the_rest_waits() {
        let mut votes = votes(&[(10, 1, 0), (20, 1, 0)]);
        assert_eq!(decide(&mut votes, 9, 9), (vec![], Some(0)));
        assert_eq!(decide(&mut votes, 9, 10), (vec![], Some(10)));
        votes.shift(7);
        assert_eq!(votes.barrier(), Some(17));
        assert_eq!(decide(&mut votes, 9, 20), (vec![], None));
    }

    #[test]
    fn whose_time_is_up_is_in_doubt() {
        let mut votes = votes(&[(10, 1, 50), (20, 1, 50), (30, 1, 90)]);
        assert_eq!(decide(&mut votes, 49, 5), (vec![], Some(0)));
        assert_eq!(decide(&mut votes, 50, 10), (vec![20], Some(20)));
        assert_eq!(decide(&mut votes, 90, 30), (vec![], None));
    }

    /// Acknowledgements may be about other bytes by now.
    #[test]
    fn an_earlier_era_is_lost() {
        let mut votes = votes(&[(10, 0, 0), (20, 1, 0)]);
        assert_eq!(decide(&mut votes, 1, 15), (vec![10], Some(10)));
    }

    #[test]
    fn a_replica_that_is_there_twice_counts_once() {
        assert_eq!(different(["a:1", "b:1", "a:1", "a:2"].into_iter()), 3);
    }
}
