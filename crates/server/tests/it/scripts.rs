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
