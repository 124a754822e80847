//! What INFO and ROLE tell of replication.

use std::fmt::Display;

use resp::Reply;

use super::primary::phase_name;
use super::replica;
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
    for (name, value) in replica::report::fields(server) {
        fields.put(name, value);
    }
    replicas(server, &mut fields);
    // Only Valkey has this: replicas whose copy has a channel of its own. Here none has.
    fields.put("replicas_waiting_psync", 0);
    fields.put("master_failover_state", replicating.failover.name());
    fields.put("master_replid", history.id());
    match history.previous() {
        Some(previous) => fields.put("master_replid2", previous.id),
        None => fields.put("master_replid2", NO_NAME),
    }
    fields.put("master_repl_offset", journal.end().0);
    // Compat: the first byte that is not shared, counted from 1.
    let second = history.previous().map(|older| older.until.0 as i64 + 1);
    fields.put("second_repl_offset", second.unwrap_or(-1));
    backlog(server, &mut fields);
    fields.0
}

fn replicas(server: &Server, fields: &mut Fields) {
    let primary = &server.replicating.primary;
    let (replicas, settings, now) = (primary.replicas(), server.settings.get(), server.now());
    fields.put("connected_slaves", replicas.len());
    if settings.primary.replicas_min > 0 && settings.primary.lag_seconds_max > 0 {
        fields.put("min_slaves_good_slaves", primary.good());
    }
    for (at, standing) in replicas.iter().enumerate() {
        let feed = standing.feed.lock();
        let lag = match feed.is_online() {
            true => now.as_secs() - feed.heard_at().as_secs(),
            false => 0,
        };
        let value = format!(
            "ip={},port={},state={},offset={},lag={lag}",
            standing.ip(),
            standing.about.port,
            phase_name(&feed),
            feed.acked().0,
        );
        fields.put(&format!("slave{at}"), value);
    }
}

fn backlog(server: &Server, fields: &mut Fields) {
    let journal = &server.appending.journal;
    let (start, end) = (journal.start().0, journal.end().0);
    let active = journal.is_kept();
    fields.put("repl_backlog_active", u8::from(active));
    let size = server.settings.get().primary.backlog_bytes;
    fields.put("repl_backlog_size", size);
    let (first, length) = if active {
        (start + 1, end - start)
    } else {
        (0, 0)
    };
    fields.put("repl_backlog_first_byte_offset", first);
    fields.put("repl_backlog_histlen", length);
}

/// What ROLE tells.
pub fn role(server: &Server, out: &mut Reply) {
    if replica::report::role(server, out) {
        return;
    }
    let online: Vec<_> = server
        .replicating
        .primary
        .replicas()
        .into_iter()
        .filter(|standing| standing.feed.lock().is_online())
        .collect();
    out.array(3);
    out.bulk(b"master");
    out.int(server.appending.journal.end().0 as i64);
    out.array(online.len());
    for standing in online {
        out.array(3);
        out.bulk(standing.ip().as_bytes());
        out.bulk(standing.about.port.to_string().as_bytes());
        let acked = standing.feed.lock().acked().0;
        out.bulk(acked.to_string().as_bytes());
    }
}

#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }
}
