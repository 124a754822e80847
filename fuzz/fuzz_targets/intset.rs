//! Intsets from outside, in both forms: what passes the check holds its integers once each and in
//! order, and stays so when some are added and removed; what does not is refused without a panic.
//!
//! The first eight bytes are an integer to add and remove, the rest is the set.
//! `cargo +nightly fuzz run intset`

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use structs::intset::{self, Ints};

fn compare(body: &[u8], model: &BTreeSet<i64>) {
    assert_eq!(intset::validate(body), Some(model.len()));
    let ints = Ints::new(body);
    assert!(ints.iter().eq(model.iter().copied()));
    for (index, &value) in model.iter().enumerate() {
        assert_eq!(ints.at(index), value);
        assert!(ints.contains(value));
    }
    let mut redis = Vec::new();
    intset::to_intset(body, &mut redis);
    assert_eq!(intset::from_intset(&redis), Some((body.to_vec(), model.len())));
}

fn use_it(mut body: Vec<u8>, value: i64) {
    let mut model: BTreeSet<i64> = Ints::new(&body).iter().collect();
    compare(&body, &model);
    assert_eq!(intset::insert(&mut body, value), model.insert(value));
    compare(&body, &model);
    if let Some(first) = model.pop_first() {
        intset::remove_at(&mut body, 0);
        assert!(!intset::remove(&mut body, first));
    }
    compare(&body, &model);
    assert_eq!(intset::remove(&mut body, value), model.remove(&value));
    compare(&body, &model);
}

fuzz_target!(|input: &[u8]| {
    let Some((value, bytes)) = input.split_first_chunk::<8>() else {
        return;
    };
    let value = i64::from_le_bytes(*value);
    if intset::validate(bytes).is_some() {
        use_it(bytes.to_vec(), value);
    }
    if let Some((body, count)) = intset::from_intset(bytes) {
        assert_eq!(Ints::new(&body).len(), count);
        use_it(body, value);
    }
});
