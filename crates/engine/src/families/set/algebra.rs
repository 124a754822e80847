//! Several sets: SINTER, SUNION, SDIFF, their STORE and CARD forms.
//!
//! A missing key is an empty set. Every key's type is checked before anything else is decided.

use std::ops::ControlFlow;

use resp::Reply;
use structs::packed::IntText;
use structs::set::algebra::{Flow, intersect, subtract, union_set, unite};
use structs::set::{Item, Set, SetRef};
use structs::{Collection, Member, Packing};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

use super::reply_item;

#[derive(Clone, Copy)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// The event that tells that the result was stored.
    fn store_event(self) -> &'static str {
        match self {
            Operation::Intersection => "sinterstore",
            Operation::Union => "sunionstore",
            Operation::Difference => "sdiffstore",
        }
    }

    /// The result as a set.
    ///
    /// Compat: an intersection begins as a packed run, unless its smallest set is of integers, and
    /// is looked at again in the end; the others begin as integers and never get back to them.
    fn gather(self, sets: Vec<Option<SetRef<'_>>>, packing: &Packing) -> Set {
        if let (Operation::Difference, Some((first, others))) = (self, whittled(&sets)) {
            return whittle(first, &others, packing);
        }
        if let Operation::Union = self {
            let present: Vec<SetRef<'_>> = sets.into_iter().flatten().collect();
            return union_set(&present, packing);
        }
        let smallest = sets.iter().flatten().min_by_key(|set| set.len());
        let empty = match (self, smallest) {
            (Operation::Intersection, Some(SetRef::Packed(_) | SetRef::Table(_))) => Set::default(),
            _ => Set::for_integers(),
        };
        let mut items = Vec::new();
        self.visit(sets, packing, |item| {
            items.push(item);
            ControlFlow::Continue(())
        });
        let mut result = Set::of_items(empty, &items, packing);
        if let Operation::Intersection = self {
            result.pack_integers(packing);
        }
        result
    }

    /// Visits the members of the result, each once.
    fn visit<'a>(
        self,
        mut sets: Vec<Option<SetRef<'a>>>,
        packing: &Packing,
        visit: impl FnMut(Item<'a>) -> Flow,
    ) {
        let first = sets.first().copied().flatten();
        let missing = sets.iter().any(Option::is_none);
        let mut present: Vec<SetRef<'a>> = sets.drain(..).flatten().collect();
        // Whether the visitor broke off is for the visitor to know.
        let _ = match (self, first) {
            (Operation::Intersection, _) if missing => Flow::Continue(()),
            (Operation::Difference, None) => Flow::Continue(()),
            (Operation::Intersection, _) => intersect(&mut present, packing, visit),
            (Operation::Union, _) => unite(&mut present, packing, visit),
            (Operation::Difference, Some(first)) => subtract(first, &present[1..], packing, visit),
        };
    }
}

/// The first set and the other ones that are there, if a difference is made from a copy of the
/// first.
///
/// Compat: Redis chooses so where it takes that for less work, and it shows: the copy does not get
/// back to integers when the last member that is none has gone.
fn whittled<'a>(sets: &[Option<SetRef<'a>>]) -> Option<(SetRef<'a>, Vec<SetRef<'a>>)> {
    let (first, others) = sets.split_first()?;
    let first = (*first)?;
    let others: Vec<SetRef<'a>> = others.iter().copied().flatten().collect();
    let probes = first.len() * (1 + others.len()) / 2;
    let moves = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    (probes > moves).then_some((first, others))
}

/// A copy of `first` without the members of `others`.
fn whittle(first: SetRef<'_>, others: &[SetRef<'_>], packing: &Packing) -> Set {
    let items: Vec<Item<'_>> = first.iter().collect();
    let mut result = Set::of_items(Set::for_integers(), &items, packing);
    let mut digits = IntText::default();
    for item in others.iter().flat_map(|set| set.iter()) {
        result.remove(Member::new(item.text(&mut digits), &packing.seed));
    }
    result
}

/// The sets at the next `count` keys.
fn read_sets<'t>(
    tx: &ReadTx<'t, '_>,
    args: &mut Args<'_>,
    count: usize,
) -> Result<Vec<Option<SetRef<'t>>>, Failure> {
    (0..count).map(|_| tx.read::<Set>(args.key())).collect()
}

fn reply_members(
    operation: Operation,
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let sets = read_sets(tx, args, args.left())?;
    let later = out.set_later();
    let mut count = 0;
    operation.visit(sets, tx.packing(), |item| {
        reply_item(item, out);
        count += 1;
        ControlFlow::Continue(())
    });
    out.finish(later, count);
    args.end()
}

pub(super) fn sinter(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    reply_members(Operation::Intersection, tx, args, out)
}

pub(super) fn sunion(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    reply_members(Operation::Union, tx, args, out)
}

pub(super) fn sdiff(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    reply_members(Operation::Difference, tx, args, out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CountOption {
    Limit,
    Approximately,
}

const LIMIT: &[(&str, CountOption)] = &[("LIMIT", CountOption::Limit)];
const LIMIT_OR_APPROX: &[(&str, CountOption)] = &[
    ("LIMIT", CountOption::Limit),
    ("APPROX", CountOption::Approximately),
];

fn reply_count(
    operation: Operation,
    options: &[(&str, CountOption)],
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let number = args.int_or(Failure::fixed("ERR numkeys should be greater than 0"));
    if number < 1 {
        args.fail(Failure::fixed("ERR numkeys should be greater than 0"));
    }
    args.check()?;
    if number as usize > args.left() {
        let text = "ERR Number of keys can't be greater than number of args";
        return Err(Failure::fixed(text));
    }
    let keys: Vec<Key<'_>> = (0..number).map(|_| args.key()).collect();
    let mut limit = 0;
    while let Some(option) = args.option(options) {
        // An estimate may be exact.
        if option == CountOption::Limit {
            limit = read_limit(args)?;
        }
    }
    args.end()?;
    let sets: Result<Vec<_>, Failure> = keys.into_iter().map(|key| tx.read::<Set>(key)).collect();
    let mut count = 0;
    operation.visit(sets?, tx.packing(), |_| {
        count += 1;
        if count == limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    out.int(count);
    Ok(())
}

/// The number after LIMIT; 0 = no limit.
fn read_limit(args: &mut Args<'_>) -> Result<i64, Failure> {
    if args.left() == 0 {
        return Err(Failure::SYNTAX);
    }
    let negative = Failure::fixed("ERR LIMIT can't be negative");
    let limit = args.int_or(negative.clone());
    args.check()?;
    if limit < 0 {
        return Err(negative);
    }
    Ok(limit)
}

pub(super) fn sintercard(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    reply_count(Operation::Intersection, LIMIT, tx, args, out)
}

pub(super) fn sunioncard(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    reply_count(Operation::Union, LIMIT_OR_APPROX, tx, args, out)
}

pub(super) fn sdiffcard(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    reply_count(Operation::Difference, LIMIT, tx, args, out)
}

fn store(
    operation: Operation,
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let destination = args.key();
    let packing = tx.packing();
    let reading = tx.reading();
    let sets = read_sets(&reading, args, args.left())?;
    args.end()?;
    let result = operation.gather(sets, packing);
    let len = result.len();
    out.int(len as i64);
    if len == 0 {
        return Ok(Effect::as_sent(usize::from(tx.delete(destination))));
    }
    tx.put_collection(destination, result, Deadline::Clear);
    tx.event(Classes::SET, operation.store_event(), destination);
    Ok(Effect::as_sent(1))
}

pub(super) fn sinterstore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    store(Operation::Intersection, tx, args, out)
}

pub(super) fn sunionstore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    store(Operation::Union, tx, args, out)
}

pub(super) fn sdiffstore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    store(Operation::Difference, tx, args, out)
}
