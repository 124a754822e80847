//! The table against a naive model, with every invariant checked as it changes shape.

use std::collections::{BTreeMap, BTreeSet};

use base::hash::Seed;
use base::rng::Rng;
use base::time::UnixMillis;
use proptest::prelude::*;

use super::segment::{NEVER, OVERFLOW_STICKY, SLOTS};
use super::{INLINE_MAX, POSITION_BITS, Table, entries_max, tag};
use crate::collection::Member;

const SEED: Seed = Seed::from_u64(5);

fn member(bytes: &[u8]) -> Member<'_> {
    Member::new(bytes, &SEED)
}

/// Keys of many lengths, the longer ones rarer.
fn key(number: u64) -> Vec<u8> {
    let mut key = number.to_string().into_bytes();
    let length = match number % 100 {
        0 => 2_000,
        1 => INLINE_MAX,
        2 => 300,
        3 => 285,
        4 => 284,
        5..=9 => 29,
        10..=20 => 28,
        _ => key.len(),
    };
    key.resize(length.max(key.len()), b'.');
    key
}

fn value(length: usize, number: u64) -> Vec<u8> {
    (0..length).map(|at| (at as u64 + number) as u8).collect()
}

type Held = (Option<Vec<u8>>, Option<i64>);

/// A table and what should be in it.
struct Pair {
    table: Table,
    model: BTreeMap<Vec<u8>, Held>,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            table: Table::new(SEED),
            model: BTreeMap::new(),
        }
    }

    /// A set of the keys of these numbers.
    fn with(numbers: std::ops::Range<u64>) -> Pair {
        let mut pair = Pair::new();
        numbers.for_each(|number| pair.put(&key(number), None, None));
        pair
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>, deadline: Option<i64>) {
        let at = deadline.map(UnixMillis);
        match self.table.find(member(key)) {
            None => self.table.insert(member(key), value, at),
            Some(place) => {
                self.table.set_deadline(place, at);
                if let Some(value) = value {
                    let place = self.table.find(member(key)).expect("is there");
                    self.table.set_value(place, value);
                }
            }
        }
        let old = self.model.remove(key).and_then(|(value, _)| value);
        let value = value.map(<[u8]>::to_vec).or(old);
        self.model.insert(key.to_vec(), (value, deadline));
    }

    fn remove(&mut self, key: &[u8]) {
        let place = self.table.find(member(key));
        assert_eq!(place.is_some(), self.model.remove(key).is_some());
        if let Some(place) = place {
            self.table.remove(place);
        }
    }

    fn check(&self) {
        self.table.invariants();
        assert_eq!(self.table.len(), self.model.len());
        for (key, (value, deadline)) in &self.model {
            let place = self.table.find(member(key)).expect("is there");
            let entry = self.table.at(place);
            assert_eq!(entry.key, key);
            assert_eq!(entry.value, value.as_deref().unwrap_or_default());
            assert_eq!(entry.deadline, deadline.map(UnixMillis));
            assert_eq!(entry.shared_key.is_some(), key.len() > INLINE_MAX);
            assert_eq!(entry.shared_value.is_some(), entry.value.len() > INLINE_MAX);
        }
        let mut iter = self.table.iter();
        assert_eq!(iter.len(), self.model.len());
        assert!(iter.all(|entry| self.model.contains_key(entry.key)));
        let keys = self.table.keys();
        assert_eq!(keys.len(), self.model.len());
        assert!(keys.eq(self.table.iter().map(|entry| entry.key)));
    }

    /// Everything a scan returns, `between` being run after each step.
    fn scan_all(&mut self, mut between: impl FnMut(&mut Pair)) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let mut next = Some(0);
        while let Some(position) = next {
            next = self
                .table
                .scan(position, |entry| seen.push(entry.key.to_vec()));
            assert!(next.is_none_or(|next| next > position), "forward");
            between(self);
        }
        seen
    }
}

impl Table {
    /// Checks what must hold between any two calls.
    fn invariants(&self) {
        let mut counts = (0, 0);
        for (prefix, &index) in self.directory.iter().enumerate() {
            let segment = &self.segments[index as usize];
            let width = 1 << (self.depth - segment.depth);
            assert_eq!(self.directory[prefix & !(width - 1)], index);
            if prefix % width == 0 {
                let (len, volatile) = self.segment_invariants(index);
                counts = (counts.0 + len, counts.1 + volatile);
            }
        }
        assert_eq!(counts, (self.len, self.volatile));
        let directory = if self.len == 0 { 0 } else { 1 << self.depth };
        assert_eq!(self.directory.len(), directory);
        assert_eq!(self.deepest, self.count_at(self.depth));
        assert!(self.len == 0 || self.deepest > 0);
    }

    fn segment_invariants(&self, index: u32) -> (usize, usize) {
        let segment = &self.segments[index as usize];
        let mut passed = vec![0u32; segment.buckets.len()];
        let mut offsets = BTreeSet::new();
        let mut volatile = 0;
        for (at, bucket) in segment.buckets.iter().enumerate() {
            for slot in 0..SLOTS {
                let Some(offset) = bucket.slot(slot) else {
                    continue;
                };
                assert!(offsets.insert(offset), "one slot for each entry");
                let spread = self.spread_at(segment, offset);
                let entry = segment.arena.at(offset);
                assert_eq!(spread, self.spread(member(entry.key).hash));
                assert_eq!(self.directory[self.directory_index(spread)], index);
                assert_eq!(bucket.tags[slot], tag(spread));
                let (_, _, mut step) = self.segment(spread).expect("not empty");
                while step != at {
                    passed[step] += 1;
                    step = (step + 1) % segment.buckets.len();
                }
                if let Some(deadline) = entry.deadline {
                    volatile += 1;
                    assert!(segment.soonest[at] <= deadline, "found in time");
                    assert!(segment.visit_at <= segment.soonest[at]);
                    assert!(self.soonest <= segment.visit_at);
                }
            }
        }
        for (bucket, &count) in segment.buckets.iter().zip(&passed) {
            let overflow = bucket.overflow();
            assert!(overflow == OVERFLOW_STICKY || u32::from(overflow) == count);
        }
        let (mut position, mut entries) = (0, 0);
        while let Some(found) = segment.arena.next(position) {
            assert!(offsets.contains(&found.offset()));
            (_, position) = segment.arena.read(found);
            entries += 1;
        }
        assert_eq!(entries, offsets.len());
        assert_eq!(
            (offsets.len(), volatile),
            (segment.len as usize, segment.volatile as usize)
        );
        assert!(segment.len <= entries_max(segment.size()));
        segment.arena.invariants();
        (offsets.len(), volatile)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64, Option<usize>, Option<i64>),
    Remove(u64),
    Expire(i64, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lengths = prop_oneof![
        8 => 0_usize..40,
        2 => 240_usize..270,
        1 => 500_usize..530,
        1 => Just(3_000_usize),
    ];
    let deadline = prop::option::of(0_i64..1_000);
    let step = prop_oneof![
        6 => (0_u64..400, prop::option::of(lengths), deadline)
            .prop_map(|(key, value, deadline)| Step::Put(key, value, deadline)),
        3 => (0_u64..400).prop_map(Step::Remove),
        1 => (0_i64..1_000, 0_usize..20).prop_map(|(now, limit)| Step::Expire(now, limit)),
    ];
    prop::collection::vec(step, 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changes_match_the_model(steps in steps()) {
        let mut pair = Pair::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put(k, length, deadline) => {
                    let value = length.map(|length| value(length, number as u64));
                    pair.put(&key(k), value.as_deref(), deadline);
                }
                Step::Remove(k) => pair.remove(&key(k)),
                Step::Expire(now, limit) => expire(&mut pair, now, limit),
            }
            pair.table.invariants();
        }
        pair.check();
    }
}

fn expire(pair: &mut Pair, now: i64, limit: usize) {
    let due = |held: &Held| held.1.is_some_and(|deadline| deadline <= now);
    let all = pair.model.values().filter(|held| due(held)).count();
    let mut gone = Vec::new();
    let found = pair.table.remove_expired(UnixMillis(now), limit, |entry| {
        gone.push(entry.key.to_vec())
    });
    assert_eq!((found, gone.len()), (all.min(limit), all.min(limit)));
    for key in gone {
        assert!(pair.model.remove(&key).is_some_and(|held| due(&held)));
    }
    if found < limit {
        let soonest = pair.model.values().filter_map(|held| held.1).min();
        assert!(pair.table.soonest() <= soonest.map_or(NEVER, UnixMillis));
        assert!(pair.table.soonest().0 > now);
    }
}

#[test]
fn grows_to_many_segments_and_shrinks_to_nothing() {
    for short in [true, false] {
        let mut pair = Pair::new();
        let text = |number: u64| {
            if short {
                number.to_string().into_bytes()
            } else {
                key(number)
            }
        };
        for number in 0..12_000 {
            let value = value(number as usize % 40, number);
            pair.put(&text(number), Some(&value), None);
        }
        pair.check();
        assert!(pair.table.segments.len() > 4);
        let full = pair.table.allocated();
        for number in 0..12_000 {
            pair.remove(&text(number * 7_919 % 12_000));
            if number % 1_000 == 0 {
                pair.check();
            }
            if number == 9_000 {
                assert!(pair.table.allocated() < full / 2, "memory is given back");
            }
        }
        pair.check();
        assert_eq!((pair.table.len(), pair.table.allocated()), (0, 0));
    }
}

/// As a hash whose counters grow digit by digit, and whose texts change their lengths.
#[test]
fn values_that_change_do_not_bloat_it() {
    let mut pair = Pair::new();
    let mut rng = Rng::from_seed(3);
    for number in 0..3_000_u64 {
        pair.put(
            &number.to_string().into_bytes(),
            Some(&value(20, number)),
            None,
        );
    }
    let before = pair.table.allocated();
    for step in 0..30_000 {
        let key = rng.below(3_000).to_string().into_bytes();
        let value = value(10 + rng.below(21) as usize, step);
        pair.put(&key, Some(&value), (step % 50 == 0).then_some(5));
    }
    pair.check();
    let after = pair.table.allocated();
    assert!(after < before + before / 2, "{before} {after}");
}

/// The figures that this design is for.
#[test]
fn members_and_fields_take_few_bytes() {
    for len in [10_000, 100_000, 150_000_u64] {
        let (mut set, mut hash) = (Table::new(SEED), Table::new(SEED));
        for number in 0..len {
            let key = format!("{number:016}");
            set.insert(member(key.as_bytes()), None, None);
            hash.insert(member(key.as_bytes()), Some(key.as_bytes()), None);
        }
        let per = |table: &Table| table.allocated() as f64 / len as f64;
        assert!(per(&set) < 26.0, "{} bytes a member of {len}", per(&set));
        assert!(per(&hash) < 45.0, "{} bytes a field of {len}", per(&hash));
    }
}

#[test]
fn a_scan_of_a_table_at_rest_returns_everything_once() {
    for len in [0, 1, 5, 17, 18, 40, 700, 9_000] {
        let mut pair = Pair::with(0..len);
        let seen = pair.scan_all(|_| {});
        assert_eq!(seen.len() as u64, len);
        let seen: BTreeSet<Vec<u8>> = seen.into_iter().collect();
        assert!(seen.iter().eq(pair.model.keys()));
    }
}

/// Redis's guarantee, and more: nothing is returned twice.
#[test]
fn a_scan_returns_what_stays_exactly_once_while_the_table_grows_and_shrinks() {
    for seed in 0..8 {
        let mut rng = Rng::from_seed(seed);
        let staying = 1_000;
        let mut growing = seed % 2 == 0;
        let mut high = if growing { staying } else { 11 * staying };
        let mut pair = Pair::with(0..high);
        let seen = pair.scan_all(|pair| {
            for _ in 0..rng.below(400) {
                if growing && high < 11 * staying {
                    pair.put(&key(high), None, None);
                    high += 1;
                } else if !growing && high > staying {
                    high -= 1;
                    pair.remove(&key(high));
                } else {
                    growing = !growing;
                }
            }
        });
        pair.check();
        let mut count = BTreeMap::<Vec<u8>, u32>::new();
        for key in seen {
            *count.entry(key).or_default() += 1;
        }
        let once = (0..staying).filter(|&number| count.get(&key(number)) == Some(&1));
        assert_eq!(once.count() as u64, staying, "seed {seed}");
    }
}

#[test]
fn any_position_may_be_asked_for() {
    let mut rng = Rng::from_seed(7);
    let pair = Pair::with(0..5_000);
    for _ in 0..10_000 {
        let position = rng.next_u64() >> (64 - POSITION_BITS);
        let next = pair.table.scan(position, |_| {});
        assert!(next.is_none_or(|next| next > position && next >> POSITION_BITS == 0));
    }
}

/// Chi-square: the sum over all members of (drawn - mean)^2 / mean has a mean of len - 1 and a
/// variance of twice that.
#[test]
fn samples_are_fair() {
    let mut rng = Rng::from_seed(11);
    for (len, removed) in [(1, 0), (7, 0), (150, 0), (5_000, 0), (9_000, 8_500)] {
        let mut pair = Pair::with(0..len);
        for number in 0..removed {
            pair.remove(&key(number));
        }
        let (kept, mean) = (len - removed, 40);
        let mut drawn = BTreeMap::<Vec<u8>, u64>::new();
        for _ in 0..kept * mean {
            let entry = pair.table.sample(rng.next_u64()).expect("not empty");
            *drawn.entry(entry.key.to_vec()).or_default() += 1;
        }
        let missed = kept - drawn.len() as u64;
        let squares: f64 = drawn
            .values()
            .map(|&n| (n as f64 - mean as f64).powi(2))
            .sum();
        let chi = squares / mean as f64 + (missed * mean) as f64;
        let (expected, deviation) = (kept as f64 - 1.0, (2.0 * (kept as f64 - 1.0)).sqrt());
        assert!((chi - expected).abs() <= 5.0 * deviation, "{len}: {chi}");
    }
    assert!(Table::new(SEED).sample(1).is_none());
    assert!(Table::new(SEED).sample_place(1).is_none());
}

#[test]
fn a_sampled_place_can_be_removed() {
    let mut pair = Pair::with(0..4_000);
    let mut rng = Rng::from_seed(13);
    while let Some(place) = pair.table.sample_place(rng.next_u64()) {
        let key = pair.table.at(place).key.to_vec();
        assert!(pair.model.remove(&key).is_some());
        pair.table.remove(place);
        if pair.model.len().is_multiple_of(500) {
            pair.check();
        }
    }
    assert!(pair.model.is_empty());
}

/// SSCAN of one set into another, as clients do it: hashes come in order.
#[test]
fn members_in_another_tables_order_spread_evenly() {
    let mut from = Pair::with(0..30_000);
    let mut to = Table::new(SEED);
    for key in from.scan_all(|_| {}) {
        to.insert(member(&key), None, None);
        let slots: usize = to
            .segments
            .iter()
            .map(|segment| segment.buckets.len() * SLOTS)
            .sum();
        assert!(
            to.len() < 1_000 || to.len() * 4 > slots,
            "{} in {slots}",
            to.len()
        );
    }
    to.invariants();
}

#[test]
fn prefetch_addresses_are_those_of_the_member() {
    let pair = Pair::with(100..3_000);
    for number in 100..3_000 {
        let key = key(number);
        assert!(pair.table.address(member(&key).hash, 1).is_some());
        let place = pair.table.find(member(&key)).expect("is there");
        let near = pair.table.address(member(&key).hash, 2);
        if place.spot.home == place.spot.bucket {
            assert!(near.is_some());
        }
    }
    assert!(Table::new(SEED).address(1, 1).is_none());
    assert!(Table::new(SEED).address(1, 2).is_none());
}

#[test]
fn room_made_beforehand_is_used_and_given_back() {
    for len in [1, 100, 1_500, 1_501, 20_000] {
        let mut pair = Pair::new();
        pair.table = Table::with_room(SEED, len as usize);
        let segments = pair.table.segments.len();
        (0..len).for_each(|number| pair.put(number.to_string().as_bytes(), None, None));
        pair.check();
        assert_eq!(pair.table.segments.len(), segments, "{len}");
        (0..len).for_each(|number| pair.remove(number.to_string().as_bytes()));
        pair.check();
        assert_eq!(pair.table.allocated(), 0);
    }
    let mut unused = Table::with_room(SEED, 10_000);
    assert!(unused.sample(3).is_none() && !unused.contains(member(b"a")));
    assert_eq!(
        (unused.iter().count(), unused.scan(0, |_| {}).is_some()),
        (0, true)
    );
    unused.insert(member(b"a"), None, None);
    assert_eq!(unused.sample(3).map(|entry| entry.key), Some(&b"a"[..]));
}

#[test]
fn a_copy_is_independent() {
    let mut pair = Pair::with(0..3_000);
    let copy = pair.table.clone();
    (0..3_000).for_each(|number| pair.remove(&key(number)));
    copy.invariants();
    assert_eq!(copy.len(), 3_000);
    assert!((0..3_000).all(|number| copy.contains(member(&key(number)))));
}
