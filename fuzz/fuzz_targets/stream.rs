//! Nodes of a stream from outside: what is accepted can be read in both directions, searched and
//! changed, and gives the same listpack again; what is not is refused without a panic.
//!
//! The input is a first id and the body of a listpack. `cargo +nightly fuzz run stream`

#![no_main]

use libfuzzer_sys::fuzz_target;
use structs::stream::{Entry, Stream, StreamId};

fn ids<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<StreamId> {
    let id = |entry: Entry<'_>| {
        assert_eq!(entry.pairs().count(), entry.pairs().len());
        entry.id()
    };
    entries.map(id).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first_chunk::<16>() else {
        return;
    };
    let number = u128::from_le_bytes(*first);
    let first = StreamId {
        ms: (number >> 64) as u64,
        seq: number as u64,
    };
    let Some(mut stream) = Stream::from_nodes([(first, body.to_vec())]) else {
        return;
    };
    let listpacks: Vec<_> = stream.log().listpacks().collect();
    assert_eq!(listpacks, [(first, body.to_vec())]);
    let forwards = ids(stream.log().range(StreamId::MIN, StreamId::MAX));
    let mut backwards = ids(stream.log().range_back(StreamId::MIN, StreamId::MAX));
    backwards.reverse();
    assert_eq!(forwards, backwards);
    for (index, &id) in forwards.iter().enumerate() {
        let rest = ids(stream.log().range(id, StreamId::MAX));
        assert_eq!(rest, forwards[index..]);
        assert!(index % 2 == 0 || stream.log_mut().delete(id));
    }
    let left = ids(stream.log().range(StreamId::MIN, StreamId::MAX));
    assert_eq!(left.len() as u64, stream.log().len());
    assert_eq!(left.len(), forwards.len().div_ceil(2));
});
