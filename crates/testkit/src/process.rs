//! A real server as a child process on a free loopback port, with its log kept for the failure
//! report.
//!
//! Invariant: when a [`Server`] is dropped its process is dead and its scratch directory is gone.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, io, process, thread};

use crate::client::Client;
use crate::peers::Kind;
use crate::reply::Reply;

/// A port can be taken between our probe and the server's bind; then the next one is tried.
const START_ATTEMPTS: usize = 5;

/// How long a server may take until it answers PING.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Arguments that every server gets, by kind: nothing is saved, DEBUG allowed.
const ARGS_PEER: &[&str] = &[
    "--save",
    "",
    "--appendonly",
    "no",
    "--daemonize",
    "no",
    "--enable-debug-command",
    "yes",
];
const ARGS_RUDDLE: &[&str] = &["--save", "", "--enable-debug-command", "yes"];

/// A running server.
pub struct Server {
    kind: Kind,
    child: Child,
    port: u16,
    scratch: PathBuf,
}

impl Server {
    /// Starts a server of this kind with `args` behind the usual ones (so that they win), and waits
    /// until it answers. The error holds the server's log.
    pub fn start(kind: Kind, args: &[&str]) -> Result<Server, String> {
        Server::start_binary(kind, &kind.binary()?, args)
    }

    /// Like [`Server::start`], with a binary of the caller's choice.
    pub fn start_binary(kind: Kind, binary: &Path, args: &[&str]) -> Result<Server, String> {
        let mut report = String::new();
        for _ in 0..START_ATTEMPTS {
            let port = free_port().map_err(|error| format!("no free port: {error}"))?;
            let mut server = spawn(kind, binary, port, args)?;
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                Err(why) => report = format!("{}: {why}\n{}", binary.display(), server.log()),
            }
        }
        Err(report)
    }

    /// Like [`Server::start_binary`], on a port that a server of the caller's has had before.
    pub fn start_at(kind: Kind, binary: &Path, port: u16, args: &[&str]) -> Result<Server, String> {
        let mut server = spawn(kind, binary, port, args)?;
        match server.wait_until_ready() {
            Ok(()) => Ok(server),
            Err(why) => Err(format!("{}: {why}\n{}", binary.display(), server.log())),
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What program this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The server's working directory, gone when the server is.
    pub fn directory(&self) -> &Path {
        &self.scratch
    }

    /// A new connection.
    pub fn connect(&self) -> io::Result<Client> {
        Client::connect(self.port)
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What the server has logged so far, for a failure report.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.scratch.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if !self.is_alive() {
                return Err("ended before it was ready".to_owned());
            }
            let answered = self
                .connect()
                .and_then(|mut client| client.call(&["INFO", "server"]));
            match answered {
                Ok(reply) if self.is_ours(&reply) => return Ok(()),
                _ if Instant::now() > deadline => return Err("not ready in time".to_owned()),
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Whether the process that answered INFO is our child and not a stranger that took the port
    /// first. An error reply (a password is set) names no process; it is believed.
    fn is_ours(&self, info: &Reply) -> bool {
        let text = String::from_utf8_lossy(info.bytes().unwrap_or_default());
        let process = text
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"));
        process.is_none_or(|id| id.trim() == self.pid().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Failures mean that the process or the directory is already gone, which is what we want.
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.scratch);
    }
}

fn spawn(kind: Kind, binary: &Path, port: u16, args: &[&str]) -> Result<Server, String> {
    let say = |what: &str, error: io::Error| format!("{what}: {error}");
    let scratch = scratch_directory().map_err(|e| say("scratch directory", e))?;
    let log = File::create(scratch.join("log")).map_err(|e| say("log file", e))?;
    let errors = log.try_clone().map_err(|e| say("log file", e))?;
    let usual = if kind == Kind::Ruddle {
        ARGS_RUDDLE
    } else {
        ARGS_PEER
    };
    let child = Command::new(binary)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(usual)
        .args(args)
        .current_dir(&scratch)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    Ok(Server {
        kind,
        child,
        port,
        scratch,
    })
}

/// A port nobody listens on at this moment: the kernel's choice, given back at once.
///
/// # Errors
/// There is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn scratch_directory() -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("ruddle-test-{}-{count}", process::id()));
    fs::create_dir_all(&path)?;
    Ok(path)
}
