//! MIGRATE against targets that are slow, silent, or die: nobody else waits, and no change is lost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// How long something may take that does happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// One worker, so that whoever makes it wait makes all wait.
fn start() -> (Server, Client) {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let server = Server::start_binary(Kind::Ruddle, binary, &["--workers", "1"]);
    let server = server.expect("the server starts");
    let client = server.connect().expect("a connection");
    (server, client)
}

/// The other side, played by the test.
struct Target {
    listener: TcpListener,
    port: String,
}

impl Target {
    fn new() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        Target {
            listener,
            port: port.to_string(),
        }
    }

    fn accept(&self) -> Accepted {
        let (stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Accepted(BufReader::new(stream))
    }
}

struct Accepted(BufReader<TcpStream>);

impl Accepted {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// The next command, its payload left out.
    fn command(&mut self) -> Vec<String> {
        let head = self.line();
        let count = head.strip_prefix('*').expect("an array").parse();
        let words = (0..count.expect("its length")).map(|_| {
            let len = self
                .line()
                .strip_prefix('$')
                .expect("a bulk")
                .parse::<usize>();
            let mut bytes = vec![0; len.expect("its length") + 2];
            self.0.read_exact(&mut bytes).expect("its bytes");
            bytes.truncate(bytes.len() - 2);
            String::from_utf8(bytes).unwrap_or_else(|_| "?".to_owned())
        });
        let mut words: Vec<String> = words.collect();
        if words[0] == "RESTORE" {
            words.remove(3);
        }
        words
    }

    fn say(&mut self, text: &str) {
        self.0
            .get_mut()
            .write_all(text.as_bytes())
            .expect("an open connection");
    }
}

fn words(command: &str) -> Vec<&str> {
    command
        .split(' ')
        .map(|word| if word == "''" { "" } else { word })
        .collect()
}

fn call(client: &mut Client, command: &str) -> String {
    let reply = client.call(&words(command)).expect("a reply");
    reply.lines().join(" ")
}

fn send(client: &mut Client, command: &str) {
    client.send(&words(command)).expect("a connection");
}

fn answer(client: &mut Client) -> String {
    client.receive().expect("a reply").lines().join(" ")
}

fn cached(client: &mut Client) -> bool {
    call(client, "INFO stats").contains("migrate_cached_sockets:1")
}

#[test]
fn others_are_served_meanwhile_and_what_they_change_stays() {
    let (server, mut client) = start();
    let mut other = server.connect().expect("a connection");
    let target = Target::new();
    call(&mut client, "MSET a 1 b 2 c 3 d 4");
    call(&mut client, "PEXPIRE d 100000");
    let port = &target.port;
    send(
        &mut client,
        &format!("MIGRATE 127.0.0.1 {port} '' 5 60000 KEYS a b c none d"),
    );
    let mut there = target.accept();
    assert_eq!(there.command(), ["SELECT", "5"]);
    for key in ["a", "b", "c"] {
        assert_eq!(there.command(), ["RESTORE", key, "0"]);
    }
    let last = there.command();
    assert_eq!(last[1], "d");
    assert!(
        last[2]
            .parse::<u32>()
            .is_ok_and(|ttl| (90_000..=100_000).contains(&ttl)),
        "{last:?}"
    );
    // The only worker is not waiting.
    assert_eq!(call(&mut other, "SET b 5"), "OK");
    assert_eq!(call(&mut other, "MGET a b c"), r#"1) "1" 2) "5" 3) "3""#);
    call(&mut other, "CONFIG SET notify-keyspace-events EA");
    call(&mut other, "PSUBSCRIBE *");
    there.say("+OK\r\n+OK\r\n+OK\r\n-BUSYKEY taken\r\n+OK\r\n");
    assert_eq!(
        answer(&mut client),
        "(error) ERR Target instance replied with error: BUSYKEY taken"
    );
    assert_eq!(
        call(&mut client, "MGET a b c d"),
        r#"1) (nil) 2) "5" 3) "3" 4) (nil)"#
    );
    for key in ["a", "d"] {
        let event = answer(&mut other);
        assert!(
            event.contains("__:del") && event.ends_with(&format!("{key:?}")),
            "{event}"
        );
    }
    // After an error the database is selected anew.
    send(
        &mut client,
        &format!("MIGRATE 127.0.0.1 {port} c 5 60000 COPY REPLACE"),
    );
    assert_eq!(there.command(), ["SELECT", "5"]);
    assert_eq!(there.command(), ["RESTORE", "c", "0", "REPLACE"]);
    there.say("+OK\r\n+OK\r\n");
    assert_eq!(answer(&mut client), "OK");
    assert_eq!(call(&mut client, "GET c"), "\"3\"");
    // A change is the only thing that is wrong.
    send(
        &mut client,
        &format!("MIGRATE 127.0.0.1 {port} c 5 60000 AUTH2 u p"),
    );
    assert_eq!(there.command(), ["AUTH", "u", "p"]);
    assert_eq!(there.command(), ["RESTORE", "c", "0"]);
    let mut third = server.connect().expect("a connection");
    call(&mut third, "APPEND c 4");
    there.say("+OK\r\n+OK\r\n");
    let text = answer(&mut client);
    assert!(text.contains("not deleted here: 1 of 1 keys"), "{text}");
    assert_eq!(call(&mut client, "GET c"), "\"34\"");
}

#[test]
fn a_target_that_is_silent_or_dies() {
    let (_server, mut client) = start();
    let target = Target::new();
    call(&mut client, "MSET a 1 b 2 c 3");
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {} {rest}", target.port);
    send(&mut client, &migrate("a 0 50"));
    let mut there = target.accept();
    there.command();
    assert_eq!(
        answer(&mut client),
        "(error) IOERR error or timeout reading to target instance"
    );
    assert_eq!(call(&mut client, "GET a"), "\"1\"");
    // A kept connection that has died is replaced.
    send(&mut client, &migrate("a 0 60000"));
    let mut there = target.accept();
    there.say("+OK\r\n+OK\r\n");
    assert_eq!(answer(&mut client), "OK");
    assert!(cached(&mut client));
    drop(there);
    send(&mut client, &migrate("'' 0 60000 KEYS b c"));
    let mut there = target.accept();
    // What was acknowledged before the end is moved, and there is no second try.
    there.say("+OK\r\n+OK\r\n");
    for _ in 0..3 {
        there.command();
    }
    drop(there);
    assert_eq!(
        answer(&mut client),
        "(error) IOERR error or timeout reading to target instance"
    );
    assert_eq!(
        call(&mut client, "MGET a b c"),
        r#"1) (nil) 2) (nil) 3) "3""#
    );
    assert!(!cached(&mut client));
}

#[test]
fn it_goes_on_without_its_client() {
    let (server, mut client) = start();
    let target = Target::new();
    call(&mut client, "SET a 1");
    let mut other = server.connect().expect("a connection");
    let id = match other.call(&["CLIENT", "ID"]) {
        Ok(Reply::Int(id)) => id.to_string(),
        other => panic!("no number: {other:?}"),
    };
    send(
        &mut other,
        &format!("MIGRATE 127.0.0.1 {} a 0 60000", target.port),
    );
    let mut there = target.accept();
    there.command();
    assert_eq!(
        call(&mut client, &format!("CLIENT KILL ID {id}")),
        "(integer) 1"
    );
    there.say("+OK\r\n+OK\r\n");
    let deadline = Instant::now() + PATIENCE;
    while call(&mut client, "EXISTS a") != "(integer) 0" {
        assert!(Instant::now() < deadline, "the key is still there");
    }
}

#[test]
fn a_transaction_cannot_wait() {
    let (_server, mut client) = start();
    call(&mut client, "SET a 1");
    call(&mut client, "MULTI");
    call(&mut client, "MIGRATE 127.0.0.1 1 a 0 100");
    let text = call(&mut client, "EXEC");
    assert!(
        text.contains("a transaction or a script cannot do"),
        "{text}"
    );
    assert_eq!(call(&mut client, "GET a"), "\"1\"");
}
