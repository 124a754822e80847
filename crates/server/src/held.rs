//! Replies that must not leave before the journal is on disk (`appendfsync always`).
//!
//! A client is told of a change only when that change would survive a crash, its own or another's
//! that it has seen. So at the end of a round the replies that have gathered wait for the journal's
//! end of that moment. The connection goes on meanwhile: its further replies queue behind.
//!
//! While the disk refuses, reads go on: then replies wait only for what their own client has
//! written.
//!
//! Replies that wait for replicas (`quorum`) stand in the same output and have their places here.
//!
//! Positions count the bytes of a connection's output from its beginning.

use std::collections::VecDeque;

use base::time::UnixMillis;
use engine::failure::Failure;
use journal::{Journal, Offset};
use replication::quorum::{Demand, Era, Vote, Votes};
use resp::Reply;

use crate::quorum::tell_doubt;
use crate::server::Server;

/// What WAIT and WAITAOF wait for.
#[derive(Clone, Copy, Debug)]
pub struct DiskWish {
    /// The client's last write.
    pub upto: Offset,
    /// WAITAOF: it is to be on disks, not only in memory.
    pub durable: bool,
    /// It is to be on this server's disk.
    pub local: bool,
    /// So many replicas are to have it.
    pub replicas: usize,
    /// When to give up, if ever.
    pub until: Option<UnixMillis>,
    /// CLIENT REPLY was OFF or SKIP when it began.
    pub muted: bool,
}

impl DiskWish {
    fn is_local(&self, journal: &Journal) -> bool {
        journal
            .restorable()
            .is_some_and(|durable| self.upto <= durable)
    }

    /// Why it can never be met.
    pub fn trouble(&self, server: &Server) -> Option<Failure> {
        (self.local && !server.appending.journal.is_on()).then_some(NO_FILE)
    }

    /// Whether there is nothing more to wait for.
    pub fn is_met(&self, server: &Server) -> bool {
        self.have(server) >= self.replicas
            && (!self.local || self.is_local(&server.appending.journal))
    }

    fn have(&self, server: &Server) -> usize {
        server.replicating.primary.have(self.upto, self.durable)
    }

    /// Answers how far it has come.
    pub fn reply(&self, server: &Server, out: &mut Reply) {
        if self.durable {
            out.array(2);
            out.int(self.is_local(&server.appending.journal).into());
        }
        out.int(self.have(server) as i64);
    }
}

/// There is no append-only file that something could be in.
pub const NO_FILE: Failure =
    Failure::fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

/// Output up to a position, and what it waits for.
#[derive(Clone, Copy, Debug)]
struct Mark {
    position: u64,
    /// The journal's end when the replies were made.
    seen: Offset,
    /// The journal's end after the client's last write.
    wrote: Offset,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Held {
    marks: VecDeque<Mark>,
    /// Bytes that have been sent.
    sent: u64,
    /// Up to here the output may be sent while there are marks.
    free: u64,
    /// Replies that wait for replicas.
    votes: Votes,
    /// Its worker looks whether something can go.
    pub listed: bool,
}

impl Held {
    /// Whether something waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.votes.is_empty()
    }

    /// Whether something waits for replicas.
    #[inline]
    pub fn is_voted_on(&self) -> bool {
        !self.votes.is_empty()
    }

    /// How many bytes may be sent now.
    #[inline]
    pub fn room(&self) -> usize {
        let disk = match self.marks.is_empty() {
            true => usize::MAX,
            false => (self.free - self.sent) as usize,
        };
        match self.votes.barrier() {
            None => disk,
            Some(barrier) => disk.min((barrier - self.sent) as usize),
        }
    }

    /// So many bytes have been sent.
    #[inline]
    pub fn note_sent(&mut self, count: usize) {
        self.sent += count as u64;
        self.free = self.free.max(self.sent);
    }

    /// The output has grown to so many unsent bytes; what is new waits until the journal is durable
    /// up to `seen`.
    pub fn hold(&mut self, unsent: usize, seen: Offset, wrote: Offset) {
        let position = self.sent + unsent as u64;
        let marked = self.marks.back().map_or(self.free, |mark| mark.position);
        if position <= marked {
            return;
        }
        let mark = Mark {
            position,
            seen,
            wrote,
        };
        match self.marks.back_mut() {
            Some(last) if last.seen == seen && last.wrote == wrote => *last = mark,
            _ => self.marks.push_back(mark),
        }
    }

    /// The output from `start` to `end` unsent bytes is the reply to a write that ends at `upto` in
    /// the journal, and waits for replicas.
    pub fn wait_for_replicas(
        &mut self,
        (start, end): (usize, usize),
        (upto, era): (Offset, Era),
        demand: Demand,
        now: UnixMillis,
    ) {
        let patience = demand.patience_millis;
        self.votes.push(Vote {
            start: self.sent + start as u64,
            end: self.sent + end as u64,
            upto,
            era,
            replicas: demand.replicas,
            until: (patience > 0).then(|| now.saturating_add(patience)),
        });
    }

    /// Lets go what enough replicas have on disk, and says of what too few have that it is in
    /// doubt, once its time is up or this server follows another.
    pub fn heed_replicas(&mut self, out: &mut Reply, server: &Server, now: UnixMillis) {
        if self.votes.is_empty() {
            return;
        }
        let (primary, era) = (&server.replicating.primary, server.replicating.era());
        let has = |upto| primary.have_on_disks(upto);
        let doubtful = self.votes.decide(now, era, has);
        let shifts = tell_doubt(&doubtful, out, self.sent);
        self.votes.shift(shifts.iter().map(|shift| shift.by).sum());
        for shift in shifts.iter().rev() {
            let move_on = |position: &mut u64| {
                if *position >= shift.from {
                    *position = position.wrapping_add_signed(shift.by);
                }
            };
            self.marks
                .iter_mut()
                .for_each(|mark| move_on(&mut mark.position));
            move_on(&mut self.free);
        }
    }

    /// Lets go what no longer has to wait.
    pub fn release(&mut self, journal: &Journal) {
        let (durable, failing) = (journal.durable(), journal.is_failing());
        while let Some(mark) = self.marks.front()
            && (mark.seen <= durable || failing && mark.wrote <= durable)
        {
            self.free = mark.position;
            self.marks.pop_front();
        }
    }
}
