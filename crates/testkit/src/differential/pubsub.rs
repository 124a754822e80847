//! Publish/subscribe on several connections: a step is a command or a few, a transaction, or CLIENT
//! REPLY around a command. Compared are replies, confirmations, messages and keyspace events.

use std::collections::BTreeSet;
use std::io;

use super::several::{self, Begun, MARK, Step, Theme};
use crate::client::Client;
use crate::process::Server;
use crate::random::Random;
use crate::reply::Reply;

/// Connections of each server.
const CONNECTIONS: usize = 4;

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

/// The theme.
pub const THEME: Theme = Theme {
    name: "publish/subscribe",
    step,
    begin,
    answers,
    canonical,
};

fn step(random: &mut Random, _: &mut BTreeSet<usize>) -> Step {
    let words = |line: &str| line.split(' ').map(|word| word.into()).collect();
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    let count = 1 + random.below(3);
    match random.below(10) {
        0 => {
            commands.push(words("MULTI"));
            // A message to oneself from before a HELLO inside is in the old protocol in Redis. What
            // is given up all at once takes more places than one in EXEC's reply, in any order.
            let fits = |words: &Vec<Vec<u8>>| {
                words[0] != b"HELLO" && (words.len() > 1 || !words[0].ends_with(b"UNSUBSCRIBE"))
            };
            let inside = std::iter::repeat_with(|| command(random));
            commands.extend(inside.filter(fits).take(count));
            commands.push(words("EXEC"));
        }
        1 => {
            commands.push(words("CLIENT REPLY SKIP"));
            commands.push(command(random));
        }
        2 => {
            commands.push(words("CLIENT REPLY OFF"));
            commands.extend((0..count).map(|_| command(random)));
            // Not CLIENT REPLY ON: who listens and speaks RESP2 may not say it.
            commands.push(words("RESET"));
        }
        3 | 4 => commands.extend((0..count).map(|_| command(random))),
        _ => commands.push(command(random)),
    }
    Step {
        connection: random.below(CONNECTIONS),
        commands,
    }
}

fn command(random: &mut Random) -> Vec<Vec<u8>> {
    several::command(random, SHAPES, word)
}

fn word(random: &mut Random, word: &'static str) -> Vec<Vec<u8>> {
    let (name, count) = match word.as_bytes().last() {
        Some(b'+') => (&word[..word.len() - 1], 1 + random.below(3)),
        Some(b'*') => (&word[..word.len() - 1], random.below(3)),
        _ => (word, 1),
    };
    let mut draw = || match name {
        "channel" => random.pick(CHANNELS).as_bytes().to_vec(),
        "pattern" => random.pick(PATTERNS).as_bytes().to_vec(),
        "key" => random.pick(KEYS).as_bytes().to_vec(),
        "message" if random.one_in(40) => vec![b'm'; LONG_MESSAGE],
        "message" => random.below(1000).to_string().into_bytes(),
        literal => literal.as_bytes().to_vec(),
    };
    (0..count).map(|_| draw()).collect()
}

/// Empty servers and new connections, once the old ones are gone.
fn begin(servers: &[&Server; 2]) -> io::Result<[Begun; 2]> {
    let begin = |server: &Server| -> io::Result<Begun> {
        let mut client = server.connect()?;
        while client.call(&["PUBSUB", "NUMPAT"])? != Reply::Int(0)
            || client.call(&["PUBSUB", "CHANNELS"])? != Reply::Array(Vec::new())
            || client.call(&["PUBSUB", "SHARDCHANNELS"])? != Reply::Array(Vec::new())
        {
            // Connections end when the server gets to know of it; `call` has the deadline.
        }
        client.call(&["FLUSHALL"])?;
        client.call(&["CONFIG", "SET", "notify-keyspace-events", "KEA"])?;
        let clients = (0..CONNECTIONS).map(|_| server.connect());
        Ok(Begun {
            clients: clients.collect::<io::Result<_>>()?,
            stand_in: None,
        })
    };
    Ok([begin(servers[0])?, begin(servers[1])?])
}

/// All that comes before the mark. How many replies a command has depends on what is subscribed.
fn answers(client: &mut Client, _: usize) -> io::Result<Vec<Reply>> {
    client.send(&[b"PING", MARK])?;
    let mut answers = Vec::new();
    loop {
        let reply = client.receive()?;
        if is_mark(&reply) {
            return Ok(answers);
        }
        answers.push(reply);
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
