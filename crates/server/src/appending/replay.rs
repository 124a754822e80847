//! Loading the append-only files: the base, then what was done since, command by command.
//!
//! Commands run as they would for a client, but long before every deadline, so that nothing expires
//! but what the log says; nothing is logged, and nobody is told. A transaction is run when its EXEC
//! has been read. Commands of different keys run on several threads (`lanes`).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::thread;

use base::ids::DbIndex;
use base::strings::repr;
use engine::args::{Args, KeyWord};
use engine::keyspace::Lease;
use journal::Offset;
use journal::files::Files;
use journal::manifest::Entry;
use journal::read::{Item, Reader};
use journal::writer::ASIDE_WORD;
use log::{info, warn};
use replication::history::History;
use resp::Span;

use super::lanes::{Gone, Lanes, Runner};
use super::single_file;
use crate::batch::find_keys;
use crate::families::function;
use crate::loading::{Failure, Overdue, environment, file, file_under_lease};
use crate::registry::Handler;
use crate::server::Server;
use crate::settings::Settings;

/// Commands between two looks whether the process is to end.
const LOOK_COMMANDS: u64 = 10_000;
/// The threads that run commands are gone.
const GONE: &str = "a thread that loads has panicked";

/// What is in the log for the sake of replicas alone.
const STREAM_ONLY: &[&str] = &["ping", "publish", "replconf", "spublish"];

/// Loads everything there is.
///
/// # Errors
/// One line that names file, place and way out; or the process is to end.
pub fn at_start(server: &Server, ended: &mut dyn FnMut() -> bool) -> Result<(), Failure> {
    let settings = server.settings.get();
    let files = server
        .appending
        .files(&settings)
        .map_err(Failure::Refused)?;
    let single = single_file(&settings);
    let adopted = files.lock().adopt_single(&single);
    if adopted.map_err(|trouble| Failure::Refused(trouble.to_string()))? {
        let name = single.display();
        info!("Successfully migrated an old-style AOF file ({name}) into the AOF directory.");
    }
    let mut lease = server.keyspace.lease();
    let parts = parts(&files.lock());
    server.loading.begin_replay();
    let seen = load(server, &settings, &parts, &mut lease, ended)?;
    let last = files.lock().manifest().increments.last().cloned();
    let start = last.and_then(|last| last.start);
    let end = start.map(|start| Offset(start.0 + seen.log_bytes));
    match (seen.history, end) {
        (Some(history), Some(end)) => server.replicating.resume(server, history, end, seen.db),
        _ => server.appending.journal.begin_at(end.unwrap_or_default()),
    }
    Ok(())
}

/// Loads the files that are being written, with all stripes leased: for DEBUG LOADAOF.
///
/// # Errors
/// One line.
pub fn under_lease(server: &Server, lease: &mut Lease<'_>) -> Result<(), String> {
    let settings = server.settings.get();
    let files = server.appending.files(&settings)?;
    let parts = parts(&files.lock());
    match load(server, &settings, &parts, lease, &mut || false) {
        Ok(_) => Ok(()),
        Err(Failure::Refused(why)) => Err(why),
        Err(Failure::Ended) => Err("the process is ending".to_owned()),
    }
}

fn parts(files: &Files) -> Vec<PathBuf> {
    let path = |entry: &Entry| files.place().path(&entry.name);
    files.manifest().parts().map(path).collect()
}

/// Loads these files in order.
fn load(
    server: &Server,
    settings: &Settings,
    parts: &[PathBuf],
    lease: &mut Lease<'_>,
    ended: &mut dyn FnMut() -> bool,
) -> Result<Seen, Failure> {
    let total = parts
        .iter()
        .map(|path| len_of(path))
        .sum::<Result<u64, _>>()?;
    server.loading.begin(server.now(), total);
    let errors = AtomicU64::new(0);
    thread::scope(|scope| {
        // Who holds all stripes alone runs all commands alone.
        let lanes = match lease.is_pinned() {
            true => Lanes::none(server),
            false => Lanes::start(scope, server, settings, &errors)
                .map_err(|error| Failure::Refused(error.to_string()))?,
        };
        let replay = Replay {
            server,
            settings,
            runner: Runner::new(server, settings, &errors, lease),
            lanes,
            db: DbIndex::default(),
            keys: Vec::new(),
            commands: 0,
            seen: Seen::default(),
        };
        load_parts(replay, parts, ended)
    })
}

fn load_parts(
    mut replay: Replay<'_, '_>,
    parts: &[PathBuf],
    ended: &mut dyn FnMut() -> bool,
) -> Result<Seen, Failure> {
    let server = replay.server;
    for (at, path) in parts.iter().enumerate() {
        let begun = server.now();
        let before = parts[..at].iter().map(|path| len_of(path));
        server.loading.begin_part(before.sum::<Result<u64, _>>()?);
        let rest = &parts[at + 1..];
        let is_last = rest.iter().try_fold(true, |empty, path| {
            len_of(path).map(|len| empty && len == 0)
        })?;
        replay.file(path, is_last, ended)?;
        let millis = server.now().millis_since(begun);
        let (seconds, rest) = (millis / 1000, millis % 1000);
        info!(
            "DB loaded from append only file {}: {seconds}.{rest:03} seconds",
            path.display()
        );
    }
    replay.runner.lease.release();
    replay.seen.db = replay.db;
    Ok(replay.seen)
}

/// What the files say of the log that they are.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Which history it is.
    history: Option<History>,
    /// The database that is selected at its end.
    db: DbIndex,
    /// Its bytes in the last file.
    log_bytes: u64,
}

fn len_of(path: &Path) -> Result<u64, Failure> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) => Err(Failure::Refused(format!(
            "{} cannot be loaded, though the manifest of the append-only file names it: {error}. \
             Put the file back, or move the whole directory away to begin without data",
            path.display()
        ))),
    }
}

/// One command: where its bytes and words are.
struct Queued {
    bytes: Vec<u8>,
    words: Vec<Span>,
}

struct Replay<'r, 'k> {
    server: &'r Server,
    settings: &'r Settings,
    runner: Runner<'r, 'k>,
    lanes: Lanes,
    db: DbIndex,
    keys: Vec<KeyWord>,
    commands: u64,
    seen: Seen,
}

impl Replay<'_, '_> {
    fn file(
        &mut self,
        path: &Path,
        is_last: bool,
        ended: &mut dyn FnMut() -> bool,
    ) -> Result<(), Failure> {
        let io = |error: std::io::Error| refuse("Error", path, &error.to_string());
        let mut input = File::open(path).map_err(io)?;
        let mut magic = [0; 6];
        let filled = input.read(&mut magic).map_err(io)?;
        let snapshot = magic[..filled].starts_with(b"REDIS") || magic[..filled] == *b"VALKEY";
        let skipped = match snapshot {
            true if self.runner.lease.is_pinned() => {
                let mut env = environment(self.server, self.settings, Overdue::Kept);
                env.expire = false;
                file_under_lease(self.server, path, self.runner.lease, &env, false)?
            }
            true => file(self.server, path, Overdue::Kept, ended)?,
            false => 0,
        };
        input.seek(SeekFrom::Start(skipped)).map_err(io)?;
        let len = input.metadata().map_err(io)?.len();
        self.db = DbIndex::default();
        let mut reader = Reader::new(input, len, skipped);
        let read = self.commands(&mut reader, path, ended);
        self.fence().map_err(Failure::Refused)?;
        match read {
            Ok(()) => Ok(()),
            Err(Stop::Failure(failure)) => Err(failure),
            Err(Stop::Fault(fault)) if fault.is_torn_tail() && is_last => {
                self.cut_off(path, fault.valid, &fault.to_string())
            }
            Err(Stop::Fault(fault)) if fault.is_torn_tail() => {
                let why = format!("{fault}; and it is not the last file");
                Err(refuse("Unexpected end of file", path, &why))
            }
            Err(Stop::Fault(fault)) => Err(refuse("Bad file format", path, &fault.to_string())),
        }
    }

    fn commands(
        &mut self,
        reader: &mut Reader<File>,
        path: &Path,
        ended: &mut dyn FnMut() -> bool,
    ) -> Result<(), Stop> {
        let mut words = Vec::new();
        let mut block: Option<Vec<Queued>> = None;
        let mut aside = false;
        // Of them, those that are of the log; the last ones may be a torn transaction.
        let mut log_bytes = 0;
        self.seen.log_bytes = 0;
        loop {
            if reader.valid() == reader.at() {
                self.seen.log_bytes = log_bytes;
            }
            let at = reader.at();
            let Some(item) = reader.next(&mut words).map_err(Stop::Fault)? else {
                return Ok(());
            };
            let bytes = match item {
                Item::Command(bytes) => bytes,
                Item::Remark(text) => {
                    aside |= text == ASIDE_WORD;
                    self.seen.history = History::parse(text).or(self.seen.history);
                    continue;
                }
                Item::Stamp(_) => continue,
            };
            if !std::mem::take(&mut aside) {
                log_bytes += bytes.len() as u64;
            }
            self.server.loading.pace.key(ended);
            let name = words.first().map_or(&b""[..], |name| name.of(bytes));
            if name.eq_ignore_ascii_case(b"multi") {
                block = Some(Vec::new());
            } else if name.eq_ignore_ascii_case(b"exec") {
                for queued in block.take().into_iter().flatten() {
                    self.run(&queued.bytes, &queued.words)
                        .map_err(|why| wrong(path, at, &why))?;
                }
            } else if let Some(block) = &mut block {
                let (bytes, words) = (bytes.to_vec(), words.clone());
                block.push(Queued { bytes, words });
            } else {
                self.run(bytes, &words)
                    .map_err(|why| wrong(path, at, &why))?;
            }
            self.commands += 1;
            if self.commands.is_multiple_of(LOOK_COMMANDS) {
                self.runner.lease.release();
                let now = self.server.now();
                self.server.loading.advance(reader.at(), now);
                if ended() {
                    return Err(Stop::Failure(Failure::Ended));
                }
            }
        }
    }

    /// Runs a command; why it cannot be run.
    fn run(&mut self, bytes: &[u8], words: &[Span]) -> Result<(), String> {
        let word = |at: usize| words.get(at).map(|span| span.of(bytes));
        let name = word(0).unwrap_or_default();
        let shown = || String::from_utf8_lossy(&repr(name)).into_owned();
        if name.eq_ignore_ascii_case(b"select") {
            return self.select(word(1).unwrap_or_default());
        }
        let registry = &self.server.registry;
        let Ok(id) = registry.resolve(name, word(1)) else {
            let name = String::from_utf8_lossy(name);
            return Err(format!("Unknown command '{name}'"));
        };
        let row = registry.row(id);
        if !row.spec.accepts(words.len()) {
            return Err(format!("Wrong number of words for {}", shown()));
        }
        let Handler::Data(run) = row.handler else {
            self.fence()?;
            let mut args = Args::new(bytes, words, &[]);
            args.skip(1);
            let done = function::replay(&row.name, &self.server.scripting, &mut args);
            let done = match done {
                None if STREAM_ONLY.contains(&&*row.name) => return Ok(()),
                done => done.ok_or_else(|| format!("{} cannot be replayed", shown()))?,
            };
            if let Err(failure) = done {
                self.runner.complain(name, &failure);
            }
            return Ok(());
        };
        self.keys.clear();
        let keyspace = &self.server.keyspace;
        find_keys(row.shape, words, bytes, keyspace, &mut self.keys);
        let (what, keys) = ((run, self.db), &self.keys);
        let taken = self.lanes.take(self.server, what, bytes, words, keys);
        if !taken.map_err(|Gone| GONE)? {
            self.fence()?;
            let args = Args::new(bytes, words, &self.keys);
            self.runner.run(run, self.db, args);
            // The lanes want the stripes.
            self.runner.lease.release();
        }
        Ok(())
    }

    /// Everything read so far has been run.
    fn fence(&mut self) -> Result<(), String> {
        self.lanes
            .fence(&mut self.runner)
            .map_err(|Gone| GONE.to_owned())
    }

    fn select(&mut self, number: &[u8]) -> Result<(), String> {
        let databases = self.server.keyspace.databases();
        let number = base::num::parse_i64(number).and_then(|db| u32::try_from(db).ok());
        match number.filter(|&db| db < databases) {
            Some(db) => {
                self.db = DbIndex(db);
                Ok(())
            }
            None => Err(format!(
                "a database that is not among the {databases} configured"
            )),
        }
    }

    /// The end of the last file is missing: it is cut off, if that is allowed.
    fn cut_off(&self, path: &Path, valid: u64, why: &str) -> Result<(), Failure> {
        let name = path.display();
        if !self.settings.aof.load_truncated {
            return Err(Failure::Refused(format!(
                "Unexpected end of file reading the append only file {name}: {why}. \
                 `ruddle check --fix {name}` cuts the end off; with aof-load-truncated yes that is \
                 done at the start"
            )));
        }
        warn!("!!! Warning: short read while loading the AOF file {name}: {why} !!!");
        let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
            file.set_len(valid)?;
            file.sync_all()
        });
        cut.map_err(|error| Failure::Refused(format!("cannot truncate {name}: {error}")))?;
        warn!("AOF {name} truncated at offset {valid} because aof-load-truncated is enabled");
        Ok(())
    }
}

enum Stop {
    Fault(journal::read::Fault),
    Failure(Failure),
}

fn wrong(path: &Path, at: u64, why: &str) -> Stop {
    Stop::Failure(refuse(why, path, &format!("at byte {at}")))
}

/// `what` is wrong with a file, at the place that `why` tells.
fn refuse(what: &str, path: &Path, why: &str) -> Failure {
    let name = path.display();
    Failure::Refused(format!(
        "{what} reading the append only file {name}: {why}. Nothing was changed in it: \
         `ruddle check {name}` describes it. To start all the same, put a sound copy in its place, \
         or move the directory away to begin without data"
    ))
}
