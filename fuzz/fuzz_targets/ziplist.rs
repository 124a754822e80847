//! Ziplists and zipmaps of old versions: what is taken is a valid packed body.
//!
//! `cargo +nightly fuzz run ziplist`

#![no_main]

use libfuzzer_sys::fuzz_target;
use structs::packed;

fuzz_target!(|input: &[u8]| {
    let mut ziplist = input.to_vec();
    // The length is right, or nothing else is looked at.
    if let Some(head) = ziplist.get_mut(..4) {
        head.copy_from_slice(&(input.len() as u32).to_le_bytes());
    }
    for (body, count) in [rdb::old::ziplist(&ziplist), rdb::old::zipmap(input)]
        .into_iter()
        .flatten()
    {
        assert_eq!(packed::validate(&body), Some(count));
    }
});
