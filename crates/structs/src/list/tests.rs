//! Lists against a deque of texts, with small and large nodes, compressed and not.

use std::collections::VecDeque;

use base::hash::Seed;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn packing(list_node_max: i32, list_compress_depth: u32) -> Packing {
    Packing {
        list_node_max,
        list_compress_depth,
        ..Packing::with_seed(Seed::from_u64(1))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(End, Vec<Vec<u8>>),
    Pop(End, usize),
    Replace(usize, Vec<u8>),
    Insert(Side, usize, Vec<u8>),
    Remove(End, usize, usize),
    Limits(i32, u32, usize),
}

/// Texts: mostly short, some equal, some that fill a node or exceed it.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..40_u8).prop_map(|n| n.to_string().into_bytes()),
        3 => vec(prop::sample::select(&b"ab"[..]), 0..3),
        3 => (any::<u8>(), 0..900_usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u8>(), 3000..5000_usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u8>(), 8100..8300_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(&[End::Head, End::Tail][..])
}

fn op() -> impl Strategy<Value = Op> {
    let side = prop::sample::select(&[Side::Before, Side::After][..]);
    let limits = prop::sample::select(&[-1, -2, 0, 1, 2, 5, 40][..]);
    prop_oneof![
        8 => (end(), vec(text(), 1..20)).prop_map(|(end, texts)| Op::Push(end, texts)),
        4 => (end(), 0..30_usize).prop_map(|(end, count)| Op::Pop(end, count)),
        4 => (any::<usize>(), text()).prop_map(|(index, text)| Op::Replace(index, text)),
        4 => (side, any::<usize>(), text())
            .prop_map(|(side, index, text)| Op::Insert(side, index, text)),
        2 => (end(), any::<usize>(), 1..4_usize)
            .prop_map(|(end, index, max)| Op::Remove(end, index, max)),
        1 => (limits, 0..3_u32, prop::sample::select(&[0, 0, 1, 2, 300][..]))
            .prop_map(|(max, depth, single)| Op::Limits(max, depth, single)),
    ]
}

type Model = VecDeque<Vec<u8>>;

fn push(model: &mut Model, end: End, text: &[u8]) {
    match end {
        End::Head => model.push_front(text.to_vec()),
        End::Tail => model.push_back(text.to_vec()),
    }
}

fn apply(op: &Op, list: &mut List, model: &mut Model, packing: &mut Packing) {
    match op {
        Op::Push(end, texts) => {
            list.push(*end, texts.iter().map(Vec::as_slice), packing);
            texts.iter().for_each(|text| push(model, *end, text));
        }
        Op::Pop(end, count) => {
            list.pop(*end, *count, packing);
            for _ in 0..*count {
                match end {
                    End::Head => model.pop_front(),
                    End::Tail => model.pop_back(),
                };
            }
        }
        Op::Replace(index, text) if !model.is_empty() => {
            let index = index % model.len();
            list.replace(index, text, packing);
            model[index].clone_from(text);
        }
        Op::Insert(side, index, text) => {
            let missing = b"no such element".to_vec();
            let pivot = model.get(index % (model.len() + 1)).unwrap_or(&missing);
            let pivot = pivot.clone();
            let found = model.iter().position(|it| *it == pivot);
            assert_eq!(list.insert(*side, &pivot, text, packing), found.is_some());
            if let Some(at) = found {
                model.insert(at + usize::from(*side == Side::After), text.clone());
            }
        }
        Op::Remove(end, index, max) if !model.is_empty() => {
            let wanted = model[index % model.len()].clone();
            let mut indexes: Vec<usize> =
                (0..model.len()).filter(|&i| model[i] == wanted).collect();
            if *end == End::Head {
                indexes.reverse();
            }
            let keep = indexes.len().saturating_sub(*max);
            let mut gone = indexes.split_off(keep);
            gone.sort_unstable();
            assert_eq!(list.remove(&wanted, *max, *end, packing), gone.len());
            gone.into_iter().rev().for_each(|index| {
                model.remove(index);
            });
        }
        Op::Replace(..) | Op::Remove(..) => {}
        Op::Limits(max, depth, single) => {
            packing.list_single_bytes_min = *single;
            packing.list_node_max = *max;
            packing.list_compress_depth = *depth;
        }
    }
}

fn read(list: ListRef<'_>, from: End, skip: usize, count: usize) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    list.for_each(from, skip, count, |element| {
        texts.push(element.text(&mut [0; 20]).to_vec());
    });
    texts
}

fn check(list: &List, model: &Model) {
    let view = list.borrow();
    assert_eq!(list.len(), model.len());
    let forwards: Vec<Vec<u8>> = model.iter().cloned().collect();
    let backwards: Vec<Vec<u8>> = model.iter().rev().cloned().collect();
    assert_eq!(read(view, End::Head, 0, usize::MAX), forwards);
    assert_eq!(read(view, End::Tail, 0, usize::MAX), backwards);
    for skip in [1, model.len() / 3, model.len() / 2, model.len()] {
        let range = skip.min(model.len())..model.len().min(skip + 5);
        assert_eq!(read(view, End::Head, skip, 5), forwards[range.clone()]);
        assert_eq!(read(view, End::Tail, skip, 5), backwards[range]);
    }
    let element = |text: Option<&Vec<u8>>| text.map(|text| Element::of(text).text_len());
    assert_eq!(
        view.end(End::Head).map(Element::text_len),
        element(model.front())
    );
    assert_eq!(
        view.end(End::Tail).map(Element::text_len),
        element(model.back())
    );
    for wanted in model.iter().take(3) {
        for (from, texts) in [(End::Head, &forwards), (End::Tail, &backwards)] {
            let expected = (0..texts.len()).filter(|&index| texts[index] == *wanted);
            let mut found = Vec::new();
            view.search(Element::of(wanted), from, usize::MAX, |index| {
                found.push(index);
                true
            });
            assert!(expected.eq(found));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_a_deque(ops in vec(op(), 0..60), max in -2..4_i32, depth in 0..2_u32) {
        let mut packing = packing(max, depth);
        let (mut list, mut model) = (List::default(), Model::new());
        for op in &ops {
            // Lists made under other limits keep their nodes: begin anew.
            if let Op::Limits(..) = op {
                (list, model) = (List::default(), Model::new());
            }
            apply(op, &mut list, &mut model, &mut packing);
            list.invariants(&packing);
            check(&list, &model);
        }
        let copy = list.duplicate();
        copy.invariants(&packing);
        check(&copy, &model);
        let elements = model.iter().map(|text| Element::of(text));
        let made = List::from_elements(elements, &packing);
        made.invariants(&packing);
        check(&made, &model);
    }

    #[test]
    fn limits_may_change_while_a_list_lives(ops in vec(op(), 0..60)) {
        let mut packing = packing(-2, 0);
        let (mut list, mut model) = (List::default(), Model::new());
        for op in &ops {
            apply(op, &mut list, &mut model, &mut packing);
            check(&list, &model);
        }
    }
}

/// `count` texts of 16 bytes.
fn sixteens(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|n| format!("element:{n:08}").into_bytes())
}

#[test]
fn nodes_are_full_and_tight() {
    let packing = packing(-2, 0);
    for end in [End::Head, End::Tail] {
        let mut list = List::default();
        for text in sixteens(100_000) {
            list.push(end, std::iter::once(&text[..]), &packing);
        }
        // 18 bytes each and 454 in a node, as in Redis, whose node takes 8192 + 32 bytes.
        let List::Long(nodes) = &list else {
            panic!("long");
        };
        assert_eq!(nodes.node_count(), 100_000_usize.div_ceil(454));
        let per_element = list.allocated() as f64 / 100_000.0;
        assert!(per_element < 18.2, "{per_element}");
    }
}

#[test]
fn long_lists_become_packed_again_below_half_a_node() {
    let packing = packing(-2, 0);
    let mut list = List::default();
    let texts: Vec<Vec<u8>> = sixteens(455).collect();
    for text in &texts {
        list.push(End::Tail, std::iter::once(&text[..]), &packing);
        let long = list.len() > 454;
        assert_eq!(list.encoding() == "quicklist", long, "{}", list.len());
    }
    while list.encoding() == "quicklist" {
        list.pop(End::Tail, 1, &packing);
    }
    // 227 times 18 bytes and the frame are at most 4096.
    assert_eq!(list.len(), 227);
}

#[test]
fn compression_saves_memory() {
    let mut sizes = Vec::new();
    for depth in [0, 1] {
        let packing = packing(-2, depth);
        let mut list = List::default();
        for text in sixteens(10_000) {
            list.push(End::Tail, std::iter::once(&text[..]), &packing);
        }
        list.invariants(&packing);
        let all: Vec<Vec<u8>> = sixteens(10_000).collect();
        assert_eq!(read(list.borrow(), End::Head, 0, usize::MAX), all);
        sizes.push(list.allocated());
    }
    assert!(sizes[1] * 2 < sizes[0], "{sizes:?}");
}
