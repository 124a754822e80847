//! The data structures behind the collection types. No keys, no clients, no clock, no locks: bytes
//! in, bytes out.
//!
//! Small collections are one packed run of bytes (`packed`, `intset`), which the engine keeps
//! inside the key's own entry; large ones are structures of their own. Each type is an owned value
//! ([`Collection`]) that turns from one form into the other by itself, within the [`Packing`]
//! limits, and a borrowed, copyable view of either form for reading.

pub mod array;
pub mod bits;
pub mod collection;
pub mod hash;
pub mod hll;
pub mod intset;
pub mod list;
pub mod lzf;
pub mod ordered;
pub mod packed;
pub mod packing;
pub mod set;
mod shared;
pub mod stream;
pub mod table;
pub mod zset;

pub use collection::{Collection, Form, Member};
pub use packing::Packing;
pub use shared::{Passed, Release, copied_bytes};
