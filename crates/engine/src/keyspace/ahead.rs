//! Prefetching for a whole batch: what its commands will look at is asked for before the first one
//! runs, so that their cache misses overlap.
//!
//! Each pass needs what the one before it brought: locks, then buckets, then entries, then the way
//! to a member inside a large collection. With several stripes a pass takes each lock once, however
//! many keys are behind it, and passes by one that somebody else holds: prefetching may be left
//! out, waiting may not be.

use base::ids::DbIndex;

use super::{Lease, Stripe, StripeId};
use crate::object::Object;
use crate::prefetch::{prefetch, prefetch_for_write};

/// Keys of one batch; beyond that the first lines would be evicted before their use.
pub const KEYS_MAX: usize = 256;
/// The end of a chain.
const NONE: u16 = u16::MAX;

/// Steps of the longest way to a member, from the structure inwards (a sorted set's: index, leaf,
/// tags, offset, text, score).
const MEMBER_STEPS: u8 = 6;

/// A key that a command of the batch will look up.
struct Wanted {
    hash: u64,
    /// Hash of the member that it will look up in the key's collection.
    member: Option<u64>,
    db: DbIndex,
    /// The next key of the same stripe.
    next: u16,
}

impl Wanted {
    /// The collection that probably is the key's, and the hash of the member wanted of it.
    #[inline]
    fn object<'s>(&self, stripe: &'s Stripe) -> Option<(&'s Object, u64)> {
        let member = self.member?;
        let entry = stripe.table(self.db).likely(self.hash)?;
        Some((entry.object()?, member))
    }
}

/// The keys of a batch, chained by stripe. Empty between batches.
pub struct Ahead {
    keys: Vec<Wanted>,
    /// For each stripe its first key.
    heads: Box<[u16]>,
    /// The stripes that have keys.
    stripes: Vec<StripeId>,
    /// Whether any key comes with a member.
    members: bool,
}

impl Ahead {
    /// For a keyspace of so many stripes.
    pub fn new(stripe_count: u32) -> Ahead {
        Ahead {
            keys: Vec::with_capacity(KEYS_MAX),
            heads: vec![NONE; stripe_count as usize].into(),
            stripes: Vec::with_capacity(stripe_count as usize),
            members: false,
        }
    }

    /// Adds a key, and the hash of the member that is wanted of it; whether there is room for more.
    #[inline]
    pub fn add(&mut self, lease: &Lease<'_>, db: DbIndex, hash: u64, member: Option<u64>) -> bool {
        let stripe = lease.keyspace.stripe_of(hash);
        let head = &mut self.heads[stripe.0 as usize];
        if *head == NONE {
            self.stripes.push(stripe);
        }
        let next = std::mem::replace(head, self.keys.len() as u16);
        self.members |= member.is_some();
        self.keys.push(Wanted {
            hash,
            member,
            db,
            next,
        });
        self.keys.len() < KEYS_MAX
    }

    /// Asks for everything, and forgets the keys.
    pub fn run(&mut self, lease: &Lease<'_>) {
        if lease.keyspace.stripe_count() > 1 {
            for stripe in &self.stripes {
                prefetch_for_write(&raw const lease.keyspace.stripes[stripe.0 as usize]);
            }
        }
        self.pass(lease, |stripe, key| {
            stripe.table(key.db).prefetch_bucket(key.hash);
        });
        self.pass(lease, |stripe, key| {
            stripe.table(key.db).prefetch_entry(key.hash);
        });
        if self.members {
            self.run_members(lease);
        }
        self.keys.clear();
        for stripe in self.stripes.drain(..) {
            self.heads[stripe.0 as usize] = NONE;
        }
    }

    /// Asks for the ways to the members.
    fn run_members(&mut self, lease: &Lease<'_>) {
        self.members = false;
        self.pass(lease, |stripe, key| {
            if let Some((object, _)) = key.object(stripe) {
                prefetch(&raw const *object);
            }
        });
        for depth in 0..MEMBER_STEPS {
            self.pass(lease, |stripe, key| {
                if let Some((object, member)) = key.object(stripe)
                    && let Some(address) = object.address(member, depth)
                {
                    prefetch(address);
                }
            });
        }
    }

    #[inline]
    fn pass(&self, lease: &Lease<'_>, ask: impl Fn(&Stripe, &Wanted)) {
        for &id in &self.stripes {
            lease.peek(id, |stripe| {
                let mut next = self.heads[id.0 as usize];
                while let Some(key) = self.keys.get(usize::from(next)) {
                    ask(stripe, key);
                    next = key.next;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use base::hash::Seed;

    use super::*;
    use crate::keyspace::Keyspace;

    /// What it does cannot be seen; that it leaves nothing behind, and stops at its bound, can.
    #[test]
    fn a_batch_leaves_nothing_behind() {
        for stripes in [1, 16] {
            let keyspace = Keyspace::new(stripes, 1, Seed::from_u64(1));
            let lease = keyspace.lease();
            let mut ahead = Ahead::new(keyspace.stripe_count());
            for _ in 0..3 {
                let mut count = 0_u64;
                let mut room = true;
                while room {
                    let hash = keyspace.hash(&count.to_le_bytes());
                    room = ahead.add(&lease, DbIndex(0), hash, Some(count));
                    count += 1;
                }
                assert_eq!(count as usize, KEYS_MAX);
                ahead.run(&lease);
                assert!(ahead.keys.is_empty() && ahead.stripes.is_empty());
                assert!(ahead.heads.iter().all(|&head| head == NONE));
            }
        }
    }
}
