//! Messages between workers: a queue and a wake-up each.
//!
//! The only way in which one thread makes another do something with a connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::mpsc::Sender;

use base::ids::ClientId;
#[cfg(not(shuttle))]
use mio::Waker;
use mio::{Registry, Token};

use crate::clients::Card;
use crate::connection::Accepted;
use crate::migrating::Migrated;
use crate::pubsub::Publication;
use crate::replicating::replica::arrival::Arrival;
use crate::tracking::Note;
use crate::waking::{Ending, Unblocked};
use engine::sync::{AtomicBool, Mutex};
use engine::waiters::Waiter;

#[cfg(shuttle)]
mod interleavings;
#[cfg(shuttle)]
use interleavings::Waker;

/// Number of a worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(pub u16);

/// What a worker can be told.
pub enum Message {
    /// Take over a new connection.
    Accept(Accepted),
    /// Close a client's connection.
    Close(Arc<Card>),
    /// Look again at clients that wait for a pause to end.
    Resume,
    /// Give a published message to this worker's subscribers.
    Publish(Arc<Publication>),
    /// Tell those who cache keys what to forget.
    Forget(Vec<Note>),
    /// Tell a client at a place that whom its news were to go to is gone.
    Broken(ClientId, u32),
    /// Close the heaviest connections, if all together take too much memory.
    Relieve,
    /// Show a command to this worker's monitors.
    Monitor(Arc<[u8]>),
    /// A snapshot is on disk, or could not be written.
    Saved(bool),
    /// The target of a client's MIGRATE has answered, or never will.
    Migrated(Box<Migrated>),
    /// SHUTDOWN has failed: its clients go on.
    NotEnding,
    /// Say that all that was admitted before is done.
    Barrier(Sender<()>),
    /// More of the journal is on disk: replies that waited for it can leave.
    Durable,
    /// A client's wait in a blocking command has ended.
    Unblock(Box<Unblocked>),
    /// End a client's wait in WAIT or WAITAOF.
    EndDiskWait(Arc<Card>, Ending),
    /// Try a client's blocking command again: who made its key ready could not.
    Retry(Arc<Waiter>),
    /// This server has become a replica: nobody waits for keys any more.
    Demoted,
    /// Go on with a link to a primary.
    Follow(Box<Arrival>),
    /// Look what there is to send to this worker's replicas.
    Feed,
    /// Scripts or functions were flushed: let go of what this worker has compiled of them.
    LetGo,
    /// End the event loop.
    Stop,
}

impl Message {
    /// Whether `Delivery` gives it to clients.
    fn is_news(&self) -> bool {
        matches!(self, Message::Publish(_) | Message::Forget(_))
    }
}

/// Sending end; cheap to clone.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    queue: Mutex<Vec<Message>>,
    waker: Waker,
    /// The worker has left itself something.
    left: AtomicBool,
    /// Some of that is news (see `drain_news`).
    left_news: AtomicBool,
    /// Something is in the queue.
    filled: AtomicBool,
}

impl Mailbox {
    /// A mailbox whose messages wake the poll that `registry` belongs to with `token`.
    ///
    /// # Errors
    /// The operating system has no event descriptor left.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Mailbox> {
        Ok(Mailbox(Arc::new(Inner {
            queue: Mutex::default(),
            waker: Waker::new(registry, token)?,
            left: AtomicBool::new(false),
            left_news: AtomicBool::new(false),
            filled: AtomicBool::new(false),
        })))
    }

    /// Puts a message in and wakes the worker, unless older messages have it woken already.
    pub fn send(&self, message: Message) {
        let mut queue = self.0.queue.lock();
        queue.push(message);
        self.0.filled.store(true, Release);
        if queue.len() == 1 {
            // A wake-up that fails means a full counter: the worker is being woken already.
            let _ = self.0.waker.wake();
        }
    }

    /// Puts a message in without waking the worker: for the worker itself, which looks into its
    /// mailbox before it sleeps.
    pub fn leave(&self, message: Message) {
        if message.is_news() {
            self.0.left_news.store(true, Relaxed);
        }
        let mut queue = self.0.queue.lock();
        queue.push(message);
        self.0.filled.store(true, Release);
        self.0.left.store(true, Relaxed);
    }

    /// Makes the worker look after the command under way and before it sleeps. For that worker
    /// only.
    pub fn remind(&self) {
        self.0.left.store(true, Relaxed);
        self.0.left_news.store(true, Relaxed);
    }

    /// Whether the worker has left itself something since the last `drain`. For that worker only.
    #[inline]
    pub fn has_left(&self) -> bool {
        self.0.left.load(Relaxed)
    }

    /// Whether there may be news among that. For that worker only.
    #[inline]
    pub fn has_left_news(&self) -> bool {
        self.0.left_news.load(Relaxed)
    }

    /// Whether there is anything to take out.
    #[inline]
    pub fn is_filled(&self) -> bool {
        self.0.filled.load(Acquire)
    }

    /// Takes out what `Delivery` gives to clients, oldest first: published messages, and news of
    /// changed keys. For the worker itself, between two rounds' `drain`, as below.
    pub fn drain_news(&self) -> Vec<Message> {
        let mut queue = self.0.queue.lock();
        let (news, others): (Vec<_>, Vec<_>) = queue.drain(..).partition(Message::is_news);
        self.0.left_news.store(false, Relaxed);
        self.0.left.store(!others.is_empty(), Relaxed);
        self.0.filled.store(!others.is_empty(), Relaxed);
        *queue = others;
        news
    }

    /// Takes the published messages out, oldest first. For the worker itself, between two rounds'
    /// `drain`: what is left has come without waking it, perhaps.
    pub fn drain_publications(&self) -> Vec<Arc<Publication>> {
        let mut queue = self.0.queue.lock();
        let mut publications = Vec::new();
        let others = queue.drain(..).filter_map(|message| match message {
            Message::Publish(publication) => {
                publications.push(publication);
                None
            }
            other => Some(other),
        });
        let others: Vec<Message> = others.collect();
        self.0.left.store(!others.is_empty(), Relaxed);
        self.0.filled.store(!others.is_empty(), Relaxed);
        *queue = others;
        publications
    }

    /// Takes the new connections out, oldest first. For the worker itself.
    pub fn drain_accepted(&self) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        let mut queue = self.0.queue.lock();
        for message in std::mem::take(&mut *queue) {
            match message {
                Message::Accept(connection) => accepted.push(connection),
                other => queue.push(other),
            }
        }
        accepted
    }

    /// Whether the worker is told to stop, and has not read it yet.
    pub fn says_stop(&self) -> bool {
        let queue = self.0.queue.lock();
        queue.iter().any(|message| matches!(message, Message::Stop))
    }

    /// Takes everything out, oldest first. `emptied` is what was taken out before and dealt with:
    /// its room is used again.
    pub fn drain(&self, emptied: Vec<Message>) -> Vec<Message> {
        debug_assert!(emptied.is_empty(), "what was taken out is dealt with");
        self.0.left.store(false, Relaxed);
        self.0.left_news.store(false, Relaxed);
        let mut queue = self.0.queue.lock();
        self.0.filled.store(false, Relaxed);
        std::mem::replace(&mut *queue, emptied)
    }
}
