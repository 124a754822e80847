//! Sections about what the server holds: Memory, Persistence, Keyspace.

use base::ids::DbIndex;

use super::{Fields, View, constants};

pub(super) fn memory(view: &mut View<'_, '_>, fields: &mut Fields) {
    let settings = view.server.settings.get();
    fields.put("maxmemory", settings.maxmemory_bytes);
    fields.put("maxmemory_policy", settings.maxmemory_policy.name());
}

pub(super) fn persistence(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    fields.put("loading", 0);
    fields.put("async_loading", 0);
    fields.put("rdb_changes_since_last_save", server.totals().changes);
    // As in Redis, a server that has never saved says when it started.
    fields.put("rdb_last_save_time", server.started.as_secs());
    fields.put_all(constants::NO_PERSISTENCE);
}

/// Counts of one database.
#[derive(Clone, Copy, Default)]
struct DbCounts {
    keys: usize,
    volatile: usize,
}

pub(super) fn keyspace(view: &mut View<'_, '_>, fields: &mut Fields) {
    let keyspace = view.lease.keyspace();
    let mut counts = vec![DbCounts::default(); keyspace.databases() as usize];
    for stripe in keyspace.stripes() {
        view.lease.cover_one(stripe);
        for held in view.lease.held() {
            for (db, counts) in counts.iter_mut().enumerate() {
                let table = held.table(DbIndex(db as u32));
                counts.keys += table.len();
                counts.volatile += table.volatile();
            }
        }
    }
    view.lease.release();
    for (db, counts) in counts.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        let value = format!(
            "keys={},expires={},avg_ttl=0,subexpiry=0",
            counts.keys, counts.volatile
        );
        fields.put(&format!("db{db}"), value);
    }
}
