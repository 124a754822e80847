//! Deadlines that the clients of a writable replica have set: the primary knows nothing of them, so
//! each worker looks after those that were set by its own clients.
//!
//! What is due is deleted as far as it is still due then. All is forgotten when the data are
//! replaced by a copy of the primary's, and when this server is a primary, whose cycle finds
//! everything.

use std::collections::{BTreeSet, HashMap};

use base::ids::DbIndex;
use base::time::UnixMillis;
use engine::dispatch;
use engine::env::OwnDeadline;

use super::Worker;
use crate::aftermath;

/// Keys that are looked at in one go.
const KEYS_MAX: usize = 1000;

type Name = (DbIndex, Box<[u8]>);

/// See the module's head.
#[derive(Default)]
pub(super) struct OwnKeys {
    deadlines: HashMap<Name, UnixMillis>,
    order: BTreeSet<(UnixMillis, Name)>,
    /// How often the data had been replaced when these were set.
    renewals: u64,
}

impl OwnKeys {
    fn note(&mut self, (db, key, at): OwnDeadline) {
        let name = (db, key);
        if let Some(before) = self.deadlines.insert(name.clone(), at) {
            self.order.remove(&(before, name.clone()));
        }
        self.order.insert((at, name));
    }

    /// The next one whose time has come.
    fn pop(&mut self, now: UnixMillis) -> Option<Name> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, name) = self.order.pop_first()?;
        self.deadlines.remove(&name);
        Some(name)
    }

    fn clear(&mut self) {
        *self = OwnKeys {
            renewals: self.renewals,
            ..OwnKeys::default()
        };
    }
}

impl Worker<'_> {
    /// Notes what was set in this round.
    #[inline]
    pub(super) fn note_own_deadlines(&mut self) {
        if self.env.owns_deadlines {
            self.forget_replaced();
            for set in self.env.take_own_deadlines() {
                self.own_keys.note(set);
            }
        }
    }

    fn forget_replaced(&mut self) {
        let renewals = self.server.replicating.replica.renewals();
        if renewals != self.own_keys.renewals {
            self.own_keys.clear();
            self.own_keys.renewals = renewals;
        }
    }

    /// Deletes what is due.
    pub(super) fn expire_own(&mut self) {
        if self.own_keys.order.is_empty() {
            return;
        }
        self.forget_replaced();
        if !self.server.replicating.is_replica() {
            return self.own_keys.clear();
        }
        let server = self.server;
        for _ in 0..KEYS_MAX {
            let Some((db, bytes)) = self.own_keys.pop(self.env.now) else {
                break;
            };
            let key = server.keyspace.key(&bytes);
            self.lease.cover(std::iter::once(key.hash));
            dispatch::expire_if_due(key, db, &mut self.lease, &self.env);
            aftermath::settle(server, self.id, &self.env, &mut self.lease, None);
            self.lease.release();
        }
    }
}
