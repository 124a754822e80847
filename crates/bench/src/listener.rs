//! A connection that only listens: it subscribes to the channel of the scenario `publish` and
//! counts what comes.
//!
//! Invariant: it speaks RESP2, where a message is an array, which the scanner counts as a reply.

use std::io::{self, ErrorKind, Read};

use crate::connection::{Traffic, outcome};
use crate::net::Stream;
use crate::scan::{Malformed, Scanner};
use crate::sink::{Count, Tally};

/// A subscriber.
pub(crate) struct Listener {
    /// The socket; registered by the owner.
    pub(crate) stream: Stream,
    scanner: Scanner,
    /// The start of a line whose end has not come yet.
    carry: Vec<u8>,
}

impl Listener {
    /// A listener on a connection that has subscribed already.
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
            carry: Vec::new(),
        }
    }

    /// Reads until the socket is empty and counts the messages. `room` is scratch space; it is
    /// larger than any line.
    pub(crate) fn receive(&mut self, room: &mut [u8], traffic: &mut Traffic) -> io::Result<()> {
        let mut tally = Tally::default();
        loop {
            let kept = self.carry.len();
            room[..kept].copy_from_slice(&self.carry);
            let Some(count) = outcome(self.stream.read(&mut room[kept..]))? else {
                break;
            };
            traffic.received_bytes += count as u64;
            let bytes = &room[..kept + count];
            let used = self
                .scanner
                .scan(bytes, &mut Count(&mut tally))
                .map_err(|Malformed(text)| io::Error::new(ErrorKind::InvalidData, text))?;
            self.carry.clear();
            self.carry.extend_from_slice(&bytes[used..]);
            // A short read has emptied the socket: what comes later raises a new event.
            if kept + count < room.len() {
                break;
            }
        }
        traffic.messages += tally.replies;
        Ok(())
    }
}
