//! One connection of the load: sends a batch, waits for all its replies, is then free for the next.
//!
//! Invariant: at most one batch is under way. So once its replies are in, nothing can follow, and
//! one `read` per batch is enough: no second one that only returns "would block".

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use crate::batch::Batches;
use crate::net::Stream;
use crate::scan::{Malformed, Scanner};
use crate::sink::{Check, CheckPosition, Count, Tally};

/// A connection and its batch.
pub(crate) struct Connection {
    /// The socket; registered by the owner.
    pub(crate) stream: Stream,
    /// Which of the plan's connections it is.
    number: usize,
    /// Batches begun, counted from where its order begins.
    turn: usize,
    scanner: Scanner,
    /// The start of a line whose end has not come yet.
    carry: Vec<u8>,
    /// What of the batch the socket has not taken yet: these bytes, from that place on.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// Replies still to come.
    awaited: u64,
    /// When the batch under way was sent, or ought to have been.
    sent_at: Instant,
    batch: usize,
    drawn: Vec<u64>,
    position: CheckPosition,
}

/// Counters that one thread's connections share.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Bytes written and read.
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Messages that came to listeners.
    pub(crate) messages: u64,
    /// About the replies.
    pub(crate) tally: Tally,
}

/// What a readable socket brought.
pub(crate) struct Received {
    /// Replies finished by it.
    pub(crate) replies: u64,
    /// When their request was sent.
    pub(crate) sent_at: Instant,
    /// Whether the batch is complete.
    pub(crate) idle: bool,
}

impl Connection {
    /// A connection without a batch, number `number`; of commands sent in turn, it begins with
    /// batch `turn`.
    pub(crate) fn new(stream: Stream, number: usize, turn: usize) -> Self {
        Self {
            stream,
            number,
            turn,
            scanner: Scanner::default(),
            carry: Vec::new(),
            unsent: Vec::new(),
            unsent_from: 0,
            awaited: 0,
            sent_at: Instant::now(),
            batch: 0,
            drawn: Vec::new(),
            position: CheckPosition::default(),
        }
    }

    /// Sends `count` commands of the next batch. `due` is the moment that latencies count from.
    #[inline]
    pub(crate) fn send(
        &mut self,
        batches: &mut Batches,
        count: usize,
        due: Instant,
        traffic: &mut Traffic,
    ) -> io::Result<()> {
        debug_assert_eq!(self.awaited, 0, "one batch at a time");
        self.batch = batches.next(self.turn);
        self.turn += 1;
        self.position = CheckPosition::default();
        self.awaited = count as u64;
        self.sent_at = due;
        let bytes = batches.fill(self.batch, count, self.number, &mut self.drawn);
        let taken = write(&mut self.stream, bytes)?;
        traffic.sent_bytes += taken as u64;
        if taken < bytes.len() {
            self.unsent.clear();
            self.unsent.extend_from_slice(&bytes[taken..]);
            self.unsent_from = 0;
        }
        Ok(())
    }

    /// Sends on what the socket had not taken.
    pub(crate) fn resume_sending(&mut self, traffic: &mut Traffic) -> io::Result<()> {
        if self.unsent_from < self.unsent.len() {
            let taken = write(&mut self.stream, &self.unsent[self.unsent_from..])?;
            self.unsent_from += taken;
            traffic.sent_bytes += taken as u64;
        }
        Ok(())
    }

    /// Whether replies are due.
    pub(crate) fn is_waiting(&self) -> bool {
        self.awaited != 0
    }

    /// Reads until the batch is complete or the socket is empty. `room` is scratch space; it is
    /// larger than any line.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        room: &mut [u8],
        check: Option<&Batches>,
        traffic: &mut Traffic,
    ) -> io::Result<Received> {
        let before = traffic.tally.replies;
        let mut drained = false;
        let awaited = self.awaited;
        while self.is_waiting() && !drained {
            if check.is_none() && self.scanner.payload_left() >= DISCARD_BYTES_MIN {
                let Some(count) = self.discard(room)? else {
                    break;
                };
                traffic.received_bytes += count;
                continue;
            }
            let kept = self.carry.len();
            room[..kept].copy_from_slice(&self.carry);
            let Some(count) = outcome(self.stream.read(&mut room[kept..]))? else {
                break;
            };
            traffic.received_bytes += count as u64;
            // A short read has emptied the socket: what comes later raises a new event.
            drained = kept + count < room.len();
            let bytes = &room[..kept + count];
            let used = self.scan(bytes, check, &mut traffic.tally)?;
            self.carry.clear();
            self.carry.extend_from_slice(&bytes[used..]);
            let replies = traffic.tally.replies - before;
            self.awaited = awaited.checked_sub(replies).ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, "more replies than requests")
            })?;
        }
        let replies = traffic.tally.replies - before;
        Ok(Received {
            replies,
            sent_at: self.sent_at,
            idle: self.awaited == 0,
        })
    }

    /// Drops payload that nobody wants to see, returns how much; `None` when the socket is empty.
    fn discard(&mut self, room: &mut [u8]) -> io::Result<Option<u64>> {
        let wanted = self.scanner.payload_left().min(room.len() as u64) as usize;
        let room = &mut room[..wanted];
        let result = self
            .stream
            .discard(room)
            .unwrap_or_else(|| self.stream.read(room));
        let count = outcome(result)?.map(|count| count as u64);
        self.scanner.skipped(count.unwrap_or(0));
        Ok(count)
    }

    fn scan(
        &mut self,
        bytes: &[u8],
        check: Option<&Batches>,
        tally: &mut Tally,
    ) -> io::Result<usize> {
        let used = match check {
            None => self.scanner.scan(bytes, &mut Count(tally)),
            Some(batches) => {
                let (position, batch, drawn) = (&mut self.position, self.batch, &self.drawn);
                self.scanner.scan(
                    bytes,
                    &mut Check {
                        tally,
                        position,
                        batches,
                        batch,
                        drawn,
                    },
                )
            }
        };
        used.map_err(|Malformed(text)| io::Error::new(ErrorKind::InvalidData, text))
    }
}

/// From this much on, a call to drop payload costs less than copying it.
const DISCARD_BYTES_MIN: u64 = 16 * 1024;

/// Sorts what a read returned: bytes, `None` when there are none yet, or an error. The end of the
/// stream is one.
#[inline]
pub(crate) fn outcome(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes until the socket is full, returns the bytes taken.
#[inline]
fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
