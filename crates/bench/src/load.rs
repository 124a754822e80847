//! One thread of load: an event loop over its connections until its share of the requests is
//! answered.
//!
//! Closed loop: a connection sends its next batch when it has all replies to the last. Open loop
//! (`--rate`): batches fall due at even intervals, whether or not a connection is free, and a
//! latency counts from the due moment, so a server that stalls cannot hide by stalling the load
//! ("coordinated omission"). Invariant: when `run` returns without an error, every request sent has
//! been answered, and every message has come to every listener; of a pair of connections that wake
//! each other, one may be left waiting.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::batch::Batches;
use crate::connection::{Connection, Traffic};
use crate::listener::Listener;

/// Bytes read at once: large values arrive in few calls.
const READ_BYTES: usize = 256 * 1024;

/// Latencies are recorded between these, in nanoseconds, to three digits.
const LATENCY_NS: (u64, u64) = (1, 3_600_000_000_000);

/// How long the last messages may take once all requests are answered.
const MESSAGES_TIME_MAX: Duration = Duration::from_secs(5);

/// When to stop sending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After this many requests.
    Requests(u64),
    /// After this time.
    Time(Duration),
    /// Once [`watch_input`] has seen the end of standard input.
    EndOfInput,
}

/// Standard input is at its end.
static INPUT_ENDED: AtomicBool = AtomicBool::new(false);

/// Reads standard input to its end, which [`Limit::EndOfInput`] waits for.
pub(crate) fn watch_input() {
    // An error is an end as well: nobody can say anything any more.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    INPUT_ENDED.store(true, Ordering::Relaxed);
}

/// What one thread is to do.
pub(crate) struct Share {
    pub(crate) connections: Vec<Connection>,
    /// Each of them gets each message that the connections publish.
    pub(crate) listeners: Vec<Listener>,
    /// Whether a connection may have to wait for its partner, see `Workload::is_paired`.
    pub(crate) paired: bool,
    pub(crate) batches: Batches,
    pub(crate) pipeline: usize,
    pub(crate) limit: Limit,
    /// Requests a second in open loop.
    pub(crate) rate: Option<f64>,
    pub(crate) check: bool,
}

/// What one thread has done.
pub(crate) struct Outcome {
    /// Bytes and replies.
    pub(crate) traffic: Traffic,
    /// Latencies in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
    /// Processor time of this thread meanwhile, where the system tells.
    pub(crate) cpu: Option<Duration>,
}

/// An empty histogram for latencies in nanoseconds.
pub(crate) fn empty_histogram() -> Histogram<u64> {
    // Invariant: the bounds and the three digits are constants that the crate accepts.
    Histogram::new_with_bounds(LATENCY_NS.0, LATENCY_NS.1, 3).expect("valid histogram bounds")
}

struct Load<'a> {
    share: Share,
    poll: Poll,
    /// Indexes of the connections without a batch.
    idle: Vec<usize>,
    unsent: u64,
    deadline: Option<Instant>,
    pace: Option<Pace>,
    traffic: Traffic,
    latencies: Histogram<u64>,
    answered: &'a AtomicU64,
}

/// The timetable of open loop.
struct Pace {
    next: Instant,
    interval: Duration,
}

/// Sends and receives this thread's share; `answered` counts its replies for the progress line.
pub(crate) fn run(share: Share, answered: &AtomicU64) -> io::Result<Outcome> {
    let mut load = Load::new(share, answered)?;
    let cpu_before = thread_cpu();
    let start = Instant::now();
    load.start(start)?;
    let mut room = vec![0; READ_BYTES];
    let mut events = Events::with_capacity(load.share.connections.len().clamp(1, 1024));
    loop {
        let mut timeout = load.send_due(Instant::now())?;
        if !load.is_busy() {
            if load.messages_missing() == 0 {
                break;
            }
            timeout = Some(MESSAGES_TIME_MAX);
        }
        match load.wait(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        if events.is_empty() && !load.is_busy() {
            let missing = load.messages_missing();
            return Err(io::Error::other(format!("{missing} messages did not come")));
        }
        for event in &events {
            let Token(index) = event.token();
            if let Some(index) = index.checked_sub(load.share.connections.len()) {
                load.share.listeners[index].receive(&mut room, &mut load.traffic)?;
                continue;
            }
            if event.is_writable() {
                load.share.connections[index].resume_sending(&mut load.traffic)?;
            }
            load.receive(index, &mut room, event.is_read_closed())?;
        }
    }
    let cpu = thread_cpu()
        .zip(cpu_before)
        .map(|(after, before)| after.saturating_sub(before));
    Ok(Outcome {
        traffic: load.traffic,
        latencies: load.latencies,
        elapsed: start.elapsed(),
        cpu,
    })
}

impl<'a> Load<'a> {
    fn new(mut share: Share, answered: &'a AtomicU64) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (index, connection) in share.connections.iter_mut().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut connection.stream, Token(index), interest)?;
        }
        for (index, listener) in share.listeners.iter_mut().enumerate() {
            let token = Token(share.connections.len() + index);
            let registry = poll.registry();
            registry.register(&mut listener.stream, token, Interest::READABLE)?;
        }
        let unsent = match share.limit {
            Limit::Requests(count) => count,
            Limit::Time(_) | Limit::EndOfInput => u64::MAX,
        };
        Ok(Self {
            idle: (0..share.connections.len()).collect(),
            poll,
            unsent,
            deadline: None,
            pace: None,
            traffic: Traffic::default(),
            latencies: empty_histogram(),
            answered,
            share,
        })
    }

    /// Starts the clock and, in closed loop, all connections.
    fn start(&mut self, now: Instant) -> io::Result<()> {
        if let Limit::Time(duration) = self.share.limit {
            self.deadline = Some(now + duration);
        }
        self.pace = self.share.rate.map(|rate| Pace {
            next: now,
            interval: Duration::from_secs_f64(self.share.pipeline as f64 / rate),
        });
        if self.pace.is_none() {
            for index in std::mem::take(&mut self.idle) {
                self.send(index, Instant::now())?;
            }
        }
        Ok(())
    }

    /// Whether there is anything left to send or to wait for.
    fn is_busy(&self) -> bool {
        let waiting = self.idle.len() < self.share.connections.len();
        let waiting = waiting && !self.pairs_are_done();
        waiting || (self.unsent > 0 && self.pace.is_some())
    }

    /// Whether nothing more is to be sent, though there is no end to the requests.
    #[inline]
    fn is_over(&self, now: Instant) -> bool {
        match self.share.limit {
            Limit::Requests(_) => false,
            Limit::Time(_) => self.deadline.is_some_and(|deadline| now >= deadline),
            Limit::EndOfInput => INPUT_ENDED.load(Ordering::Relaxed),
        }
    }

    /// Waits for events, at most so long. `Poll` counts in milliseconds; what is due may be so much
    /// earlier, and looking all the time would take a core from the server.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let Some(timeout) = timeout else {
            return self.poll.poll(events, None);
        };
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let registry = self.poll.registry();
        rustix::event::poll(&mut [PollFd::new(registry, PollFlags::IN)], Some(&timeout))?;
        self.poll.poll(events, Some(Duration::ZERO))
    }

    /// Whether connections work in pairs, and of each pair one has stopped.
    fn pairs_are_done(&self) -> bool {
        let pairs = self.share.connections.len() / 2;
        let stopped = |pair| self.idle.iter().any(|index| index / 2 == pair);
        self.share.paired && self.idle.len() >= pairs && (0..pairs).all(stopped)
    }

    /// Messages that listeners have yet to get, once all requests are answered.
    fn messages_missing(&self) -> u64 {
        let sent = self.traffic.tally.replies * self.share.listeners.len() as u64;
        sent.saturating_sub(self.traffic.messages)
    }

    /// Open loop: sends what is due, returns how long to wait at most.
    fn send_due(&mut self, now: Instant) -> io::Result<Option<Duration>> {
        if self.pace.is_some() && self.is_over(now) {
            self.unsent = 0;
        }
        while self.unsent > 0 {
            let Some(pace) = &mut self.pace else {
                return Ok(None);
            };
            let due = pace.next;
            if due > now {
                return Ok(Some(due.duration_since(now)));
            }
            let Some(index) = self.idle.pop() else {
                return Ok(None);
            };
            pace.next += pace.interval;
            self.send(index, due)?;
        }
        Ok(None)
    }

    /// Gives connection `index` its next batch, or puts it aside when there is nothing left to
    /// send.
    #[inline]
    fn send(&mut self, index: usize, due: Instant) -> io::Result<()> {
        if self.unsent == 0 {
            self.idle.push(index);
            return Ok(());
        }
        let count = self.unsent.min(self.share.pipeline as u64);
        self.unsent -= count;
        let Share {
            connections,
            batches,
            ..
        } = &mut self.share;
        connections[index].send(batches, count as usize, due, &mut self.traffic)
    }

    #[inline]
    fn receive(&mut self, index: usize, room: &mut [u8], closed: bool) -> io::Result<()> {
        let Share {
            connections,
            batches,
            check,
            ..
        } = &mut self.share;
        let connection = &mut connections[index];
        if !connection.is_waiting() {
            return if closed {
                Err(io::ErrorKind::UnexpectedEof.into())
            } else {
                Ok(())
            };
        }
        let received = connection.receive(room, check.then_some(&*batches), &mut self.traffic)?;
        let now = Instant::now();
        if received.replies > 0 {
            let latency_ns = now.saturating_duration_since(received.sent_at).as_nanos() as u64;
            let latency_ns = latency_ns.clamp(LATENCY_NS.0, LATENCY_NS.1);
            self.latencies
                .saturating_record_n(latency_ns, received.replies);
            self.answered.fetch_add(received.replies, Ordering::Relaxed);
        }
        if !received.idle {
            // The end of the stream raises no event of its own if the data before it already has.
            return if closed {
                self.receive(index, room, closed)
            } else {
                Ok(())
            };
        }
        if self.is_over(now) {
            self.unsent = 0;
        }
        if self.pace.is_some() {
            self.idle.push(index);
            return Ok(());
        }
        self.send(index, now)
    }
}

/// Processor time that this thread has used; `None` where the system does not say.
/// Linux: `schedstat`'s first number is nanoseconds on a processor.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
