//! A full copy of a primary's data: received from the link, into a file or straight into tables.
//!
//! `repl-diskless-load` says how. With `swapdb` the copy is loaded beside the old data, which stay
//! in force until it is complete, and are served if they are of the same history; otherwise the old
//! data are flushed first. Unless old data are served, clients are told that the server is loading.
//! Where there are no old data, `disabled` need not wait for the file: the copy is loaded while it
//! comes, and clients see no data until it is complete, as they would while it is received. In any
//! case the append-only file ends before the data change, and begins anew with the new ones.

use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;

use base::ids::{DbIndex, RunId};
use engine::env::Env;
use engine::keyspace::Keyspace;
use journal::Offset;
use log::info;
use replication::link::Framing;

use super::arrival::{Beginning, Data};
use super::link::Failed;
use super::record::{Kept, Record};
use super::wire::{Snapshot, Wire};
use super::{Copying, Order, Phase};
use crate::appending;
use crate::config::settings::DisklessLoad;
use crate::loading;
use crate::scripting::libraries::Libraries;
use crate::server::Server;
use crate::settings::{Settings, engine_limits};

/// Bytes that are read at once where nobody else says how many.
const READ_BYTES: usize = 256 * 1024;

/// Receives and loads it. `kept`: the last one that came by way of a file.
pub(super) fn receive(
    server: &Server,
    settings: &Settings,
    order: &Order,
    wire: &mut Wire<'_>,
    (id, at): (RunId, Offset),
    kept: &mut Option<Kept>,
) -> Result<Beginning, Failed> {
    let replica = &server.replicating.replica;
    if !replica.enter(order, Phase::Transfer) {
        return Err(Failed::Over);
    }
    // Its place in the directory is needed.
    *kept = None;
    let framing = framing(wire)?;
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
    let way = Way::of(server, settings);
    let over = || replica.is_over(order);
    let recorded = way == Way::File || way == Way::Both && keeps_file(settings);
    let record = recorded.then(Record::begin).transpose()?;
    let mut input = Noted {
        snapshot: Snapshot::new(wire, framing, &mut heard),
        record,
    };
    let loaded = match way {
        Way::File => {
            *kept = input.complete(server)?;
            appending::suspend(server);
            from_file(server, settings, kept.as_ref(), wire, &over)
        }
        Way::Both => {
            // There is nothing to give up, should it fail.
            let data = beside(server, &mut input, total_bytes, &over)?;
            *kept = input.complete(server)?;
            appending::suspend(server);
            Ok(data)
        }
        Way::Beside | Way::InPlace => {
            appending::suspend(server);
            let loaded = match way {
                Way::Beside => {
                    announce(server, id);
                    beside(server, &mut input, total_bytes, &over)
                }
                _ => in_place(server, settings, &mut input, total_bytes, &mut || over()),
            };
            loaded.and_then(|data| input.drain().map(|()| data).map_err(Failed::from))
        }
    };
    let data = loaded.inspect_err(|_| {
        *kept = None;
        give_up(server, settings, way);
    })?;
    if !keeps_file(settings) {
        *kept = None;
    }
    if let Some(short) = kept.take_if(|kept| kept.is_short()) {
        short.settle(server);
    }
    let db = server.loading.stream_db.load(Relaxed);
    let db = DbIndex(u32::try_from(db).unwrap_or(0));
    Ok(Beginning::Full { id, at, db, data })
}

/// How the end of the copy will be known. Until that is said, line ends are signs of life.
fn framing(wire: &mut Wire<'_>) -> Result<Framing, Failed> {
    loop {
        if let Some(framing) = Framing::parse(&wire.line()?)? {
            return Ok(framing);
        }
    }
}

/// Says that a copy of the history `id` is loaded beside the old data.
/// Compat: these are served only if they are of the same history.
fn announce(server: &Server, id: RunId) {
    match server.replicating.history().id() == id {
        true => server.loading.set_beside(true),
        false => server.loading.announce(true),
    }
}

/// What comes of a snapshot, noted if that is wanted.
struct Noted<'s, 'w> {
    snapshot: Snapshot<'s, 'w>,
    record: Option<Record>,
}

impl Noted<'_, '_> {
    /// All of it has come, and is in the record if there is one.
    fn complete(mut self, server: &Server) -> io::Result<Option<Kept>> {
        self.drain()?;
        let record = self.record.map(|record| record.complete(server));
        record.transpose()
    }

    /// Reads what is left of it.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }
}

impl Read for Noted<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.snapshot.read(into)?;
        if let Some(record) = &mut self.record {
            record.note(&into[..count])?;
        }
        Ok(count)
    }
}

/// Where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Into a file, and from there in place of the old data.
    File,
    /// Into a file, and at the same time into tables: there are no old data.
    Both,
    /// From the socket in place of the old data.
    InPlace,
    /// From the socket beside the old data.
    Beside,
}

impl Way {
    fn of(server: &Server, settings: &Settings) -> Way {
        match settings.replica.diskless_load {
            // What would be lost if it breaks off in the middle, or take memory twice?
            DisklessLoad::Disabled if !has_keys(server) => Way::Both,
            DisklessLoad::OnEmptyDb if !has_keys(server) => Way::InPlace,
            DisklessLoad::Disabled | DisklessLoad::OnEmptyDb => Way::File,
            DisklessLoad::FlushBeforeLoad => Way::InPlace,
            DisklessLoad::SwapDb => Way::Beside,
        }
    }
}

/// Whether a copy stays as the snapshot file. Who wants no files may want none of this kind either;
/// a primary's are gone with the copy that they are for.
fn keeps_file(settings: &Settings) -> bool {
    let wants_files = settings.aof.on || !settings.save_points.is_empty();
    wants_files || !settings.rdb_del_sync_files
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
    over: &dyn Fn() -> bool,
) -> Result<Data, Failed> {
    let own = &server.keyspace;
    let stripes = own.stripe_count() as usize;
    let keyspace = Box::new(Keyspace::new(stripes, own.databases(), own.seed()));
    info!("MASTER <-> REPLICA sync: Loading DB in memory beside the old data");
    let loaded = loading::received(server, input, total_bytes, &keyspace, &mut || over());
    let libraries = loaded.map_err(failed)?;
    Ok(Data::Beside(keyspace, libraries))
}

fn from_file(
    server: &Server,
    settings: &Settings,
    received: Option<&Kept>,
    wire: &mut Wire<'_>,
    over: &dyn Fn() -> bool,
) -> Result<Data, Failed> {
    // Invariant: this way has a file.
    let received = received.ok_or_else(|| io::Error::other("there is no file"))?;
    let input = received.open()?;
    let mut look = || {
        wire.sign_of_life();
        over()
    };
    in_place(server, settings, input, received.bytes(), &mut look)
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
