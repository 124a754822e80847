//! Debian's redis-sentinel looks after servers of ours: it finds a replica, fails over when the
//! primary is killed, and makes the old primary a replica when it is back. An application that uses
//! redis-py's Sentinel client follows.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::{Server, free_port};

use crate::servers::{Directory, RUDDLE, await_some, call, field, text};

/// What the servers are called together.
const NAME: &str = "those";
/// Its hard-wired periods, shortened: milliseconds.
const PERIODS: &[&str] = &[
    "INFO-PERIOD 200",
    "PING-PERIOD 100",
    "ASK-PERIOD 100",
    "PUBLISH-PERIOD 200",
    "MIN-LINK-RECONNECT-PERIOD 500",
    "SLAVE-RECONF-TIMEOUT 1000",
    "TILT-TRIGGER 20000",
];

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

struct Sentinel {
    _process: Process,
    _directory: Directory,
    port: u16,
    client: Client,
}

impl Sentinel {
    fn start(primary: &Server) -> Sentinel {
        let directory = Directory::new("sentinel");
        let (file, port) = (
            directory.0.join("sentinel.conf"),
            free_port().expect("a port"),
        );
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", directory.text()),
            format!("sentinel monitor {NAME} 127.0.0.1 {} 1", primary.port()),
            format!("sentinel down-after-milliseconds {NAME} 500"),
            format!("sentinel failover-timeout {NAME} 3000"),
        ];
        std::fs::write(&file, lines.join("\n") + "\n").expect("a file");
        let program = peers::redis_7().expect("Redis 7.0 is installed");
        let log = std::fs::File::create(directory.0.join("log")).expect("a file");
        let process = Command::new(program)
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(log)
            .spawn();
        let process = Process(process.expect("Sentinel starts"));
        let connect = || {
            let mut client = Client::connect(port).map_err(|error| error.to_string())?;
            let answer = client.call(&["PING"]).map_err(|error| error.to_string())?;
            (!answer.is_error())
                .then_some(client)
                .ok_or_else(String::new)
        };
        let mut client = await_some(connect);
        for period in PERIODS {
            let answer = call(&mut client, &format!("SENTINEL DEBUG {period}"));
            assert!(!answer.is_error(), "{period}: {answer:?}");
        }
        Sentinel {
            _process: process,
            _directory: directory,
            port,
            client,
        }
    }

    /// Waits until it says so of the replicas it knows.
    fn await_replica(&mut self, port: u16) {
        await_some(|| {
            let said = call(&mut self.client, &format!("SENTINEL REPLICAS {NAME}"));
            let said = said.lines().join(" ");
            let known = said.contains(&format!("127.0.0.1:{port}"))
                && said.contains("\"flags\" ")
                && said.contains("\"master-link-status\"");
            known.then_some(()).ok_or(said)
        });
    }

    fn await_primary(&mut self, port: u16) {
        await_some(|| {
            let said = call(
                &mut self.client,
                &format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"),
            );
            let said = said.lines().join(" ");
            said.contains(&port.to_string()).then_some(()).ok_or(said)
        });
    }
}

/// An application that follows.
struct Application {
    _process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Application {
    fn start(sentinel: u16) -> Application {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/follow.py");
        let mut child = Command::new("python3")
            .env("PYTHONPATH", peers::directory())
            .arg(script)
            .args([&sentinel.to_string(), NAME])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Application {
            _process: Process(child),
            input,
            output,
        }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").expect("it runs");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }
}

/// Waits until a field of INFO is as wanted. Sentinel closes the connections of clients when it
/// changes a server's role, so each look has its own.
fn await_field(server: &Server, name: &str, wanted: impl Fn(&str) -> bool) {
    await_some(|| {
        let told = |error: std::io::Error| error.to_string();
        let mut client = server.connect().map_err(told)?;
        let all = text(&client.call(&["INFO"]).map_err(told)?);
        let value = all
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.unwrap_or_default().trim();
        wanted(value)
            .then_some(())
            .ok_or_else(|| format!("{name} is {value}"))
    });
}

/// Waits until `replica` has what `primary` has now.
fn await_same(primary: &Server, replica: &Server) {
    let mut client = primary.connect().expect("a connection");
    let end = field(&mut client, "master_repl_offset");
    let end: u64 = end.parse().expect("a number");
    await_field(replica, "slave_repl_offset", |at| {
        at.parse().is_ok_and(|at: u64| at >= end)
    });
}

#[test]
fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() {
    let binary = Path::new(RUDDLE);
    let args = ["--repl-diskless-sync-delay", "0", "--workers", "2"];
    let start = || Server::start_binary(Kind::Ruddle, binary, &args).expect("the server starts");
    let (first, second) = (start(), start());
    let port = first.port();
    let mut client = second.connect().expect("a connection");
    call(&mut client, &format!("REPLICAOF 127.0.0.1 {port}"));
    await_field(&second, "master_link_status", |status| status == "up");

    let mut sentinel = Sentinel::start(&first);
    sentinel.await_replica(second.port());
    let mut application = Application::start(sentinel.port);
    assert_eq!(application.ask("set before 1"), "True");
    await_same(&first, &second);

    // Killed, as all test servers are in the end.
    drop(first);
    sentinel.await_primary(second.port());
    assert_eq!(application.ask("set after 2"), "True");
    assert_eq!(application.ask("get before"), "1");
    await_field(&second, "role", |role| role == "master");

    let first = Server::start_at(Kind::Ruddle, binary, port, &args).expect("it starts again");
    await_field(&first, "role", |role| role == "slave");
    await_field(&first, "master_link_status", |status| status == "up");
    assert_eq!(application.ask("set last 3"), "True");
    await_same(&second, &first);
    sentinel.await_replica(port);
    assert_eq!(application.ask("read last"), "3");
    assert_eq!(application.ask("get after"), "2");
}
