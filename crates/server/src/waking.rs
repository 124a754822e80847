//! Clients that wait in a blocking command, and what brings them back.
//!
//! `engine::waiters` has their commands and `engine::serve` runs these; here is what connects them
//! with connections. A served client's reply goes to its own worker by message, which appends it to
//! the connection's output and goes on with the connection: also if it is the worker that served
//! it. So does the end of its waiting by CLIENT UNBLOCK, which the sender's worker decides under
//! the lease of the awaited keys. Deadlines lie in one ordered set per worker: those who wait cost
//! nothing until they are served or their time is up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use base::ids::ClientId;
use base::time::UnixMillis;
use engine::args::Args;
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::Lease;
use engine::serve::{self, Ends};
use engine::spec::DataRun;
use engine::waiters::{Address, Wait, Waiter};
use journal::Offset;
use journal::journal::Framing;
use replication::quorum::Era;
use resp::{Proto, Reply};

use crate::aftermath;
use crate::client::ReplyMode;
use crate::clients::Card;
use crate::connection::{Connection, Waiting};
use crate::mailbox::{Message, WorkerId};
use crate::server::Server;
use crate::session::Session;
use crate::settings::Settings;
use crate::stats::{WorkerStats, bump};

/// What a connection knows of its waiting.
pub struct Blocked {
    /// Its command.
    pub waiter: Arc<Waiter>,
    /// When its time is up, if ever.
    pub deadline: Option<UnixMillis>,
    /// CLIENT REPLY was OFF or SKIP when it began.
    muted: bool,
}

/// The end of a client's waiting, on its way to its worker.
pub struct Unblocked {
    waiter: Arc<Waiter>,
    reply: Reply,
    failed: bool,
    /// The journal's end after what the command has changed, if it has.
    wrote: Option<Offset>,
}

impl Unblocked {
    /// Its time is up.
    pub fn timed_out(waiter: &Arc<Waiter>) -> Unblocked {
        let mut reply = Reply::new(waiter.proto);
        reply.null_array();
        Unblocked {
            waiter: Arc::clone(waiter),
            reply,
            failed: false,
            wrote: None,
        }
    }

    /// Its server follows another from now on: what it waits to take is not this server's to give.
    pub fn demoted(waiter: &Arc<Waiter>) -> Unblocked {
        let mut reply = Reply::new(waiter.proto);
        reply.error(DEMOTED.text());
        Unblocked {
            waiter: Arc::clone(waiter),
            reply,
            failed: true,
            wrote: None,
        }
    }

    /// Where its worker keeps the connection that this is for.
    pub fn place(&self) -> usize {
        self.waiter.client.place as usize
    }

    /// Takes the waiter out of the lanes that whoever ended it could not reach.
    pub fn clear(&self, lease: &mut Lease<'_>) {
        serve::forget(&self.waiter, lease);
    }
}

/// What those are told who wait when their server begins to follow another.
pub const DEMOTED: Failure = Failure::fixed(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);

/// Makes the session's client wait with a command that found nothing. The lease is still the one
/// it was tried under.
pub fn begin(
    run: DataRun,
    args: &Args<'_>,
    wait: Wait,
    proto: Proto,
    session: &mut Session<'_, '_>,
) -> Waiting {
    let client = &mut *session.client;
    let card = &client.card;
    let address = Address {
        id: card.id,
        worker: card.worker.0,
        place: card.place.load(Relaxed),
    };
    let deadline = wait.timeout_ms.map(|ms| UnixMillis(session.env.now.0 + ms));
    let waiter = Waiter::enter(address, proto, client.db, run, args, wait, session.lease);
    *card.waiter.lock() = Some(Arc::clone(&waiter));
    card.timed.store(deadline.is_some(), Relaxed);
    card.blocked.store(true, Relaxed);
    // Whoever killed it before that lock did not see the waiter; who does so after it will.
    if card.killed.load(Relaxed) {
        serve::end(&waiter, session.lease, session.env);
    }
    Waiting::Blocked(Blocked {
        waiter,
        deadline,
        muted: client.reply_mode != ReplyMode::On,
    })
}

/// Sends what becomes of waiters to their workers.
struct Post<'s> {
    server: &'s Server,
    own: WorkerId,
    /// Where the effects of what is served gather.
    env: Option<&'s Env>,
}

impl Post<'_> {
    fn send(&self, waiter: &Waiter, message: Message) {
        self.send_to(waiter.client.worker, message);
    }

    fn send_to(&self, worker: u16, message: Message) {
        let mailbox = &self.server.mailboxes[usize::from(worker)];
        if worker == self.own.0 {
            mailbox.leave(message);
        } else {
            mailbox.send(message);
        }
    }
}

impl Ends for Post<'_> {
    fn ended(&mut self, waiter: &Arc<Waiter>, reply: Reply, failure: Option<&Failure>) {
        // Under the lease that it was served under, which may be another for the next one.
        let env = self.env.filter(|env| env.has_effects());
        let wrote = env.map(|env| aftermath::append(self.server, env, Framing::Together));
        if let Some(failure) = failure {
            let stats = &self.server.stats[usize::from(self.own.0)];
            self.server.count_error(failure.text(), stats);
        }
        let unblocked = Unblocked {
            waiter: Arc::clone(waiter),
            reply,
            failed: failure.is_some(),
            wrote,
        };
        self.send(waiter, Message::Unblock(Box::new(unblocked)));
    }

    fn hand_over(&mut self, waiter: &Arc<Waiter>) {
        self.send(waiter, Message::Retry(Arc::clone(waiter)));
    }
}

/// Serves those who wait for keys that have become ready.
#[cold]
pub fn serve_ready(server: &Server, own: WorkerId, env: &Env, lease: &mut Lease<'_>) {
    // What they read is not read by the client that has made it ready.
    env.reader.set(None);
    serve::serve_ready(
        lease,
        env,
        &mut Post {
            server,
            own,
            env: Some(env),
        },
    );
}

/// Tries a waiter of this worker that could not be served where its key became ready.
pub fn retry(
    waiter: &Arc<Waiter>,
    server: &Server,
    own: WorkerId,
    env: &Env,
    lease: &mut Lease<'_>,
) {
    serve::retry(
        waiter,
        lease,
        env,
        &mut Post {
            server,
            own,
            env: Some(env),
        },
    );
    aftermath::settle(server, own, env, lease, None);
    lease.release();
}

/// Ends a wait without serving it; whether nobody has before.
pub fn give_up(
    waiter: &Waiter,
    server: &Server,
    own: WorkerId,
    env: &Env,
    lease: &mut Lease<'_>,
) -> bool {
    let ended = serve::end(waiter, lease, env);
    aftermath::settle(server, own, env, lease, None);
    lease.release();
    ended
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As if its time was up.
    TimedOut,
    /// With an error.
    Error,
}

impl Ending {
    /// What the client is told, if it is not how far it has come.
    pub fn failure(self) -> Option<&'static Failure> {
        match self {
            Ending::TimedOut => None,
            Ending::Error => Some(&UNBLOCKED),
        }
    }
}

/// What a client is told whose wait CLIENT UNBLOCK ... ERROR has ended.
static UNBLOCKED: Failure = Failure::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// CLIENT UNBLOCK: ends the wait of the client with this card; whether it was waiting.
pub fn unblock(card: &Arc<Card>, ending: Ending, session: &mut Session<'_, '_>) -> bool {
    let (server, own) = (session.server, session.client.card.worker);
    let mut post = Post {
        server,
        own,
        env: None,
    };
    let Some(waiter) = card.waiter.lock().clone() else {
        let ended = card.awaits_copies.swap(false, AcqRel);
        if ended {
            if let Some(failure) = ending.failure() {
                server.count_error(failure.text(), session.stats);
            }
            let message = Message::EndDiskWait(Arc::clone(card), ending);
            post.send_to(card.worker.0, message);
        }
        return ended;
    };
    if !give_up(&waiter, server, own, session.env, session.lease) {
        return false;
    }
    match ending {
        Ending::TimedOut => {
            let unblocked = Box::new(Unblocked::timed_out(&waiter));
            post.send(&waiter, Message::Unblock(unblocked));
        }
        Ending::Error => {
            let mut reply = Reply::new(waiter.proto);
            reply.error(UNBLOCKED.text());
            post.ended(&waiter, reply, Some(&UNBLOCKED));
        }
    }
    true
}

/// Ends the wait of a client that was marked as killed: its worker closes it later, and nothing may
/// be given to it until then.
pub fn abandon(card: &Card, session: &mut Session<'_, '_>) {
    if let Some(waiter) = card.waiter.lock().clone() {
        let (server, own) = (session.server, session.client.card.worker);
        give_up(&waiter, server, own, session.env, session.lease);
    }
}

impl Connection {
    /// Whether this is the end of what it waits for: not if its place is another client's by now.
    pub fn expects(&self, unblocked: &Unblocked) -> bool {
        let Waiting::Blocked(blocked) = &self.waiting else {
            return false;
        };
        Arc::ptr_eq(&blocked.waiter, &unblocked.waiter)
    }

    /// Goes on with the reply to what it waited for; counts the command.
    pub fn unblock(
        &mut self,
        mut unblocked: Unblocked,
        stats: &WorkerStats,
        settings: &Settings,
        (now, era): (UnixMillis, Era),
    ) {
        let Waiting::Blocked(blocked) = &self.waiting else {
            return;
        };
        let start = self.out.len_bytes();
        if !blocked.muted {
            self.out.append(&mut unblocked.reply);
        }
        if let Some(upto) = unblocked.wrote {
            self.client.wrote = upto;
            if let Some(demand) = self.client.demand(settings) {
                let place = (start, self.out.len_bytes());
                self.held.wait_for_replicas(place, (upto, era), demand, now);
            }
        }
        self.waiting = Waiting::No;
        self.dirty = true;
        *self.client.card.waiter.lock() = None;
        self.client.card.blocked.store(false, Relaxed);
        self.client.commands += 1;
        if let Some(row) = self.client.last_command {
            let stats = &stats.commands[usize::from(row.0)];
            bump(&stats.calls, 1);
            bump(&stats.failed, u64::from(unblocked.failed));
        }
    }
}

/// When the waits of a worker's clients end: deadline, client, and where the worker keeps it.
#[derive(Default)]
pub struct Deadlines(BTreeSet<(UnixMillis, ClientId, usize)>);

impl Deadlines {
    /// Enters a connection that waits, if its wait ends by itself.
    pub fn add(&mut self, place: usize, connection: &Connection) {
        if let Waiting::Blocked(Blocked {
            deadline: Some(deadline),
            ..
        }) = connection.waiting
        {
            self.0.insert((deadline, connection.client.card.id, place));
        }
    }

    /// Strikes out a connection that waits no longer than now.
    pub fn remove(&mut self, place: usize, connection: &Connection) {
        if let Waiting::Blocked(Blocked {
            deadline: Some(deadline),
            ..
        }) = connection.waiting
        {
            self.0.remove(&(deadline, connection.client.card.id, place));
        }
    }

    /// The first one.
    pub fn next(&self) -> Option<UnixMillis> {
        self.0.first().map(|&(deadline, ..)| deadline)
    }

    /// Takes out the first one that has passed: where its connection is.
    pub fn pop(&mut self, now: UnixMillis) -> Option<usize> {
        let &(deadline, _, place) = self.0.first()?;
        if deadline > now {
            return None;
        }
        self.0.pop_first();
        Some(place)
    }
}
