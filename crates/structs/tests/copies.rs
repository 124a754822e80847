//! Copies of large collections share what neither has changed: none may see what the other does.

use std::ops::ControlFlow;

use base::hash::Seed;
use base::rng::Rng;
use base::time::UnixMillis;
use structs::array::Array;
use structs::hash::{Hash, Until};
use structs::list::{End, List};
use structs::packed::{Element, IntText};
use structs::set::Set;
use structs::stream::{Stream, StreamId};
use structs::zset::Zset;
use structs::{Collection, Member, Packing};

const ELEMENTS: u64 = 6_000;
const CHANGES: u64 = 3_000;
const COPIES: u64 = 4;

/// A collection as a list of texts.
type Shown = Vec<String>;

fn packing() -> Packing {
    Packing::with_seed(Seed::from_u64(3))
}

fn text(number: u64) -> String {
    // Some long enough to be kept apart from the others.
    let length = if number.is_multiple_of(97) { 9000 } else { 12 };
    format!("{number:0length$}")
}

/// Makes copies while one collection is changed, and changes one of them as well.
fn check<C: Collection>(change: fn(&mut C, &mut Rng), show: fn(&C) -> Shown) {
    let mut rng = Rng::from_seed(11);
    let mut original = C::with_buffer(Vec::new());
    let mut copies: Vec<(C, Shown)> = Vec::new();
    for _ in 0..ELEMENTS {
        change(&mut original, &mut rng);
    }
    for _ in 0..COPIES {
        copies.push((original.duplicate(), show(&original)));
        for _ in 0..CHANGES {
            change(&mut original, &mut rng);
        }
        let mut second = copies[0].0.duplicate();
        for _ in 0..CHANGES {
            change(&mut second, &mut rng);
        }
        for (copy, then) in &copies {
            assert!(show(copy) == *then, "a copy has changed");
        }
    }
    drop(copies);
    let before = show(&original);
    assert!(show(&original.duplicate()) == before);
}

#[test]
fn lists() {
    fn change(list: &mut List, rng: &mut Rng) {
        let text = text(rng.below(1000));
        let end = if rng.below(2) == 0 {
            End::Head
        } else {
            End::Tail
        };
        match rng.below(6) {
            0 if list.len() > 1 => list.pop(end, 1 + rng.below(3) as usize, &packing()),
            _ => list.push_one(end, Element::of(text.as_bytes()), &packing()),
        }
    }
    fn show(list: &List) -> Shown {
        let mut shown = Shown::new();
        list.borrow().for_each(End::Head, 0, list.len(), |element| {
            let text = element.text(&mut IntText::default()).to_vec();
            shown.push(String::from_utf8_lossy(&text).into_owned());
        });
        shown
    }
    check(change, show);
}

#[test]
fn sets() {
    fn change(set: &mut Set, rng: &mut Rng) {
        let text = text(rng.below(9000));
        let member = Member::new(text.as_bytes(), &packing().seed);
        match rng.below(4) {
            0 => {
                set.remove(member);
            }
            _ => {
                set.add(member, &packing());
            }
        }
    }
    fn show(set: &Set) -> Shown {
        let items = set.borrow().iter();
        let text = |item: structs::set::Item<'_>| item.text(&mut IntText::default()).to_vec();
        let mut shown: Shown = items
            .map(|item| String::from_utf8_lossy(&text(item)).into_owned())
            .collect();
        shown.sort();
        shown
    }
    check(change, show);
}

#[test]
fn hashes() {
    fn change(hash: &mut Hash, rng: &mut Rng) {
        let (field, value) = (text(rng.below(9000)), text(rng.below(1000)));
        let field = Member::new(field.as_bytes(), &packing().seed);
        match rng.below(6) {
            0 => {
                hash.remove(field);
            }
            1 => {
                hash.set_deadline(field, Some(UnixMillis(1 << 40)));
            }
            _ => {
                hash.set(field, value.as_bytes(), Until::Forever, &packing());
            }
        }
    }
    fn show(hash: &Hash) -> Shown {
        let mut shown = Shown::new();
        hash.borrow()
            .each_timed(UnixMillis(0), |field, value, deadline| {
                let mut digits = [IntText::default(), IntText::default()];
                let [one, other] = &mut digits;
                let (field, value) = (field.bytes(one), value.bytes(other));
                shown.push(format!("{field:?} {value:?} {deadline:?}"));
            });
        shown.sort();
        shown
    }
    check(change, show);
}

#[test]
fn sorted_sets() {
    fn change(zset: &mut Zset, rng: &mut Rng) {
        let text = text(rng.below(9000));
        let member = Member::new(text.as_bytes(), &packing().seed);
        match rng.below(4) {
            0 => {
                zset.remove(member);
            }
            _ => zset.upsert(member, &packing(), |_| Some(rng.below(100) as f64)),
        }
    }
    fn show(zset: &Zset) -> Shown {
        let entries = zset.borrow().iter();
        entries
            .map(|(member, score)| {
                let member = member.text(&mut IntText::default()).to_vec();
                format!("{} {score}", String::from_utf8_lossy(&member))
            })
            .collect()
    }
    check(change, show);
}

#[test]
fn streams() {
    fn change(stream: &mut Stream, rng: &mut Rng) {
        let log = stream.log_mut();
        let last = log.last_id().ms;
        if rng.below(4) == 0 {
            log.delete(StreamId {
                ms: rng.below(last + 1),
                seq: 0,
            });
            return;
        }
        let id = StreamId {
            ms: last + 1,
            seq: 0,
        };
        let value = text(rng.below(1000));
        let words = [b"field", value.as_bytes()];
        let added = log.append(id, 1, |at| words[at], &packing());
        assert!(added.is_ok());
    }
    fn show(stream: &Stream) -> Shown {
        let log = stream.log();
        let entries = log.range(log.first_id(), log.last_id());
        entries
            .map(|entry| {
                let pairs: Vec<String> = entry
                    .pairs()
                    .map(|(field, value)| format!("{field:?} {value:?}"))
                    .collect();
                format!("{:?} {pairs:?}", entry.id())
            })
            .collect()
    }
    check(change, show);
}

#[test]
fn arrays() {
    fn change(array: &mut Array, rng: &mut Rng) {
        let index = rng.below(1 << 16);
        match rng.below(4) {
            0 => {
                array.remove(index);
            }
            _ => {
                array.set(index, text(rng.below(1000)).as_bytes());
            }
        }
    }
    fn show(array: &Array) -> Shown {
        let mut shown = Shown::new();
        let _ = array.visit(0, u64::MAX, |index, value| {
            shown.push(format!("{index} {value:?}"));
            ControlFlow::Continue(())
        });
        shown
    }
    check(change, show);
}
