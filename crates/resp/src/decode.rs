//! The client's side: replies from bytes, commands to bytes. For tests, the load generator and the
//! command line.
//!
//! [`decode`] builds values; [`skip_reply`] only finds where a reply ends and is cheap enough to
//! count replies at millions per second. Both take whole replies from the start of a buffer and say
//! "not yet" for a prefix.

use memchr::memchr;

use crate::parse::{plain_header, signed_number};

/// Deepest nesting of aggregates that [`decode`] follows.
pub const DEPTH_MAX: usize = 128;
/// Elements for which room is made before they have arrived.
const RESERVED_ELEMENTS_MAX: usize = 1024;

/// A line end is looked for byte by byte so far: most lines are short, and then that is faster.
const NEAR_BYTES: usize = 8;

/// A reply of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`, or RESP3's bulk error `!`
    Error(Vec<u8>),
    /// `:1`
    Int(i64),
    /// `$3`
    Bulk(Vec<u8>),
    /// `$-1` or `_`
    Null,
    /// `*-1`
    NullArray,
    /// `*2`
    Array(Vec<Value>),
    /// `%1`
    Map(Vec<(Value, Value)>),
    /// `~2`
    Set(Vec<Value>),
    /// `>2`
    Push(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Bool(bool),
    /// `=7`: format and text
    Verbatim([u8; 3], Vec<u8>),
    /// `(123`: the digits
    BigNumber(Vec<u8>),
}

/// Why bytes are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The first byte of a reply is not one of its types.
    Type(u8),
    /// A length, number, boolean or line end is malformed.
    Malformed,
    /// Aggregates are nested deeper than [`DEPTH_MAX`].
    Depth,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type(byte) => write!(f, "unknown reply type {:?}", char::from(*byte)),
            Self::Malformed => f.write_str("malformed reply"),
            Self::Depth => f.write_str("reply nested too deeply"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a reply could not be taken: a prefix of one, or none at all.
enum Stop {
    Incomplete,
    Error(DecodeError),
}

const MALFORMED: Stop = Stop::Error(DecodeError::Malformed);

/// The first reply in `buf` and its length in bytes; None if it has not wholly arrived.
///
/// # Errors
/// The bytes are not a reply.
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut rest = Input { buf, at: 0 };
    match value(&mut rest, DEPTH_MAX) {
        Ok(value) => Ok(Some((value, rest.at))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// Length in bytes of the first reply in `buf`; None if it has not wholly arrived. Nesting costs no
/// stack.
///
/// # Errors
/// The bytes are not a reply. Bodies of simple replies are not looked at.
pub fn skip_reply(buf: &[u8]) -> Result<Option<usize>, DecodeError> {
    let mut rest = Input { buf, at: 0 };
    let mut left = 1_u64; // replies still to be skipped
    while left > 0 {
        match skip_one(&mut rest) {
            Ok(elements) => left = (left - 1).saturating_add(elements),
            Err(Stop::Incomplete) => return Ok(None),
            Err(Stop::Error(error)) => return Err(error),
        }
    }
    Ok(Some(rest.at))
}

/// Appends a command as an array of bulk strings.
pub fn encode_command(args: &[&[u8]], out: &mut Vec<u8>) {
    encode_words(args.iter().copied(), out);
}

/// Appends a command, given as its words, as an array of bulk strings.
#[inline]
pub fn encode_words<'a>(words: impl ExactSizeIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    header(b'*', words.len(), out);
    for word in words {
        header(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a type byte, a number and a line end.
#[inline]
fn header(kind: u8, number: usize, out: &mut Vec<u8>) {
    if number < 10 {
        return out.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
    }
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Bytes and how far they are read.
struct Input<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// The next line without its line end: type byte and text.
    fn line(&mut self) -> Result<(u8, &'a [u8]), Stop> {
        let rest = self.buf.get(self.at..).unwrap_or_default();
        let near = rest.iter().take(NEAR_BYTES).position(|&byte| byte == b'\n');
        let end = near
            .or_else(|| memchr(b'\n', rest))
            .ok_or(Stop::Incomplete)?;
        self.at += end + 1;
        match rest.get(..end) {
            Some([kind, text @ .., b'\r']) => Ok((*kind, text)),
            _ => Err(MALFORMED),
        }
    }

    /// A bulk body of `len` bytes and its line end.
    fn body(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let rest = self.buf.get(self.at..).unwrap_or_default();
        let whole = len.checked_add(2).ok_or(MALFORMED)?;
        match rest.get(..whole).ok_or(Stop::Incomplete)? {
            [body @ .., b'\r', b'\n'] => {
                self.at += whole;
                Ok(body)
            }
            _ => Err(MALFORMED),
        }
    }
}

/// A length, or None for -1.
fn length(text: &[u8]) -> Result<Option<usize>, Stop> {
    match signed_number(text) {
        Some(-1) => Ok(None),
        Some(len) => usize::try_from(len).map(Some).map_err(|_| MALFORMED),
        None => Err(MALFORMED),
    }
}

/// A length that cannot be -1.
fn sure_length(text: &[u8]) -> Result<usize, Stop> {
    length(text)?.ok_or(MALFORMED)
}

fn value(rest: &mut Input<'_>, depth: usize) -> Result<Value, Stop> {
    let (kind, text) = rest.line()?;
    Ok(match kind {
        b'+' => Value::Simple(text.to_vec()),
        b'-' => Value::Error(text.to_vec()),
        b':' => Value::Int(signed_number(text).ok_or(MALFORMED)?),
        b'$' => match length(text)? {
            Some(len) => Value::Bulk(rest.body(len)?.to_vec()),
            None => Value::Null,
        },
        b'_' if text.is_empty() => Value::Null,
        b'!' => Value::Error(rest.body(sure_length(text)?)?.to_vec()),
        b'*' => match length(text)? {
            Some(len) => Value::Array(values(rest, len, depth)?),
            None => Value::NullArray,
        },
        b'~' => Value::Set(values(rest, sure_length(text)?, depth)?),
        b'>' => Value::Push(values(rest, sure_length(text)?, depth)?),
        b'%' => {
            let len = sure_length(text)?.checked_mul(2).ok_or(MALFORMED)?;
            let mut flat = values(rest, len, depth)?.into_iter();
            Value::Map(std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect())
        }
        b',' => Value::Double(double(text)?),
        b'#' => match text {
            b"t" => Value::Bool(true),
            b"f" => Value::Bool(false),
            _ => return Err(MALFORMED),
        },
        b'=' => match rest.body(sure_length(text)?)? {
            [a, b, c, b':', text @ ..] => Value::Verbatim([*a, *b, *c], text.to_vec()),
            _ => return Err(MALFORMED),
        },
        b'(' => Value::BigNumber(text.to_vec()),
        b'_' => return Err(MALFORMED),
        other => return Err(Stop::Error(DecodeError::Type(other))),
    })
}

fn values(rest: &mut Input<'_>, len: usize, depth: usize) -> Result<Vec<Value>, Stop> {
    let depth = depth
        .checked_sub(1)
        .ok_or(Stop::Error(DecodeError::Depth))?;
    let mut values = Vec::with_capacity(len.min(RESERVED_ELEMENTS_MAX));
    for _ in 0..len {
        values.push(value(rest, depth)?);
    }
    Ok(values)
}

fn double(text: &[u8]) -> Result<f64, Stop> {
    let text = std::str::from_utf8(text).map_err(|_| MALFORMED)?;
    text.parse().map_err(|_| MALFORMED)
}

/// Skips one line and its body; returns how many replies follow as its elements.
#[inline]
fn skip_one(rest: &mut Input<'_>) -> Result<u64, Stop> {
    if let Some((len, header)) = plain_header(rest.buf, rest.at, b'$') {
        let start = rest.at;
        rest.at += header;
        if rest.body(len as usize).is_ok() {
            return Ok(0);
        }
        rest.at = start; // the careful way says what is wrong
    }
    let (kind, text) = rest.line()?;
    match kind {
        b'$' | b'=' | b'!' => {
            if let Some(len) = length(text)? {
                rest.body(len)?;
            }
            Ok(0)
        }
        b'*' | b'~' | b'>' => Ok(length(text)?.unwrap_or(0) as u64),
        b'%' => Ok((length(text)?.unwrap_or(0) as u64).saturating_mul(2)),
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Ok(0),
        other => Err(Stop::Error(DecodeError::Type(other))),
    }
}
