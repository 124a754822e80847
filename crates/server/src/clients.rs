//! The register of connected clients: what CLIENT LIST shows and CLIENT KILL needs of them.
//!
//! A connection belongs to its worker. What others may know of it stands in a [`Card`]: atomics
//! that the owner stores at the end of a batch, and rarely changed texts behind a lock of their
//! own. Orders to a connection (close it) go through its worker's mailbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use base::ids::ClientId;
use base::time::UnixMillis;
use parking_lot::Mutex;

use crate::config::settings::ClientPlace;
use crate::connection::Connection;
use engine::waiters::Waiter;
use engine::watch::Flag;

use crate::mailbox::WorkerId;
use crate::tracking::Seen;

/// Rarely changed texts of a client.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: Vec<u8>,
}

/// What everybody may know of a client.
pub struct Card {
    /// Unique since the server started.
    pub id: ClientId,
    /// The worker that owns the connection.
    pub worker: WorkerId,
    /// `127.0.0.1:5000`, or the path of the unix socket.
    pub peer: String,
    /// The address it connected to.
    pub local: String,
    /// File descriptor.
    pub fd: i32,
    /// Came over a unix socket.
    pub unix: bool,
    /// When it connected.
    pub since: UnixMillis,
    /// Time of its last command, in Unix milliseconds.
    pub last_active: AtomicU64,
    /// Selected database.
    pub db: AtomicU32,
    /// 2 or 3.
    pub resp: AtomicU32,
    /// Row of the last command plus one; 0 = none.
    pub last_command: AtomicU32,
    /// Bytes waiting in the query buffer.
    pub query_bytes: AtomicU64,
    /// Free bytes of the query buffer.
    pub query_free_bytes: AtomicU64,
    /// Bytes of reply not yet written.
    pub reply_bytes: AtomicU64,
    /// Size of the reply buffer.
    pub reply_capacity_bytes: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// Subscriptions to channels, patterns and shard channels.
    pub subscriptions: [AtomicU64; 3],
    /// Commands queued since MULTI; -1 = there was none.
    pub queued: AtomicI64,
    /// Bytes of the queue.
    pub queue_bytes: AtomicU64,
    /// Bytes of the keys that it watches, its channels and its prefixes.
    pub interest_bytes: AtomicU64,
    /// How many keys it watches, and the flag that is raised when one is changed.
    pub watching: Mutex<Option<(usize, Flag)>>,
    /// Its client-side caching.
    pub tracking: Seen,
    /// MONITOR: it is shown all commands.
    pub monitors: AtomicBool,
    /// It is the primary that this server follows.
    pub primary: AtomicBool,
    /// It is a replica.
    pub replica: AtomicBool,
    /// CLIENT NO-EVICT.
    pub no_evict: AtomicBool,
    /// CLIENT NO-TOUCH.
    pub no_touch: AtomicBool,
    /// Waits in a blocking command or a pause.
    pub blocked: AtomicBool,
    /// That wait ends by itself.
    pub timed: AtomicBool,
    /// It waits in WAIT or WAITAOF, and nobody has ended that yet: who takes this away does.
    pub awaits_copies: AtomicBool,
    /// The blocking command it waits in.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
    /// CLIENT CAPA REDIRECT: it can follow a redirection to another primary.
    pub can_redirect: AtomicBool,
    /// Its socket takes no more for now; replies wait.
    pub writing: AtomicBool,
    /// Is to be closed: its worker runs nothing more for it, and nobody is shown it.
    pub killed: AtomicBool,
    /// Where its worker keeps it.
    pub place: AtomicU32,
    /// Name and library.
    pub names: Mutex<Names>,
}

impl Card {
    /// Whether it listens to any channel.
    pub fn is_subscriber(&self) -> bool {
        let count = |seen: &AtomicU64| seen.load(Ordering::Relaxed);
        self.subscriptions.iter().map(count).any(|count| count > 0)
    }

    /// Keys it watches; none any more once one of them was changed, for its EXEC will do nothing.
    pub fn watched_keys(&self) -> usize {
        let watching = self.watching.lock();
        let current = watching.as_ref().filter(|(_, flag)| !flag.is_raised());
        current.map_or(0, |(keys, _)| *keys)
    }

    /// Whether its EXEC will do nothing, because a key that it watched was changed.
    pub fn is_outdated(&self) -> bool {
        let watching = self.watching.lock();
        watching.as_ref().is_some_and(|(_, flag)| flag.is_raised())
    }

    /// Memory that the client takes: its connection, its buffers, and what it has asked to be
    /// remembered. The arguments of a command under way are part of the query buffer.
    pub fn memory_bytes(&self) -> u64 {
        let fixed = (size_of::<Connection>() + size_of::<Card>()) as u64;
        let load = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        let replies = load(&self.reply_capacity_bytes).max(load(&self.reply_bytes));
        let parts = [
            &self.query_bytes,
            &self.query_free_bytes,
            &self.queue_bytes,
            &self.interest_bytes,
        ];
        fixed + replies + parts.map(load).iter().sum::<u64>()
    }

    /// Where the client is, for what only local ones may do.
    pub fn place(&self) -> ClientPlace {
        let loopback = ["127.0.0.1:", "[::1]:"];
        let local = self.unix || loopback.iter().any(|host| self.peer.starts_with(host));
        if local {
            ClientPlace::Local
        } else {
            ClientPlace::Remote
        }
    }
}

/// All connected clients.
#[derive(Default)]
pub struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Card>>>,
    next_id: AtomicU64,
    connected: AtomicU64,
}

impl Clients {
    /// The next client's id; ids start at 1 and only grow.
    pub fn new_id(&self) -> ClientId {
        ClientId(self.next_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Enters a client.
    pub fn add(&self, card: Arc<Card>) {
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.by_id.lock().insert(card.id.0, card);
    }

    /// Strikes a client out.
    pub fn remove(&self, id: ClientId) {
        if self.by_id.lock().remove(&id.0).is_some() {
            self.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Number of connected clients.
    pub fn count(&self) -> u64 {
        self.connected.load(Ordering::Relaxed)
    }

    /// One client.
    pub fn get(&self, id: ClientId) -> Option<Arc<Card>> {
        self.by_id.lock().get(&id.0).cloned()
    }

    /// All clients in the order in which they connected, those about to be closed left out.
    pub fn all(&self) -> Vec<Arc<Card>> {
        let by_id = self.by_id.lock();
        let alive = |card: &&Arc<Card>| !card.killed.load(Ordering::Relaxed);
        by_id.values().filter(alive).cloned().collect()
    }

    /// The clients with these ids, in this order, those about to be closed left out.
    pub fn some(&self, ids: &[u64]) -> Vec<Arc<Card>> {
        let by_id = self.by_id.lock();
        let alive = |card: &&Arc<Card>| !card.killed.load(Ordering::Relaxed);
        let found = ids.iter().filter_map(|id| by_id.get(id));
        found.filter(alive).cloned().collect()
    }

    /// Clients that wait in a blocking command or a pause.
    pub fn blocked(&self) -> u64 {
        let by_id = self.by_id.lock();
        let blocked = by_id
            .values()
            .filter(|card| card.blocked.load(Ordering::Relaxed));
        blocked.count() as u64
    }
}
