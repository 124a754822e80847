//! MIGRATE's connection to another server: its dialogue with AUTH, SELECT and RESTORE.
//!
//! Blocking, with a limit on each single wait. Nothing here knows the keyspace or the client.
//! Source: the dialogue of Redis 8.2.3 with its target, observed.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base::num::{I64_TEXT_MAX, format_i64};

use super::{Cargo, Login, Order};

/// Bytes given to the kernel at once, each with its own time limit.
const WRITE_BYTES: usize = 64 * 1024;
/// The longest line taken from a target.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Where it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Writing,
    Reading,
}

/// The connection failed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) stage: Stage,
    /// The time was up: a new connection would not help.
    timed_out: bool,
}

impl Broken {
    fn at(stage: Stage) -> impl Fn(io::Error) -> Broken {
        move |error| Broken {
            stage,
            timed_out: matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock),
        }
    }
}

/// What the target made of the keys.
pub(super) struct Answers {
    /// The keys that it took, as numbers of the cargo's items.
    pub(super) taken: Vec<usize>,
    /// The first error among its replies, without the `-`.
    pub(super) refusal: Option<Vec<u8>>,
    /// The connection broke before the last reply.
    pub(super) broken: Option<Broken>,
}

/// An open connection to a target.
pub(super) struct Target {
    stream: BufReader<TcpStream>,
    /// The database that is selected, if that is known.
    db: Option<i64>,
    /// When it was last used.
    pub(super) used: Instant,
}

impl Target {
    /// Connects to the first of the host's addresses that accepts.
    fn connect(order: &Order) -> Result<Target, Broken> {
        let unreachable = Broken {
            stage: Stage::Connecting,
            timed_out: false,
        };
        let host = std::str::from_utf8(&order.host).map_err(|_| unreachable)?;
        let addresses = (host, order.port)
            .to_socket_addrs()
            .map_err(Broken::at(Stage::Connecting))?;
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, order.timeout) {
                Ok(stream) => {
                    stream
                        .set_nodelay(true)
                        .map_err(Broken::at(Stage::Connecting))?;
                    return Ok(Target {
                        stream: BufReader::new(stream),
                        db: None,
                        used: Instant::now(),
                    });
                }
                Err(error) => last = error,
            }
        }
        // Compat: Redis notices a refused connection only when it writes.
        let stage = match last.kind() {
            ErrorKind::ConnectionRefused => Stage::Writing,
            _ => Stage::Connecting,
        };
        Err(Broken::at(stage)(last))
    }

    /// Sends what is to be moved and reads the replies. Fails only if the first RESTORE was not
    /// answered.
    fn carry(&mut self, order: &Order, cargo: &Cargo) -> Result<Answers, Broken> {
        let mut request = Vec::new();
        let greetings = self.greet(order, &mut request);
        for item in &cargo.items {
            let ttl = cargo.ttl_ms(item);
            let digits = &mut [0; I64_TEXT_MAX];
            let ttl = format_i64(ttl, digits);
            let words: [&[u8]; 5] = [b"RESTORE", &item.key, ttl, &item.payload, b"REPLACE"];
            put_command(&words[..4 + usize::from(order.replace)], &mut request);
            if request.len() >= WRITE_BYTES {
                self.write(&request, order.timeout)?;
                request.clear();
            }
        }
        self.write(&request, order.timeout)?;
        self.read_answers(order, greetings, cargo.items.len())
    }

    /// Appends AUTH and SELECT, as far as they are needed; how many replies they bring.
    fn greet(&self, order: &Order, request: &mut Vec<u8>) -> usize {
        let mut replies = 0;
        if let Some(Login { user, password }) = &order.login {
            let words = [Some(&b"AUTH"[..]), user.as_deref(), Some(password)];
            let words: Vec<&[u8]> = words.into_iter().flatten().collect();
            put_command(&words, request);
            replies += 1;
        }
        if self.db != Some(order.db) {
            let digits = &mut [0; I64_TEXT_MAX];
            put_command(&[b"SELECT", format_i64(order.db, digits)], request);
            replies += 1;
        }
        replies
    }

    fn write(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), Broken> {
        let broken = Broken::at(Stage::Writing);
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(timeout)).map_err(&broken)?;
        for chunk in bytes.chunks(WRITE_BYTES) {
            stream.write_all(chunk).map_err(&broken)?;
        }
        Ok(())
    }

    fn read_answers(
        &mut self,
        order: &Order,
        greetings: usize,
        keys: usize,
    ) -> Result<Answers, Broken> {
        let mut answers = Answers {
            taken: Vec::new(),
            refusal: None,
            broken: None,
        };
        let mut welcome = true;
        for _ in 0..greetings {
            let refused = self.read_line(order.timeout)?;
            welcome &= refused.is_none();
            answers.refusal = answers.refusal.or(refused);
        }
        for nth in 0..keys {
            match self.read_line(order.timeout) {
                // Compat: after a refused AUTH or SELECT no key counts as taken, even if it was.
                Ok(None) if welcome => answers.taken.push(nth),
                Ok(refused) => answers.refusal = answers.refusal.or(refused),
                Err(broken) if nth == 0 && answers.refusal.is_none() => return Err(broken),
                Err(broken) => {
                    answers.broken = Some(broken);
                    break;
                }
            }
        }
        self.db = answers.refusal.is_none().then_some(order.db);
        self.used = Instant::now();
        Ok(answers)
    }

    /// Reads a reply of one line; what is behind the `-` if it is an error.
    fn read_line(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, Broken> {
        let broken = Broken::at(Stage::Reading);
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(timeout)).map_err(&broken)?;
        let mut line = Vec::new();
        let mut limited = self.stream.by_ref().take(LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut line).map_err(&broken)?;
        match line.strip_suffix(b"\r\n") {
            Some([b'-', error @ ..]) => Ok(Some(error.to_vec())),
            Some(_) => Ok(None),
            None => Err(broken(ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Moves the cargo over a connection that is open already, or a new one. A connection that turns
/// out to be dead is replaced once. The connection comes back if it can be used again.
pub(super) fn deliver(
    order: &Order,
    cargo: &Cargo,
    open: Option<Target>,
) -> (Result<Answers, Broken>, Option<Target>) {
    let attempt = |open: Option<Target>| -> (Result<Answers, Broken>, Option<Target>) {
        let mut target = match open.map_or_else(|| Target::connect(order), Ok) {
            Ok(target) => target,
            Err(broken) => return (Err(broken), None),
        };
        let result = target.carry(order, cargo);
        let whole = matches!(&result, Ok(Answers { broken: None, .. }));
        (result, whole.then_some(target))
    };
    match attempt(open) {
        (Err(broken), _) if !broken.timed_out && broken.stage != Stage::Connecting => attempt(None),
        end => end,
    }
}

fn put_command(words: &[&[u8]], out: &mut Vec<u8>) {
    let digits = &mut [0; I64_TEXT_MAX];
    let mut put_number = |mark: u8, number: usize, out: &mut Vec<u8>| {
        out.push(mark);
        out.extend_from_slice(format_i64(number as i64, digits));
        out.extend_from_slice(b"\r\n");
    };
    put_number(b'*', words.len(), out);
    for word in words {
        put_number(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}
