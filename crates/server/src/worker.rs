//! One event loop: its connections, its mailbox, its share of the periodic work.
//!
//! A round: wait for events; read what they announce; collect commands over all ready connections
//! into batches and run them; write each connection's replies in one call; go on with long
//! commands; do the periodic work that is due. Nothing in a round waits for anything but a stripe's
//! lock.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::rng::seed_from_os;
use engine::env::Env;
use engine::keyspace::Lease;
use engine::track::forget_some;
use engine::tx::{Step, WalkTx};
use journal::Offset;
use journal::journal::Pieces;
use mio::{Events, Poll, Registry, Token};
use resp::Reply;
use slab::Slab;

use crate::aftermath;
use crate::attending::Aside;
use crate::batch::{Batch, Surroundings};
use crate::client::{Client, Fate};
use crate::client_memory::Scales;
use crate::clients::Card;
use crate::connection::{Accepted, Connection, Waiting};
use crate::cycle::Cycle;
use crate::delivery::{Delivery, Told};
use crate::doors;
use crate::eviction::Evictor;
use crate::limits;
use crate::mailbox::{Mailbox, Message, WorkerId};
use crate::migrating::{self, Migrated};
use crate::pubsub::{Desk, Publication};
use crate::replicating::replica::arrival::Arrival;
use crate::scripting;
use crate::server::Server;
use crate::settings::{Settings, engine_limits};
use crate::stats::{WorkerStats, bump};
use crate::transaction;
use crate::waking::{self, Deadlines, Ending, Unblocked};

mod feeding;
mod news;
mod own;
mod upstream;
mod weighing;

use own::OwnKeys;
use upstream::DELAY;

/// The mailbox's token; listeners follow, then connections from `FIRST_CONNECTION` on.
pub(crate) const MAILBOX: Token = Token(0);
pub(crate) const FIRST_CONNECTION: usize = doors::TOKENS_END;
pub(crate) const EVENTS_MAX: usize = 512;
/// Time between two rounds of periodic work.
const TICK: Duration = Duration::from_millis(100);
/// Time between two searches for clients that have passed a limit by doing nothing.
const INSPECTION: Duration = Duration::from_secs(1);
/// What replies wait for: how far the disk is, whether it fails, how often replicas have spoken.
type Outside = ((Offset, Option<Offset>), bool, u64);
/// Clients per round whose time is up: about half a millisecond, so that nobody else waits for long
/// when it is up for many at once.
const TIMEOUTS_MAX: usize = 64;
/// Messages for which room is kept.
const MAIL_KEPT_MAX: usize = 1024;
/// Steps of long commands per round, so that other clients wait for at most so many.
const WALK_STEPS_MAX: usize = 2;

/// Gives a new connection its place, and tells it.
pub(crate) fn take_over(
    accepted: Accepted,
    connections: &mut Slab<Connection>,
    poll: &Poll,
    server: &Server,
    settings: &Settings,
) -> Option<usize> {
    let Accepted { mut stream, card } = accepted;
    let entry = connections.vacant_entry();
    let id = entry.key();
    let token = Token(FIRST_CONNECTION + id);
    let killed = card.killed.load(Ordering::Relaxed);
    if killed || stream.register(poll.registry(), token).is_err() {
        server.forget(&card);
        return None;
    }
    card.place.store(id as u32, Ordering::Relaxed);
    let client = Client::new(card, settings.requirepass.is_none());
    entry.insert(Connection::new(stream, client));
    Some(id)
}

/// A worker's poll and mailbox, made before its thread so that all mailboxes are known to all.
pub struct Seat {
    poll: Poll,
    /// The way to reach this worker.
    pub mailbox: Mailbox,
}

impl Seat {
    /// A seat.
    ///
    /// # Errors
    /// The operating system has no descriptors left.
    pub fn new() -> io::Result<Seat> {
        let poll = Poll::new()?;
        let mailbox = Mailbox::new(poll.registry(), MAILBOX)?;
        Ok(Seat { poll, mailbox })
    }

    /// A second handle of the poll, for the listeners.
    ///
    /// # Errors
    /// The operating system has no descriptors left.
    pub fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }
}

/// See the module's head.
pub struct Worker<'k> {
    server: &'k Server,
    stats: &'k WorkerStats,
    id: WorkerId,
    seat: Seat,
    settings: Arc<Settings>,
    settings_version: u64,
    connections: Slab<Connection>,
    /// Connections to serve in this round.
    ready: Vec<usize>,
    /// Connections to write messages to.
    told: Told,
    /// Connections with a walk under way.
    walking: Vec<usize>,
    /// Connections with replies that wait for the disk.
    holding: Vec<usize>,
    /// How that stood at the beginning of the round.
    seen_outside: Outside,
    spare: Vec<Vec<u8>>,
    spare_transaction: transaction::Spare,
    /// Room for the next mail.
    mail: Vec<Message>,
    env: Env,
    lease: Lease<'k>,
    cycle: Cycle,
    evictor: Evictor,
    desk: Desk,
    scripts: scripting::State,
    stand_in: Option<Box<Connection>>,
    scales: Scales,
    deadlines: Deadlines,
    next_tick: u64,
    next_inspection: u64,
    /// The connection to the primary, if it is this worker's.
    upstream: Option<usize>,
    /// Links to primaries that wait for a script.
    arriving: Vec<Arrival>,
    /// When those, or the stream, are tried again.
    next_trial: u64,
    /// Deadlines that only this server knows.
    own_keys: OwnKeys,
    /// Connections of replicas.
    replicas: Vec<usize>,
    /// The journal's end when replicas were last fed.
    fed: Offset,
    pieces: Pieces,
    stopping: bool,
}

impl<'k> Worker<'k> {
    /// A worker without connections.
    pub fn new(server: &'k Server, id: WorkerId, seat: Seat) -> Worker<'k> {
        let settings = server.settings.get();
        let mut env = Env::new(engine_limits(&settings, &server.keyspace), seed_from_os());
        env.record_effects_if(server.appending.journal.switch());
        Worker {
            server,
            stats: &server.stats[usize::from(id.0)],
            id,
            seat,
            settings_version: server.settings.version(),
            settings,
            connections: Slab::new(),
            ready: Vec::new(),
            told: Told::default(),
            walking: Vec::new(),
            holding: Vec::new(),
            seen_outside: Outside::default(),
            spare: Vec::new(),
            spare_transaction: transaction::Spare::default(),
            mail: Vec::new(),
            env,
            lease: server.keyspace.lease(),
            cycle: Cycle::new(&server.keyspace, id, server.stats.len()),
            evictor: Evictor::new(id),
            desk: Desk::default(),
            scripts: scripting::State::default(),
            stand_in: None,
            scales: Scales::new(id),
            deadlines: Deadlines::default(),
            next_tick: 0,
            next_inspection: 0,
            upstream: None,
            arriving: Vec::new(),
            next_trial: 0,
            own_keys: OwnKeys::default(),
            replicas: Vec::new(),
            fed: Offset::default(),
            pieces: Pieces::default(),
            stopping: false,
        }
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// The operating system's readiness call fails for good.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut batch = Batch::new(&self.server.keyspace);
        while !self.stopping {
            match self.seat.poll.poll(&mut events, Some(self.patience())) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let begin = self.server.ticks.raw();
            self.refresh();
            for event in &events {
                match event.token() {
                    MAILBOX => self.read_mail(),
                    token if token.0 < FIRST_CONNECTION => {
                        self.server.doors.accept(token, self.server, &self.settings);
                    }
                    Token(at) => {
                        let id = at - FIRST_CONNECTION;
                        if let Some(connection) = self.connections.get_mut(id) {
                            connection.note(event);
                        }
                        self.enqueue(id);
                    }
                }
            }
            self.try_again();
            self.end_waits();
            self.serve(&mut batch);
            self.note_own_deadlines();
            self.go_on_walking();
            self.tick();
            self.feed_replicas();
            self.stats.publish(&self.env.stats);
            self.server.free_later(self.env.take_garbage());
            let end = self.server.ticks.raw();
            bump(&self.stats.rounds, 1);
            bump(
                &self.stats.round_nanos,
                self.server.ticks.delta_as_nanos(begin, end),
            );
        }
        Ok(())
    }

    /// How long the poll may sleep.
    fn patience(&self) -> Duration {
        let busy = !self.ready.is_empty() || !self.walking.is_empty() || !self.told.is_empty();
        if busy || self.evictor.is_behind() || self.seat.mailbox.has_left() {
            return Duration::ZERO;
        }
        let most = if self.has_delayed() { DELAY } else { TICK };
        let next = self.next_tick.min(self.cycle.next_nanos());
        let patience = Duration::from_nanos(next.saturating_sub(self.server.ticks_nanos()));
        let Some(deadline) = self.deadlines.next() else {
            return patience.min(most);
        };
        let left = deadline.0.saturating_sub(self.server.now().0).max(0);
        patience.min(most).min(Duration::from_millis(left as u64))
    }

    /// Reads the clock and, if they changed, the settings: once per round.
    fn refresh(&mut self) {
        self.seen_outside = self.outside();
        self.env.now = self.server.now();
        let is_replica = self.server.replicating.is_replica();
        self.env.expire = !self.server.is_pausing() && !is_replica;
        let version = self.server.settings.version();
        if version != self.settings_version {
            self.settings_version = version;
            self.settings = self.server.settings.get();
            self.env.limits = engine_limits(&self.settings, &self.server.keyspace);
            self.set_client_limit();
        }
        self.env.owns_deadlines = is_replica && !self.settings.replica.read_only;
    }

    fn enqueue(&mut self, id: usize) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push(id);
        }
    }

    fn read_mail(&mut self) {
        self.delivery().deliver_resolved();
        let mut mail = self.seat.mailbox.drain(std::mem::take(&mut self.mail));
        for message in mail.drain(..) {
            match message {
                Message::Accept(accepted) => drop(self.take_over(accepted)),
                Message::Demoted => self.end_all_waits(),
                Message::Follow(arrival) => self.follow(*arrival),
                Message::Close(card) => self.close_killed(&card),
                Message::Resume => self.wake(Connection::resume),
                Message::Publish(publication) => self.deliver(&publication),
                Message::Forget(notes) => self.delivery().tell_cachers(notes),
                Message::Broken(client, place) => self.delivery().tell_broken(client, place),
                Message::Relieve => {
                    self.scales.heed(&self.server.burden);
                    self.relieve();
                }
                Message::Monitor(line) => self.show_command(&line),
                Message::Saved(ok) => self.wake(|connection| connection.end_save(ok)),
                Message::Migrated(migrated) => self.end_migrate(&migrated),
                Message::NotEnding => self.wake(Connection::end_shutdown),
                // Who asked may have given up waiting.
                Message::Barrier(done) => drop(done.send(())),
                Message::Durable => self.release_held(),
                Message::Unblock(unblocked) => self.unblock(*unblocked),
                Message::EndDiskWait(card, ending) => self.end_disk_wait(&card, ending),
                Message::Retry(waiter) => {
                    let (env, lease) = (&self.env, &mut self.lease);
                    waking::retry(&waiter, self.server, self.id, env, lease);
                }
                // The end of the round does it.
                Message::Feed => {}
                Message::LetGo => self.scripts.forget_flushed(&self.server.scripting, self.id),
                Message::Stop => self.stopping = true,
            }
        }
        if mail.capacity() <= MAIL_KEPT_MAX {
            self.mail = mail;
        }
    }

    fn take_over(&mut self, accepted: Accepted) -> Option<usize> {
        let (poll, settings) = (&self.seat.poll, &self.settings);
        take_over(accepted, &mut self.connections, poll, self.server, settings)
    }

    /// Closes a client at the end of this round; its place must not be taken by another before the
    /// events of this round have been looked at.
    fn close_killed(&mut self, card: &Card) {
        let place = card.place.load(Ordering::Relaxed) as usize;
        if let Some(connection) = self.connections.get_mut(place)
            && connection.client.card.id == card.id
        {
            connection.client.fate = Fate::CloseNow;
            self.enqueue(place);
        }
    }

    /// Gives a published message to this worker's subscribers.
    fn deliver(&mut self, publication: &Publication) {
        self.delivery().deliver(publication);
    }

    fn delivery(&mut self) -> Delivery<'_> {
        Delivery {
            server: self.server,
            own: self.id,
            desk: &mut self.desk,
            connections: &mut self.connections,
            ready: &mut self.ready,
            told: &mut self.told,
        }
    }

    /// Goes on with a client whose wait has ended.
    fn unblock(&mut self, unblocked: Unblocked) {
        unblocked.clear(&mut self.lease);
        let id = unblocked.place();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.expects(&unblocked) {
            self.deadlines.remove(id, connection);
            let when = (self.env.now, self.server.replicating.era());
            connection.unblock(unblocked, self.stats, &self.settings, when);
            self.enqueue(id);
        }
    }

    /// Goes on with a client whose WAIT or WAITAOF was ended.
    fn end_disk_wait(&mut self, card: &Card, ending: Ending) {
        let place = card.place.load(Ordering::Relaxed) as usize;
        if let Some(connection) = self.connections.get_mut(place)
            && connection.client.card.id == card.id
            && connection.end_disk_wait(self.server, ending.failure())
        {
            self.enqueue(place);
        }
    }

    /// Deletes the keys that a client's MIGRATE has moved, and goes on with that client.
    fn end_migrate(&mut self, migrated: &Migrated) {
        let (server, env, lease) = (self.server, &self.env, &mut self.lease);
        let result = migrating::arrive(migrated, &server.registry, lease, env);
        let sender = migrated.sender;
        // It may be gone, and its place another client's.
        let connection = self.connections.get_mut(sender.place);
        let mut connection = connection.filter(|it| it.client.card.id == sender.id);
        let by = connection.as_mut().map(|it| &mut it.client);
        aftermath::settle(server, self.id, env, lease, by);
        lease.release();
        if let Err(failure) = &result {
            server.count_error(failure.text(), self.stats);
        }
        if connection.is_some_and(|connection| connection.end_migrate(&result)) {
            self.enqueue(sender.place);
        }
    }

    /// Ends all waits in blocking commands, and closes those clients.
    fn end_all_waits(&mut self) {
        let blocked = |connection: &Connection| match &connection.waiting {
            Waiting::Blocked(blocked) => Some(Arc::clone(&blocked.waiter)),
            _ => None,
        };
        let waiters = self.connections.iter().filter_map(|(id, connection)| {
            let waiter = blocked(connection)?;
            Some((id, waiter))
        });
        for (id, waiter) in waiters.collect::<Vec<_>>() {
            let (env, lease) = (&self.env, &mut self.lease);
            // If somebody was faster, the reply is in the mail.
            if waking::give_up(&waiter, self.server, self.id, env, lease) {
                self.unblock(Unblocked::demoted(&waiter));
                self.connections[id].client.fate = Fate::CloseAfterReply;
            }
        }
        let demoted = Some(&waking::DEMOTED);
        for (id, connection) in &mut self.connections {
            // If CLIENT UNBLOCK was faster, the order to end is in the mail.
            let awaits = &connection.client.card.awaits_copies;
            if awaits.swap(false, Ordering::AcqRel)
                && connection.end_disk_wait(self.server, demoted)
            {
                connection.client.fate = Fate::CloseAfterReply;
                connection.enqueue(id, &mut self.ready);
            }
        }
        // What waits for replicas is in doubt now.
        self.release_held();
    }

    /// Ends the waits whose time is up.
    fn end_waits(&mut self) {
        for _ in 0..TIMEOUTS_MAX {
            let Some(id) = self.deadlines.pop(self.env.now) else {
                break;
            };
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            let Waiting::Blocked(blocked) = &connection.waiting else {
                continue;
            };
            let waiter = Arc::clone(&blocked.waiter);
            let (env, lease) = (&self.env, &mut self.lease);
            // If somebody was faster, the reply is in the mail.
            if waking::give_up(&waiter, self.server, self.id, env, lease) {
                self.unblock(Unblocked::timed_out(&waiter));
            }
        }
    }

    /// Goes on with the connections that `end` says were waiting for this.
    fn wake(&mut self, end: impl Fn(&mut Connection) -> bool) {
        let waited: Vec<usize> = self
            .connections
            .iter_mut()
            .filter_map(|(id, connection)| end(connection).then_some(id))
            .collect();
        waited.into_iter().for_each(|id| self.enqueue(id));
    }

    /// Reads, runs and writes for all ready connections.
    fn serve(&mut self, batch: &mut Batch) {
        let ready = std::mem::take(&mut self.ready);
        for &id in &ready {
            self.read(id);
        }
        // Whoever sent what was just read may have seen the answer to a change elsewhere: what
        // others have to hear of that change comes before any reply.
        if self.seat.mailbox.is_filled() {
            self.read_mail();
        }
        self.env.broadcast = self.server.tracking.is_broadcasting();
        for &id in &ready {
            while let Some(connection) = self.connections.get_mut(id) {
                let more = batch.collect(id, connection, self.server, &self.settings);
                if !more {
                    break;
                }
                self.run_batch(batch);
            }
        }
        if !batch.is_empty() {
            self.run_batch(batch);
        }
        self.forget_tracked();
        if self.env.broadcast {
            self.server.tracking.flush(&self.server.mailboxes, self.id);
        }
        // What its own clients published or made ready, and its periodic work, reaches those of its
        // own clients who wait for it before the worker sleeps.
        while self.seat.mailbox.has_left() {
            self.read_mail();
        }
        self.server.appending.push();
        // Before the replies: who has one can ask another worker for counters that include it.
        self.stats.publish(&self.env.stats);
        // News that lie about count as used memory, and would make the next command evict keys,
        // which makes news: so they go out now.
        let late = std::mem::take(&mut self.ready);
        for &id in &ready {
            self.settle(id);
        }
        self.watch_disk();
        for id in late {
            self.settle_late(id);
        }
        self.settle_told();
        if self.scales.is_on() {
            self.relieve();
        }
        if self.ready.is_empty() {
            self.ready = ready;
            self.ready.clear();
        }
    }

    /// Ends the tracking of keys beyond `tracking-table-max-keys`.
    #[inline]
    fn forget_tracked(&mut self) {
        let limit = self.settings.tracking_table_max_keys;
        while limit > 0 && self.server.keyspace.tracked().keys() > limit {
            let excess = self.server.keyspace.tracked().keys() - limit;
            let forgotten = forget_some(excess, &mut self.lease, &self.env);
            aftermath::settle(self.server, self.id, &self.env, &mut self.lease, None);
            self.lease.release();
            if forgotten == 0 {
                break;
            }
        }
    }

    fn run_batch(&mut self, batch: &mut Batch) {
        let attended = Cell::new(false);
        let mut around = Surroundings {
            server: self.server,
            stats: self.stats,
            settings: &self.settings,
            env: &mut self.env,
            lease: &mut self.lease,
            evictor: &mut self.evictor,
            desk: &mut self.desk,
            scripts: &mut self.scripts,
            spare: &mut self.spare_transaction,
            mailbox: &self.seat.mailbox,
            ready: &mut self.ready,
            told: &mut self.told,
            aside: Some(Aside {
                poll: &mut self.seat.poll,
                stand_in: &mut self.stand_in,
                attended: &attended,
            }),
            mark: self.server.ticks.raw(),
        };
        batch.run(&mut self.connections, &mut around);
    }

    fn read(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.queued = false;
        let (spare, settings) = (&mut self.spare, &self.settings);
        connection.read(spare, self.server, self.stats, settings, self.env.now);
    }

    /// The same for one that the mail of this round has woken: what waits in its input is the next
    /// round's.
    fn settle_late(&mut self, id: usize) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.queued = false;
        }
        self.settle(id);
        let connection = self.connections.get(id);
        if connection.is_some_and(|connection| !connection.input.unread().is_empty()) {
            self.enqueue(id);
        }
    }

    /// After a round: writes replies, brings the card up to date, decides whether it goes on.
    fn settle(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if let Some(excess) = limits::output_excess(connection, &self.settings, self.env.now) {
            limits::report(excess, connection, self.server, self.stats, self.env.now);
            connection.client.fate = Fate::CloseNow;
        }
        if connection.client.attached.is_some() && !connection.out.is_empty() {
            feeding::refuse_reply(connection, self.server);
        }
        let news = connection.dirty && connection.client.fate != Fate::CloseNow;
        if news {
            connection.dirty = false;
            // Before the replies, for who has one can ask another worker how this client stands.
            connection.client.publish(&connection.out, self.env.now);
            let streams = connection.client.upstream.is_some();
            if !streams && connection.hold_back(&self.server.appending.journal) {
                self.holding.push(id);
                if connection.held.is_voted_on() {
                    self.server.replicating.primary.ask();
                }
            }
            match connection.flush() {
                Ok(0) => {}
                Ok(count) => {
                    bump(&self.stats.bytes_out, count as u64);
                    bump(&self.stats.writes, 1);
                    bump(&connection.client.card.bytes_out, count as u64);
                }
                Err(_) => connection.client.fate = Fate::CloseNow,
            }
        }
        connection.input.rest(&mut self.spare);
        if news {
            connection.client.query = connection.input.usage();
            connection.client.publish_buffers(&connection.out);
            let writing = &connection.client.card.writing;
            writing.store(!connection.out.is_empty(), Ordering::Relaxed);
        }
        if connection.unfinished && connection.client.fate != Fate::CloseNow {
            connection.dirty = true;
            connection.queued = true;
            self.ready.push(id);
        }
        if connection.client.attached.is_some() {
            self.attend_replica(id);
        }
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let written = connection.out.is_empty();
        let waits = !matches!(connection.waiting, Waiting::No);
        match connection.client.fate {
            Fate::CloseNow => self.close(id),
            Fate::CloseAfterReply if written => self.close(id),
            _ if connection.ended && written && !waits => self.close(id),
            _ if connection.is_abandoned() => self.close(id),
            Fate::CloseAfterReply => {}
            Fate::Open => {
                if let Waiting::Disk(wish) = connection.waiting {
                    let card = &connection.client.card;
                    card.timed.store(wish.until.is_some(), Ordering::Relaxed);
                    card.blocked.store(true, Ordering::Relaxed);
                    if connection.list() {
                        self.holding.push(id);
                    }
                } else if let Waiting::Walk { .. } = connection.waiting {
                    if !self.walking.contains(&id) {
                        self.walking.push(id);
                    }
                } else if waits {
                    self.deadlines.add(id, connection);
                } else if connection.readable && !connection.ended && !connection.is_stalled() {
                    self.enqueue(id);
                }
            }
        }
        if news && self.scales.is_on() {
            self.weigh(id);
        }
    }

    /// Asks to be told when more is on disk, if a reply waits for that.
    fn watch_disk(&mut self) {
        if self.holding.is_empty() && !self.owes_answer() {
            return;
        }
        let appending = &self.server.appending;
        appending.await_disk(self.id);
        // What happened before we asked is not told.
        if self.outside() != self.seen_outside {
            self.seat.mailbox.leave(Message::Durable);
        }
    }

    /// What replies wait for.
    fn outside(&self) -> Outside {
        let journal = &self.server.appending.journal;
        let heard = self.server.replicating.primary.heard_count();
        let disk = (journal.durable(), journal.restorable());
        (disk, journal.is_failing(), heard)
    }

    /// Sends what had to wait for the disk or for replicas and need not any more.
    fn release_held(&mut self) {
        self.answer_late();
        let mut asks = false;
        for id in std::mem::take(&mut self.holding) {
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            let journal = &self.server.appending.journal;
            let (held, now) = (&mut connection.held, self.env.now);
            held.release(journal);
            held.heed_replicas(&mut connection.out, self.server, now);
            asks |= held.is_voted_on();
            let waits = connection.await_disk(self.server, now);
            connection.held.listed = waits || !connection.held.is_empty();
            if connection.held.listed {
                self.holding.push(id);
            }
            connection.dirty = true;
            self.enqueue(id);
        }
        if asks {
            self.server.replicating.primary.ask();
        }
    }

    fn close(&mut self, id: usize) {
        if let Some(mut connection) = self.connections.try_remove(id) {
            let burden = &self.server.burden;
            self.scales
                .take_off(id as u32, &mut connection.weight, burden);
            if let Waiting::Blocked(blocked) = &connection.waiting {
                let (env, lease) = (&self.env, &mut self.lease);
                // One that was served at this moment takes what it got with it.
                waking::give_up(&blocked.waiter, self.server, self.id, env, lease);
                self.deadlines.remove(id, &connection);
            }
            transaction::unwatch(&mut connection.client, &mut self.lease);
            connection
                .client
                .leave(&self.server.exchange, &mut self.desk);
            connection
                .client
                .stop_observing(self.server, &mut self.desk);
            if let Some(upstream) = &connection.client.upstream {
                let replica = &self.server.replicating.replica;
                replica.lost(upstream.number(), self.env.now);
            }
            self.detach(id, &mut connection);
            self.server.forget(&connection.client.card);
            self.walking.retain(|&walking| walking != id);
            if connection.held.listed {
                self.holding.retain(|&holding| holding != id);
            }
        }
    }

    /// A few steps of the long commands under way, in turn.
    fn go_on_walking(&mut self) {
        if self.server.scripting.running.is_busy() {
            return;
        }
        for _ in 0..WALK_STEPS_MAX.min(self.walking.len()) {
            let id = self.walking.remove(0);
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            let Waiting::Walk { walk, muted, held } = &mut connection.waiting else {
                continue;
            };
            let mut nowhere = Reply::new(connection.out.proto());
            let out = if *muted {
                &mut nowhere
            } else {
                &mut connection.out
            };
            let mut tx = WalkTx::new(&mut self.lease, &self.env, connection.client.db);
            let step = walk.step(&mut tx, out);
            self.lease.release();
            let limit = limits::output_limit(&connection.client, &self.settings);
            if limits::is_above_hard(limit, connection.out.len_bytes()) {
                // Its end of the round sees the same and closes it.
                self.enqueue(id);
                continue;
            }
            match step {
                Step::More => self.walking.push(id),
                Step::Done => {
                    connection.out.append(held);
                    connection.waiting = Waiting::No;
                    connection.dirty = true;
                    connection.readable = true;
                    self.enqueue(id);
                }
            }
        }
    }

    /// Periodic work, when it is due.
    fn tick(&mut self) {
        let now = self.server.ticks_nanos();
        let effort = self.settings.active_expire_effort;
        let (server, stats) = (self.server, self.stats);
        self.env.broadcast = server.tracking.is_broadcasting();
        if self.server.scripting.running.is_busy() {
            // Most data cannot be reached; all of this can wait until the script is over.
            return;
        }
        self.cycle
            .run(now, effort, server, stats, &mut self.lease, &self.env);
        let evicts = !server.loading.keeps_all();
        if evicts && (now >= self.next_tick || self.evictor.is_behind()) {
            self.evictor.look(server);
            self.evictor
                .make_room(server, &self.settings, &mut self.lease, &self.env, None);
            self.lease.release();
        }
        if self.env.broadcast {
            server.tracking.flush(&server.mailboxes, self.id);
        }
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK.as_nanos() as u64;
        self.release_held();
        self.expire_own();
        // Buffers of connections that went quiet: half of those that nobody took again.
        self.spare.truncate(self.spare.len() / 2);
        // One worker is enough to notice that a pause is over and to take samples.
        if self.id == WorkerId(0) {
            self.server.end_pause(self.env.now);
            let failover = &self.server.replicating.failover;
            failover.tick(self.server, &mut self.lease, self.env.now);
            self.server.rates.sample(now, &self.server.totals());
            let (server, settings) = (self.server, &self.settings);
            server.saving.tick(server, settings, self.env.now);
        }
        if now >= self.next_inspection {
            self.next_inspection = now + INSPECTION.as_nanos() as u64;
            self.beat();
            self.comfort_replicas();
            if self.id == WorkerId(0) {
                let (server, now) = (self.server, self.env.now);
                let primary = &server.replicating.primary;
                primary.tick(server, &self.settings, &mut self.lease, now);
            }
            self.inspect();
        }
    }

    /// Closes the clients that have passed a limit by doing nothing.
    fn inspect(&mut self) {
        if !limits::time_matters(&self.settings) {
            return;
        }
        let mut closed = Vec::new();
        for (id, connection) in &mut self.connections {
            if let Some(excess) = limits::excess(connection, &self.settings, self.env.now) {
                limits::report(excess, connection, self.server, self.stats, self.env.now);
                closed.push(id);
            }
        }
        closed.into_iter().for_each(|id| self.close(id));
    }
}
