//! Listening sockets, and what happens to a connection before a worker owns it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::os::fd::AsRawFd;

use crate::clients::{Card, Names};
use crate::connection::{Accepted, Stream};
use crate::mailbox::{Message, WorkerId};
use crate::server::Server;
use crate::settings::Settings;
use crate::tracking::Seen;

/// A listening socket.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix domain, with its path.
    Unix(UnixListener, String),
}

/// Opens a TCP listener.
///
/// # Errors
/// As the operating system says: the address is taken or is not ours.
pub fn bind_tcp(address: SocketAddr, backlog: i32) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
}

/// Opens a unix listener, replacing a socket file that a dead server has left.
///
/// # Errors
/// As the operating system says.
pub fn bind_unix(path: &Path) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok(Listener::Unix(
        UnixListener::bind(path)?,
        path.display().to_string(),
    ))
}

impl Listener {
    /// Registers for new connections.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Listener::Unix(listener, _) => registry.register(listener, token, Interest::READABLE),
        }
    }

    /// Ends the registration, if there is one.
    pub fn deregister(&mut self, registry: &Registry) {
        // A socket that was not registered is what is wanted.
        let _ = match self {
            Listener::Tcp(listener) => registry.deregister(listener),
            Listener::Unix(listener, _) => registry.deregister(listener),
        };
    }

    /// Accepts everything that waits and hands it to the workers, evenly.
    pub fn accept_all(&self, server: &Server, settings: &Settings) {
        loop {
            let accepted = match self {
                Listener::Tcp(listener) => listener
                    .accept()
                    .map(|(stream, peer)| (Stream::Tcp(stream), peer.to_string())),
                Listener::Unix(listener, path) => listener
                    .accept()
                    .map(|(stream, _)| (Stream::Unix(stream), format!("{path}:0"))),
            };
            match accepted {
                Ok((stream, peer)) => admit(stream, peer, server, settings),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors: the connection stays in the backlog until one is free.
                Err(_) => return,
            }
        }
    }
}

fn admit(mut stream: Stream, peer: String, server: &Server, settings: &Settings) {
    if server.clients.count() >= u64::from(settings.maxclients) {
        server.refused.fetch_add(1, Ordering::Relaxed);
        return refuse(&mut stream, b"-ERR max number of clients reached\r\n");
    }
    if is_stranger(&stream, settings) {
        server.refused.fetch_add(1, Ordering::Relaxed);
        return refuse(&mut stream, PROTECTED);
    }
    let (local, fd, unix) = match &stream {
        Stream::Tcp(stream) => {
            tune(stream, settings);
            let local = stream.local_addr().map(|address| address.to_string());
            (local.unwrap_or_default(), stream.as_raw_fd(), false)
        }
        Stream::Unix(stream) => (peer.clone(), stream.as_raw_fd(), true),
        Stream::Absent => return,
    };
    server.accepted.fetch_add(1, Ordering::Relaxed);
    let worker = server.least_loaded();
    let card = Arc::new(Card::new(
        server.clients.new_id(),
        worker,
        peer,
        local,
        fd,
        unix,
        server.now(),
    ));
    server.clients.add(Arc::clone(&card));
    server.mailboxes[usize::from(worker.0)].send(Message::Accept(Accepted { stream, card }));
}

/// What a client from outside is told by a server that nobody has configured for it.
const PROTECTED: &[u8] =
    b"-DENIED Protected mode is on and there is no password, so only clients on this machine are \
      served. To serve others, set a password (requirepass in the configuration, or CONFIG SET \
      from \
      this machine); in a network that you trust, protected-mode no does without.\r\n";

/// Whether protected mode turns this connection away: it comes from another machine, and nothing
/// keeps strangers out.
fn is_stranger(stream: &Stream, settings: &Settings) -> bool {
    let Stream::Tcp(tcp) = stream else {
        return false;
    };
    let is_local = tcp
        .peer_addr()
        .is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
    settings.protected_mode && settings.requirepass.is_none() && !is_local
}

fn refuse(stream: &mut Stream, text: &[u8]) {
    // The client is being turned away; if it cannot even be told, nothing is lost.
    let _ = match stream {
        Stream::Tcp(stream) => stream.write(text),
        Stream::Unix(stream) => stream.write(text),
        Stream::Absent => return,
    };
}

fn tune(stream: &mio::net::TcpStream, settings: &Settings) {
    let socket = SockRef::from(stream);
    // Best effort: a socket without these options works, only slower to notice a dead peer.
    let _ = socket.set_tcp_nodelay(true);
    if settings.tcp_keepalive_seconds > 0 {
        let idle = Duration::from_secs(u64::from(settings.tcp_keepalive_seconds));
        let interval = Duration::from_secs(u64::from(settings.tcp_keepalive_seconds / 3).max(1));
        let keepalive = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(interval)
            .with_retries(3);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}

impl Card {
    /// The card of a client that connects now.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        id: base::ids::ClientId,
        worker: WorkerId,
        peer: String,
        local: String,
        fd: i32,
        unix: bool,
        now: base::time::UnixMillis,
    ) -> Card {
        Card {
            id,
            worker,
            peer,
            local,
            fd,
            unix,
            since: now,
            last_active: (now.0 as u64).into(),
            db: 0.into(),
            resp: 2.into(),
            last_command: 0.into(),
            query_bytes: 0.into(),
            query_free_bytes: 0.into(),
            reply_bytes: 0.into(),
            reply_capacity_bytes: 0.into(),
            bytes_in: 0.into(),
            bytes_out: 0.into(),
            commands: 0.into(),
            subscriptions: Default::default(),
            queued: (-1).into(),
            queue_bytes: 0.into(),
            watching: parking_lot::Mutex::default(),
            interest_bytes: 0.into(),
            tracking: Seen::default(),
            monitors: false.into(),
            primary: false.into(),
            replica: false.into(),
            no_evict: false.into(),
            no_touch: false.into(),
            blocked: false.into(),
            timed: false.into(),
            awaits_copies: false.into(),
            waiter: parking_lot::Mutex::default(),
            can_redirect: false.into(),
            writing: false.into(),
            killed: false.into(),
            place: 0.into(),
            names: parking_lot::Mutex::new(Names::default()),
        }
    }
}
