//! Clients that others close, hold back or lose patience with: real processes, with one worker and
//! with four.

use std::fs;
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

/// The most memory that the process has had resident since it was last asked to forget that.
fn peak_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

/// One command whose reply is larger than the limit costs its client the connection, and the server
/// no more memory than the limit; the same in a transaction. A client that wants no replies has no
/// limit.
#[test]
fn no_reply_is_built_beyond_the_hard_limit() {
    const ELEMENTS: usize = 500;
    const ELEMENT_BYTES: usize = 64 * 1024;
    const PEAK_BYTES_MAX: u64 = 8 << 20;
    let args = ["--client-output-buffer-limit", "normal 1mb 0 0"];
    with_workers(&args, |server| {
        let mut me = server.connect().unwrap();
        let value = "x".repeat(ELEMENT_BYTES);
        for _ in 0..ELEMENTS {
            text(&mut me, &format!("RPUSH list {value}"));
        }
        text(&mut me, &format!("SET k {value}"));
        let peak_of = |client: &mut Client, commands: &[String]| {
            fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
            let before = peak_bytes(server);
            let split = |line: &String| line.split(' ').map(Into::into).collect();
            let commands: Vec<Vec<Vec<u8>>> = commands.iter().map(split).collect();
            let replies = client.pipeline(&commands);
            let grown = peak_bytes(server).saturating_sub(before);
            assert!(grown < PEAK_BYTES_MAX, "{grown} bytes");
            replies
        };
        let whole = ["LRANGE list 0 -1".to_owned()];
        let mut parts = vec!["GETRANGE k 0 -2".to_owned(); ELEMENTS];
        parts.insert(0, "MULTI".to_owned());
        parts.push("EXEC".to_owned());
        for commands in [&whole[..], &parts] {
            let mut client = server.connect().unwrap();
            assert!(peak_of(&mut client, commands).is_err());
        }
        let closed = "client_output_buffer_limit_disconnections:2";
        assert!(text(&mut me, "INFO stats").contains(closed));
        let mut muted = server.connect().unwrap();
        muted.send(&["CLIENT", "REPLY", "OFF"]).unwrap();
        muted.send(&["LRANGE", "list", "0", "-1"]).unwrap();
        let on = peak_of(&mut muted, &["CLIENT REPLY ON".to_owned()]).unwrap();
        assert_eq!(on[0].lines(), ["OK"]);
        assert_eq!(text(&mut muted, "PING"), "PONG");
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

/// Sends the beginning of a command with `bytes` bytes, and nothing more.
fn start_long_command(client: &mut Client, bytes: usize) {
    let mut wire = format!("*1\r\n${}\r\n", bytes * 2).into_bytes();
    wire.resize(wire.len() + bytes, b'x');
    client.send_raw(&wire).unwrap();
}

/// `maxmemory-clients`: the heaviest go first, whatever worker they are on, and only as many as
/// have to; who is protected stays and counts.
#[test]
fn the_heaviest_clients_go_when_all_take_too_much() {
    const BIG: usize = 3 << 20;
    const SMALL: usize = 100 << 10;
    with_workers(&[], |server| {
        let mut me = server.connect().unwrap();
        text(&mut me, "CLIENT NO-EVICT on");
        let make = |name: &str, bytes: usize, protected: bool| {
            let mut client = server.connect().unwrap();
            text(&mut client, &format!("CLIENT SETNAME {name}"));
            if protected {
                text(&mut client, "CLIENT NO-EVICT on");
            }
            start_long_command(&mut client, bytes);
            client
        };
        let mut small: Vec<Client> = (0..4).map(|_| make("small", SMALL, false)).collect();
        let mut big: Vec<Client> = (0..4).map(|_| make("big", BIG, false)).collect();
        let mut protected = make("protected", BIG, true);
        let numbers = |list: &str, field: &str| -> Vec<usize> {
            let values = list.split(field).skip(1);
            let digits = values.filter_map(|rest| rest.split(' ').next()?.parse().ok());
            digits.collect()
        };
        until(&mut me, "CLIENT LIST", |list| {
            let unread = numbers(list, " qbuf=");
            let arrived = |bytes| unread.iter().filter(|&&size| size >= bytes).count();
            arrived(BIG) == 5 && arrived(SMALL) == 9
        });
        assert!(text(&mut me, "INFO stats").contains("evicted_clients:0"));
        // Room for one of the big ones besides the protected one and the small ones.
        let heaviest = numbers(&text(&mut me, "CLIENT LIST"), " tot-mem=")
            .into_iter()
            .max();
        let limit = heaviest.unwrap() * 2 + (BIG >> 1);
        text(&mut me, &format!("CONFIG SET maxmemory-clients {limit}"));
        until(&mut me, "INFO stats", |info| {
            info.contains("evicted_clients:3")
        });
        until(&mut me, "CLIENT LIST", |list| {
            list.matches("name=big").count() == 1
        });
        assert_eq!(
            text(&mut me, "CLIENT LIST").matches("name=small").count(),
            4
        );
        // Nobody else goes while nothing grows.
        text(&mut me, "CONFIG SET maxmemory-clients 0");
        text(&mut me, &format!("CONFIG SET maxmemory-clients {limit}"));
        text(&mut me, "CONFIG SET maxmemory 100mb");
        text(&mut me, "CONFIG SET maxmemory-clients 1%");
        until(&mut me, "CLIENT LIST", |list| !list.contains("name=small"));
        assert!(text(&mut me, "CLIENT LIST").contains("name=protected"));
        assert!(small.iter_mut().chain(&mut big).all(is_closed));
        text(&mut me, "CONFIG SET maxmemory 0");
        protected.send_raw(b"x").unwrap();
        assert!(text(&mut me, "CLIENT LIST").contains("name=protected"));
    });
}

/// Every monitor is shown every command once, and those of one client in their order.
#[test]
fn monitors_see_the_commands_of_all_workers() {
    const CLIENTS: usize = 6;
    const COMMANDS: usize = 30;
    with_workers(&[], |server| {
        let mut monitors: Vec<Client> = (0..3).map(|_| server.connect().unwrap()).collect();
        for monitor in &mut monitors {
            assert_eq!(text(monitor, "MONITOR"), "OK");
        }
        std::thread::scope(|scope| {
            for name in 0..CLIENTS {
                scope.spawn(move || {
                    let mut client = server.connect().unwrap();
                    for at in 0..COMMANDS {
                        text(&mut client, &format!("SET {name} {at}"));
                    }
                });
            }
        });
        for monitor in &mut monitors {
            let mut next = [0; CLIENTS];
            for _ in 0..CLIENTS * COMMANDS {
                let line = monitor.receive().unwrap();
                let line = String::from_utf8_lossy(line.bytes().unwrap()).into_owned();
                let words: Vec<&str> = line.split('"').collect();
                let (name, at): (usize, usize) =
                    (words[3].parse().unwrap(), words[5].parse().unwrap());
                assert_eq!(at, next[name], "{line}");
                next[name] += 1;
            }
        }
        let mut witness = server.connect().unwrap();
        monitors.clear();
        until(&mut witness, "CLIENT LIST", |list| {
            !list.contains("flags=O")
        });
        assert_eq!(text(&mut witness, "PING"), "PONG");
    });
}
