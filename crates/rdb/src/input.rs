//! Reads the parts that everything else is made of, from a file or from a payload in memory.
//!
//! A file is read through a buffer; what passes is summed for the checksum and counted, so that a
//! fault can say where it was found. No string is given room before its bytes are there.

use std::borrow::Cow;
use std::io::{self, Read};

use base::num::{I64_TEXT_MAX, format_i64, parse_f64};
use base::strings::until_nul;
use structs::lzf;
use structs::stream::StreamId;

use crate::crc::Crc64;
use crate::fault::{Fault, Problem};
use crate::format::{length, text};

/// Bytes that are read from a file at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Elements of a file's collection that room is made for before they are there.
const ANNOUNCED_MAX: usize = 64 << 10;
/// How many times longer than its compressed form a string can be at most: the longest copy, from
/// three bytes.
const INFLATION_MAX: usize = 264 / 3 + 1;

/// Where bytes come from.
enum Origin<'r> {
    /// All that there is is in the buffer.
    Memory,
    /// A reader.
    Reader(Box<dyn Read + 'r>),
}

/// A text, or the integer whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// So many bytes follow.
    Plain(u64),
    /// The text of this integer.
    Int(i64),
    /// So many compressed bytes follow, which are so many.
    Compressed(u64, u64),
}

/// See the module's head.
pub struct Input<'r> {
    origin: Origin<'r>,
    buffer: Cow<'r, [u8]>,
    /// What has been read of the buffer.
    at: usize,
    /// Bytes before the buffer.
    before: u64,
    /// Of the bytes before the buffer.
    crc: Crc64,
    summed: bool,
    compressed: Vec<u8>,
    /// What passes is copied there, if somebody asked for it.
    copy: Option<Vec<u8>>,
}

impl<'r> Input<'r> {
    /// Reads a file from its beginning.
    pub fn of_reader(reader: impl Read + 'r) -> Input<'r> {
        Input::new(Origin::Reader(Box::new(reader)), Cow::Owned(Vec::new()), 0)
    }

    /// Reads these bytes, the first of which is `offset` bytes from the beginning of something.
    pub fn of_bytes(bytes: &'r [u8], offset: u64) -> Input<'r> {
        Input::new(Origin::Memory, Cow::Borrowed(bytes), offset)
    }

    fn new(origin: Origin<'r>, buffer: Cow<'r, [u8]>, before: u64) -> Input<'r> {
        Input {
            origin,
            buffer,
            at: 0,
            before,
            crc: Crc64::default(),
            summed: true,
            compressed: Vec::new(),
            copy: None,
        }
    }

    /// Does not sum (`rdbchecksum no`).
    pub fn without_sum(&mut self) {
        self.summed = false;
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The checksum of what has been read; 0 if nobody wanted it.
    pub fn sum(&self) -> u64 {
        if !self.summed {
            return 0;
        }
        let mut crc = self.crc;
        crc.update(self.buffer.get(..self.at).unwrap_or_default());
        crc.sum()
    }

    /// From here on, what is read or passed over is also appended to `copy`.
    pub fn begin_copy(&mut self, copy: Vec<u8>) {
        self.copy = Some(copy);
    }

    /// Ends that; gives back the buffer.
    pub fn end_copy(&mut self) -> Vec<u8> {
        self.copy.take().unwrap_or_default()
    }

    /// How many elements room may be made for if so many are announced: each is a byte at least,
    /// and of a file nobody knows how long it is.
    pub(crate) fn justified(&self, count: u64) -> usize {
        let most = match self.origin {
            Origin::Memory => self.rest().len(),
            Origin::Reader(_) => ANNOUNCED_MAX,
        };
        usize::try_from(count).unwrap_or(most).min(most)
    }

    /// Whether nothing is left.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_at_end(&mut self) -> Result<bool, Fault> {
        if self.rest().is_empty() {
            self.fill()?;
        }
        Ok(self.rest().is_empty())
    }

    pub(crate) fn fault(&self, problem: Problem) -> Fault {
        Fault {
            offset: self.offset(),
            problem,
        }
    }

    pub(crate) fn corrupt(&self, what: impl Into<Cow<'static, str>>) -> Fault {
        self.fault(Problem::Corrupt(what.into()))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Drops what has been read and gets more behind what has not; does nothing at the end.
    fn fill(&mut self) -> Result<(), Fault> {
        let Origin::Reader(reader) = &mut self.origin else {
            return Ok(());
        };
        let buffer = self.buffer.to_mut();
        if self.summed {
            self.crc.update(buffer.get(..self.at).unwrap_or_default());
        }
        buffer.drain(..self.at);
        self.before += self.at as u64;
        self.at = 0;
        let kept = buffer.len();
        buffer.resize(kept + BUFFER_BYTES, 0);
        let outcome = loop {
            match reader.read(buffer.get_mut(kept..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        buffer.truncate(kept + outcome.as_ref().copied().unwrap_or(0));
        outcome
            .map(|_| ())
            .map_err(|error| self.fault(Problem::Io(error)))
    }

    /// So many bytes, few.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        loop {
            if let Some(&bytes) = self.rest().first_chunk::<N>() {
                self.at += N;
                if let Some(copy) = &mut self.copy {
                    copy.extend_from_slice(&bytes);
                }
                return Ok(bytes);
            }
            self.more()?;
        }
    }

    /// Gets more.
    fn more(&mut self) -> Result<(), Fault> {
        let had = self.rest().len();
        self.fill()?;
        if self.rest().len() == had {
            self.at += had;
            return Err(self.fault(Problem::Truncated));
        }
        Ok(())
    }

    /// Appends so many bytes to `out`.
    pub(crate) fn append(&mut self, mut len: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        while len > 0 {
            if self.rest().is_empty() {
                self.more()?;
            }
            let bytes = self.take(len);
            out.extend_from_slice(bytes);
            len -= bytes.len() as u64;
        }
        Ok(())
    }

    /// Passes over so many bytes.
    pub(crate) fn pass(&mut self, mut len: u64) -> Result<(), Fault> {
        while len > 0 {
            if self.rest().is_empty() {
                self.more()?;
            }
            len -= self.take(len).len() as u64;
        }
        Ok(())
    }

    /// What is in the buffer, up to `len` bytes.
    fn take(&mut self, len: u64) -> &[u8] {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let end = self.buffer.len().min(self.at.saturating_add(len));
        let bytes = self.buffer.get(self.at..end).unwrap_or_default();
        self.at = end;
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        bytes
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    /// A time or another signed number of 8 bytes.
    pub(crate) fn millis(&mut self) -> Result<i64, Fault> {
        self.bytes().map(i64::from_le_bytes)
    }

    /// A binary score.
    pub(crate) fn double(&mut self) -> Result<f64, Fault> {
        self.bytes()
            .map(|bits| f64::from_bits(u64::from_le_bytes(bits)))
    }

    /// A score as text.
    pub(crate) fn double_text(&mut self) -> Result<f64, Fault> {
        let len = match self.byte()? {
            255 => return Ok(f64::NEG_INFINITY),
            254 => return Ok(f64::INFINITY),
            253 => return Ok(f64::NAN),
            len => len,
        };
        let mut digits = Vec::new();
        self.append(len.into(), &mut digits)?;
        parse_f64(until_nul(&digits)).ok_or_else(|| self.corrupt("a score that is no number"))
    }

    /// A length or another number; `Err` of an encoding if it is that of a string.
    fn number_or_encoding(&mut self) -> Result<Result<u64, u8>, Fault> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(Ok(match (first >> 6, first) {
            (length::SIX, _) => low.into(),
            (length::FOURTEEN, _) => u64::from(low) << 8 | u64::from(self.byte()?),
            (length::ENCODED, _) => return Ok(Err(low)),
            (_, length::WORD) => u32::from_be_bytes(self.bytes()?).into(),
            (_, length::DOUBLE_WORD) => u64::from_be_bytes(self.bytes()?),
            _ => return Err(self.corrupt(format!("0x{first:02x} begins no length"))),
        }))
    }

    /// A length or another number.
    pub(crate) fn number(&mut self) -> Result<u64, Fault> {
        self.number_or_encoding()?
            .map_err(|_| self.corrupt("a string where a number should be"))
    }

    /// What a string begins with.
    pub(crate) fn head(&mut self) -> Result<Head, Fault> {
        let encoding = match self.number_or_encoding()? {
            Ok(len) => return Ok(Head::Plain(len)),
            Err(encoding) => encoding,
        };
        Ok(match encoding {
            text::INT8 => Head::Int(i8::from_le_bytes(self.bytes()?).into()),
            text::INT16 => Head::Int(i16::from_le_bytes(self.bytes()?).into()),
            text::INT32 => Head::Int(i32::from_le_bytes(self.bytes()?).into()),
            text::LZF => Head::Compressed(self.number()?, self.number()?),
            other => return Err(self.corrupt(format!("unknown encoding {other} of a string"))),
        })
    }

    /// Reads a string in place of what is in `out`; the integer that it is, if it is kept as one.
    pub(crate) fn string(&mut self, out: &mut Vec<u8>) -> Result<Option<i64>, Fault> {
        out.clear();
        match self.head()? {
            Head::Plain(len) => self.append(len, out)?,
            Head::Int(value) => {
                out.extend_from_slice(format_i64(value, &mut [0; I64_TEXT_MAX]));
                return Ok(Some(value));
            }
            Head::Compressed(compressed, len) => self.inflate(compressed, len, out)?,
        }
        Ok(None)
    }

    fn inflate(&mut self, compressed: u64, len: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut bytes = std::mem::take(&mut self.compressed);
        bytes.clear();
        self.append(compressed, &mut bytes)?;
        let len = usize::try_from(len).ok();
        let len = len.filter(|&len| len <= bytes.len().saturating_mul(INFLATION_MAX));
        let done = len.and_then(|len| lzf::decompress(&bytes, len, out));
        self.compressed = bytes;
        done.ok_or_else(|| self.corrupt("a compressed string that cannot be unpacked"))
    }

    /// A string of its own.
    pub(crate) fn owned_string(&mut self) -> Result<Vec<u8>, Fault> {
        let mut text = Vec::new();
        self.string(&mut text)?;
        Ok(text)
    }

    /// Passes over a string.
    pub(crate) fn pass_string(&mut self) -> Result<(), Fault> {
        match self.head()? {
            Head::Plain(len) | Head::Compressed(len, _) => self.pass(len),
            Head::Int(_) => Ok(()),
        }
    }

    /// An id as two numbers.
    pub(crate) fn id(&mut self) -> Result<StreamId, Fault> {
        Ok(StreamId {
            ms: self.number()?,
            seq: self.number()?,
        })
    }

    /// An id of 16 bytes.
    pub(crate) fn raw_id(&mut self) -> Result<StreamId, Fault> {
        Ok(StreamId {
            ms: u64::from_be_bytes(self.bytes()?),
            seq: u64::from_be_bytes(self.bytes()?),
        })
    }
}
