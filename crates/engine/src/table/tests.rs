//! The table against a naive model, with every invariant checked as it changes shape.

use std::collections::{BTreeMap, BTreeSet};

use base::rng::Rng;
use base::time::UnixMillis;

use super::{DEPTH_MAX, KeyHasher, NEVER, OVERFLOW_STICKY, POSITION_BITS, Table, tag};
use crate::entry::{Entry, NewValue};

/// Hashes keys that are decimal numbers: `spread` of the number, below a fixed prefix of
/// `skip_bits`.
#[derive(Clone, Copy)]
struct NumberHasher {
    skip_bits: u8,
    prefix: u64,
    spread: fn(u64) -> u64,
}

impl NumberHasher {
    fn uniform(skip_bits: u8) -> NumberHasher {
        let prefix = if skip_bits == 0 {
            0
        } else {
            mix(u64::from(skip_bits)) >> (64 - skip_bits)
        };
        NumberHasher {
            skip_bits,
            prefix,
            spread: mix,
        }
    }

    fn of(&self, number: u64) -> u64 {
        let own = (self.spread)(number) >> self.skip_bits;
        if self.skip_bits == 0 {
            own
        } else {
            own | self.prefix << (64 - self.skip_bits)
        }
    }

    fn first_position(&self) -> u64 {
        self.prefix << (POSITION_BITS - u32::from(self.skip_bits))
    }
}

impl KeyHasher for NumberHasher {
    fn hash(&self, key: &[u8]) -> u64 {
        self.of(number(key))
    }
}

/// The finaliser of SplitMix64: every output bit depends on every input bit.
fn mix(number: u64) -> u64 {
    let x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The tables of these tests keep the order of the hashes.
const MULTIPLIER: u64 = 1;

fn number(key: &[u8]) -> u64 {
    base::num::parse_u64(key).expect("keys of these tests are numbers")
}

fn key(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// A table and what should be in it: key number to deadline.
struct Pair {
    table: Table,
    model: BTreeMap<u64, Option<i64>>,
    hasher: NumberHasher,
}

impl Pair {
    fn new(hasher: NumberHasher) -> Pair {
        let table = Table::new(hasher.skip_bits, MULTIPLIER);
        Pair {
            table,
            model: BTreeMap::new(),
            hasher,
        }
    }

    fn with(hasher: NumberHasher, numbers: impl Iterator<Item = u64>) -> Pair {
        let mut pair = Pair::new(hasher);
        numbers.for_each(|number| pair.insert(number, None));
        pair
    }

    fn insert(&mut self, number: u64, deadline: Option<i64>) {
        let hash = self.hasher.of(number);
        if let Some(place) = self.table.find(hash, &key(number)) {
            self.table
                .edit(place, |entry| entry.set_deadline(deadline.map(UnixMillis)));
        } else {
            let value = NewValue::Int(number as i64);
            let entry = Entry::new(&key(number), value, deadline.map(UnixMillis), 0);
            self.table.insert(hash, entry, &self.hasher);
        }
        self.model.insert(number, deadline);
    }

    fn remove(&mut self, number: u64) {
        let found = self.table.find(self.hasher.of(number), &key(number));
        assert_eq!(found.is_some(), self.model.remove(&number).is_some());
        if let Some(place) = found {
            assert_eq!(self.table.remove(place, &self.hasher).key(), key(number));
        }
    }

    fn check(&self) {
        self.table.invariants(&self.hasher);
        assert_eq!(self.table.len(), self.model.len());
        for (&number, &deadline) in &self.model {
            let place = self.table.find(self.hasher.of(number), &key(number));
            let entry = self.table.at(place.expect("is there"));
            assert_eq!(entry.deadline(), deadline.map(UnixMillis));
        }
    }

    /// Everything a scan returns, `between` being run after each step.
    fn scan_all(&mut self, mut between: impl FnMut(&mut Pair)) -> Vec<u64> {
        let mut seen = Vec::new();
        let mut next = Some(self.hasher.first_position());
        while let Some(position) = next {
            next = self.table.scan(position, &self.hasher, |entry| {
                seen.push(number(entry.key()))
            });
            assert!(
                next.is_none_or(|next| next > position),
                "a scan goes forward"
            );
            between(self);
        }
        seen
    }
}

#[test]
fn a_table_that_was_told_holds_what_comes_whether_or_not_it_is_as_much() {
    for (expected, entries) in [
        (0, 100),
        (100, 10),
        (5000, 5000),
        (5000, 50_000),
        (100_000, 20_000),
    ] {
        let mut pair = Pair::new(NumberHasher::uniform(0));
        pair.table.expect_entries(expected);
        (0..entries).for_each(|number| pair.insert(number, None));
        pair.check();
        if expected == entries as usize && expected >= 5000 {
            let load = pair.table.len() * 100 / pair.table.slots();
            assert!((55..=90).contains(&load), "{load} percent full");
        }
        (0..entries)
            .step_by(2)
            .for_each(|number| pair.remove(number));
        pair.check();
    }
}

impl Table {
    /// Checks what must hold between any two calls.
    fn invariants(&self, hasher: &impl KeyHasher) {
        let mut counts = (0, 0, 0);
        for (prefix, &index) in self.directory.iter().enumerate() {
            let segment = &self.segments[index as usize];
            let width = 1 << (self.depth - segment.depth);
            assert_eq!(
                self.directory[prefix & !(width - 1)],
                index,
                "directory range"
            );
            if prefix % width == 0 {
                let (len, volatile, timed) = self.segment_invariants(index, hasher);
                counts = (counts.0 + len, counts.1 + volatile, counts.2 + timed);
            }
        }
        assert_eq!(counts, (self.len, self.volatile, self.timed));
        let directory = if self.len == 0 { 0 } else { 1 << self.depth };
        assert_eq!(self.directory.len(), directory);
        let used = self.segments.len() - self.free_segments.len();
        let at_depth: u32 = self.at_depth.iter().sum();
        assert_eq!(at_depth as usize, used);
        assert!(self.depth == 0 || self.at_depth[usize::from(self.depth)] > 0);
    }

    fn segment_invariants(&self, index: u32, hasher: &impl KeyHasher) -> (usize, usize, usize) {
        let segment = &self.segments[index as usize];
        let mut passed = vec![0u32; segment.buckets.len()];
        let (mut len, mut volatile, mut timed) = (0, 0, 0);
        for (at, bucket) in segment.buckets.iter().enumerate() {
            for (slot, entry) in bucket.slots.iter().enumerate() {
                assert_eq!(
                    entry.is_none(),
                    bucket.tags[slot] == 0,
                    "tag and slot agree"
                );
                let Some(entry) = entry else { continue };
                let hash = self.spread.of(hasher.hash(entry.key()));
                assert_eq!(self.directory[self.directory_index(hash)], index);
                assert_eq!(tag(hash), bucket.tags[slot]);
                let mut step = self.home(segment, hash);
                while step != at {
                    passed[step] += 1;
                    step = (step + 1) % segment.buckets.len();
                }
                len += 1;
                volatile += usize::from(entry.deadline().is_some());
                timed += usize::from(entry.is_timed());
                if let Some(due) = entry.due() {
                    assert!(segment.soonest[at] <= due, "expiry comes in time");
                }
            }
        }
        for (bucket, &count) in segment.buckets.iter().zip(&passed) {
            let overflow = bucket.overflow();
            assert!(overflow == OVERFLOW_STICKY || u32::from(overflow) == count);
        }
        assert_eq!(
            (len, volatile),
            (segment.len as usize, segment.volatile as usize)
        );
        (len, volatile, timed)
    }
}

#[test]
fn random_changes_match_the_model() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed(seed);
        let mut pair = Pair::new(NumberHasher::uniform([0, 1, 3, 10][seed as usize % 4]));
        let keys = [20, 200, 3000][seed as usize % 3];
        for step in 0..3000 {
            let number = rng.below(keys);
            // Waves: more insertions, then more removals.
            let growing = step / 700 % 2 == 0;
            match rng.below(8) {
                0..=4 if growing => pair.insert(number, None),
                5 if growing => pair.insert(number, Some(rng.below(1000) as i64)),
                6 if !growing => pair.insert(number, Some(rng.below(1000) as i64)),
                _ => pair.remove(number),
            }
            if pair.model.len() < 30 || step % 97 == 0 {
                pair.check();
            }
        }
        pair.check();
    }
}

#[test]
fn grows_to_many_segments_and_shrinks_to_nothing() {
    for skip_bits in [0, 1, 4, 10, 30, 36] {
        let mut pair = Pair::with(NumberHasher::uniform(skip_bits), 0..8_000);
        pair.check();
        assert!(pair.table.segments.len() >= 8_000 / 800);
        let full = pair.table.overhead_bytes();
        for number in 0..8_000 {
            pair.remove(mix(number) % 8_000);
        }
        pair.check();
        assert!(pair.table.overhead_bytes() < full, "memory is given back");
        for number in 0..8_000 {
            pair.remove(number);
        }
        pair.check();
        assert_eq!(pair.table.overhead_bytes(), 0);
    }
}

#[test]
fn segments_are_neither_overfull_nor_mostly_empty() {
    let mut pair = Pair::new(NumberHasher::uniform(0));
    for number in 0..30_000 {
        pair.insert(number, None);
        let (len, slots) = (pair.table.len(), pair.table.slots());
        assert!(len * 8 <= slots * 7, "{len} entries in {slots} slots");
        assert!(
            len < 20 || len * 16 >= slots * 7,
            "{len} entries in {slots} slots"
        );
    }
    for number in 0..29_000 {
        pair.remove(number);
        let (len, slots) = (pair.table.len(), pair.table.slots());
        assert!(len * 4 >= slots, "{len} entries in {slots} slots");
    }
}

#[test]
fn a_scan_of_a_table_at_rest_returns_everything_once() {
    for skip_bits in [0, 1, 10, 24, 30, 36] {
        for len in [0, 1, 5, 6, 7, 40, 700, 5_000] {
            let mut pair = Pair::with(NumberHasher::uniform(skip_bits), 0..len);
            let mut seen = pair.scan_all(|_| {});
            seen.sort_unstable();
            assert!(
                seen.into_iter().eq(0..len),
                "skip_bits {skip_bits}, {len} keys"
            );
        }
    }
}

/// Redis's guarantee, and more: nothing is returned twice.
#[test]
fn a_scan_returns_what_stays_exactly_once_while_the_table_grows_and_shrinks() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed(seed);
        let staying = 1_000;
        let mut pair = Pair::with(
            NumberHasher::uniform([0, 3, 30][seed as usize % 3]),
            0..staying,
        );
        let (mut growing, mut high) = (seed % 2 == 0, staying);
        if !growing {
            (staying..11 * staying).for_each(|number| pair.insert(number, None));
            high = 11 * staying;
        }
        let seen = pair.scan_all(|pair| {
            for _ in 0..rng.below(150) {
                if growing && high < 11 * staying {
                    pair.insert(high, None);
                    high += 1;
                } else if !growing && high > staying {
                    high -= 1;
                    pair.remove(high);
                } else {
                    growing = !growing;
                }
            }
        });
        pair.check();
        let unique: BTreeSet<u64> = seen.iter().copied().collect();
        assert!(
            (0..staying).all(|number| unique.contains(&number)),
            "seed {seed}"
        );
        let staying_seen = seen.iter().filter(|&&number| number < staying).count();
        assert_eq!(staying_seen as u64, staying, "seed {seed}: seen once");
    }
}

#[test]
fn any_position_may_be_asked_for() {
    let mut rng = Rng::from_seed(7);
    for skip_bits in [0, 10] {
        let pair = Pair::with(NumberHasher::uniform(skip_bits), 0..3_000);
        for _ in 0..10_000 {
            let position = rng.next_u64() >> (64 - POSITION_BITS);
            let next = pair.table.scan(position, &pair.hasher, |_| {});
            assert!(next.is_none_or(|next| next > position && next >> POSITION_BITS == 0));
        }
    }
}

#[test]
fn samples_reach_every_entry_with_similar_odds() {
    let mut rng = Rng::from_seed(11);
    for len in [1, 2, 3, 7, 100, 2_000] {
        let pair = Pair::with(NumberHasher::uniform(0), 0..len);
        let mut drawn = vec![0u64; len as usize];
        let mean = 60;
        for _ in 0..len * mean {
            let entry = pair.table.sample(rng.next_u64()).expect("not empty");
            drawn[number(entry.key()) as usize] += 1;
        }
        let (least, most) = (drawn.iter().min(), drawn.iter().max());
        assert!(
            least > Some(&(mean / 20)) && most < Some(&(mean * 12)),
            "{least:?} {most:?}"
        );
    }
    assert!(Table::new(0, MULTIPLIER).sample(1).is_none());
}

#[test]
fn samples_find_the_last_entries_of_a_table_that_was_large() {
    let mut pair = Pair::with(NumberHasher::uniform(2), 0..10_000);
    (1..10_000).for_each(|number| pair.remove(number));
    for random in 0..100 {
        let entry = pair.table.sample(mix(random)).expect("one is left");
        assert_eq!(number(entry.key()), 0);
    }
}

/// Runs the expiry visits that are due at `now` and deletes what they find.
fn visit(pair: &mut Pair, now: i64) {
    let mut found = Vec::new();
    for segment in 0..pair.table.segment_count() {
        pair.table
            .visit_expired(segment, UnixMillis(now), |key| found.push(number(key)));
    }
    for number in found {
        assert!(
            pair.model[&number].is_some_and(|deadline| deadline <= now),
            "only due keys"
        );
        pair.remove(number);
    }
}

#[test]
fn expiry_visits_leave_few_overdue_keys() {
    for (seed, keys, volatile_in) in [(1, 50, 1), (2, 600, 1), (3, 6_000, 1), (4, 6_000, 5)] {
        let mut rng = Rng::from_seed(seed);
        let mut pair = Pair::new(NumberHasher::uniform(0));
        for number in 0..keys {
            let deadline = (rng.below(volatile_in) == 0).then(|| rng.below(10_000) as i64);
            pair.insert(number, deadline);
        }
        for now in (0..10_000).step_by(100) {
            visit(&mut pair, now);
            // Keys come, change their deadline and lose it between visits.
            for _ in 0..20 {
                let number = rng.below(keys);
                match rng.below(3) {
                    0 => pair.insert(number, Some(now + 1 + rng.below(3_000) as i64)),
                    1 => pair.insert(number, None),
                    _ => pair.remove(number),
                }
            }
            let overdue = pair
                .model
                .values()
                .flatten()
                .filter(|&&at| at <= now)
                .count();
            assert!(
                overdue * 100 <= pair.table.volatile(),
                "{overdue} overdue at {now}"
            );
        }
        pair.check();
        // Nothing is forgotten: after the last deadline a visit per segment finds all but the
        // tolerated.
        visit(&mut pair, i64::MAX - 1);
        assert_eq!(pair.table.volatile(), 0);
        pair.check();
    }
}

#[test]
fn the_next_visit_is_no_later_than_the_first_deadline_of_a_new_key() {
    let mut pair = Pair::with(NumberHasher::uniform(0), 0..100);
    assert_eq!(pair.table.next_visit(), NEVER);
    pair.insert(1000, Some(77));
    assert_eq!(pair.table.next_visit(), UnixMillis(77));
    pair.insert(5, Some(33));
    assert_eq!(pair.table.next_visit(), UnixMillis(33));
    visit(&mut pair, 80);
    assert_eq!(pair.table.next_visit(), NEVER);
}

/// No keyed hash does this. Memory and time must stay bounded all the same.
#[test]
fn hashes_that_are_all_alike_end_in_long_segments_not_in_an_endless_directory() {
    let spreads: [fn(u64) -> u64; 5] = [
        |_| 0,
        |_| u64::MAX,
        |number| number % 4,
        |number| (number % 3) << 62,
        // Half of the keys at each bit: the directory deepens with every split.
        |number| u64::MAX >> mix(number).trailing_zeros().min(40),
    ];
    for spread in spreads {
        let hasher = NumberHasher {
            skip_bits: 0,
            prefix: 0,
            spread,
        };
        let mut pair = Pair::with(hasher, 0..3_000);
        pair.check();
        assert!(pair.table.depth <= 10, "depth {}", pair.table.depth);
        assert!(pair.table.overhead_bytes() < 64 * 3_000);
        let mut seen = pair.scan_all(|_| {});
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..3_000));
        (0..3_000).for_each(|number| pair.remove(number));
        assert_eq!(pair.table.overhead_bytes(), 0);
    }
    assert!(usize::from(DEPTH_MAX) < Table::new(0, MULTIPLIER).at_depth.len());
}

/// Keys that come in the order of another database's table (SCAN there, COPY here) fill a table as
/// evenly as any others.
#[test]
fn keys_in_another_tables_order_do_no_harm() {
    for skip_bits in [0, 4] {
        let hasher = NumberHasher::uniform(skip_bits);
        let from = Pair::with(hasher, 0..60_000);
        let mut to = Table::new(skip_bits, 0x9e37_79b9_7f4a_7c15);
        let mut longest = 0;
        let mut position = Some(hasher.first_position());
        while let Some(at) = position {
            position = from.table.scan(at, &hasher, |entry| {
                let hash = hasher.hash(entry.key());
                to.insert(
                    hash,
                    Entry::new(entry.key(), NewValue::Int(1), None, 0),
                    &hasher,
                );
                longest = longest.max(
                    to.segments
                        .iter()
                        .map(super::Segment::size)
                        .max()
                        .unwrap_or(0),
                );
            });
        }
        to.invariants(&hasher);
        assert_eq!(to.len(), 60_000);
        assert_eq!(
            longest,
            super::SIZES[super::SIZES.len() - 1],
            "no segment had to double"
        );
        assert!(to.slots() < 2 * to.len(), "{} slots", to.slots());
    }
}
