//! Arrays against a sorted map.

use super::*;
use proptest::prelude::*;

/// The values of a range, as `visit` shows them.
fn shown(array: &Array, from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
    let mut shown = Vec::new();
    let flow = array.visit(from, to, |index, value| {
        shown.push((index, value.bytes(&mut [0; I64_TEXT_MAX]).to_vec()));
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    shown
}

#[derive(Clone, Debug)]
enum Step {
    Set(u64, Vec<u8>),
    Fill(u64, u16),
    Remove(u64),
    RemoveRange(u64, u64),
}

fn index() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..40_u64,
        4080..4110_u64,
        0..20_000_u64,
        Just(INDEX_MAX),
        Just(INDEX_MAX - 4096),
        any::<u64>().prop_map(|index| index.min(INDEX_MAX)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        Just(b"12".to_vec()),
        Just(b"-0".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop_oneof![
        4 => (index(), value).prop_map(|(index, value)| Step::Set(index, value)),
        1 => (0..9000_u64, 1..300_u16).prop_map(|(index, count)| Step::Fill(index, count)),
        2 => index().prop_map(Step::Remove),
        1 => (index(), index()).prop_map(|(a, b)| Step::RemoveRange(a.min(b), a.max(b))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_array_is_a_map(steps in prop::collection::vec(step(), 1..60)) {
        let (mut array, mut model) = (Array::default(), BTreeMap::<u64, Vec<u8>>::new());
        for step in steps {
            match step {
                Step::Set(index, value) => {
                    let is_new = array.set(index, &value);
                    prop_assert_eq!(is_new, model.insert(index, value).is_none());
                }
                Step::Fill(start, count) => {
                    for index in start..start + u64::from(count) {
                        array.set(index, b"filled");
                        model.insert(index, b"filled".to_vec());
                    }
                }
                Step::Remove(index) => {
                    prop_assert_eq!(array.remove(index), model.remove(&index).is_some());
                }
                Step::RemoveRange(start, end) => {
                    let before = model.len();
                    model.retain(|index, _| !(start..=end).contains(index));
                    prop_assert_eq!(array.remove_range(start..=end), (before - model.len()) as u64);
                }
            }
            array.invariants();
            prop_assert_eq!(array.count(), model.len() as u64);
            prop_assert_eq!(array.end(), model.keys().next_back().map_or(0, |last| last + 1));
            prop_assert_eq!(array.is_empty(), model.is_empty());
        }
        let all: Vec<(u64, Vec<u8>)> = model.clone().into_iter().collect();
        prop_assert_eq!(&shown(&array, 0, u64::MAX), &all);
        let backwards: Vec<_> = all.into_iter().rev().collect();
        prop_assert_eq!(&shown(&array.duplicate(), u64::MAX, 0), &backwards);
        for (from, to) in [(0, 0), (5, 30), (30, 5), (4000, 4200), (9000, 100), (INDEX_MAX, 20)] {
            let range = from.min(to)..=from.max(to);
            let mut part: Vec<_> = model.range(range).map(|(k, v)| (*k, v.clone())).collect();
            if to < from {
                part.reverse();
            }
            prop_assert_eq!(shown(&array, from, to), part);
        }
        for index in (0..50).chain([4095, 4096, INDEX_MAX]) {
            let held = array.get(index).map(|value| value.bytes(&mut [0; I64_TEXT_MAX]).to_vec());
            prop_assert_eq!(held.as_ref(), model.get(&index));
        }
    }
}

#[test]
fn a_full_stretch_is_dense_and_a_thinned_one_sparse() {
    let mut array = Array::default();
    (0..4096).for_each(|index| _ = array.set(index, b"x"));
    let stats = array.slice_stats();
    assert_eq!(
        (stats.dense, stats.dense_cells, stats.dense_values),
        (1, 4096, 4096)
    );
    (0..4096)
        .filter(|index| index % 8 > 0)
        .for_each(|index| _ = array.remove(index));
    array.invariants();
    let stats = array.slice_stats();
    assert_eq!((stats.dense, stats.sparse, array.count()), (0, 1, 512));
    // Backwards it is as cheap.
    let mut array = Array::default();
    (0..4096).rev().for_each(|index| _ = array.set(index, b"x"));
    assert_eq!(array.slice_stats().dense_cells, 4096);
}

#[test]
fn a_visit_can_end_early() {
    let mut array = Array::default();
    (0..100).for_each(|index| _ = array.set(index * 1000, b"x"));
    let mut seen = 0;
    let flow = array.visit(0, u64::MAX, |_, _| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(flow.is_break() && seen == 3);
}
