//! Packed sorted sets from outside: what passes the check can be read in both directions, searched,
//! changed and turned into a tree; what does not is refused without a panic.
//!
//! The first bytes choose a member and a score, the rest is the body.
//! `cargo +nightly fuzz run zset`

#![no_main]

use std::collections::HashSet;

use base::hash::Seed;
use libfuzzer_sys::fuzz_target;
use structs::packed::IntText;
use structs::zset::{Cut, Entries, Zset, ZsetRef, validate};
use structs::{Collection, Form, Member, Packing};

/// Bytes of an input before the body.
const CHOICES: usize = 10;

fn texts(entries: Entries<'_>) -> Vec<(Vec<u8>, f64)> {
    entries
        .map(|(member, score)| (member.text(&mut IntText::default()).to_vec(), score))
        .collect()
}

/// Reads a set in every way there is.
fn read(view: ZsetRef<'_>, model: &[(Vec<u8>, f64)], packing: &Packing) {
    assert_eq!(view.len(), model.len());
    assert_eq!(texts(view.iter()), model);
    let mut backwards = texts(view.range_back(0..model.len()));
    backwards.reverse();
    assert_eq!(backwards, model);
    for (rank, (text, score)) in model.iter().enumerate().take(32) {
        let member = Member::new(text, &packing.seed);
        assert_eq!(view.rank(member), Some((rank, *score)));
        assert_eq!(texts(view.range(rank..model.len())), model[rank..]);
        let below = model.iter().filter(|entry| entry.1 < *score).count();
        assert_eq!(view.count_before(Cut::BelowScore(*score)), below);
        assert_eq!(texts(view.before(Cut::BelowScore(*score))).len(), below);
        assert_eq!(texts(view.after(Cut::BelowScore(*score))), model[below..]);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, ref score @ ..], body)) = input.split_first_chunk::<CHOICES>() else {
        return;
    };
    let Some(count) = validate(body) else {
        return;
    };
    let packing = Packing::with_seed(Seed::from_u64(1));
    let mut zset = Zset::from_packed(Form::Zset, body.to_vec());
    let mut model = texts(zset.borrow().iter());
    assert_eq!(model.len(), count);
    let names: HashSet<&[u8]> = model.iter().map(|(text, _)| &text[..]).collect();
    if names.len() < count {
        return;
    }
    read(zset.borrow(), &model, &packing);
    let score = f64::from_le_bytes(*score);
    let score = if score.is_nan() { 0.5 } else { score };
    let name = [a, b];
    let member = Member::new(&name[..usize::from(a % 3).min(2)], &packing.seed);
    zset.upsert(member, &packing, |_| Some(score));
    model.retain(|(text, _)| text != member.bytes);
    let at = model.partition_point(|(text, other)| (*other, &text[..]) < (score, member.bytes));
    model.insert(at, (member.bytes.to_vec(), score));
    read(zset.borrow(), &model, &packing);
    if let Some((_, body)) = zset.packed() {
        assert_eq!(validate(body), Some(model.len()));
    }
    let trees_only = Packing {
        zset_entries_max: 0,
        ..packing
    };
    let longest = model.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
    let entries = model.iter().map(|(text, score)| (Member::new(text, &packing.seed), *score));
    let tree = Zset::from_sorted(&trees_only, model.len(), longest, entries);
    read(tree.borrow(), &model, &packing);
    zset.reserve(packing.zset_entries_max + 1, 0, &packing);
    read(zset.borrow(), &model, &packing);
    for (text, score) in &model {
        assert_eq!(zset.remove(Member::new(text, &packing.seed)), Some(*score));
    }
    assert!(zset.is_empty());
});
