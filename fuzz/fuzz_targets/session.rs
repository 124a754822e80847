//! Whole sessions: arbitrary bytes, cut into arbitrary pieces, sent to a server in this process. It
//! may answer or hang up, but not panic, not hang, and not grow beyond its limits.
//!
//! The server is the real one but for its allocator: AddressSanitizer's, which counts nothing, so
//! that `maxmemory` has no effect here. Every session begins with an empty data set instead.
//!
//! `cargo xtask fuzz`, which also writes a dictionary of commands and options for it.

#![no_main]

use std::io::{self, ErrorKind, Write};
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

/// Words that end the process, hold clients back on purpose or for good, touch files and ports, or
/// lift the limits that are tested.
const LEFT_OUT: [&[u8]; 11] = [
    b"shutdown",
    b"pause",
    b"sleep",
    b"requirepass",
    b"maxclients",
    b"proto-max",
    b"query-buffer",
    b"rewrite",
    b"port",
    b"dir",
    b"bind",
];
/// Sent ahead of every session, so that an input does the same whatever ran before it.
const FRESH_START: &[u8] = b"FLUSHALL\r\n";
/// A session that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

static SOCKET: OnceLock<PathBuf> = OnceLock::new();

/// Starts the server once; two workers, so that mailboxes and stripes are in play.
fn socket() -> &'static PathBuf {
    SOCKET.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("ruddle-fuzz-{}", std::process::id()));
        let words = [
            "--proto-max-bulk-len",
            "1mb",
            "--client-query-buffer-limit",
            "2mb",
        ];
        let words = words.into_iter().map(Into::into).collect();
        let Ok(Invocation::Serve(sources)) = parse_arguments(words) else {
            panic!("the arguments are understood");
        };
        let config = Config::load(&sources).expect("a valid configuration");
        let seats: Vec<Seat> = (0..2).map(|_| Seat::new().expect("descriptors")).collect();
        let registry = seats[0].registry().expect("descriptors");
        let listener = bind_unix(&path).expect("a socket in the temporary directory");
        let mailboxes = seats.iter().map(|seat| seat.mailbox.clone()).collect();
        let server = Server::new(config, mailboxes).expect("a thread for background work");
        // The server lives as long as the process.
        let server: &'static Server = Box::leak(Box::new(server));
        server
            .doors
            .open(registry, vec![listener])
            .expect("the first worker polls the socket");
        for (at, seat) in seats.into_iter().enumerate() {
            thread::spawn(move || Worker::new(server, WorkerId(at as u16), seat).run());
        }
        path
    })
}

/// Sends a session's bytes in pieces of at most `piece_bytes`, then says that no more will come.
fn send(mut client: &UnixStream, stream: &[u8], piece_bytes: usize) {
    let pieces = [FRESH_START].into_iter().chain(stream.chunks(piece_bytes));
    for piece in pieces {
        match client.write_all(piece) {
            Ok(()) => {}
            Err(error) if is_timeout(&error) => panic!("the server does not read: {error}"),
            // It has hung up, which it may.
            Err(_) => return,
        }
    }
    // Fails if the server has hung up meanwhile.
    let _ = client.shutdown(Shutdown::Write);
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fuzz_target!(|input: &[u8]| {
    let Some((&[cut], stream)) = input.split_first_chunk::<1>() else {
        return;
    };
    let lower = stream.to_ascii_lowercase();
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    if LEFT_OUT.iter().any(|word| has(word)) {
        return;
    }
    let client = UnixStream::connect(socket()).expect("the server listens");
    client
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout above zero");
    client
        .set_write_timeout(Some(PATIENCE))
        .expect("a timeout above zero");
    // Replies are read while requests are sent: a server may stop reading from a client that does
    // not take its replies.
    let ended = thread::scope(|scope| {
        let sender = scope.spawn(|| send(&client, stream, usize::from(cut).max(1)));
        let ended = io::copy(&mut &client, &mut io::sink());
        // The scope alone would not wait until the thread's own memory is freed.
        sender.join().expect("a panic ends the process");
        ended
    });
    match ended {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server does not end the session: {error}"),
    }
});
