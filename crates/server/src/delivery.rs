//! Gives published messages to the connections that listen, and news of changed keys to those that
//! cache them (`tracking`).
//!
//! A worker does so when it reads its mail, and after each command that has made such mail itself:
//! a client that listens to its own messages finds them between its replies, as in Redis. Both
//! kinds keep their order: who is told by a message that something has changed has been told before
//! to forget it. A connection in the middle of a long reply gets them behind it.

use std::collections::VecDeque;

use base::ids::ClientId;
use slab::Slab;

use crate::connection::Connection;
use crate::mailbox::{Mailbox, Message, WorkerId};
use crate::pubsub::{Desk, Encoded, Publication};
use crate::server::Server;
use crate::tracking::{self, Note, Way};

/// Where messages go to.
pub struct Delivery<'w> {
    /// What the workers share.
    pub server: &'w Server,
    /// This worker.
    pub own: WorkerId,
    /// Who listens.
    pub desk: &'w mut Desk,
    /// All connections of the worker.
    pub connections: &'w mut Slab<Connection>,
    /// Those to serve in the next round.
    pub ready: &'w mut Vec<usize>,
    /// Those to write messages to.
    pub told: &'w mut Told,
}

/// Rounds after which a message is written to a listener at the latest.
const ROUNDS_MAX: usize = 4;
/// Listeners that are written to in one round, at least.
const SHARE_MIN: usize = 32;

/// The connections that messages were given to and that have not been written to since, in that
/// order. A message to many is not written to all of them at once: between two shares the other
/// clients have their turn, and what these publish goes out with it.
#[derive(Default)]
pub struct Told {
    places: VecDeque<usize>,
    share: usize,
}

impl Told {
    fn add(&mut self, place: usize, connection: &mut Connection) {
        connection.dirty = true;
        if !connection.told {
            connection.told = true;
            self.places.push_back(place);
        }
    }

    /// Whether nobody has to be written to.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// How many are to be written to in this round.
    pub fn share(&mut self) -> usize {
        let count = self.places.len();
        // The longest queue so far sets the pace, until there is none.
        self.share = match count {
            0 => 0,
            _ => SHARE_MIN.max(self.share).max(count.div_ceil(ROUNDS_MAX)),
        };
        self.share.min(count)
    }

    /// Takes out the first one.
    pub fn pop(&mut self) -> Option<usize> {
        self.places.pop_front()
    }
}

impl Delivery<'_> {
    /// What is in the mailbox so far; other mail stays there.
    #[cold]
    pub fn deliver_mail(&mut self, mailbox: &Mailbox) {
        self.deliver_resolved();
        for message in mailbox.drain_news() {
            match message {
                Message::Publish(publication) => self.deliver(&publication),
                Message::Forget(notes) => self.tell_cachers(notes),
                other => mailbox.leave(other),
            }
        }
    }

    /// What was on its way when somebody began or ceased to listen.
    pub fn deliver_resolved(&mut self) {
        for resolved in self.desk.take_resolved() {
            resolved.deliver(|place, message| give(self.connections, self.told, place, message));
        }
    }

    /// One message.
    pub fn deliver(&mut self, publication: &Publication) {
        let (connections, told) = (&mut *self.connections, &mut *self.told);
        self.desk.deliver(publication, |place, message| {
            give(connections, told, place, message);
        });
    }

    /// The connection of this client, if it is there, to be written to and served.
    fn addressee(&mut self, client: ClientId, place: u32) -> Option<&mut Connection> {
        let at = place as usize;
        let connection = self.connections.get_mut(at)?;
        if connection.client.card.id != client {
            return None;
        }
        connection.dirty = true;
        if !connection.queued {
            connection.queued = true;
            self.ready.push(at);
        }
        Some(connection)
    }

    /// Gives news to those who cache keys.
    pub fn tell_cachers(&mut self, notes: Vec<Note>) {
        self.server.tracking.arrived(&notes);
        for note in notes {
            if !self.tell_cacher(&note) {
                self.send_on(note);
            }
        }
    }

    /// The usual case: the client is here and gets its own news.
    fn tell_cacher(&mut self, note: &Note) -> bool {
        let Some(connection) = self.addressee(note.client, note.place) else {
            return false;
        };
        let Some(caching) = &connection.client.caching else {
            return true;
        };
        let wish = caching.wish;
        if wish.redirect.is_some() {
            return false;
        }
        if note.news.concerns(wish.mode) {
            let except = wish.no_loop.then_some(note.client);
            tracking::write(
                &note.news,
                except,
                false,
                connection.waiting.news_to(&mut connection.out),
            );
        }
        true
    }

    /// Gives the news to whom REDIRECT names, or sends them to that client's worker.
    fn send_on(&mut self, note: Note) {
        let Note { client, news, .. } = note;
        match tracking::way(self.server, client, &news) {
            Way::Nowhere => {}
            Way::To { post, .. } if post.worker != self.own => {
                let place = post.place;
                let note = Note {
                    client,
                    place,
                    news,
                };
                let notes = vec![note];
                self.server.tracking.depart(&notes);
                self.server.mailboxes[usize::from(post.worker.0)].send(Message::Forget(notes));
            }
            Way::To {
                recipient,
                post,
                redirected,
                no_loop,
            } => {
                if let Some(connection) = self.addressee(recipient, post.place) {
                    let listening = redirected && connection.client.subscriptions.any();
                    let except = no_loop.then_some(client);
                    tracking::write(
                        &news,
                        except,
                        listening,
                        connection.waiting.news_to(&mut connection.out),
                    );
                }
            }
            Way::Broken(post) if post.worker != self.own => {
                self.server.mailboxes[usize::from(post.worker.0)]
                    .send(Message::Broken(client, post.place));
            }
            Way::Broken(post) => self.tell_broken(client, post.place),
        }
    }

    /// Tells a client that whom its news were to go to is gone.
    pub fn tell_broken(&mut self, client: ClientId, place: u32) {
        if let Some(connection) = self.addressee(client, place) {
            let out = connection.waiting.news_to(&mut connection.out);
            tracking::write_broken(&connection.client, out);
        }
    }
}

/// Writes a message to the connection at `place`.
fn give(
    connections: &mut Slab<Connection>,
    told: &mut Told,
    place: u32,
    message: &mut Encoded<'_>,
) {
    let place = place as usize;
    let Some(connection) = connections.get_mut(place) else {
        return;
    };
    message.write(connection.waiting.news_to(&mut connection.out));
    told.add(place, connection);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever was told something is written to within a few rounds, however many come after.
    #[test]
    fn nobody_waits_for_more_than_a_few_rounds() {
        for (first, more) in [
            (1, 0),
            (31, 5),
            (33, 0),
            (1000, 0),
            (1000, 1000),
            (10_000, 3),
        ] {
            let mut told = Told::default();
            told.places.extend(0..first);
            for _ in 0..ROUNDS_MAX {
                told.places.extend(std::iter::repeat_n(first, more));
                for _ in 0..told.share() {
                    told.pop();
                }
            }
            let early = told.places.iter().filter(|&&place| place < first);
            assert_eq!(early.count(), 0, "{first} and {more}");
        }
    }
}
