//! Snapshot files from outside: read to the end or to a fault, as the loader and `ruddle check` do;
//! what a value turns into can be written and read again.
//!
//! `cargo +nightly fuzz run rdb`

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::file::{Item, Reader};
use rdb::{Input, decode};
use ruddle_fuzz::{check, packing};

fuzz_target!(|input: &[u8]| {
    let mut bytes = b"REDIS0012".to_vec();
    bytes.extend_from_slice(input);
    let file = if input.starts_with(b"REDIS") || input.starts_with(b"VALKEY") {
        input
    } else {
        &bytes
    };
    let Ok(mut reader) = Reader::open(Input::of_reader(file)) else {
        return;
    };
    loop {
        match reader.next_item() {
            Ok(Item::Key(head)) => {
                let mut raw = Vec::new();
                let dialect = reader.dialect();
                let skipped = reader.raw_value(head.kind, &mut raw);
                let mut input = Input::of_bytes(&raw, 0);
                match decode(&mut input, head.kind, dialect, &packing()) {
                    Ok(value) => {
                        assert!(skipped.is_ok() && input.is_at_end().is_ok_and(|end| end));
                        check(&value);
                    }
                    Err(_) if skipped.is_err() => return,
                    Err(_) => {}
                }
            }
            Ok(Item::End(_)) | Err(_) => return,
            Ok(_) => {}
        }
    }
});
