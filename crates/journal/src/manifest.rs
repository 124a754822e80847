//! The manifest of a multi-part append-only file: which files there are, in which order.
//!
//! The format is that of Redis 7 and later: a line per file, `file NAME seq NUMBER type b|i|h`,
//! with further pairs of words that a reader who does not know them passes over (`startoffset`,
//! `endoffset` since Redis 8). The base comes first, then history, then the increments in order.

use std::fmt;

use base::strings::{append_repr, split_args};

use crate::Offset;

/// Longest line, as Redis has it.
const LINE_BYTES_MAX: usize = 1024;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All data at one moment.
    Base,
    /// What was done since the file before it.
    Increment,
    /// No longer needed; to be removed.
    History,
}

const KINDS: &[(u8, Kind)] = &[
    (b'b', Kind::Base),
    (b'i', Kind::Increment),
    (b'h', Kind::History),
];

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the directory.
    pub name: Vec<u8>,
    /// Its number among those of its kind.
    pub seq: u64,
    /// Offset of its first byte in the log, if known (increments).
    pub start: Option<Offset>,
    /// Offset after its last byte, if it is complete and that is known.
    pub end: Option<Offset>,
}

/// All files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base, if there is one.
    pub base: Option<Entry>,
    /// Files to be removed.
    pub history: Vec<Entry>,
    /// The increments, oldest first.
    pub increments: Vec<Entry>,
}

/// Why a manifest cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &[u8]) -> Result<Manifest, Malformed> {
        let mut manifest = Manifest::default();
        let fail = |line: usize, what| Err(Malformed { line, what });
        if text.is_empty() {
            return fail(1, "Found an empty AOF manifest");
        }
        let Some(text) = text.strip_suffix(b"\n") else {
            let last = text.split(|&byte| byte == b'\n').count();
            return fail(
                last,
                "The AOF manifest file contains too long line, or is cut off: a line has no end",
            );
        };
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let result = match line {
                [b'#', ..] => Ok(()),
                _ if line.len() > LINE_BYTES_MAX => {
                    Err("The AOF manifest file contains too long line")
                }
                _ => manifest.add_line(line.trim_ascii()),
            };
            if let Err(what) = result {
                return fail(index + 1, what);
            }
        }
        Ok(manifest)
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        const FORM: &str =
            "Invalid AOF manifest file format: not 'file NAME seq NUMBER type b|i|h'";
        let words =
            split_args(line).map_err(|_| "Invalid AOF manifest file format: unbalanced quotes")?;
        let (pairs, []) = words.as_chunks::<2>() else {
            return Err(FORM);
        };
        let (mut name, mut seq, mut kind, mut start, mut end) = (None, None, None, None, None);
        for [key, value] in pairs {
            let number = || base::num::parse_i64(value).and_then(|n| u64::try_from(n).ok());
            match key.to_ascii_lowercase().as_slice() {
                b"file" => name = Some(value.clone()),
                b"seq" => seq = number().filter(|&number| number > 0),
                b"type" => kind = value.first().copied(),
                b"startoffset" => start = number().map(Offset),
                b"endoffset" => end = number().map(Offset),
                _ => {}
            }
        }
        let (Some(name), Some(seq), Some(kind)) = (name, seq, kind) else {
            return Err(FORM);
        };
        if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
            return Err("File can't be a path, just a filename");
        }
        let kind = KINDS.iter().find(|(letter, _)| *letter == kind);
        let entry = Entry {
            name,
            seq,
            start,
            end,
        };
        match kind.ok_or("Unknown AOF file type: none of b, i, h")?.1 {
            Kind::Base if self.base.is_some() => {
                return Err("Found duplicate base file information");
            }
            Kind::Base => self.base = Some(entry),
            Kind::History => self.history.push(entry),
            Kind::Increment => {
                if self.increments.last().is_some_and(|last| last.seq >= seq) {
                    return Err("Found a non-monotonic sequence number");
                }
                self.increments.push(entry);
            }
        }
        Ok(())
    }

    /// Writes a manifest.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let base = self.base.iter().map(|entry| (entry, b'b'));
        let history = self.history.iter().map(|entry| (entry, b'h'));
        let increments = self.increments.iter().map(|entry| (entry, b'i'));
        for (entry, letter) in base.chain(history).chain(increments) {
            text.extend_from_slice(b"file ");
            if needs_quotes(&entry.name) {
                append_repr(&entry.name, &mut text);
            } else {
                text.extend_from_slice(&entry.name);
            }
            text.extend_from_slice(format!(" seq {} type ", entry.seq).as_bytes());
            text.push(letter);
            for (word, offset) in [("startoffset", entry.start), ("endoffset", entry.end)] {
                if let Some(Offset(offset)) = offset {
                    text.extend_from_slice(format!(" {word} {offset}").as_bytes());
                }
            }
            text.push(b'\n');
        }
        text
    }

    /// The files to load, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Entry> {
        self.base.iter().chain(&self.increments)
    }

    /// Whether there is nothing to load.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }
}

fn needs_quotes(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\\'\"".contains(byte);
    !name.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis 8.2.3 wrote it during a rewrite, and as Valkey 9.1.2 writes it.
    #[test]
    fn manifests_of_both_families_are_read_and_written_back() {
        for text in [
            "file appendonly.aof.1.base.rdb seq 1 type b\n\
             file appendonly.aof.1.incr.aof seq 1 type h startoffset 0 endoffset 31\n\
             file appendonly.aof.2.incr.aof seq 2 type i startoffset 31\n",
            "file \"my append.aof.3.base.aof\" seq 3 type b\n\
             file \"my append.aof.3.incr.aof\" seq 3 type i\n",
        ] {
            let manifest = Manifest::parse(text.as_bytes()).expect("a manifest");
            assert_eq!(String::from_utf8_lossy(&manifest.text()), text);
            assert_eq!(manifest.parts().count(), 2);
        }
    }

    #[test]
    fn words_and_lines_of_the_future_are_passed_over() {
        let text = b"# remark\nFILE a SEQ 1 TYPE b colour red\n";
        let manifest = Manifest::parse(text).expect("a manifest");
        assert_eq!(manifest.base.expect("a base").name, b"a");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, what) in [
            ("", 1, "empty"),
            ("file a seq 1 type b", 1, "cut off"),
            ("file a seq 1 type b\nfile b seq 1\n", 2, "not 'file"),
            ("file a seq 1 type b\n\n", 2, "not 'file"),
            ("file a seq 1 type b c\n", 1, "not 'file"),
            ("file a seq 0 type b\n", 1, "not 'file"),
            ("file a/b seq 1 type b\n", 1, "path"),
            ("file .. seq 1 type b\n", 1, "path"),
            ("file a seq 1 type x\n", 1, "none of"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", 2, "duplicate"),
            (
                "file a seq 2 type i\nfile b seq 2 type i\n",
                2,
                "non-monotonic",
            ),
            ("file \"a seq 2 type i\n", 1, "quotes"),
        ] {
            let malformed = Manifest::parse(text.as_bytes()).expect_err(text);
            assert_eq!(malformed.line, line, "{text}");
            assert!(malformed.what.contains(what), "{text}: {}", malformed.what);
        }
    }
}
