//! Intersection, union and difference of sets in any forms.
//!
//! Each has two ways: probing the sets as they are, or making one table of several first; which one
//! is chosen by the number of probes. Members are visited as their set keeps them, each once.

use std::ops::ControlFlow;

use super::{Item, Iter, Set, SetRef};
use crate::collection::Member;
use crate::intset;
use crate::packed::IntText;
use crate::packing::Packing;
use crate::table::Table;

/// What an insert into a table costs, in probes of one.
const INSERT_COST: usize = 3;
/// Elements of a packed run that are compared in the time of a probe.
const ELEMENTS_PER_PROBE: usize = 4;
/// Integers are merged when the longer list has at most so many times the shorter one's; else the
/// shorter one's are searched for.
const MERGE_RATIO_MAX: usize = 16;

/// What a visitor returns.
pub type Flow = ControlFlow<()>;

/// Visits the members that all of `sets` have; none if there are no sets.
pub fn intersect<'a>(
    sets: &mut [SetRef<'a>],
    packing: &Packing,
    mut visit: impl FnMut(Item<'a>) -> Flow,
) -> Flow {
    sets.sort_by_cached_key(|set| set.len());
    let Some((first, others)) = sets.split_first() else {
        return Flow::Continue(());
    };
    if let SetRef::Ints(first) = first
        && let Some(others) = all_ints(others)
        && others.iter().map(ExactSizeIterator::len).max() <= Some(first.len() * MERGE_RATIO_MAX)
    {
        return intersect_ints(first.iter(), others, |value| visit(Item::Int(value)));
    }
    // Packed runs in which much is looked for are made tables.
    let wants_table =
        |set: &&SetRef<'_>| probe_cost(**set) * first.len() > INSERT_COST * set.len() + first.len();
    let wanting = others.iter().filter(wants_table);
    let tables: Vec<Table> = wanting.map(|set| table_of(&[*set], packing)).collect();
    let rest = others.iter().filter(|set| !wants_table(set)).copied();
    let others: Vec<SetRef<'_>> = tables.iter().map(SetRef::Table).chain(rest).collect();
    for item in first.iter() {
        let everywhere = others
            .iter()
            .all(|set| set.contains_item(item, &packing.seed));
        if everywhere {
            visit(item)?;
        }
    }
    Flow::Continue(())
}

/// Their integers, if all of `sets` are integers.
fn all_ints<'a>(sets: &[SetRef<'a>]) -> Option<Vec<intset::Iter<'a>>> {
    let ints = |set: &SetRef<'a>| match set {
        SetRef::Ints(ints) => Some(ints.iter()),
        SetRef::Packed(_) | SetRef::Table(_) => None,
    };
    sets.iter().map(ints).collect()
}

/// Goes through ascending integers side by side.
fn intersect_ints(
    first: intset::Iter<'_>,
    others: Vec<intset::Iter<'_>>,
    mut visit: impl FnMut(i64) -> Flow,
) -> Flow {
    let mut others: Vec<_> = others.into_iter().map(Iterator::peekable).collect();
    for value in first {
        let everywhere = others.iter_mut().all(|other| {
            while other.next_if(|&smaller| smaller < value).is_some() {}
            other.peek() == Some(&value)
        });
        if everywhere {
            visit(value)?;
        }
    }
    Flow::Continue(())
}

/// Visits the members that any of `sets` has; integers ascending if all sets are integers.
pub fn unite<'a>(
    sets: &mut [SetRef<'a>],
    packing: &Packing,
    mut visit: impl FnMut(Item<'a>) -> Flow,
) -> Flow {
    if let Some(ints) = all_ints(sets) {
        let mut values: Vec<i64> = ints.into_iter().flatten().collect();
        // Merges what is sorted already.
        values.sort();
        values.dedup();
        return values
            .into_iter()
            .try_for_each(|value| visit(Item::Int(value)));
    }
    sets.sort_by_cached_key(|set| std::cmp::Reverse(set.len()));
    let (mut probes, mut members, mut cost_before) = (0, 0, 0);
    for set in &*sets {
        probes += set.len() * cost_before;
        cost_before += probe_cost(*set);
        members += set.len();
    }
    if probes > members * INSERT_COST {
        return unite_in_table(sets, packing, visit);
    }
    for (index, set) in sets.iter().enumerate() {
        for item in set.iter() {
            let seen = sets[..index]
                .iter()
                .any(|set| set.contains_item(item, &packing.seed));
            if !seen {
                visit(item)?;
            }
        }
    }
    Flow::Continue(())
}

fn probe_cost(set: SetRef<'_>) -> usize {
    match set {
        SetRef::Packed(_) => 1 + set.len() / ELEMENTS_PER_PROBE,
        SetRef::Ints(_) | SetRef::Table(_) => 1,
    }
}

fn unite_in_table<'a>(
    sets: &[SetRef<'a>],
    packing: &Packing,
    mut visit: impl FnMut(Item<'a>) -> Flow,
) -> Flow {
    let largest = sets.iter().map(|set| set.len()).max();
    let mut all = Table::with_room(packing.seed, largest.unwrap_or(0));
    for item in sets.iter().flat_map(|set| set.iter()) {
        if insert(&mut all, item, packing) {
            visit(item)?;
        }
    }
    Flow::Continue(())
}

/// The members of all `sets` in one table.
fn table_of(sets: &[SetRef<'_>], packing: &Packing) -> Table {
    let largest = sets.iter().map(|set| set.len()).max();
    let mut all = Table::with_room(packing.seed, largest.unwrap_or(0));
    for item in sets.iter().flat_map(|set| set.iter()) {
        insert(&mut all, item, packing);
    }
    all
}

/// Adds a member to a table; whether it was not there.
fn insert(table: &mut Table, item: Item<'_>, packing: &Packing) -> bool {
    let mut digits = IntText::default();
    let member = Member::new(item.text(&mut digits), &packing.seed);
    let new = !table.contains(member);
    if new {
        table.insert(member, None, None);
    }
    new
}

/// The union as a set: all members added in the order of the sets, to integers at first.
pub fn union_set(sets: &[SetRef<'_>], packing: &Packing) -> Set {
    // With so many members it will be a table, whatever the order: begin with a copy of the
    // largest.
    let packed_max = packing.set_ints_max.max(packing.set_entries_max);
    let tables = sets
        .iter()
        .enumerate()
        .filter_map(|(index, set)| match set {
            SetRef::Table(table) if table.len() > packed_max => Some((index, *table)),
            _ => None,
        });
    let largest = tables.max_by_key(|(_, table)| table.len());
    let mut union = match largest {
        Some((_, table)) => Set::Table(Box::new(table.clone())),
        None => Set::for_integers(),
    };
    let copied = largest.map(|(index, _)| index);
    let rest = sets
        .iter()
        .enumerate()
        .filter(|(index, _)| copied != Some(*index));
    for item in rest.flat_map(|(_, set)| set.iter()) {
        union.add_item(item, packing);
    }
    union
}

/// Visits the members of `first` that none of `others` has.
pub fn subtract<'a>(
    first: SetRef<'a>,
    others: &[SetRef<'_>],
    packing: &Packing,
    visit: impl FnMut(Item<'a>) -> Flow,
) -> Flow {
    let probes = first.len() * others.iter().map(|set| probe_cost(*set)).sum::<usize>();
    let members: usize = others.iter().map(|set| set.len()).sum();
    if probes > members * INSERT_COST + first.len() {
        let all = table_of(others, packing);
        return visit_rest(first.iter(), &[SetRef::Table(&all)], packing, visit);
    }
    visit_rest(first.iter(), others, packing, visit)
}

fn visit_rest<'a>(
    items: Iter<'a>,
    others: &[SetRef<'_>],
    packing: &Packing,
    mut visit: impl FnMut(Item<'a>) -> Flow,
) -> Flow {
    for item in items {
        let elsewhere = others
            .iter()
            .any(|set| set.contains_item(item, &packing.seed));
        if !elsewhere {
            visit(item)?;
        }
    }
    Flow::Continue(())
}
