//! Sets of every form against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use base::hash::Seed;
use base::rng::Rng;
use proptest::prelude::*;

use super::algebra::{Flow, intersect, subtract, union_set, unite};
use super::{Item, Set, SetRef, validate};
use crate::collection::{Collection, Member};
use crate::packed::IntText;
use crate::packing::Packing;

const SEED: Seed = Seed::from_u64(9);

/// Limits low enough to be passed by short tests.
fn packing() -> Packing {
    Packing {
        set_ints_max: 20,
        set_entries_max: 12,
        set_value_max: 8,
        ..Packing::with_seed(SEED)
    }
}

fn member(text: &[u8]) -> Member<'_> {
    Member::new(text, &SEED)
}

fn text(item: Item<'_>) -> Vec<u8> {
    item.text(&mut IntText::default()).to_vec()
}

fn set_of<'a>(texts: impl IntoIterator<Item = &'a Vec<u8>>) -> Set {
    let mut set = Set::default();
    for text in texts {
        set.prepare(text, 1, &packing());
        set.add(member(text), &packing());
    }
    set
}

fn texts(set: SetRef<'_>) -> BTreeSet<Vec<u8>> {
    set.iter().map(text).collect()
}

fn check(set: &Set, model: &BTreeSet<Vec<u8>>) {
    assert_eq!(set.len(), model.len());
    assert_eq!(set.is_empty(), model.is_empty());
    assert_eq!(set.borrow().iter().count(), model.len());
    assert_eq!(texts(set.borrow()), *model);
    let is_in = |text: &Vec<u8>| set.borrow().contains(member(text));
    assert!(model.iter().all(is_in));
    if let Some((form, bytes)) = set.packed() {
        assert_eq!(validate(form, bytes), Some(model.len()));
        assert_eq!(texts(Set::view(form, bytes)), *model);
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-15_i64..15).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => "[a-c]{0,2}".prop_map(String::into_bytes),
        1 => "0[0-9]".prop_map(String::into_bytes),
        1 => "[a-c]{7,10}".prop_map(String::into_bytes),
    ]
}

/// Members that are visited.
#[derive(Default)]
struct Gathered(Vec<Vec<u8>>);

impl Gathered {
    fn push(&mut self, item: Item<'_>) -> Flow {
        self.0.push(text(item));
        Flow::Continue(())
    }
}

/// What a visitor sees, each once.
fn gathered(run: impl FnOnce(&mut Gathered) -> Flow) -> BTreeSet<Vec<u8>> {
    let mut visitor = Gathered::default();
    let _ = run(&mut visitor);
    let count = visitor.0.len();
    let found: BTreeSet<Vec<u8>> = visitor.0.into_iter().collect();
    assert_eq!(found.len(), count);
    found
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<Vec<u8>>),
    Remove(Vec<u8>),
    Pop(u64),
    PopMany(usize, u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(any_text(), 1..4).prop_map(Step::Add),
        1 => prop::collection::vec(any_text(), 10..30).prop_map(Step::Add),
        4 => any_text().prop_map(Step::Remove),
        2 => any::<u64>().prop_map(Step::Pop),
        1 => (0_usize..30, any::<u64>()).prop_map(|(count, seed)| Step::PopMany(count, seed)),
    ]
}

fn apply(set: &mut Set, model: &mut BTreeSet<Vec<u8>>, step: Step) {
    match step {
        Step::Add(texts) => {
            set.prepare(&texts[0], texts.len(), &packing());
            for text in texts {
                assert_eq!(set.add(member(&text), &packing()), model.insert(text));
            }
        }
        Step::Remove(text) => assert_eq!(set.remove(member(&text)), model.remove(&text)),
        Step::Pop(random) => {
            let mut taken = None;
            let was_there = set.pop(random, |item| taken = Some(text(item)));
            assert_eq!(was_there, !model.is_empty());
            assert!(taken.is_none_or(|taken| model.remove(&taken)));
        }
        Step::PopMany(count, seed) => {
            let expected = count.min(model.len());
            let mut taken = Vec::new();
            let mut rng = Rng::from_seed(seed);
            set.pop_many(count, &mut rng, &packing(), |item| taken.push(text(item)));
            assert_eq!(taken.len(), expected);
            assert!(taken.iter().all(|taken| model.remove(taken)));
        }
    }
}

proptest! {
    #[test]
    fn any_changes_match_the_model(steps in prop::collection::vec(any_step(), 1..60)) {
        let (mut set, mut model) = (Set::default(), BTreeSet::new());
        for step in steps {
            apply(&mut set, &mut model, step);
            check(&set, &model);
            check(&set.duplicate(), &model);
        }
    }

    #[test]
    fn algebra_matches_the_model(
        groups in prop::collection::vec(prop::collection::vec(any_text(), 0..40), 1..6),
    ) {
        let models: Vec<BTreeSet<Vec<u8>>> =
            groups.iter().map(|group| group.iter().cloned().collect()).collect();
        let sets: Vec<Set> = groups.iter().map(set_of).collect();
        let views: Vec<SetRef<'_>> = sets.iter().map(Set::borrow).collect();
        let limits = packing();
        let all = models.iter().flatten().cloned().collect::<BTreeSet<_>>();
        let in_all = |text: &&Vec<u8>| models.iter().all(|model| model.contains(*text));
        let common = all.iter().filter(in_all).cloned().collect::<BTreeSet<_>>();
        let in_others = |text: &&Vec<u8>| !models[1..].iter().any(|model| model.contains(*text));
        let rest = models[0].iter().filter(in_others).cloned().collect::<BTreeSet<_>>();
        let found =
            gathered(|visit| intersect(&mut views.clone(), &limits, |item| visit.push(item)));
        prop_assert_eq!(found, common);
        let found = gathered(|visit| unite(&mut views.clone(), &limits, |item| visit.push(item)));
        prop_assert_eq!(found, all.clone());
        check(&union_set(&views, &limits), &all);
        let found =
            gathered(|visit| subtract(views[0], &views[1..], &limits, |item| visit.push(item)));
        prop_assert_eq!(found, rest);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        for form in [crate::Form::Ints, crate::Form::Set] {
            if let Some(count) = validate(form, &bytes) {
                prop_assert_eq!(texts(Set::view(form, &bytes)).len(), count);
            }
        }
    }
}

/// As in Redis 8.2.3, with its default limits.
#[test]
fn forms_change_where_those_of_redis_do() {
    let limits = Packing::with_seed(SEED);
    let add = |set: &mut Set, texts: &[String]| {
        set.prepare(texts[0].as_bytes(), texts.len(), &limits);
        for text in texts {
            set.add(member(text.as_bytes()), &limits);
        }
        set.encoding()
    };
    let numbers = |range: std::ops::Range<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    let words = |range: std::ops::Range<u32>| range.map(|n| format!("w{n}")).collect::<Vec<_>>();

    let mut set = Set::default();
    assert_eq!(add(&mut set, &numbers(0..512)), "intset");
    assert_eq!(add(&mut set, &numbers(512..513)), "hashtable");
    assert_eq!(add(&mut Set::default(), &numbers(0..513)), "hashtable");
    let mut set = Set::default();
    assert_eq!(add(&mut set, &words(0..128)), "listpack");
    assert_eq!(add(&mut set, &words(0..128)), "listpack");
    assert_eq!(add(&mut set.duplicate(), &words(0..129)), "hashtable");
    assert_eq!(add(&mut set, &words(128..129)), "hashtable");
    let mut set = Set::default();
    add(&mut set, &numbers(0..127));
    assert_eq!(add(&mut set, &words(0..1)), "listpack");
    assert_eq!(add(&mut set, &words(1..2)), "hashtable");
    let mut set = Set::default();
    add(&mut set, &numbers(0..128));
    assert_eq!(add(&mut set, &words(0..1)), "hashtable");
    assert_eq!(add(&mut Set::default(), &["x".repeat(64)]), "listpack");
    assert_eq!(add(&mut Set::default(), &["x".repeat(65)]), "hashtable");
}

fn chi_square(drawn: &BTreeMap<Vec<u8>, u64>, members: u64, mean: f64) -> f64 {
    let missed = members - drawn.len() as u64;
    let square = |&count: &u64| (count as f64 - mean).powi(2) / mean;
    drawn.values().map(square).sum::<f64>() + missed as f64 * mean
}

/// Five standard deviations of chi-square with so many members.
fn is_fair(chi: f64, members: u64) -> bool {
    let freedom = members as f64 - 1.0;
    (chi - freedom).abs() <= 5.0 * (2.0 * freedom).sqrt()
}

#[test]
fn every_member_is_chosen_as_often_as_the_others() {
    let mut rng = Rng::from_seed(5);
    let limits = Packing::with_seed(SEED);
    let sets: [Vec<Vec<u8>>; 3] = [
        (0..60).map(|n: i32| n.to_string().into_bytes()).collect(),
        (0..60).map(|n| format!("w{n}").into_bytes()).collect(),
        (0..300).map(|n| format!("w{n}").into_bytes()).collect(),
    ];
    for texts in &sets {
        let mut set = Set::default();
        for text in texts {
            set.prepare(text, 1, &limits);
            set.add(member(text), &limits);
        }
        let members = texts.len();
        // Few enough to be drawn, enough to be filtered, almost all; popped in all these ways.
        for count in [1, members / 10, members / 2, members - 3] {
            let rounds = 30 * members / count;
            let mean = (rounds * count) as f64 / members as f64;
            let (mut chosen, mut popped) = (BTreeMap::new(), BTreeMap::new());
            for _ in 0..rounds {
                let tally = |to: &mut BTreeMap<Vec<u8>, u64>, item: Item<'_>| {
                    *to.entry(text(item)).or_default() += 1;
                };
                let mut found = 0;
                set.borrow().choose(count, &mut rng, |item| {
                    tally(&mut chosen, item);
                    found += 1;
                });
                assert_eq!(found, count);
                let mut copy = set.duplicate();
                copy.pop_many(count, &mut rng, &limits, |item| tally(&mut popped, item));
            }
            for drawn in [chosen, popped] {
                // Drawing without repetition varies less than chi-square says.
                let chi = chi_square(&drawn, members as u64, mean);
                let freedom = members as f64 - 1.0;
                assert!(
                    chi <= freedom + 5.0 * (2.0 * freedom).sqrt(),
                    "{count}: {chi}"
                );
            }
        }
        let mut drawn = BTreeMap::new();
        let draws = 50 * members as u64;
        set.borrow().draw(draws, &mut rng, |item| {
            *drawn.entry(text(item)).or_default() += 1;
        });
        let chi = chi_square(&drawn, members as u64, 50.0);
        assert!(is_fair(chi, members as u64), "{chi}");
    }
}

#[test]
fn taking_most_out_of_a_table_leaves_a_packed_run() {
    let limits = Packing::with_seed(SEED);
    let mut set = Set::default();
    for number in 0..1_000 {
        let text = format!("w{number}");
        set.prepare(text.as_bytes(), 1, &limits);
        set.add(member(text.as_bytes()), &limits);
    }
    let mut rng = Rng::from_seed(2);
    set.pop_many(500, &mut rng, &limits, |_| {});
    assert_eq!((set.len(), set.encoding()), (500, "hashtable"));
    set.pop_many(450, &mut rng, &limits, |_| {});
    assert_eq!((set.len(), set.encoding()), (50, "listpack"));
    set.pop_many(90, &mut rng, &limits, |_| {});
    assert!(set.is_empty());
}
