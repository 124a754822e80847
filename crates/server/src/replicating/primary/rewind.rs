//! Feeding a replica from the append-only file: for one that has been away for longer than the
//! backlog in memory reaches back, but not longer than the increments on disk.
//!
//! A file says where in the log it begins; what is in it and not of the log (time stamps, remarks,
//! the SELECT that a file begins with) is passed over. From where memory begins on, the replica's
//! cursor holds what its worker sends afterwards.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use journal::Offset;
use journal::files::Files;
use journal::read::{Item, Reader};
use journal::writer::ASIDE_WORD;

use super::wires::Wires;
use crate::server::Server;

/// Bytes gathered before they are sent.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file, and the offset of its first byte of the log.
type Part = (PathBuf, Offset);

/// Whether the files hold the log from `from` on. Until their base is in place, those that are
/// known may be of another log.
pub(crate) fn reaches(server: &Server, from: Offset) -> bool {
    server.appending.journal.restorable().is_some() && !parts(server, from).is_empty()
}

/// The files that hold the log from `from` on, in order; none if they do not reach back so far.
fn parts(server: &Server, from: Offset) -> Vec<Part> {
    let Ok(files) = server.appending.files(&server.settings.get()) else {
        return Vec::new();
    };
    let files: &Files = &files.lock();
    let increments = &files.manifest().increments;
    let path = |name: &[u8]| files.place().path(name);
    let mut parts: Vec<Part> = Vec::new();
    for entry in increments.iter().rev() {
        let Some(start) = entry.start else {
            break;
        };
        // Each ends where the next begins, or it is not known to.
        let next = parts.last().map(|&(_, next)| next);
        if next.is_some() && entry.end != next {
            break;
        }
        parts.push((path(&entry.name), start));
        if start <= from {
            parts.reverse();
            return parts;
        }
    }
    Vec::new()
}

/// Sends the bytes from `from` to `until`.
///
/// # Errors
/// The files do not have them, or nobody takes them.
pub(super) fn send(
    server: &Server,
    wires: &mut Wires,
    from: Offset,
    until: Offset,
) -> io::Result<()> {
    let mut gathered = Vec::with_capacity(2 * BUFFER_BYTES);
    let mut next = from;
    for (path, start) in parts(server, from) {
        let input = File::open(path)?;
        let len = input.metadata()?.len();
        let mut reader = Reader::new(input, len, 0);
        let (mut words, mut at, mut aside) = (Vec::new(), start, false);
        while next < until {
            let item = reader.next(&mut words);
            let Some(item) = item.map_err(|fault| io::Error::other(fault.to_string()))? else {
                break;
            };
            let bytes = match item {
                Item::Command(bytes) => bytes,
                Item::Remark(text) => {
                    aside |= text == ASIDE_WORD;
                    continue;
                }
                Item::Stamp(_) => continue,
            };
            if std::mem::take(&mut aside) {
                continue;
            }
            let end = Offset(at.0 + bytes.len() as u64);
            if end > next {
                let (first, last) = (next.0 - at.0, end.min(until).0 - at.0);
                gathered.extend_from_slice(&bytes[first as usize..last as usize]);
                next = end.min(until);
            }
            at = end;
            if gathered.len() >= BUFFER_BYTES {
                wires.write(&gathered)?;
                gathered.clear();
            }
        }
    }
    if next < until {
        return Err(io::Error::other(
            "the append-only file lacks a part of the log",
        ));
    }
    wires.write(&gathered)
}
