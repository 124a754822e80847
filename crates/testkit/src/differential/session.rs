//! The two servers side by side: sends chunks to both, compares replies, and audits the data sets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem;

use super::compare::agree;
use super::events::{self, Listener};
use super::{Difference, Mode, Plan, Step, accepted};
use crate::client::{self, Client};
use crate::peers::Kind;
use crate::process::Server;
use crate::reply::Reply;

/// Databases that a server has by default.
const DATABASES: usize = 16;

/// How to read the whole value of a key of each type, and how to compare it.
const READERS: &[(&str, &[&str], Mode)] = &[
    ("string", &["GET", "KEY"], Mode::Exact),
    ("list", &["LRANGE", "KEY", "0", "-1"], Mode::Exact),
    ("set", &["SMEMBERS", "KEY"], Mode::Unordered),
    ("hash", &["HGETALL", "KEY"], Mode::Unordered),
    (
        "zset",
        &["ZRANGE", "KEY", "0", "-1", "WITHSCORES"],
        Mode::Exact,
    ),
    (
        "stream",
        &["XINFO", "STREAM", "KEY", "FULL", "COUNT", "0"],
        Mode::Times,
    ),
];

/// Both servers and their connections.
pub(super) struct Pair {
    accept_known: bool,
    /// The classes of keyspace events that are compared, if any.
    events: Option<&'static str>,
    subject: Side,
    peer: Side,
    accepted: BTreeMap<&'static str, usize>,
    /// The commands queued by an open MULTI.
    queued: Vec<Step>,
}

struct Side {
    kind: Kind,
    server: Server,
    /// The stream's connection.
    stream: Client,
    /// The auditor's connection; always RESP2.
    auditor: Client,
    /// Hears the keyspace events, if they are compared.
    listener: Option<Listener>,
    /// Whether a reply has failed to come: the server is dead, hung or out of step.
    lost: bool,
}

impl Side {
    fn start(kind: Kind) -> Result<Side, String> {
        let server = Server::start(kind, &[])?;
        let connect = || {
            server
                .connect()
                .map_err(|error| format!("{}: {error}", kind.name()))
        };
        let (stream, auditor) = (connect()?, connect()?);
        Ok(Side {
            kind,
            server,
            stream,
            auditor,
            listener: None,
            lost: false,
        })
    }

    /// An empty server and a new connection; a lost server is replaced.
    fn begin(&mut self, events: Option<&str>) -> Result<(), String> {
        if self.lost {
            *self = Side::start(self.kind)?;
        }
        self.ask(&[b"FLUSHALL"]);
        let stream = self.server.connect();
        let failure = |error: io::Error| format!("{}: {error}", self.kind.name());
        self.stream = stream.map_err(failure)?;
        if let Some(letters) = events {
            self.listener = Some(Listener::start(&self.server, letters).map_err(failure)?);
        }
        Ok(())
    }

    /// The events since the last call.
    fn events(&mut self) -> Reply {
        let Some(listener) = &mut self.listener else {
            return Reply::Array(Vec::new());
        };
        let heard = listener.events(&mut self.auditor);
        self.or_lost(heard)
    }

    /// A reply that did not come counts as one that no server gives, so that it is a difference.
    fn or_lost(&mut self, reply: io::Result<Reply>) -> Reply {
        reply.unwrap_or_else(|error| {
            self.lost = true;
            Reply::Error(format!("(no reply from {}: {error})", self.kind.name()).into_bytes())
        })
    }

    fn ask(&mut self, args: &[&[u8]]) -> Reply {
        let reply = self.auditor.call(args);
        self.or_lost(reply)
    }

    fn send(&mut self, wire: &[u8]) {
        // A connection that cannot be written to gives no reply either.
        _ = self.stream.send_raw(wire);
    }

    fn receive(&mut self) -> Reply {
        if self.lost {
            return self.or_lost(Err(io::ErrorKind::NotConnected.into()));
        }
        let reply = self.stream.receive();
        self.or_lost(reply)
    }

    /// Iterates a SCAN or SSCAN to its end; the elements as one reply, or whatever else the server
    /// answered.
    fn scan(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut args = args.to_vec();
        let is_scan = args
            .first()
            .is_some_and(|name| name.eq_ignore_ascii_case(b"SCAN"));
        let cursor_at = if is_scan { 1 } else { 2 };
        let mut seen = BTreeSet::new();
        loop {
            let reply = self.stream.call(&args);
            let reply = self.or_lost(reply);
            let Some([Reply::Bulk(cursor), Reply::Array(keys)]) = reply.items() else {
                return reply;
            };
            seen.extend(keys.iter().cloned());
            if cursor == b"0" {
                return Reply::Set(seen.into_iter().collect());
            }
            args[cursor_at].clone_from(cursor);
        }
    }
}

/// Whether a command failed, or one of a transaction's.
fn has_error(reply: &Reply) -> bool {
    reply.is_error()
        || reply
            .items()
            .is_some_and(|items| items.iter().any(has_error))
}

impl Pair {
    pub(super) fn start(plan: &Plan) -> Result<Pair, String> {
        Ok(Pair {
            accept_known: plan.accept_known,
            events: plan.events.then(|| events::letters(plan.peer)),
            subject: Side::start(plan.subject)?,
            peer: Side::start(plan.peer)?,
            accepted: BTreeMap::new(),
            queued: Vec::new(),
        })
    }

    pub(super) fn into_accepted(self) -> BTreeMap<&'static str, usize> {
        self.accepted
    }

    /// Whether both servers have this command.
    pub(super) fn both_have(&mut self, name: &str) -> bool {
        let question: [&[u8]; 3] = [b"COMMAND", b"INFO", name.as_bytes()];
        let knows =
            |side: &mut Side| matches!(side.ask(&question).items(), Some([Reply::Array(_)]));
        knows(&mut self.subject) && knows(&mut self.peer)
    }

    /// Empties both servers and opens new connections: the state that every run starts from.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        self.queued.clear();
        self.subject.begin(self.events)?;
        self.peer.begin(self.events)
    }

    /// Sends steps to both servers; the first difference, with its steps ending at it.
    pub(super) fn exchange(&mut self, steps: &[Step]) -> Option<Difference> {
        let mut done = 0;
        if self.events.is_some() {
            // What audits caused is nobody's business.
            self.subject.events();
            self.peer.events();
        }
        while done < steps.len() {
            // A SCAN is a dialogue; everything between two of them goes out in one write.
            let rest = &steps[done..];
            let length = match self.events {
                Some(_) => 1,
                None => rest
                    .iter()
                    .position(|step| step.mode == Mode::Scan)
                    .unwrap_or(rest.len()),
            };
            let batch = &rest[..length.max(1)];
            let replies = match batch {
                [step] if step.mode == Mode::Scan => {
                    vec![(self.subject.scan(&step.args), self.peer.scan(&step.args))]
                }
                _ => self.pipeline(batch),
            };
            for (step, (ours, theirs)) in batch.iter().zip(replies) {
                done += 1;
                let failed = has_error(&ours) || has_error(&theirs);
                let difference = self.judge(step, ours, theirs);
                let difference = difference.or_else(|| self.judge_events(step, failed));
                if let Some(mut difference) = difference {
                    difference.steps = steps[..done - 1].to_vec();
                    return Some(difference);
                }
            }
        }
        None
    }

    fn pipeline(&mut self, steps: &[Step]) -> Vec<(Reply, Reply)> {
        let mut wire = Vec::new();
        for step in steps {
            client::encode(&mut wire, &step.args);
        }
        self.subject.send(&wire);
        self.peer.send(&wire);
        steps
            .iter()
            .map(|_| (self.subject.receive(), self.peer.receive()))
            .collect()
    }

    fn judge(&mut self, step: &Step, ours: Reply, theirs: Reply) -> Option<Difference> {
        let name = step
            .args
            .first()
            .map(|name| name.to_ascii_uppercase())
            .unwrap_or_default();
        if ours.bytes() == Some(b"QUEUED") {
            self.queued.push(step.clone());
        } else if name == b"EXEC" {
            let queued = mem::take(&mut self.queued);
            return self.judge_queued(&queued, step, ours, theirs);
        } else if name == b"DISCARD" || name == b"RESET" {
            self.queued.clear();
        }
        if agree(step.mode, &ours, &theirs) {
            return None;
        }
        self.unless_accepted(step.line(), ours, theirs)
    }

    /// Compares two replies to EXEC: each element as a reply to the command that was queued.
    fn judge_queued(
        &mut self,
        queued: &[Step],
        exec: &Step,
        ours: Reply,
        theirs: Reply,
    ) -> Option<Difference> {
        let (Reply::Array(our_items), Reply::Array(their_items)) = (&ours, &theirs) else {
            let same = ours == theirs;
            return (!same).then(|| self.difference(exec.line(), ours, theirs));
        };
        let mut same = [our_items.len(), their_items.len()] == [queued.len(); 2];
        for (step, (a, b)) in queued.iter().zip(our_items.iter().zip(their_items)) {
            // A queued SCAN is one step of an iteration, and steps are each server's own.
            let mode = match step.mode {
                Mode::Scan => Mode::Shape,
                mode => mode,
            };
            same = same && (agree(mode, a, b) || self.is_accepted(&step.line(), a, b));
        }
        (!same).then(|| self.difference(exec.line(), ours, theirs))
    }

    /// Compares what the two servers told of a step. Of a command that `failed` it is their own
    /// business which missing keys they had looked at before.
    fn judge_events(&mut self, step: &Step, failed: bool) -> Option<Difference> {
        self.events?;
        let told = |side: &mut Side| match failed {
            true => events::without_misses(side.events()),
            false => side.events(),
        };
        let (ours, theirs) = (told(&mut self.subject), told(&mut self.peer));
        if ours == theirs {
            return None;
        }
        self.unless_accepted(format!("events of {}", step.line()), ours, theirs)
    }

    fn unless_accepted(&mut self, asked: String, ours: Reply, theirs: Reply) -> Option<Difference> {
        let known = self.is_accepted(&asked, &ours, &theirs);
        (!known).then(|| self.difference(asked, ours, theirs))
    }

    /// Whether the difference between these replies is a known one; counts it then.
    fn is_accepted(&mut self, asked: &str, ours: &Reply, theirs: &Reply) -> bool {
        let kinds = (self.subject.kind, self.peer.kind);
        let known = accepted::explain(kinds.0, kinds.1, asked, ours, theirs);
        let known = known.filter(|_| self.accept_known);
        if let Some(row) = known {
            *self.accepted.entry(row.reason).or_default() += 1;
        }
        known.is_some()
    }

    fn difference(&self, asked: String, subject: Reply, peer: Reply) -> Difference {
        let log = if self.subject.lost {
            self.subject.server.log()
        } else {
            String::new()
        };
        Difference {
            steps: Vec::new(),
            asked,
            subject,
            peer,
            log,
        }
    }

    /// Compares both servers' data: keys of every database, then type, value, encoding and deadline
    /// of each.
    pub(super) fn audit(&mut self) -> Option<Difference> {
        for database in 0..DATABASES {
            let number = database.to_string();
            for side in [&mut self.subject, &mut self.peer] {
                side.ask(&[b"SELECT", number.as_bytes()]);
            }
            let context = format!("[database {database}]");
            let (keys, difference) = self.look(&context, &[b"KEYS", b"*"], Mode::Unordered);
            if difference.is_some() {
                return difference;
            }
            for key in keys.items().unwrap_or_default() {
                let difference = self.audit_key(&context, key.bytes().unwrap_or_default());
                if difference.is_some() {
                    return difference;
                }
            }
        }
        None
    }

    fn audit_key(&mut self, context: &str, key: &[u8]) -> Option<Difference> {
        let (kind, mut difference) = self.look(context, &[b"TYPE", key], Mode::Exact);
        let reader = READERS
            .iter()
            .find(|row| kind.bytes() == Some(row.0.as_bytes()));
        // A type without a reader (or a key that has gone meanwhile) still has the rest compared.
        let (_, words, mode) = reader.unwrap_or(&("none", &["EXISTS", "KEY"], Mode::Exact));
        let read = words
            .iter()
            .map(|word| if *word == "KEY" { key } else { word.as_bytes() });
        let read: Vec<&[u8]> = read.collect();
        let questions: [(&[&[u8]], Mode); 3] = [
            (&read, *mode),
            (&[b"OBJECT", b"ENCODING", key], Mode::Exact),
            (&[b"PEXPIRETIME", key], Mode::Near(5000)),
        ];
        for (question, mode) in questions {
            if difference.is_none() {
                (_, difference) = self.look(context, question, mode);
            }
        }
        difference
    }

    /// Asks both the same on the auditors' connections; the subject's reply, and the difference if
    /// there is one.
    fn look(
        &mut self,
        context: &str,
        question: &[&[u8]],
        mode: Mode,
    ) -> (Reply, Option<Difference>) {
        let (ours, theirs) = (self.subject.ask(question), self.peer.ask(question));
        if agree(mode, &ours, &theirs) {
            return (ours, None);
        }
        let args = question.iter().map(|word| word.to_vec()).collect();
        let line = Step { args, mode }.line();
        let difference = self.unless_accepted(line, ours.clone(), theirs);
        let placed = difference.map(|d| Difference {
            asked: format!("{context} {}", d.asked),
            ..d
        });
        (ours, placed)
    }
}
