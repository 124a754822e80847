//! From a configuration to a running server and back: sockets, threads, signals.

use std::io;
use std::net::SocketAddr;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::listener::bind_tcp;
use crate::mailbox::{Message, WorkerId};
use crate::server::Server;
use crate::settings::Settings;
use crate::worker::{Seat, Worker};

/// tmp main
pub fn main() -> io::Result<()> {
    let mut port = 6379u16;
    let mut workers = thread::available_parallelism()?.get();
    let args: Vec<String> = std::env::args().collect();
    for pair in args.windows(2) {
        match pair[0].as_str() {
            "--port" => port = pair[1].parse().unwrap_or(6379),
            "--workers" => workers = pair[1].parse().unwrap_or(1),
            _ => {}
        }
    }
    let mut seats = (0..workers)
        .map(|_| Seat::new())
        .collect::<io::Result<Vec<Seat>>>()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    seats[0].listeners.push(bind_tcp(address, 511)?);
    let mailboxes = seats.iter().map(|seat| seat.mailbox.clone()).collect();
    let server = Server::new(workers, 16, Settings::default(), mailboxes);
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::scope(|scope| {
        for (at, seat) in seats.into_iter().enumerate() {
            let server = &server;
            thread::Builder::new()
                .name(format!("worker-{at}"))
                .spawn_scoped(scope, move || {
                    let worker = Worker::new(server, WorkerId(at as u16), seat, at as u64);
                    if let Err(error) = worker.run() {
                        eprintln!("worker {at}: {error}");
                    }
                })?;
        }
        signals.forever().next();
        server.broadcast(|| Message::Stop);
        Ok(())
    })
}
