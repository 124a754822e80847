//! A blocking connection that speaks raw RESP: send words, read one reply. Nothing is hidden or
//! retried.
//!
//! Sits between a test and a [`crate::process::Server`]. Invariant: replies come out in the order
//! of the wire, pushes included; the caller knows what it is waiting for.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use crate::reply::Reply;

/// How long a reply may take before the test is called hung: `RUDDLE_REPLY_SECONDS`, for servers
/// that are slowed down by a sanitizer, else ten seconds.
pub fn reply_timeout() -> Duration {
    static TIMEOUT: OnceLock<Duration> = OnceLock::new();
    *TIMEOUT.get_or_init(|| {
        let seconds = env::var("RUDDLE_REPLY_SECONDS").ok();
        Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(10))
    })
}

/// One connection to a server.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Bytes of `unread` that earlier replies have used up.
    used: usize,
}

impl Client {
    /// Connects to a server on the loopback interface.
    pub fn connect(port: u16) -> io::Result<Client> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, reply_timeout())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(reply_timeout()))?;
        stream.set_write_timeout(Some(reply_timeout()))?;
        Ok(Client {
            stream,
            unread: Vec::new(),
            used: 0,
        })
    }

    /// Sends one command as an array of bulk strings; the reply stays to be read.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut wire = Vec::new();
        encode(&mut wire, args);
        self.send_raw(&wire)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the next reply or push. `UnexpectedEof` when the server has closed the connection,
    /// `WouldBlock`/`TimedOut` after [`reply_timeout`], `InvalidData` when the bytes are not RESP.
    pub fn receive(&mut self) -> io::Result<Reply> {
        loop {
            match Reply::decode(&self.unread[self.used..]) {
                Ok(Some((reply, length))) => {
                    self.used += length;
                    return Ok(reply);
                }
                Ok(None) => self.fill()?,
                Err(malformed) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, malformed.0));
                }
            }
        }
    }

    /// Sends one command and reads the next reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(args)?;
        self.receive()
    }

    /// Sends all commands in one write and reads as many replies.
    pub fn pipeline(&mut self, commands: &[Vec<Vec<u8>>]) -> io::Result<Vec<Reply>> {
        let mut wire = Vec::new();
        for command in commands {
            encode(&mut wire, command);
        }
        self.send_raw(&wire)?;
        commands.iter().map(|_| self.receive()).collect()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.unread.drain(..self.used);
        self.used = 0;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.unread.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }
}

/// Appends one command in wire form.
pub fn encode<A: AsRef<[u8]>>(wire: &mut Vec<u8>, args: &[A]) {
    wire.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
}
