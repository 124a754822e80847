//! How much a client may make the server hold for it, and for how long:
//! `client-output-buffer-limit`, `client-query-buffer-limit`, `timeout`.
//!
//! Checked after a read and where a connection's round ends, which costs comparisons of numbers at
//! hand; what one command would write beyond the limit is dropped while it is written
//! (`resp::Reply::set_limit`), so that it takes no memory. What passes with time alone (a soft limit, idleness) is looked for once a second, if such
//! a limit is set.

use base::time::UnixMillis;

use crate::client::Client;
use crate::config::settings::OutputLimit;
use crate::connection::{Connection, Waiting};
use crate::server::Server;
use crate::settings::Settings;
use crate::stats::{WorkerStats, bump};

/// Since when a client's unwritten replies have been above the soft limit, if they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftLimit(Option<UnixMillis>);

/// Why a client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It does not read its replies.
    Output,
    /// Its query is too long.
    Query,
    /// It has been silent for too long.
    Idle,
}

/// Unwritten reply bytes that the limits on them do not count: as much as upstream's clients have
/// in their fixed buffer, so that no limit is too low for a short reply.
pub const REPLY_BLOCK_BYTES: u64 = 16 * 1024;

/// The unwritten bytes that count.
#[inline]
fn counted(pending_bytes: usize) -> u64 {
    (pending_bytes as u64).saturating_sub(REPLY_BLOCK_BYTES)
}

/// Whether so many unwritten bytes are too many at once.
#[inline]
pub fn is_above_hard(limit: &OutputLimit, pending_bytes: usize) -> bool {
    limit.hard_bytes > 0 && counted(pending_bytes) >= limit.hard_bytes
}

/// Beyond the hard limit replies are cut, but not at once: what handlers ask room for is a few
/// bytes more than what they write.
const SLACK_BYTES: u64 = 64 * 1024;

/// With more unwritten bytes than this a client's replies are dropped: it will be closed.
#[inline]
pub fn cut_at(limit: &OutputLimit) -> usize {
    if limit.hard_bytes == 0 {
        return usize::MAX;
    }
    let bytes = limit
        .hard_bytes
        .saturating_add(REPLY_BLOCK_BYTES + SLACK_BYTES);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// For the primary that this server follows.
const NO_LIMIT: OutputLimit = OutputLimit {
    hard_bytes: 0,
    soft_bytes: 0,
    soft_seconds: 0,
};

/// The limit on the unwritten replies of a client of this kind.
#[inline]
pub fn output_limit<'s>(client: &Client, settings: &'s Settings) -> &'s OutputLimit {
    let limits = &settings.client_output_buffer_limit;
    if client.upstream.is_some() {
        &NO_LIMIT
    } else if client.subscriptions.any() {
        &limits.pubsub
    } else {
        &limits.normal
    }
}

impl SoftLimit {
    /// Takes note of the unwritten bytes; whether they have been too many for too long.
    fn is_passed(&mut self, limit: &OutputLimit, pending_bytes: usize, now: UnixMillis) -> bool {
        if limit.soft_bytes == 0 || counted(pending_bytes) < limit.soft_bytes {
            self.0 = None;
            return false;
        }
        let since = self.0.get_or_insert(now);
        now.0 - since.0 > limit.soft_seconds as i64 * 1000
    }
}

/// Whether a connection's replies have passed a limit.
#[inline]
pub fn output_excess(
    connection: &mut Connection,
    settings: &Settings,
    now: UnixMillis,
) -> Option<Excess> {
    let limit = output_limit(&connection.client, settings);
    // For messages that come before the next command: it may have subscribed in this round.
    connection.out.set_limit(cut_at(limit));
    let pending = connection.out.len_bytes();
    let soft = connection.soft_limit.is_passed(limit, pending, now);
    let hard = connection.out.is_cut() || is_above_hard(limit, pending);
    (soft || hard).then_some(Excess::Output)
}

/// Whether a connection's unread bytes have passed the limit. To be asked between reading and
/// running: a command that is too long is not run, even if all of it is here.
#[inline]
pub fn query_excess(connection: &Connection, settings: &Settings) -> Option<Excess> {
    let unread = connection.input.unread().len() as u64;
    let limited = connection.client.upstream.is_none();
    (limited && unread > settings.client_query_buffer_limit_bytes).then_some(Excess::Query)
}

/// Whether anything has to be looked for that time alone brings about.
pub fn time_matters(settings: &Settings) -> bool {
    let limits = &settings.client_output_buffer_limit;
    settings.timeout_seconds > 0 || limits.normal.soft_bytes > 0 || limits.pubsub.soft_bytes > 0
}

/// Any limit that a connection has passed. A client that waits is not idle.
pub fn excess(connection: &mut Connection, settings: &Settings, now: UnixMillis) -> Option<Excess> {
    let idle_millis_max = i64::from(settings.timeout_seconds) * 1000;
    let last_active = connection
        .client
        .card
        .last_active
        .load(std::sync::atomic::Ordering::Relaxed);
    let idle = now.0 - last_active as i64;
    let waits = !matches!(connection.waiting, Waiting::No) || connection.client.subscriptions.any();
    let ours = connection.client.upstream.is_some();
    if idle_millis_max > 0 && idle > idle_millis_max && !waits && !ours {
        return Some(Excess::Idle);
    }
    output_excess(connection, settings, now).or_else(|| query_excess(connection, settings))
}

/// Counts and logs that a client is closed for this reason.
#[cold]
pub fn report(
    excess: Excess,
    connection: &Connection,
    server: &Server,
    stats: &WorkerStats,
    now: UnixMillis,
) {
    let client = &connection.client;
    client.publish(&connection.out, now);
    let line = crate::client_line::line(&client.card, 0, &server.registry, now);
    let line = String::from_utf8_lossy(&line);
    match excess {
        Excess::Output => {
            bump(&stats.output_limit_closes, 1);
            log::warn!(
                "Closing a client that leaves more replies unread than \
                 client-output-buffer-limit allows: {line}"
            );
        }
        Excess::Query => {
            bump(&stats.query_limit_closes, 1);
            log::warn!(
                "Closing a client whose query is longer than \
                 client-query-buffer-limit allows: {line}"
            );
        }
        Excess::Idle => log::debug!("Closing a client that has been idle for too long: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: OutputLimit = OutputLimit {
        hard_bytes: 100,
        soft_bytes: 50,
        soft_seconds: 2,
    };

    const FREE: usize = REPLY_BLOCK_BYTES as usize;

    #[test]
    fn the_soft_limit_must_be_passed_without_a_break() {
        let mut soft = SoftLimit::default();
        let mut at = |millis, bytes| soft.is_passed(&LIMIT, FREE + bytes, UnixMillis(millis));
        assert!(!at(1000, 50));
        assert!(!at(3000, 99));
        assert!(!at(3001, 49));
        assert!(!at(3002, 50));
        assert!(!at(5002, 50));
        assert!(at(5003, 50));
    }

    #[test]
    fn the_hard_limit_counts_at_once_and_zero_is_none() {
        assert!(is_above_hard(&LIMIT, FREE + 100));
        assert!(!is_above_hard(&LIMIT, FREE + 99));
        assert!(!is_above_hard(&LIMIT, 100));
        assert!(!is_above_hard(&OutputLimit::default(), usize::MAX));
    }
}
