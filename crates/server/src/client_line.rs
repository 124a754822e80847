//! One client as a line of text: what CLIENT LIST and CLIENT INFO show and what the log says of a
//! client that is closed.
//!
//! The fields and their order are Redis 8.2.3's. How ours map: `io-thread` is the worker;
//! `qbuf` and `qbuf-free` are the input buffer; `obl` are the unwritten reply bytes within the
//! first
//! 16 KiB ([`REPLY_BLOCK_BYTES`]), `omem` those beyond, `oll` how many blocks of that size they
//! fill; `rbs` and `rbp` are the reply buffer. Fields of what a client cannot do yet show what an
//! idle client shows.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use base::time::UnixMillis;

use crate::clients::Card;
use crate::limits::REPLY_BLOCK_BYTES;
use crate::login::DEFAULT_USER;
use crate::registry::{Registry, RowId};

/// The client's flags, one letter each; `N` when it has none.
pub fn flags(card: &Card) -> String {
    let set = [
        ('S', card.replica.load(Relaxed)),
        ('O', card.monitors.load(Relaxed)),
        ('M', card.primary.load(Relaxed)),
        ('P', card.is_subscriber()),
        ('x', card.queued.load(Relaxed) >= 0),
        ('b', card.blocked.load(Relaxed)),
        ('t', card.tracking.is_on()),
        ('R', card.tracking.is_broken()),
        ('B', card.tracking.is_broadcast()),
        ('d', card.is_outdated()),
        ('A', card.killed.load(Relaxed)),
        ('U', card.unix),
        ('e', card.no_evict.load(Relaxed)),
        ('T', card.no_touch.load(Relaxed)),
    ];
    let letters: String = set
        .iter()
        .filter_map(|&(letter, is_set)| is_set.then_some(letter))
        .collect();
    if letters.is_empty() {
        return "N".to_owned();
    }
    letters
}

/// The line of a client, without its end. `argv_bytes`: the arguments of the command it is running.
pub fn line(card: &Card, argv_bytes: usize, registry: &Registry, now: UnixMillis) -> Vec<u8> {
    let names = card.names.lock().clone();
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut text = String::with_capacity(512);
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{name}={value}");
    };
    let seconds = |since: i64| (now.0 - since).max(0) / 1000;
    let buffered = card.reply_bytes.load(Relaxed);
    let beyond = buffered.saturating_sub(REPLY_BLOCK_BYTES);
    let reply_capacity = card.reply_capacity_bytes.load(Relaxed);
    let (query, query_free) = (
        card.query_bytes.load(Relaxed),
        card.query_free_bytes.load(Relaxed),
    );
    let total = card.memory_bytes() + argv_bytes as u64;
    let command = command_name(card, registry);
    field("id", &card.id.0);
    field("addr", &card.peer);
    field("laddr", &card.local);
    field("fd", &card.fd);
    field("name", &shown(&names.name));
    field("age", &seconds(card.since.0));
    field("idle", &seconds(card.last_active.load(Relaxed) as i64));
    field("flags", &flags(card));
    field("db", &card.db.load(Relaxed));
    for (name, seen) in ["sub", "psub", "ssub"].iter().zip(&card.subscriptions) {
        field(name, &seen.load(Relaxed));
    }
    field("multi", &card.queued.load(Relaxed));
    field("watch", &card.watched_keys());
    field("qbuf", &query);
    field("qbuf-free", &query_free);
    field("argv-mem", &argv_bytes);
    field("multi-mem", &card.queue_bytes.load(Relaxed));
    field("rbs", &reply_capacity);
    field("rbp", &reply_capacity);
    field("obl", &(buffered - beyond));
    field("oll", &beyond.div_ceil(REPLY_BLOCK_BYTES));
    field("omem", &beyond);
    field("tot-mem", &total);
    let events = if card.writing.load(Relaxed) {
        "rw"
    } else {
        "r"
    };
    field("events", &events);
    field("cmd", &command);
    field("user", &DEFAULT_USER);
    field("redir", &card.tracking.shown_redirect());
    field("resp", &card.resp.load(Relaxed));
    field("lib-name", &shown(&names.lib_name));
    field("lib-ver", &shown(&names.lib_version));
    field("io-thread", &card.worker.0);
    field("tot-net-in", &card.bytes_in.load(Relaxed));
    field("tot-net-out", &card.bytes_out.load(Relaxed));
    field("tot-cmds", &card.commands.load(Relaxed));
    text.into_bytes()
}

/// `get`, `client|list`, or `NULL` when there was none or the last one does not exist.
fn command_name<'r>(card: &Card, registry: &'r Registry) -> &'r str {
    match card.last_command.load(Relaxed).checked_sub(1) {
        Some(row) => &registry.row(RowId(row as u16)).name,
        None => "NULL",
    }
}
