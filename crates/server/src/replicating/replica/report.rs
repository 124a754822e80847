//! What INFO and ROLE tell of a replica.

use resp::Reply;

use super::{Copying, Phase};
use crate::server::Server;

/// Names and values of INFO's section Replication that only a replica has, in order.
pub fn fields(server: &Server) -> Vec<(&'static str, String)> {
    let Some(report) = server.replicating.replica.report() else {
        return Vec::new();
    };
    let settings = server.settings.get();
    let now = server.now();
    let is_up = report.phase == Phase::Connected;
    let end = server.appending.journal.end().0.to_string();
    let heard = report
        .heard
        .map(|heard| now.millis_since(heard).max(0) / 1000);
    let since = report
        .since
        .map(|since| now.millis_since(since).max(0) / 1000);
    let text = |number: Option<i64>| number.unwrap_or(-1).to_string();
    let flag = |set: bool| u8::from(set).to_string();
    let host = String::from_utf8_lossy(&report.primary.host).into_owned();
    let mut fields = vec![
        ("master_host", host),
        ("master_port", report.primary.port.to_string()),
        (
            "master_link_status",
            if is_up { "up" } else { "down" }.to_owned(),
        ),
        ("master_last_io_seconds_ago", text(heard)),
        (
            "master_sync_in_progress",
            flag(report.phase == Phase::Transfer),
        ),
        ("slave_read_repl_offset", end.clone()),
        ("slave_repl_offset", end),
    ];
    if report.phase == Phase::Transfer {
        copying(report.copying.unwrap_or_default(), now.0, &mut fields);
    }
    fields.push((
        "master_current_sync_attempts",
        report.attempts.0.to_string(),
    ));
    fields.push(("master_total_sync_attempts", report.attempts.1.to_string()));
    match is_up {
        true => fields.push(("master_link_up_since_seconds", text(since))),
        false => fields.push(("master_link_down_since_seconds", text(since))),
    }
    fields.extend([
        (
            "total_disconnect_time_sec",
            (report.lost_millis / 1000).to_string(),
        ),
        ("slave_priority", settings.replica.priority.to_string()),
        ("slave_read_only", flag(settings.replica.read_only)),
        ("replica_announced", flag(settings.replica.announced)),
    ]);
    fields
}

fn copying(copying: Copying, now: i64, fields: &mut Vec<(&'static str, String)>) {
    let Copying {
        total_bytes: total,
        read_bytes: read,
        heard,
    } = copying;
    // Compat: of a copy whose length is not known, only what has come is told.
    let percent = read as f64 * 100.0 / total.max(1) as f64;
    let percent = if total == 0 { 0.0 } else { percent };
    let left = total as i64 - read as i64;
    let seconds = match heard.0 {
        0 => -1,
        heard => (now - heard).max(0) / 1000,
    };
    fields.extend([
        ("master_sync_total_bytes", total.to_string()),
        ("master_sync_read_bytes", read.to_string()),
        ("master_sync_left_bytes", left.to_string()),
        ("master_sync_perc", format!("{percent:.2}")),
        ("master_sync_last_io_seconds_ago", seconds.to_string()),
    ]);
}

/// What ROLE tells; whether this is a replica.
pub fn role(server: &Server, out: &mut Reply) -> bool {
    let Some(report) = server.replicating.replica.report() else {
        return false;
    };
    out.array(5);
    out.bulk(b"slave");
    out.bulk(&report.primary.host);
    out.int(report.primary.port.into());
    out.bulk(report.phase.name().as_bytes());
    // Compat: without a link there is no offset.
    out.int(match report.phase {
        Phase::Connected => server.appending.journal.end().0 as i64,
        _ => -1,
    });
    true
}
