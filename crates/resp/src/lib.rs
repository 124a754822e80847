//! The wire format: RESP2 and RESP3 as bytes, and nothing else.
//!
//! No sockets, no clocks, no commands: bytes come in, arguments go out ([`Parser`]); replies come
//! in, bytes go out ([`Reply`]). The server uses those two; clients (load generator, tests) use
//! [`decode`], [`skip_reply`] and [`encode_command`].
//!
//! Reading order: `parse` (requests), `inline` (requests typed by hand), `output` (pending bytes of
//! a connection), `reply` (the reply forms on top of it), `decode` (the client's side).
//!
//! Invariants: no input panics; no allocation per command on the usual path; what a peer announces
//! is never allocated before it has arrived.

#![forbid(unsafe_code)]

mod decode;
mod error;
mod inline;
mod output;
mod parse;
mod reply;

pub use decode::{DEPTH_MAX, DecodeError, Value, decode, encode_command, encode_words, skip_reply};
pub use error::ProtocolError;
pub use output::Mark;
pub use parse::{Limits, Parser, Span, Step};
pub use reply::{Later, Proto, Reply};
