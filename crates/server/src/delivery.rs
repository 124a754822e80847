//! Gives published messages to the connections that listen.
//!
//! A worker does so when it reads its mail, and after each command that has published something
//! itself: a client that listens to its own messages finds them between its replies, as in Redis.
//! A connection in the middle of a long reply gets them behind it.

use slab::Slab;

use crate::connection::{Connection, Waiting};
use crate::mailbox::Mailbox;
use crate::pubsub::{Desk, Encoded, Publication};

/// Where messages go to.
pub struct Delivery<'w> {
    /// Who listens.
    pub desk: &'w mut Desk,
    /// All connections of the worker.
    pub connections: &'w mut Slab<Connection>,
    /// Those to serve in the next round.
    pub ready: &'w mut Vec<usize>,
}

impl Delivery<'_> {
    /// What is in the mailbox so far; other mail stays there.
    #[cold]
    pub fn deliver_mail(&mut self, mailbox: &Mailbox) {
        self.deliver_resolved();
        for publication in mailbox.drain_publications() {
            self.deliver(&publication);
        }
    }

    /// What was on its way when somebody began or ceased to listen.
    pub fn deliver_resolved(&mut self) {
        for resolved in self.desk.take_resolved() {
            resolved.deliver(|place, message| give(self.connections, self.ready, place, message));
        }
    }

    /// One message.
    pub fn deliver(&mut self, publication: &Publication) {
        let (connections, ready) = (&mut *self.connections, &mut *self.ready);
        self.desk.deliver(publication, |place, message| {
            give(connections, ready, place, message);
        });
    }
}

/// Writes a message to the connection at `place`.
fn give(
    connections: &mut Slab<Connection>,
    ready: &mut Vec<usize>,
    place: u32,
    message: &mut Encoded<'_>,
) {
    let place = place as usize;
    let Some(connection) = connections.get_mut(place) else {
        return;
    };
    match &mut connection.waiting {
        Waiting::Walk { held, .. } => message.write(held),
        _ => message.write(&mut connection.out),
    }
    connection.dirty = true;
    if !connection.queued {
        connection.queued = true;
        ready.push(place);
    }
}
