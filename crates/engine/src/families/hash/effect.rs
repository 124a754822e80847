//! The effects of commands that change some of the fields they name.

use base::num::{I64_TEXT_MAX, format_i64};
use base::time::UnixMillis;

use crate::env::Env;
use crate::event::Classes;
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

use super::words;

/// The fields that a command has changed.
pub(super) struct Changed {
    count: usize,
    /// Kept only if somebody wants to know.
    fields: Option<Vec<Vec<u8>>>,
}

impl Changed {
    /// None yet.
    pub(super) fn new(env: &Env) -> Changed {
        Changed {
            count: 0,
            fields: env.wants_effects().then(Vec::new),
        }
    }

    /// One more.
    pub(super) fn push(&mut self, field: &[u8]) {
        self.count += 1;
        if let Some(fields) = &mut self.fields {
            fields.push(field.to_vec());
        }
    }

    /// They have been deleted.
    pub(super) fn deleted(self, tx: &WriteTx<'_, '_>, key: Key<'_>) -> Effect {
        if self.count > 0 {
            tx.event_taken(Classes::HASH, "hdel", key);
        }
        self.deleted_silently(tx, key)
    }

    /// They have been deleted, which those who listen know already.
    pub(super) fn deleted_silently(self, tx: &WriteTx<'_, '_>, key: Key<'_>) -> Effect {
        self.record(tx, words(&[b"HDEL", key.bytes]))
    }

    /// They have this deadline now.
    pub(super) fn due_at(self, tx: &WriteTx<'_, '_>, key: Key<'_>, at: UnixMillis) -> Effect {
        if self.count > 0 {
            tx.event(Classes::HASH, "hexpire", key);
        }
        let mut digits = [0; I64_TEXT_MAX];
        let at = format_i64(at.0, &mut digits);
        let start = words(&[b"HPEXPIREAT", key.bytes, at, b"FIELDS", &self.number()]);
        self.record(tx, start)
    }

    /// They have no deadline any more.
    pub(super) fn persisted(self, tx: &WriteTx<'_, '_>, key: Key<'_>) -> Effect {
        if self.count > 0 {
            tx.event(Classes::HASH, "hpersist", key);
        }
        let start = words(&[b"HPERSIST", key.bytes, b"FIELDS", &self.number()]);
        self.record(tx, start)
    }

    fn number(&self) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }

    fn record(self, tx: &WriteTx<'_, '_>, mut start: Vec<Vec<u8>>) -> Effect {
        if self.count == 0 {
            return Effect::NOTHING;
        }
        if let Some(fields) = self.fields {
            start.extend(fields);
            tx.instead(|| start);
        }
        Effect::instead(self.count)
    }
}
