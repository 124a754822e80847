//! Round trips through every encoding, in pieces of every size, and hostile bytes.

use base::hash::Seed;
use base::time::UnixMillis;
use proptest::prelude::*;
use structs::Packing;
use structs::array::Array;
use structs::collection::{Collection, Member};
use structs::hash::{Hash, Until};
use structs::list::{End, List};
use structs::set::Set;
use structs::stream::{Group, Stream, StreamId};
use structs::zset::Zset;

use crate::file::{self, Item, Reader, Usage};
use crate::format::{self, Dialect, HASH_VALKEY, Kind, Target};
use crate::{Crc64, Cursor, Decoded, Encoder, Input, Progress, Value, decode, payload, skip};

fn packing() -> Packing {
    Packing::with_seed(Seed::from_u64(7))
}

fn text(n: usize) -> Vec<u8> {
    match n % 4 {
        0 => n.to_string().into_bytes(),
        1 => format!("text {n}").into_bytes(),
        2 => format!("{}", -(n as i64) * 1_000_000_007).into_bytes(),
        _ => format!("{n}").repeat(n % 90).into_bytes(),
    }
}

fn list(len: usize) -> List {
    let mut list = List::default();
    for n in 0..len {
        list.push(End::Tail, [&*text(n)].into_iter(), &packing());
    }
    if len == 300 {
        list.push(End::Head, [&[7_u8; 20_000][..]].into_iter(), &packing());
    }
    list
}

fn set(len: usize, ints: bool) -> Set {
    let mut set = Set::for_integers();
    for n in 0..len {
        let member = if ints {
            (n * 70).to_string().into_bytes()
        } else {
            text(4 * n + 1)
        };
        set.add(Member::new(&member, &packing().seed), &packing());
    }
    set
}

fn hash(len: usize, timed: bool) -> Hash {
    let mut hash = Hash::default();
    for n in 0..len {
        let field = format!("f{n}").into_bytes();
        let until = match timed && n % 3 == 0 {
            true => Until::At(UnixMillis(2_000_000_000_000 - n as i64)),
            false => Until::Forever,
        };
        hash.set(
            Member::new(&field, &packing().seed),
            &text(n),
            until,
            &packing(),
        );
    }
    hash
}

fn zset(len: usize) -> Zset {
    let mut zset = Zset::default();
    for n in 0..len {
        let score = match n % 5 {
            0 => n as f64 / 3.0,
            1 => -(n as f64),
            2 => f64::INFINITY,
            _ => n as f64,
        };
        let member = format!("m{n}").into_bytes();
        zset.upsert(Member::new(&member, &packing().seed), &packing(), |_| {
            Some(score)
        });
    }
    zset
}

fn stream(len: u64, released: bool, producers: bool) -> Stream {
    let mut stream = Stream::default();
    for n in 1..=len {
        let words: [&[u8]; 2] = [b"field", if n % 2 == 0 { b"even" } else { b"1" }];
        let id = StreamId { ms: n, seq: n };
        stream
            .log_mut()
            .append(id, 1, |at| words[at], &packing())
            .unwrap();
    }
    stream.log_mut().delete(StreamId { ms: 2, seq: 2 });
    let mut group = Group::new(b"group");
    group.last_id = StreamId { ms: 5, seq: 5 };
    let (one, _) = group.consumer_or_new(b"one", 1000);
    let (two, _) = group.consumer_or_new(b"two", 2000);
    group.consumer_mut(two).active_ms = Some(5);
    for n in 1..=len.min(40) {
        let id = StreamId { ms: n, seq: n };
        group.assign(id, if n % 2 == 0 { one } else { two }, 77, n);
        if released && n % 5 == 0 {
            group.release(id, 9);
        }
    }
    stream.add_group(group);
    stream.add_group(Group::new(b"idle"));
    if producers {
        stream
            .producers_mut()
            .record(b"p", b"message", StreamId { ms: 1, seq: 1 });
    }
    stream
}

fn array(len: u64) -> Array {
    let mut array = Array::default();
    for n in 0..len {
        array.set(n * n, &text(n as usize));
    }
    array.set(u64::MAX - 1, b"9223372036854775807");
    array.set_cursor(Some(len));
    array
}

/// All that is in a value, in an order that is that of the collection where it has one.
fn show(value: &Decoded) -> String {
    let mut lines = Vec::new();
    match value {
        Decoded::Int(number) => lines.push(number.to_string()),
        Decoded::Text(text) => lines.push(format!("{text:?}")),
        Decoded::List(list) => {
            list_lines(list, &mut lines);
        }
        Decoded::Set(set) => {
            lines.extend(
                set.borrow()
                    .iter()
                    .map(|item| format!("{:?}", item.text(&mut [0; 20]))),
            );
            lines.sort();
        }
        Decoded::Hash(hash) => {
            hash.borrow().each_timed(UnixMillis(0), |field, value, at| {
                let (field, value) = (
                    field.bytes(&mut [0; 20]).to_vec(),
                    value.bytes(&mut [0; 20]).to_vec(),
                );
                lines.push(format!("{field:?} {value:?} {at:?}"));
            });
            lines.sort();
        }
        Decoded::Zset(zset) => {
            lines.extend(
                zset.borrow()
                    .iter()
                    .map(|(member, score)| format!("{:?} {score}", member.text(&mut [0; 20]))),
            );
        }
        Decoded::Stream(stream) => lines.push(format!("{stream:?}")),
        Decoded::Array(array) => {
            let _ = array.visit(0, u64::MAX, |index, value| {
                lines.push(format!("{index} {:?}", value.bytes(&mut [0; 20])));
                std::ops::ControlFlow::Continue(())
            });
            lines.push(format!("{:?}", array.cursor()));
        }
        Decoded::Nothing => lines.push("nothing".to_owned()),
    }
    lines.join("\n")
}

fn list_lines(list: &List, lines: &mut Vec<String>) {
    list.borrow().for_each(End::Head, 0, usize::MAX, |element| {
        lines.push(format!("{:?}", element.text(&mut [0; 20])));
    });
}

fn view(value: &Decoded) -> Value<'_> {
    match value {
        Decoded::Int(number) => Value::Int(*number),
        Decoded::Text(text) => Value::Text(text),
        Decoded::List(list) => Value::List(list.borrow()),
        Decoded::Set(set) => Value::Set(set.borrow()),
        Decoded::Hash(hash) => Value::Hash(hash.borrow()),
        Decoded::Zset(zset) => Value::Zset(zset.borrow()),
        Decoded::Stream(stream) => Value::Stream(stream),
        Decoded::Array(array) => Value::Array(array),
        Decoded::Nothing => unreachable!("no value"),
    }
}

fn samples() -> Vec<Decoded> {
    let mut samples = vec![
        Decoded::Int(-5),
        Decoded::Int(1 << 40),
        Decoded::Text(b"hello".to_vec()),
        Decoded::Text(vec![b'x'; 100_000]),
        Decoded::Text((0..5000_u32).flat_map(|n| n.to_le_bytes()).collect()),
        Decoded::Stream(stream(0, false, false)),
        Decoded::Stream(stream(500, false, false)),
        Decoded::Stream(stream(100, false, true)),
        Decoded::Stream(stream(100, true, false)),
        Decoded::Array(array(50)),
    ];
    for len in [1, 10, 300, 5000] {
        samples.push(Decoded::List(list(len)));
        samples.push(Decoded::Set(set(len, true)));
        samples.push(Decoded::Set(set(len, false)));
        samples.push(Decoded::Hash(hash(len, false)));
        samples.push(Decoded::Hash(hash(len, true)));
        samples.push(Decoded::Zset(zset(len)));
    }
    samples
}

fn targets() -> Vec<Target> {
    let mut targets = Vec::new();
    for reader in [
        format::Reader::Common,
        format::Reader::Valkey,
        format::Reader::Redis70,
    ] {
        targets.extend([true, false].map(|compress| Target { reader, compress }));
    }
    targets
}

#[test]
fn every_value_round_trips_in_pieces_of_any_size() {
    for value in samples() {
        for target in targets() {
            let mut encoder = Encoder::new(target);
            let kind = view(&value).kind(target.reader);
            let mut whole = Vec::new();
            encoder.whole(view(&value), &mut whole);
            for bytes_max in [1, 100, 4096] {
                let (mut cursor, mut pieces) = (Cursor::default(), Vec::new());
                while encoder.value(view(&value), &mut cursor, &mut pieces, bytes_max)
                    == Progress::More
                {}
                assert!(pieces == whole, "{kind:?} in pieces of {bytes_max}");
            }
            let mut input = Input::of_bytes(&whole, 0);
            let again = decode(&mut input, kind, target.reader.dialect(), &packing()).unwrap();
            assert!(input.is_at_end().unwrap());
            // The form of Redis 7.0 forgets when consumers were active.
            if kind != Kind::Stream2 {
                assert_eq!(show(&again), show(&value), "{kind:?}");
            }
            let mut input = Input::of_reader(&*whole);
            skip(&mut input, kind, target.reader.dialect()).unwrap();
            assert!(input.is_at_end().unwrap(), "{kind:?}");
        }
    }
}

#[test]
fn pieces_are_bounded() {
    let mut encoder = Encoder::new(Target {
        compress: false,
        ..Target::default()
    });
    for value in [
        Decoded::Text(vec![b'x'; 100_000]),
        Decoded::Hash(hash(5000, true)),
    ] {
        let mut cursor = Cursor::default();
        loop {
            let mut piece = Vec::new();
            let progress = encoder.value(view(&value), &mut cursor, &mut piece, 1000);
            assert!(piece.len() < 1600, "{}", piece.len());
            if progress == Progress::Done {
                break;
            }
        }
    }
}

#[test]
fn payloads_round_trip_and_damage_is_seen() {
    let mut encoder = Encoder::new(Target::default());
    for value in samples() {
        let mut bytes = Vec::new();
        payload::write(view(&value), &mut encoder, &mut bytes);
        let again = payload::read(&bytes, payload::Trust::Sum, &packing()).unwrap();
        assert_eq!(show(&again), show(&value));
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        let refusal = payload::read(&bytes, payload::Trust::Sum, &packing()).unwrap_err();
        assert_eq!(refusal, payload::Refusal::VersionOrChecksum);
    }
}

fn whole_file() -> Vec<u8> {
    let mut encoder = Encoder::new(Target::default());
    let mut out = Vec::new();
    file::put_head(11, &mut out);
    file::put_fact(b"redis-ver", b"8.2.3", &mut encoder, &mut out);
    file::put_database(3, 2, 1, &mut out);
    for (name, deadline, usage) in [
        ("one", None, Usage::Unknown),
        ("two", Some(UnixMillis(5)), Usage::Idle(700)),
        ("three", None, Usage::Frequency(9)),
    ] {
        let value = Decoded::List(list(20));
        let kind = view(&value).kind(format::Reader::Common);
        file::put_key(
            name.as_bytes(),
            kind,
            deadline,
            usage,
            &mut encoder,
            &mut out,
        );
        encoder.whole(view(&value), &mut out);
    }
    file::put_library(b"#!lua name=x", &mut encoder, &mut out);
    file::put_end(&mut out);
    let sum = Crc64::of(&out);
    file::put_sum(sum, &mut out);
    out
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let bytes = whole_file();
    let mut reader = Reader::open(Input::of_reader(&*bytes)).unwrap();
    let mut seen = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Key(head) => {
                let mut raw = Vec::new();
                reader.raw_value(head.kind, &mut raw).unwrap();
                let mut input = Input::of_bytes(&raw, head.offset);
                let value = decode(&mut input, head.kind, reader.dialect(), &packing()).unwrap();
                assert!(matches!(value, Decoded::List(_)));
                let key = String::from_utf8(head.key).unwrap();
                seen.push(format!(
                    "{key} {} {:?} {:?}",
                    head.db, head.deadline, head.usage
                ));
            }
            Item::End(sum) => {
                assert!(sum.is_some());
                break;
            }
            Item::Fact(name, _) => seen.push(String::from_utf8(name).unwrap()),
            Item::Library(code) => seen.push(String::from_utf8(code).unwrap()),
            Item::Database(_) | Item::Sizes(2, 1) => {}
            other => panic!("{other:?}"),
        }
    }
    let expected = [
        "redis-ver",
        "one 3 None Unknown",
        "two 3 Some(UnixMillis(5)) Idle(700)",
        "three 3 None Frequency(9)",
        "#!lua name=x",
    ];
    assert_eq!(seen, expected);
    assert!(reader.into_input().is_at_end().unwrap());
}

/// Reads a file to its end or first fault.
fn read_all(bytes: &[u8]) -> Result<(), crate::Fault> {
    let mut reader = Reader::open(Input::of_reader(bytes))?;
    loop {
        match reader.next_item()? {
            Item::Key(head) => {
                reader.value(head.kind, &packing())?;
            }
            Item::End(_) => return Ok(()),
            _ => {}
        }
    }
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_refused() {
    let bytes = whole_file();
    for cut in 0..bytes.len() {
        let fault = read_all(&bytes[..cut]).unwrap_err();
        assert!(fault.offset <= cut as u64);
    }
    for at in 9..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        assert!(read_all(&damaged).is_err(), "byte {at}");
    }
}

/// Found by fuzzing: producers that nothing is remembered of were there after reading once, and not
/// after reading what was written then.
#[test]
fn a_producer_without_messages_is_none() {
    let mut bytes = vec![0; 10];
    bytes.extend([100, 100, 1, 1, b'p', 0, 0, 0]);
    // The memory is the default, so nothing is left to say; lengths above 63 take two bytes.
    bytes.splice(10..12, [0x40, 100, 0x40, 100]);
    let mut input = Input::of_bytes(&bytes, 0);
    let target = Target::default();
    let value = decode(
        &mut input,
        Kind::Stream4,
        target.reader.dialect(),
        &packing(),
    )
    .unwrap();
    assert_eq!(view(&value).kind(target.reader), Kind::Stream3);
}

/// Found by fuzzing: of a memory for no messages, producers without messages were left.
#[test]
fn a_memory_for_nothing_is_refused() {
    for memory in [[0, 5], [5, 0]] {
        let mut bytes = vec![0; 9];
        bytes.extend(memory);
        bytes.extend([1, 1, b'p', 1, 1, b'm', 1, 1, 0, 0]);
        let mut input = Input::of_bytes(&bytes, 0);
        let dialect = Target::default().reader.dialect();
        assert!(decode(&mut input, Kind::Stream4, dialect, &packing()).is_err());
    }
}

/// Found by fuzzing: a field whose deadline is zero had none once the hash was packed.
#[test]
fn a_field_with_a_deadline_of_zero_has_one() {
    let bytes = [&[1, 1, b'f', 1, b'v'][..], &[0; 8]].concat();
    let mut input = Input::of_bytes(&bytes, 0);
    let value = decode(&mut input, HASH_VALKEY, Dialect::Valkey, &packing()).unwrap();
    let kind = view(&value).kind(Target::default().reader);
    assert_eq!(kind, Kind::HashTimedListpack);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_bytes_do_harm(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let samples = samples();
        let value = &samples[which.index(samples.len())];
        for target in targets() {
            let kind = view(value).kind(target.reader);
            let mut bytes = Vec::new();
            Encoder::new(target).whole(view(value), &mut bytes);
            bytes.truncate(2000);
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            for kind in Kind::ALL.iter().copied().chain([kind]) {
                let mut input = Input::of_bytes(&bytes, 0);
                let _ = decode(&mut input, kind, target.reader.dialect(), &packing());
            }
        }
    }
}
