//! The link to a primary, on the worker that goes on with it.
//!
//! Whatever of it needs stripes that a script holds for long is tried again now and then:
//! the worker goes on with its other clients meanwhile, and neither blocks nor spins.

use std::time::Duration;

use super::Worker;
use crate::aftermath;
use crate::replicating::replica::apply::{self, Upstream};
use crate::replicating::replica::arrival::Arrival;

/// What waits for a script is tried again so often.
pub(super) const DELAY: Duration = Duration::from_millis(20);

impl Worker<'_> {
    /// Goes on with a link to a primary as soon as nobody holds the data for long.
    pub(super) fn follow(&mut self, arrival: Arrival) {
        if !self.lease.try_cover_all() {
            return self.arriving.push(arrival);
        }
        let (server, now) = (self.server, self.env.now);
        let Arrival {
            accepted,
            rest,
            number,
            beginning,
        } = arrival;
        let (env, lease) = (&self.env, &mut self.lease);
        let db = Arrival::install(beginning, number, &accepted, server, lease, env);
        aftermath::settle(server, self.id, env, lease, None);
        lease.release();
        let Some(db) = db else {
            return server.forget(&accepted.card);
        };
        let Some(id) = self.take_over(accepted) else {
            return server.replicating.replica.lost(number, now);
        };
        let connection = &mut self.connections[id];
        connection
            .client
            .become_upstream(Upstream::new(number, now), db);
        connection.input.put(&rest);
        connection.readable = true;
        self.upstream = Some(id);
        apply::beat(connection, server, &self.settings, now);
        self.enqueue(id);
    }

    /// What the connection to the primary has besides a client's, if it is this worker's.
    fn stream(&mut self) -> Option<&mut Upstream> {
        let connection = self.connections.get_mut(self.upstream?)?;
        connection.client.upstream.as_deref_mut()
    }

    /// Whether something waits for a script.
    pub(super) fn has_delayed(&self) -> bool {
        let connection = self.upstream.and_then(|id| self.connections.get(id));
        !self.arriving.is_empty() || connection.is_some_and(|connection| connection.is_stalled())
    }

    /// Tries again what waits for a script.
    pub(super) fn try_again(&mut self) {
        let now = self.server.ticks_nanos();
        if !self.has_delayed() || now < self.next_trial {
            return;
        }
        self.next_trial = now + DELAY.as_nanos() as u64;
        for arrival in std::mem::take(&mut self.arriving) {
            self.follow(arrival);
        }
        if let Some(stream) = self.stream() {
            stream.stalled = false;
        }
        if let Some(id) = self.upstream {
            self.enqueue(id);
        }
    }

    /// Acknowledges what has come from the primary, if the link is this worker's.
    pub(super) fn beat(&mut self) {
        let Some(id) = self.upstream else {
            return;
        };
        match self.connections.get_mut(id) {
            Some(connection) if connection.client.upstream.is_some() => {
                apply::beat(connection, self.server, &self.settings, self.env.now);
                self.enqueue(id);
            }
            _ => self.upstream = None,
        }
    }

    /// Whether the primary has asked for what is not on disk yet.
    #[inline]
    pub(super) fn owes_answer(&mut self) -> bool {
        self.stream().is_some_and(|stream| stream.owes())
    }

    /// Tells the primary what it has asked for, now that it may be on disk.
    pub(super) fn answer_late(&mut self) {
        if !self.owes_answer() {
            return;
        }
        // Before the look, so that nothing is missed in between.
        self.server.appending.await_disk(self.id);
        let server = self.server;
        let journal = &server.appending.journal;
        let answer = self.stream().and_then(|stream| stream.late_answer(journal));
        let (Some(answer), Some(id)) = (answer, self.upstream) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.out.raw(&answer);
            connection.dirty = true;
        }
        self.enqueue(id);
    }
}
