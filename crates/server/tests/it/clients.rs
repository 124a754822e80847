//! Clients that others close, hold back or lose patience with: real processes, with one worker and
//! with four.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;

/// How long something may take that does happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test with each number of workers.
pub(crate) fn with_workers(args: &[&str], test: impl Fn(&Server)) {
    for workers in ["1", "4"] {
        let args = [&["--workers", workers], args].concat();
        let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
        test(&Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts"));
    }
}

pub(crate) fn text(client: &mut Client, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply").lines().join("\n")
}

/// Asks again and again until the answer satisfies.
pub(crate) fn until(client: &mut Client, command: &str, satisfies: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = text(client, command);
        if satisfies(&answer) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{command} keeps answering {answer}"
        );
    }
}

pub(crate) fn is_closed(client: &mut Client) -> bool {
    client.receive().is_err()
}

#[test]
fn kill_reaches_the_clients_of_all_workers() {
    with_workers(&[], |server| {
        let mut me = server.connect().unwrap();
        let mut others: Vec<Client> = (0..20).map(|_| server.connect().unwrap()).collect();
        for other in &mut others {
            assert_eq!(text(other, "CLIENT SETNAME victim"), "OK");
        }
        let mut spared = server.connect().unwrap();
        text(&mut spared, "PING");
        assert_eq!(text(&mut me, "CLIENT KILL NAME victim"), "(integer) 20");
        assert_eq!(text(&mut me, "CLIENT LIST NAME victim"), "\"\"");
        assert!(others.iter_mut().all(is_closed));
        assert_eq!(text(&mut spared, "PING"), "PONG");
    });
}

#[test]
fn a_pause_holds_back_the_clients_of_all_workers_and_lets_them_go() {
    with_workers(&[], |server| {
        let mut me = server.connect().unwrap();
        let mut others: Vec<Client> = (0..8).map(|_| server.connect().unwrap()).collect();
        assert_eq!(text(&mut me, "CLIENT PAUSE 600000 WRITE"), "OK");
        for other in &mut others {
            other.send(&["INCR", "n"]).unwrap();
        }
        let all_wait = |list: &str| list.matches("flags=b").count() == 8;
        until(&mut me, "CLIENT LIST", all_wait);
        assert_eq!(text(&mut me, "GET n"), "(nil)");
        // One that goes away before the pause is over does nothing any more.
        drop(others.pop());
        until(&mut me, "CLIENT LIST", |list| {
            list.matches("flags=b").count() == 7
        });
        assert_eq!(text(&mut me, "CLIENT UNPAUSE"), "OK");
        assert!(others.iter_mut().all(|other| !is_closed(other)));
        assert_eq!(text(&mut me, "GET n"), "\"7\"");
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_at_the_hard_limit() {
    let args = ["--client-output-buffer-limit", "normal 1000000 0 0"];
    with_workers(&args, |server| {
        let mut me = server.connect().unwrap();
        let value = "x".repeat(100_000);
        assert_eq!(text(&mut me, &format!("SET k {value}")), "OK");
        let mut deaf = server.connect().unwrap();
        text(&mut deaf, "CLIENT SETNAME deaf");
        let gets = vec![vec![b"GET".to_vec(), b"k".to_vec()]; 1000];
        // The server may hang up while the commands are still being sent.
        let sent = deaf.pipeline(&gets);
        assert!(sent.is_err());
        until(&mut me, "CLIENT LIST NAME deaf", |list| list == "\"\"");
        assert!(server.log().contains("client-output-buffer-limit"));
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_after_the_soft_limits_time() {
    let args = ["--client-output-buffer-limit", "normal 0 100000 1"];
    with_workers(&args, |server| {
        let mut me = server.connect().unwrap();
        let value = "x".repeat(1_000_000);
        assert_eq!(text(&mut me, &format!("SET k {value}")), "OK");
        let mut deaf = server.connect().unwrap();
        text(&mut deaf, "CLIENT SETNAME deaf");
        for _ in 0..50 {
            deaf.send(&["GET", "k"]).unwrap();
        }
        until(&mut me, "CLIENT LIST NAME deaf", |list| list == "\"\"");
        assert!(server.log().contains("client-output-buffer-limit"));
    });
}

#[test]
fn an_endless_query_is_closed() {
    with_workers(&["--client-query-buffer-limit", "1mb"], |server| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream
            .write_all(b"*2\r\n$3\r\nGET\r\n$100000000\r\n")
            .unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
            assert!(sent < 100_000_000, "the server takes it all");
        }
        assert!(server.log().contains("client-query-buffer-limit"));
    });
}

/// As `info: stats: client input and output buffer limit disconnections` of the peers' suite.
#[test]
fn the_limits_count_whole_commands_and_replies_but_not_short_ones() {
    with_workers(&["--client-query-buffer-limit", "1mb"], |server| {
        let connect = || server.connect().unwrap();
        let mut me = connect();
        let stats = |me: &mut Client, field: &str| text(me, "INFO stats").contains(field);
        let mut long = connect();
        let value = "x".repeat(1 << 20);
        long.send(&["SET", "k", &value]).unwrap();
        assert!(is_closed(&mut long));
        assert_eq!(text(&mut me, "EXISTS k"), "(integer) 0");
        assert!(stats(&mut me, "client_query_buffer_limit_disconnections:1"));

        let set = [
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "normal 10 0 0",
        ];
        me.call(&set).expect("a reply");
        assert_eq!(text(&mut me, &format!("SET k {}", &value[..100_000])), "OK");
        let mut deaf = connect();
        deaf.send(&["GET", "k"]).unwrap();
        assert!(is_closed(&mut deaf));
        assert!(stats(
            &mut me,
            "client_output_buffer_limit_disconnections:1"
        ));
    });
}

#[test]
fn idle_clients_are_closed_and_busy_ones_are_not() {
    with_workers(&["--timeout", "1"], |server| {
        let mut me = server.connect().unwrap();
        let mut idle = server.connect().unwrap();
        assert_eq!(text(&mut idle, "CLIENT SETNAME idle"), "OK");
        until(&mut me, "CLIENT LIST NAME idle", |list| list == "\"\"");
        assert!(is_closed(&mut idle));
    });
}

#[test]
fn one_client_too_many_is_told_so() {
    with_workers(&["--maxclients", "3"], |server| {
        let mut clients: Vec<Client> = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        // The connections that found out whether the server is ready may still be there.
        while clients.len() < 3 {
            let mut client = server.connect().unwrap();
            if client.call(&["PING"]).is_ok_and(|reply| !reply.is_error()) {
                clients.push(client);
            }
            assert!(Instant::now() < deadline);
        }
        let refusal = server.connect().unwrap().receive().unwrap();
        assert_eq!(
            refusal.lines(),
            ["(error) ERR max number of clients reached"]
        );
    });
}

#[test]
fn a_unix_socket_is_served_and_known_as_such() {
    let directory = std::env::temp_dir();
    let path = directory.join(format!("ruddle-clients-{}.sock", std::process::id()));
    let path = path.to_str().expect("a path of text");
    with_workers(&["--unixsocket", path], |_| {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"CLIENT INFO\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.contains(&format!("addr={path}:0 laddr={path}:0")),
            "{answer}"
        );
        assert!(answer.contains(" flags=U "), "{answer}");
        assert!(answer.ends_with("+OK\r\n"), "{answer}");
    });
}

#[test]
fn the_last_bytes_before_a_hang_up_are_answered() {
    with_workers(&[], |server| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "+PONG\r\n");
    });
}
