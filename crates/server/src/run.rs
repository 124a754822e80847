//! From a configuration to a running server and back: sockets, threads, signals.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use log::{error, info, warn};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::appending;
use crate::config::Config;
use crate::daemon::{self, PidFile};
use crate::descriptors::allow_clients;
use crate::doors::{Refusal, open_listeners};
use crate::listener::Listener;
use crate::loading;
use crate::logging;
use crate::mailbox::{Message, WorkerId};
use crate::replicating;
use crate::replicating::replica;
use crate::saving;
use crate::server::Server;
use crate::shutdown;
use crate::version::VERSION;
use crate::worker::{Seat, Worker};

/// Scripts nest tables deeply, and what reads them nests as deeply. Only what is used is taken.
const WORKER_STACK_BYTES: usize = 32 << 20;

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
    if let Err(why) = allow_clients(settings.maxclients) {
        warn!("maxclients {}: {why}", settings.maxclients);
    }
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
    let seats = (0..workers)
        .map(|_| Seat::new())
        .collect::<io::Result<Vec<Seat>>>()?;
    let registry = seats[0].registry()?;
    let mailboxes = seats.iter().map(|seat| seat.mailbox.clone()).collect();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    // A limit to the size of files is like a full disk: the write fails, and the process goes on.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let server = Server::new(config, mailboxes)?;
    let settings = server.settings.get();
    let logs = settings.aof.on;
    server
        .loading
        .announce(logs || settings.dbfilename.exists());
    server.doors.open(registry, listeners)?;
    thread::scope(|scope| {
        for (at, seat) in seats.into_iter().enumerate() {
            let server = &server;
            let builder = thread::Builder::new()
                .name(format!("worker-{at}"))
                .stack_size(WORKER_STACK_BYTES);
            builder.spawn_scoped(scope, move || {
                let worker = Worker::new(server, WorkerId(at as u16), seat);
                if let Err(failure) = worker.run() {
                    error!("worker {at} cannot wait for events: {failure}");
                    // Clients of a dead event loop would hang for ever; an end is seen and handled.
                    std::process::exit(1);
                }
            })?;
        }
        thread::Builder::new()
            .name("saver".to_owned())
            .spawn_scoped(scope, || saving::serve(&server))?;
        thread::Builder::new()
            .name("copier".to_owned())
            .spawn_scoped(scope, || replicating::primary::sync::serve(&server))?;
        let mut ended = || signals.pending().next().is_some();
        let loaded = match logs {
            true => appending::replay::at_start(&server, &mut ended),
            false => loading::at_start(&server, &mut ended),
        };
        let loaded = loaded.and_then(|()| begin_to_log(&server, scope));
        server.loading.end();
        if loaded.is_ok() {
            server.saving.note_in_step(server.totals().changes);
            info!("Ready to accept connections");
            wait_for_the_end(&server, &mut signals);
        }
        server.replicating.replica.end();
        server.saving.end();
        server.replicating.primary.end();
        server.appending.end();
        server.broadcast(|| Message::Stop);
        match loaded {
            Err(loading::Failure::Refused(why)) => {
                error!("{why}");
                Err(io::Error::other(why))
            }
            Err(loading::Failure::Ended) | Ok(()) => Ok(()),
        }
    })
}

/// Starts what writes the append-only file, whether there is one now or later.
fn begin_to_log<'s>(
    server: &'s Server,
    scope: &'s thread::Scope<'s, '_>,
) -> Result<(), loading::Failure> {
    let refused = loading::Failure::Refused;
    appending::begin(server).map_err(refused)?;
    if server.settings.get().primary.wants_quorum() {
        let primary = &server.replicating.primary;
        primary.count_writes(server, server.now());
    }
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send + 's>| {
        let builder = thread::Builder::new().name(name.to_owned());
        let spawned = builder.spawn_scoped(scope, run);
        spawned
            .map(drop)
            .map_err(|error| refused(error.to_string()))
    };
    spawn("journal", Box::new(|| server.appending.run_writer()))?;
    spawn("rewriter", Box::new(|| appending::serve(server)))?;
    if let Some(primary) = server.settings.get().replica.of.clone() {
        let mut lease = server.keyspace.lease();
        lease.cover_all();
        replica::follow(server, primary, false);
    }
    spawn("link", Box::new(|| replica::serve(server)))
}

/// Waits until somebody wants the server to end and nothing speaks against it.
fn wait_for_the_end(server: &Server, signals: &mut Signals) {
    for signal in signals.forever() {
        let told = server.shutdown.lock().take();
        let settings = server.settings.get();
        let wish = match signal {
            _ if told.is_some() => told.unwrap_or_default(),
            SIGINT => {
                info!("Received SIGINT, shutting down...");
                settings.shutdown_on_sigint
            }
            _ => {
                info!("Received SIGTERM, shutting down...");
                settings.shutdown_on_sigterm
            }
        };
        if shutdown::prepare(server, wish) {
            return;
        }
    }
}
