//! Hashes of every form against a naive model.

use std::collections::BTreeMap;

use base::hash::Seed;
use base::num::I64_TEXT_MAX;
use base::rng::Rng;
use base::time::UnixMillis;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn packing() -> Packing {
    Packing {
        hash_entries_max: 8,
        hash_value_max: 12,
        ..Packing::with_seed(Seed::from_u64(1))
    }
}

/// One change.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, String),
    SetKept(u8, String),
    SetUntil(u8, String, i64),
    Remove(u8),
    Deadline(u8, i64),
    Persist(u8),
    Expire(i64, usize),
    Field(u8, i64),
    Duplicate,
}

fn step() -> impl Strategy<Value = Step> {
    let field = 0_u8..12;
    let text = prop_oneof![
        "[a-z]{0,4}",
        any::<i16>().prop_map(|n| n.to_string()),
        "[a-z]{11,13}",
    ];
    let at = 1_i64..60;
    prop_oneof![
        4 => (field.clone(), text.clone()).prop_map(|(f, v)| Step::Set(f, v)),
        2 => (field.clone(), text.clone()).prop_map(|(f, v)| Step::SetKept(f, v)),
        2 => (field.clone(), text, at.clone()).prop_map(|(f, v, a)| Step::SetUntil(f, v, a)),
        2 => field.clone().prop_map(Step::Remove),
        3 => (field.clone(), at.clone()).prop_map(|(f, a)| Step::Deadline(f, a)),
        1 => field.clone().prop_map(Step::Persist),
        1 => (at.clone(), 1_usize..4).prop_map(|(a, max)| Step::Expire(a, max)),
        1 => (field, at).prop_map(|(f, a)| Step::Field(f, a)),
        1 => Just(Step::Duplicate),
    ]
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

/// Fields that are integers, texts, long, empty.
fn name(field: u8) -> Vec<u8> {
    match field {
        0 => Vec::new(),
        1..5 => (i64::from(field) * 1000).to_string().into_bytes(),
        11 => b"a-long-name-of-a-field".to_vec(),
        _ => vec![b'f', field],
    }
}

struct Pair {
    hash: Hash,
    model: Model,
    packing: Packing,
}

impl Pair {
    fn apply(&mut self, step: &Step) {
        let packing = self.packing;
        match step {
            Step::Set(field, value) => self.set(*field, value, Until::Forever),
            Step::SetKept(field, value) => self.set(*field, value, Until::Kept),
            Step::SetUntil(field, value, at) => {
                self.set(*field, value, Until::At(UnixMillis(*at)));
            }
            Step::Remove(field) => {
                let name = name(*field);
                let there = self.hash.remove(Member::new(&name, &packing.seed));
                assert_eq!(there, self.model.remove(&name).is_some());
            }
            Step::Deadline(field, at) => self.set_deadline(*field, Some(*at)),
            Step::Persist(field) => self.set_deadline(*field, None),
            Step::Expire(now, max) => self.expire(UnixMillis(*now), *max),
            Step::Field(field, now) => {
                let name = name(*field);
                let due = self.model.get(&name).and_then(|(_, at)| *at);
                let due = due.is_some_and(|at| at <= *now);
                let member = Member::new(&name, &packing.seed);
                assert_eq!(self.hash.expire_field(member, UnixMillis(*now)), due);
                if due {
                    self.model.remove(&name);
                }
            }
            Step::Duplicate => self.hash = self.hash.duplicate(),
        }
    }

    fn set(&mut self, field: u8, value: &str, until: Until) {
        let name = name(field);
        let member = Member::new(&name, &self.packing.seed);
        let new = self
            .hash
            .set(member, value.as_bytes(), until, &self.packing);
        let old = self.model.get(&name).map(|(_, at)| *at);
        assert_eq!(new, old.is_none());
        let at = match until {
            Until::Forever => None,
            Until::Kept => old.flatten(),
            Until::At(at) => Some(at.0),
        };
        self.model.insert(name, (value.as_bytes().to_vec(), at));
    }

    fn set_deadline(&mut self, field: u8, at: Option<i64>) {
        let name = name(field);
        let member = Member::new(&name, &self.packing.seed);
        let there = self.hash.set_deadline(member, at.map(UnixMillis));
        let known = self.model.get_mut(&name);
        assert_eq!(there, known.is_some());
        if let Some(known) = known {
            known.1 = at;
        }
    }

    fn expire(&mut self, now: UnixMillis, max: usize) {
        let mut gone = Vec::new();
        let count = self
            .hash
            .expire(now, max, |field| gone.push(field.to_vec()));
        assert_eq!(count, gone.len());
        let due = self.model.values().filter_map(|(_, at)| *at);
        let due = due.filter(|&at| at <= now.0).count();
        assert_eq!(count, due.min(max));
        for field in gone {
            let (_, at) = self.model.remove(&field).unwrap();
            assert!(at.unwrap() <= now.0);
        }
    }

    /// What the model says at `now`.
    fn live(&self, now: UnixMillis) -> Model {
        let live =
            |(_, (_, at)): &(&Vec<u8>, &(Vec<u8>, Option<i64>))| at.is_none_or(|at| at > now.0);
        let fields = self.model.iter().filter(live);
        fields.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn invariants(&self) {
        match &self.hash {
            Hash::Pairs(body) => assert!(body.is_empty() || validate(Form::Hash, body)),
            Hash::Timed(body) => assert!(body.is_empty() || validate(Form::TimedHash, body)),
            Hash::Table(_) => {}
        }
        let packed = self.hash.packed().is_some();
        assert!(!packed || self.model.len() <= self.packing.hash_entries_max);
        assert_eq!(self.hash.len(), self.model.len());
        assert_eq!(self.hash.is_empty(), self.model.is_empty());
        let soonest = self.model.values().filter_map(|(_, at)| *at).min();
        match (self.hash.soonest(), soonest) {
            (Some(told), Some(soonest)) => {
                assert!(told.0 <= soonest);
                assert!(!packed || told.0 == soonest);
            }
            (told, soonest) => assert_eq!(told.is_some(), soonest.is_some()),
        }
    }

    fn compare(&self, now: UnixMillis) {
        let view = self.hash.borrow();
        let live = self.live(now);
        let mut seen = Model::new();
        let count = view.each_timed(now, |field, value, deadline| {
            let field = field.bytes(&mut [0; I64_TEXT_MAX]).to_vec();
            let value = value.bytes(&mut [0; I64_TEXT_MAX]).to_vec();
            seen.insert(field, (value, deadline.map(|at| at.0)));
        });
        assert_eq!((count, &seen), (live.len(), &live));
        assert_eq!(view.live_len(now), live.len());
        for field in 0..12 {
            let name = name(field);
            let member = Member::new(&name, &self.packing.seed);
            let told = view.get(member, now).map(|value| {
                assert_eq!(value.len(), value.bytes(&mut [0; I64_TEXT_MAX]).len());
                value.bytes(&mut [0; I64_TEXT_MAX]).to_vec()
            });
            assert_eq!(told.as_ref(), live.get(&name).map(|(value, _)| value));
        }
    }
}

proptest! {
    #[test]
    fn is_what_the_model_is(steps in vec(step(), 0..60), now in 0_i64..60) {
        let mut pair = Pair { hash: Hash::default(), model: Model::new(), packing: packing() };
        for step in &steps {
            pair.apply(step);
            pair.invariants();
            pair.compare(UnixMillis(now));
        }
        pair.expire(UnixMillis(now), usize::MAX);
        pair.invariants();
        pair.compare(UnixMillis(now));
    }

    #[test]
    fn bytes_from_outside_are_judged_without_a_panic(bytes in vec(any::<u8>(), 0..40)) {
        let _ = validate(Form::Hash, &bytes);
        let _ = validate(Form::TimedHash, &bytes);
    }
}

#[test]
fn fields_come_in_the_order_that_redis_has() {
    let packing = packing();
    let mut hash = Hash::default();
    let at = |millis| Until::At(UnixMillis(millis));
    let texts = |hash: &Hash| {
        let mut text = String::new();
        hash.borrow().each(UnixMillis(0), |field, _| {
            text.push_str(&String::from_utf8_lossy(
                field.bytes(&mut [0; I64_TEXT_MAX]),
            ));
        });
        text
    };
    for field in ["a", "b", "c", "d"] {
        hash.set(
            Member::new(field.as_bytes(), &packing.seed),
            b"1",
            Until::Forever,
            &packing,
        );
    }
    assert_eq!(hash.encoding(), "listpack");
    for (field, until, expected) in [
        ("d", at(100), "dabc"),
        ("b", at(50), "bdac"),
        ("a", at(100), "badc"),
        ("b", Until::Forever, "adcb"),
        ("c", Until::Forever, "adcb"),
        ("a", Until::Kept, "adcb"),
        ("e", Until::Forever, "adcbe"),
    ] {
        hash.set(
            Member::new(field.as_bytes(), &packing.seed),
            b"2",
            until,
            &packing,
        );
        assert_eq!(texts(&hash), expected);
    }
    assert_eq!(hash.encoding(), "listpackex");
    hash.set_deadline(Member::new(b"a", &packing.seed), None);
    assert_eq!(texts(&hash), "dcbea");
}

/// Fields of a hash, each chosen as often as any other: chi-square at one in a million.
#[test]
fn choices_are_fair() {
    const DRAWS: u32 = 20_000;
    // Large enough for a table with several segments; the few-of-many way and the all-of-them way.
    for (fields, wanted, limit) in [(6_u64, 2_usize, 41.0), (40, 3, 98.0), (40, 30, 98.0)] {
        let packing = packing();
        let mut hash = Hash::default();
        for field in 0..fields {
            let name = format!("field {field}");
            let member = Member::new(name.as_bytes(), &packing.seed);
            hash.set(
                member,
                field.to_string().as_bytes(),
                Until::Forever,
                &packing,
            );
        }
        assert_eq!(hash.packed().is_some(), fields == 6);
        let mut rng = Rng::from_seed(9);
        let mut counts = vec![0_u32; fields as usize];
        let mut singles = counts.clone();
        let index = |value: Text<'_>| value.int().unwrap() as usize;
        for _ in 0..DRAWS {
            let below = |bound| rng.below(bound);
            let view = hash.borrow();
            let chosen = view.choose(UnixMillis(0), wanted, below, |_, value| {
                counts[index(value)] += 1;
            });
            assert_eq!(chosen, wanted);
            let below = |bound| rng.below(bound);
            let (_, value) = view.sample(UnixMillis(0), below).unwrap();
            singles[index(value)] += 1;
        }
        for (counts, wanted) in [(counts, wanted as u32), (singles, 1)] {
            let expected = f64::from(DRAWS * wanted) / fields as f64;
            let square = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
            let sum: f64 = counts.iter().map(square).sum();
            assert!(sum < limit, "{fields} {wanted}: {sum} {counts:?}");
        }
    }
}

#[test]
fn bad_bodies_are_refused() {
    let body = |words: &[&str]| {
        let mut body = Vec::new();
        for word in words {
            packed::push_back(&mut body, packed::Element::of(word.as_bytes()));
        }
        body
    };
    for (form, words, good) in [
        (Form::Hash, &["a", "1", "b", "2"][..], true),
        (Form::Hash, &["a", "1", "b"], false),
        (Form::Hash, &["a", "1", "a", "2"], false),
        (Form::Hash, &["a", "1", "1", "a"], true),
        (Form::Hash, &[], false),
        (Form::TimedHash, &["a", "1", "5", "b", "2", "0"], true),
        (Form::TimedHash, &["a", "1", "5", "b", "2", "5"], true),
        (Form::TimedHash, &["a", "1", "5", "b", "2", "4"], false),
        (Form::TimedHash, &["a", "1", "0", "b", "2", "4"], false),
        (Form::TimedHash, &["a", "1", "-5"], false),
        (Form::TimedHash, &["a", "1", "x"], false),
        (Form::TimedHash, &["a", "1", "0", "b", "2", "0"], true),
        (Form::Set, &["a", "b"], false),
    ] {
        assert_eq!(validate(form, &body(words)), good, "{form:?} {words:?}");
    }
}
