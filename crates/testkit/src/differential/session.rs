//! The two servers side by side: sends chunks to both, compares replies, and audits the data sets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::compare::{agree, agree_queued};
use super::{Difference, Mode, Plan, Step, accepted};
use crate::client::{self, Client};
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
];

/// Both servers and their connections.
pub(super) struct Pair {
    accept_known: bool,
    subject: Side,
    peer: Side,
    accepted: BTreeMap<&'static str, usize>,
    /// Modes of the commands queued by an open MULTI.
    queued: Vec<Mode>,
}

struct Side {
    server: Server,
    /// The stream's connection.
    stream: Client,
    /// The auditor's connection; always RESP2.
    auditor: Client,
}

impl Side {
    fn start(kind: crate::peers::Kind) -> Result<Side, String> {
        let server = Server::start(kind, &[])?;
        let connect = || server.connect().map_err(|error| error.to_string());
        let (stream, auditor) = (connect()?, connect()?);
        Ok(Side {
            server,
            stream,
            auditor,
        })
    }

    fn lost(&self, error: io::Error) -> String {
        format!(
            "{}: {error}\n{}",
            self.server.kind().name(),
            self.server.log()
        )
    }

    fn ask(&mut self, args: &[&[u8]]) -> Result<Reply, String> {
        self.auditor.call(args).map_err(|error| self.lost(error))
    }

    fn send(&mut self, wire: &[u8]) -> Result<(), String> {
        self.stream.send_raw(wire).map_err(|error| self.lost(error))
    }

    fn receive(&mut self, step: &Step) -> Result<Reply, String> {
        let reply = self.stream.receive();
        reply.map_err(|error| format!("no reply to `{}`: {}", step.line(), self.lost(error)))
    }

    /// Iterates a SCAN to its end; the elements as one reply, or whatever else the server answered.
    fn scan(&mut self, args: &[Vec<u8>]) -> Result<Reply, String> {
        let mut args = args.to_vec();
        let mut seen = BTreeSet::new();
        loop {
            let reply = self.stream.call(&args).map_err(|error| self.lost(error))?;
            let Some([Reply::Bulk(cursor), Reply::Array(keys)]) = reply.items() else {
                return Ok(reply);
            };
            seen.extend(keys.iter().cloned());
            if cursor == b"0" {
                return Ok(Reply::Set(seen.into_iter().collect()));
            }
            args[1].clone_from(cursor);
        }
    }
}

impl Pair {
    pub(super) fn start(plan: &Plan) -> Result<Pair, String> {
        Ok(Pair {
            accept_known: plan.accept_known,
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
    pub(super) fn both_have(&mut self, name: &str) -> Result<bool, String> {
        let question: [&[u8]; 3] = [b"COMMAND", b"INFO", name.as_bytes()];
        for side in [&mut self.subject, &mut self.peer] {
            let reply = side.ask(&question)?;
            let known = matches!(reply.items(), Some([Reply::Array(_)]));
            if !known {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Empties both servers and opens new connections: the state that every run starts from.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        self.queued.clear();
        for side in [&mut self.subject, &mut self.peer] {
            side.ask(&[b"FLUSHALL"])?;
            side.stream = side.server.connect().map_err(|error| side.lost(error))?;
        }
        Ok(())
    }

    /// Sends steps to both servers; the first difference, with its steps ending at it.
    pub(super) fn exchange(&mut self, steps: &[Step]) -> Result<Option<Difference>, String> {
        let mut done = 0;
        while done < steps.len() {
            // A SCAN is a dialogue; everything between two of them goes out in one write.
            let rest = &steps[done..];
            let length = rest
                .iter()
                .position(|step| step.mode == Mode::Scan)
                .unwrap_or(rest.len());
            let batch = &rest[..length.max(1)];
            let replies = match batch {
                [step] if step.mode == Mode::Scan => {
                    vec![(self.subject.scan(&step.args)?, self.peer.scan(&step.args)?)]
                }
                _ => self.pipeline(batch)?,
            };
            for (step, (ours, theirs)) in batch.iter().zip(replies) {
                done += 1;
                if let Some(mut difference) = self.judge(step, ours, theirs) {
                    difference.steps = steps[..done - 1].to_vec();
                    return Ok(Some(difference));
                }
            }
        }
        Ok(None)
    }

    fn pipeline(&mut self, steps: &[Step]) -> Result<Vec<(Reply, Reply)>, String> {
        let mut wire = Vec::new();
        for step in steps {
            client::encode(&mut wire, &step.args);
        }
        self.subject.send(&wire)?;
        self.peer.send(&wire)?;
        let both = |step| Ok((self.subject.receive(step)?, self.peer.receive(step)?));
        steps.iter().map(both).collect()
    }

    fn judge(&mut self, step: &Step, ours: Reply, theirs: Reply) -> Option<Difference> {
        let name = step
            .args
            .first()
            .map(|name| name.to_ascii_uppercase())
            .unwrap_or_default();
        let is_exec = name == b"EXEC";
        let same = if is_exec {
            agree_queued(&self.queued, &ours, &theirs)
        } else {
            agree(step.mode, &ours, &theirs)
        };
        if ours.bytes() == Some(b"QUEUED") {
            self.queued.push(step.mode);
        } else if is_exec || name == b"DISCARD" || name == b"RESET" {
            self.queued.clear();
        }
        if same {
            return None;
        }
        self.unless_accepted(step.line(), ours, theirs)
    }

    fn unless_accepted(&mut self, asked: String, ours: Reply, theirs: Reply) -> Option<Difference> {
        let kinds = (self.subject.server.kind(), self.peer.server.kind());
        let known = accepted::explain(kinds.0, kinds.1, &asked, &ours, &theirs);
        match known {
            Some(row) if self.accept_known => {
                *self.accepted.entry(row.reason).or_default() += 1;
                None
            }
            _ => Some(Difference {
                steps: Vec::new(),
                asked,
                subject: ours,
                peer: theirs,
            }),
        }
    }

    /// Compares both servers' data: keys of every database, then type, value, encoding and deadline
    /// of each.
    pub(super) fn audit(&mut self) -> Result<Option<Difference>, String> {
        for database in 0..DATABASES {
            let number = database.to_string();
            for side in [&mut self.subject, &mut self.peer] {
                side.ask(&[b"SELECT", number.as_bytes()])?;
            }
            let context = format!("[database {database}]");
            let (keys, difference) = self.look(&context, &[b"KEYS", b"*"], Mode::Unordered)?;
            if difference.is_some() {
                return Ok(difference);
            }
            for key in keys.items().unwrap_or_default() {
                let difference = self.audit_key(&context, key.bytes().unwrap_or_default())?;
                if difference.is_some() {
                    return Ok(difference);
                }
            }
        }
        Ok(None)
    }

    fn audit_key(&mut self, context: &str, key: &[u8]) -> Result<Option<Difference>, String> {
        let (kind, mut difference) = self.look(context, &[b"TYPE", key], Mode::Exact)?;
        let reader = READERS
            .iter()
            .find(|row| kind.bytes() == Some(row.0.as_bytes()));
        let (_, words, mode) =
            reader.ok_or_else(|| format!("no way to read a value of type {kind}"))?;
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
                (_, difference) = self.look(context, question, mode)?;
            }
        }
        Ok(difference)
    }

    /// Asks both the same on the auditors' connections; the subject's reply, and the difference if
    /// there is one.
    fn look(
        &mut self,
        context: &str,
        question: &[&[u8]],
        mode: Mode,
    ) -> Result<(Reply, Option<Difference>), String> {
        let (ours, theirs) = (self.subject.ask(question)?, self.peer.ask(question)?);
        if agree(mode, &ours, &theirs) {
            return Ok((ours, None));
        }
        let args = question.iter().map(|word| word.to_vec()).collect();
        let line = Step { args, mode }.line();
        let difference = self.unless_accepted(line, ours.clone(), theirs);
        let placed = difference.map(|d| Difference {
            asked: format!("{context} {}", d.asked),
            ..d
        });
        Ok((ours, placed))
    }
}
