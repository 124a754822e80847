//! Whole sessions: arbitrary bytes, cut into arbitrary pieces, sent to a server in this process. It
//! may answer or hang up, but not panic, not hang, and not grow beyond its limits.
//!
//! `cargo +nightly fuzz run session -- -rss_limit_mb=2048`

#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use server::config::Config;
use server::config::cli::{Invocation, parse_arguments};
use server::listener::bind_unix;
use server::mailbox::WorkerId;
use server::server::Server;
use server::worker::{Seat, Worker};

/// Words that end the process, hold clients back on purpose, or lift the limits that are tested.
const LEFT_OUT: [&[u8]; 5] = [b"shutdown", b"pause", b"maxmemory", b"proto-max", b"query-buffer"];
/// A session that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

static SOCKET: OnceLock<PathBuf> = OnceLock::new();

/// Starts the server once; two workers, so that mailboxes and stripes are in play.
fn socket() -> &'static PathBuf {
    SOCKET.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("ruddle-fuzz-{}", std::process::id()));
        let words = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];
        let limits = ["--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "2mb"];
        let words = words.into_iter().chain(limits).map(Into::into).collect();
        let Ok(Invocation::Serve(sources)) = parse_arguments(words) else { panic!("arguments") };
        let config = Config::load(&sources).expect("a valid configuration");
        let mut seats: Vec<Seat> = (0..2).map(|_| Seat::new().expect("descriptors")).collect();
        seats[0].listeners.push(bind_unix(&path).expect("a socket in the temporary directory"));
        let mailboxes = seats.iter().map(|seat| seat.mailbox.clone()).collect();
        let server = Server::new(config, mailboxes).expect("a server");
        let server: &'static Server = Box::leak(Box::new(server));
        for (at, seat) in seats.into_iter().enumerate() {
            thread::spawn(move || Worker::new(server, WorkerId(at as u16), seat).run());
        }
        path
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((&[cut], stream)) = input.split_first_chunk::<1>() else { return };
    let lower = stream.to_ascii_lowercase();
    if LEFT_OUT.iter().any(|word| lower.windows(word.len()).any(|window| window == *word)) {
        return;
    }
    let mut client = UnixStream::connect(socket()).expect("the server listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for piece in stream.chunks(usize::from(cut).max(1)) {
        if client.write_all(piece).is_err() {
            break;
        }
    }
    // The server may have hung up already.
    let _ = client.shutdown(Shutdown::Write);
    let mut replies = Vec::new();
    match client.read_to_end(&mut replies) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server does not end the session: {error}"),
    }
});
