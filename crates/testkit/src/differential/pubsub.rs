//! Publish/subscribe, compared: several connections in a fixed interleaving.
//!
//! A step is what one connection sends in one write: a command, or a few (a transaction, CLIENT
//! REPLY around a command). Then every connection is asked for a mark, by PING, and what it gets
//! before the mark is compared: replies, confirmations, messages and keyspace events, in order. So
//! each message is seen to come to the right connections, once, and at its place among the replies
//! of a connection that listens to itself.
//!
//! Invariant: as in the other mode, the steps depend on the seed only.

use std::io;

use crate::client::{Client, encode};
use crate::peers::Kind;
use crate::process::Server;
use crate::random::Random;
use crate::reply::Reply;

/// Connections of each server.
const CONNECTIONS: usize = 4;
/// Steps after which both servers get new connections.
const EPISODE: usize = 200;
/// What marks are asked for with.
const MARK: &[u8] = b"mark";

const CHANNELS: &[&str] = &["a", "b", "news", "news.1", "__keyevent@0__:set"];
const PATTERNS: &[&str] = &["*", "n*", "news*", "a", "[ab]", "__key*__:*", "news.?"];
const KEYS: &[&str] = &["k", "news"];
/// Longer than what a server copies to each subscriber.
const LONG_MESSAGE: usize = 20_000;

/// Command shapes with their weights: lower-case words are drawn, one to three of those with `+`,
/// none to two of those with `*`.
const SHAPES: &[(usize, &str)] = &[
    (12, "SUBSCRIBE channel+"),
    (10, "PSUBSCRIBE pattern+"),
    (8, "SSUBSCRIBE channel+"),
    (8, "UNSUBSCRIBE channel*"),
    (8, "PUNSUBSCRIBE pattern*"),
    (6, "SUNSUBSCRIBE channel*"),
    (40, "PUBLISH channel message"),
    (14, "SPUBLISH channel message"),
    (3, "PUBSUB CHANNELS"),
    (3, "PUBSUB CHANNELS pattern"),
    (3, "PUBSUB NUMSUB channel*"),
    (3, "PUBSUB NUMPAT"),
    (3, "PUBSUB SHARDCHANNELS"),
    (3, "PUBSUB SHARDNUMSUB channel*"),
    (5, "HELLO 2"),
    (8, "HELLO 3"),
    (2, "RESET"),
    (6, "SET key message"),
    (4, "GET key"),
    (4, "DEL key"),
    (2, "PING"),
    (1, "PUBSUB NOSUCH"),
    (1, "PUBLISH channel"),
];

/// What one connection sends in one write.
#[derive(Clone, Debug)]
struct Step {
    connection: usize,
    commands: Vec<Vec<Vec<u8>>>,
}

impl Step {
    fn line(&self) -> String {
        let command = |words: &Vec<Vec<u8>>| {
            let words = words.iter().map(|word| match word.len() {
                0 => "\"\"".into(),
                1..=40 => String::from_utf8_lossy(word).into_owned(),
                long => format!("<{long} bytes>"),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let commands: Vec<String> = self.commands.iter().map(command).collect();
        format!("{}> {}", self.connection, commands.join(" ; "))
    }
}

struct Generator(Random);

impl Generator {
    fn step(&mut self) -> Step {
        let words = |line: &str| line.split(' ').map(|word| word.into()).collect();
        let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
        let count = 1 + self.0.below(3);
        match self.0.below(10) {
            0 => {
                commands.push(words("MULTI"));
                // A message to oneself from before a HELLO inside is in the old protocol in Redis.
                // What is given up all at once takes more places than one in EXEC's reply, in any
                // order.
                let fits = |words: &Vec<Vec<u8>>| {
                    words[0] != b"HELLO" && (words.len() > 1 || !words[0].ends_with(b"UNSUBSCRIBE"))
                };
                let inside = std::iter::repeat_with(|| self.command());
                commands.extend(inside.filter(fits).take(count));
                commands.push(words("EXEC"));
            }
            1 => {
                commands.push(words("CLIENT REPLY SKIP"));
                commands.push(self.command());
            }
            2 => {
                commands.push(words("CLIENT REPLY OFF"));
                commands.extend((0..count).map(|_| self.command()));
                // Not CLIENT REPLY ON: who listens and speaks RESP2 may not say it.
                commands.push(words("RESET"));
            }
            3 | 4 => commands.extend((0..count).map(|_| self.command())),
            _ => commands.push(self.command()),
        }
        Step {
            connection: self.0.below(CONNECTIONS),
            commands,
        }
    }

    fn command(&mut self) -> Vec<Vec<u8>> {
        let total: usize = SHAPES.iter().map(|(weight, _)| weight).sum();
        let mut at = self.0.below(total);
        let mut shapes = SHAPES.iter();
        let shape = loop {
            // Invariant: `at` is below the sum of the weights.
            let (weight, shape) = shapes.next().expect("a shape for every number");
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => break shape,
            }
        };
        shape.split(' ').flat_map(|word| self.word(word)).collect()
    }

    fn word(&mut self, word: &str) -> Vec<Vec<u8>> {
        let (name, count) = match word.as_bytes().last() {
            Some(b'+') => (&word[..word.len() - 1], 1 + self.0.below(3)),
            Some(b'*') => (&word[..word.len() - 1], self.0.below(3)),
            _ => (word, 1),
        };
        let mut draw = || match name {
            "channel" => self.0.pick(CHANNELS).as_bytes().to_vec(),
            "pattern" => self.0.pick(PATTERNS).as_bytes().to_vec(),
            "key" => self.0.pick(KEYS).as_bytes().to_vec(),
            "message" if self.0.one_in(40) => vec![b'm'; LONG_MESSAGE],
            "message" => self.0.below(1000).to_string().into_bytes(),
            literal => literal.as_bytes().to_vec(),
        };
        (0..count).map(|_| draw()).collect()
    }
}

/// A server and its connections.
struct Side {
    server: Server,
    clients: Vec<Client>,
}

impl Side {
    fn start(kind: Kind) -> Result<Side, String> {
        let server = Server::start(kind, &[])?;
        let clients = Vec::new();
        Ok(Side { server, clients })
    }

    /// An empty server and new connections, once the old ones are gone.
    fn begin(&mut self) -> io::Result<()> {
        self.clients.clear();
        let mut client = self.server.connect()?;
        while client.call(&["PUBSUB", "NUMPAT"])? != Reply::Int(0)
            || client.call(&["PUBSUB", "CHANNELS"])? != Reply::Array(Vec::new())
            || client.call(&["PUBSUB", "SHARDCHANNELS"])? != Reply::Array(Vec::new())
        {
            // Connections end when the server gets to know of it; `call` has the deadline.
        }
        client.call(&["FLUSHALL"])?;
        client.call(&["CONFIG", "SET", "notify-keyspace-events", "KEA"])?;
        for _ in 0..CONNECTIONS {
            self.clients.push(self.server.connect()?);
        }
        Ok(())
    }

    /// What each connection gets of a step.
    fn run(&mut self, step: &Step) -> io::Result<Vec<Vec<Reply>>> {
        let mut wire = Vec::new();
        for command in &step.commands {
            encode(&mut wire, command);
        }
        self.clients[step.connection].send_raw(&wire)?;
        let mut all = vec![Vec::new(); CONNECTIONS];
        // First the one that acts: only then is it certain that the others have all in front of
        // their marks.
        let others = (0..CONNECTIONS).filter(|&at| at != step.connection);
        for at in [step.connection].into_iter().chain(others) {
            let client = &mut self.clients[at];
            client.send(&[b"PING", MARK])?;
            loop {
                let reply = client.receive()?;
                if is_mark(&reply) {
                    break;
                }
                all[at].push(reply);
            }
            all[at] = canonical(std::mem::take(&mut all[at]));
        }
        Ok(all)
    }
}

/// The answer to PING: a string, or a pair while a connection listens.
fn is_mark(reply: &Reply) -> bool {
    match reply {
        Reply::Bulk(text) => text == MARK,
        Reply::Array(items) => items.last().and_then(Reply::bytes) == Some(MARK),
        _ => false,
    }
}

/// The replies without what is in no order: which of the patterns that fit a message comes first,
/// which subscription is given up first, and in which order channels are listed. HELLO's reply is
/// each server's own.
fn canonical(replies: Vec<Reply>) -> Vec<Reply> {
    let word = |reply: &Reply| {
        let first = reply.items().and_then(|items| items.first()?.bytes());
        first.unwrap_or_default().to_vec()
    };
    let mut result: Vec<Reply> = Vec::new();
    for group in replies.chunk_by(|a, b| word(a) == word(b)) {
        let mut group: Vec<Reply> = group.iter().cloned().map(within).collect();
        match &*word(&group[0]) {
            b"pmessage" => group.sort_by_cached_key(|reply| (payload(reply), reply.lines())),
            b"unsubscribe" | b"punsubscribe" | b"sunsubscribe" => {
                let counts: Vec<Reply> = group.iter().filter_map(last).collect();
                let without = |reply: &Reply| reply.lines()[..2].concat();
                let mut names: Vec<String> = group.iter().map(without).collect();
                names.sort_unstable();
                let names = names
                    .into_iter()
                    .map(|name| Reply::Status(name.into_bytes()));
                group = names.chain(counts).collect();
            }
            _ => {}
        }
        result.extend(group);
    }
    result
}

fn last(reply: &Reply) -> Option<Reply> {
    reply.items()?.last().cloned()
}

/// Channel and payload of a message by pattern: those of one message stand together.
fn payload(reply: &Reply) -> Vec<String> {
    let items = reply.items().unwrap_or_default();
    items.iter().skip(2).flat_map(Reply::lines).collect()
}

/// A reply, or one inside of EXEC's, with lists of names in order and without HELLO's content.
fn within(reply: Reply) -> Reply {
    let is_hello = |key: Option<&Reply>| key.and_then(Reply::bytes) == Some(b"server");
    match reply {
        Reply::Map(pairs) if is_hello(pairs.first().map(|(key, _)| key)) => {
            Reply::Status(b"HELLO 3".to_vec())
        }
        Reply::Array(items) if is_hello(items.first()) => Reply::Status(b"HELLO 2".to_vec()),
        Reply::Array(items)
            if items
                .iter()
                .any(|item| item.items().is_some() || matches!(item, Reply::Map(_))) =>
        {
            Reply::Array(canonical(items))
        }
        Reply::Array(items) if items.iter().all(|item| matches!(item, Reply::Bulk(_))) => {
            let is_message = items
                .first()
                .and_then(Reply::bytes)
                .is_some_and(|word| word.ends_with(b"message") && items.len() > 2);
            match is_message {
                true => Reply::Array(items),
                false => Reply::Array(items).sorted(),
            }
        }
        other => other,
    }
}

/// Runs so many steps on `subject` and `peer`. Returns how many, or the steps that lead to the
/// first difference, and what it is.
pub fn run(subject: Kind, peer: Kind, seed: u64, steps: usize) -> Result<usize, String> {
    let mut sides = [Side::start(subject)?, Side::start(peer)?];
    let mut generator = Generator(Random::new(seed));
    let mut done = 0;
    while done < steps {
        let length = EPISODE.min(steps - done);
        let episode: Vec<Step> = (0..length).map(|_| generator.step()).collect();
        if let Some(mut found) = rerun(&mut sides, &episode)? {
            let mut rest = episode;
            // Steps that are not needed for it go, from the end, where most are not.
            for at in (0..found.0).rev() {
                let mut shorter = rest.clone();
                shorter.remove(at);
                if let Some(again) = rerun(&mut sides, &shorter)? {
                    (rest, found) = (shorter, again);
                }
            }
            let lines: Vec<String> = rest[..=found.0].iter().map(Step::line).collect();
            let lines = lines.join("\n  ");
            return Err(format!(
                "seed {seed}, on empty servers:\n  {lines}\n{}",
                found.1
            ));
        }
        done += length;
    }
    Ok(done)
}

/// Runs steps on empty servers; the number of the first one that differs, and how.
fn rerun(sides: &mut [Side; 2], steps: &[Step]) -> Result<Option<(usize, String)>, String> {
    let failure = |error: io::Error| error.to_string();
    for side in &mut *sides {
        side.begin().map_err(failure)?;
    }
    for (at, step) in steps.iter().enumerate() {
        let [subject, peer] = &mut *sides;
        let line = |error: io::Error| format!("{}: {error}", step.line());
        let (ours, theirs) = (subject.run(step), peer.run(step).map_err(line)?);
        let Ok(ours) = ours else {
            return Ok(Some((at, format!("{}: {:?}", step.line(), ours.err()))));
        };
        for (connection, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            if ours != theirs {
                let text = |side: &[Reply]| {
                    let lines = side.iter().flat_map(Reply::lines);
                    lines
                        .map(|line| format!("\n    {line:.100}"))
                        .collect::<String>()
                };
                let (ours, theirs) = (text(ours), text(theirs));
                let told = format!("connection {connection}\n  subject:{ours}\n  peer:{theirs}");
                return Ok(Some((at, told)));
            }
        }
    }
    Ok(None)
}
