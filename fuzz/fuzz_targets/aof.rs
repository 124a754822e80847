//! Append-only files and their manifests from outside: read to the end or to a fault, in pieces of
//! any size alike; what is called whole is whole when the rest is cut off; a manifest that is taken
//! is written as one that is taken again.
//!
//! `cargo +nightly fuzz run aof`

#![no_main]

use std::io::Read;

use journal::manifest::Manifest;
use journal::read::{Fault, Item, Reader};
use libfuzzer_sys::fuzz_target;

/// Gives at most so many bytes at once.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let most = room.len().min(self.1);
        self.0.read(&mut room[..most])
    }
}

/// The items of a file up to the last whole transaction, and the fault after them.
fn items(bytes: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, Option<Fault>) {
    let mut reader = Reader::new(Slowly(bytes, step), bytes.len() as u64, 0);
    let (mut whole, mut block, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match reader.next(&mut spans) {
            Ok(None) => return (whole, None),
            Ok(Some(Item::Command(command))) => {
                block.push(spans.iter().map(|span| span.of(command).to_vec()).collect());
            }
            Ok(Some(Item::Stamp(second))) => block.push(vec![second.to_string().into_bytes()]),
            Ok(Some(Item::Remark)) => block.push(Vec::new()),
            Err(fault) => {
                assert!(fault.valid <= fault.at && fault.at <= bytes.len() as u64);
                return (whole, Some(fault));
            }
        }
        if reader.valid() == reader.at() {
            whole.append(&mut block);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    // One of comments alone is taken, and forgets them.
    if let Ok(manifest) = Manifest::parse(input)
        && !manifest.is_empty()
    {
        let again = Manifest::parse(&manifest.text()).expect("written by us");
        assert_eq!(again.text(), manifest.text());
    }
    let (whole, fault) = items(input, usize::MAX);
    let step = usize::from(input.first().copied().unwrap_or(0) % 7) + 1;
    let (in_pieces, other_fault) = items(input, step);
    assert_eq!(whole, in_pieces);
    let place = |fault: &Option<Fault>| fault.as_ref().map(|fault| (fault.at, fault.valid));
    assert_eq!(place(&fault), place(&other_fault));
    if let Some(fault) = fault {
        let (kept, none) = items(&input[..fault.valid as usize], usize::MAX);
        assert!(none.is_none(), "{none:?}");
        assert_eq!(kept, whole);
    }
});
