//! The replica's end of a link: what it says to its primary, and what it makes of the answers.
//!
//! ```text
//! PING -> AUTH? -> REPLCONF listening-port -> ip-address? -> capa -> version -> PSYNC id offset
//!   +CONTINUE id       the stream goes on where it was left
//!   +FULLRESYNC id at  a snapshot of all data at `at`, then the stream from there
//! ```
//! [`Handshake`] takes lines and says what to send; [`Framing`] finds where the snapshot ends;
//! [`Pulse`] says when to acknowledge and when to give the link up. The offset on the wire counts
//! from 1: it names the first byte that is wanted.
//!
//! Source: the dialogues of Redis 8.2.3 and Valkey 9.1.2 with their replicas, observed.

use base::ids::RunId;
use base::num::parse_i64;
use base::time::UnixMillis;
use journal::Offset;

/// Acknowledgements come once in so many milliseconds.
const ACK_MILLIS: i64 = 1_000;
/// What begins the mark behind a snapshot of unknown length.
const EOF: &[u8] = b"EOF:";
/// Length of that mark.
const MARK_BYTES: usize = 40;
/// What one answers that is asked to take over and has done so already: the answer to the question
/// before was lost on the way.
const IS_PRIMARY: &[u8] = b"ERR PSYNC FAILOVER can't be sent to a master";

/// Name and password at the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user, if it is not the default one.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

/// How a replica introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// What to log in with.
    pub login: Option<Login>,
    /// The port it listens on, or is to be reached at.
    pub port: u16,
    /// The address it is to be reached at, if that is not the one it connects from.
    pub address: Option<Vec<u8>>,
    /// The version whose snapshots it understands, as Valkey counts them.
    pub version: &'static str,
    /// The history that it has.
    pub id: RunId,
    /// Up to where.
    pub end: Offset,
    /// The primary is to become our replica's primary no more: it takes over from us (FAILOVER).
    pub hands_over: bool,
}

/// How the link goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// The stream follows from where our bytes end; the history may have a new name.
    Continue(Option<RunId>),
    /// A snapshot follows, which is the history of this name up to this offset.
    Full(RunId, Offset),
}

/// What to do after a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for more.
    Hear,
    /// Send this.
    Say(Vec<u8>),
    /// The handshake is over.
    Go(Agreed),
}

/// Why the link is given up; it is tried again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ping,
    Login,
    Port,
    Address,
    Capabilities,
    Version,
    Sync,
}

/// See the module's head.
#[derive(Debug)]
pub struct Handshake {
    about: Introduction,
    stage: Stage,
}

impl Handshake {
    /// A handshake, and its first bytes.
    #[must_use]
    pub fn begin(about: Introduction) -> (Handshake, Vec<u8>) {
        let stage = Stage::Ping;
        (Handshake { about, stage }, command(&[b"PING"]))
    }

    /// Whether the request for the stream has been sent: what was said before it is answered.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.stage == Stage::Sync
    }

    /// A line has come, here without its end.
    ///
    /// # Errors
    /// The primary will not have us, at least not now.
    pub fn hear(&mut self, line: &[u8]) -> Result<Next, Refused> {
        let error = line.strip_prefix(b"-");
        match self.stage {
            Stage::Ping => self.greeted(error)?,
            Stage::Login => {
                if let Some(error) = error {
                    return Err(refused("Unable to AUTH to MASTER", error));
                }
            }
            // Older primaries know some of these not: they do without.
            Stage::Port | Stage::Address | Stage::Capabilities | Stage::Version => {}
            // While it prepares, it sends line ends to be known alive.
            Stage::Sync if line.is_empty() => return Ok(Next::Hear),
            Stage::Sync
                if self.about.hands_over
                    && error.is_some_and(|error| error.starts_with(IS_PRIMARY)) =>
            {
                self.about.hands_over = false;
                return Ok(self.advance());
            }
            Stage::Sync => return self.agree(line, error).map(Next::Go),
        }
        Ok(self.advance())
    }

    /// An error instead of PONG is as good if it only says that a password is needed.
    fn greeted(&self, error: Option<&[u8]>) -> Result<(), Refused> {
        let known: [&[u8]; 3] = [b"NOAUTH", b"NOPERM", b"ERR operation not permitted"];
        match error {
            Some(error) if !known.iter().any(|start| error.starts_with(start)) => {
                Err(refused("Error reply to PING from master", error))
            }
            _ => Ok(()),
        }
    }

    /// Goes on to the next stage that has something to say.
    fn advance(&mut self) -> Next {
        loop {
            self.stage = match self.stage {
                Stage::Ping => Stage::Login,
                Stage::Login => Stage::Port,
                Stage::Port => Stage::Address,
                Stage::Address => Stage::Capabilities,
                Stage::Capabilities => Stage::Version,
                Stage::Version | Stage::Sync => Stage::Sync,
            };
            if let Some(words) = self.words() {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                return Next::Say(command(&words));
            }
        }
    }

    fn words(&self) -> Option<Vec<Vec<u8>>> {
        let about = &self.about;
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        Some(match self.stage {
            Stage::Ping => return None,
            Stage::Login => {
                let login = about.login.as_ref()?;
                let parts = [Some(b"AUTH".to_vec()), login.user.clone()];
                let password = Some(login.password.clone());
                parts.into_iter().chain([password]).flatten().collect()
            }
            Stage::Port => {
                let port = about.port.to_string();
                words(&[b"REPLCONF", b"listening-port", port.as_bytes()])
            }
            Stage::Address => words(&[b"REPLCONF", b"ip-address", about.address.as_deref()?]),
            Stage::Capabilities => words(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]),
            Stage::Version => words(&[b"REPLCONF", b"version", about.version.as_bytes()]),
            Stage::Sync => {
                let id = about.id.as_str().as_bytes();
                let wanted = (about.end.0 + 1).to_string();
                let mut said = words(&[b"PSYNC", id, wanted.as_bytes()]);
                if about.hands_over {
                    said.push(b"FAILOVER".to_vec());
                }
                said
            }
        })
    }

    fn agree(&self, line: &[u8], error: Option<&[u8]>) -> Result<Agreed, Refused> {
        if let Some(error) = error {
            return Err(refused("Unable to sync with MASTER", error));
        }
        let mut words = line.split(|&byte| byte == b' ');
        let (verb, id, at) = (words.next(), words.next(), words.next());
        let id = match id {
            Some(id) => Some(RunId::parse(id).ok_or_else(|| strange(line))?),
            None => None,
        };
        let offset = at.and_then(parse_i64).and_then(|at| u64::try_from(at).ok());
        match (verb, id, offset) {
            (Some(b"+CONTINUE"), id, _) => Ok(Agreed::Continue(id)),
            (Some(b"+FULLRESYNC"), Some(id), Some(at)) => Ok(Agreed::Full(id, Offset(at))),
            _ => Err(strange(line)),
        }
    }
}

fn refused(what: &str, error: &[u8]) -> Refused {
    Refused(format!("{what}: -{}", String::from_utf8_lossy(error)))
}

fn strange(line: &[u8]) -> Refused {
    let line = String::from_utf8_lossy(line);
    Refused(format!("Unexpected reply to PSYNC from master: {line}"))
}

/// A command as bytes.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The acknowledgement of all bytes up to `end`, and of those up to `durable` as being on disk.
#[must_use]
pub fn ack(end: Offset, durable: Option<Offset>) -> Vec<u8> {
    let (end, durable) = (end.0.to_string(), durable.map(|at| at.0.to_string()));
    let mut words: Vec<&[u8]> = vec![b"REPLCONF", b"ACK", end.as_bytes()];
    if let Some(durable) = &durable {
        words.extend([&b"FACK"[..], durable.as_bytes()]);
    }
    command(&words)
}

/// Where a snapshot on a link ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// Before this mark. With it: how many bytes of the mark may have come already.
    Mark([u8; MARK_BYTES], usize),
}

/// What was found among bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// So many of the snapshot's bytes were held back before, and are to be put before these: the
    /// first bytes of the mark.
    pub held: usize,
    /// So many of the bytes that have come are the snapshot's.
    pub own: usize,
    /// Where in the bytes the stream begins, if the snapshot ends here.
    pub rest: Option<usize>,
}

impl Framing {
    /// Reads the line before a snapshot; `None` for a line that only says that there will be one.
    ///
    /// # Errors
    /// It is no such line.
    pub fn parse(line: &[u8]) -> Result<Option<Framing>, Refused> {
        if line.is_empty() {
            return Ok(None);
        }
        if let Some(error) = line.strip_prefix(b"-") {
            return Err(refused("MASTER aborted replication with an error", error));
        }
        let rest = line.strip_prefix(b"$");
        let framing = rest.and_then(|rest| match rest.strip_prefix(EOF) {
            Some(mark) => Some(Framing::Mark(mark.try_into().ok()?, 0)),
            None => u64::try_from(parse_i64(rest)?).ok().map(Framing::Length),
        });
        match framing {
            Some(framing) => Ok(Some(framing)),
            None => Err(Refused(format!(
                "Bad protocol from MASTER, the first byte is not '$' (we received '{}')",
                String::from_utf8_lossy(line)
            ))),
        }
    }

    /// The mark's first so many bytes.
    #[must_use]
    pub fn mark(&self, len: usize) -> &[u8] {
        match self {
            Framing::Length(_) => &[],
            Framing::Mark(mark, _) => mark.get(..len).unwrap_or_default(),
        }
    }

    /// Looks at bytes that have come. What may be the beginning of the mark is held back.
    pub fn look(&mut self, bytes: &[u8]) -> Found {
        match self {
            Framing::Length(left) => {
                let own = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= own as u64;
                let rest = (*left == 0).then_some(own);
                Found { held: 0, own, rest }
            }
            Framing::Mark(mark, seen) => look_for(mark, seen, bytes),
        }
    }
}

/// Looks for a mark whose first `seen` bytes have come before `bytes`.
fn look_for(mark: &[u8; MARK_BYTES], seen: &mut usize, bytes: &[u8]) -> Found {
    // The held bytes, as far as they do not go on to be the mark.
    let before = *seen;
    let goes_on = |held: usize| {
        let rest = &mark[held..];
        let len = rest.len().min(bytes.len());
        rest[..len] == bytes[..len]
    };
    // A later beginning among the held bytes: the mark's start as a suffix of what was held.
    let begins = |skip: usize| mark[skip..before] == mark[..before - skip];
    for skip in 0..before {
        let held = before - skip;
        if begins(skip) && goes_on(held) {
            let whole = bytes.len() >= MARK_BYTES - held;
            *seen = if whole { 0 } else { held + bytes.len() };
            let rest = whole.then_some(MARK_BYTES - held);
            let held = skip;
            return Found { held, own: 0, rest };
        }
    }
    if let Some(at) = memchr::memmem::find(bytes, mark) {
        *seen = 0;
        return Found {
            held: before,
            own: at,
            rest: Some(at + MARK_BYTES),
        };
    }
    let tail = bytes.len().min(MARK_BYTES - 1);
    let len = (1..=tail).rev();
    let held_now = len.into_iter().find(|&len| bytes.ends_with(&mark[..len]));
    *seen = held_now.unwrap_or(0);
    Found {
        held: before,
        own: bytes.len() - *seen,
        rest: None,
    }
}

/// When to acknowledge, and when to give a silent link up.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    heard: UnixMillis,
    acknowledged: UnixMillis,
}

/// What a link needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Rest,
    /// An acknowledgement.
    Ack,
    /// An end: its primary has been silent for too long.
    Dead,
}

impl Pulse {
    /// The link has just been made.
    #[must_use]
    pub fn new(now: UnixMillis) -> Pulse {
        let acknowledged = UnixMillis(now.0 - ACK_MILLIS);
        let heard = now;
        Pulse {
            heard,
            acknowledged,
        }
    }

    /// Something has come.
    pub fn hear(&mut self, now: UnixMillis) {
        self.heard = now;
    }

    /// When something came last.
    #[must_use]
    pub fn heard(&self) -> UnixMillis {
        self.heard
    }

    /// What is to be done at `now`.
    pub fn beat(&mut self, now: UnixMillis, timeout_millis: i64) -> Beat {
        if now.millis_since(self.heard) > timeout_millis {
            return Beat::Dead;
        }
        // A clock that was set back must not stop the acknowledgements.
        if (0..ACK_MILLIS).contains(&now.millis_since(self.acknowledged)) {
            return Beat::Rest;
        }
        self.acknowledged = now;
        Beat::Ack
    }
}

#[cfg(test)]
mod tests;
