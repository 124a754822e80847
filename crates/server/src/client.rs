//! What a connection knows about its client between commands.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base::ids::DbIndex;
use base::time::UnixMillis;
use engine::track::Reader;
use journal::Offset;
use replication::quorum::Demand;
use resp::{Proto, Reply};

use crate::clients::Card;
use crate::input::QueryUse;
use crate::login::DEFAULT_USER;
use crate::pubsub::{Desk, Exchange, Kind, Subscriptions};
use crate::registry::RowId;
use crate::replicating::primary::{Attached, Introduction};
use crate::replicating::replica::apply::Upstream;
use crate::server::Server;
use crate::settings::Settings;
use crate::tracking::Caching;
use crate::transaction::{Transaction, Watched};

/// Which replies are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    On,
    /// None.
    Off,
    /// Not the next one: SKIP itself is being answered.
    SkipNext,
    /// Not this one.
    Skip,
}

/// What becomes of the connection after the current command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Open,
    /// It is closed once its replies are written.
    CloseAfterReply,
    /// It is closed at once.
    CloseNow,
}

/// See the module's head.
pub struct Client {
    /// What others may know of it.
    pub card: Arc<Card>,
    /// Selected database.
    pub db: DbIndex,
    /// Has logged in, or needed not when it connected; ask [`Client::may_speak`].
    pub authenticated: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// What the command under way answers whatever `reply_mode` is: confirmations of subscriptions.
    pub unmuted: Vec<u8>,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// The command under way, or the last one; `None` also when that does not exist.
    pub last_command: Option<RowId>,
    /// Commands run.
    pub commands: u64,
    /// Its query buffer when it was last read into.
    pub query: QueryUse,
    /// What it has queued since MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// What it watches.
    pub watched: Option<Box<Watched>>,
    /// Its client-side caching.
    pub caching: Option<Box<Caching>>,
    /// MONITOR: it is shown all commands.
    pub monitors: bool,
    /// It is the primary that this server follows.
    pub upstream: Option<Box<Upstream>>,
    /// What it listens to.
    pub subscriptions: Subscriptions,
    /// What it has said of itself as a replica.
    pub introduction: Option<Box<Introduction>>,
    /// It is a replica.
    pub attached: Option<Box<Attached>>,
    /// The journal's offset after its last write.
    pub wrote: Offset,
    /// What its writes need, if it has said so (CLIENT QUORUM).
    pub quorum: Option<Demand>,
    /// What becomes of the connection.
    pub fate: Fate,
}

impl Client {
    /// A client that has just connected.
    pub fn new(card: Arc<Card>, authenticated: bool) -> Client {
        Client {
            card,
            db: DbIndex::default(),
            authenticated,
            reply_mode: ReplyMode::On,
            unmuted: Vec::new(),
            no_touch: false,
            last_command: None,
            commands: 0,
            query: QueryUse::default(),
            introduction: None,
            attached: None,
            wrote: Offset::default(),
            quorum: None,
            transaction: None,
            watched: None,
            caching: None,
            monitors: false,
            upstream: None,
            subscriptions: Subscriptions::default(),
            fate: Fate::Open,
        }
    }

    /// From now on it is the primary that this server follows.
    pub fn become_upstream(&mut self, upstream: Upstream, db: DbIndex) {
        self.upstream = Some(Box::new(upstream));
        self.db = db;
        self.authenticated = true;
        self.reply_mode = ReplyMode::Off;
    }

    /// Whether it need not log in (any more). A password taken away lets everybody in.
    #[inline]
    pub fn may_speak(&self, settings: &Settings) -> bool {
        self.authenticated || settings.requirepass.is_none()
    }

    /// The user that it acts as: there is only one, and who need not log in is that one, too.
    #[inline]
    pub fn user(&self) -> &'static str {
        DEFAULT_USER
    }

    /// Under what name the reads of the next command are remembered, if they are.
    #[inline]
    pub fn reader(&self) -> Option<Reader> {
        self.caching.as_deref().and_then(Caching::reader)
    }

    /// What the replies to its writes wait for, besides the disk here.
    #[inline]
    pub fn demand(&self, settings: &Settings) -> Option<Demand> {
        let demand = match self.quorum {
            Some(demand) => demand,
            None => settings.primary.quorum_of(self.user()),
        };
        (demand.replicas > 0).then_some(demand)
    }

    /// Bytes of arguments that wait for EXEC.
    #[inline]
    pub fn queued_bytes(&self) -> u64 {
        let transaction = self.transaction.as_deref();
        transaction.map_or(0, Transaction::argument_bytes) as u64
    }

    /// Ends all its subscriptions.
    pub fn leave(&mut self, exchange: &Exchange, desk: &mut Desk) {
        if self.subscriptions.any() {
            let place = self.card.place.load(Relaxed);
            desk.leave(exchange, self.card.worker, place, &mut self.subscriptions);
        }
    }

    /// Ends its client-side caching and its monitoring.
    pub fn stop_observing(&mut self, server: &Server, desk: &mut Desk) {
        server.tracking.stop(self);
        if self.monitors {
            let place = self.card.place.load(Relaxed);
            self.monitors = false;
            self.card.monitors.store(false, Relaxed);
            desk.monitors.retain(|&known| known != place);
            server.monitors.remove(self.card.worker);
        }
    }

    /// Forgets all that the client has asked for, but not which library it is.
    pub fn reset(&mut self, settings: &Settings) {
        self.db = DbIndex::default();
        self.authenticated = settings.requirepass.is_none();
        // Compat: a RESET that was to be skipped is.
        if self.reply_mode != ReplyMode::Skip {
            self.reply_mode = ReplyMode::On;
        }
        self.no_touch = false;
        self.quorum = None;
        self.card.no_touch.store(false, Relaxed);
        self.card.no_evict.store(false, Relaxed);
        self.card.names.lock().name.clear();
    }

    /// Bytes of what it has asked to be remembered.
    fn interest_bytes(&self) -> usize {
        let watched = self.watched.as_deref().map_or(0, Watched::bytes);
        let caching = self.caching.as_deref().map_or(0, Caching::bytes);
        watched + caching + self.subscriptions.bytes()
    }

    /// Tells others how it stands: at the end of a round, and before it looks at itself.
    pub fn publish(&self, out: &Reply, now: UnixMillis) {
        self.publish_buffers(out);
        let card = &self.card;
        card.last_active.store(now.0 as u64, Relaxed);
        card.db.store(self.db.0, Relaxed);
        let resp = match out.proto() {
            Proto::Resp2 => 2,
            Proto::Resp3 => 3,
        };
        card.resp.store(resp, Relaxed);
        let row = self.last_command.map_or(0, |row| u32::from(row.0) + 1);
        card.last_command.store(row, Relaxed);
        card.commands.store(self.commands, Relaxed);
        let kinds = [Kind::Channel, Kind::Pattern, Kind::Shard];
        for (seen, kind) in card.subscriptions.iter().zip(kinds) {
            seen.store(self.subscriptions.count(kind) as u64, Relaxed);
        }
        let transaction = self.transaction.as_deref();
        let queued = transaction.map_or(-1, |queued| queued.command_count() as i64);
        card.queued.store(queued, Relaxed);
        card.interest_bytes
            .store(self.interest_bytes() as u64, Relaxed);
        let queue_bytes = transaction.map_or(0, Transaction::bytes);
        card.queue_bytes.store(queue_bytes as u64, Relaxed);
    }

    /// The part about its buffers, which change when replies are written.
    pub fn publish_buffers(&self, out: &Reply) {
        let (card, query) = (&self.card, &self.query);
        let buffers = [
            (&card.query_bytes, query.unread_bytes),
            (&card.query_free_bytes, query.free_bytes),
            (&card.reply_bytes, out.len_bytes()),
            (&card.reply_capacity_bytes, out.capacity_bytes()),
        ];
        for (seen, bytes) in buffers {
            seen.store(bytes as u64, Relaxed);
        }
    }
}
