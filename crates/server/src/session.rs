//! What a control command sees: its client, the server, and the engine's doors.

use std::sync::atomic::Ordering::Relaxed;

use engine::args::Args;
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::Lease;
use resp::Reply;

use crate::aftermath;
use crate::client::Client;
use crate::connection::Waiting;
use crate::pubsub::{Desk, Kind};
use crate::server::Server;
use crate::stats::WorkerStats;

/// A control command's handler.
pub type ControlRun = fn(&mut Session<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<(), Failure>;

/// See the module's head.
pub struct Session<'s, 'k> {
    /// What the workers share.
    pub server: &'s Server,
    /// This worker's counters.
    pub stats: &'s WorkerStats,
    /// The client that sent the command.
    pub client: &'s mut Client,
    /// Time, limits, counters of this worker.
    pub env: &'s mut Env,
    /// Covers nothing on entry, or inside a transaction all that may be asked for; may be used and
    /// need not be released.
    pub lease: &'s mut Lease<'k>,
    /// This worker's subscribers.
    pub desk: &'s mut Desk,
    /// Time stamp at which the command before this one ended.
    pub mark: &'s mut u64,
    /// What the client has to wait for after the command under way.
    pub waiting: Option<Waiting>,
}

impl Session<'_, '_> {
    /// Passes on what the command has done, before the lease under which it did is released. Inside
    /// a transaction that is the transaction's business.
    pub fn settle(&mut self) {
        let own = self.client.card.worker;
        if let Some(end) = aftermath::settle(self.server, own, self.env) {
            self.client.wrote = end;
        }
    }

    /// Subscribes the client.
    pub fn subscribe(&mut self, kind: Kind, name: &[u8]) {
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

    /// Ends all subscriptions of the client.
    pub fn unsubscribe_all(&mut self) {
        self.client.leave(&self.server.exchange, self.desk);
    }
}
