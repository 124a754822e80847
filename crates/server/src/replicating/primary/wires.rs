//! The same bytes to several sockets at the pace of the slowest, while that one moves at all.
//!
//! The sockets do not block; who takes nothing for the time of `repl-timeout`, or is gone, is left
//! out from then on.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use parking_lot::Mutex;

use super::Standing;
use crate::saving::file::Destination;
use crate::saving::walk::Control;

/// How often who waits for a socket looks around.
const LOOK_MILLIS: u8 = 100;

/// One replica and its socket.
pub(super) struct Wire {
    /// Whose it is.
    pub(super) standing: Arc<Standing>,
    /// A second handle of its connection's socket.
    pub(super) socket: File,
    /// When it last took something.
    moved: Instant,
    /// How much of the bytes under way it has.
    sent: usize,
    /// Why it is left out.
    lost: Option<&'static str>,
}

impl Wire {
    /// A replica that is to be sent something.
    pub(super) fn new(standing: Arc<Standing>, socket: File) -> Wire {
        Wire {
            standing,
            socket,
            moved: Instant::now(),
            sent: 0,
            lost: None,
        }
    }

    /// Why it is left out, if it is.
    pub(super) fn lost(&self) -> Option<&'static str> {
        self.lost
    }

    /// Writes what the socket takes of `bytes`.
    fn push(&mut self, bytes: &[u8]) {
        while self.sent < bytes.len() {
            match self.socket.write(&bytes[self.sent..]) {
                Ok(0) => return self.lost = Some("the connection is closed"),
                Ok(count) => {
                    self.sent += count;
                    self.moved = Instant::now();
                    let card = &self.standing.card;
                    card.bytes_out.fetch_add(count as u64, Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.lost = Some("the connection is lost"),
            }
        }
    }
}

/// See the module's head.
pub(super) struct Wires {
    /// All of them, those left out too.
    pub(super) all: Vec<Wire>,
    /// How long one may stand still.
    pub(super) patience: Duration,
    /// Says when to give up altogether.
    pub(super) control: Arc<Control>,
}

impl Wires {
    /// Writes all of `bytes` to all who still take part.
    ///
    /// # Errors
    /// Nobody does any more, or it is called off.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for wire in &mut self.all {
            (wire.sent, wire.moved) = (0, Instant::now());
        }
        loop {
            self.leave_out();
            let taking = |wire: &&mut Wire| wire.lost.is_none();
            self.all
                .iter_mut()
                .filter(taking)
                .for_each(|wire| wire.push(bytes));
            if self.control.cancelled.load(Relaxed) {
                return Err(io::Error::other("called off"));
            }
            let mut left = self
                .all
                .iter()
                .filter(|wire| wire.lost.is_none())
                .peekable();
            if left.peek().is_none() {
                return Err(io::Error::other("no replica is left"));
            }
            let slow = left.filter(|wire| wire.sent < bytes.len());
            let mut waits: Vec<PollFd<'_>> = slow
                .map(|wire| PollFd::new(wire.socket.as_fd(), PollFlags::POLLOUT))
                .collect();
            if waits.is_empty() {
                return Ok(());
            }
            // Whatever it says: the next look finds out.
            let _ = poll(&mut waits, PollTimeout::from(LOOK_MILLIS));
        }
    }

    /// Leaves out whoever is closed or stands still.
    fn leave_out(&mut self) {
        for wire in self.all.iter_mut().filter(|wire| wire.lost.is_none()) {
            if wire.standing.card.killed.load(Relaxed) {
                wire.lost = Some("it was disconnected");
            } else if wire.moved.elapsed() > self.patience {
                wire.lost = Some("it takes nothing any more");
            }
        }
    }
}

/// The same for several threads in turn.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<Mutex<Wires>>);

impl Shared {
    /// See [`Wires::write`].
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().write(bytes)
    }
}

impl Destination for Shared {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }

    fn sync(&mut self, _: bool) -> io::Result<()> {
        Ok(())
    }
}
