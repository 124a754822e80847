//! HyperLogLogs are strings that any client may have written: whatever their bytes, nothing panics,
//! both encodings agree, and what fails changes nothing. The first bytes of an input choose an
//! element and a limit, the rest is the string, or its registers behind a proper header.
//!
//! `cargo +nightly fuzz run hll`

#![no_main]

use libfuzzer_sys::fuzz_target;
use structs::hll::{self, Encoding, Mark, REGISTERS};

/// Bytes of an input before the string.
const CHOICES: usize = 6;

fuzz_target!(|input: &[u8]| {
    let Some((&[flags, limit, ref element @ ..], rest)) = input.split_first_chunk::<CHOICES>()
    else {
        return;
    };
    let mut bytes = rest.to_vec();
    if flags & 1 == 0 {
        bytes.splice(..0, hll::empty()[..hll::HEADER_BYTES].iter().copied());
    }
    let Some(encoding) = hll::encoding(&bytes) else {
        return;
    };
    let before = bytes.clone();
    let mark = Mark::of(element);
    let _ = (hll::cached(&bytes), hll::decode(&bytes));
    let mut registers = [0; REGISTERS];
    let sound = hll::merge(&bytes, &mut registers).is_ok();
    assert_eq!(hll::count(&bytes).is_ok(), sound);
    if encoding == Encoding::Sparse {
        let _ = hll::would_raise_sparse(&bytes, mark);
        assert_eq!(hll::make_dense(&mut bytes).is_ok(), sound);
        bytes.clone_from(&before);
    }
    match hll::raise(&mut bytes, mark, usize::from(limit) * 16) {
        Ok(raised) if sound => {
            assert_eq!(raised, registers[mark.register] < mark.rank);
            registers[mark.register] = registers[mark.register].max(mark.rank);
            let mut after = [0; REGISTERS];
            hll::merge(&bytes, &mut after).expect("still sound");
            assert!(after == registers);
        }
        Ok(_) => {}
        Err(_) => assert!(!sound && bytes == before),
    }
});
