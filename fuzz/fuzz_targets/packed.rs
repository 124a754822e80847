//! Packed bodies from outside: what passes the check can be read in both directions and gives the
//! same bytes when encoded again; what does not is refused without a panic.
//!
//! `cargo +nightly fuzz run packed`

#![no_main]

use libfuzzer_sys::fuzz_target;
use structs::packed::{self, Element};

/// Reads a body that was accepted in every way there is.
fn read(body: &[u8], count: usize) {
    assert_eq!(packed::count(body), count);
    let forwards: Vec<Element<'_>> = packed::iter(body).collect();
    let mut backwards: Vec<Element<'_>> = packed::iter(body).rev().collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let mut again = Vec::new();
    packed::splice(&mut again, 0..0, &forwards);
    assert_eq!(again, body);
    for &element in forwards.iter().take(64) {
        assert!(packed::find(body, 0, element, 0).is_some());
        assert!(element.text(&mut [0; 20]).len() == element.text_len());
    }
}

fuzz_target!(|input: &[u8]| {
    if let Some(count) = packed::validate(input) {
        read(input, count);
    }
    if let Some((body, count)) = packed::from_listpack(input) {
        read(&body, count);
        let mut listpack = Vec::new();
        packed::to_listpack(&body, count, &mut listpack);
        let (again, _) = packed::from_listpack(&listpack).expect("made by to_listpack");
        assert_eq!(again, body);
    }
});
