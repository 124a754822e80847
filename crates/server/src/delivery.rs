//! Gives published messages to the connections that listen.
//!
//! A worker does so when it reads its mail, and after each command that has published something
//! itself: a client that listens to its own messages finds them between its replies, as in Redis.
//! A connection in the middle of a long reply gets them behind it.

use slab::Slab;

use crate::connection::{Connection, Waiting};
use crate::mailbox::Mailbox;
use crate::pubsub::{Desk, Publication};

/// Where messages go to.
pub struct Delivery<'w> {
    /// Who listens.
    pub desk: &'w Desk,
    /// All connections of the worker.
    pub connections: &'w mut Slab<Connection>,
    /// Those to serve in the next round.
    pub ready: &'w mut Vec<usize>,
}

impl Delivery<'_> {
    /// What is in the mailbox so far; other mail stays there.
    #[cold]
    pub fn deliver_mail(&mut self, mailbox: &Mailbox) {
        for publication in mailbox.drain_publications() {
            self.deliver(&publication);
        }
    }

    /// One message.
    pub fn deliver(&mut self, publication: &Publication) {
        let (connections, ready) = (&mut *self.connections, &mut *self.ready);
        self.desk.deliver(publication, |place, message| {
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
        });
    }
}
