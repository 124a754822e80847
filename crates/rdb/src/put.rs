//! Writes the parts that everything else is made of: lengths, strings, numbers.

use base::num::{I64_TEXT_MAX, format_i64, parse_i64};
use structs::lzf::Compressor;
use structs::stream::StreamId;

use crate::format::{length, text};

/// Longest text that may be an integer of 32 bits.
const INT_TEXT_MAX: usize = 11;
/// Shorter texts are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 21;
/// What compressing has to save.
const SAVED_BYTES_MIN: usize = 4;
/// Longer texts are not compressed: lengths within are of 32 bits.
const COMPRESSED_BYTES_MAX: usize = u32::MAX as usize;

/// Writes a length, or any other number.
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    match value {
        0..0x40 => out.push(length::SIX << 6 | value as u8),
        0x40..0x4000 => out.extend([length::FOURTEEN << 6 | (value >> 8) as u8, value as u8]),
        0x4000..=0xffff_ffff => {
            out.push(length::WORD);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(length::DOUBLE_WORD);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Writes a time or another signed number of 8 bytes.
pub(crate) fn millis(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes a score.
pub(crate) fn double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Writes an id as two numbers.
pub(crate) fn id(id: StreamId, out: &mut Vec<u8>) {
    number(id.ms, out);
    number(id.seq, out);
}

/// The 16 bytes of an id, in the order in which ids sort.
pub(crate) fn raw_id(id: StreamId) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (ms, seq) = bytes.split_at_mut(8);
    ms.copy_from_slice(&id.ms.to_be_bytes());
    seq.copy_from_slice(&id.seq.to_be_bytes());
    bytes
}

/// Writes strings; keeps what compressing needs from one to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    compress: bool,
    compressor: Compressor,
    compressed: Vec<u8>,
}

impl Strings {
    pub(crate) fn new(compress: bool) -> Strings {
        Strings {
            compress,
            ..Strings::default()
        }
    }

    pub(crate) fn set_compress(&mut self, compress: bool) {
        self.compress = compress;
    }

    /// Writes a text as whatever is shortest.
    pub(crate) fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.len() <= INT_TEXT_MAX
            && let Some(value) = parse_i64(bytes)
            && put_int(value, out)
        {
            return;
        }
        self.put_bytes(bytes, out);
    }

    /// Writes the text of an integer.
    pub(crate) fn put_i64(value: i64, out: &mut Vec<u8>) {
        if !put_int(value, out) {
            let mut digits = [0; I64_TEXT_MAX];
            put_plain(format_i64(value, &mut digits), out);
        }
    }

    /// Writes bytes that are no integer's text: a listpack.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let worth = (COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&bytes.len());
        if !self.compress || !worth {
            return put_plain(bytes, out);
        }
        self.compressed.clear();
        let len_max = bytes.len() - SAVED_BYTES_MIN;
        if !self
            .compressor
            .compress(bytes, len_max, &mut self.compressed)
        {
            return put_plain(bytes, out);
        }
        out.push(length::ENCODED << 6 | text::LZF);
        number(self.compressed.len() as u64, out);
        number(bytes.len() as u64, out);
        out.extend_from_slice(&self.compressed);
        if self.compressed.capacity() > KEPT_BYTES_MAX {
            self.compressed = Vec::new();
        }
    }
}

/// A larger buffer is given back after use.
pub(crate) const KEPT_BYTES_MAX: usize = 1 << 20;

/// Writes a text as it is.
pub(crate) fn put_plain(bytes: &[u8], out: &mut Vec<u8>) {
    number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Writes an integer of up to 32 bits as such; whether it is one.
fn put_int(value: i64, out: &mut Vec<u8>) -> bool {
    let (encoding, bytes) = match value {
        -0x80..0x80 => (text::INT8, 1),
        -0x8000..0x8000 => (text::INT16, 2),
        -0x8000_0000..0x8000_0000 => (text::INT32, 4),
        _ => return false,
    };
    out.push(length::ENCODED << 6 | encoding);
    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    true
}
