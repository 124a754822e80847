//! CLIENT LIST and CLIENT INFO.

use engine::args::Args;
use engine::failure::Failure;
use resp::Reply;

use super::filter::{Dialect, Filter};
use crate::client_line::line;
use crate::clients::Card;
use crate::session::Session;

/// Redis lets LIST ask for any number, also one that no client can have.
const DIALECT: Dialect = Dialect {
    skips_me: false,
    bad_id: Failure::fixed("ERR Invalid client ID"),
    bad_next: Failure::fixed("ERR Invalid client ID"),
    id_min: i64::MIN,
};

pub(super) fn info(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    session.client.publish(out, session.env.now);
    let text = line_of(&session.client.card, session, args);
    out.verbatim(b"txt", &text);
    Ok(())
}

pub(super) fn list(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let databases = session.server.keyspace.databases();
    let filter = Filter::read(args, &DIALECT, databases)?;
    session.client.publish(out, session.env.now);
    let me = session.client.card.id;
    let clients = &session.server.clients;
    // Compat: those asked for by ID alone come as they were asked for, twice if they were so.
    let cards = match filter.only_ids() {
        Some(ids) => clients.some(ids),
        None => clients.all(),
    };
    let wanted = cards
        .iter()
        .filter(|card| filter.matches(card, me, session.env.now));
    let text: Vec<u8> = wanted
        .flat_map(|card| line_of(card, session, args))
        .collect();
    out.verbatim(b"txt", &text);
    Ok(())
}

/// The client's line with its end. Only the asking client is known to be running a command.
fn line_of(card: &Card, session: &Session<'_, '_>, args: &Args<'_>) -> Vec<u8> {
    let argv_bytes = if card.id == session.client.card.id {
        args.words().map(<[u8]>::len).sum()
    } else {
        0
    };
    let mut text = line(card, argv_bytes, &session.server.registry, session.env.now);
    text.push(b'\n');
    text
}
