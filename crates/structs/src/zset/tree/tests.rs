//! The tree against a sorted vector, with its invariants checked after every step.

use proptest::prelude::*;

use super::super::inner::CHILDREN_MAX;
use super::*;

const SEED: Seed = Seed::from_u64(7);

/// A member of the tests' sets: short, 8-byte-prefixed, or longer than a leaf keeps.
fn name(number: u16) -> Vec<u8> {
    match number % 11 {
        0 => format!("a common and long prefix {number}").into_bytes(),
        1 => vec![b'l'; 250 + usize::from(number) / 8],
        2 => Vec::from(number.to_be_bytes()),
        3 if number < 100 => vec![0; usize::from(number)],
        _ => number.to_string().into_bytes(),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(u16, f64),
    Remove(u16),
    RemoveRanks(u16, u16),
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0..20_i32).prop_map(f64::from),
        4 => any::<f64>().prop_filter("no NaN", |score| !score.is_nan()),
        1 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

fn ops(names: u16) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..names, score()).prop_map(|(name, score)| Op::Set(name, score)),
        3 => (0..names).prop_map(Op::Remove),
    ];
    prop::collection::vec(op, 1..400)
}

/// Entries in the order that the tree should have.
#[derive(Default)]
struct Model(Vec<(f64, Vec<u8>)>);

impl Model {
    fn set(&mut self, member: &[u8], score: f64) {
        self.0.retain(|(_, other)| other != member);
        let before = |entry: &(f64, Vec<u8>)| (entry.0, &entry.1[..]) < (score, member);
        let at = self.0.partition_point(before);
        self.0.insert(at, (score, member.to_vec()));
    }
}

fn apply(tree: &mut Tree, model: &mut Model, op: &Op) {
    match *op {
        Op::Set(number, score) => {
            let bytes = name(number);
            let member = Member::new(&bytes, &SEED);
            match tree.find(member) {
                Some(place) => tree.update(place, member, score),
                None => tree.insert(member, score),
            }
            model.set(&bytes, score);
        }
        Op::Remove(number) => {
            let bytes = name(number);
            let member = Member::new(&bytes, &SEED);
            let place = tree.find(member);
            assert_eq!(place.is_some(), model.0.iter().any(|e| e.1 == bytes));
            if let Some(place) = place {
                tree.remove(place, member);
            }
            model.0.retain(|(_, other)| *other != bytes);
        }
        Op::RemoveRanks(start, end) => {
            let len = model.0.len();
            let (start, end) = (usize::from(start) % (len + 1), usize::from(end) % (len + 1));
            let range = start.min(end)..start.max(end);
            tree.remove_ranks(range.clone());
            model.0.drain(range);
        }
    }
}

fn same_score(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

fn count_before(tree: &Tree, cut: Cut<'_>) -> usize {
    tree.rank(tree.seek(cut))
}

/// All the ways of reading agree with the model.
fn compare(tree: &Tree, model: &Model) {
    assert_eq!(tree.len(), model.0.len());
    let forward: Vec<_> = tree.forward(tree.select(0), usize::MAX).collect();
    let mut backward: Vec<_> = tree.backward(tree.select(tree.len()), usize::MAX).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), model.0.len());
    for (rank, (score, bytes)) in model.0.iter().enumerate() {
        assert_eq!(forward[rank].0, bytes);
        assert!(same_score(forward[rank].1, *score));
        let place = tree.find(Member::new(bytes, &SEED)).expect("a member");
        assert_eq!(tree.rank(place), rank);
        assert_eq!(tree.select(rank), place);
    }
    for score in [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 3.0, 7.5, f64::INFINITY] {
        let below = model.0.iter().filter(|e| e.0 < score).count();
        let up_to = model.0.iter().filter(|e| e.0 <= score).count();
        assert_eq!(count_before(tree, Cut::BelowScore(score)), below);
        assert_eq!(count_before(tree, Cut::AboveScore(score)), up_to);
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut position = 0;
    loop {
        position = tree.scan(position, 5, |member, _| {
            seen.insert(member.to_vec());
        });
        if position == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), model.0.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn as_a_sorted_vector(
        ops in ops(300),
        bulk in prop::collection::vec((any::<u16>(), any::<u16>()), 0..6),
    ) {
        let (mut tree, mut model) = (Tree::new(SEED), Model::default());
        for op in &ops {
            apply(&mut tree, &mut model, op);
            tree.invariants();
        }
        compare(&tree, &model);
        for (start, end) in bulk {
            apply(&mut tree, &mut model, &Op::RemoveRanks(start, end));
            tree.invariants();
            compare(&tree, &model);
        }
    }

    #[test]
    fn by_member(
        mut names in prop::collection::btree_set(any::<u16>().prop_map(name), 1..600),
        cut: u16,
    ) {
        let mut tree = Tree::new(SEED);
        for bytes in &names {
            tree.insert(Member::new(bytes, &SEED), 1.5);
        }
        let cut = name(cut);
        let below = names.range(..cut.clone()).count();
        let up_to = below + usize::from(names.contains(&cut));
        prop_assert_eq!(count_before(&tree, Cut::BelowMember(&cut)), below);
        prop_assert_eq!(count_before(&tree, Cut::AboveMember(&cut)), up_to);
        prop_assert_eq!(count_before(&tree, Cut::BelowMember(b"")), 0);
        names.insert(cut);
    }

    #[test]
    fn built_from_sorted_entries(count in 0..3000_u32) {
        let names: Vec<_> = (0..count).map(|number| format!("{number:08}").into_bytes()).collect();
        let members = names.iter().map(|name| (Member::new(name, &SEED), 1.0));
        let tree = Tree::from_sorted(SEED, names.len(), members);
        tree.invariants();
        let model = Model(names.iter().map(|name| (1.0, name.clone())).collect());
        compare(&tree, &model);
        let leaves = (names.len().max(1)).div_ceil(ENTRIES_MAX);
        prop_assert_eq!(tree.leaves.len(), leaves);
    }
}

/// Numbers below `bound` in an order without pattern.
fn shuffled(bound: u32) -> impl Iterator<Item = u32> {
    let mut rng = base::rng::Rng::from_seed(u64::from(bound));
    let mut numbers: Vec<u32> = (0..bound).collect();
    for at in (1..numbers.len()).rev() {
        numbers.swap(at, rng.below(at as u64 + 1) as usize);
    }
    numbers.into_iter()
}

#[test]
fn three_levels_grow_and_shrink() {
    let count = 20_000;
    let (mut tree, mut sum) = (Tree::new(SEED), 0);
    for (step, number) in shuffled(count).enumerate() {
        let bytes = format!("member:{number:09}");
        tree.insert(Member::new(bytes.as_bytes(), &SEED), f64::from(number));
        if step % (count as usize / 8) == 0 {
            tree.invariants();
        }
    }
    tree.invariants();
    for (step, number) in shuffled(count).enumerate() {
        let bytes = format!("member:{number:09}");
        let member = Member::new(bytes.as_bytes(), &SEED);
        let place = tree.find(member).expect("a member");
        sum += tree.rank(place);
        tree.remove(place, member);
        if step % (count as usize / 8) == 0 {
            tree.invariants();
        }
    }
    tree.invariants();
    assert!(sum > 0 && tree.len() == 0);
    assert_eq!((tree.leaves.len(), tree.inners.len()), (1, 0));
    tree.insert(Member::new(b"again", &SEED), 1.0);
    tree.invariants();
}

#[test]
fn ends_of_the_order_fill_leaves() {
    for backwards in [false, true] {
        let mut tree = Tree::new(SEED);
        for number in 0..10_000_u32 {
            let bytes = format!("{number:08}");
            let score = f64::from(number) * if backwards { -1.0 } else { 1.0 };
            tree.insert(Member::new(bytes.as_bytes(), &SEED), score);
        }
        tree.invariants();
        assert!(tree.leaves.len() <= 10_000 / ENTRIES_MAX + 1);
    }
}

#[test]
fn scans_see_what_stays_while_the_set_changes() {
    let mut tree = Tree::new(SEED);
    let name = |number: u32| format!("stays:{number}").into_bytes();
    for number in 0..500 {
        tree.insert(Member::new(&name(number), &SEED), 1.0);
    }
    let (mut position, mut step) = (0, 0_u32);
    let mut seen = std::collections::BTreeSet::new();
    loop {
        position = tree.scan(position, 10, |member, _| {
            seen.insert(member.to_vec());
        });
        if position == 0 {
            break;
        }
        step += 1;
        for number in 0..200 {
            let bytes = format!("goes:{}:{number}", step % 10).into_bytes();
            let member = Member::new(&bytes, &SEED);
            match tree.find(member) {
                Some(place) => tree.remove(place, member),
                None => tree.insert(member, f64::from(number)),
            }
        }
        tree.invariants();
    }
    assert!((0..500).all(|number| seen.contains(&name(number))));
}

impl Tree {
    /// Panics unless the tree is as the module's head says.
    fn invariants(&self) {
        self.index.invariants();
        let mut previous = NIL;
        let mut total = 0;
        let mut expected = Vec::new();
        let mut id = self.first;
        let mut last_entry: Option<(f64, Vec<u8>)> = None;
        while id != NIL {
            let leaf = self.leaf(id);
            leaf.invariants(&self.longs);
            assert_eq!(leaf.previous, previous);
            assert!(leaf.len() > 0 || self.height == 0);
            for at in 0..leaf.len() {
                let (member, score) = self.entry(Place { leaf: id, at });
                let hash = index_bits(hash_key(&SEED, member));
                assert_eq!(leaf.tag(at), hash as u8);
                expected.push((hash, id));
                let entry = (score, member.to_vec());
                assert!(last_entry.is_none_or(|last| last < entry));
                last_entry = Some(entry);
            }
            total += leaf.len();
            (previous, id) = (id, leaf.next);
        }
        assert_eq!((previous, total), (self.last, self.len));
        expected.sort_unstable();
        let mut entries = self.index.entries();
        entries.sort_unstable();
        assert_eq!(entries, expected);
        let asides = (0..self.len).filter(|&rank| {
            let place = self.select(rank);
            self.leaf(place.leaf).aside(place.at).is_some()
        });
        assert_eq!(asides.count(), self.longs.len());
        assert_eq!(self.check(self.root, self.height, NIL), self.len as u64);
    }

    /// Checks a node and those below it; returns its number of entries.
    fn check(&self, node: u32, level: u32, parent: u32) -> u64 {
        if level == 0 {
            assert_eq!(self.leaf(node).parent, parent);
            return self.leaf(node).len() as u64;
        }
        let inner = self.inner(node);
        assert_eq!(inner.parent, parent);
        assert!((1..=CHILDREN_MAX).contains(&inner.len()));
        for (at, &child) in inner.children().iter().enumerate() {
            assert_eq!(self.check(child, level - 1, node), inner.counts()[at]);
            if at > 0 {
                let separator = inner.separator(at);
                let first = self.first_entry(child, level - 1);
                let first = Separator::new(first.1, first.0);
                let before = self.last_entry(inner.children()[at - 1], level - 1);
                let before = Separator::new(before.1, before.0);
                let key = |separator: Separator| (separator.score, separator.prefix);
                assert!(key(before) <= key(separator) && key(separator) <= key(first));
            }
        }
        inner.total()
    }

    fn last_entry(&self, mut node: u32, level: u32) -> (&[u8], f64) {
        for _ in 0..level {
            node = *self.inner(node).children().last().expect("children");
        }
        let at = self.leaf(node).len() - 1;
        self.entry(Place { leaf: node, at })
    }
}
