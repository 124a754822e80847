//! Fields that are due when a command that changes them comes.
//!
//! `dispatch` removes due fields before a command runs, but only so many at once, and the rest is
//! hidden. A command that changes a field must find it gone, here and where its effect is replayed.

use base::hash::Seed;
use base::ids::DbIndex;
use base::time::UnixMillis;
use structs::hash::Hash;
use structs::{Collection, Member};

use crate::env::{Env, add};
use crate::event::Classes;
use crate::keyspace::Key;
use crate::tx::WriteTx;

use super::words;

/// Removes the fields of one hash that a command names, if they are due.
#[derive(Clone, Copy)]
pub(super) struct DropDue<'a> {
    env: &'a Env,
    db: DbIndex,
    key: Key<'a>,
}

impl<'a> DropDue<'a> {
    /// For the hash at `key`.
    pub(super) fn of(tx: &WriteTx<'a, '_>, key: Key<'a>) -> DropDue<'a> {
        DropDue {
            env: tx.env(),
            db: tx.db(),
            key,
        }
    }

    /// The time of the command.
    pub(super) fn now(self) -> UnixMillis {
        self.env.now
    }

    /// What fields are hashed with.
    pub(super) fn seed(self) -> &'a Seed {
        &self.env.limits.packing.seed
    }

    /// Call it before the hash is asked for `field`.
    #[inline]
    pub(super) fn look(self, hash: &mut Hash, field: Member<'_>) {
        let now = self.env.now;
        if hash.borrow().may_have_due(now) && hash.expire_field(field, now) {
            add(&self.env.stats.expired_fields, 1);
            self.env
                .note_event(Classes::HASH, "hexpired", self.db, self.key);
            self.env
                .record(self.db, || words(&[b"HDEL", self.key.bytes, field.bytes]));
        }
    }
}
