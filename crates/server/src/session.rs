//! What a control command sees: its client, the server, and the engine's doors.

use std::sync::atomic::Ordering::Relaxed;

use engine::args::Args;
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::Lease;
use resp::Reply;

use crate::aftermath;
use crate::attending::Others;
use crate::client::Client;
use crate::connection::Waiting;
use crate::eviction::Evictor;
use crate::pubsub::{Desk, Kind};
use crate::scripting;
use crate::server::Server;
use crate::settings::Settings;
use crate::stats::WorkerStats;
use crate::transaction::Spare;

/// A control command's handler.
pub type ControlRun = fn(&mut Session<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<(), Failure>;

/// What a command is run by. Only one that its client has sent by itself may wait; others answer at
/// once, as if their time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Its client.
    Nothing,
    /// EXEC.
    Transaction,
    /// A script or function.
    Script,
}

/// See the module's head.
pub struct Session<'s, 'k> {
    /// What the workers share.
    pub server: &'s Server,
    /// This worker's counters.
    pub stats: &'s WorkerStats,
    /// Current settings.
    pub settings: &'s Settings,
    /// The client that sent the command.
    pub client: &'s mut Client,
    /// Time, limits, counters of this worker.
    pub env: &'s mut Env,
    /// Covers nothing on entry (but see `Row::keeps_lease`), or inside a transaction all that may
    /// be asked for; may be used and need not be released.
    pub lease: &'s mut Lease<'k>,
    /// This worker's subscribers.
    pub desk: &'s mut Desk,
    /// Makes room when memory is full.
    pub evictor: &'s mut Evictor,
    /// This worker's compiled scripts.
    pub scripts: &'s mut scripting::State,
    /// Room for the next transaction.
    pub spare: &'s mut Spare,
    /// This worker's other clients, for a script that runs for long.
    pub others: Option<Others<'s>>,
    /// What the command is run by.
    pub within: Within,
    /// Time stamp at which the command before this one ended.
    pub mark: &'s mut u64,
    /// The command under way has written an error as its reply, or within it.
    pub failed: bool,
    /// What the client has to wait for after the command under way.
    pub waiting: Option<Waiting>,
}

impl Session<'_, '_> {
    /// Passes on what has gathered since the last time, before the lease is released. Those who
    /// wait are served at the time it is by then: a transaction may have taken long.
    #[inline]
    pub fn settle(&mut self) {
        if self.env.has_ready() {
            self.env.now = self.server.now();
        }
        let (own, by) = (self.client.card.worker, Some(&mut *self.client));
        aftermath::settle(self.server, own, self.env, self.lease, by);
    }

    /// Whether the client must not change data, because they are its primary's.
    pub fn is_read_only_replica(&self) -> bool {
        self.server.replicating.is_replica()
            && self.settings.replica.read_only
            && self.client.upstream.is_none()
    }

    /// Whether the client must not be shown data, because they may be old.
    pub fn is_stale_replica(&self) -> bool {
        let replicating = &self.server.replicating;
        replicating.is_replica()
            && !self.settings.replica.serve_stale
            && !replicating.replica.is_up()
            && self.client.upstream.is_none()
    }

    /// Lets what was published before reach those who listen now, before that changes.
    fn resolve_mail(&mut self) {
        aftermath::tell_events(self.server, self.client.card.worker, self.env);
        let own = usize::from(self.client.card.worker.0);
        self.desk.resolve_mail(&self.server.mailboxes[own]);
    }

    /// Subscribes the client.
    pub fn subscribe(&mut self, kind: Kind, name: &[u8]) {
        self.resolve_mail();
        let Session {
            server,
            client,
            desk,
            ..
        } = self;
        let place = client.card.place.load(Relaxed);
        let mine = &mut client.subscriptions;
        desk.subscribe(
            &server.exchange,
            client.card.worker,
            place,
            mine,
            kind,
            name,
        );
    }

    /// Ends a subscription of the client.
    pub fn unsubscribe(&mut self, kind: Kind, name: &[u8]) {
        self.resolve_mail();
        let Session {
            server,
            client,
            desk,
            ..
        } = self;
        let place = client.card.place.load(Relaxed);
        let mine = &mut client.subscriptions;
        desk.unsubscribe(
            &server.exchange,
            client.card.worker,
            place,
            mine,
            kind,
            name,
        );
    }

    /// Lets the client be shown all commands.
    pub fn monitor(&mut self) {
        let card = &self.client.card;
        self.client.monitors = true;
        card.monitors.store(true, Relaxed);
        self.desk.monitors.push(card.place.load(Relaxed));
        self.server.monitors.add(card.worker);
    }

    /// Ends all subscriptions of the client.
    pub fn unsubscribe_all(&mut self) {
        self.resolve_mail();
        self.client.leave(&self.server.exchange, self.desk);
    }
}
