//! Loading the snapshot file: at the start, while clients are told to wait, and for DEBUG RELOAD.
//!
//! At the start one thread reads the file and passes over the values, others decode them and put
//! them into the keyspace (`batches`); so the time goes by the cores, and in memory there are at
//! most a few batches besides the data. The listeners are open meanwhile: commands that need the
//! data are answered LOADING.
//!
//! A file that cannot be read to its end is not loaded at all: the server does not start.

mod batches;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use base::ids::{DbIndex, RunId};
use base::rng::seed_from_os;
use base::strings::repr;
use base::time::UnixMillis;
use engine::dump::{Inserted, insert};
use engine::env::Env;
use engine::keyspace::{Key, Keyspace, Lease};
use journal::Offset;
use log::info;
use rdb::file::{Item, KeyHead, Reader};
use rdb::{Decoded, Fault, Input};
use replication::history::History;

use crate::saving::pace::Pace;
use crate::scripting::libraries::Libraries;
use crate::server::Server;
use crate::settings::{Settings, engine_limits};

/// Empty keys that are named in the log, each on a line.
const EMPTY_NAMED_MAX: u64 = 10;
/// The log is told so often how far loading is.
const TELL_MILLIS: i64 = 5_000;

/// How far loading is, for INFO.
#[derive(Debug, Default)]
pub struct Progress {
    active: AtomicBool,
    beside: AtomicBool,
    /// Milliseconds since 1970.
    pub since: AtomicI64,
    /// Size of the file.
    pub total_bytes: AtomicU64,
    /// Bytes of it that were read.
    pub read_bytes: AtomicU64,
    /// Memory that the file's writer used.
    pub writer_bytes: AtomicU64,
    /// The database that is selected in the stream of its writer, where the file ends.
    pub stream_db: AtomicU64,
    /// Keys of the last file that were put in.
    pub keys_loaded: AtomicU64,
    /// Keys of the last file that had expired.
    pub keys_expired: AtomicU64,
    keys_empty: AtomicU64,
    /// How fast keys are read.
    pub pace: Pace,
    /// Commands are run as they were: no key may go by itself between them.
    replaying: AtomicBool,
    /// When the log was last told how far loading is, in milliseconds since 1970.
    told_at: AtomicI64,
    /// Bytes of the files before the one that is read.
    before_bytes: AtomicU64,
}

impl Progress {
    /// Whether clients have to wait for the data.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// From now on they have to, if there is a file.
    pub fn announce(&self, there_is_a_file: bool) {
        self.active.store(there_is_a_file, Relaxed);
    }

    /// Data are loaded beside those that clients see, or no more.
    pub fn set_beside(&self, beside: bool) {
        self.beside.store(beside, Relaxed);
    }

    /// Whether data are loaded beside those that clients see.
    #[inline]
    pub fn is_beside(&self) -> bool {
        self.beside.load(Relaxed)
    }

    /// They need not any more.
    pub fn end(&self) {
        self.replaying.store(false, Relaxed);
        self.active.store(false, Relaxed);
    }

    /// What is loaded is, up to [`Progress::end`], a log of commands.
    pub(crate) fn begin_replay(&self) {
        self.replaying.store(true, Relaxed);
    }

    /// Whether no key may expire or be evicted: a command that follows may want it.
    #[inline]
    pub fn keeps_all(&self) -> bool {
        self.replaying.load(Relaxed)
    }

    /// The next file begins: so many bytes were in those before it.
    pub(crate) fn begin_part(&self, before_bytes: u64) {
        self.before_bytes.store(before_bytes, Relaxed);
    }

    /// So much of the file has been read; the log is told now and then.
    pub(crate) fn advance(&self, read_bytes: u64, now: UnixMillis) {
        let read_bytes = self.before_bytes.load(Relaxed) + read_bytes;
        self.read_bytes.store(read_bytes, Relaxed);
        let told_at = UnixMillis(self.told_at.load(Relaxed));
        if now.millis_since(told_at) < TELL_MILLIS {
            return;
        }
        self.told_at.store(now.0, Relaxed);
        let total = self.total_bytes.load(Relaxed);
        let percent = (read_bytes.saturating_mul(100)).checked_div(total);
        let keys = self.keys_loaded.load(Relaxed);
        info!(
            "Loading: {} % of {} MB read, {keys} keys of a snapshot so far",
            percent.unwrap_or(100).min(100),
            total >> 20,
        );
    }

    pub(crate) fn begin(&self, now: UnixMillis, total_bytes: u64) {
        self.since.store(now.0, Relaxed);
        self.told_at.store(now.0, Relaxed);
        self.total_bytes.store(total_bytes, Relaxed);
        let counters = [
            &self.before_bytes,
            &self.read_bytes,
            &self.writer_bytes,
            &self.stream_db,
            &self.keys_loaded,
            &self.keys_expired,
            &self.keys_empty,
        ];
        counters
            .iter()
            .for_each(|counter| counter.store(0, Relaxed));
    }
}

/// Why the data are not loaded.
#[derive(Debug)]
pub enum Failure {
    /// One line for the operator.
    Refused(String),
    /// The process is to end.
    Ended,
}

/// Loads the snapshot file, if there is one, with several threads. `ended` is asked now and then
/// whether to give up.
///
/// # Errors
/// See [`Failure`].
pub fn at_start(server: &Server, ended: &mut dyn FnMut() -> bool) -> Result<(), Failure> {
    let path = &server.settings.get().dbfilename;
    let place = place_of(path);
    let overdue = match place {
        None => Overdue::Dropped,
        // Replicas may go on where they are: they have to be told what ends.
        Some(_) => Overdue::Kept,
    };
    file(server, path, overdue, ended)?;
    if let Some((id, offset)) = place {
        let history = History::new(id);
        let db = server.loading.stream_db.load(Relaxed);
        let db = DbIndex(u32::try_from(db).unwrap_or(0));
        server.replicating.resume(server, history, offset, db);
    }
    Ok(())
}

/// Which history a snapshot file is of, and up to where, if it says so.
fn place_of(path: &Path) -> Option<(RunId, Offset)> {
    // What can be read only once is left to the loader.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut reader = Reader::open(Input::of_reader(File::open(path).ok()?)).ok()?;
    let (mut id, mut offset) = (None, None);
    while let Ok(Item::Fact(name, value)) = reader.next_item() {
        match name.as_slice() {
            b"repl-id" => id = RunId::parse(&value),
            b"repl-offset" => {
                let number = base::num::parse_i64(&value);
                offset = number.and_then(|number| u64::try_from(number).ok());
            }
            _ => {}
        }
    }
    Some((id?, Offset(offset?)))
}

/// What becomes of keys whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// They are not put in.
    Dropped,
    /// They are: commands that follow may have been run before it was over.
    Kept,
}

/// What is loaded where.
struct Job<'j> {
    server: &'j Server,
    keyspace: &'j Keyspace,
    settings: &'j Settings,
    overdue: Overdue,
}

/// Loads a snapshot that somebody sends into an empty keyspace, which may be the server's; the
/// libraries of functions in it. Keys whose time is over are put in: who sends it will say when
/// they go. `total_bytes`: its length, if that is known.
///
/// # Errors
/// See [`Failure`]. What was read up to there is in the keyspace.
pub fn received(
    server: &Server,
    input: impl Read,
    total_bytes: u64,
    keyspace: &Keyspace,
    ended: &mut dyn FnMut() -> bool,
) -> Result<Libraries, Failure> {
    let settings = server.settings.get();
    server.loading.begin(server.now(), total_bytes);
    let mut input = Input::of_reader(input);
    if !settings.rdbchecksum || settings.skip_checksums {
        input.without_sum();
    }
    let mut reader = Reader::open(input).map_err(refused)?;
    let mut libraries = Libraries::default();
    let job = Job {
        server,
        keyspace,
        settings: &settings,
        overdue: Overdue::Kept,
    };
    batches::load(&mut reader, &job, &mut libraries, ended)?;
    report(server);
    Ok(libraries)
}

/// Loads a snapshot file, if there is one, with several threads; where it ends, which may be before
/// the end of the file. Progress begins with it, unless it is a part of something larger
/// ([`Overdue::Kept`]).
///
/// # Errors
/// See [`Failure`].
pub fn file(
    server: &Server,
    path: &Path,
    overdue: Overdue,
    ended: &mut dyn FnMut() -> bool,
) -> Result<u64, Failure> {
    let settings = server.settings.get();
    let begun = server.now();
    if overdue == Overdue::Dropped {
        server.loading.begin(begun, len_of(path));
    }
    let Some(mut reader) = open(&settings, path)? else {
        return Ok(0);
    };
    let mut libraries = server.scripting.libraries.read().clone();
    let job = Job {
        server,
        keyspace: &server.keyspace,
        settings: &settings,
        overdue,
    };
    let loaded = batches::load(&mut reader, &job, &mut libraries, ended);
    loaded.map_err(|failure| failure.about(path))?;
    server.scripting.set_libraries(libraries);
    let millis = server.now().millis_since(begun);
    info!(
        "DB loaded from disk: {}.{:03} seconds",
        millis / 1000,
        millis % 1000
    );
    report(server);
    Ok(reader.offset())
}

/// Loads the snapshot file into a keyspace all of which `lease` holds. Keys that are there stay
/// unless the file has them too: then it is a failure, or `replace` says that the file wins.
///
/// # Errors
/// One line. What was read up to there is in the keyspace.
pub fn under_lease(
    server: &Server,
    lease: &mut Lease<'_>,
    env: &Env,
    replace: bool,
) -> Result<(), String> {
    let path = server.settings.get().dbfilename.clone();
    server.loading.begin(server.now(), len_of(&path));
    match file_under_lease(server, &path, lease, env, replace) {
        Ok(_) => Ok(()),
        Err(Failure::Refused(why)) => Err(why),
        Err(Failure::Ended) => Err("the process is ending".to_owned()),
    }
}

/// The same with any snapshot file; where it ends.
///
/// # Errors
/// See [`Failure`].
pub fn file_under_lease(
    server: &Server,
    path: &Path,
    lease: &mut Lease<'_>,
    env: &Env,
    replace: bool,
) -> Result<u64, Failure> {
    let settings = server.settings.get();
    let outcome = open(&settings, path).and_then(|reader| {
        let mut reader = reader.ok_or_else(|| Failure::Refused("there is no such file".into()))?;
        let mut libraries = server.scripting.libraries.read().clone();
        let mut sizes = |_, _, _| {};
        read(
            &mut reader,
            server,
            (&mut libraries, replace),
            &mut sizes,
            &mut |reader, head| {
                server.loading.pace.key(&mut || false);
                let packing = &env.limits.packing;
                let value = reader
                    .value(head.kind, packing)
                    .map_err(|why| broken(&head, &why))?;
                let hash = lease.keyspace().hash(&head.key);
                store(server, lease, env, (&head, hash), value, replace)
            },
        )?;
        server.scripting.set_libraries(libraries);
        Ok(reader.offset())
    });
    let end = outcome.map_err(|failure| failure.about(path))?;
    report(server);
    Ok(end)
}

impl Failure {
    /// Names the file, and what can be done.
    fn about(self, path: &Path) -> Failure {
        match self {
            Failure::Ended => Failure::Ended,
            Failure::Refused(why) => Failure::Refused(format!(
                "cannot load {}: {why}. Nothing was changed in the file: `ruddle check {}` \
                 describes it. To start all the same, put a sound copy in its place, or move it \
                 away to begin without data",
                path.display(),
                path.display()
            )),
        }
    }
}

/// What is wrong with a value.
fn broken(head: &KeyHead, why: &Fault) -> Failure {
    Failure::Refused(format!(
        "{why} (key {}, a {}, which begins at offset {})",
        String::from_utf8_lossy(&repr(&head.key)),
        head.kind.name(),
        head.offset
    ))
}

/// What is wrong with the file.
fn refused(why: Fault) -> Failure {
    Failure::Refused(why.to_string())
}

/// A file that cannot be looked at will not be opened either.
fn len_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Opens the file; `None` if there is none.
fn open(settings: &Settings, path: &Path) -> Result<Option<Reader<'static>>, Failure> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| Failure::Refused(error.to_string()).about(path))?,
    };
    let mut input = Input::of_reader(file);
    if !settings.rdbchecksum || settings.skip_checksums {
        input.without_sum();
    }
    let reader = Reader::open(input).map_err(|why| refused(why).about(path))?;
    Ok(Some(reader))
}

/// Reads to the end; `key` has to read or pass over the value, `sizes` hears how many keys a
/// database has, and where the file says so. Libraries of functions are added to those given, and
/// take their places if the flag beside them says so.
fn read(
    reader: &mut Reader<'_>,
    server: &Server,
    (libraries, replace): (&mut Libraries, bool),
    sizes: &mut dyn FnMut(DbIndex, u64, u64),
    key: &mut dyn FnMut(&mut Reader<'_>, KeyHead) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut db = DbIndex::default();
    loop {
        match reader.next_item().map_err(refused)? {
            Item::Key(head) => key(reader, head)?,
            Item::Database(number) if number >= server.keyspace.databases().into() => {
                return Err(Failure::Refused(format!(
                    "it has keys in database {number}, and only {} are configured (databases)",
                    server.keyspace.databases()
                )));
            }
            // In range, as was looked at just now.
            Item::Database(number) => db = DbIndex(number as u32),
            Item::Sizes(keys, _) => sizes(db, keys, reader.offset()),
            Item::Fact(name, value) => fact(server, &name, &value),
            Item::Library(code) => {
                let loaded = libraries.load(&code, replace);
                loaded.map_err(|why| {
                    let why = String::from_utf8_lossy(why.text());
                    Failure::Refused(format!("a library of functions: {why}"))
                })?;
            }
            Item::ModuleData(module) => {
                return Err(Failure::Refused(format!(
                    "it has data of module '{module}', which is not here"
                )));
            }
            Item::End(_) => return Ok(()),
        }
    }
}

fn fact(server: &Server, name: &[u8], value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" | b"valkey-ver" => info!("Loading RDB produced by version {text}"),
        b"ctime" => {
            let age = server.now().as_secs() - text.parse().unwrap_or(0);
            info!("RDB age {} seconds", age.max(0));
        }
        b"used-mem" => {
            let bytes = text.parse().unwrap_or(0);
            server.loading.writer_bytes.store(bytes, Relaxed);
        }
        b"repl-stream-db" => {
            let db = text.parse().unwrap_or(0);
            server.loading.stream_db.store(db, Relaxed);
        }
        _ => {}
    }
}

/// Puts a key with this hash in, unless its time is over.
fn store(
    server: &Server,
    lease: &mut Lease<'_>,
    env: &Env,
    (head, hash): (&KeyHead, u64),
    value: Decoded,
    replace: bool,
) -> Result<(), Failure> {
    let progress = &server.loading;
    if head.deadline.is_some_and(|deadline| deadline < env.now) {
        progress.keys_expired.fetch_add(1, Relaxed);
        return Ok(());
    }
    let key = Key {
        bytes: &head.key,
        hash,
    };
    // Invariant: `read` has refused larger numbers.
    let db = DbIndex(head.db as u32);
    lease.cover(std::iter::once(key.hash));
    if replace {
        engine::tx::WriteTx::new(lease, env, db).remove(key);
    }
    match insert(lease, env, db, key, value, head.deadline, head.usage) {
        Inserted::Yes => {
            progress.keys_loaded.fetch_add(1, Relaxed);
        }
        Inserted::Nothing => {
            if progress.keys_empty.fetch_add(1, Relaxed) < EMPTY_NAMED_MAX {
                let quoted = repr(&head.key);
                let name = quoted.get(1..quoted.len() - 1).unwrap_or_default();
                info!(
                    "Loading: skipping empty key: {}",
                    String::from_utf8_lossy(name)
                );
            }
        }
        Inserted::Duplicate => {
            let name = repr(&head.key);
            return Err(Failure::Refused(format!(
                "key {} is there twice in database {}, the second time at offset {}",
                String::from_utf8_lossy(&name),
                head.db,
                head.offset
            )));
        }
    }
    Ok(())
}

/// Says what was loaded.
fn report(server: &Server) {
    let progress = &server.loading;
    let load = |counter: &AtomicU64| counter.load(Relaxed);
    let (loaded, expired) = (load(&progress.keys_loaded), load(&progress.keys_expired));
    match load(&progress.keys_empty) {
        0 => info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}."),
        empty => info!(
            "Done loading RDB, keys loaded: {loaded}, keys expired: {expired}, \
             empty keys skipped: {empty}."
        ),
    }
}

/// What a thread that puts keys in goes by.
pub fn environment(server: &Server, settings: &Settings, overdue: Overdue) -> Env {
    let mut env = Env::new(engine_limits(settings, &server.keyspace), seed_from_os());
    match overdue {
        Overdue::Dropped => env.now = server.now(),
        // At time 0, where it is, nothing is overdue.
        Overdue::Kept => env.access_time = Some(server.now()),
    }
    env
}
