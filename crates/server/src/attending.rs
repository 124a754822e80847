//! Serving a worker's other clients while one of its scripts is busy: they are told so, and one of
//! them can end the script.
//!
//! A script that has run for `busy-reply-threshold` calls [`attend`] about once in a millisecond.
//! Its own connection is out of the way then, a stand-in keeps its place; what had been collected
//! of the others is given back and collected again. The admission lets only commands with the flag
//! `ALLOW_BUSY` through. None of them waits for a stripe: they use the script's lease if it is on
//! all stripes; else those that watch keys are left for later, and WATCH gives up.

use std::cell::Cell;
use std::time::Duration;

use mio::{Events, Poll, Token};
use slab::Slab;

use crate::batch::{Batch, Surroundings};
use crate::client::Fate;
use crate::connection::Connection;
use crate::delivery::Told;
use crate::mailbox::Mailbox;
use crate::session::Session;
use crate::settings::Settings;
use crate::worker::{EVENTS_MAX, FIRST_CONNECTION, MAILBOX, take_over};

/// What a worker has for this.
pub struct Aside<'s> {
    /// Its poll.
    pub poll: &'s mut Poll,
    /// What keeps the place of the script's connection, once it was needed.
    pub stand_in: &'s mut Option<Box<Connection>>,
    /// Set when others were served.
    pub attended: &'s Cell<bool>,
}

/// A worker's clients without the one whose command runs.
pub struct Others<'s> {
    poll: &'s mut Poll,
    attended: &'s Cell<bool>,
    connections: &'s mut Slab<Connection>,
    ready: &'s mut Vec<usize>,
    told: &'s mut Told,
    mailbox: &'s Mailbox,
    /// Those who may have sent something.
    due: Vec<usize>,
    /// What the first look at them makes.
    tools: Option<Box<Tools>>,
}

struct Tools {
    batch: Batch,
    events: Events,
    /// The settings, but memory is not looked at: making room needs stripes.
    settings: Settings,
}

impl Aside<'_> {
    /// The clients in `connections`, for one command.
    pub fn others<'a>(
        &'a mut self,
        connections: &'a mut Slab<Connection>,
        ready: &'a mut Vec<usize>,
        told: &'a mut Told,
        mailbox: &'a Mailbox,
    ) -> Others<'a> {
        Others {
            poll: self.poll,
            attended: self.attended,
            connections,
            ready,
            told,
            mailbox,
            due: Vec::new(),
            tools: None,
        }
    }
}

/// Serves those who have sent something.
pub fn attend(session: &mut Session<'_, '_>) {
    let Some(mut others) = session.others.take() else {
        return;
    };
    let tools = others.tools.take();
    let mut tools = tools.unwrap_or_else(|| others.begin(session));
    others.look(&mut tools, session);
    for id in std::mem::take(&mut others.due) {
        others.serve(id, &mut tools, session);
    }
    others.tools = Some(tools);
    session.others = Some(others);
}

impl Others<'_> {
    fn begin(&mut self, session: &Session<'_, '_>) -> Box<Tools> {
        self.attended.set(true);
        for (id, connection) in &mut *self.connections {
            connection.rewind();
            self.due.push(id);
        }
        let mut settings = session.settings.clone();
        settings.maxmemory_bytes = 0;
        Box::new(Tools {
            batch: Batch::new(&session.server.keyspace),
            events: Events::with_capacity(EVENTS_MAX),
            settings,
        })
    }

    /// Takes note of events and of new connections.
    fn look(&mut self, tools: &mut Tools, session: &Session<'_, '_>) {
        let Session {
            server, settings, ..
        } = session;
        if self
            .poll
            .poll(&mut tools.events, Some(Duration::ZERO))
            .is_err()
        {
            return;
        }
        // This worker may be the one that accepts.
        server.doors.accept_everywhere(server, settings);
        for event in &tools.events {
            match event.token() {
                MAILBOX => self.mailbox.remind(),
                Token(at) => {
                    let connection = at.checked_sub(FIRST_CONNECTION);
                    let connection = connection.and_then(|id| self.connections.get_mut(id));
                    if let Some(connection) = connection {
                        connection.note(event);
                        self.due.push(at - FIRST_CONNECTION);
                    }
                }
            }
        }
        for accepted in self.mailbox.drain_accepted() {
            take_over(accepted, self.connections, self.poll, server, settings);
        }
    }

    fn serve(&mut self, id: usize, tools: &mut Tools, session: &mut Session<'_, '_>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let whole = session.lease.covers_all();
        // What a primary sends changes data, and must not do so in the middle of a script.
        let changes = connection.client.upstream.is_some();
        if connection.is_stand_in() || changes || !whole && connection.client.watched.is_some() {
            return connection.enqueue(id, self.ready);
        }
        let (server, stats, now) = (session.server, session.stats, session.env.now);
        connection.read(&mut Vec::new(), server, stats, &tools.settings, now);
        let mut more = true;
        while more && let Some(connection) = self.connections.get_mut(id) {
            more = tools.batch.collect(id, connection, server, &tools.settings);
            self.run(tools, session);
        }
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.flush().is_err() {
            connection.client.fate = Fate::CloseNow;
        }
        if connection.readable && connection.client.fate == Fate::Open {
            self.due.push(id);
        }
        // The end of the round sees to the rest.
        connection.dirty = true;
        connection.enqueue(id, self.ready);
    }

    /// Runs what is collected.
    fn run(&mut self, tools: &mut Tools, session: &mut Session<'_, '_>) {
        let mut apart = session.lease.keyspace().lease();
        let whole = session.lease.covers_all();
        let mut around = Surroundings {
            server: session.server,
            stats: session.stats,
            settings: &tools.settings,
            env: session.env,
            lease: if whole { session.lease } else { &mut apart },
            evictor: session.evictor,
            desk: session.desk,
            scripts: session.scripts,
            spare: session.spare,
            mailbox: self.mailbox,
            ready: self.ready,
            told: self.told,
            aside: None,
            mark: *session.mark,
        };
        tools.batch.run(self.connections, &mut around);
    }
}
