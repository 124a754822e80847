//! What a command leaves behind for others, passed on once it is over.
//!
//! Called after each command that came from outside (a transaction or a script counts as one), and
//! after steps of expiry and eviction, while the lease they ran under is still held: so what others
//! are told about a key is in the order of its changes.

use engine::env::Env;
use engine::event::{Classes, Event};
use engine::keyspace::Lease;
use journal::Offset;
use journal::journal::Framing;

use crate::client::Client;
use crate::mailbox::WorkerId;
use crate::pubsub::Kind;
use crate::replicating::replica::apply;
use crate::server::Server;
use crate::tracking;
use crate::waking;

/// Passes on what has gathered in `env`, on the worker `own`; `by` is the client whose command it
/// was, if one did it. Those who wait for what has become ready are served here; that may leave
/// other stripes leased than were.
#[inline]
pub fn settle(
    server: &Server,
    own: WorkerId,
    env: &Env,
    lease: &mut Lease<'_>,
    mut by: Option<&mut Client>,
) {
    if let Some(client) = by.as_deref_mut() {
        apply::settle(client, server, env);
    }
    if env.has_effects() {
        // What no command did happened each by itself.
        let framing = match by {
            Some(_) => Framing::Together,
            None => Framing::Apart,
        };
        let end = append(server, env, framing);
        if let Some(client) = by.as_deref_mut() {
            client.wrote = end;
        }
    }
    if env.has_invalidations() {
        tracking::tell(server, own, env, by);
    }
    tell_events(server, own, env);
    if env.has_ready() {
        waking::serve_ready(server, own, env, lease);
        if env.has_invalidations() {
            tracking::tell(server, own, env, None);
        }
        tell_events(server, own, env);
    }
}

/// Publishes the keyspace events so far. Before a message of the same transaction, too, so that
/// events and messages come in order.
#[inline]
pub fn tell_events(server: &Server, own: WorkerId, env: &Env) {
    if env.limits.events != Classes::NONE {
        for event in env.take_events() {
            publish(&event, env.limits.events, server, own);
        }
    }
}

/// Gives the journal the effects; its offset after them.
pub fn append(server: &Server, env: &Env, framing: Framing) -> Offset {
    env.drain_effects(|effects| {
        let effects = effects.iter().map(|effect| (effect.db, effect.bytes));
        server.appending.journal.append(effects, framing, env.now)
    })
}

/// Publishes a keyspace event on the channels that have been asked for.
fn publish(event: &Event, classes: Classes, server: &Server, own: WorkerId) {
    let (name, key) = (event.name.as_bytes(), &*event.key);
    let ways = [
        (Classes::BY_KEY, "keyspace", key, name),
        (Classes::BY_EVENT, "keyevent", name, key),
    ];
    for (class, space, subject, message) in ways {
        if classes.has(class) {
            let mut channel = format!("__{space}@{}__:", event.db.0).into_bytes();
            channel.extend_from_slice(subject);
            let (kind, mailboxes) = (Kind::Channel, &server.mailboxes);
            server
                .exchange
                .publish(kind, &channel, message, mailboxes, own);
        }
    }
}
