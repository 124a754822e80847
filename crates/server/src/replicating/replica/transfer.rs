//! A full copy of a primary's data: received from the link, into a file or straight into tables.
//!
//! `repl-diskless-load` says how. With `swapdb` the copy is loaded beside the old data, which stay
//! in force until it is complete, and are served if they are of the same history; otherwise the old
//! data are flushed first. Unless old data are served, clients are told that the server is loading.
//! In either case the append-only file ends before, and begins anew with the new data.

use std::fs::{File, remove_file, rename};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use base::ids::{DbIndex, RunId};
use engine::env::Env;
use engine::keyspace::Keyspace;
use journal::Offset;
use log::{info, warn};
use replication::link::Framing;

use super::arrival::{Beginning, Data};
use super::link::Failed;
use super::wire::{Snapshot, Wire};
use super::{Copying, Order, Phase};
use crate::appending;
use crate::config::settings::DisklessLoad;
use crate::loading;
use crate::scripting::libraries::Libraries;
use crate::server::Server;
use crate::settings::{Settings, engine_limits};

/// A file that is received is forced to disk every so many bytes.
const SYNC_BYTES: u64 = 8 << 20;
/// Bytes copied to it at once.
const COPY_BYTES: usize = 64 * 1024;

/// Receives and loads it.
pub(super) fn receive(
    server: &Server,
    settings: &Settings,
    order: &Order,
    wire: &mut Wire<'_>,
    id: RunId,
    at: Offset,
) -> Result<Beginning, Failed> {
    let replica = &server.replicating.replica;
    if !replica.enter(order, Phase::Transfer) {
        return Err(Failed::Over);
    }
    let framing = loop {
        if let Some(framing) = Framing::parse(&wire.line()?)? {
            break framing;
        }
    };
    let total_bytes = match framing {
        Framing::Length(bytes) => bytes,
        Framing::Mark(..) => 0,
    };
    info!("MASTER <-> REPLICA sync: receiving {total_bytes} bytes from master (0 = streamed)");
    let mut copying = Copying {
        total_bytes,
        ..Copying::default()
    };
    let mut heard = |bytes: usize| {
        copying.read_bytes += bytes as u64;
        copying.heard = server.now();
        replica.note_copying(copying);
    };
    let way = match settings.replica.diskless_load {
        DisklessLoad::Disabled => Way::File,
        DisklessLoad::OnEmptyDb if has_keys(server) => Way::File,
        DisklessLoad::OnEmptyDb | DisklessLoad::FlushBeforeLoad => Way::InPlace,
        DisklessLoad::SwapDb => Way::Beside,
    };
    let over = || replica.is_over(order);
    let mut received = None;
    if way == Way::File {
        let snapshot = Snapshot::new(wire, framing.clone(), &mut heard);
        received = Some(Received::take(snapshot)?);
    }
    appending::suspend(server);
    let loaded = match &received {
        Some(received) => from_file(server, settings, received, wire, &over),
        None => {
            let mut snapshot = Snapshot::new(wire, framing, &mut heard);
            let input = &mut snapshot;
            let loaded = match way {
                Way::Beside => beside(server, input, total_bytes, id, &over),
                Way::File | Way::InPlace => {
                    in_place(server, settings, input, total_bytes, &mut || over())
                }
            };
            loaded.and_then(|data| snapshot.finish().map(|()| data).map_err(Failed::from))
        }
    };
    let data = loaded.inspect_err(|_| give_up(server, settings, way))?;
    if let Some(received) = received {
        received.keep(settings);
    }
    let db = server.loading.stream_db.load(Relaxed);
    let db = DbIndex(u32::try_from(db).unwrap_or(0));
    Ok(Beginning::Full { id, at, db, data })
}

/// Where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Into a file, and from there in place of the old data.
    File,
    /// From the socket in place of the old data.
    InPlace,
    /// From the socket beside the old data.
    Beside,
}

fn has_keys(server: &Server) -> bool {
    let mut lease = server.keyspace.lease();
    lease.cover_all();
    let databases = server.keyspace.databases();
    lease
        .held()
        .any(|stripe| (0..databases).any(|db| !stripe.table(DbIndex(db)).is_empty()))
}

/// Deletes all data and all libraries. What is left is no part of the history they were of: nobody
/// goes on from it, neither this server at a primary nor its replicas here, and whoever looks for
/// the replica that has come farthest (Sentinel) does not find this one.
fn flush(server: &Server, settings: &Settings) {
    let env = Env::new(engine_limits(settings, &server.keyspace), 0);
    let mut lease = server.keyspace.lease();
    lease.cover_all();
    lease.clear(&env);
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    journal.begin_at(Offset(0));
    replicating.begin_anew(journal);
    replicating.primary.disconnect_all(server);
    lease.release();
    server.free_later(env.take_garbage());
    server.scripting.set_libraries(Libraries::default());
}

fn in_place(
    server: &Server,
    settings: &Settings,
    input: impl Read,
    total_bytes: u64,
    over: &mut dyn FnMut() -> bool,
) -> Result<Data, Failed> {
    // Until the copy is taken over, or there is none.
    server.loading.announce(true);
    info!("MASTER <-> REPLICA sync: Flushing old data");
    flush(server, settings);
    info!("MASTER <-> REPLICA sync: Loading DB in memory");
    let loaded = loading::received(server, input, total_bytes, &server.keyspace, over);
    loaded.map(Data::InPlace).map_err(failed)
}

fn beside(
    server: &Server,
    input: impl Read,
    total_bytes: u64,
    id: RunId,
    over: &dyn Fn() -> bool,
) -> Result<Data, Failed> {
    let own = &server.keyspace;
    let stripes = own.stripe_count() as usize;
    let keyspace = Box::new(Keyspace::new(stripes, own.databases(), own.seed()));
    // Compat: old data are served only if they are of the same history.
    match server.replicating.history().id() == id {
        true => server.loading.set_beside(true),
        false => server.loading.announce(true),
    }
    info!("MASTER <-> REPLICA sync: Loading DB in memory beside the old data");
    let loaded = loading::received(server, input, total_bytes, &keyspace, &mut || over());
    let libraries = loaded.map_err(failed)?;
    Ok(Data::Beside(keyspace, libraries))
}

fn from_file(
    server: &Server,
    settings: &Settings,
    received: &Received,
    wire: &mut Wire<'_>,
    over: &dyn Fn() -> bool,
) -> Result<Data, Failed> {
    let input = File::open(&received.path)?;
    let mut look = || {
        wire.sign_of_life();
        over()
    };
    in_place(server, settings, input, received.bytes, &mut look)
}

fn failed(failure: loading::Failure) -> Failed {
    match failure {
        loading::Failure::Refused(why) => Failed::Because(format!(
            "Failed trying to load the MASTER synchronization DB: {why}"
        )),
        loading::Failure::Ended => Failed::Over,
    }
}

/// There is no copy: half of one must not be seen.
fn give_up(server: &Server, settings: &Settings, way: Way) {
    if way != Way::Beside {
        flush(server, settings);
    }
    server.loading.set_beside(false);
    server.loading.end();
    appending::resume(server);
}

/// A copy in a file.
struct Received {
    path: PathBuf,
    bytes: u64,
}

impl Received {
    fn take(mut snapshot: Snapshot<'_, '_>) -> Result<Received, Failed> {
        let path = PathBuf::from(format!("temp-replica.{}.rdb", std::process::id()));
        let mut received = Received { path, bytes: 0 };
        let mut file = File::create(&received.path)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut unsynced = 0;
        loop {
            let count = snapshot.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count])?;
            received.bytes += count as u64;
            unsynced += count as u64;
            if unsynced >= SYNC_BYTES {
                unsynced = 0;
                file.sync_data()?;
            }
        }
        file.sync_all()?;
        Ok(received)
    }

    /// It becomes the snapshot file, as in Redis: it is as good as one of our own. But who wants no
    /// files may want none of this kind either; a primary's are gone with the copy that they are
    /// for.
    fn keep(self, settings: &Settings) {
        let wants_files = settings.aof.on || !settings.save_points.is_empty();
        if settings.rdb_del_sync_files && !wants_files {
            return;
        }
        if let Err(error) = rename(&self.path, &settings.dbfilename) {
            warn!("The snapshot of the master cannot be kept: {error}");
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // It is gone already if it was kept.
        let _ = remove_file(&self.path);
    }
}
