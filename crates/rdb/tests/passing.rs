//! A copy that is encoded in pieces lets go of what is written: what comes after must not need it,
//! and the bytes that changes of the original have doubled must be found again.

use base::hash::Seed;
use base::rng::Rng;
use rdb::{Cursor, Encoder, Progress, Target, Value};
use structs::array::Array;
use structs::hash::{Hash, Until};
use structs::list::{End, List};
use structs::packed::Element;
use structs::set::Set;
use structs::stream::{Stream, StreamId};
use structs::zset::Zset;
use structs::{Collection, Member, Packing, Release, copied_bytes};

const ELEMENTS: u64 = 20_000;
const CHANGES: u64 = 20_000;
/// Pieces are so long at least.
const PIECE_BYTES: usize = 5_000;

fn packing() -> Packing {
    Packing::with_seed(Seed::from_u64(3))
}

fn encoder() -> Encoder {
    Encoder::new(Target::default())
}

/// Encodes a copy bit by bit while the original changes; `freed` is what was found again, of a
/// hundred parts that were doubled, at least.
fn check<C: Collection>(
    change: fn(&mut C, u64, &mut Rng),
    view: for<'a> fn(&'a C) -> Value<'a>,
    freed_min: u64,
) {
    let mut rng = Rng::from_seed(5);
    let mut original = C::default();
    for n in 0..ELEMENTS {
        change(&mut original, n, &mut rng);
    }
    let mut expected = Vec::new();
    encoder().whole(view(&original), &mut expected);

    let (mut copy, mut release) = (original.freeze(), Release::default());
    let before = copied_bytes();
    for n in 0..CHANGES {
        change(&mut original, n, &mut rng);
    }
    let copied = copied_bytes() - before;
    let (mut encoder, mut cursor) = (encoder(), Cursor::default());
    let (mut out, mut freed, mut pieces) = (Vec::new(), 0, 0);
    while encoder.value(view(&copy), &mut cursor, &mut out, PIECE_BYTES) == Progress::More {
        freed += copy.release(cursor.passed(), &mut release) as u64;
        pieces += 1;
    }
    assert!(out == expected, "the copy is what was there");
    assert!(pieces > 5, "{pieces} pieces");
    assert!(copied > 10_000, "{copied} bytes copied");
    assert!(freed <= copied, "{freed} of {copied}");
    assert!(freed * 100 >= copied * freed_min, "{freed} of {copied}");
}

fn text(number: u64) -> String {
    format!("element:{number:012}")
}

#[test]
fn lists() {
    fn change(list: &mut List, n: u64, rng: &mut Rng) {
        let text = text(rng.below(1000));
        match list.len() < ELEMENTS as usize {
            true => list.push_one(End::Tail, Element::of(text.as_bytes()), &packing()),
            false => list.replace(n as usize, text.as_bytes(), &packing()),
        }
    }
    check(change, |list: &List| Value::List(list.borrow()), 90);
}

#[test]
fn sets() {
    fn change(set: &mut Set, _: u64, rng: &mut Rng) {
        let text = text(rng.below(9000));
        let member = Member::new(text.as_bytes(), &packing().seed);
        if !set.remove(member) {
            set.add(member, &packing());
        }
    }
    check(change, |set: &Set| Value::Set(set.borrow()), 60);
}

#[test]
fn hashes() {
    fn change(hash: &mut Hash, _: u64, rng: &mut Rng) {
        let (field, value) = (text(rng.below(9000)), text(rng.below(1000)));
        let field = Member::new(field.as_bytes(), &packing().seed);
        hash.set(field, value.as_bytes(), Until::Forever, &packing());
    }
    check(change, |hash: &Hash| Value::Hash(hash.borrow()), 60);
}

#[test]
fn sorted_sets() {
    fn change(zset: &mut Zset, _: u64, rng: &mut Rng) {
        let text = text(rng.below(9000));
        let member = Member::new(text.as_bytes(), &packing().seed);
        zset.upsert(member, &packing(), |_| Some(rng.below(10_000) as f64));
    }
    // Inner nodes, and the index, are not let go.
    check(change, |zset: &Zset| Value::Zset(zset.borrow()), 20);
}

#[test]
fn streams() {
    fn change(stream: &mut Stream, n: u64, _: &mut Rng) {
        let log = stream.log_mut();
        let id = StreamId { ms: n + 1, seq: 0 };
        if id <= log.last_id() {
            log.delete(id);
            return;
        }
        let value = text(n);
        let words = [b"field", value.as_bytes()];
        assert!(log.append(id, 1, |at| words[at], &packing()).is_ok());
    }
    check(change, |stream: &Stream| Value::Stream(stream), 90);
}

#[test]
fn arrays() {
    fn change(array: &mut Array, n: u64, rng: &mut Rng) {
        array.set(n, text(rng.below(1000)).as_bytes());
    }
    check(change, |array: &Array| Value::Array(array), 60);
}
