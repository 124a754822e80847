//! What INFO and ROLE tell of replication.

use std::fmt::Display;

use crate::server::Server;

/// What INFO shows instead of an id that there is not.
const NO_NAME: &str = "0000000000000000000000000000000000000000";

/// Names and values of INFO's section Replication, in order.
pub fn fields(server: &Server) -> Vec<(String, String)> {
    let mut fields = Fields::default();
    let replicating = &server.replicating;
    let (history, journal) = (replicating.history(), &server.appending.journal);
    let role = match replicating.is_replica() {
        true => "slave",
        false => "master",
    };
    fields.put("role", role);
    fields.put("connected_slaves", 0);
    fields.put("master_failover_state", "no-failover");
    fields.put("master_replid", history.id());
    match history.previous() {
        Some(previous) => fields.put("master_replid2", previous.id),
        None => fields.put("master_replid2", NO_NAME),
    }
    fields.put("master_repl_offset", journal.end().0);
    // Compat: the first byte that is not shared, counted from 1.
    let second = history.previous().map(|older| older.until.0 as i64 + 1);
    fields.put("second_repl_offset", second.unwrap_or(-1));
    fields.put("repl_backlog_active", u8::from(journal.is_kept()));
    fields.0
}

#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }
}
