//! Writing the snapshot file: a temporary one beside it, which takes its place when all of it is on
//! disk.

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use base::ids::{DbIndex, RunId};
use base::time::UnixMillis;
use engine::access;
use engine::entry::{Text, Value};
use engine::keyspace::Lease;
use engine::snapshot::{Copied, Frozen, Piece, visit_flushed};
use journal::Offset;
use rdb::file::{Usage, put_database, put_end, put_fact, put_head, put_key, put_library};
use rdb::{Cursor, Encoder, Progress, Target};

pub use super::outlet::Destination;
use super::outlet::{Manner, Outlet};
use super::pieces::Pieces;
use super::walk::Control;
use crate::config::settings::EvictionPolicy;
use crate::scripting::libraries::Libraries;
use crate::settings::Settings;
use crate::version::REDIS_VERSION;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Entries of a database, those of them that expire, and those with elements that do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Entries.
    pub keys: u64,
    /// Those that expire.
    pub volatile: u64,
    /// Those with elements that expire.
    pub timed: u64,
}

/// What the file says about itself, and how it is written.
pub struct About<'a> {
    /// How it is written.
    pub settings: &'a Settings,
    /// By database.
    pub counts: &'a [Counts],
    /// The time of its head.
    pub now: UnixMillis,
    /// Memory in use.
    pub used_bytes: u64,
    /// The libraries of functions.
    pub libraries: &'a Libraries,
    /// It is the base of an append-only file.
    pub is_base: bool,
    /// Where in which history it is, if anybody has to know.
    pub stream: Option<StreamPlace>,
}

/// The moment of a snapshot, as the journal has it.
#[derive(Clone, Copy, Debug)]
pub struct StreamPlace {
    /// The history's name.
    pub id: RunId,
    /// Bytes of it before.
    pub offset: Offset,
    /// The database that is selected there.
    pub db: DbIndex,
}

impl About<'_> {
    /// The version that the reader loads, unless there is what only a newer one has. The head comes
    /// before the values that decide; arrays and the newest forms of streams, which no older reader
    /// takes from a file of any version, do not count.
    fn version(&self) -> u32 {
        let reader = self.settings.snapshot_reader;
        match self.counts.iter().any(|db| db.timed > 0) {
            true => reader.timed_version(),
            false => reader.version(),
        }
    }
}

/// Writes the file at `path`.
///
/// # Errors
/// As the operating system says. Then what was at `path` is still there.
pub(super) fn write(
    path: &Path,
    pieces: &Pieces,
    control: &Control,
    about: &About<'_>,
) -> io::Result<()> {
    replace(path, "temp", |temporary| {
        write_here(temporary, pieces, control, about)
    })
}

/// Writes a file, in place of whatever is at `path`.
///
/// # Errors
/// As the operating system says.
pub fn write_here(
    path: &Path,
    pieces: &Pieces,
    control: &Control,
    about: &About<'_>,
) -> io::Result<()> {
    write_to(Box::new(create(path)?), true, pieces, control, about)
}

/// Writes a snapshot anywhere; without the keys if not `with_keys`.
///
/// # Errors
/// As the operating system says.
pub fn write_to(
    destination: Box<dyn Destination>,
    with_keys: bool,
    pieces: &Pieces,
    control: &Control,
    about: &About<'_>,
) -> io::Result<()> {
    let mut writer = Writer::new(destination, about)?;
    writer.control = Some(control);
    writer.head()?;
    while let Some(piece) = pieces.take() {
        if with_keys {
            writer.piece(piece)?;
        }
    }
    if control.cancelled.load(Ordering::Relaxed) {
        return Err(io::Error::other("called off"));
    }
    writer.finish()
}

/// Writes the file at `path`, with all that `lease` holds: every stripe.
///
/// # Errors
/// As [`write`].
pub(super) fn write_held(path: &Path, lease: &mut Lease<'_>, about: &About<'_>) -> io::Result<()> {
    replace(path, "temp-reload", |temporary| {
        let mut writer = Writer::new(Box::new(create(temporary)?), about)?;
        writer.head()?;
        for db in (0..lease.keyspace().databases()).map(DbIndex) {
            writer.database(db, lease)?;
        }
        writer.finish()
    })
}

/// Lets `fill` write a file that then takes the place of the one at `path`. `prefix` is of those
/// who never write at the same time.
fn replace(
    path: &Path,
    prefix: &str,
    fill: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = path.with_file_name(format!("{prefix}-{}.rdb", std::process::id()));
    let written = fill(&temporary)
        .and_then(|()| rename(&temporary, path))
        .and_then(|()| sync_directory(path));
    if written.is_err() {
        // It may not be there: what matters is reported already.
        let _ = remove_file(&temporary);
    }
    written
}

/// Makes the renaming itself last.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).open(path)
}

struct Writer<'a> {
    /// `None` once it has failed.
    outlet: Option<Outlet>,
    about: &'a About<'a>,
    encoder: Encoder,
    buffer: Vec<u8>,
    db: Option<DbIndex>,
    /// Of a snapshot that is taken beside the commands.
    control: Option<&'a Control>,
}

impl<'a> Writer<'a> {
    fn new(destination: Box<dyn Destination>, about: &'a About<'a>) -> io::Result<Writer<'a>> {
        let target = Target {
            reader: about.settings.snapshot_reader,
            compress: about.settings.rdbcompression,
        };
        let manner = Manner {
            summed: about.settings.rdbchecksum,
            steadily: about.settings.rdb_save_incremental_fsync,
        };
        Ok(Writer {
            outlet: Some(Outlet::open(destination, manner)?),
            about,
            encoder: Encoder::new(target),
            buffer: Vec::with_capacity(BUFFER_BYTES * 2),
            db: None,
            control: None,
        })
    }

    fn head(&mut self) -> io::Result<()> {
        let (seconds, used) = (self.about.now.as_secs(), self.about.used_bytes);
        put_head(self.about.version(), &mut self.buffer);
        let facts = [
            ("redis-ver", REDIS_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", seconds.to_string()),
            ("used-mem", used.to_string()),
            ("aof-base", u8::from(self.about.is_base).to_string()),
        ];
        let stream = self.about.stream.map(|StreamPlace { id, offset, db }| {
            [
                ("repl-stream-db", db.to_string()),
                ("repl-id", id.to_string()),
                ("repl-offset", offset.0.to_string()),
            ]
        });
        for (name, value) in facts.into_iter().chain(stream.into_iter().flatten()) {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            put_fact(name, value, &mut self.encoder, &mut self.buffer);
        }
        for library in self.about.libraries.iter() {
            put_library(library.source(), &mut self.encoder, &mut self.buffer);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Small(chunk) => {
                self.select(chunk.db);
                for entry in chunk.entries() {
                    self.entry(&entry)?;
                }
            }
            Piece::Large(db, large) => {
                self.select(db);
                let value = match &large.value {
                    Frozen::Text(text) => Value::Text(Text::Shared(text)),
                    Frozen::Object(object) => Value::Object(object),
                };
                self.entry(&Copied {
                    key: &large.key,
                    deadline: large.deadline,
                    access: large.access,
                    value,
                })?;
            }
            Piece::Flushed(db, table, epoch) => {
                self.select(db);
                let mut result = Ok(());
                visit_flushed(&table, epoch, |entry| {
                    if result.is_ok() {
                        result = self.entry(&Copied::of(entry));
                    }
                });
                result?;
            }
        }
        Ok(())
    }

    /// All entries of a database.
    fn database(&mut self, db: DbIndex, lease: &mut Lease<'_>) -> io::Result<()> {
        let mut result = Ok(());
        for stripe in lease.held() {
            stripe.table(db).visit_all(|entry| {
                if result.is_ok() {
                    self.select(db);
                    result = self.entry(&Copied::of(entry));
                }
            });
        }
        result
    }

    /// What follows is of this database.
    fn select(&mut self, db: DbIndex) {
        if self.db != Some(db) {
            self.db = Some(db);
            let counts = self.about.counts.get(db.as_usize());
            let Counts { keys, volatile, .. } = counts.copied().unwrap_or_default();
            put_database(db.0, keys, volatile, &mut self.buffer);
        }
    }

    fn entry(&mut self, entry: &Copied<'_>) -> io::Result<()> {
        let value = engine::dump::value_of(entry.value);
        let kind = value.kind(self.encoder.target().reader);
        let usage = self.usage(entry.access);
        let (encoder, buffer) = (&mut self.encoder, &mut self.buffer);
        put_key(entry.key, kind, entry.deadline, usage, encoder, buffer);
        if let Some(control) = self.control {
            control.key_written();
        }
        let mut cursor = Cursor::default();
        loop {
            let (encoder, buffer) = (&mut self.encoder, &mut self.buffer);
            let progress = encoder.value(value, &mut cursor, buffer, BUFFER_BYTES);
            if self.buffer.len() >= BUFFER_BYTES {
                self.flush()?;
            }
            if progress == Progress::Done {
                return Ok(());
            }
        }
    }

    /// What the eviction policy would want to know of it after a restart.
    fn usage(&self, bits: u32) -> Usage {
        match self.about.settings.maxmemory_policy {
            EvictionPolicy::AllkeysLru | EvictionPolicy::VolatileLru => {
                Usage::Idle(access::idle_seconds(bits, self.about.now).into())
            }
            EvictionPolicy::AllkeysLfu | EvictionPolicy::VolatileLfu => {
                let minutes = self.about.settings.lfu_decay_time_minutes;
                // A counter of eight bits.
                Usage::Frequency(access::decayed(bits, minutes, self.about.now) as u8)
            }
            _ => Usage::Unknown,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let outlet = self.outlet.take().ok_or_else(failed_before)?;
        if !outlet.write(&mut self.buffer) {
            return outlet.finish();
        }
        self.outlet = Some(outlet);
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        put_end(&mut self.buffer);
        self.flush()?;
        self.outlet.take().ok_or_else(failed_before)?.finish()
    }
}

#[cold]
fn failed_before() -> io::Error {
    io::Error::other("writing has failed before")
}
