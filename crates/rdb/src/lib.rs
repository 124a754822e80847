//! The format of snapshots and of DUMP: bytes to values and back. No keys' places, no files, no
//! threads; what is read comes through [`std::io::Read`], what is written goes into a buffer.
//!
//! Read in this order: `format` (types, opcodes, versions), `put` and `input` (numbers and
//! strings), `encode` and `decode` (values), `file` (what is around them), `payload` (DUMP).
//!
//! Everything that is read may be hostile: nothing here panics on any bytes, and nothing allocates
//! more than a small multiple of the bytes that are there. Source of the format: rdb.h and rdb.c of
//! Redis 7.4 and Valkey 9, and for what is newer the parsers of others; see `docs/rdb.md`.

mod crc;
mod decode;
mod encode;
mod fault;
pub mod file;
pub mod format;
mod input;
pub mod old;
pub mod payload;
mod put;

pub use crc::Crc64;
pub use decode::{Decoded, decode, skip};
pub use encode::{Cursor, Encoder, Progress, Value};
pub use fault::{Fault, Problem};
pub use format::{Dialect, Reader, Target};
pub use input::Input;

#[cfg(test)]
mod tests;
