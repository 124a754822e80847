//! Messages between workers: a queue and a wake-up each.
//!
//! The only way in which one thread makes another do something with a connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;

use mio::{Registry, Token, Waker};
use parking_lot::Mutex;

use crate::clients::Card;
use crate::connection::Accepted;
use crate::pubsub::Publication;

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
    /// A snapshot is on disk, or could not be written.
    Saved(bool),
    /// SHUTDOWN has failed: its clients go on.
    NotEnding,
    /// Say that all that was admitted before is done.
    Barrier(Sender<()>),
    /// More of the journal is on disk: replies that waited for it can leave.
    Durable,
    /// End the event loop.
    Stop,
}

/// Sending end; cheap to clone.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    queue: Mutex<Vec<Message>>,
    waker: Waker,
    /// The worker has left itself something.
    left: AtomicBool,
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
        })))
    }

    /// Puts a message in and wakes the worker, unless older messages have it woken already.
    pub fn send(&self, message: Message) {
        let mut queue = self.0.queue.lock();
        queue.push(message);
        if queue.len() == 1 {
            // A wake-up that fails means a full counter: the worker is being woken already.
            let _ = self.0.waker.wake();
        }
    }

    /// Puts a message in without waking the worker: for the worker itself, which looks into its
    /// mailbox before it sleeps.
    pub fn leave(&self, message: Message) {
        self.0.queue.lock().push(message);
        self.0.left.store(true, Relaxed);
    }

    /// Whether the worker has left itself something since the last `drain`. For that worker only.
    #[inline]
    pub fn has_left(&self) -> bool {
        self.0.left.load(Relaxed)
    }

    /// Takes everything out, oldest first.
    pub fn drain(&self) -> Vec<Message> {
        self.0.left.store(false, Relaxed);
        std::mem::take(&mut *self.0.queue.lock())
    }
}
