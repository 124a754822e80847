//! Lists over nodes: an input is limits and a program of pushes, pops, replacements, insertions,
//! removals and trims, run on a list and on a deque of texts, which must agree after every step.
//! Nodes fill up, split, merge and are compressed on the way. Then the input again as something
//! compressed, which is unpacked or refused.
//!
//! `cargo +nightly fuzz run list`

#![no_main]

use std::collections::VecDeque;

use base::hash::Seed;
use libfuzzer_sys::fuzz_target;
use structs::list::{End, List, Side};
use structs::packed::IntText;
use structs::{Collection, Packing, lzf};

type Model = VecDeque<Vec<u8>>;

/// What unpacking may give, in bytes.
const UNPACKED_MAX: usize = 1 << 16;
/// Steps of a program.
const STEPS_MAX: usize = 64;

/// A text: numbers, short words, and some that fill much of a node.
fn text(a: u8, b: u8) -> Vec<u8> {
    match a % 8 {
        0..3 => b.to_string().into_bytes(),
        3 => (i64::from(b) << (b % 60)).to_string().into_bytes(),
        4 | 5 => vec![b; usize::from(a)],
        6 => vec![b; usize::from(a) * 16],
        _ => vec![b; usize::from(a) * 40],
    }
}

fn end(byte: u8) -> End {
    if byte & 1 == 0 { End::Head } else { End::Tail }
}

fn compare(list: &List, model: &Model) {
    let view = list.borrow();
    assert_eq!(view.len(), model.len());
    for from in [End::Head, End::Tail] {
        let mut seen = Vec::with_capacity(model.len());
        let mut text = IntText::default();
        view.for_each(from, 0, usize::MAX, |it| seen.push(it.text(&mut text).to_vec()));
        if from == End::Tail {
            seen.reverse();
        }
        assert!(seen.iter().eq(model));
    }
}

fn step(op: &[u8; 4], list: &mut List, model: &mut Model, packing: &mut Packing) {
    let [kind, a, b, c] = *op;
    let text = text(a, b);
    match kind % 10 {
        0..4 => {
            for _ in 0..=c % 8 {
                list.push(end(kind), [&text[..]].into_iter(), packing);
                match end(kind) {
                    End::Head => model.push_front(text.clone()),
                    End::Tail => model.push_back(text.clone()),
                }
            }
        }
        4 => {
            list.pop(end(a), usize::from(c), packing);
            for _ in 0..c {
                let _ = match end(a) {
                    End::Head => model.pop_front(),
                    End::Tail => model.pop_back(),
                };
            }
        }
        5 if !model.is_empty() => {
            let index = usize::from(c) % model.len();
            list.replace(index, &text, packing);
            model[index] = text;
        }
        6 => {
            let side = if b & 1 == 0 { Side::Before } else { Side::After };
            let pivot = model.get(usize::from(c) % (model.len() + 1));
            let pivot = pivot.cloned().unwrap_or_else(|| b"nothing".to_vec());
            let at = model.iter().position(|it| *it == pivot);
            assert_eq!(list.insert(side, &pivot, &text, packing), at.is_some());
            if let Some(at) = at {
                model.insert(at + usize::from(side == Side::After), text);
            }
        }
        7 if !model.is_empty() => {
            let wanted = model[usize::from(c) % model.len()].clone();
            let removed = list.remove(&wanted, usize::MAX, end(a), packing);
            let before = model.len();
            model.retain(|it| *it != wanted);
            assert_eq!(removed, before - model.len());
        }
        8 => {
            let (first, kept) = (usize::from(b % 16), usize::from(c));
            list.trim(first, kept, packing);
            *model = model.iter().skip(first).take(kept).cloned().collect();
        }
        _ => {
            packing.list_node_max = [-1, -2, -5, 0, 1, 3, 30][usize::from(a % 7)];
            packing.list_compress_depth = u32::from(b % 3);
            packing.list_single_bytes_min = [0, 0, 1, 300][usize::from(c % 4)];
        }
    }
}

fn unpack(input: &[u8]) {
    let mut out = Vec::new();
    if let Some((head, rest)) = input.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*head));
        if lzf::decompress(rest, len, &mut out).is_some() {
            assert_eq!(out.len(), len);
        }
        assert!(out.len() <= UNPACKED_MAX);
    }
    let mut compressed = Vec::new();
    assert!(lzf::compress(input, usize::MAX, &mut compressed));
    out.clear();
    lzf::decompress(&compressed, input.len(), &mut out).expect("made by compress");
    assert_eq!(out, input);
}

fuzz_target!(|input: &[u8]| {
    unpack(input);
    let mut packing = Packing::with_seed(Seed::from_u64(1));
    let (mut list, mut model) = (List::default(), Model::new());
    for op in input.as_chunks::<4>().0.iter().take(STEPS_MAX) {
        step(op, &mut list, &mut model, &mut packing);
        compare(&list, &model);
    }
    compare(&list.duplicate(), &model);
});
