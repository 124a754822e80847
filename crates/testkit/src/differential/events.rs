//! The other mode of the runner: what a server tells of each command is compared as well.
//!
//! A connection of its own listens to all keyspace events. After each step the auditor publishes a
//! mark; what the listener hears before it is what the step caused, in order. Nothing is random or
//! timed here: with the same commands, servers that agree tell the same.

use std::io;

use crate::client::Client;
use crate::peers::Kind;
use crate::process::Server;
use crate::reply::Reply;

/// Where the marks are published.
const MARKS: &[u8] = b"differential:mark";

/// All classes that servers like `peer` have.
pub(super) fn letters(peer: Kind) -> &'static str {
    match peer {
        Kind::Valkey => "KEAnm",
        Kind::Redis | Kind::Ruddle => "KEAnmoc",
    }
}

/// A connection that hears all events of its server.
pub(super) struct Listener(Client);

impl Listener {
    /// Has the server tell events of the classes `letters`, and listens.
    pub(super) fn start(server: &Server, letters: &str) -> io::Result<Listener> {
        let mut client = server.connect()?;
        let words = ["CONFIG", "SET", "notify-keyspace-events", letters];
        let reply = client.call(&words)?;
        if reply.is_error() {
            return Err(io::Error::other(format!("{words:?}: {reply}")));
        }
        client.call(&[&b"SUBSCRIBE"[..], MARKS])?;
        client.call(&["PSUBSCRIBE", "__key*@*__:*"])?;
        Ok(Listener(client))
    }

    /// The events since the last call, as channels and messages in turn. `other` is any connection
    /// that is not in a transaction.
    pub(super) fn events(&mut self, other: &mut Client) -> io::Result<Reply> {
        other.call(&[&b"PUBLISH"[..], MARKS, b""])?;
        let mut heard = Vec::new();
        loop {
            match self.0.receive()?.items() {
                Some([_, Reply::Bulk(channel), _]) if channel == MARKS => break,
                Some([_, _, channel, message]) => {
                    heard.extend([channel.clone(), message.clone()]);
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(Reply::Array(heard))
    }
}

/// The events, without those that tell of missing keys.
pub(super) fn without_misses(events: Reply) -> Reply {
    let Reply::Array(heard) = events else {
        return events;
    };
    let is_miss = |part: &Reply| {
        let text = part.bytes().unwrap_or_default();
        text == b"keymiss" || text.starts_with(b"__keyevent@") && text.ends_with(b"__:keymiss")
    };
    let pairs = heard.chunks(2).filter(|pair| !pair.iter().any(is_miss));
    Reply::Array(pairs.flatten().cloned().collect())
}
