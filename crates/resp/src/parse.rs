//! Requests: bytes of the read buffer to arguments, without copying them.
//!
//! A request is an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or an inline line (see
//! `inline`). The parser yields [`Span`]s into the read buffer. It owns nothing but the progress of
//! a command that has not wholly arrived, so the bytes of a command are looked at once, in however
//! many pieces they come.
//!
//! As strict and as lax as Redis 8.2.3 (asked, see `tests/it/errors.rs`): numbers have no sign `+`
//! and no leading zeros; whatever byte follows the carriage return of a header is skipped, and so
//! are the two bytes that follow a bulk; a count of zero or less is a command without arguments.

use memchr::{memchr, memchr2};

use crate::error::ProtocolError;
use crate::inline;

/// Longest inline request and longest header line, in bytes before the line end.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Largest number of arguments of one command.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Limits of a client that still has to log in.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: u64 = 16384;
/// Spans are kept for the next fragmented command up to this capacity.
const PARTIAL_SPANS_KEPT: usize = 1024;

/// One argument: bytes `start..start + len` relative to the start of the command in the read
/// buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte from the start of the command.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The argument's bytes; `command` is the read buffer from the start of the command on.
    ///
    /// # Panics
    /// If the span was made for a longer buffer.
    #[inline]
    pub fn of(self, command: &[u8]) -> &[u8] {
        &command[self.start as usize..][..self.len as usize]
    }
}

/// How much a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument in bytes (`proto-max-bulk-len`). A command that does not fit into 4 GiB is
    /// refused in any case.
    pub bulk_bytes_max: u64,
    /// Longest unfinished input in bytes (`client-query-buffer-limit`). The parser holds no input:
    /// the caller checks this one when its buffer grows.
    pub query_bytes_max: u64,
    /// Whether the client has logged in or need not.
    pub authenticated: bool,
}

/// What the parser found at the start of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole command is at `buf[..consumed]`; its arguments were appended to the spans. None
    /// appended: nothing to do (empty line, `*0`, `*-1`).
    Command {
        /// Length of the command in the buffer, in bytes.
        consumed: usize,
    },
    /// A whole inline command with quotes is at `buf[..consumed]`. Unquoting changes bytes, so its
    /// arguments are copies, and no spans were appended. Rare: lines without quotes come as
    /// [`Step::Command`].
    Inline {
        /// Length of the line in the buffer, in bytes.
        consumed: usize,
        /// The arguments, unquoted.
        args: Vec<Vec<u8>>,
    },
    /// The command has not wholly arrived.
    Incomplete {
        /// At least this many bytes are still to come (1 or more): the rest of the bulk that is
        /// under way. For reserving buffer space; the number is what the client announced, up to
        /// `bulk_bytes_max`.
        missing: usize,
    },
}

/// Request parser of one connection.
///
/// Between two calls of [`Parser::next`] that answered `Incomplete`, the buffer may move in memory
/// and grow at its end, but its bytes stay. After any other answer the next call starts a new
/// command.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments of the partial command found by earlier calls.
    partial: Vec<Span>,
    /// Where the partial command goes on: the start of a bulk header. 0: nothing of it is parsed.
    at: usize,
    /// Arguments still to come, while `at` is not 0.
    left: u32,
    /// The current line has no end before this offset.
    searched: usize,
}

/// Where a command's arguments go on, and how many are still to come.
struct Cursor {
    at: usize,
    left: u32,
}

impl Parser {
    /// Parses one command at the start of `buf`, going on where the last call for this command
    /// stopped.
    ///
    /// `spans` is an arena that a batch of commands shares: a command's spans are appended to it
    /// when the command is complete, else it is left as it was (the parser keeps what it found).
    ///
    /// # Errors
    /// The client broke the protocol; tell it and close. The parser is then as new.
    #[inline]
    pub fn next(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        let buf = &buf[..buf.len().min(u32::MAX as usize)]; // what spans can reach
        let known = spans.len();
        let step = if self.at == 0 {
            self.begin(buf, limits, spans)
        } else {
            self.go_on(buf, limits, spans)
        };
        if step.is_err() {
            spans.truncate(known);
            *self = Self::default();
        }
        step
    }

    /// Whether a part of a command has been parsed. False if `buf` held no complete header so far.
    #[inline]
    pub fn is_partial(&self) -> bool {
        self.at != 0
    }

    #[inline]
    fn begin(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        match buf.first() {
            Some(b'*') => {}
            Some(_) => return self.inline(buf, spans),
            None => return Ok(Step::Incomplete { missing: 1 }),
        }
        let (count, at) = match plain_header(buf, 0, b'*') {
            Some((count, at)) => (count as i64, at), // at most 18 digits
            None => match self.line_number(buf, 0, ProtocolError::BigMultibulkCount)? {
                Line::Number(count, at) => (count, at),
                Line::NotANumber => return Err(ProtocolError::MultibulkLength),
                Line::Incomplete => return Ok(Step::Incomplete { missing: 1 }),
            },
        };
        if count > ARGUMENTS_MAX {
            return Err(ProtocolError::MultibulkLength);
        }
        if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        let mut cursor = Cursor {
            at,
            left: u32::try_from(count).unwrap_or(0),
        }; // negative: none
        let known = spans.len();
        let missing = self.arguments(buf, &mut cursor, limits, spans)?;
        if missing == 0 {
            self.searched = 0;
            return Ok(Step::Command {
                consumed: cursor.at,
            });
        }
        self.partial
            .extend_from_slice(spans.get(known..).unwrap_or_default());
        spans.truncate(known);
        (self.at, self.left) = (cursor.at, cursor.left);
        Ok(Step::Incomplete { missing })
    }

    /// The same for a command of which earlier calls have read the count and perhaps some
    /// arguments.
    #[cold]
    fn go_on(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        let mut partial = std::mem::take(&mut self.partial);
        let mut cursor = Cursor {
            at: self.at,
            left: self.left,
        };
        let missing = self.arguments(buf, &mut cursor, limits, &mut partial)?;
        if missing == 0 {
            spans.extend_from_slice(&partial);
            partial.clear();
            partial.shrink_to(PARTIAL_SPANS_KEPT);
            (self.at, self.left, self.searched) = (0, 0, 0);
        } else {
            (self.at, self.left) = (cursor.at, cursor.left);
        }
        self.partial = partial;
        Ok(match missing {
            0 => Step::Command {
                consumed: cursor.at,
            },
            _ => Step::Incomplete { missing },
        })
    }

    /// Appends the arguments from the cursor on, as far as they are there. Returns the bytes
    /// missing, 0 if none. An argument whose body is incomplete is not passed: its header, a few
    /// bytes, is read again next time.
    #[inline]
    fn arguments(
        &mut self,
        buf: &[u8],
        cursor: &mut Cursor,
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<usize, ProtocolError> {
        let bytes_max = match limits.authenticated {
            true => limits.bulk_bytes_max,
            false => limits.bulk_bytes_max.min(UNAUTHENTICATED_BULK_BYTES_MAX),
        };
        let mut at = cursor.at;
        while cursor.left > 0 {
            let (len, body) = match plain_header(buf, at, b'$') {
                Some((len, header)) => (len, at + header),
                None => {
                    cursor.at = at;
                    match self.bulk_header(buf, at)? {
                        Some(header) => header,
                        None => return bytes_missing(buf.len() as u64 + 1, buf.len()),
                    }
                }
            };
            if len > bytes_max {
                return Err(bulk_refused(len, limits));
            }
            // No overflow: a length has at most 19 digits and fits into i64, an offset into isize.
            let end = body as u64 + len + 2;
            if end > buf.len() as u64 {
                cursor.at = at;
                return bytes_missing(end, buf.len());
            }
            spans.push(Span {
                start: body as u32,
                len: len as u32,
            });
            at = end as usize;
            cursor.left -= 1;
        }
        cursor.at = at;
        Ok(0)
    }

    /// Length and body offset of the bulk whose header starts at `at` and is not a plain one; None:
    /// incomplete.
    #[cold]
    fn bulk_header(
        &mut self,
        buf: &[u8],
        at: usize,
    ) -> Result<Option<(u64, usize)>, ProtocolError> {
        match self.line_number(buf, at, ProtocolError::BigBulkCount)? {
            Line::Incomplete => Ok(None),
            _ if buf[at] != b'$' => Err(ProtocolError::ExpectedDollar(buf[at])),
            Line::NotANumber => Err(ProtocolError::BulkLength),
            Line::Number(len, body) => match u64::try_from(len) {
                Ok(len) => Ok(Some((len, body))),
                Err(_) => Err(ProtocolError::BulkLength),
            },
        }
    }

    /// The number in the header line at `at`, behind its first byte.
    #[cold]
    fn line_number(
        &mut self,
        buf: &[u8],
        at: usize,
        too_long: ProtocolError,
    ) -> Result<Line, ProtocolError> {
        let Some(end) = self.line_end(buf, at, b'\r', too_long)? else {
            return Ok(Line::Incomplete);
        };
        if end + 1 >= buf.len() {
            return Ok(Line::Incomplete); // the line feed is still to come
        }
        Ok(
            match signed_number(buf.get(at + 1..end).unwrap_or_default()) {
                Some(number) => Line::Number(number, end + 2),
                None => Line::NotANumber,
            },
        )
    }

    /// Offset of the `end` byte of the line at `at`; None if it has not arrived.
    fn line_end(
        &mut self,
        buf: &[u8],
        at: usize,
        end: u8,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let stop = buf.len().min(at + LINE_BYTES_MAX + 1);
        let start = self.searched.clamp(at, stop); // an earlier line may have set it
        match memchr(end, &buf[start..stop]) {
            Some(found) => Ok(Some(start + found)),
            None if stop - at > LINE_BYTES_MAX => Err(too_long),
            None => {
                self.searched = stop;
                Ok(None)
            }
        }
    }

    #[cold]
    fn inline(&mut self, buf: &[u8], spans: &mut Vec<Span>) -> Result<Step, ProtocolError> {
        let Some(end) = self.line_end(buf, 0, b'\n', ProtocolError::BigInline)? else {
            return Ok(Step::Incomplete { missing: 1 });
        };
        self.searched = 0;
        let (line, consumed) = (&buf[..end], end + 1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if memchr2(b'"', b'\'', line).is_some() {
            return Ok(Step::Inline {
                consumed,
                args: inline::split_quoted(line)?,
            });
        }
        inline::split_plain(line, spans);
        Ok(Step::Command { consumed })
    }
}

/// A header line, by the rules of numbers on the wire.
enum Line {
    /// The number, and the offset behind the line end.
    Number(i64, usize),
    NotANumber,
    Incomplete,
}

/// Number and length of the header line at `at`, if the line is a plain one: of this type, whole in
/// the buffer, at most 18 digits, no sign, no leading zero. Everything else, right or wrong, is for
/// [`Parser::line_number`] to judge, and so is a line at the very end of the buffer.
#[inline(always)]
pub(crate) fn plain_header(buf: &[u8], at: usize, kind: u8) -> Option<(u64, usize)> {
    // The shortest argument, `$0\r\n\r\n`, has six bytes: nothing that is complete is shorter.
    let &[first, a, b, c, d, _] = buf.get(at..at + 6)? else {
        return None;
    };
    let value = u64::from(a.wrapping_sub(b'0'));
    if first != kind || value > 9 {
        return None;
    }
    if b == b'\r' {
        return Some((value, 4));
    }
    let digit = u64::from(b.wrapping_sub(b'0'));
    if value == 0 || digit > 9 {
        return None;
    }
    let value = value * 10 + digit;
    if c == b'\r' {
        return Some((value, 5));
    }
    let digit = u64::from(c.wrapping_sub(b'0'));
    if digit <= 9 && d == b'\r' {
        return Some((value * 10 + digit, 6));
    }
    longer_header(&buf[at..], value)
}

/// Goes on with [`plain_header`] at the third digit.
fn longer_header(rest: &[u8], mut value: u64) -> Option<(u64, usize)> {
    for (index, &byte) in rest.iter().enumerate().take(20).skip(3) {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            let whole = byte == b'\r' && index + 1 < rest.len();
            return whole.then_some((value, index + 2));
        }
        value = value * 10 + digit; // at most 19 digits: below 2^64
    }
    None
}

/// An integer as the wire wants it: digits without leading zeros, perhaps a minus, within 64 bits.
pub(crate) fn signed_number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    digits.iter().try_fold(0_i64, |value, &byte| {
        let digit = i64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        // Downwards for negative numbers: their range reaches one further.
        value
            .checked_mul(10)?
            .checked_add(if negative { -digit } else { digit })
    })
}

#[cold]
fn bulk_refused(len: u64, limits: &Limits) -> ProtocolError {
    if len > limits.bulk_bytes_max {
        ProtocolError::BulkLength
    } else {
        ProtocolError::UnauthenticatedBulkLength
    }
}

#[cold]
fn bytes_missing(end: u64, have: usize) -> Result<usize, ProtocolError> {
    if end > u64::from(u32::MAX) {
        return Err(ProtocolError::BulkLength); // spans are 32 bit
    }
    Ok(end as usize - have)
}
