//! One client's socket with its input, its pending replies, and what it waits for.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::ids::ClientId;
use base::time::UnixMillis;
use mio::event::{Event, Source};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use resp::{Parser, Proto, Reply};
use rustix::net::{RecvFlags, SendFlags};

use crate::client::{Client, Fate};
use crate::client_memory::Weight;
use crate::clients::Card;
use crate::held::{DiskWish, Held};
use crate::input::Input;
use crate::limits::{self, SoftLimit};
use crate::mailbox::WorkerId;
use crate::server::Server;
use crate::settings::Settings;
use crate::stats::{WorkerStats, bump};
use crate::waking::Blocked;
use engine::failure::Failure;
use engine::tx::Walk;
use journal::Journal;
use journal::journal::Pieces;
use replication::feed::Phase;

/// Pieces of a reply given to one `writev`.
const IO_SLICES: usize = 64;

/// Bytes written to one client before it is others' turn. A value of 1 MiB given to the kernel in
/// one piece costs a third more than in two: its first half has left the cache when the reader
/// comes.
const FLUSH_BYTES_MAX: usize = 512 * 1024;

/// A connected socket.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
    /// None: see [`Connection::stand_in`].
    Absent,
}

/// A new connection on its way to its worker.
pub struct Accepted {
    /// The socket.
    pub stream: Stream,
    /// Its entry in the register.
    pub card: Arc<Card>,
}

// Straight to the kernel: in a program of several threads libc's calls are points at which these
// can be cancelled, and preparing for that costs two or three per cent of such a call.

fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}

impl Read for &mut Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => receive(stream, buffer),
            Stream::Unix(stream) => receive(stream, buffer),
            Stream::Absent => Err(io::ErrorKind::NotConnected.into()),
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
            Stream::Absent => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// A second handle of the socket.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        let fd = match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Absent => return None,
        };
        fd.try_clone_to_owned().ok()
    }

    /// Small pieces wait for more (`repl-disable-tcp-nodelay`).
    pub fn delay(&self) {
        if let Stream::Tcp(stream) = self {
            // It works as well without.
            let _ = stream.set_nodelay(false);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => send(stream, bytes),
            Stream::Unix(stream) => send(stream, bytes),
            Stream::Absent => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Unix(stream) => stream.write_vectored(slices),
            Stream::Absent => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// What a connection does besides reading commands.
pub enum Waiting {
    /// Nothing: commands are run as they come.
    No,
    /// A long command is under way; the next ones wait. Its reply is thrown away if `muted`.
    Walk {
        /// The rest of the command.
        walk: Box<dyn Walk>,
        /// CLIENT REPLY was OFF or SKIP when it began.
        muted: bool,
        /// Messages that follow its reply.
        held: Reply,
    },
    /// CLIENT PAUSE holds its next command back.
    Pause,
    /// SAVE: the snapshot is being written. Its reply is thrown away if `muted`.
    Save {
        /// CLIENT REPLY was OFF or SKIP when it began.
        muted: bool,
    },
    /// MIGRATE: keys are on their way. Its reply is thrown away if `muted`.
    Migrate {
        /// CLIENT REPLY was OFF or SKIP when it began.
        muted: bool,
    },
    /// WAIT, WAITAOF.
    Disk(DiskWish),
    /// SHUTDOWN: the process ends, or the reply says why not.
    Shutdown,
    /// A blocking command waits for its keys; the next ones wait.
    Blocked(Blocked),
}

impl Waiting {
    /// Where news that are no reply are written: behind a long one under way, else to `out`.
    pub fn news_to<'c>(&'c mut self, out: &'c mut Reply) -> &'c mut Reply {
        match self {
            Waiting::Walk { held, .. } => held,
            _ => out,
        }
    }
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
    /// Which of them have to wait for the disk.
    pub held: Held,
    /// What holds its commands back.
    pub waiting: Waiting,
    /// Its part of what `maxmemory-clients` limits.
    pub weight: Weight,
    /// Since when its replies have been above the soft limit.
    pub soft_limit: SoftLimit,
    /// The last read filled its buffer: there may be more, and no event will say so.
    pub readable: bool,
    /// The last flush stopped for other clients' sake, not because the socket was full.
    pub unfinished: bool,
    /// The peer has closed its side, but there may be bytes before that end.
    pub hung_up: bool,
    /// All that the peer will ever send is read.
    pub ended: bool,
    /// It is in the worker's list of connections to serve in this round.
    pub queued: bool,
    /// It is in the worker's list of connections to write messages to.
    pub told: bool,
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
            held: Held::default(),
            waiting: Waiting::No,
            weight: Weight::default(),
            soft_limit: SoftLimit::default(),
            readable: false,
            unfinished: false,
            hung_up: false,
            ended: false,
            queued: false,
            told: false,
            dirty: false,
        }
    }

    /// What keeps the place of a connection whose script is running.
    pub fn stand_in() -> Connection {
        let name = String::new;
        let nobody = Card::new(
            ClientId(0),
            WorkerId(0),
            name(),
            name(),
            0,
            false,
            UnixMillis(0),
        );
        Connection::new(Stream::Absent, Client::new(Arc::new(nobody), false))
    }

    /// Whether it only keeps another's place.
    pub fn is_stand_in(&self) -> bool {
        matches!(self.stream, Stream::Absent)
    }

    /// Takes its place back, and what was left there for it.
    pub fn relieve(&mut self, stand_in: &mut Connection) {
        std::mem::swap(self, stand_in);
        let (own, other) = (self, stand_in);
        own.readable |= std::mem::take(&mut other.readable);
        own.hung_up |= std::mem::take(&mut other.hung_up);
        own.dirty |= std::mem::take(&mut other.dirty);
        own.queued |= std::mem::take(&mut other.queued);
        own.told |= std::mem::take(&mut other.told);
        if !other.out.is_empty() {
            own.out.append(&mut other.out);
        }
    }

    /// Takes over what the poll has announced.
    pub fn note(&mut self, event: &Event) {
        self.hung_up |= event.is_read_closed();
        self.readable |= event.is_readable() || self.hung_up;
        let owed = !self.out.is_empty() || self.client.attached.is_some();
        self.dirty |= event.is_writable() && owed;
    }

    /// Reads what has come, as far as it fits.
    pub fn read(
        &mut self,
        spare: &mut Vec<Vec<u8>>,
        server: &Server,
        stats: &WorkerStats,
        settings: &Settings,
        now: UnixMillis,
    ) {
        if self.client.card.killed.load(Ordering::Relaxed) {
            self.client.fate = Fate::CloseNow;
            return;
        }
        if !self.readable || !matches!(self.waiting, Waiting::No) || self.is_stalled() {
            return;
        }
        self.input.wake(spare);
        match self.input.fill(&mut &mut self.stream, self.missing) {
            Ok((0, _)) => self.ended = true,
            Ok((count, filled)) => {
                // The end that hanging up is comes without an event of its own.
                self.readable = filled || self.hung_up;
                self.client.query = self.input.usage();
                bump(&stats.bytes_in, count as u64);
                bump(&stats.reads, 1);
                bump(&self.client.card.bytes_in, count as u64);
                self.dirty = true;
                if let Some(excess) = limits::query_excess(self, settings) {
                    limits::report(excess, self, server, stats, now);
                    self.client.fate = Fate::CloseNow;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.client.fate = Fate::CloseNow,
        }
    }

    /// Whether the commands of the primary wait for a script.
    pub fn is_stalled(&self) -> bool {
        let upstream = self.client.upstream.as_deref();
        upstream.is_some_and(|upstream| upstream.stalled)
    }

    /// Enters it in the list of those to serve, if it is not there.
    pub fn enqueue(&mut self, id: usize, ready: &mut Vec<usize>) {
        if !self.queued {
            self.queued = true;
            ready.push(id);
        }
    }

    /// Its next command waits until the pause is over.
    pub fn postpone(&mut self) {
        self.waiting = Waiting::Pause;
        self.client.card.timed.store(false, Ordering::Relaxed);
        self.client.card.blocked.store(true, Ordering::Relaxed);
        self.rewind();
    }

    /// The pause is over; whether it waited for that.
    pub fn resume(&mut self) -> bool {
        let waited = matches!(self.waiting, Waiting::Pause);
        if waited {
            self.waiting = Waiting::No;
            self.client.card.blocked.store(false, Ordering::Relaxed);
        }
        waited
    }

    /// Whether its peer hung up while a pause or a blocking command held its commands back: they
    /// will not be run.
    pub fn is_abandoned(&self) -> bool {
        self.hung_up && matches!(self.waiting, Waiting::Pause | Waiting::Blocked(_))
    }

    /// SAVE is over, well or not; whether it waited for that.
    pub fn end_save(&mut self, ok: bool) -> bool {
        let Waiting::Save { muted } = self.waiting else {
            return false;
        };
        self.go_on(muted, |out| match ok {
            true => out.ok(),
            // Compat: no more than this; the log says what happened.
            false => out.error(b"ERR"),
        });
        true
    }

    /// MIGRATE is over, well or not; whether it waited for that.
    pub fn end_migrate(&mut self, result: &Result<(), Failure>) -> bool {
        let Waiting::Migrate { muted } = self.waiting else {
            return false;
        };
        self.go_on(muted, |out| match result {
            Ok(()) => out.ok(),
            Err(failure) => out.error(failure.text()),
        });
        true
    }

    /// Lets the replies that are new wait for the disk, if they have to; whether its worker has to
    /// look after what is held back, and does not yet.
    #[inline]
    pub fn hold_back(&mut self, journal: &Journal) -> bool {
        if let Some(seen) = journal.to_wait_for() {
            let unsent = self.out.len_bytes();
            self.held.hold(unsent, seen, self.client.wrote);
            self.held.release(journal);
        }
        !self.held.is_empty() && self.list()
    }

    /// Enters it among those that its worker looks after; whether it was not there.
    pub fn list(&mut self) -> bool {
        !std::mem::replace(&mut self.held.listed, true)
    }

    /// Answers WAIT or WAITAOF if it has waited long enough; whether it goes on waiting.
    pub fn await_disk(&mut self, server: &Server, now: UnixMillis) -> bool {
        let Waiting::Disk(wish) = self.waiting else {
            return false;
        };
        let trouble = wish.trouble(server);
        let due = wish.until.is_some_and(|until| until <= now);
        let over = trouble.is_some() || due || wish.is_met(server);
        // If CLIENT UNBLOCK was faster, the order to end is in the mail.
        let ends = over && self.client.card.awaits_copies.swap(false, Ordering::AcqRel);
        if ends {
            self.end_disk_wait(server, trouble.as_ref());
        }
        !ends
    }

    /// Answers WAIT or WAITAOF how far it has come, or with what ended it; whether it waited.
    pub fn end_disk_wait(&mut self, server: &Server, failure: Option<&Failure>) -> bool {
        let Waiting::Disk(wish) = self.waiting else {
            return false;
        };
        self.client.card.blocked.store(false, Ordering::Relaxed);
        self.go_on(wish.muted, |out| match failure {
            None => wish.reply(server, out),
            Some(failure) => out.error(failure.text()),
        });
        true
    }

    /// The process does not end after all; whether it waited for that.
    pub fn end_shutdown(&mut self) -> bool {
        let waited = matches!(self.waiting, Waiting::Shutdown);
        if waited {
            self.go_on(false, |out| {
                out.error(b"ERR Errors trying to SHUTDOWN. Check logs.");
            });
        }
        waited
    }

    /// What it waited for is over, and this the reply.
    fn go_on(&mut self, muted: bool, reply: impl FnOnce(&mut Reply)) {
        if !muted {
            reply(&mut self.out);
        }
        self.waiting = Waiting::No;
        self.dirty = true;
        self.readable = true;
    }

    /// Forgets what was parsed but not run.
    pub fn rewind(&mut self) {
        self.parsed = 0;
        self.parser = Parser::default();
    }

    /// Writes what can be written now, up to [`FLUSH_BYTES_MAX`]; returns the bytes written. When
    /// it stops there, `unfinished` says so: no event will.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self) -> io::Result<usize> {
        let mut total = 0;
        self.unfinished = false;
        while !self.out.is_empty() {
            let room = FLUSH_BYTES_MAX - total;
            if room == 0 {
                self.unfinished = true;
                break;
            }
            let room = room.min(self.held.room());
            if room == 0 {
                break;
            }
            let result = match self.out.contiguous() {
                Some(bytes) => self.stream.write(&bytes[..bytes.len().min(room)]),
                None => {
                    let mut slices = [IoSlice::new(&[]); IO_SLICES];
                    let count = self.out.io_slices(&mut slices, room);
                    self.stream.write_vectored(&slices[..count])
                }
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.out.advance(count);
                    self.held.note_sent(count);
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

/// What a replica is sent.
impl Connection {
    /// Writes some of the stream: what its socket takes, up to a bound; `unfinished` says that it
    /// may take more. Bytes written; `None` if the connection is of no more use.
    pub fn feed(&mut self, pieces: &mut Pieces) -> Option<usize> {
        let Some(attached) = &mut self.client.attached else {
            return Some(0);
        };
        if attached.standing.feed.lock().phase() != Phase::Online {
            return Some(0);
        }
        if attached.cursor.is_none() {
            attached.cursor = attached.standing.cursor.lock().take();
        }
        let Some(cursor) = &mut attached.cursor else {
            return Some(0);
        };
        if !self.out.is_empty() {
            // A reply in the middle of the stream would be taken for a part of it.
            return (!attached.begun).then_some(0);
        }
        attached.begun = true;
        self.unfinished = false;
        if !cursor.read(pieces) {
            return None;
        }
        let mut total = 0;
        let mut slices: Vec<IoSlice<'_>> = pieces.slices().map(IoSlice::new).collect();
        let mut rest = &mut slices[..];
        // Nothing is left of those that are empty.
        IoSlice::advance_slices(&mut rest, 0);
        let alive = loop {
            if rest.is_empty() || total >= FLUSH_BYTES_MAX {
                self.unfinished = true;
                break true;
            }
            let many = rest.len().min(IO_SLICES);
            match self.stream.write_vectored(&rest[..many]) {
                Ok(0) => break false,
                Ok(count) => {
                    total += count;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        cursor.advance(total);
        pieces.clear();
        alive.then_some(total)
    }

    /// Tells a replica that waits that it is not forgotten.
    pub fn send_newline(&mut self) {
        // A socket that takes not even this is found out elsewhere.
        let _ = self.stream.write(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream as Reader};

    use super::*;

    /// A connection and the client's end of it.
    fn pair() -> io::Result<(Connection, Reader)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let reader = Reader::connect(listener.local_addr()?)?;
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        let name = String::new;
        let card = Card::new(
            ClientId(1),
            WorkerId(0),
            name(),
            name(),
            0,
            false,
            UnixMillis(0),
        );
        let client = Client::new(Arc::new(card), true);
        let stream = Stream::Tcp(TcpStream::from_std(stream));
        Ok((Connection::new(stream, client), reader))
    }

    /// One client's long reply is written in pieces, between which it is others' turn, whether it
    /// lies in one buffer or is a borrowed value; and it arrives whole.
    #[test]
    fn no_flush_writes_more_than_its_bound() -> io::Result<()> {
        let value = Arc::new(vec![b'v'; 5 * FLUSH_BYTES_MAX]);
        for shared in [false, true] {
            let (mut connection, mut reader) = pair()?;
            if shared {
                connection.out.bulk_shared(Arc::clone(&value));
            } else {
                connection.out.bulk(&value);
            }
            let mut left = connection.out.len_bytes();
            let mut buffer = vec![0; FLUSH_BYTES_MAX];
            while left > 0 {
                let written = connection.flush()?;
                assert!(written <= FLUSH_BYTES_MAX, "{written} bytes in one flush");
                assert!(connection.unfinished <= (written == FLUSH_BYTES_MAX));
                left -= written;
                reader.read_exact(&mut buffer[..written])?;
            }
            assert!(connection.out.is_empty());
        }
        Ok(())
    }
}
