//! A base that consists of commands (`aof-use-rdb-preamble no`): SET for strings, RESTORE for
//! everything else, so that any value comes back exactly as it was.
//!
//! Compat: Redis writes collections element by element. A RESTORE is read by everybody who has the
//! payload's version, and keeps deadlines of fields, groups of streams and encodings.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use base::ids::DbIndex;
use engine::entry::{Text, Value};
use engine::snapshot::{Copied, Frozen, Piece, visit_flushed};
use rdb::{Encoder, Target, payload};
use resp::encode_command;

use crate::saving::file::About;
use crate::saving::pieces::Pieces;
use crate::saving::walk::Control;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

struct Writer {
    file: File,
    encoder: Encoder,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    db: Option<DbIndex>,
}

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
        file,
        encoder: Encoder::new(target),
        buffer: Vec::new(),
        payload: Vec::new(),
        db: None,
    };
    if about.settings.aof.timestamps {
        let stamp = format!("#TS:{}\r\n", about.now.as_secs());
        writer.buffer.extend_from_slice(stamp.as_bytes());
    }
    while let Some(piece) = pieces.take() {
        writer.piece(piece)?;
    }
    if control.cancelled.load(Ordering::Relaxed) {
        return Err(io::Error::other("called off"));
    }
    writer.file.write_all(&writer.buffer)?;
    writer.file.sync_all()
}

impl Writer {
    fn piece(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Small(chunk) => {
                let mut entries = chunk.entries();
                entries.try_for_each(|entry| self.entry(chunk.db, &entry))
            }
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
                self.entry(db, &entry)
            }
            Piece::Flushed(db, table, epoch) => {
                let mut result = Ok(());
                visit_flushed(&table, epoch, |entry| {
                    if result.is_ok() {
                        result = self.entry(db, &Copied::of(entry));
                    }
                });
                result
            }
        }
    }

    fn entry(&mut self, db: DbIndex, entry: &Copied<'_>) -> io::Result<()> {
        if self.db != Some(db) {
            self.db = Some(db);
            encode_command(&[b"SELECT", db.to_string().as_bytes()], &mut self.buffer);
        }
        let deadline = entry.deadline.map(|at| at.0.to_string().into_bytes());
        let value = engine::dump::value_of(entry.value);
        let digits;
        let text = match value {
            rdb::Value::Text(text) => Some(text),
            rdb::Value::Int(number) => {
                digits = number.to_string();
                Some(digits.as_bytes())
            }
            _ => None,
        };
        match (text, &deadline) {
            (Some(text), None) => encode_command(&[b"SET", entry.key, text], &mut self.buffer),
            (Some(text), Some(at)) => {
                encode_command(&[b"SET", entry.key, text, b"PXAT", at], &mut self.buffer);
            }
            (None, deadline) => {
                self.payload.clear();
                payload::write(value, &mut self.encoder, &mut self.payload);
                let at = deadline.as_deref().unwrap_or(b"0");
                let words = [&b"RESTORE"[..], entry.key, at, &self.payload, b"ABSTTL"];
                encode_command(&words, &mut self.buffer);
            }
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}
