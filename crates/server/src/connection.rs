//! One client's socket with its input, its pending replies, and what it waits for.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::time::UnixMillis;
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use resp::{Parser, Proto, Reply};

use crate::client::Client;
use crate::clients::Card;
use crate::input::Input;
use crate::settings::Settings;
use crate::stats::{WorkerStats, bump};
use engine::tx::Walk;

/// Pieces of a reply given to one `writev`.
const IO_SLICES: usize = 64;

/// A connected socket.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
}

/// A new connection on its way to its worker.
pub struct Accepted {
    /// The socket.
    pub stream: Stream,
    /// Its entry in the register.
    pub card: Arc<Card>,
}

impl Read for &mut Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Stream {
    /// Registers for both directions, edge-triggered: nothing is re-registered later.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => stream.register(registry, token, interest),
            Stream::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Unix(stream) => stream.write_vectored(slices),
        }
    }
}

/// What a connection does besides reading commands.
pub enum Waiting {
    /// Nothing: commands are run as they come.
    No,
    /// A long command is under way; the next ones wait.
    Walk(Box<dyn Walk>),
    /// CLIENT PAUSE holds its next command back.
    Pause,
}

/// See the module's head.
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// What is known of the client.
    pub client: Client,
    /// Bytes not yet run.
    pub input: Input,
    /// Progress in a command that has not wholly arrived.
    pub parser: Parser,
    /// Bytes of `input` that are parsed into the current batch.
    pub parsed: usize,
    /// Bytes that the command under way still needs.
    pub missing: usize,
    /// Replies not yet written.
    pub out: Reply,
    /// What holds its commands back.
    pub waiting: Waiting,
    /// The last read filled its buffer: there may be more, and no event will say so.
    pub readable: bool,
    /// The peer has closed its side.
    pub ended: bool,
    /// It is in the worker's list of connections to serve in this round.
    pub queued: bool,
    /// It has unwritten replies or news for its card.
    pub dirty: bool,
}

impl Connection {
    /// A connection that has just been handed to its worker.
    pub fn new(stream: Stream, client: Client) -> Connection {
        Connection {
            stream,
            client,
            input: Input::default(),
            parser: Parser::default(),
            parsed: 0,
            missing: 0,
            out: Reply::new(Proto::Resp2),
            waiting: Waiting::No,
            readable: false,
            ended: false,
            queued: false,
            dirty: false,
        }
    }

    /// Tells others what this round changed.
    pub fn update_card(&self, now: UnixMillis) {
        let card = &self.client.card;
        card.last_active.store(now.0 as u64, Ordering::Relaxed);
        card.db.store(self.client.db.0, Ordering::Relaxed);
        card.resp.store(
            if self.out.proto() == Proto::Resp3 {
                3
            } else {
                2
            },
            Ordering::Relaxed,
        );
        let last = self
            .client
            .last_command
            .map_or(0, |row| u32::from(row.0) + 1);
        card.last_command.store(last, Ordering::Relaxed);
        card.query_bytes
            .store(self.input.unread().len() as u64, Ordering::Relaxed);
        card.reply_bytes
            .store(self.out.len_bytes() as u64, Ordering::Relaxed);
    }

    /// Whether its unread query or its unwritten replies have grown beyond the limits.
    pub fn over_limits(&self, settings: &Settings, stats: &WorkerStats) -> bool {
        let hard = settings.client_output_buffer_limit.normal.hard_bytes;
        let output = hard > 0 && self.out.len_bytes() as u64 > hard;
        let query = self.input.unread().len() as u64 > settings.client_query_buffer_limit_bytes;
        bump(&stats.output_limit_closes, u64::from(output));
        bump(&stats.query_limit_closes, u64::from(query));
        output || query
    }

    /// Forgets what was parsed but not run.
    pub fn rewind(&mut self) {
        self.parsed = 0;
        self.parser = Parser::default();
    }

    /// Writes what can be written now; returns the bytes written.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self) -> io::Result<usize> {
        let mut total = 0;
        while !self.out.is_empty() {
            let result = match self.out.contiguous() {
                Some(bytes) => self.stream.write(bytes),
                None => {
                    let mut slices = [IoSlice::new(&[]); IO_SLICES];
                    let count = self.out.io_slices(&mut slices);
                    self.stream.write_vectored(&slices[..count])
                }
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.out.advance(count);
                    total += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
}
