//! What a worker writes to its connections besides replies: news for those who cache keys
//! (`tracking`), lines for those who monitor (`monitor`).

use base::ids::ClientId;

use super::Worker;
use crate::connection::Connection;
use crate::mailbox::Message;
use crate::tracking::{self, Note, Way};

impl Worker<'_> {
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
    pub(super) fn tell_cachers(&mut self, notes: Vec<Note>) {
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
            tracking::write(&note.news, except, false, &mut connection.out);
        }
        true
    }

    /// Gives the news to whom REDIRECT names, or sends them to that client's worker.
    fn send_on(&mut self, note: Note) {
        let Note { client, news, .. } = note;
        match tracking::way(self.server, client, &news) {
            Way::Nowhere => {}
            Way::To { post, .. } if post.worker != self.id => {
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
                    tracking::write(&news, except, listening, &mut connection.out);
                }
            }
            Way::Broken(post) if post.worker != self.id => {
                self.server.mailboxes[usize::from(post.worker.0)]
                    .send(Message::Broken(client, post.place));
            }
            Way::Broken(post) => self.tell_broken(client, post.place),
        }
    }

    /// Tells a client that whom its news were to go to is gone.
    pub(super) fn tell_broken(&mut self, client: ClientId, place: u32) {
        if let Some(connection) = self.addressee(client, place) {
            tracking::write_broken(&connection.client, &mut connection.out);
        }
    }

    /// Gives a line to this worker's monitors.
    pub(super) fn show_command(&mut self, line: &[u8]) {
        for &place in &self.desk.monitors {
            let at = place as usize;
            let Some(connection) = self.connections.get_mut(at) else {
                continue;
            };
            connection.out.simple(line);
            connection.dirty = true;
            if !connection.queued {
                connection.queued = true;
                self.ready.push(at);
            }
        }
    }
}
