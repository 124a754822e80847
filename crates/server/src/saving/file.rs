//! Writing the snapshot file: a temporary one beside it, which takes its place when all of it is on
//! disk.

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use base::ids::{DbIndex, RunId};
use base::time::UnixMillis;
use engine::keyspace::Lease;
use journal::Offset;
use rdb::file::{put_end, put_fact, put_head, put_library};
use rdb::{Encoder, Target};

use super::encoding::{Encoding, Mouth, encode_all};
pub use super::outlet::Destination;
use super::outlet::{Manner, Outlet};
use super::pieces::Pieces;
use super::walk::Control;
use crate::scripting::libraries::Libraries;
use crate::settings::Settings;
use crate::version::REDIS_VERSION;

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
    let mouth = open(destination, about)?;
    match with_keys {
        true => encode_all(&mouth, pieces, control),
        false => while pieces.take().is_some() {},
    }
    if control.cancelled.load(Ordering::Relaxed) {
        return Err(io::Error::other("called off"));
    }
    finish(mouth)
}

/// Writes the file at `path`, with all that `lease` holds: every stripe.
///
/// # Errors
/// As [`write`].
pub(super) fn write_held(path: &Path, lease: &mut Lease<'_>, about: &About<'_>) -> io::Result<()> {
    replace(path, "temp-reload", |temporary| {
        let mouth = open(Box::new(create(temporary)?), about)?;
        let mut encoding = Encoding::new(&mouth, None);
        for db in filled(about) {
            // What went wrong is said in the end.
            let _ = encoding.database(db, lease);
        }
        finish(mouth)
    })
}

/// The databases that have keys.
fn filled<'a>(about: &'a About<'_>) -> impl Iterator<Item = DbIndex> + 'a {
    let counts = (0..).map(DbIndex).zip(about.counts);
    counts
        .filter(|(_, counts)| counts.keys > 0)
        .map(|(db, _)| db)
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

/// The way to a file, which has its head.
fn open<'a>(destination: Box<dyn Destination>, about: &'a About<'a>) -> io::Result<Mouth<'a>> {
    let manner = Manner {
        summed: about.settings.rdbchecksum,
        steadily: about.settings.rdb_save_incremental_fsync,
    };
    let mouth = Mouth::new(Outlet::open(destination, manner)?, about);
    // What went wrong it says in the end.
    let _ = mouth.put(&mut head(about));
    Ok(mouth)
}

/// What comes before the keys.
fn head(about: &About<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(Target {
        reader: about.settings.snapshot_reader,
        compress: about.settings.rdbcompression,
    });
    let (seconds, used) = (about.now.as_secs(), about.used_bytes);
    put_head(about.version(), &mut out);
    let facts = [
        ("redis-ver", REDIS_VERSION.to_owned()),
        ("redis-bits", usize::BITS.to_string()),
        ("ctime", seconds.to_string()),
        ("used-mem", used.to_string()),
        ("aof-base", u8::from(about.is_base).to_string()),
    ];
    let stream = about.stream.map(|StreamPlace { id, offset, db }| {
        [
            ("repl-stream-db", db.to_string()),
            ("repl-id", id.to_string()),
            ("repl-offset", offset.0.to_string()),
        ]
    });
    for (name, value) in facts.into_iter().chain(stream.into_iter().flatten()) {
        put_fact(name.as_bytes(), value.as_bytes(), &mut encoder, &mut out);
    }
    for library in about.libraries.iter() {
        put_library(library.source(), &mut encoder, &mut out);
    }
    out
}

/// Adds the end, and waits until all of it is on disk.
fn finish(mouth: Mouth<'_>) -> io::Result<()> {
    let mut end = Vec::new();
    put_end(&mut end);
    // What went wrong it says now.
    let _ = mouth.put(&mut end);
    mouth.finish()
}
