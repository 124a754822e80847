//! What a worker sends to its replicas: the journal, straight from its chunks to the socket.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

use log::warn;
use replication::feed::Phase;

use super::Worker;
use crate::client::Fate;
use crate::connection::Connection;
use crate::replicating::primary::{self, Attached, Standing};
use crate::server::Server;
use crate::stats::bump;

impl Worker<'_> {
    /// The end of a round: what was appended in it goes out, and other workers are told.
    #[inline]
    pub(super) fn feed_replicas(&mut self) {
        let primary = &self.server.replicating.primary;
        if primary.count() == 0 && self.replicas.is_empty() {
            return;
        }
        primary.ask_if_wanted(self.server, self.env.now);
        let end = self.server.appending.journal.end();
        if end != self.fed {
            self.fed = end;
            primary.wake_others(self.server, self.id);
        }
        if self.replicas.is_empty() {
            return;
        }
        primary.note_looking(self.id);
        for at in 0..self.replicas.len() {
            self.feed(self.replicas[at]);
        }
    }

    /// A replica is here, or has become one in this round: it is looked after from now on.
    pub(super) fn attend_replica(&mut self, id: usize) {
        let now = self.env.now;
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !self.replicas.contains(&id) {
            self.replicas.push(id);
            if self.settings.primary.disable_nodelay {
                connection.stream.delay();
            }
        }
        let Some(attached) = &mut connection.client.attached else {
            return;
        };
        let bytes_in = connection.client.card.bytes_in.load(Relaxed);
        if bytes_in != attached.bytes_in {
            attached.bytes_in = bytes_in;
            attached.standing.feed.lock().heard(now);
        }
        if !attached.handed && connection.out.is_empty() {
            attached.handed = true;
            match hand_over(connection) {
                Some((standing, socket)) => {
                    let queue = &self.server.replicating.primary.queue;
                    queue.ask(standing, socket, now);
                }
                None => connection.client.fate = Fate::CloseNow,
            }
        }
    }

    /// Sends a replica what there is for it.
    fn feed(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.client.fate == Fate::CloseNow || connection.client.attached.is_none() {
            return;
        }
        let end = self.server.appending.journal.end();
        let limits = primary::limits(&self.settings);
        let Some(sent) = connection.feed(&mut self.pieces) else {
            connection.client.fate = Fate::CloseNow;
            return self.enqueue(id);
        };
        if sent > 0 {
            bump(&self.stats.bytes_out, sent as u64);
            bump(&self.stats.writes, 1);
            bump(&connection.client.card.bytes_out, sent as u64);
        }
        let Some(attached) = &connection.client.attached else {
            return;
        };
        let Some(cursor) = &attached.cursor else {
            return;
        };
        let waiting = end.0.saturating_sub(cursor.at().0);
        attached.standing.waiting_bytes.store(waiting, Relaxed);
        let card = &connection.client.card;
        card.reply_bytes.store(waiting, Relaxed);
        card.writing.store(waiting > 0, Relaxed);
        if waiting > 0 {
            let mut feed = attached.standing.feed.lock();
            if let Some(cut) = feed.look(waiting, &limits, self.env.now) {
                primary::report(&attached.standing, cut);
                connection.client.fate = Fate::CloseNow;
            }
            drop(feed);
        }
        // No event will say that there is more to send.
        let more = std::mem::take(&mut connection.unfinished) && waiting > 0;
        if more || connection.client.fate == Fate::CloseNow {
            self.enqueue(id);
        }
    }

    /// Once a second: those who wait for a snapshot are told that they are not forgotten.
    pub(super) fn comfort_replicas(&mut self) {
        for &id in &self.replicas {
            if let Some(connection) = self.connections.get_mut(id)
                && let Some(attached) = &connection.client.attached
                && attached.handed
            {
                let standing = std::sync::Arc::clone(&attached.standing);
                // Held meanwhile: when the copy begins, the socket is not the worker's.
                let feed = standing.feed.lock();
                if feed.phase() == Phase::Waiting && !standing.is_old() {
                    connection.send_newline();
                }
            }
        }
    }

    /// A connection is closed that may have been a replica.
    pub(super) fn detach(&mut self, id: usize, connection: &mut Connection) {
        if let Some(attached) = connection.client.attached.take() {
            self.replicas.retain(|&known| known != id);
            let standing = &attached.standing;
            standing.card.killed.store(true, Relaxed);
            let primary = &self.server.replicating.primary;
            primary.remove(standing, self.env.now);
            self.server.appending.tell_awaiting(&self.server.mailboxes);
            log_lost(self.server, standing);
        }
    }
}

/// A replica that asks for something gets no reply: it is given up.
pub(super) fn refuse_reply(connection: &mut Connection, server: &Server) {
    let client = &mut connection.client;
    if let Some(attached) = &client.attached
        && attached.is_beyond_replies()
    {
        let row = client.last_command.map(|id| server.registry.row(id));
        let command = row.map_or("<unknown>", |row| &*row.name);
        let name = attached.standing.name();
        warn!("Replica generated a reply to command '{command}', disconnecting it: {name}");
        client.fate = Fate::CloseNow;
    }
}

fn log_lost(server: &Server, standing: &Standing) {
    let left = server.replicating.primary.count();
    warn!(
        "Connection with replica {} lost; {left} left",
        standing.name()
    );
}

/// A second handle of the socket, for the thread that sends copies.
fn hand_over(connection: &Connection) -> Option<(std::sync::Arc<Standing>, File)> {
    let Attached { standing, .. } = &**connection.client.attached.as_ref()?;
    let socket: OwnedFd = connection.stream.duplicate()?;
    Some((std::sync::Arc::clone(standing), File::from(socket)))
}
