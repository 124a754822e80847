//! The socket to a primary while its thread has it: blocking reads with deadlines, which end at
//! once when the order they are for is not in force any more.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use replication::link::Framing;

use crate::config::settings::Primary;

/// Longest wait between two looks whether the order is in force.
const LOOK: Duration = Duration::from_millis(50);
/// The longest line taken from a primary.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// While a snapshot is loaded, the primary gets a sign of life so often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// See the module's head.
pub(super) struct Wire<'w> {
    stream: TcpStream,
    poll: Poll,
    events: Events,
    patience: Duration,
    over: &'w dyn Fn() -> bool,
    /// Bytes that have come and were not asked for yet, from `at` on.
    buffer: Vec<u8>,
    at: usize,
    signed: Instant,
}

impl<'w> Wire<'w> {
    /// Connects to the first of the primary's addresses that accepts.
    pub(super) fn connect(
        primary: &Primary,
        patience: Duration,
        over: &'w dyn Fn() -> bool,
    ) -> io::Result<Wire<'w>> {
        let host = std::str::from_utf8(&primary.host).map_err(io::Error::other)?;
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in (host, primary.port).to_socket_addrs()? {
            match Wire::connect_to(address, patience, over) {
                Ok(wire) => return Ok(wire),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect_to(
        address: SocketAddr,
        patience: Duration,
        over: &'w dyn Fn() -> bool,
    ) -> io::Result<Wire<'w>> {
        let mut stream = TcpStream::connect(address)?;
        let poll = Poll::new()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(0), interest)?;
        let mut wire = Wire {
            stream,
            poll,
            events: Events::with_capacity(4),
            patience,
            over,
            buffer: Vec::new(),
            at: 0,
            signed: Instant::now(),
        };
        let deadline = Instant::now() + patience;
        loop {
            if let Some(error) = wire.stream.take_error()? {
                return Err(error);
            }
            match wire.stream.peer_addr() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::NotConnected => wire.wait(deadline)?,
                Err(error) => return Err(error),
            }
        }
        wire.stream.set_nodelay(true)?;
        Ok(wire)
    }

    /// Waits a little for something to happen.
    fn wait(&mut self, deadline: Instant) -> io::Result<()> {
        if (self.over)() {
            return Err(io::Error::new(ErrorKind::Interrupted, "called off"));
        }
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        match self.poll.poll(&mut self.events, Some(LOOK)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + self.patience;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(deadline)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets the primary know that this side is busy, not dead; best effort.
    pub(super) fn sign_of_life(&mut self) {
        if self.signed.elapsed() >= SIGN_OF_LIFE {
            self.signed = Instant::now();
            // A link that is broken is noticed when the stream begins.
            let _ = self.stream.write(b"\n");
        }
    }

    /// Reads more into the empty buffer.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.resize(READ_BYTES, 0);
        self.at = 0;
        let deadline = Instant::now() + self.patience;
        let result = loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => break Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Err(error) = self.wait(deadline) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.buffer.truncate(*result.as_ref().unwrap_or(&0));
        result.map(drop)
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            if self.at == self.buffer.len() {
                self.fill()?;
            }
            let rest = &self.buffer[self.at..];
            let end = memchr::memchr(b'\n', rest);
            let taken = end.map_or(rest.len(), |end| end + 1);
            line.extend_from_slice(&rest[..taken]);
            self.at += taken;
            if end.is_some() {
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if line.len() > LINE_BYTES_MAX {
                return Err(io::Error::new(ErrorKind::InvalidData, "a line without end"));
            }
        }
    }

    /// The socket, and the bytes that have come and were not asked for.
    pub(super) fn into_parts(mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        self.poll.registry().deregister(&mut self.stream)?;
        let rest = self.buffer.split_off(self.at);
        Ok((self.stream, rest))
    }
}

/// The bytes of a snapshot on a wire, up to its end.
pub(super) struct Snapshot<'s, 'w> {
    wire: &'s mut Wire<'w>,
    framing: Framing,
    /// Bytes that belong to it and came before those in the wire's buffer.
    held: Vec<u8>,
    /// Bytes of the wire's buffer that belong to it, from its `at` on.
    own: usize,
    /// Where the wire's buffer goes on after it, once it has ended.
    rest: Option<usize>,
    /// What is told about bytes that have come.
    heard: &'s mut dyn FnMut(usize),
}

impl<'s, 'w> Snapshot<'s, 'w> {
    pub(super) fn new(
        wire: &'s mut Wire<'w>,
        framing: Framing,
        heard: &'s mut dyn FnMut(usize),
    ) -> Snapshot<'s, 'w> {
        let mut snapshot = Snapshot {
            wire,
            framing,
            held: Vec::new(),
            own: 0,
            rest: None,
            heard,
        };
        if snapshot.wire.at < snapshot.wire.buffer.len() {
            snapshot.look();
        }
        snapshot
    }

    /// Looks at what has just come.
    fn look(&mut self) {
        let bytes = &self.wire.buffer[self.wire.at..];
        (self.heard)(bytes.len());
        let found = self.framing.look(bytes);
        self.held.extend_from_slice(self.framing.mark(found.held));
        self.own = found.own;
        self.rest = found.rest.map(|rest| self.wire.at + rest);
        if self.rest.is_none() && self.own == 0 {
            // What was held back is in the framing's memory.
            self.wire.at = self.wire.buffer.len();
        }
    }
}

impl Read for Snapshot<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.held.is_empty() {
                let count = self.held.len().min(into.len());
                into[..count].copy_from_slice(&self.held[..count]);
                self.held.drain(..count);
                return Ok(count);
            }
            if self.own > 0 {
                let count = self.own.min(into.len());
                let at = self.wire.at;
                into[..count].copy_from_slice(&self.wire.buffer[at..at + count]);
                self.own -= count;
                self.wire.at += count;
                return Ok(count);
            }
            if let Some(rest) = self.rest {
                self.wire.at = rest;
                return Ok(0);
            }
            self.wire.fill()?;
            self.look();
        }
    }
}
