//! What a client has queued since MULTI, and what it watches.
//!
//! Queued commands are copied into one buffer with the places and hashes of their keys, so that
//! EXEC can lease them all before it runs the first. A transaction lives and dies with its
//! connection.

use engine::args::KeyWord;
use engine::failure::Failure;
use engine::keyspace::{Key, Lease};
use engine::spec::{DataRun, Flags, Group};
use engine::watch::Flag;
use resp::Span;

use base::ids::DbIndex;

use crate::client::Client;
use crate::registry::{Handler, Registry, RowId};

/// One command of a transaction: ranges of the transaction's buffers.
struct Queued {
    row: RowId,
    bytes: std::ops::Range<usize>,
    words: std::ops::Range<usize>,
    keys: std::ops::Range<usize>,
}

/// A queued command, to be run.
pub struct QueuedCommand<'a> {
    /// Its row.
    pub row: RowId,
    /// Its bytes.
    pub buffer: &'a [u8],
    /// Its words, as spans of `buffer`.
    pub words: &'a [Span],
    /// Its keys.
    pub keys: &'a [KeyWord],
}

/// The commands since MULTI.
#[derive(Default)]
pub struct Transaction {
    queue: Vec<Queued>,
    buffer: Vec<u8>,
    words: Vec<Span>,
    keys: Vec<KeyWord>,
    /// A command was refused: EXEC will run none.
    pub broken: bool,
}

impl Transaction {
    /// Appends a command whose words are spans of `buffer`.
    pub fn push(&mut self, row: RowId, buffer: &[u8], words: &[Span], keys: &[KeyWord]) {
        let (bytes, first_word, first_key) = (self.buffer.len(), self.words.len(), self.keys.len());
        for span in words {
            let start = (self.buffer.len() - bytes) as u32;
            let len = span.len;
            self.words.push(Span { start, len });
            self.buffer.extend_from_slice(span.of(buffer));
        }
        self.keys.extend_from_slice(keys);
        self.queue.push(Queued {
            row,
            bytes: bytes..self.buffer.len(),
            words: first_word..self.words.len(),
            keys: first_key..self.keys.len(),
        });
    }

    /// Number of queued commands.
    pub fn command_count(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of arguments: they count against `client-query-buffer-limit`.
    pub fn argument_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes that the transaction takes (`multi-mem`).
    pub fn bytes(&self) -> usize {
        self.buffer.capacity()
            + self.words.capacity() * size_of::<Span>()
            + self.keys.capacity() * size_of::<KeyWord>()
            + self.queue.capacity() * size_of::<Queued>()
    }

    /// The queued commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = QueuedCommand<'_>> {
        self.queue.iter().map(|queued| QueuedCommand {
            row: queued.row,
            buffer: &self.buffer[queued.bytes.clone()],
            words: &self.words[queued.words.clone()],
            keys: &self.keys[queued.keys.clone()],
        })
    }

    /// All flags of the queued commands: EXEC writes, or needs memory, if one of them does.
    pub fn flags(&self, registry: &Registry) -> Flags {
        let flags = self
            .queue
            .iter()
            .map(|queued| registry.row(queued.row).flags);
        flags.fold(Flags::NONE, Flags::or)
    }

    /// Covers the keys of all commands, and `more` hashes: every stripe if a command says so, or
    /// looks at data by itself.
    pub fn cover(&self, registry: &Registry, more: &[u64], lease: &mut Lease<'_>) {
        if self.reaches_everywhere(registry) {
            lease.cover_all();
        } else {
            lease.cover(self.hashes().chain(more.iter().copied()));
        }
    }

    /// The same without `more`, but gives up, covering nothing, if somebody holds one of the
    /// stripes for long. Whether it has them.
    #[must_use]
    pub fn try_cover(&self, registry: &Registry, lease: &mut Lease<'_>) -> bool {
        match self.reaches_everywhere(registry) {
            true => lease.try_cover_all(),
            false => lease.try_cover(self.hashes()),
        }
    }

    fn hashes(&self) -> impl Iterator<Item = u64> + Clone {
        self.keys.iter().map(|key| key.hash)
    }

    fn reaches_everywhere(&self, registry: &Registry) -> bool {
        let everywhere = |queued: &Queued| {
            let row = registry.row(queued.row);
            match row.handler {
                Handler::Data(
                    DataRun::Read(_)
                    | DataRun::Write(_)
                    | DataRun::Block(_)
                    | DataRun::BlockRead(_),
                ) => false,
                Handler::Data(_) => true,
                // CLIENT UNBLOCK leases the keys that its client waits for.
                Handler::Control(_) => {
                    row.spec.group != Group::Connection || row.name == "client|unblock"
                }
                Handler::Container => false,
            }
        };
        self.queue.iter().any(everywhere)
    }
}

/// What EXEC answers when a queued command was refused.
pub const BROKEN: Failure =
    Failure::fixed("EXECABORT Transaction discarded because of previous errors.");

/// What EXEC answers when it is refused itself.
pub fn aborted(reason: &Failure) -> Failure {
    let reason = reason.text();
    if reason.starts_with(b"REDIRECT ") {
        // The client is to understand it.
        return Failure::owned(reason);
    }
    let reason = reason.strip_prefix(b"ERR ").unwrap_or(reason);
    Failure::owned([b"EXECABORT Transaction discarded because of: ", reason].concat())
}

/// What a client watches since its last EXEC, DISCARD or UNWATCH.
#[derive(Default)]
pub struct Watched {
    /// Raised when one of the keys is changed.
    pub flag: Flag,
    keys: Vec<WatchedKey>,
    key_bytes: usize,
}

struct WatchedKey {
    db: DbIndex,
    hash: u64,
    bytes: Box<[u8]>,
}

impl WatchedKey {
    fn key(&self) -> Key<'_> {
        Key {
            bytes: &self.bytes,
            hash: self.hash,
        }
    }
}

impl Watched {
    /// Number of keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The keys, with their databases.
    pub fn keys(&self) -> impl Iterator<Item = (DbIndex, Key<'_>)> {
        self.keys.iter().map(|watched| (watched.db, watched.key()))
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<WatchedKey>() + self.key_bytes
    }

    /// Starts to watch a key. Leaves its stripe leased.
    pub fn watch(&mut self, db: DbIndex, key: Key<'_>, lease: &mut Lease<'_>) {
        let stripe = lease.keyspace().stripe_of(key.hash);
        let watchers = lease.only(stripe).watchers_mut();
        if !watchers.watch(db, key, &self.flag) {
            return;
        }
        self.key_bytes += key.bytes.len();
        self.keys.push(WatchedKey {
            db,
            hash: key.hash,
            bytes: key.bytes.into(),
        });
    }
}

/// Forgets what the client watches.
pub fn unwatch(client: &mut Client, lease: &mut Lease<'_>) {
    let Some(watched) = client.watched.take() else {
        return;
    };
    *client.card.watching.lock() = None;
    for (db, key) in watched.keys() {
        let stripe = lease.keyspace().stripe_of(key.hash);
        lease
            .only(stripe)
            .watchers_mut()
            .unwatch(db, key, &watched.flag);
    }
    lease.release();
}

/// Forgets what the client has queued and what it watches.
pub fn discard(client: &mut Client, lease: &mut Lease<'_>) {
    client.transaction = None;
    unwatch(client, lease);
}
