//! What a command leaves behind for others, passed on once it is over.
//!
//! Called after each command that came from outside (a transaction or a script counts as one), and
//! after steps of expiry and eviction, while the lease they ran under is still held: so what others
//! are told about a key is in the order of its changes.

use engine::env::Env;
use engine::event::{Classes, Event};
use journal::Offset;
use journal::journal::Framing;

use crate::mailbox::WorkerId;
use crate::pubsub::Kind;
use crate::server::Server;

/// Passes on what has gathered in `env`, on the worker `own`. Answers the journal's offset after the
/// effects, if there were any.
#[inline]
pub fn settle(server: &Server, own: WorkerId, env: &Env) -> Option<Offset> {
    pass_on(server, own, env, Framing::Together)
}

/// The same for things that happened without a command, each by itself.
#[inline]
pub fn settle_apart(server: &Server, own: WorkerId, env: &Env) {
    pass_on(server, own, env, Framing::Apart);
}

#[inline]
fn pass_on(server: &Server, own: WorkerId, env: &Env, framing: Framing) -> Option<Offset> {
    let offset = env.has_effects().then(|| append(server, env, framing));
    if env.limits.events != Classes::NONE {
        for event in env.take_events() {
            publish(&event, env.limits.events, server, own);
        }
    }
    offset
}

/// Gives the journal the effects.
fn append(server: &Server, env: &Env, framing: Framing) -> Offset {
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
