//! Transactions, scripts and client-side caching on several connections, command by command, so
//! that what one sends between MULTI and EXEC has the others' commands in between. Compared are
//! replies, invalidations, and messages to who has subscribed.
//!
//! Three connections speak RESP3, and one of those listens to a channel; one speaks RESP2 and has
//! its invalidations sent to the fifth, which only listens.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;

use super::several::{self, Begun, MARK, Step, Theme};
use crate::client::Client;
use crate::process::Server;
use crate::random::Random;
use crate::reply::Reply;

/// The theme.
pub const THEME: Theme = Theme {
    name: "transactions, scripts, caching",
    step,
    begin,
    answers,
    canonical,
};

/// Connections that act.
const ACTORS: usize = 4;
/// The one that speaks RESP2.
const OLD: usize = 3;
/// Stands for the number of the connection that invalidations are sent to.
const LISTENER_ID: &str = "listener";

const KEYS: &[&str] = &["a", "b", "c", "n:1", "n:2"];
const TEXTS: &[&str] = &["1", "2", "x", ""];
const SCRIPTS: &[&str] = &[
    "return redis.call('GET',KEYS[1])",
    "return redis.call('INCR',KEYS[1])",
    "redis.call('SET',KEYS[1],ARGV[1]) return redis.call('MGET',KEYS[1],KEYS[2])",
    "redis.call('DEL',KEYS[1]) redis.call('SET',KEYS[2],'y') return redis.call('EXISTS','a','b')",
    "redis.call('PUBLISH','news',ARGV[1]) return {KEYS[1],ARGV[1],redis.call('DBSIZE')}",
    "local r=redis.pcall('INCR',KEYS[1]) if r['err'] then return 'no' end return r",
    "redis.setresp(3) return redis.call('HGETALL',KEYS[1])",
    "return redis.call('MULTI')",
    "return redis.call('WATCH',KEYS[1])",
    "return redis.call('CLIENT','TRACKING','OFF')",
    "error('stop') redis.call('SET',KEYS[1],'z')",
    "redis.call('SET',KEYS[1],'w') error({err='My own'})",
    "#!lua flags=no-writes\nreturn redis.call('GET',KEYS[1])",
    "#!lua flags=no-writes\nreturn redis.call('INCR',KEYS[1])",
];
/// Loaded at the start of an episode.
const LIBRARY: &str = "#!lua name=lib\n\
    redis.register_function('put',function(k,a) return redis.call('SET',k[1],a[1]) end)\n\
    redis.register_function{function_name='look',\
    callback=function(k) return redis.call('GET',k[1]) end,flags={'no-writes'}}";

/// Command shapes with their weights: lower-case words are drawn, one to three of those with `+`.
/// Not BCAST with NOLOOP: Redis tells a client of what its own scripts have changed.
const SHAPES: &[(usize, &str)] = &[
    (30, "MULTI"),
    (40, "EXEC"),
    (8, "DISCARD"),
    (30, "WATCH key+"),
    (6, "UNWATCH"),
    (40, "GET key"),
    (20, "MGET key+"),
    (40, "SET key text"),
    (8, "MSET key text key text"),
    (16, "INCR key"),
    (8, "APPEND key text"),
    (10, "DEL key+"),
    (4, "EXPIRE key 1000"),
    (3, "EXPIRE key -1"),
    (4, "RENAME key key"),
    (4, "COPY key key REPLACE"),
    (3, "MOVE key 1"),
    (6, "LPUSH key text"),
    (6, "LRANGE key 0 -1"),
    (4, "HSET key text text"),
    (4, "HGETALL key"),
    (4, "OBJECT ENCODING key"),
    (4, "TYPE key"),
    (4, "DBSIZE"),
    (2, "FLUSHDB"),
    (2, "FLUSHALL"),
    (2, "SWAPDB 0 1"),
    (5, "SELECT db"),
    (10, "PUBLISH news text"),
    (24, "EVAL script 2 key key text"),
    (6, "EVAL_RO script 2 key key text"),
    (3, "EVALSHA 0123456789012345678901234567890123456789 0"),
    (6, "FCALL put 1 key text"),
    (6, "FCALL_RO look 1 key"),
    (2, "FCALL nosuch 0"),
    (10, "CLIENT TRACKING ON"),
    (5, "CLIENT TRACKING ON NOLOOP"),
    (5, "CLIENT TRACKING ON OPTIN"),
    (5, "CLIENT TRACKING ON OPTOUT"),
    (5, "CLIENT TRACKING ON BCAST"),
    (5, "CLIENT TRACKING ON BCAST PREFIX n:"),
    (3, "CLIENT TRACKING ON BCAST PREFIX a"),
    (8, "CLIENT TRACKING ON REDIRECT listener"),
    (4, "CLIENT TRACKING ON BCAST REDIRECT listener"),
    (2, "CLIENT TRACKING ON REDIRECT 123456789"),
    (8, "CLIENT TRACKING OFF"),
    (6, "CLIENT CACHING YES"),
    (6, "CLIENT CACHING NO"),
    (3, "CLIENT GETREDIR"),
    (3, "CLIENT TRACKINGINFO"),
    (2, "GET"),
    (2, "NOSUCH key"),
];

fn step(random: &mut Random, open: &mut BTreeSet<usize>) -> Step {
    let connection = random.below(ACTORS);
    let mut commands = Vec::new();
    let count = match random.below(4) {
        0 => 1 + random.below(4),
        _ => 1,
    };
    while commands.len() < count {
        let command = several::command(random, SHAPES, word);
        match &*command[0] {
            b"MULTI" => _ = open.insert(connection),
            b"EXEC" | b"DISCARD" => _ = open.remove(&connection),
            // What a transaction has changed is told by the rules of its end, not of its middle.
            b"CLIENT" if open.contains(&connection) => continue,
            // BCAST tells at the end of a round what happened in it, and Redis does FLUSHALL apart.
            b"CLIENT" | b"FLUSHALL" | b"FLUSHDB" if count > 1 => continue,
            _ => {}
        }
        commands.push(command);
    }
    Step {
        connection,
        commands,
    }
}

fn word(random: &mut Random, word: &'static str) -> Vec<Vec<u8>> {
    let (name, count) = match word.strip_suffix('+') {
        Some(name) => (name, 1 + random.below(3)),
        None => (word, 1),
    };
    let mut draw = || match name {
        "key" => *random.pick(KEYS),
        "text" => *random.pick(TEXTS),
        "script" => *random.pick(SCRIPTS),
        "db" => *random.pick(&["0", "0", "1", "16"]),
        literal => literal,
    };
    (0..count).map(|_| draw().as_bytes().to_vec()).collect()
}

/// Empty servers, and listeners with the same number on both.
fn begin(servers: &[&Server; 2]) -> io::Result<[Begun; 2]> {
    for server in servers {
        let mut client = server.connect()?;
        for words in [
            &["FLUSHALL"][..],
            &["SCRIPT", "FLUSH"],
            &["FUNCTION", "FLUSH"],
            &["FUNCTION", "LOAD", LIBRARY],
        ] {
            client.call(words)?;
        }
    }
    let [mut one, mut other] = [servers[0].connect()?, servers[1].connect()?];
    let number = loop {
        let ids = (id(&mut one)?, id(&mut other)?);
        match ids.0.cmp(&ids.1) {
            Ordering::Less => one = servers[0].connect()?,
            Ordering::Greater => other = servers[1].connect()?,
            Ordering::Equal => break ids.0.to_string(),
        }
    };
    let begin = |server: &Server, mut listener: Client| -> io::Result<Begun> {
        let mut clients = Vec::new();
        for number in 0..ACTORS {
            let mut client = server.connect()?;
            if number != OLD {
                client.call(&["HELLO", "3"])?;
            }
            if number == 0 {
                client.call(&["SUBSCRIBE", "news"])?;
            }
            clients.push(client);
        }
        listener.call(&["SUBSCRIBE", "__redis__:invalidate"])?;
        clients.push(listener);
        let stand_in = Some((LISTENER_ID, number.clone()));
        Ok(Begun { clients, stand_in })
    };
    Ok([begin(servers[0], one)?, begin(servers[1], other)?])
}

fn id(client: &mut Client) -> io::Result<i64> {
    match client.call(&["CLIENT", "ID"])? {
        Reply::Int(id) => Ok(id),
        other => Err(io::Error::other(other.lines().concat())),
    }
}

/// The replies to so many commands and what else comes up to the mark. In a transaction the mark is
/// queued like any command, and comes back once more by EXEC, on both servers alike.
fn answers(client: &mut Client, commands: usize) -> io::Result<Vec<Reply>> {
    let mut answers = Vec::new();
    let mut await_replies = |client: &mut Client, count: usize| -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let reply = client.receive()?;
            left -= usize::from(!is_message(&reply));
            answers.push(reply);
        }
        Ok(())
    };
    await_replies(client, commands)?;
    // Only now, so that it is no part of the round that told what the commands have changed.
    client.send(&[b"PING", MARK])?;
    await_replies(client, 1)?;
    // News that come together are in an order that says nothing: a client's own changes are told at
    // the end of its transaction. But for others they come before a message that is about them.
    for group in answers.chunk_by_mut(|a, b| is_message(a) && is_message(b)) {
        if commands > 0 {
            group.sort_by_key(is_invalidation);
        }
        for news in group.chunk_by_mut(|a, b| is_invalidation(a) == is_invalidation(b)) {
            if is_invalidation(&news[0]) {
                news.sort_by_cached_key(Reply::lines);
            }
        }
    }
    Ok(answers)
}

/// What a server sends without being asked.
fn is_message(reply: &Reply) -> bool {
    match reply {
        Reply::Push(_) => true,
        Reply::Array(items) => items.first().and_then(Reply::bytes) == Some(b"message"),
        _ => false,
    }
}

fn is_invalidation(message: &Reply) -> bool {
    message.lines().concat().contains("invalidate")
}

/// BCAST names the keys of a round in any order. Redis 8.2 empties a database in the background and
/// answers FLUSHALL later than it tells who caches keys, but not in a transaction, and tells it
/// for each in a transaction: so that news goes last, and once. And it says null to the listener in
/// the protocol of the client that has its news sent there.
fn canonical(mut answers: Vec<Reply>) -> Vec<Reply> {
    for reply in &mut answers {
        if is_message(reply)
            && let Reply::Push(items) | Reply::Array(items) = reply
        {
            match items.last_mut() {
                Some(Reply::Array(keys)) => keys.sort_by_cached_key(Reply::lines),
                Some(null @ Reply::NilBulk) => *null = Reply::Null,
                _ => {}
            }
        }
    }
    let of_flush = |reply: &Reply| {
        let last = reply.items().and_then(<[Reply]>::last);
        is_message(reply) && last == Some(&Reply::Null)
    };
    answers.sort_by_key(of_flush);
    answers.dedup_by(|a, b| of_flush(a) && of_flush(b));
    answers
}
