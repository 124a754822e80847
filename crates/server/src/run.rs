//! From a configuration to a running server and back: sockets, threads, signals.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use log::{error, info, warn};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::config::settings::{BindHost, Settings};
use crate::daemon::{self, PidFile};
use crate::listener::{Listener, bind_tcp, bind_unix};
use crate::logging;
use crate::mailbox::{Message, WorkerId};
use crate::server::Server;
use crate::version::VERSION;
use crate::worker::{Seat, Worker};

/// Why the server did not start, in one line.
type Refusal = String;

/// Serves until SIGTERM, SIGINT or SHUTDOWN.
///
/// # Errors
/// One line that says what stands in the way: a taken port, a wrong path, a missing permission.
pub fn serve(config: Config) -> Result<(), Refusal> {
    let settings = config.settings().clone();
    std::env::set_current_dir(&settings.dir)
        .map_err(|error| format!("cannot enter dir {}: {error}", settings.dir.display()))?;
    let listeners = open_listeners(&settings)?;
    if settings.daemonize {
        daemon::to_background().map_err(|error| format!("cannot go to the background: {error}"))?;
    }
    logging::start(settings.logfile.as_deref(), settings.loglevel).map_err(|error| {
        let file = settings
            .logfile
            .as_deref()
            .unwrap_or(Path::new("standard output"));
        format!("cannot log to {}: {error}", file.display())
    })?;
    let pidfile = daemon::pidfile_path(&settings).map(|path| {
        PidFile::write(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))
    });
    // As in Redis, a pid file that cannot be written is worth a line, not a refusal.
    let _pidfile = pidfile.and_then(|written| written.map_err(|why| warn!("{why}")).ok());
    announce(&config);
    let result = run(config, listeners).map_err(|error| error.to_string());
    if let Some(path) = &settings.unixsocket {
        // The socket's file may be gone already.
        let _ = std::fs::remove_file(path);
    }
    info!("Ruddle is now ready to exit, bye bye...");
    result
}

fn announce(config: &Config) {
    let settings = config.settings();
    let memory = match settings.maxmemory_bytes {
        0 => "no memory limit".to_owned(),
        bytes => format!("memory limit {bytes} bytes"),
    };
    info!(
        "Ruddle {VERSION} starting: pid {}, port {}, {} workers, {memory}",
        std::process::id(),
        settings.port,
        settings.worker_count(),
    );
    match config.file() {
        Some(file) => info!("Configuration read from {}", file.display()),
        None => info!("No configuration file given: defaults in force"),
    }
    config.notices().iter().for_each(|notice| warn!("{notice}"));
}

fn run(config: Config, listeners: Vec<Listener>) -> io::Result<()> {
    let workers = config.settings().worker_count();
    let mut seats = (0..workers)
        .map(|_| Seat::new())
        .collect::<io::Result<Vec<Seat>>>()?;
    seats[0].listeners = listeners;
    let mailboxes = seats.iter().map(|seat| seat.mailbox.clone()).collect();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let server = Server::new(config, mailboxes)?;
    thread::scope(|scope| {
        for (at, seat) in seats.into_iter().enumerate() {
            let server = &server;
            let builder = thread::Builder::new().name(format!("worker-{at}"));
            builder.spawn_scoped(scope, move || {
                let worker = Worker::new(server, WorkerId(at as u16), seat);
                if let Err(failure) = worker.run() {
                    error!("worker {at} cannot wait for events: {failure}");
                    // Clients of a dead event loop would hang for ever; an end is seen and handled.
                    std::process::exit(1);
                }
            })?;
        }
        info!("Ready to accept connections");
        if let Some(signal) = signals.forever().next() {
            let name = if signal == SIGINT {
                "SIGINT"
            } else {
                "SIGTERM"
            };
            info!("Received {name}, shutting down...");
        }
        server.broadcast(|| Message::Stop);
        Ok(())
    })
}

fn open_listeners(settings: &Settings) -> Result<Vec<Listener>, Refusal> {
    let mut listeners = Vec::new();
    if settings.port != 0 {
        for bind in &settings.bind {
            let refusal = |name: &str, error: io::Error| {
                format!("cannot listen on {name} port {}: {error}", settings.port)
            };
            let addresses = match &bind.host {
                BindHost::AnyV4 => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
                BindHost::AnyV6 => vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
                BindHost::Named(name) => resolve(name).map_err(|error| refusal(name, error))?,
            };
            for address in addresses {
                let socket = SocketAddr::new(address, settings.port);
                match bind_tcp(socket, settings.tcp_backlog as i32) {
                    Ok(listener) => listeners.push(listener),
                    Err(error) if !bind.required && is_absent(&error) => {}
                    Err(error) => return Err(refusal(&address.to_string(), error)),
                }
            }
        }
    }
    if let Some(path) = &settings.unixsocket {
        let bound = bind_unix(path).and_then(|listener| {
            if let Some(mode) = settings.unixsocketperm {
                std::fs::set_permissions(path, Permissions::from_mode(mode))?;
            }
            Ok(listener)
        });
        let refusal = |error| format!("cannot listen on unix socket {}: {error}", path.display());
        listeners.push(bound.map_err(refusal)?);
    }
    if listeners.is_empty() && (settings.port != 0 || settings.unixsocket.is_some()) {
        return Err("none of the addresses to listen on is there".to_owned());
    }
    if listeners.is_empty() {
        return Err("configured to not listen anywhere, exiting".to_owned());
    }
    Ok(listeners)
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = (name, 0).to_socket_addrs()?.map(|address| address.ip());
    Ok(addresses.collect())
}

/// Errors of an address that this machine does not have, or a protocol that it does not speak.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, Unsupported};
    matches!(error.kind(), AddrNotAvailable | Unsupported)
        || error
            .raw_os_error()
            .is_some_and(|code| ABSENT_ERRNOS.contains(&code))
}

/// EAFNOSUPPORT, EPROTONOSUPPORT, ENOPROTOOPT on Linux.
const ABSENT_ERRNOS: [i32; 3] = [97, 93, 92];
