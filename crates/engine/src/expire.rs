//! The active side of expiry: finding and deleting keys, and fields of hashes, that nobody asks for
//! any more.
//!
//! There is no index of deadlines. Each segment of a table knows when it is worth a visit (see
//! `Table::visit_expired`), and a [`Sweep`] goes round and round over the segments of its stripes,
//! looks through those that are due and deletes what it finds. Most segments are passed by with one
//! comparison. A step holds one stripe for some microseconds.

use base::ids::DbIndex;

use crate::dispatch::{Expired, expire_if_due};
use crate::env::Env;
use crate::keyspace::{Lease, StripeId};

/// Segments that one step passes by at most. A comparison each: about as long as one visit.
const SEGMENTS_PASSED_MAX: usize = 1024;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// There is more in this lap.
    Some,
    /// That was the last piece of the lap: its outcome.
    Lap(Lap),
}

/// What one lap over all segments found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lap {
    /// Keys with a deadline that were there.
    pub volatile: usize,
    /// Keys deleted.
    pub expired: usize,
    /// Segments looked through.
    pub visits: usize,
}

/// Where a worker's expiry is on its way around its stripes.
pub struct Sweep {
    stripes: Vec<StripeId>,
    /// Index into `stripes`.
    stripe: usize,
    db: DbIndex,
    segment: usize,
    lap: Lap,
    /// Keys found due, one after the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl Sweep {
    /// A sweep over these stripes.
    pub fn new(stripes: Vec<StripeId>) -> Sweep {
        Sweep {
            stripes,
            stripe: 0,
            db: DbIndex(0),
            segment: 0,
            lap: Lap::default(),
            keys: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Passes segments until one was due and has been cleaned, the lap is over, or enough was
    /// passed. Leaves a lease on one stripe, to be released by the caller.
    pub fn step(&mut self, lease: &mut Lease<'_>, env: &Env) -> Swept {
        for _ in 0..SEGMENTS_PASSED_MAX {
            let Some(&stripe) = self.stripes.get(self.stripe) else {
                return self.finish();
            };
            if !lease.try_cover_one(stripe) {
                // A script holds it for long: later.
                return Swept::Some;
            }
            let stripe = lease.stripe_mut(0);
            let table = stripe.table(self.db);
            if table.is_timeless() || self.segment >= table.segment_count() {
                self.lap.volatile += table.volatile();
                self.next_table(lease.keyspace().databases());
                continue;
            }
            let (keys, ends) = (&mut self.keys, &mut self.ends);
            let looked = stripe.visit_expired(self.db, self.segment, env.now, |key| {
                keys.extend_from_slice(key);
                ends.push(keys.len());
            });
            if looked {
                self.lap.visits += 1;
                let more = self.delete_found(lease, env);
                self.segment += usize::from(!more);
                return Swept::Some;
            }
            self.segment += 1;
        }
        Swept::Some
    }

    fn next_table(&mut self, databases: u32) {
        self.segment = 0;
        self.db.0 += 1;
        if self.db.0 >= databases {
            self.db.0 = 0;
            self.stripe += 1;
        }
    }

    fn finish(&mut self) -> Swept {
        self.stripe = 0;
        Swept::Lap(std::mem::take(&mut self.lap))
    }

    /// Deletes what was found due; whether fields of a hash are left that should go too.
    fn delete_found(&mut self, lease: &mut Lease<'_>, env: &Env) -> bool {
        let (mut start, mut left) = (0, false);
        for &end in &self.ends {
            let key = lease.keyspace().key(&self.keys[start..end]);
            match expire_if_due(key, self.db, lease, env) {
                Expired::Key => self.lap.expired += 1,
                Expired::Fields { more } => left |= more,
                Expired::Nothing => {}
            }
            start = end;
        }
        self.keys.clear();
        self.ends.clear();
        left
    }
}

#[cfg(test)]
mod tests;
