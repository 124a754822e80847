//! A base that consists of commands (`aof-use-rdb-preamble no`), as Redis writes them: SET, RPUSH,
//! SADD, ZADD, HMSET, XADD and what belongs to them, so that tools which read such files find what
//! they know.
//!
//! Invariant: replayed in order, the commands make the data set of the snapshot. A value that no
//! such commands can make (see [`can_be_told`], and arrays) is a RESTORE.
//!
//! Compat: as in Redis, the times at which consumers were last seen are not told.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use base::double::{DoubleText, format_double};
use base::ids::DbIndex;
use base::num::{I64_TEXT_MAX, append_i64, format_i64};
use base::time::UnixMillis;
use engine::entry::{Text, Value};
use engine::snapshot::{Copied, Frozen, Piece, visit_flushed};
use rdb::{Encoder, Target, payload};
use resp::encode_words;
use structs::hash::HashRef;
use structs::list::End;
use structs::packed::IntText;
use structs::stream::{Group, Stream, StreamId};

use crate::saving::file::About;
use crate::saving::pieces::Pieces;
use crate::saving::walk::Control;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;
/// Elements of one command at most, as in Redis.
const ITEMS_MAX: usize = 64;
/// A time at which nothing is due: what is written is what is there.
const BEGINNING: UnixMillis = UnixMillis(i64::MIN);

pub(super) fn write(
    path: &Path,
    pieces: &Pieces,
    control: &Control,
    about: &About<'_>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).open(path)?;
    let target = Target {
        reader: about.settings.snapshot_reader,
        compress: about.settings.rdbcompression,
    };
    let mut writer = Writer {
        commands: Commands::new(file),
        encoder: Encoder::new(target),
        db: None,
        control,
    };
    if about.settings.aof.timestamps {
        let stamp = format!("#TS:{}\r\n", about.now.as_secs());
        writer.commands.buffer.extend_from_slice(stamp.as_bytes());
    }
    for library in about.libraries.iter() {
        writer
            .commands
            .whole(&[b"FUNCTION", b"LOAD", library.source()]);
    }
    while let Some(taken) = pieces.take() {
        for piece in taken {
            writer.piece(piece);
            writer.commands.check()?;
        }
    }
    if control.cancelled.load(Ordering::Relaxed) {
        return Err(io::Error::other("called off"));
    }
    let file = writer.commands.finish()?;
    file.sync_all()
}

/// Commands on their way to the file. The first failure stays until somebody asks.
struct Commands<W> {
    out: W,
    buffer: Vec<u8>,
    /// The words of the command that is being gathered, and where each ends.
    words: Vec<u8>,
    ends: Vec<usize>,
    result: io::Result<()>,
}

impl<W: Write> Commands<W> {
    fn new(out: W) -> Commands<W> {
        Commands {
            out,
            buffer: Vec::with_capacity(BUFFER_BYTES * 2),
            words: Vec::new(),
            ends: Vec::new(),
            result: Ok(()),
        }
    }

    fn word(&mut self, word: &[u8]) {
        self.words.extend_from_slice(word);
        self.ends.push(self.words.len());
    }

    fn number(&mut self, number: i64) {
        append_i64(number, &mut self.words);
        self.ends.push(self.words.len());
    }

    /// The command is complete.
    fn end(&mut self) {
        let (words, mut start) = (&self.words, 0);
        let words = self.ends.iter().map(|&end| {
            let word = &words[start..end];
            start = end;
            word
        });
        encode_words(words, &mut self.buffer);
        self.words.clear();
        self.ends.clear();
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    fn whole(&mut self, words: &[&[u8]]) {
        words.iter().for_each(|word| self.word(word));
        self.end();
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.out.write_all(&self.buffer);
        }
        self.buffer.clear();
    }

    fn check(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.result, Ok(()))
    }

    fn finish(mut self) -> io::Result<W> {
        self.flush();
        self.result.map(|()| self.out)
    }

    /// Writes as many commands `name` as the items of `key` need; `fill` gives them.
    fn items(&mut self, name: &[u8], key: &[u8], fill: impl FnOnce(&mut dyn FnMut(&[&[u8]]))) {
        let mut count = 0;
        fill(&mut |words| {
            if count == 0 {
                self.word(name);
                self.word(key);
            }
            words.iter().for_each(|word| self.word(word));
            count += 1;
            if count == ITEMS_MAX || self.words.len() >= BUFFER_BYTES {
                self.end();
                count = 0;
            }
        });
        if count > 0 {
            self.end();
        }
    }

    fn list(&mut self, key: &[u8], list: structs::list::ListRef<'_>) {
        self.items(b"RPUSH", key, |item| {
            let mut digits = IntText::default();
            list.for_each(End::Head, 0, list.len(), |element| {
                item(&[element.text(&mut digits)]);
            });
        });
    }

    fn set(&mut self, key: &[u8], set: structs::set::SetRef<'_>) {
        self.items(b"SADD", key, |item| {
            let mut digits = IntText::default();
            set.iter()
                .for_each(|member| item(&[member.text(&mut digits)]));
        });
    }

    fn zset(&mut self, key: &[u8], zset: structs::zset::ZsetRef<'_>) {
        self.items(b"ZADD", key, |item| {
            let (mut digits, mut score_digits) = (IntText::default(), DoubleText::default());
            for (member, score) in zset.iter() {
                let score = format_double(score, &mut score_digits);
                item(&[score, member.text(&mut digits)]);
            }
        });
    }

    fn hash(&mut self, key: &[u8], hash: HashRef<'_>) {
        let (mut digits, mut more_digits) = ([0; I64_TEXT_MAX], [0; I64_TEXT_MAX]);
        self.items(b"HMSET", key, |item| {
            hash.each_timed(BEGINNING, |field, value, _| {
                item(&[field.bytes(&mut digits), value.bytes(&mut more_digits)]);
            });
        });
        hash.each_timed(BEGINNING, |field, _, deadline| {
            if let Some(deadline) = deadline {
                self.word(b"HPEXPIREAT");
                self.word(key);
                self.number(deadline.0);
                self.word(b"FIELDS");
                self.word(b"1");
                self.word(field.bytes(&mut digits));
                self.end();
            }
        });
    }

    fn stream(&mut self, key: &[u8], stream: &Stream) {
        let log = stream.log();
        for entry in log.range(StreamId::MIN, StreamId::MAX) {
            self.word(b"XADD");
            self.word(key);
            self.word(&entry.id().to_word());
            let (mut digits, mut more_digits) = (IntText::default(), IntText::default());
            for (field, value) in entry.pairs() {
                self.word(field.text(&mut digits));
                self.word(value.text(&mut more_digits));
            }
            self.end();
        }
        let last = log.last_id().to_word();
        if log.is_empty() {
            // An entry that is trimmed at once makes a stream without entries.
            let any = log.last_id().max(StreamId { ms: 0, seq: 1 }).to_word();
            self.whole(&[b"XADD", key, b"MAXLEN", b"0", &any, b"x", b"y"]);
        }
        let added = log.entries_added().to_string();
        let deleted = log.max_deleted_id().to_word();
        self.whole(&[
            b"XSETID",
            key,
            &last,
            b"ENTRIESADDED",
            added.as_bytes(),
            b"MAXDELETEDID",
            &deleted,
        ]);
        for group in stream.groups() {
            self.group(key, group);
        }
    }

    fn group(&mut self, key: &[u8], group: &Group) {
        let last = group.last_id.to_word();
        for word in [&b"XGROUP"[..], b"CREATE", key, group.name(), &last] {
            self.word(word);
        }
        if let Some(read) = group.entries_read {
            self.word(b"ENTRIESREAD");
            self.word(read.to_string().as_bytes());
        }
        self.end();
        for consumer in group.consumers() {
            let name = consumer.name();
            self.whole(&[b"XGROUP", b"CREATECONSUMER", key, group.name(), name]);
        }
        for (id, pending) in group.pending() {
            let Some(owner) = pending.owner else {
                continue;
            };
            let name = group.consumer(owner).name();
            for word in [b"XCLAIM", key, group.name(), name, b"0", &id.to_word()] {
                self.word(word);
            }
            self.word(b"TIME");
            self.number(pending.delivered_ms());
            self.word(b"RETRYCOUNT");
            self.word(pending.deliveries.to_string().as_bytes());
            self.word(b"JUSTID");
            self.word(b"FORCE");
            self.end();
        }
    }
}

/// Whether commands can make this stream: XCLAIM knows no entries that are gone or that nobody
/// owns, XSETID no counts that contradict the entries, and nothing tells of producers.
fn can_be_told(stream: &Stream) -> bool {
    let log = stream.log();
    let sound = log.entries_added() >= log.len()
        && i64::try_from(log.entries_added()).is_ok()
        && log.max_deleted_id() <= log.last_id();
    let is_there = |group: &Group| group.pending().keys().all(|&id| log.contains(id));
    let told = |group: &Group| group.unowned() == 0 && is_there(group);
    sound && stream.producers().is_none() && stream.groups().iter().all(told)
}

struct Writer<'a> {
    commands: Commands<File>,
    encoder: Encoder,
    db: Option<DbIndex>,
    control: &'a Control,
}

impl Writer<'_> {
    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Small(chunk) => chunk
                .entries()
                .for_each(|entry| self.entry(chunk.db, &entry)),
            Piece::Large(db, large) => {
                let value = match &large.value {
                    Frozen::Text(text) => Value::Text(Text::Shared(text)),
                    Frozen::Object(object) => Value::Object(object),
                };
                let entry = Copied {
                    key: &large.key,
                    deadline: large.deadline,
                    access: large.access,
                    value,
                };
                self.entry(db, &entry);
            }
            Piece::Flushed(db, table, epoch) => {
                visit_flushed(&table, epoch, |entry| self.entry(db, &Copied::of(entry)));
            }
        }
    }

    fn entry(&mut self, db: DbIndex, entry: &Copied<'_>) {
        self.control.key_written();
        let (key, commands) = (entry.key, &mut self.commands);
        if self.db != Some(db) {
            self.db = Some(db);
            commands.whole(&[b"SELECT", db.to_string().as_bytes()]);
        }
        let value = engine::dump::value_of(entry.value);
        let deadline = entry.deadline.map_or(0, |at| at.0);
        match value {
            rdb::Value::Text(text) => commands.whole(&[b"SET", key, text]),
            rdb::Value::Int(number) => {
                let digits = &mut [0; I64_TEXT_MAX];
                commands.whole(&[b"SET", key, format_i64(number, digits)]);
            }
            rdb::Value::List(list) => commands.list(key, list),
            rdb::Value::Set(set) => commands.set(key, set),
            rdb::Value::Zset(zset) => commands.zset(key, zset),
            rdb::Value::Hash(hash) => commands.hash(key, hash),
            rdb::Value::Stream(stream) if can_be_told(stream) => commands.stream(key, stream),
            rdb::Value::Stream(_) | rdb::Value::Array(_) => {
                let mut bytes = Vec::new();
                payload::write(value, &mut self.encoder, &mut bytes);
                let at = deadline.to_string();
                return commands.whole(&[b"RESTORE", key, at.as_bytes(), &bytes, b"ABSTTL"]);
            }
        }
        if entry.deadline.is_some() {
            commands.word(b"PEXPIREAT");
            commands.word(key);
            commands.number(deadline);
            commands.end();
        }
    }
}
