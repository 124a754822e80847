//! Transactions under contention: real processes, many connections, with one worker and with four.

use std::path::Path;
use std::thread;

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

const ACCOUNTS: usize = 6;
const START: i64 = 100;
const CLIENTS: usize = 8;
const TRANSFERS: usize = 200;

fn start(workers: &str) -> Server {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let args = ["--workers", workers];
    Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts")
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply")
}

fn number(reply: &Reply) -> i64 {
    let text = reply.bytes().expect("a number as text");
    String::from_utf8_lossy(text).parse().expect("a number")
}

/// The sum over all accounts at one moment.
fn total(client: &mut Client) -> i64 {
    call(client, "MULTI");
    for account in 0..ACCOUNTS {
        call(client, &format!("GET account:{account}"));
    }
    let reply = call(client, "EXEC");
    reply.items().expect("all replies").iter().map(number).sum()
}

/// Moves 1 from one account to the next, if nobody touches them meanwhile; whether it did.
fn transfer(client: &mut Client, from: usize) -> bool {
    let to = (from + 1) % ACCOUNTS;
    call(client, &format!("WATCH account:{from} account:{to}"));
    let (a, b) = (
        number(&call(client, &format!("GET account:{from}"))),
        number(&call(client, &format!("GET account:{to}"))),
    );
    call(client, "MULTI");
    call(client, &format!("SET account:{from} {}", a - 1));
    call(client, &format!("SET account:{to} {}", b + 1));
    match call(client, "EXEC") {
        Reply::Array(replies) => {
            assert_eq!(replies.len(), 2);
            true
        }
        nothing => {
            assert_eq!(nothing, Reply::NilArray);
            false
        }
    }
}

/// Optimistic transfers by many clients lose and make no money, and no reader ever sees one half
/// done.
#[test]
fn watched_transfers_keep_the_sum() {
    for workers in ["1", "4"] {
        let server = start(workers);
        let mut client = server.connect().unwrap();
        for account in 0..ACCOUNTS {
            call(&mut client, &format!("SET account:{account} {START}"));
        }
        let expected = START * ACCOUNTS as i64;
        let done: usize = thread::scope(|scope| {
            let movers: Vec<_> = (0..CLIENTS)
                .map(|mover| {
                    let server = &server;
                    scope.spawn(move || {
                        let mut client = server.connect().unwrap();
                        (0..TRANSFERS)
                            .filter(|at| transfer(&mut client, (mover + at) % ACCOUNTS))
                            .count()
                    })
                })
                .collect();
            for _ in 0..TRANSFERS {
                assert_eq!(total(&mut client), expected);
            }
            movers.into_iter().map(|mover| mover.join().unwrap()).sum()
        });
        assert!(done > 0, "all of them got in each other's way");
        assert_eq!(total(&mut client), expected);
    }
}

/// What a client watches and queues goes with it, however it goes.
#[test]
fn a_client_that_leaves_watches_nothing() {
    let server = start("4");
    let mut witness = server.connect().unwrap();
    for leave in ["QUIT", "RESET", "UNWATCH", "DISCARD", "nothing"] {
        let mut client = server.connect().unwrap();
        call(&mut client, "WATCH a b c d e f");
        call(&mut client, "MULTI");
        if leave == "UNWATCH" {
            call(&mut client, "DISCARD");
        }
        if leave != "nothing" {
            call(&mut client, leave);
        }
        if !matches!(leave, "RESET" | "UNWATCH" | "DISCARD") {
            drop(client);
        }
        loop {
            let info = call(&mut witness, "INFO clients");
            let info = String::from_utf8_lossy(info.bytes().unwrap()).into_owned();
            if info.contains("total_watched_keys:0\r\n") {
                break;
            }
        }
        call(&mut witness, "SET a 1");
    }
}
