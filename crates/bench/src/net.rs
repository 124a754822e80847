//! Connections: where the server is, how to get there, and the handshake before the load.
//!
//! Connecting and the handshake block; afterwards the socket is handed to `mio`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use rustix::net::RecvFlags;

/// Where the server listens.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// A socket file.
    Unix(PathBuf),
}

/// What to say on a fresh connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshake {
    /// User name, if not the default user, and password.
    pub(crate) password: Option<(Option<String>, String)>,
    /// Whether to switch to RESP3.
    pub(crate) resp3: bool,
    /// Logical database.
    pub(crate) database: u32,
    /// A channel to listen to.
    pub(crate) channel: Option<&'static str>,
}

impl Handshake {
    fn commands(&self) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        if let Some((user, password)) = &self.password {
            let words = [Some("AUTH"), user.as_deref(), Some(password)];
            commands.push(words.into_iter().flatten().map(String::from).collect());
        }
        if self.resp3 {
            commands.push(vec!["HELLO".into(), "3".into()]);
        }
        if self.database != 0 {
            commands.push(vec!["SELECT".into(), self.database.to_string()]);
        }
        if let Some(channel) = self.channel {
            commands.push(vec!["SUBSCRIBE".into(), channel.into()]);
        }
        commands
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(out, "{host}:{port}"),
            Self::Unix(path) => write!(out, "{}", path.display()),
        }
    }
}

/// A non-blocking connection of either kind.
pub(crate) enum Stream {
    /// Over TCP, without Nagle's delay.
    Tcp(mio::net::TcpStream),
    /// Over a socket file.
    Unix(mio::net::UnixStream),
}

impl Stream {
    /// Connects, shakes hands, and turns non-blocking. Errors name the address and the step.
    pub(crate) fn open(address: &Address, handshake: &Handshake) -> io::Result<Self> {
        let context = |step: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("{address}: {step}: {error}"))
        };
        let connect = |error| context("cannot connect", error);
        let greet = |error| context("handshake", error);
        match address {
            Address::Tcp(host, port) => {
                let mut stream = TcpStream::connect((host.as_str(), *port)).map_err(connect)?;
                stream.set_nodelay(true).map_err(connect)?;
                shake_hands(&mut stream, handshake).map_err(greet)?;
                stream.set_nonblocking(true).map_err(connect)?;
                Ok(Self::Tcp(mio::net::TcpStream::from_std(stream)))
            }
            Address::Unix(path) => {
                let mut stream = UnixStream::connect(path).map_err(connect)?;
                shake_hands(&mut stream, handshake).map_err(greet)?;
                stream.set_nonblocking(true).map_err(connect)?;
                Ok(Self::Unix(mio::net::UnixStream::from_std(stream)))
            }
        }
    }
}

impl Stream {
    /// Drops up to `room.len()` received bytes without copying them here; `None` where the kernel
    /// cannot. Linux: `MSG_TRUNC` on a TCP socket (tcp(7)). The bytes of `room` stay as they are.
    pub(crate) fn discard(&mut self, room: &mut [u8]) -> Option<io::Result<usize>> {
        match self {
            Self::Tcp(stream) if cfg!(target_os = "linux") => {
                let received = rustix::net::recv(stream, room, RecvFlags::TRUNC);
                Some(received.map(|(_, count)| count).map_err(io::Error::from))
            }
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }
}

/// One command at a time; an error reply ends it. Only the replies of [`Handshake::commands`] are
/// expected.
fn shake_hands<S: Read + Write>(stream: &mut S, handshake: &Handshake) -> io::Result<()> {
    for command in handshake.commands() {
        let mut request = format!("*{}\r\n", command.len());
        for word in &command {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        // A fresh reader each time loses nothing: the server says no more until the next command.
        skip_reply(&mut BufReader::new(&mut *stream))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", command[0])))?;
    }
    Ok(())
}

/// Reads one reply and drops it; its first error becomes ours.
fn skip_reply(reader: &mut impl BufRead) -> io::Result<()> {
    let mut scanner = crate::scan::Scanner::default();
    let mut tally = crate::sink::Tally::default();
    let mut seen: Vec<u8> = Vec::new();
    while tally.replies == 0 {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = available.len();
        seen.extend_from_slice(available);
        reader.consume(count);
        let used = scanner
            .scan(&seen, &mut crate::sink::Count(&mut tally))
            .map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed.0))?;
        seen.drain(..used);
    }
    match tally.first_fault {
        Some(fault) => Err(io::Error::other(fault)),
        None => Ok(()),
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interest),
            Self::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, interest),
            Self::Unix(stream) => stream.reregister(registry, token, interest),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}
