//! What several targets need.

use base::hash::Seed;
use rdb::{Decoded, Encoder, Input, Target, Value, decode};
use structs::{Collection, Packing};

/// Small limits, so that small inputs reach the large forms.
pub fn packing() -> Packing {
    Packing {
        set_ints_max: 8,
        set_entries_max: 8,
        hash_entries_max: 8,
        zset_entries_max: 8,
        list_node_max: 8,
        ..Packing::with_seed(Seed::from_u64(1))
    }
}

/// A value as the encoder takes it.
fn view(value: &Decoded) -> Option<Value<'_>> {
    Some(match value {
        Decoded::Int(number) => Value::Int(*number),
        Decoded::Text(text) => Value::Text(text),
        Decoded::List(list) => Value::List(list.borrow()),
        Decoded::Set(set) => Value::Set(set.borrow()),
        Decoded::Hash(hash) => Value::Hash(hash.borrow()),
        Decoded::Zset(zset) => Value::Zset(zset.borrow()),
        Decoded::Stream(stream) => Value::Stream(stream),
        Decoded::Array(array) => Value::Array(array),
        Decoded::Nothing => return None,
    })
}

/// Writes a value that came from outside, reads it again, and writes that: the same bytes.
pub fn check(value: &Decoded) {
    let target = Target::default();
    let Some(value) = view(value) else { return };
    let mut bytes = Vec::new();
    Encoder::new(target).whole(value, &mut bytes);
    let kind = value.kind(target.reader);
    let mut input = Input::of_bytes(&bytes, 0);
    let again = decode(&mut input, kind, target.reader.dialect(), &packing());
    let again = again.expect("what was written can be read");
    let again = view(&again).expect("a value");
    let mut second = Vec::new();
    Encoder::new(target).whole(again, &mut second);
    // Tables have their entries in the order in which they came.
    assert_eq!(bytes.len(), second.len());
    assert_eq!(again.kind(target.reader), kind);
}
