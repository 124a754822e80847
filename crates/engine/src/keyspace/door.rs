//! The one mutation door: entries are changed and removed through a [`Door`] and nowhere else, so
//! that a snapshot under way gets to see what they were before.

use base::ids::DbIndex;

use super::Hasher;
use crate::entry::Entry;
use crate::snapshot::Capture;
use crate::table::{Place, Table};

/// One database's part of a stripe, to be changed.
pub(crate) struct Door<'s> {
    pub(super) table: &'s mut Table,
    pub(super) capture: Option<&'s mut Capture>,
    pub(super) db: DbIndex,
    /// The present epoch.
    pub(super) epoch: bool,
}

impl<'s> Door<'s> {
    /// Where `key` is.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.table.find(hash, key)
    }

    /// The entry at a place.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> &Entry {
        self.table.at(place)
    }

    /// Edits the entry at a place.
    #[inline]
    pub(crate) fn edit<R>(&mut self, place: Place, edit: impl FnOnce(&mut Entry) -> R) -> R {
        self.keep(place);
        let before = self.capture.as_ref().map(|_| structs::copied_bytes());
        let result = self.table.edit(place, edit);
        if let Some(before) = before {
            self.count_copied(before);
        }
        result
    }

    /// Tells the snapshot what an edit has copied because the snapshot shares it.
    #[cold]
    fn count_copied(&self, before: u64) {
        let copied = structs::copied_bytes() - before;
        if let Some(capture) = &self.capture
            && copied > 0
        {
            capture.copied(copied);
        }
    }

    /// Takes the entry at a place out.
    #[inline]
    pub(crate) fn remove(&mut self, place: Place, hasher: &Hasher) -> Entry {
        self.keep(place);
        self.table.remove(place, hasher)
    }

    /// Adds an entry whose key is not there.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, entry: Entry, hasher: &Hasher) {
        entry.set_epoch(self.epoch);
        self.table.insert(hash, entry, hasher);
    }

    /// Lets the snapshot have the entry as it is, if it has not got it yet.
    #[inline]
    fn keep(&mut self, place: Place) {
        let entry = self.table.at(place);
        if entry.epoch() != self.epoch
            && let Some(capture) = &mut self.capture
        {
            capture.save(self.db, entry);
            entry.set_epoch(self.epoch);
        }
    }
}
