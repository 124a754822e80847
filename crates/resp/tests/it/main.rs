//! Tests of the codec at its boundary: bytes in, bytes out.

mod decode;
mod double;
mod errors;
mod reply;
mod requests;
mod support;
