//! Scripts on real servers: long ones and who ends them, and what many of them do at once, with one
//! worker and with four.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// How long something may take that does happen.
const PATIENCE: Duration = Duration::from_secs(30);
const CLIENTS: usize = 6;

fn start(workers: &str) -> Server {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let args = ["--workers", workers, "--busy-reply-threshold", "20"];
    Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts")
}

/// A client for each worker and more.
fn crowd(server: &Server) -> Vec<Client> {
    let connect = |_| {
        let mut client = server.connect().expect("it listens");
        assert_eq!(call(&mut client, &["PING"]), Reply::Status(b"PONG".into()));
        client
    };
    (0..CLIENTS).map(connect).collect()
}

fn call(client: &mut Client, words: &[&str]) -> Reply {
    client.call(words).expect("a reply")
}

/// The error's text; nothing for any other reply.
fn error(reply: &Reply) -> String {
    match reply {
        Reply::Error(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

/// Sends `words` until the answer is an error that begins so.
fn await_error(client: &mut Client, words: &[&str], start: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !error(&call(client, words)).starts_with(start) {
        assert!(Instant::now() < deadline, "{words:?} never says {start}");
    }
}

/// Whoever is connected, on the script's worker or another, is told that a script is busy; each of
/// them can end it; then all goes on.
#[test]
fn everybody_hears_of_a_busy_script_and_can_end_it() {
    for workers in ["1", "4"] {
        let server = start(workers);
        let mut clients = crowd(&server);
        for killer in 1..CLIENTS {
            // What follows in the pipeline, and what others send meanwhile, is not lost.
            clients[0]
                .send(&["EVAL", "while true do end", "0"])
                .unwrap();
            clients[0].send(&["ECHO", "behind"]).unwrap();
            for client in &mut clients[1..] {
                await_error(client, &["GET", "key"], "BUSY");
            }
            let mut late = server.connect().unwrap();
            assert!(error(&call(&mut late, &["GET", "key"])).starts_with("BUSY"));
            let answer = call(&mut clients[killer], &["FUNCTION", "KILL"]);
            assert!(error(&answer).starts_with("BUSY"), "{answer:?}");
            let answer = call(&mut clients[killer], &["SCRIPT", "KILL"]);
            assert_eq!(answer, Reply::Status(b"OK".into()));
            let ended = error(&clients[0].receive().unwrap());
            assert!(ended.contains("Script killed by user"), "{ended}");
            let behind = clients[0].receive().unwrap();
            assert_eq!(behind, Reply::Bulk(b"behind".into()));
            await_error(&mut clients[killer], &["SCRIPT", "KILL"], "NOTBUSY");
            for client in clients.iter_mut().chain([&mut late]) {
                let pong = call(client, &["PING"]);
                assert_eq!(pong, Reply::Status(b"PONG".into()));
            }
        }
    }
}

/// A function is ended by FUNCTION KILL only, and its own handler of errors cannot keep it going.
#[test]
fn a_busy_function_ends() {
    let source = "#!lua name=endless\nredis.register_function('endless', function()\n\
                  while true do pcall(function() while true do end end) end end)";
    for workers in ["1", "4"] {
        let server = start(workers);
        let mut clients = crowd(&server);
        call(&mut clients[1], &["FUNCTION", "LOAD", source]);
        clients[0].send(&["FCALL", "endless", "0"]).unwrap();
        await_error(&mut clients[1], &["SCRIPT", "KILL"], "BUSY");
        let answer = call(&mut clients[2], &["FUNCTION", "KILL"]);
        assert_eq!(answer, Reply::Status(b"OK".into()));
        let ended = error(&clients[0].receive().unwrap());
        assert!(ended.contains("FUNCTION KILL"), "{ended}");
    }
}

/// A script that has written cannot be ended, only the server; also one inside of a transaction.
#[test]
fn a_busy_writer_ends_with_the_server() {
    let endless = "redis.call('SET', KEYS[1], 'x') while true do end";
    for (workers, queued) in [("1", false), ("4", false), ("1", true), ("4", true)] {
        let mut server = start(workers);
        let mut clients = crowd(&server);
        if queued {
            call(&mut clients[0], &["MULTI"]);
            call(&mut clients[0], &["EVAL", endless, "1", "key"]);
            clients[0].send(&["EXEC"]).unwrap();
        } else {
            clients[0].send(&["EVAL", endless, "1", "key"]).unwrap();
        }
        await_error(&mut clients[1], &["SCRIPT", "KILL"], "UNKILLABLE");
        for client in &mut clients[1..] {
            await_error(client, &["GET", "key"], "BUSY");
        }
        let _ = clients[2].call(&["SHUTDOWN", "NOSAVE"]);
        let deadline = Instant::now() + PATIENCE;
        while server.is_alive() {
            assert!(Instant::now() < deadline, "it does not end");
        }
    }
}

/// A script that touches a key beyond the declared ones only now and then, after it has written or
/// before: what it does is the same whichever way it ran, and no count is lost.
#[test]
fn undeclared_keys_are_counted_exactly() {
    const RUNS: i64 = 300;
    let script = "local n = tonumber(ARGV[1])
        if n % 7 == 0 then redis.call('INCR', 'early:' .. n % 5) end
        redis.call('INCR', KEYS[1])
        return redis.call('INCR', 'all')";
    let declared = "local n = tonumber(ARGV[1])
        redis.call('INCR', KEYS[1])
        if n % 7 == 0 then redis.call('INCR', 'early:' .. n % 5) end
        return n";
    for workers in ["1", "4"] {
        let server = start(workers);
        let early: i64 = thread::scope(|scope| {
            let runs = (0..CLIENTS).map(|nth| {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.connect().unwrap();
                    let mut early = 0;
                    for run in 0..RUNS {
                        let key = format!("own:{nth}");
                        let n = run.to_string();
                        let text = if nth % 2 == 0 { script } else { declared };
                        let reply = call(&mut client, &["EVAL", text, "1", &key, &n]);
                        // What a script has changed stays when it cannot go on.
                        let refused = error(&reply).contains("did not declare");
                        assert!(refused || matches!(reply, Reply::Int(_)), "{reply:?}");
                        early += i64::from(run % 7 == 0 && !refused);
                    }
                    early
                })
            });
            let runs: Vec<_> = runs.collect();
            runs.into_iter().map(|run| run.join().unwrap()).sum()
        });
        let mut client = server.connect().unwrap();
        let mut number = |key: &str| match call(&mut client, &["INCRBY", key, "0"]) {
            Reply::Int(number) => number,
            other => panic!("{other:?}"),
        };
        for nth in 0..CLIENTS {
            assert_eq!(number(&format!("own:{nth}")), RUNS, "{workers} workers");
        }
        let counted: i64 = (0..5).map(|at| number(&format!("early:{at}"))).sum();
        assert_eq!(counted, early, "{workers} workers");
    }
}

/// A script that has shown that it needs its declared keys only, and then needs others: it is begun
/// again under everything, or goes on under more, and nobody can tell. What it answers, does,
/// publishes and leaves for the append-only file is as with one worker, where nothing is begun
/// again.
#[test]
fn a_script_that_begins_again_does_everything_once() {
    const TRIALS: usize = 8;
    // Reads others first, so it begins again; writes or publishes first, so it cannot.
    let bodies = [
        "local others = wide and redis.call('MGET', 'a', 'b', 'c', 'd') or {}
         redis.call('INCR', KEYS[1])
         if wide then for _, key in ipairs({'a', 'b', 'c', 'd'}) do redis.call('INCR', key) end end
         redis.call('PUBLISH', 'news', KEYS[1])
         return {redis.call('GET', KEYS[1]), #others, others[1]}",
        "redis.call('RPUSH', KEYS[1], 'x')
         local length = wide and redis.call('RPUSH', 'list', KEYS[1]) or 0
         return {redis.call('LLEN', KEYS[1]), length}",
        "redis.call('PUBLISH', 'news', KEYS[1])
         local length = wide and redis.call('APPEND', 'text', 'y') or 0
         return {redis.call('SCARD', KEYS[1]), redis.call('SADD', KEYS[1], ARGV[1]), length}",
    ];
    let run = |workers: &str| {
        let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
        let args = ["--workers", workers, "--appendonly", "yes"];
        let server = Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts");
        let mut client = server.connect().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while call(&mut client, &["GET", "key"]).is_error() {
            assert!(Instant::now() < deadline, "it loads for ever");
        }
        let mut listener = server.connect().unwrap();
        call(&mut listener, &["SUBSCRIBE", "news"]);
        let mut seen = Vec::new();
        for trial in 0..TRIALS {
            for (nth, body) in bodies.iter().enumerate() {
                // A text of its own for each trial: what is known of its keys is forgotten.
                let text = format!("local wide = ARGV[1] == 'wide' -- {trial}\n{body}");
                let key = format!("own:{nth}:{trial}");
                for how in ["narrow", "narrow", "wide", "narrow", "wide"] {
                    let reply = call(&mut client, &["EVAL", &text, "1", &key, how]);
                    assert!(!reply.is_error(), "{reply:?}");
                    seen.push(reply);
                }
            }
        }
        call(&mut client, &["PUBLISH", "news", "end"]);
        let end = Reply::Bulk(b"end".into());
        while seen.last().and_then(Reply::items).and_then(<[Reply]>::last) != Some(&end) {
            seen.push(listener.receive().unwrap());
        }
        let digest = call(&mut client, &["DEBUG", "DIGEST"]);
        let reloaded = call(&mut client, &["DEBUG", "LOADAOF"]);
        assert_eq!(reloaded, Reply::Status(b"OK".into()));
        assert_eq!(
            call(&mut client, &["DEBUG", "DIGEST"]),
            digest,
            "{workers} workers"
        );
        seen.push(digest);
        seen
    };
    let expected = run("1");
    for workers in ["2", "4"] {
        assert_eq!(run(workers), expected, "{workers} workers");
    }
}
