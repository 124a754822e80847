//! Values from outside, of every kind, as RESTORE gets them once the checksum is right.
//!
//! `cargo +nightly fuzz run restore`

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::format::Kind;
use rdb::{Dialect, Input, decode, payload};
use ruddle_fuzz::{check, packing};

fuzz_target!(|input: &[u8]| {
    let _ = payload::read(input, payload::Trust::Blind, &packing());
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    let kinds = Kind::ALL;
    let kind = kinds[usize::from(first & 0x7f) % kinds.len()];
    let dialect = match first & 0x80 {
        0 => Dialect::Redis,
        _ => Dialect::Valkey,
    };
    if let Ok(value) = decode(&mut Input::of_bytes(rest, 0), kind, dialect, &packing()) {
        check(&value);
    }
});
