//! The listening sockets: opened at start, exchanged when CONFIG SET changes `port` or `bind`.
//!
//! The first worker waits for their events and accepts; any worker may exchange them, because they
//! are registered through a second handle of the first worker's poll. An event of a socket that was
//! exchanged meanwhile finds another one, or none, and then nothing waits there.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;

use mio::{Registry, Token};
use parking_lot::Mutex;

use crate::config::settings::{BindHost, Settings};
use crate::listener::{Listener, bind_tcp, bind_unix};
use crate::server::Server;

/// Why a socket could not be opened, in one line.
pub type Refusal = String;

/// Tokens of listeners are below this, above zero.
pub const TOKENS_END: usize = 64;

/// See the module's head. Without sockets until [`Doors::open`].
#[derive(Default)]
pub struct Doors(Mutex<Option<Open>>);

struct Open {
    registry: Registry,
    listeners: Vec<Listener>,
}

impl Open {
    fn register(&mut self) -> io::Result<()> {
        for (at, listener) in self.listeners.iter_mut().enumerate() {
            listener.register(&self.registry, Token(1 + at))?;
        }
        Ok(())
    }

    fn close_tcp(&mut self) {
        // Dropping a socket takes it out of the poll.
        self.listeners
            .retain(|listener| matches!(listener, Listener::Unix(..)));
    }
}

impl Doors {
    /// Announces connections to `listeners` through `registry`, with tokens from 1 on.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open(&self, registry: Registry, listeners: Vec<Listener>) -> io::Result<()> {
        let mut open = Open {
            registry,
            listeners,
        };
        open.register()?;
        *self.0.lock() = Some(open);
        Ok(())
    }

    /// Accepts what waits at the listener with this token.
    pub fn accept(&self, token: Token, server: &Server, settings: &Settings) {
        let open = self.0.lock();
        let listeners = open.as_ref().map(|open| &open.listeners);
        if let Some(listener) = listeners.and_then(|listeners| listeners.get(token.0 - 1)) {
            listener.accept_all(server, settings);
        }
    }

    /// Accepts what waits at any listener: for a worker that cannot look at its events because a
    /// script is running for long.
    pub fn accept_everywhere(&self, server: &Server, settings: &Settings) {
        let open = self.0.lock();
        let listeners = open.iter().flat_map(|open| &open.listeners);
        listeners.for_each(|listener| listener.accept_all(server, settings));
    }

    /// Listens where `settings` say instead of where `before` said. TCP only: the unix socket's
    /// path cannot change. On failure everything is as before.
    ///
    /// # Errors
    /// An address is taken or not ours.
    pub fn rebind(&self, settings: &Settings, before: &Settings) -> Result<(), Refusal> {
        let mut doors = self.0.lock();
        let Some(open) = &mut *doors else {
            return Ok(());
        };
        if settings.port == before.port {
            // The new addresses may contain old ones, which cannot be bound twice.
            open.close_tcp();
        }
        let opened = open_tcp(settings);
        let (mut listeners, result) = match opened {
            Ok(listeners) => (listeners, Ok(())),
            Err(refusal) if settings.port == before.port => {
                (open_tcp(before).unwrap_or_default(), Err(refusal))
            }
            Err(refusal) => return Err(refusal),
        };
        open.close_tcp();
        listeners.append(&mut open.listeners);
        open.listeners = listeners;
        for listener in &mut open.listeners {
            // Registering again is how a token changes; only the unix socket is registered already.
            listener.deregister(&open.registry);
        }
        open.register().map_err(|error| error.to_string())?;
        result
    }
}

/// Opens all that `settings` name.
///
/// # Errors
/// One of them cannot be opened, or there is none.
pub fn open_listeners(settings: &Settings) -> Result<Vec<Listener>, Refusal> {
    let mut listeners = open_tcp(settings)?;
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

fn open_tcp(settings: &Settings) -> Result<Vec<Listener>, Refusal> {
    let mut listeners = Vec::new();
    if settings.port == 0 {
        return Ok(listeners);
    }
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
