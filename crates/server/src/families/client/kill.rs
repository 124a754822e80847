//! CLIENT KILL: closing other clients' connections, and one's own.
//!
//! A killed client is marked at once, so that its worker runs nothing more for it and no list shows
//! it, and waits for no key any more; its worker is told to close it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::args::Args;
use engine::failure::Failure;
use resp::Reply;

use super::filter::{Dialect, Filter};
use crate::client::Fate;
use crate::mailbox::Message;
use crate::session::Session;
use crate::waking;

const DIALECT: Dialect = Dialect {
    skips_me: true,
    bad_id: Failure::fixed("ERR client-id should be greater than 0"),
    bad_next: Failure::SYNTAX,
    id_min: 1,
};

pub(super) fn kill(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    // The older form has an address alone; its answer is no number.
    let by_address = args.left() == 1;
    let filter = if by_address {
        Filter::address(args.bytes())
    } else {
        Filter::read(args, &DIALECT, session.server.keyspace.databases())?
    };
    session.client.publish(out, session.env.now);
    let killed = kill_all(session, &filter);
    match (by_address, killed) {
        (true, 0) => return Err(Failure::fixed("ERR No such client")),
        (true, _) => out.ok(),
        (false, _) => out.int(killed),
    }
    Ok(())
}

/// Closes everybody whom the filter wants; returns how many.
fn kill_all(session: &mut Session<'_, '_>, filter: &Filter) -> i64 {
    let me = session.client.card.id;
    let mut killed = 0;
    for card in session.server.clients.all() {
        if !filter.matches(&card, me, session.env.now) {
            continue;
        }
        killed += 1;
        if card.id == me {
            session.client.fate = Fate::CloseAfterReply;
            continue;
        }
        card.killed.store(true, Relaxed);
        waking::abandon(&card, session);
        let mailbox = &session.server.mailboxes[usize::from(card.worker.0)];
        mailbox.send(Message::Close(Arc::clone(&card)));
    }
    killed
}
