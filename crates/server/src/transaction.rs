//! What a client has queued since MULTI, and what it watches.
//!
//! Queued commands are copied into one buffer with the places and hashes of their keys, so that
//! EXEC can lease them all before it runs the first. What follows from their rows is worked out as
//! they come. A transaction lives and dies with its connection; the buffers of the last one that
//! was over are the next one's ([`Spare`]), so that a transaction usually allocates nothing.

use engine::args::{Args, KeyWord};
use engine::failure::Failure;
use engine::keyspace::{Key, Lease};
use engine::spec::{DataRun, Flags, Group};
use engine::watch::Flag;
use resp::Span;

use base::ids::DbIndex;

use crate::client::Client;
use crate::registry::{Handler, Row, RowId};

/// One command of a transaction: where its parts end in the transaction's buffers. They begin where
/// those of the command before it end.
struct Queued {
    row: RowId,
    bytes_end: usize,
    words_end: usize,
    keys_end: usize,
    member: Option<KeyWord>,
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
    /// The word that is looked up inside its key's collection.
    pub member: Option<KeyWord>,
}

/// The commands since MULTI.
#[derive(Default)]
pub struct Transaction {
    queue: Vec<Queued>,
    /// The commands as they were sent, each up to its last word.
    buffer: Vec<u8>,
    words: Vec<Span>,
    keys: Vec<KeyWord>,
    /// Bytes of the words.
    argument_bytes: usize,
    flags: Flags,
    /// A command needs every stripe, or looks at data by itself.
    reaches_everywhere: bool,
    /// A command was refused: EXEC will run none.
    pub broken: bool,
}

impl Transaction {
    /// Appends a command.
    pub fn push(&mut self, id: RowId, row: &Row, args: &Args<'_>) {
        let (buffer, words) = args.parts();
        let end = words.last().map_or(0, |last| last.start + last.len);
        // In one piece, what is between the words included, so that their spans hold as they are.
        self.buffer.extend_from_slice(&buffer[..end as usize]);
        self.words.extend_from_slice(words);
        self.keys.extend_from_slice(args.keys());
        self.argument_bytes += words.iter().map(|word| word.len as usize).sum::<usize>();
        self.flags = self.flags.or(row.flags);
        self.reaches_everywhere |= reaches_everywhere(row);
        self.queue.push(Queued {
            row: id,
            bytes_end: self.buffer.len(),
            words_end: self.words.len(),
            keys_end: self.keys.len(),
            member: args.known_member(),
        });
    }

    /// Number of queued commands.
    pub fn command_count(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of arguments: they count against `client-query-buffer-limit`.
    pub fn argument_bytes(&self) -> usize {
        self.argument_bytes
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
        let (mut byte, mut word, mut key) = (0, 0, 0);
        self.queue.iter().map(move |queued| {
            let bytes = std::mem::replace(&mut byte, queued.bytes_end)..queued.bytes_end;
            let words = std::mem::replace(&mut word, queued.words_end)..queued.words_end;
            let keys = std::mem::replace(&mut key, queued.keys_end)..queued.keys_end;
            QueuedCommand {
                row: queued.row,
                buffer: &self.buffer[bytes],
                words: &self.words[words],
                keys: &self.keys[keys],
                member: queued.member,
            }
        })
    }

    /// All flags of the queued commands: EXEC writes, or needs memory, if one of them does.
    #[inline]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Covers the keys of all commands, and `more` hashes: every stripe if a command says so, or
    /// looks at data by itself. Nothing, if there are none.
    pub fn cover(&self, more: &[u64], lease: &mut Lease<'_>) {
        if self.reaches_everywhere {
            lease.cover_all();
        } else if self.keys.is_empty() && more.is_empty() {
            lease.release();
        } else {
            lease.cover(self.hashes().chain(more.iter().copied()));
        }
    }

    /// The same without `more`, but gives up, covering nothing, if somebody holds one of the
    /// stripes for long. Whether it has them.
    #[must_use]
    pub fn try_cover(&self, lease: &mut Lease<'_>) -> bool {
        match self.reaches_everywhere {
            true => lease.try_cover_all(),
            false => lease.try_cover(self.hashes()),
        }
    }

    fn hashes(&self) -> impl Iterator<Item = u64> + Clone {
        self.keys.iter().map(|key| key.hash)
    }

    /// Forgets everything but its room.
    fn clear(&mut self) {
        self.queue.clear();
        self.buffer.clear();
        self.words.clear();
        self.keys.clear();
        self.argument_bytes = 0;
        self.flags = Flags::NONE;
        self.reaches_everywhere = false;
        self.broken = false;
    }
}

/// Whether a queued command needs every stripe, or looks at data by itself.
#[inline]
fn reaches_everywhere(row: &Row) -> bool {
    match row.handler {
        Handler::Data(
            DataRun::Read(_) | DataRun::Write(_) | DataRun::Block(_) | DataRun::BlockRead(_),
        )
        | Handler::Container => false,
        Handler::Data(_) => true,
        // CLIENT UNBLOCK leases the keys that its client waits for.
        Handler::Control(_) => row.spec.group != Group::Connection || row.name == "client|unblock",
    }
}

/// The room of a transaction that is over, for the next one of the same worker.
#[derive(Default)]
pub struct Spare(Option<Box<Transaction>>);

/// Bytes of a transaction whose room is kept.
const SPARE_BYTES_MAX: usize = 16 * 1024;

impl Spare {
    /// An empty transaction.
    #[inline]
    pub fn take(&mut self) -> Box<Transaction> {
        self.0.take().unwrap_or_default()
    }

    /// Keeps the room of a transaction that is over.
    #[inline]
    pub fn keep(&mut self, mut over: Box<Transaction>) {
        if self.0.is_none() && over.bytes() <= SPARE_BYTES_MAX {
            over.clear();
            self.0 = Some(over);
        }
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
