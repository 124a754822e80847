//! Copies of all data for replicas: one thread takes the snapshot and sends it.
//!
//! Those who ask within `repl-diskless-sync-delay` share one. At its very moment, with all stripes
//! leased, the journal's end is noted, and from there on its bytes are kept for each of them; when
//! the copy has been sent, the replica's worker goes on there. A copy goes straight to the sockets,
//! ended by a mark that no data contain; to those who cannot read that, or if `repl-diskless-sync`
//! is off, it goes by way of a file, whose length comes first.

use std::fs::{File, remove_file};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use base::ids::RunId;
use base::time::UnixMillis;
use engine::keyspace::Lease;
use journal::Offset;
use journal::journal::Cursor;
use log::{info, warn};
use parking_lot::{Condvar, Mutex};

use super::wires::{Shared, Wire, Wires};
use super::{Standing, Without, close, rewind};
use crate::allocator;
use crate::mailbox::Message;
use crate::replicating::new_name;
use crate::saving::count;
use crate::saving::file::{About, Counts, Destination, StreamPlace, write_to};
use crate::saving::pieces::Pieces;
use crate::saving::walk::{self, Control, Running};
use crate::scripting::libraries::Libraries;
use crate::server::Server;
use crate::settings::Settings;

/// How often the queue is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of a file that are sent at once.
const FILE_BYTES: usize = 256 * 1024;
/// How often those who wait for a file are told that they are not forgotten.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// A replica that needs a copy.
struct Want {
    wire: Wire,
    since: UnixMillis,
}

/// What is being sent.
struct Underway {
    running: Running,
    /// It is a copy, and not a part of the log.
    copy: bool,
    /// To whom.
    standings: Vec<Arc<Standing>>,
}

#[derive(Default)]
struct Waiting {
    wants: Vec<Want>,
    underway: Option<Underway>,
    ending: bool,
}

/// Who needs a copy, in the order in which they came.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

/// How a copy is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manner {
    by_mark: bool,
    without: Without,
    /// It says that it is a Valkey.
    valkey: bool,
    /// It needs no copy, but a part of the log from the disk.
    from: Option<Offset>,
}

impl Manner {
    fn of(standing: &Standing, settings: &Settings) -> Manner {
        let without = standing.about.without;
        // What is not everything never goes by way of a file.
        let direct = settings.primary.diskless || without != Without::default();
        Manner {
            by_mark: standing.about.knows_marks && direct,
            without,
            valkey: standing.about.tells_version,
            from: standing.rewound,
        }
    }
}

impl Waiting {
    /// Takes those who need a copy of this manner.
    fn take(&mut self, manner: Manner, settings: &Settings) -> Vec<Wire> {
        let all = std::mem::take(&mut self.wants);
        let fits = |want: &Want| Manner::of(&want.wire.standing, settings) == manner;
        let (group, rest) = all.into_iter().partition::<Vec<Want>, _>(fits);
        self.wants = rest;
        group.into_iter().map(|want| want.wire).collect()
    }
}

impl Queue {
    /// A replica needs a copy.
    pub fn ask(&self, standing: Arc<Standing>, socket: File, now: UnixMillis) {
        let wire = Wire::new(standing, socket);
        self.waiting.lock().wants.push(Want { wire, since: now });
        self.news.notify_one();
    }

    /// Lets [`serve`] return.
    pub fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.ending = true;
        if let Some(underway) = &waiting.underway {
            underway.running.control.cancelled.store(true, Relaxed);
        }
        self.news.notify_all();
    }

    /// The copy that is being sent.
    pub fn copying(&self) -> Option<Running> {
        let waiting = self.waiting.lock();
        let underway = waiting.underway.as_ref().filter(|underway| underway.copy);
        underway.map(|underway| underway.running.clone())
    }

    /// A replica is gone: what is sent to nobody is called off.
    pub fn look(&self) {
        let waiting = self.waiting.lock();
        let gone = |standing: &Arc<Standing>| standing.card.killed.load(Relaxed);
        if let Some(underway) = &waiting.underway
            && underway.standings.iter().all(gone)
        {
            underway.running.control.cancelled.store(true, Relaxed);
        }
    }

    /// Takes those who need a copy of this manner into the one that is being sent.
    fn take(&self, manner: Manner, settings: &Settings) -> Vec<Wire> {
        let mut waiting = self.waiting.lock();
        let wires = waiting.take(manner, settings);
        if let Some(underway) = &mut waiting.underway {
            underway.standings.extend(standings(&wires));
        }
        wires
    }

    /// Waits for those who are to share a copy; `None` at the end.
    fn next(&self, server: &Server) -> Option<(Manner, Vec<Wire>, Arc<Control>)> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.ending {
                return None;
            }
            let alive = |want: &Want| !want.wire.standing.card.killed.load(Relaxed);
            waiting.wants.retain(alive);
            let settings = server.settings.get();
            let manner = |want: &Want| Manner::of(&want.wire.standing, &settings);
            if let Some(first) = waiting.wants.first() {
                let (shared, since) = (manner(first), first.since);
                let together = |want: &&Want| manner(want) == shared;
                let many = waiting.wants.iter().filter(together).count();
                let enough = settings.primary.enough_replicas;
                let waited = server.now().millis_since(since);
                let due = !shared.by_mark
                    || shared.from.is_some()
                    || enough > 0 && many >= enough
                    || waited >= settings.primary.delay_seconds * 1000;
                if due {
                    let wires = waiting.take(shared, &settings);
                    let control = Arc::new(Control::at_pace(&server.saving.pace));
                    waiting.underway = Some(Underway {
                        running: Running {
                            since: server.now(),
                            control: Arc::clone(&control),
                        },
                        copy: shared.from.is_none(),
                        standings: standings(&wires).collect(),
                    });
                    return Some((shared, wires, control));
                }
                self.news.wait_for(&mut waiting, LOOK);
            } else {
                self.news.wait(&mut waiting);
            }
        }
    }
}

fn standings(wires: &[Wire]) -> impl Iterator<Item = Arc<Standing>> {
    wires.iter().map(|wire| Arc::clone(&wire.standing))
}

/// Sends the copies that are wanted, until [`Queue::end`].
pub fn serve(server: &Server) {
    let queue = &server.replicating.primary.queue;
    while let Some((manner, wires, control)) = queue.next(server) {
        match manner.from {
            Some(from) => rewind(server, manner, wires, &control, from),
            None => send(server, manner, wires, &control),
        }
        queue.waiting.lock().underway = None;
    }
}

/// Sends replicas what they lack from the append-only file.
fn rewind(server: &Server, manner: Manner, wires: Vec<Wire>, control: &Arc<Control>, from: Offset) {
    let seconds = server.settings.get().primary.timeout_seconds;
    // One by one: each has a place in memory of its own from where on its worker goes on.
    for wire in wires {
        let standing = Arc::clone(&wire.standing);
        standing.feed.lock().begin();
        let until = standing.cursor.lock().as_ref().map(Cursor::at);
        let name = server.replicating.history().id();
        let line = match standing.about.knows_names {
            true => format!("+CONTINUE {name}\r\n"),
            false => "+CONTINUE\r\n".to_owned(),
        };
        let mut wires = Wires {
            all: vec![wire],
            patience: Duration::from_secs(seconds.unsigned_abs()),
            control: Arc::clone(control),
        };
        let sent = wires
            .write(line.as_bytes())
            .and_then(|()| rewind::send(server, &mut wires, from, until.unwrap_or(from)));
        match sent {
            Ok(()) => finish(
                server,
                &standing,
                Manner {
                    by_mark: false,
                    ..manner
                },
            ),
            Err(error) => {
                let name = standing.name();
                warn!("Replica {name} cannot be fed from the append-only file: {error}");
                close(server, &standing);
            }
        }
    }
}

/// The settings in force, but for what those who share this copy can read.
fn settings_for(server: &Server, manner: Manner) -> Settings {
    let mut settings = Settings::clone(&server.settings.get());
    if manner.valkey {
        settings.snapshot_reader = rdb::Reader::Valkey;
    }
    settings
}

/// What is noted at the moment of a snapshot.
struct Begun {
    counts: Vec<Counts>,
    place: StreamPlace,
    libraries: Libraries,
}

/// Sends one copy to all who share it.
fn send(server: &Server, manner: Manner, wires: Vec<Wire>, control: &Arc<Control>) {
    let settings = settings_for(server, manner);
    let kind = if manner.by_mark { "sockets" } else { "disk" };
    info!("Starting BGSAVE for SYNC with target: {kind}");
    let standings: Vec<Arc<Standing>> = standings(&wires).collect();
    let wires = Shared(Arc::new(Mutex::new(Wires {
        all: wires,
        patience: Duration::from_secs(settings.primary.timeout_seconds.unsigned_abs()),
        control: Arc::clone(control),
    })));
    let to = &wires;
    let taken = walk::take(
        &server.keyspace,
        &server.snapshot_turn,
        control,
        |lease| begin(server, manner, &standings, lease),
        |pieces, begun| match manner.by_mark {
            true => send_marked(
                server,
                &settings,
                manner.without,
                to,
                pieces,
                control,
                &begun,
            ),
            false => send_file(server, &settings, manner, to, pieces, control, &begun),
        },
    );
    let failure = match taken {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(walk::CalledOff) => Some("called off".to_owned()),
    };
    for wire in &wires.0.lock().all {
        let name = wire.standing.name();
        let why = wire.lost().or(failure.as_deref());
        match why {
            None => finish(server, &wire.standing, manner),
            Some(why) => {
                warn!("Synchronization with replica {name} failed: {why}");
                close(server, &wire.standing);
            }
        }
    }
}

/// The moment of the snapshot.
fn begin(
    server: &Server,
    manner: Manner,
    standings: &[Arc<Standing>],
    lease: &mut Lease<'_>,
) -> Begun {
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    replicating.primary.begin(server, server.now());
    // A copied stream says its databases itself.
    let (db, offset) = journal.selected(!replicating.is_replica());
    for standing in standings {
        if !standing.about.copy_only {
            // Invariant: the end is in memory.
            *standing.cursor.lock() = journal.cursor(offset);
        }
        standing.feed.lock().begin();
    }
    let libraries = match manner.without.functions {
        true => Libraries::default(),
        false => server.scripting.libraries.read().clone(),
    };
    let id = replicating.history().id();
    Begun {
        counts: count(lease),
        place: StreamPlace { id, offset, db },
        libraries,
    }
}

fn about<'a>(server: &Server, settings: &'a Settings, begun: &'a Begun) -> About<'a> {
    About {
        settings,
        counts: &begun.counts,
        now: server.now(),
        used_bytes: allocator::used_bytes(),
        libraries: &begun.libraries,
        is_base: false,
        stream: Some(begun.place),
    }
}

/// Tells those who know the protocol what they are about to be sent.
fn announce(wires: &mut Wires, place: &StreamPlace) -> io::Result<()> {
    let line = format!("+FULLRESYNC {} {}\r\n", place.id, place.offset.0);
    // The older SYNC has no such line; it never shares a copy with the others' manner.
    let (old, new): (Vec<Wire>, Vec<Wire>) = std::mem::take(&mut wires.all)
        .into_iter()
        .partition(|wire| wire.standing.is_old());
    wires.all = new;
    let written = match wires.all.is_empty() {
        true => Ok(()),
        false => wires.write(line.as_bytes()),
    };
    wires.all.extend(old);
    written
}

/// Those who came while the file was written share it, too, if they can read it: what has been
/// appended since its moment is kept for the others anyway.
fn let_join(server: &Server, manner: Manner, wires: &mut Wires, place: &StreamPlace) {
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    // As long as this is here, nothing from there on is forgotten.
    let Some(_kept) = journal.cursor(place.offset) else {
        return;
    };
    if replicating.history().id() != place.id {
        return;
    }
    let settings = server.settings.get();
    let mut late = Wires {
        all: replicating.primary.queue.take(manner, &settings),
        patience: wires.patience,
        control: Arc::clone(&wires.control),
    };
    for Wire { standing, .. } in &late.all {
        if !standing.about.copy_only {
            *standing.cursor.lock() = journal.cursor(place.offset);
        }
        standing.feed.lock().begin();
    }
    if !late.all.is_empty() {
        info!("{} more replicas share the copy", late.all.len());
        // Who cannot be told is left out with the others.
        let _ = announce(&mut late, place);
    }
    wires.all.append(&mut late.all);
}

fn send_marked(
    server: &Server,
    settings: &Settings,
    without: Without,
    wires: &Shared,
    pieces: &Pieces,
    control: &Control,
    begun: &Begun,
) -> io::Result<()> {
    announce(&mut wires.0.lock(), &begun.place)?;
    let mark: RunId = new_name();
    wires.write(format!("$EOF:{mark}\r\n").as_bytes())?;
    let about = about(server, settings, begun);
    write_to(
        Box::new(wires.clone()),
        !without.keys,
        pieces,
        control,
        &about,
    )?;
    wires.write(mark.as_str().as_bytes())
}

fn send_file(
    server: &Server,
    settings: &Settings,
    manner: Manner,
    wires: &Shared,
    pieces: &Pieces,
    control: &Control,
    begun: &Begun,
) -> io::Result<()> {
    announce(&mut wires.0.lock(), &begun.place)?;
    let file = Temporary::create()?;
    let about = about(server, settings, begun);
    let patient = Patient {
        file: File::options().write(true).open(&file.0)?,
        wires: wires.clone(),
        told: Instant::now(),
    };
    write_to(Box::new(patient), true, pieces, control, &about)?;
    let_join(server, manner, &mut wires.0.lock(), &begun.place);
    let mut input = File::open(&file.0)?;
    let len = input.metadata()?.len();
    wires.write(format!("${len}\r\n").as_bytes())?;
    let mut buffer = vec![0; FILE_BYTES];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            count => wires.write(&buffer[..count])?,
        }
    }
}

/// A file that is there as long as it is needed.
struct Temporary(PathBuf);

impl Temporary {
    fn create() -> io::Result<Temporary> {
        let path = PathBuf::from(format!("temp-sync-{}.rdb", std::process::id()));
        File::create(&path)?;
        Ok(Temporary(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = remove_file(&self.0);
    }
}

/// A file that is written while others wait for it.
struct Patient {
    file: File,
    wires: Shared,
    told: Instant,
}

impl Destination for Patient {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.told.elapsed() >= KEEPALIVE {
            self.told = Instant::now();
            self.wires.write(b"\n")?;
        }
        self.file.put(bytes)
    }

    fn sync(&mut self, _: bool) -> io::Result<()> {
        // It need not outlive this process.
        Ok(())
    }
}

/// The copy is on its way: the replica's worker goes on with the stream.
fn finish(server: &Server, standing: &Standing, manner: Manner) {
    let name = standing.name();
    if standing.about.copy_only {
        info!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap");
        return close(server, standing);
    }
    standing.feed.lock().copied(manner.by_mark, server.now());
    info!("Synchronization with replica {name} succeeded");
    let mailbox = &server.mailboxes[usize::from(standing.card.worker.0)];
    mailbox.send(Message::Feed);
}
