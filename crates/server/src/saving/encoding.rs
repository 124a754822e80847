//! Encoding the pieces of a snapshot, on several threads: each encodes what it takes into a buffer
//! of its own, and passes full ones on through the one [`Mouth`].
//!
//! The pieces come in no order, so their encodings need none either. One thread takes everything;
//! the others help with small values only. None of them is in a hurry (see `walk`).
//!
//! Invariants: a buffer begins and ends between two entries of one database; but for the entry that
//! is longer than a buffer, whose thread keeps the mouth until that entry's end.

use std::io;
use std::thread;

use base::ids::DbIndex;
use engine::access;
use engine::entry::{Text, Value};
use engine::keyspace::Lease;
use engine::snapshot::{Chunk, Copied, Frozen, LargeEntry, Piece, visit_flushed};
use parking_lot::{Mutex, MutexGuard};
use rdb::file::{Usage, put_database, put_key};
use rdb::{Crc64, Cursor, Encoder, Progress, Target};
use structs::Release;

use super::file::{About, Counts};
use super::outlet::Outlet;
use super::pieces::Pieces;
use super::walk::Control;
use crate::config::settings::EvictionPolicy;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;
/// Threads that help.
const HELPERS_MAX: usize = 3;

/// Nothing more can be written, for a reason that the mouth knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// The one way to the file.
pub(super) struct Mouth<'a> {
    about: &'a About<'a>,
    state: Mutex<State>,
}

struct State {
    /// `None` once it has failed.
    outlet: Option<Outlet>,
    failure: Option<io::Error>,
    /// The database of what was written last.
    db: Option<DbIndex>,
}

impl<'a> Mouth<'a> {
    /// Writes to `outlet`.
    pub(super) fn new(outlet: Outlet, about: &'a About<'a>) -> Mouth<'a> {
        let state = Mutex::new(State {
            outlet: Some(outlet),
            failure: None,
            db: None,
        });
        Mouth { about, state }
    }

    fn open(&self) -> Open<'_> {
        Open {
            mouth: self,
            state: self.state.lock(),
        }
    }

    /// Writes what belongs to no database. `bytes` becomes empty.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) -> Result<(), Stopped> {
        let sum = self.sum(bytes);
        self.open().put(bytes, sum)
    }

    /// The checksum of some bytes, if one is wanted.
    fn sum(&self, bytes: &[u8]) -> Crc64 {
        let mut sum = Crc64::default();
        if self.about.settings.rdbchecksum {
            sum.update(bytes);
        }
        sum
    }

    /// Waits until all of it is on disk.
    ///
    /// # Errors
    /// As the operating system said, now or before.
    pub(super) fn finish(self) -> io::Result<()> {
        let state = self.state.into_inner();
        match (state.outlet, state.failure) {
            (Some(outlet), _) => outlet.finish(),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(io::Error::other("writing has failed before")),
        }
    }
}

/// A mouth that nobody else can write through meanwhile.
struct Open<'m> {
    mouth: &'m Mouth<'m>,
    state: MutexGuard<'m, State>,
}

impl Open<'_> {
    /// Writes entries of `db`, or a part of one, with this checksum. `bytes` becomes empty.
    fn put_entries(&mut self, db: DbIndex, bytes: &mut Vec<u8>, sum: Crc64) -> Result<(), Stopped> {
        if self.state.db != Some(db) {
            self.state.db = Some(db);
            let counts = self.mouth.about.counts.get(db.as_usize());
            let Counts { keys, volatile, .. } = counts.copied().unwrap_or_default();
            let mut head = Vec::new();
            put_database(db.0, keys, volatile, &mut head);
            let sum = self.mouth.sum(&head);
            self.put(&mut head, sum)?;
        }
        self.put(bytes, sum)
    }

    fn put(&mut self, bytes: &mut Vec<u8>, sum: Crc64) -> Result<(), Stopped> {
        let outlet = self.state.outlet.take().ok_or(Stopped)?;
        if !outlet.write(bytes, sum) {
            self.state.failure = outlet.finish().err();
            return Err(Stopped);
        }
        self.state.outlet = Some(outlet);
        Ok(())
    }
}

/// Encodes and passes on everything that `pieces` gets, until its end.
pub(super) fn encode_all(mouth: &Mouth<'_>, pieces: &Pieces, control: &Control) {
    let helpers = match control.is_slow() {
        true => 0,
        false => thread::available_parallelism().map_or(0, |cores| cores.get() - 1),
    };
    thread::scope(|scope| {
        for _ in 0..helpers.min(HELPERS_MAX) {
            let help = || {
                let mut encoding = Encoding::new(mouth, Some(control));
                if encoding.help(pieces).is_err() {
                    pieces.abandon();
                }
            };
            // Without help it takes longer, and nothing else.
            let _ = thread::Builder::new()
                .name("encoder".to_owned())
                .spawn_scoped(scope, help);
        }
        let mut encoding = Encoding::new(mouth, Some(control));
        if encoding.pieces(pieces).is_err() {
            pieces.abandon();
        }
    });
}

/// One thread's encoder and buffer.
pub(super) struct Encoding<'m> {
    mouth: &'m Mouth<'m>,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// The database of what is in the buffer.
    db: DbIndex,
    /// Of a snapshot that is taken beside the commands.
    control: Option<&'m Control>,
}

impl<'m> Encoding<'m> {
    pub(super) fn new(mouth: &'m Mouth<'m>, control: Option<&'m Control>) -> Encoding<'m> {
        let settings = mouth.about.settings;
        Encoding {
            mouth,
            encoder: Encoder::new(Target {
                reader: settings.snapshot_reader,
                compress: settings.rdbcompression,
            }),
            buffer: Vec::with_capacity(BUFFER_BYTES * 2),
            db: DbIndex(0),
            control,
        }
    }

    /// Everything there is.
    fn pieces(&mut self, pieces: &Pieces) -> Result<(), Stopped> {
        while let Some(taken) = pieces.take() {
            taken
                .into_iter()
                .try_for_each(|piece| self.piece(piece, pieces))?;
        }
        self.pass_on()
    }

    fn piece(&mut self, piece: Piece, pieces: &Pieces) -> Result<(), Stopped> {
        match piece {
            Piece::Small(chunk) => self.chunk(&chunk)?,
            Piece::Large(db, large) => {
                self.select(db)?;
                self.large(*large, pieces)?;
            }
            Piece::Flushed(db, table, epoch) => {
                self.select(db)?;
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

    /// What others leave. Whoever wants keys to be saved slowly gets no help.
    fn help(&mut self, pieces: &Pieces) -> Result<(), Stopped> {
        while !self.control.is_some_and(Control::is_slow)
            && let Some(chunks) = pieces.take_chunks()
        {
            chunks.iter().try_for_each(|chunk| self.chunk(chunk))?;
        }
        self.pass_on()
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<(), Stopped> {
        self.select(chunk.db)?;
        chunk.entries().try_for_each(|entry| self.entry(&entry))
    }

    /// All entries of a database.
    pub(super) fn database(&mut self, db: DbIndex, lease: &mut Lease<'_>) -> Result<(), Stopped> {
        self.select(db)?;
        let mut result = Ok(());
        for stripe in lease.held() {
            stripe.table(db).visit_all(|entry| {
                if result.is_ok() {
                    result = self.entry(&Copied::of(entry));
                }
            });
        }
        result.and_then(|()| self.pass_on())
    }

    /// What follows is of this database.
    fn select(&mut self, db: DbIndex) -> Result<(), Stopped> {
        if self.db != db {
            self.pass_on()?;
            self.db = db;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Copied<'_>) -> Result<(), Stopped> {
        self.head(entry);
        let (mut cursor, mut mouth) = (Cursor::default(), None);
        while self.part(entry.value, &mut cursor, &mut mouth)? == Progress::More {}
        Ok(())
    }

    /// A large value, of which each part is let go when it is written. While commands wait for
    /// that, nothing is compressed.
    fn large(&mut self, mut large: LargeEntry, pieces: &Pieces) -> Result<(), Stopped> {
        self.head(&Copied {
            key: &large.key,
            deadline: large.deadline,
            access: large.access,
            value: value_of(&large.value),
        });
        let compress = self.encoder.target().compress;
        let (mut cursor, mut mouth, mut release) = (Cursor::default(), None, Release::default());
        while self.part(value_of(&large.value), &mut cursor, &mut mouth)? == Progress::More {
            if let Frozen::Object(object) = &mut large.value {
                pieces.let_go(object.release(cursor.passed(), &mut release));
            }
            self.encoder.set_compress(compress && !pieces.is_pressed());
        }
        self.encoder.set_compress(compress);
        Ok(())
    }

    /// What comes before a value.
    fn head(&mut self, entry: &Copied<'_>) {
        let kind = engine::dump::value_of(entry.value).kind(self.encoder.target().reader);
        let usage = self.usage(entry.access);
        let (encoder, buffer) = (&mut self.encoder, &mut self.buffer);
        put_key(entry.key, kind, entry.deadline, usage, encoder, buffer);
        if let Some(control) = self.control {
            control.key_written();
        }
    }

    /// The next part of a value; `mouth` is kept from the first one on that ends within the value
    /// until the last.
    fn part(
        &mut self,
        value: Value<'_>,
        cursor: &mut Cursor,
        mouth: &mut Option<Open<'m>>,
    ) -> Result<Progress, Stopped> {
        let value = engine::dump::value_of(value);
        let (encoder, buffer) = (&mut self.encoder, &mut self.buffer);
        let progress = encoder.value(value, cursor, buffer, BUFFER_BYTES);
        let is_full = buffer.len() >= BUFFER_BYTES;
        let is_done = progress == Progress::Done;
        if is_done && mouth.is_none() {
            if is_full {
                self.pass_on()?;
            }
        } else if is_done || is_full {
            let sum = self.mouth.sum(buffer);
            let open = mouth.get_or_insert_with(|| self.mouth.open());
            open.put_entries(self.db, buffer, sum)?;
        }
        Ok(progress)
    }

    /// What the eviction policy would want to know of it after a restart.
    fn usage(&self, bits: u32) -> Usage {
        let About { settings, now, .. } = self.mouth.about;
        match settings.maxmemory_policy {
            EvictionPolicy::AllkeysLru | EvictionPolicy::VolatileLru => {
                Usage::Idle(access::idle_seconds(bits, *now).into())
            }
            EvictionPolicy::AllkeysLfu | EvictionPolicy::VolatileLfu => {
                let minutes = settings.lfu_decay_time_minutes;
                // A counter of eight bits.
                Usage::Frequency(access::decayed(bits, minutes, *now) as u8)
            }
            _ => Usage::Unknown,
        }
    }

    /// Passes the entries in the buffer on, all of them whole.
    fn pass_on(&mut self) -> Result<(), Stopped> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let sum = self.mouth.sum(&self.buffer);
        let mut mouth = self.mouth.open();
        mouth.put_entries(self.db, &mut self.buffer, sum)
    }
}

fn value_of(frozen: &Frozen) -> Value<'_> {
    match frozen {
        Frozen::Text(text) => Value::Text(Text::Shared(text)),
        Frozen::Object(object) => Value::Object(object),
    }
}
