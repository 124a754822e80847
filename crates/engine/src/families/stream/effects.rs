//! What happened to a group, as commands that do it again: with explicit ids and times.

use structs::stream::{Group, StreamId};

use crate::event::Classes;
use crate::keyspace::Key;
use crate::tx::WriteTx;

use super::words;

/// The records of one command about one consumer of a group. Nothing is recorded unless somebody
/// wants it.
pub(super) struct Effects<'a> {
    wanted: bool,
    key: Key<'a>,
    group: &'a [u8],
    consumer: &'a [u8],
    records: Vec<Vec<Vec<u8>>>,
    made: bool,
}

impl<'a> Effects<'a> {
    pub(super) fn new(
        tx: &WriteTx<'_, '_>,
        key: Key<'a>,
        group: &'a [u8],
        consumer: &'a [u8],
    ) -> Effects<'a> {
        Effects {
            wanted: tx.env().wants_effects(),
            key,
            group,
            consumer,
            records: Vec::new(),
            made: false,
        }
    }

    /// The consumer was made, and nothing that follows says so.
    pub(super) fn consumer_made(&mut self) {
        self.made = true;
        if self.wanted {
            let (key, group) = (self.key.bytes, self.group);
            self.records.push(words(&[
                b"XGROUP",
                b"CREATECONSUMER",
                key,
                group,
                self.consumer,
            ]));
        }
    }

    /// The consumer got this entry; the group has it as it is now.
    pub(super) fn delivered(&mut self, group: &Group, id: StreamId) {
        let Some(pending) = group.pending().get(&id).filter(|_| self.wanted) else {
            return;
        };
        self.records.push(words(&[
            b"XCLAIM",
            self.key.bytes,
            self.group,
            self.consumer,
            b"0",
            &id.to_word(),
            b"TIME",
            pending.delivered_ms().to_string().as_bytes(),
            b"RETRYCOUNT",
            pending.deliveries.to_string().as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            &group.last_id.to_word(),
        ]));
    }

    /// The entry is not pending any more.
    pub(super) fn dropped(&mut self, id: StreamId) {
        if self.wanted {
            let (key, group) = (self.key.bytes, self.group);
            self.records
                .push(words(&[b"XACK", key, group, &id.to_word()]));
        }
    }

    /// The group has come to where it is now.
    pub(super) fn advanced(&mut self, group: &Group) {
        if !self.wanted {
            return;
        }
        let read = group.entries_read.map_or(-1, |read| read as i64);
        self.records.push(words(&[
            b"XGROUP",
            b"SETID",
            self.key.bytes,
            self.group,
            &group.last_id.to_word(),
            b"ENTRIESREAD",
            read.to_string().as_bytes(),
        ]));
    }

    /// Hands the records over, and tells of a consumer that was made.
    pub(super) fn record(self, tx: &WriteTx<'_, '_>) {
        if self.made {
            tx.event(Classes::STREAM, "xgroup-createconsumer", self.key);
        }
        for record in self.records {
            tx.instead(|| record);
        }
    }
}
