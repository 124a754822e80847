//! Starting, asking and killing servers with directories of their own: for the tests of what is on
//! disk.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// Nothing takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The program under test.
pub(crate) const RUDDLE: &str = env!("CARGO_BIN_EXE_ruddle");

/// A directory of its own, removed at the end of the test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    pub(crate) fn new(name: &str) -> Directory {
        let name = format!("ruddle-disk-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("a readable path")
    }
}

/// Starts a server and waits until it has loaded what there is.
pub(crate) fn start(args: &[&str]) -> Server {
    start_program(Path::new(RUDDLE), args)
}

/// The same with another program in its place.
pub(crate) fn start_program(program: &Path, args: &[&str]) -> Server {
    let server = Server::start_binary(Kind::Ruddle, program, args).expect("the server starts");
    let mut client = server.connect().expect("a connection");
    await_some(|| match call(&mut client, "DBSIZE") {
        Reply::Error(why) => Err(String::from_utf8_lossy(&why).into_owned()),
        _ => Ok(()),
    });
    server
}

/// Tries again and again until it goes well.
pub(crate) fn await_some<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < deadline, "not in time: {why}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).expect("a reply")
}

pub(crate) fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

/// A field of INFO.
pub(crate) fn field(client: &mut Client, name: &str) -> String {
    let all = text(&call(client, "INFO"));
    let value = all
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .trim()
        .to_owned()
}

/// Waits until a field of INFO has a value.
pub(crate) fn info(client: &mut Client, name: &str, wanted: &str) {
    await_some(|| match field(client, name) {
        value if value == wanted => Ok(()),
        value => Err(format!("{name} is {value}, not {wanted}")),
    });
}

/// Waits until `holds`; a complaint names what.
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    await_some(|| holds().then_some(()).ok_or_else(|| what.to_owned()));
}
