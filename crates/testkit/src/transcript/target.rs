//! What a transcript talks to. A [`Target`] is a server over TCP today; the engine in process fits
//! as well.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::process::Server;
use crate::reply::Reply;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A reply or a push.
    Reply(Reply),
    /// The server has closed the connection.
    Closed,
    /// Nothing came in time, or something that is not RESP; holds what happened.
    Failed(String),
}

impl Answer {
    /// The printed form, one string per line.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Answer::Reply(reply) => reply.lines(),
            Answer::Closed => vec!["(closed)".to_owned()],
            Answer::Failed(why) => vec![format!("(failed) {why}")],
        }
    }
}

/// Something that answers commands on numbered connections. A connection exists from its first use
/// on.
pub trait Target {
    /// Runs one command and returns its reply.
    fn call(&mut self, connection: usize, args: &[Vec<u8>]) -> Answer;

    /// Empties all databases and forgets all connections; those of later calls are new.
    fn reset(&mut self);

    /// The time that the target goes by, in Unix milliseconds.
    fn now_ms(&self) -> i64;

    /// The byte stream beneath, for a target that has one. Sections that need it are left out
    /// elsewhere.
    fn sockets(&mut self) -> Option<&mut dyn Sockets> {
        None
    }
}

/// What a target with real connections can do besides.
pub trait Sockets {
    /// Sends bytes without waiting for an answer.
    fn send(&mut self, connection: usize, bytes: &[u8]);

    /// Waits for the next reply or push.
    fn receive(&mut self, connection: usize) -> Answer;

    /// Closes the connection from the client's side.
    fn hang_up(&mut self, connection: usize);
}

/// A server has noticed by then that a connection is closed.
const ALONE_TIME_MAX: Duration = Duration::from_secs(5);

/// A real server process.
pub struct ServerTarget {
    server: Server,
    connections: HashMap<usize, Client>,
}

impl ServerTarget {
    /// Talks to this server; the server lives as long as the target.
    pub fn new(server: Server) -> ServerTarget {
        ServerTarget {
            server,
            connections: HashMap::new(),
        }
    }

    /// The server.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    fn with(
        &mut self,
        connection: usize,
        run: impl FnOnce(&mut Client) -> io::Result<Reply>,
    ) -> Answer {
        let client = match self.client(connection) {
            Ok(client) => client,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        match run(client) {
            Ok(reply) => Answer::Reply(reply),
            Err(error) if is_hang_up(&error) => Answer::Closed,
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    fn client(&mut self, connection: usize) -> io::Result<&mut Client> {
        if !self.connections.contains_key(&connection) {
            self.connections.insert(connection, self.server.connect()?);
        }
        // Inserted just above if it was not there.
        Ok(self
            .connections
            .get_mut(&connection)
            .expect("the connection exists"))
    }
}

impl Target for ServerTarget {
    fn call(&mut self, connection: usize, args: &[Vec<u8>]) -> Answer {
        self.with(connection, |client| client.call(args))
    }

    fn reset(&mut self) {
        self.connections.clear();
        // A server that cannot flush (it is down, or wants a password) shows in the section's own
        // replies.
        if let Ok(mut client) = self.server.connect()
            && client.call(&["FLUSHALL"]).is_ok()
        {
            wait_until_alone(&mut client);
        }
    }

    fn now_ms(&self) -> i64 {
        // The clock is after 1970 and before the year 292 million.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock after 1970");
        i64::try_from(now.as_millis()).expect("milliseconds fit")
    }

    fn sockets(&mut self) -> Option<&mut dyn Sockets> {
        Some(self)
    }
}

impl Sockets for ServerTarget {
    fn send(&mut self, connection: usize, bytes: &[u8]) {
        // A server that has hung up is noticed by the receive that follows.
        _ = self
            .client(connection)
            .and_then(|client| client.send_raw(bytes));
    }

    fn receive(&mut self, connection: usize) -> Answer {
        self.with(connection, Client::receive)
    }

    fn hang_up(&mut self, connection: usize) {
        self.connections.remove(&connection);
    }
}

/// Waits until the server has noticed that all other connections are closed: those of the section
/// before would listen and wait beside the next one's. Who cannot be asked is not waited for.
fn wait_until_alone(client: &mut Client) {
    let deadline = Instant::now() + ALONE_TIME_MAX;
    while Instant::now() < deadline {
        let list = client.call(&["CLIENT", "LIST"]);
        let others = match list.as_ref().map(Reply::bytes) {
            Ok(Some(list)) => list.iter().filter(|&&byte| byte == b'\n').count() > 1,
            Ok(None) | Err(_) => false,
        };
        if !others {
            return;
        }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}
