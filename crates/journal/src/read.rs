//! Reading a file of commands: what is in it, and where it stops making sense.
//!
//! The syntax is that of requests (an array of bulk strings for each command), with lines that
//! begin with `#` between them: `#TS:SECONDS` says when the commands after it were appended. What
//! lies between MULTI and EXEC counts as one: a block that the file ends in is no part of it.
//!
//! Invariants: nothing in a file panics, and no more is allocated than the file has bytes.

use std::fmt;
use std::io::{self, Read};

use resp::Span;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Most words of one command.
const WORDS_MAX: u64 = 1 << 24;
/// Longest header or annotation.
const LINE_BYTES_MAX: usize = 1024;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A command: its bytes, of which the words are spans.
    Command(&'a [u8]),
    /// The commands that follow were appended in this Unix second.
    Stamp(i64),
    /// Another line that begins with `#`: what follows that.
    Remark(&'a [u8]),
}

/// What is wrong.
#[derive(Debug)]
pub enum Flaw {
    /// The file ends in the middle of a command, or of a transaction.
    Truncated,
    /// Nothing but zero bytes follows: the end was never written, only the length was.
    Zeros,
    /// These bytes are no command.
    Malformed(&'static str),
    /// The operating system refuses.
    Unreadable(io::Error),
}

/// Where and why reading stopped.
#[derive(Debug)]
pub struct Fault {
    /// Position of the fault in the file.
    pub at: u64,
    /// Up to here the file consists of whole commands and transactions.
    pub valid: u64,
    /// See there.
    pub flaw: Flaw,
}

impl Fault {
    /// Whether it is what a crash leaves behind: an end that is missing.
    pub fn is_torn_tail(&self) -> bool {
        matches!(self.flaw, Flaw::Truncated | Flaw::Zeros)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { at, valid, flaw } = self;
        match flaw {
            Flaw::Truncated => write!(f, "the end is missing: complete up to byte {valid}"),
            Flaw::Zeros => write!(f, "zeros instead of an end: complete up to byte {valid}"),
            Flaw::Malformed(what) => write!(f, "at byte {at}: {what}"),
            Flaw::Unreadable(error) => write!(f, "at byte {at}: {error}"),
        }
    }
}

/// See the module's head.
pub struct Reader<R> {
    input: R,
    /// What was read and not yet passed on, from `next` on.
    buffer: Vec<u8>,
    next: usize,
    /// Position of `buffer[0]` in the file.
    base: u64,
    ended: bool,
    /// Bytes that the file has.
    len: u64,
    /// Where the transaction began that is being read.
    block: Option<u64>,
}

impl<R: Read> Reader<R> {
    /// Reads a file of `len` bytes, of which `skipped` have been read already.
    pub fn new(input: R, len: u64, skipped: u64) -> Reader<R> {
        Reader {
            input,
            buffer: Vec::new(),
            next: 0,
            base: skipped,
            ended: false,
            len,
            block: None,
        }
    }

    /// Position of the next item.
    pub fn at(&self) -> u64 {
        self.base + self.next as u64
    }

    /// Up to where the file consists of whole commands and transactions.
    pub fn valid(&self) -> u64 {
        self.block.unwrap_or(self.at())
    }

    /// The next item; `None` at the end. `words` becomes the words of a command.
    ///
    /// # Errors
    /// What is wrong with the file; reading cannot go on.
    pub fn next(&mut self, words: &mut Vec<Span>) -> Result<Option<Item<'_>>, Fault> {
        let mut wanted = 1;
        let (taken, stamp) = loop {
            self.fill(wanted)?;
            words.clear();
            let rest = &self.buffer[self.next..];
            if rest.is_empty() {
                return match self.block {
                    None => Ok(None),
                    Some(_) => Err(self.fault(0, Flaw::Truncated)),
                };
            }
            match scan(rest, self.len - self.at(), words) {
                Scan::Item(taken, stamp) => break (taken, stamp),
                Scan::Incomplete(_) if self.ended => {
                    let zeros = rest.iter().all(|&byte| byte == 0);
                    let flaw = if zeros { Flaw::Zeros } else { Flaw::Truncated };
                    return Err(self.fault(0, flaw));
                }
                Scan::Incomplete(needed) => wanted = needed.max(rest.len() + 1),
                Scan::Malformed(offset, what) => {
                    return match self.is_zero_to_the_end()? {
                        true => Err(self.fault(0, Flaw::Zeros)),
                        false => Err(self.fault(offset, Flaw::Malformed(what))),
                    };
                }
            }
        };
        let start = self.next;
        if let Some(line) = stamp {
            self.next += taken;
            let text = &self.buffer[start + 1..start + taken];
            return Ok(Some(match line {
                Line::Stamp(second) => Item::Stamp(second),
                Line::Remark => Item::Remark(text.trim_ascii_end()),
            }));
        }
        let command = &self.buffer[start..start + taken];
        let name = words.first().map_or(&b""[..], |name| name.of(command));
        if name.eq_ignore_ascii_case(b"multi") {
            self.block = Some(self.base + start as u64);
        } else if name.eq_ignore_ascii_case(b"exec") {
            self.block = None;
        }
        self.next += taken;
        Ok(Some(Item::Command(command)))
    }

    fn fault(&self, offset: usize, flaw: Flaw) -> Fault {
        Fault {
            at: self.at() + offset as u64,
            valid: self.valid(),
            flaw,
        }
    }

    /// Whether all that is left are zeros.
    fn is_zero_to_the_end(&mut self) -> Result<bool, Fault> {
        loop {
            if !self.buffer[self.next..].iter().all(|&byte| byte == 0) {
                return Ok(false);
            }
            if self.ended {
                return Ok(true);
            }
            let wanted = self.buffer.len() - self.next + 1;
            self.fill(wanted)?;
        }
    }

    /// Reads until `wanted` bytes are there, or the file ends.
    fn fill(&mut self, wanted: usize) -> Result<(), Fault> {
        while self.buffer.len() - self.next < wanted && !self.ended {
            if self.next > 0 {
                self.buffer.drain(..self.next);
                self.base += self.next as u64;
                self.next = 0;
            }
            let filled = self.buffer.len();
            let left = self.len.saturating_sub(self.base + filled as u64);
            // A byte more, to see the end of the file.
            let usual = READ_BYTES.min(usize::try_from(left).unwrap_or(READ_BYTES) + 1);
            let more = usual.max(wanted.saturating_sub(filled));
            self.buffer.resize(filled + more, 0);
            let result = self.input.read(&mut self.buffer[filled..]);
            self.buffer
                .truncate(filled + result.as_ref().copied().unwrap_or(0));
            match result {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(filled, Flaw::Unreadable(error))),
            }
        }
        Ok(())
    }
}

/// A line that begins with `#`.
enum Line {
    Stamp(i64),
    Remark,
}

enum Scan {
    /// So many bytes are an item: a command, or this line.
    Item(usize, Option<Line>),
    /// At least so many bytes are needed.
    Incomplete(usize),
    Malformed(usize, &'static str),
}

/// Looks at the first item of `bytes`, after which the file has at most `left` bytes in all.
fn scan(bytes: &[u8], left: u64, words: &mut Vec<Span>) -> Scan {
    if bytes[0] == b'#' {
        return match line(bytes, 0) {
            Ok((text, end)) => Scan::Item(end, Some(annotation(text))),
            Err(stop) => stop,
        };
    }
    let (count, mut at) = match number(bytes, 0, b'*', "no command begins here ('*' expected)") {
        Ok(found) => found,
        Err(stop) => return stop,
    };
    if count == 0 || count > WORDS_MAX {
        return Scan::Malformed(0, "a command with an impossible number of words");
    }
    for _ in 0..count {
        let header = at;
        let (len, body) = match number(bytes, at, b'$', "no word begins here ('$' expected)") {
            Ok(found) => found,
            Err(stop) => return stop,
        };
        let end = body as u64 + len + 2;
        if end > u64::from(u32::MAX) {
            return Scan::Malformed(header, "a command of more than 4 GiB");
        }
        if end > bytes.len() as u64 {
            // What the file does not have is not read, let alone allocated.
            return Scan::Incomplete(end.min(left) as usize);
        }
        at = end as usize;
        if &bytes[at - 2..at] != b"\r\n" {
            return Scan::Malformed(at - 2, "a word does not end where its length says");
        }
        let (start, len) = (body as u32, len as u32);
        words.push(Span { start, len });
    }
    Scan::Item(at, None)
}

/// The number in the header at `at`, and where the header ends.
fn number(bytes: &[u8], at: usize, kind: u8, what: &'static str) -> Result<(u64, usize), Scan> {
    match bytes.get(at) {
        None => return Err(Scan::Incomplete(at + 1)),
        Some(&found) if found != kind => return Err(Scan::Malformed(at, what)),
        Some(_) => {}
    }
    // Nearly every header is a few digits and the end of the line.
    let (mut short, mut next) = (0, at + 1);
    while let Some(&digit @ b'0'..=b'9') = bytes.get(next)
        && next - at <= SHORT_DIGITS_MAX
    {
        short = short * 10 + u64::from(digit - b'0');
        next += 1;
    }
    if next > at + 1 && bytes.get(next..next + 2) == Some(b"\r\n") {
        return Ok((short, next + 2));
    }
    let (text, end) = line(bytes, at)?;
    let digits = &text[1..];
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    let number = number.filter(|_| digits.first().is_some_and(u8::is_ascii_digit));
    Ok((
        number.ok_or(Scan::Malformed(at, "a header without a number"))?,
        end,
    ))
}

/// So many digits are a number without further ado.
const SHORT_DIGITS_MAX: usize = 9;

/// The line at `at` without its end, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Scan> {
    let rest = &bytes[at..];
    let searched = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match searched.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let text = &rest[..end];
            Ok((text.strip_suffix(b"\r").unwrap_or(text), at + end + 1))
        }
        None if rest.len() >= LINE_BYTES_MAX => Err(Scan::Malformed(at, "a header without end")),
        None => Err(Scan::Incomplete(bytes.len() + 1)),
    }
}

fn annotation(text: &[u8]) -> Line {
    let seconds = text.strip_prefix(b"#TS:").and_then(base::num::parse_i64);
    seconds.map_or(Line::Remark, Line::Stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Option<Fault>) {
        let mut reader = Reader::new(bytes, bytes.len() as u64, 0);
        let (mut items, mut words) = (Vec::new(), Vec::new());
        loop {
            match reader.next(&mut words) {
                Ok(None) => return (items, None),
                Err(fault) => return (items, Some(fault)),
                Ok(Some(Item::Command(bytes))) => {
                    let word = |span: &Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
                    items.push(words.iter().map(word).collect::<Vec<_>>().join(" "));
                }
                Ok(Some(Item::Stamp(second))) => items.push(format!("@{second}")),
                Ok(Some(Item::Remark(text))) => {
                    items.push(format!("#{}", String::from_utf8_lossy(text)));
                }
            }
        }
    }

    const FILE: &[u8] = b"#TS:7\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#?\r\n\
                          *1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n\
                          *1\r\n$4\r\nexec\r\n";

    #[test]
    fn commands_and_annotations() {
        let (items, fault) = read(FILE);
        assert_eq!(
            items,
            ["@7", "SELECT 0", "#?", "MULTI", "SET a \r\n", "exec"]
        );
        assert!(fault.is_none());
    }

    /// Wherever a file is cut off, what was complete before is known.
    #[test]
    fn every_prefix_is_a_torn_tail() {
        let block = FILE.windows(3).rposition(|w| w == b"MUL").expect("there") as u64 - 8;
        for len in 1..FILE.len() {
            let (_, fault) = read(&FILE[..len]);
            let Some(fault) = fault else {
                let whole = [7, FILE.len(), block as usize, block as usize - 4];
                assert!(whole.contains(&len), "{len}");
                continue;
            };
            assert!(fault.is_torn_tail(), "{len}: {fault}");
            assert!(
                fault.valid <= len as u64 && fault.valid <= block,
                "{len}: {fault}"
            );
            let (_, again) = read(&FILE[..fault.valid as usize]);
            assert!(again.is_none(), "{len}");
            let mut zeros = FILE[..fault.valid as usize].to_vec();
            zeros.extend([0; 3000]);
            let fault = read(&zeros).1.expect("a fault");
            assert!(matches!(fault.flaw, Flaw::Zeros), "{len}: {fault}");
        }
    }

    #[test]
    fn garbage_is_told_with_its_place() {
        for (bytes, at, what) in [
            (&b"*1\r\n$4\r\nPING\r\nx\r\n"[..], 14, "no command"),
            (b"*1\r\n+4\r\n", 4, "no word"),
            (b"*0\r\n", 0, "impossible"),
            (b"*x\r\n", 0, "without a number"),
            (b"*1\r\n$-1\r\n", 4, "without a number"),
            (b"*1\r\n$4\r\nPINGPONG", 12, "does not end"),
            (b"*1\r\n$99999999999\r\n", 4, "4 GiB"),
            (b"\0\0\0x", 0, "no command"),
        ] {
            let fault = read(bytes).1.expect("a fault");
            let Flaw::Malformed(text) = fault.flaw else {
                panic!("{fault}");
            };
            assert_eq!(fault.at, at, "{text}");
            assert!(text.contains(what), "{text}");
        }
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut reader = Reader::new(&b"*1\r\n$2000000000\r\nabc"[..], 20, 0);
        let fault = reader.next(&mut Vec::new()).expect_err("a fault");
        assert!(fault.is_torn_tail());
        assert!(reader.buffer.capacity() <= 2 * READ_BYTES);
    }
}
