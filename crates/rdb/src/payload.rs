//! What DUMP answers and RESTORE takes: kind, value, version (2 bytes) and checksum (8 bytes); and
//! what FUNCTION DUMP and FUNCTION RESTORE have instead of the value: libraries as in a file.

use structs::Packing;

use crate::crc::Crc64;
use crate::decode::{Decoded, decode};
use crate::encode::{Encoder, Value};
use crate::file::put_library;
use crate::format::{Dialect, Kind, REDIS_VERSION_MAX, VALKEY_VERSION, opcode};
use crate::input::Input;

const FOOTER_BYTES: usize = 10;

/// Why a payload is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is of a version that is not read here, or its checksum is wrong.
    VersionOrChecksum,
    /// There is something else in it.
    Kind,
    /// What is in it is no value, or no library.
    Format,
}

/// Appends the payload of a value.
pub fn write(value: Value<'_>, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let begin = out.len();
    let reader = encoder.target().reader;
    out.push(value.kind(reader) as u8);
    encoder.whole(value, out);
    put_footer(value.version(reader), begin, out);
}

/// Appends the payload of these libraries of functions, given as their source texts.
pub fn write_libraries<'a>(
    sources: impl Iterator<Item = &'a [u8]>,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    let begin = out.len();
    sources.for_each(|source| put_library(source, encoder, out));
    put_footer(encoder.target().reader.version(), begin, out);
}

/// Appends version and checksum to the payload that begins at `begin`.
fn put_footer(version: u32, begin: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(version as u16).to_le_bytes());
    let sum = Crc64::of(out.get(begin..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Whether the checksum of a payload is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It must be right.
    Sum,
    /// It may be anything (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
    Blind,
}

/// Reads a payload.
///
/// # Errors
/// See [`Refusal`].
pub fn read(payload: &[u8], trust: Trust, packing: &Packing) -> Result<Decoded, Refusal> {
    let (body, dialect) = body(payload, trust)?;
    let (&code, value) = body.split_first().ok_or(Refusal::Format)?;
    let kind = Kind::of(code).ok_or(Refusal::Kind)?;
    let mut input = Input::of_bytes(value, 1);
    match decode(&mut input, kind, dialect, packing) {
        Ok(Decoded::Nothing) | Err(_) => Err(Refusal::Format),
        // Compat: what follows the value is not looked at.
        Ok(value) => Ok(value),
    }
}

/// What is wrong with a payload that [`read`] refuses for its format, for the log.
pub fn explain(payload: &[u8], packing: &Packing) -> String {
    let Ok((body, dialect)) = body(payload, Trust::Blind) else {
        return "it has no footer".to_owned();
    };
    let Some((&code, value)) = body.split_first() else {
        return "it is empty".to_owned();
    };
    let Some(kind) = Kind::of(code) else {
        return format!("Unknown RDB encoding type {code}");
    };
    match decode(&mut Input::of_bytes(value, 1), kind, dialect, packing) {
        Ok(Decoded::Nothing) => {
            format!("{} integrity check failed: no elements", container(kind))
        }
        Ok(_) => "the value is fine".to_owned(),
        Err(fault) => format!("{} integrity check failed: {fault}", container(kind)),
    }
}

/// What the bytes of a kind are called in Redis's log, where people look for them.
fn container(kind: Kind) -> &'static str {
    match kind {
        Kind::HashZipmap => "Zipmap",
        Kind::ListZiplist => "List ziplist",
        Kind::ZsetZiplist => "Zset ziplist",
        Kind::HashZiplist => "Hash ziplist",
        Kind::ListZiplists => "Quicklist ziplist",
        Kind::ListListpacks => "Quicklist listpack",
        Kind::SetIntset => "Intset",
        Kind::SetListpack => "Set listpack",
        Kind::ZsetListpack => "Zset listpack",
        Kind::HashListpack | Kind::HashTimedListpackPreGa | Kind::HashTimedListpack => {
            "Hash listpack"
        }
        Kind::Stream1 | Kind::Stream2 | Kind::Stream3 | Kind::Stream4 | Kind::Stream5 => {
            "Stream listpack"
        }
        _ => "Value",
    }
}

/// Reads the payload of libraries of functions: their source texts.
///
/// # Errors
/// See [`Refusal`].
pub fn read_libraries(payload: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let (body, _) = body(payload, Trust::Sum)?;
    let mut input = Input::of_bytes(body, 0);
    let mut sources = Vec::new();
    while let Ok(code) = input.byte() {
        if code != opcode::FUNCTION {
            return Err(Refusal::Kind);
        }
        sources.push(input.owned_string().map_err(|_| Refusal::Format)?);
    }
    Ok(sources)
}

/// What is before version and checksum, which must be right.
fn body(payload: &[u8], trust: Trust) -> Result<(&[u8], Dialect), Refusal> {
    let split = payload.len().checked_sub(FOOTER_BYTES);
    let (body, footer) = split
        .and_then(|at| payload.split_at_checked(at))
        .ok_or(Refusal::VersionOrChecksum)?;
    let (&version, sum) = footer
        .split_first_chunk()
        .ok_or(Refusal::VersionOrChecksum)?;
    let version = u32::from(u16::from_le_bytes(version));
    let dialect = dialect_of(version).ok_or(Refusal::VersionOrChecksum)?;
    let mut crc = Crc64::default();
    crc.update(body);
    crc.update(&(version as u16).to_le_bytes());
    if trust == Trust::Sum && sum != crc.sum().to_le_bytes() {
        return Err(Refusal::VersionOrChecksum);
    }
    Ok((body, dialect))
}

/// Whose encodings a version has; `None` if it is not read here.
#[must_use]
pub fn dialect_of(version: u32) -> Option<Dialect> {
    match version {
        0..=REDIS_VERSION_MAX => Some(Dialect::Redis),
        VALKEY_VERSION => Some(Dialect::Valkey),
        _ => None,
    }
}
