//! MONITOR: every command that is run, as a line, to the clients that asked for them.
//!
//! A line is made once, where the command was run, and put into the mailboxes of the workers that
//! have monitors. While nobody monitors, a command costs one look at a number that is not written
//! to. Lines of one worker are in order; of two workers' lines, those about the same key are.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use base::strings::eq_ignore_case;
use base::time::Clock;
use engine::spec::Flags;

use crate::clients::Card;
use crate::mailbox::{Message, WorkerId};
use crate::registry::Row;
use crate::server::Server;

/// Monitors on each worker.
pub struct Monitors(Vec<AtomicUsize>, AtomicUsize);

impl Monitors {
    /// None on any of so many workers.
    pub fn new(workers: usize) -> Monitors {
        let counts = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        Monitors(counts, AtomicUsize::new(0))
    }

    /// Whether anybody monitors.
    #[inline]
    pub fn any(&self) -> bool {
        self.1.load(Relaxed) > 0
    }

    /// A worker has one more.
    pub fn add(&self, worker: WorkerId) {
        self.0[usize::from(worker.0)].fetch_add(1, Relaxed);
        self.1.fetch_add(1, Relaxed);
    }

    /// A worker has one less.
    pub fn remove(&self, worker: WorkerId) {
        self.0[usize::from(worker.0)].fetch_sub(1, Relaxed);
        self.1.fetch_sub(1, Relaxed);
    }
}

/// Who ran a command.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A client.
    Client(&'a Card),
    /// A script or function.
    Script,
}

/// Shows a command to those who monitor, unless it is one for operators.
#[cold]
pub fn show<'a>(
    server: &Server,
    own: WorkerId,
    db: u32,
    source: Source<'_>,
    row: &Row,
    words: impl Iterator<Item = &'a [u8]>,
) {
    // SKIP_MONITOR is only a script's, and says that it is shown before it runs, not after.
    if row.flags.has(Flags::ADMIN) {
        return;
    }
    let line: Arc<[u8]> = line(server.clock.now_micros(), db, source, row, words).into();
    for (worker, count) in server.monitors.0.iter().enumerate() {
        if count.load(Relaxed) == 0 {
            continue;
        }
        let message = Message::Monitor(Arc::clone(&line));
        match worker == usize::from(own.0) {
            true => server.mailboxes[worker].leave(message),
            false => server.mailboxes[worker].send(message),
        }
    }
}

fn line<'a>(
    micros: i64,
    db: u32,
    source: Source<'_>,
    row: &Row,
    words: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let address = match source {
        Source::Script => "lua".to_owned(),
        Source::Client(card) if card.unix => {
            let path = card.peer.strip_suffix(":0").unwrap_or(&card.peer);
            format!("unix:{path}")
        }
        Source::Client(card) => card.peer.clone(),
    };
    let mut line = format!("{seconds}.{micros:06} [{db} {address}]").into_bytes();
    let mut secrets = Secrets::of(row);
    for (at, word) in words.enumerate() {
        line.push(b' ');
        match secrets.hides(at, word) {
            true => line.extend_from_slice(b"\"(redacted)\""),
            false => quote(word, &mut line),
        }
    }
    line
}

/// Which words of a command nobody may see.
#[derive(Clone, Copy)]
enum Secrets {
    None,
    /// All but the name.
    All,
    /// So many behind a word of one of these names.
    Behind(&'static [(&'static str, usize)]),
    /// So many of the next ones, and then again those behind such a word.
    Next(usize, &'static [(&'static str, usize)]),
}

/// Commands with secrets among their words.
const SECRETS: &[(&str, Secrets)] = &[
    ("auth", Secrets::All),
    ("hello", Secrets::Behind(&[("AUTH", 2)])),
    ("migrate", Secrets::Behind(&[("AUTH", 1), ("AUTH2", 2)])),
];

impl Secrets {
    fn of(row: &Row) -> Secrets {
        let known = SECRETS.iter().find(|(name, _)| *name == row.name);
        known.map_or(Secrets::None, |&(_, secrets)| secrets)
    }

    fn hides(&mut self, at: usize, word: &[u8]) -> bool {
        match *self {
            Secrets::None => false,
            Secrets::All => at > 0,
            Secrets::Behind(names) => {
                let mut rows = names.iter();
                let found = rows.find(|(name, _)| eq_ignore_case(word, name.as_bytes()));
                if let Some(&(_, count)) = found.filter(|_| at > 0) {
                    *self = Secrets::Next(count, names);
                }
                false
            }
            Secrets::Next(left, names) => {
                *self = match left {
                    0 | 1 => Secrets::Behind(names),
                    _ => Secrets::Next(left - 1, names),
                };
                true
            }
        }
    }
}

/// A word between quotes, with what cannot be printed as escapes.
fn quote(word: &[u8], line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    line.push(b'"');
    for &byte in word {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            7 => line.extend_from_slice(b"\\a"),
            8 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                line.extend_from_slice(&[b'\\', b'x', DIGITS[high], DIGITS[low]]);
            }
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn shown(db: u32, words: &[&[u8]]) -> String {
        let registry = Registry::new();
        let row = registry.command(words[0]).expect("a command");
        let words = words.iter().copied();
        let line = line(
            1_339_518_083_000_412,
            db,
            Source::Script,
            registry.row(row),
            words,
        );
        String::from_utf8(line).expect("ASCII")
    }

    #[test]
    fn words_are_quoted_as_redis_quotes_them() {
        assert_eq!(
            shown(3, &[b"SeT", b"a\"b\\", b"\n\r\t\x07\x08\x00\xff\x7f ~"]),
            "1339518083.000412 [3 lua] \"SeT\" \"a\\\"b\\\\\" \
             \"\\n\\r\\t\\a\\b\\x00\\xff\\x7f ~\""
        );
    }

    #[test]
    fn passwords_are_not_shown() {
        let end = |words: &[&[u8]]| {
            let line = shown(0, words);
            line.split_once("] ").expect("an address").1.to_owned()
        };
        assert_eq!(
            end(&[b"auth", b"u", b"p"]),
            r#""auth" "(redacted)" "(redacted)""#
        );
        assert_eq!(
            end(&[b"HELLO", b"3", b"auth", b"auth", b"p", b"SETNAME", b"n"]),
            r#""HELLO" "3" "auth" "(redacted)" "(redacted)" "SETNAME" "n""#
        );
        let start = [&b"migrate"[..], b"h", b"1", b"k", b"0", b"9"];
        assert_eq!(
            end(&[&start[..], &[b"AUTH", b"p", b"COPY", b"AUTH2", b"u", b"p"]].concat()),
            [
                r#""migrate" "h" "1" "k" "0" "9" "AUTH" "(redacted)" "COPY" "AUTH2""#,
                r#" "(redacted)" "(redacted)""#
            ]
            .concat()
        );
    }
}
