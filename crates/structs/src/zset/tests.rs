//! Both forms of a sorted set against a sorted vector.

use base::hash::Seed;
use proptest::prelude::*;

use super::*;
use crate::packed::IntText;

const SEED: Seed = Seed::from_u64(3);

/// Sets that turn into trees at nine members or at members of twelve bytes.
fn packing() -> Packing {
    Packing {
        zset_entries_max: 8,
        zset_value_max: 11,
        ..Packing::with_seed(SEED)
    }
}

fn name(number: u8) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        1..20 => i64::from(number).pow(7).to_string().into_bytes(),
        255 => b"too long to be packed".to_vec(),
        _ => format!("m{number}").into_bytes(),
    }
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3..3_i32).prop_map(f64::from),
        2 => any::<f64>().prop_filter("no NaN", |score| !score.is_nan()),
        1 => prop::sample::select(vec![1e17, 1e19, -1e20, 0.1, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

fn texts(entries: Entries<'_>) -> Vec<(f64, Vec<u8>)> {
    entries
        .map(|(member, score)| (score, member.text(&mut IntText::default()).to_vec()))
        .collect()
}

fn compare(zset: ZsetRef<'_>, model: &[(f64, Vec<u8>)], cut: (f64, &[u8])) {
    assert_eq!(zset.len(), model.len());
    assert_eq!(zset.is_empty(), model.is_empty());
    assert_eq!(texts(zset.iter()), model);
    for (rank, (score, bytes)) in model.iter().enumerate() {
        let member = Member::new(bytes, &SEED);
        assert_eq!(zset.rank(member), Some((rank, *score)));
        assert_eq!(zset.score(member), Some(*score));
        let range = rank..model.len() - (model.len() - rank) / 2;
        let mut part = model[range.clone()].to_vec();
        assert_eq!(texts(zset.range(range.clone())), part);
        part.reverse();
        assert_eq!(texts(zset.range_back(range)), part);
    }
    let below = model.partition_point(|entry| entry.0 < cut.0);
    let up_to = model.partition_point(|entry| entry.0 <= cut.0);
    assert_eq!(zset.count_before(Cut::BelowScore(cut.0)), below);
    assert_eq!(zset.count_before(Cut::AboveScore(cut.0)), up_to);
    assert_eq!(texts(zset.after(Cut::AboveScore(cut.0))), model[up_to..]);
    let mut lower = model[..below].to_vec();
    lower.reverse();
    assert_eq!(texts(zset.before(Cut::BelowScore(cut.0))), lower);
    assert_eq!(zset.rank(Member::new(b"nobody", &SEED)), None);
    let mut seen = 0;
    assert_eq!(zset.scan(0, usize::MAX, |_, _| seen += 1), 0);
    assert!(seen >= model.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn as_a_sorted_vector(
        ops in prop::collection::vec((any::<u8>(), score(), 0..10_u8), 1..60),
        limit in 0..255_u8,
    ) {
        let packing = packing();
        let (mut zset, mut model) = (Zset::default(), Vec::new());
        for (number, score, op) in ops {
            let bytes = name(number.min(limit));
            let member = Member::new(&bytes, &SEED);
            let old = model.iter().position(|entry: &(f64, Vec<u8>)| entry.1 == bytes);
            if op < 7 {
                zset.upsert(member, &packing, |found| {
                    assert_eq!(found, old.map(|at| model[at].0));
                    Some(score)
                });
            } else {
                prop_assert_eq!(zset.remove(member), old.map(|at| model[at].0));
            }
            if let Some(at) = old {
                model.remove(at);
            }
            if op < 7 {
                let at = model.partition_point(|entry| (entry.0, &entry.1) < (score, &bytes));
                model.insert(at, (score, bytes.clone()));
            }
            compare(zset.borrow(), &model, (score, &bytes));
            if let Some((_, body)) = zset.packed() {
                prop_assert_eq!(validate(body), Some(model.len()));
            }
        }
        let members = model.iter().map(|(score, bytes)| (Member::new(bytes, &SEED), *score));
        let longest = model.iter().map(|entry| entry.1.len()).max().unwrap_or(0);
        let copy = Zset::from_sorted(&packing, model.len(), longest, members);
        prop_assert_eq!(copy.encoding() == "skiplist", model.len() > 8 || longest > 11);
        compare(copy.borrow(), &model, (0.0, b""));
        let mut rest = zset.duplicate();
        rest.remove_ranks(model.len() / 3..model.len() / 2);
        model.drain(model.len() / 3..model.len() / 2);
        compare(rest.borrow(), &model, (1.0, b"m"));
    }

    #[test]
    fn any_bytes_are_checked(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(count) = validate(&bytes) {
            prop_assert_eq!(Zset::view(Form::Zset, &bytes).iter().count(), count);
        }
        bytes.clear();
        packed::push(&mut bytes, b"b", 1.5);
        packed::push(&mut bytes, b"a", 1.5);
        prop_assert_eq!(validate(&bytes), None);
    }
}

#[test]
fn bytes_as_redis_dumps_them() {
    // DUMP of Redis 8.2.3 after ZADD z -0 a 1.5 b 1e18 c 9e18 d 0.1 e 1e-7 f, without envelope.
    let mut zset = Zset::default();
    for (member, score) in [
        ("a", -0.0),
        ("b", 1.5),
        ("c", 1e18),
        ("d", 9e18),
        ("e", 0.1),
        ("f", 1e-7),
    ] {
        let member = Member::new(member.as_bytes(), &SEED);
        zset.upsert(member, &packing(), |_| Some(score));
    }
    let expected: &[u8] = b"\x81a\x02\x00\x01\x81f\x02\x841e-7\x05\x81e\x02\x830.1\x04\x81b\x02\
        \x831.5\x04\x81c\x02\xf4\x00\x00d\xa7\xb3\xb6\xe0\r\t\x81d\x02\x859e+18\x06";
    assert_eq!(zset.packed(), Some((Form::Zset, expected)));
}

#[test]
fn many_at_once_make_a_tree() {
    for (added, longest, encoding) in [(8, 11, "listpack"), (9, 1, "skiplist"), (1, 12, "skiplist")]
    {
        let mut zset = Zset::default();
        zset.reserve(added, longest, &packing());
        assert_eq!(zset.encoding(), encoding);
    }
}
