//! The thread that brings the link to a primary about: it connects, introduces itself, receives a
//! full copy if need be, and hands the socket to a worker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use replication::link::{Agreed, Handshake, Introduction, Login, Next, Refused};

use super::arrival::{Arrival, Beginning};
use super::record::Kept;
use super::transfer;
use super::wire::Wire;
use super::{Order, Phase, Task};
use crate::clients::Card;
use crate::connection::{Accepted, Stream};
use crate::mailbox::Message;
use crate::priority;
use crate::server::Server;
use crate::settings::Settings;
use crate::version::VALKEY_VERSION;

/// How often it is looked whether a copy is on disk.
const LOOK: Duration = Duration::from_millis(100);

/// Why there is no link.
pub(super) enum Failed {
    /// One line for the operator.
    Because(String),
    /// It is not wanted any more.
    Over,
}

impl From<Refused> for Failed {
    fn from(Refused(why): Refused) -> Failed {
        Failed::Because(why)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                Failed::Because("Timeout: the master does not answer".to_owned())
            }
            _ => Failed::Because(format!("I/O error on the link with the master: {error}")),
        }
    }
}

/// Follows whom it is told to, until the process ends.
pub fn serve(server: &Server) {
    priority::lower();
    let replica = &server.replicating.replica;
    let mut kept: Option<Kept> = None;
    loop {
        match replica.next(kept.as_ref().map(|_| LOOK)) {
            Task::Follow(order) => {
                let result = attempt(server, &order, &mut kept);
                if replica.is_over(&order) {
                    continue;
                }
                if let Err(Failed::Because(why)) = result {
                    warn!("{why}");
                    replica.rest(&order);
                }
            }
            Task::Look => {
                if let Some(ready) = kept.take_if(|kept| kept.is_ready()) {
                    ready.settle(server);
                }
            }
            Task::End => break,
        }
    }
    if let Some(kept) = kept {
        kept.settle(server);
    }
}

fn attempt(server: &Server, order: &Order, kept: &mut Option<Kept>) -> Result<(), Failed> {
    let replica = &server.replicating.replica;
    let settings = server.settings.get();
    let patience = Duration::from_secs(settings.primary.timeout_seconds.unsigned_abs());
    let over = || replica.is_over(order);
    let name = format!(
        "{}:{}",
        String::from_utf8_lossy(&order.primary.host),
        order.primary.port
    );
    info!("Connecting to MASTER {name}");
    let mut wire = Wire::connect(&order.primary, patience, &over)
        .map_err(|error| Failed::Because(format!("Unable to connect to MASTER {name}: {error}")))?;
    if !replica.enter(order, Phase::Handshake) {
        return Err(Failed::Over);
    }
    info!("MASTER <-> REPLICA sync started");
    let agreed = match shake_hands(server, &settings, order, &mut wire) {
        Err(Refusal::Answer(why)) if order.hands_over => {
            let mut lease = server.keyspace.lease();
            lease.cover_all();
            if replica.is_current(order.number) {
                let failover = &server.replicating.failover;
                // It may have been called off by FAILOVER ABORT.
                let _ = failover.abort("Failover target rejected psync request", server);
            }
            return Err(Failed::Because(why));
        }
        agreed => agreed?,
    };
    let beginning = match agreed {
        Agreed::Continue(id) => {
            info!("Successful partial resynchronization with master.");
            Beginning::Continue { id }
        }
        Agreed::Full(id, at) => {
            info!("Full resync from master: {id}:{}", at.0);
            transfer::receive(server, &settings, order, &mut wire, (id, at), kept)?
        }
    };
    hand_over(server, order, wire, beginning, &name)
}

/// How a handshake can fail.
enum Refusal {
    /// The primary will not have us.
    Answer(String),
    /// The link is broken.
    Link(io::Error),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        match refusal {
            Refusal::Answer(why) => Failed::Because(why),
            Refusal::Link(error) => error.into(),
        }
    }
}

/// How this server introduces itself to a primary.
fn introduction(server: &Server, settings: &Settings, order: &Order) -> Introduction {
    let replica = &settings.replica;
    let login = replica.password.clone().map(|password| Login {
        user: replica.user.clone(),
        password,
    });
    Introduction {
        login,
        port: match replica.announce_port {
            0 => settings.port,
            port => port,
        },
        address: replica.announce_ip.clone(),
        version: VALKEY_VERSION,
        id: server.replicating.history().id(),
        end: server.appending.journal.end(),
        hands_over: order.hands_over,
    }
}

fn shake_hands(
    server: &Server,
    settings: &Settings,
    order: &Order,
    wire: &mut Wire<'_>,
) -> Result<Agreed, Refusal> {
    let about = introduction(server, settings, order);
    info!(
        "Trying a partial resynchronization (request {}:{}).",
        about.id,
        about.end.0 + 1
    );
    let (mut handshake, first) = Handshake::begin(about);
    wire.send(&first).map_err(Refusal::Link)?;
    loop {
        let line = wire.line().map_err(Refusal::Link)?;
        match handshake.hear(&line) {
            Ok(Next::Hear) => {}
            Ok(Next::Say(bytes)) => wire.send(&bytes).map_err(Refusal::Link)?,
            Ok(Next::Go(agreed)) => return Ok(agreed),
            Err(Refused(why)) => return Err(Refusal::Answer(why)),
        }
    }
}

/// Gives the socket to a worker, which goes on.
fn hand_over(
    server: &Server,
    order: &Order,
    wire: Wire<'_>,
    beginning: Beginning,
    name: &str,
) -> Result<(), Failed> {
    use std::os::fd::AsRawFd as _;
    let (stream, rest) = wire.into_parts()?;
    let local = stream.local_addr().map(|address| address.to_string());
    let worker = server.least_loaded();
    let card = Card::new(
        server.clients.new_id(),
        worker,
        name.to_owned(),
        local.unwrap_or_default(),
        stream.as_raw_fd(),
        false,
        server.now(),
    );
    card.primary
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let card = Arc::new(card);
    server.clients.add(Arc::clone(&card));
    let stream = Stream::Tcp(stream);
    let arrival = Arrival {
        accepted: Accepted { stream, card },
        rest,
        number: order.number,
        beginning,
    };
    server.mailboxes[usize::from(worker.0)].send(Message::Follow(Box::new(arrival)));
    Ok(())
}
