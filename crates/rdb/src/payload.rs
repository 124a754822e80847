//! What DUMP answers and RESTORE takes: kind, value, version (2 bytes) and checksum (8 bytes).

use structs::Packing;

use crate::crc::Crc64;
use crate::decode::{Decoded, decode};
use crate::encode::{Encoder, Value};
use crate::format::{Dialect, Kind, REDIS_VERSION_MAX, VALKEY_VERSION};
use crate::input::Input;

const FOOTER_BYTES: usize = 10;

/// Why a payload is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is of a version that is not read here, or its checksum is wrong.
    VersionOrChecksum,
    /// What is in it is no value.
    Format,
}

/// Appends the payload of a value.
pub fn write(value: Value<'_>, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let begin = out.len();
    let reader = encoder.target().reader;
    out.push(value.kind(reader) as u8);
    encoder.whole(value, out);
    out.extend_from_slice(&(value.version(reader) as u16).to_le_bytes());
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
    let (&code, value) = body.split_first().ok_or(Refusal::Format)?;
    let kind = Kind::of(code).ok_or(Refusal::Format)?;
    let mut input = Input::of_bytes(value, 1);
    match decode(&mut input, kind, dialect, packing) {
        Ok(Decoded::Nothing) | Err(_) => Err(Refusal::Format),
        // Compat: what follows the value is not looked at.
        Ok(value) => Ok(value),
    }
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
