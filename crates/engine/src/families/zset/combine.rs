//! Unions, intersections and differences of sorted sets and sets, with their STORE and CARD forms.
//!
//! Results are gathered in a table of their own, sorted once, and answered or made a sorted set.

use base::num::{parse_f64, parse_i64};
use resp::Reply;
use structs::packed::{Element, IntText};
use structs::set::{Set, SetRef};
use structs::zset::{Zset, ZsetRef};
use structs::{Member, Packing};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::object::Type;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx, view_of};

use super::entries::{Gathered, Shape};

const WEIGHT: Failure = Failure::fixed("ERR weight value is not a float");
const NEGATIVE_LIMIT: Failure = Failure::fixed("ERR LIMIT can't be negative");

/// How the sources are combined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Union,
    Inter,
    Diff,
}

impl Op {
    /// The event that tells that the result was stored.
    fn store_event(self) -> &'static str {
        match self {
            Op::Union => "zunionstore",
            Op::Inter => "zinterstore",
            Op::Diff => "zdiffstore",
        }
    }
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    Answer,
    Store,
    Count,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// The weights of the sources that have the member, added up.
    Count,
}

const AGGREGATES: &[(&str, Aggregate)] = &[
    ("SUM", Aggregate::Sum),
    ("MIN", Aggregate::Min),
    ("MAX", Aggregate::Max),
    ("COUNT", Aggregate::Count),
];

impl Aggregate {
    /// A source's score. Compat: 0 times infinity is 0.
    fn weigh(self, weight: f64, score: f64) -> f64 {
        let product = self.product(weight, score);
        if product.is_nan() { 0.0 } else { product }
    }

    /// The same for the second source and later ones of an intersection. Compat: there 0 times
    /// infinity is no number, which is neither less nor more than any.
    fn product(self, weight: f64, score: f64) -> f64 {
        match self {
            Aggregate::Count => weight,
            Aggregate::Sum | Aggregate::Min | Aggregate::Max => weight * score,
        }
    }

    fn combine(self, score: &mut f64, other: f64) {
        match self {
            Aggregate::Sum | Aggregate::Count => {
                // Compat: the sum of both infinities is 0.
                *score += other;
                if score.is_nan() {
                    *score = 0.0;
                }
            }
            Aggregate::Min if other < *score => *score = other,
            Aggregate::Max if other > *score => *score = other,
            Aggregate::Min | Aggregate::Max => {}
        }
    }
}

/// A set to be combined.
#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    Zset(ZsetRef<'a>),
    Set(SetRef<'a>),
}

impl<'a> Members<'a> {
    fn len(self) -> usize {
        match self {
            Members::None => 0,
            Members::Zset(zset) => zset.len(),
            Members::Set(set) => set.len(),
        }
    }

    fn score(self, member: Member<'_>) -> Option<f64> {
        match self {
            Members::None => None,
            Members::Zset(zset) => zset.score(member),
            Members::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    /// Visits the members with their scores (1 in a plain set) until `visit` says false.
    fn visit(self, packing: &Packing, mut visit: impl FnMut(Member<'_>, f64) -> bool) {
        let mut text = IntText::default();
        match self {
            Members::None => {}
            Members::Zset(zset) => {
                for (member, score) in zset.iter() {
                    let member = Member::new(member.text(&mut text), &packing.seed);
                    if !visit(member, score) {
                        return;
                    }
                }
            }
            Members::Set(set) => {
                for member in set.iter() {
                    let member = Member::new(member.text(&mut text), &packing.seed);
                    if !visit(member, 1.0) {
                        return;
                    }
                }
            }
        }
    }
}

struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

/// What is to be combined, and how.
struct Query<'a> {
    op: Op,
    sources: Vec<Source<'a>>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Most members that are counted.
    limit: usize,
}

#[derive(Clone, Copy)]
enum Word {
    Weights,
    Aggregate,
    WithScores,
    Limit,
}

const WORDS: &[(&str, Word)] = &[
    ("WEIGHTS", Word::Weights),
    ("AGGREGATE", Word::Aggregate),
    ("WITHSCORES", Word::WithScores),
    ("LIMIT", Word::Limit),
];

impl<'a> Query<'a> {
    fn read(
        tx: &ReadTx<'a, '_>,
        args: &mut Args<'_>,
        (op, aim): (Op, Aim),
        name: &str,
    ) -> Result<Query<'a>, Failure> {
        let number = args.int();
        args.check()?;
        if number < 1 {
            return Err(Failure::owned(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        if number as u64 > args.left() as u64 {
            return Err(Failure::SYNTAX);
        }
        let mut sources = Vec::with_capacity(number as usize);
        for _ in 0..number {
            let members = members(tx, args)?;
            sources.push(Source {
                members,
                weight: 1.0,
            });
        }
        let mut query = Query {
            op,
            sources,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        query.read_options(args, aim)?;
        Ok(query)
    }

    fn read_options(&mut self, args: &mut Args<'_>, aim: Aim) -> Result<(), Failure> {
        let scored = self.op != Op::Diff && aim != Aim::Count;
        while let Some(word) = args.option(WORDS) {
            match word {
                Word::Weights if scored && args.left() >= self.sources.len() => {
                    for source in &mut self.sources {
                        source.weight = parse_f64(args.bytes()).ok_or(WEIGHT)?;
                    }
                }
                Word::Aggregate if scored && args.left() >= 1 => {
                    let aggregate = args.option(AGGREGATES);
                    self.aggregate = aggregate.unwrap_or(Aggregate::Sum);
                }
                Word::WithScores if aim == Aim::Answer => self.with_scores = true,
                Word::Limit if aim == Aim::Count && args.left() >= 1 => {
                    let limit = parse_i64(args.bytes()).filter(|&limit| limit >= 0);
                    self.limit = match limit.ok_or(NEGATIVE_LIMIT)? {
                        0 => usize::MAX,
                        limit => usize::try_from(limit).unwrap_or(usize::MAX),
                    };
                }
                _ => args.fail(Failure::SYNTAX),
            }
            args.check()?;
        }
        args.end()
    }

    /// The members of the result with their scores, in no order.
    fn gather(mut self, packing: &Packing) -> Gathered {
        match self.op {
            Op::Union => {
                // Compat: Redis adds scores up from the smallest source to the largest.
                self.sources.sort_by_key(|source| source.members.len());
                self.union(packing)
            }
            Op::Inter => {
                self.sources.sort_by_key(|source| source.members.len());
                let mut found = Gathered::default();
                self.intersect(packing, |member, score| {
                    found.push(member, score);
                    true
                });
                found
            }
            Op::Diff => self.difference(packing),
        }
    }

    fn union(&self, packing: &Packing) -> Gathered {
        let total = self.sources.iter().map(|source| source.members.len()).sum();
        let mut table = Table::new(total);
        for source in &self.sources {
            source.members.visit(packing, |member, score| {
                let score = self.aggregate.weigh(source.weight, score);
                if let Some(known) = table.find_or_insert(member, score) {
                    self.aggregate.combine(known, score);
                }
                true
            });
        }
        table.gathered
    }

    /// Visits the members that all sources have, the first source's in order, until `visit` says
    /// false.
    fn intersect(&self, packing: &Packing, mut visit: impl FnMut(Member<'_>, f64) -> bool) {
        let Some((first, others)) = self.sources.split_first() else {
            return;
        };
        first.members.visit(packing, |member, score| {
            let mut score = self.aggregate.weigh(first.weight, score);
            for other in others {
                let Some(found) = other.members.score(member) else {
                    return true;
                };
                let found = self.aggregate.product(other.weight, found);
                self.aggregate.combine(&mut score, found);
            }
            visit(member, score)
        });
    }

    fn difference(&self, packing: &Packing) -> Gathered {
        let mut found = Gathered::default();
        let Some((first, others)) = self.sources.split_first() else {
            return found;
        };
        first.members.visit(packing, |member, score| {
            found.push(member, score);
            true
        });
        for other in others {
            found.retain(|member| other.members.score(member).is_none());
        }
        found
    }
}

fn members<'a>(tx: &ReadTx<'a, '_>, args: &mut Args<'_>) -> Result<Members<'a>, Failure> {
    let Some(entry) = tx.find(args.key()) else {
        return Ok(Members::None);
    };
    Ok(match entry.kind() {
        Type::Set => Members::Set(view_of::<Set>(entry)?),
        _ => Members::Zset(view_of::<Zset>(entry)?),
    })
}

/// Gathered entries that can be found by member: open addressing, at most half full.
struct Table {
    gathered: Gathered,
    /// Index of an entry plus one; 0 = free.
    slots: Vec<u32>,
}

impl Table {
    fn new(count: usize) -> Table {
        Table {
            gathered: Gathered::default(),
            slots: vec![0; (count * 2).next_power_of_two()],
        }
    }

    /// The score of a member that is there; else adds it.
    #[inline]
    fn find_or_insert(&mut self, member: Member<'_>, score: f64) -> Option<&mut f64> {
        let mask = self.slots.len() - 1;
        let mut place = member.hash as usize & mask;
        loop {
            let slot = self.slots[place];
            let Some(at) = slot.checked_sub(1) else {
                self.gathered.push(member, score);
                self.slots[place] = self.gathered.len() as u32;
                return None;
            };
            let at = at as usize;
            if self.gathered.hash(at) == member.hash && self.gathered.text(at) == member.bytes {
                return Some(self.gathered.score_mut(at));
            }
            place = (place + 1) & mask;
        }
    }
}

fn answer(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    op: Op,
    name: &str,
    out: &mut Reply,
) -> Result<(), Failure> {
    let query = Query::read(tx, args, (op, Aim::Answer), name)?;
    let shape = Shape::of(query.with_scores, out);
    let mut found = query.gather(tx.packing());
    found.sort();
    out.array(shape.len(found.len()));
    for (member, score) in found.iter() {
        shape.reply(Element::Bytes(member.bytes), score, out);
    }
    Ok(())
}

fn store(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    op: Op,
    name: &str,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let destination = args.key();
    let packing = tx.packing();
    let query = Query::read(&tx.reading(), args, (op, Aim::Store), name)?;
    let mut found = query.gather(packing);
    found.sort();
    let count = found.len();
    out.int(count as i64);
    if count == 0 {
        return Ok(Effect::as_sent(usize::from(tx.delete(destination))));
    }
    tx.put_collection(destination, found.into_zset(packing), Deadline::Clear);
    tx.event(Classes::ZSET, op.store_event(), destination);
    Ok(Effect::as_sent(count))
}

macro_rules! combinations {
    ($($answer:ident, $store:ident: $op:ident;)*) => {$(
        pub(super) fn $answer(
            tx: &ReadTx<'_, '_>,
            args: &mut Args<'_>,
            out: &mut Reply,
        ) -> Result<(), Failure> {
            answer(tx, args, Op::$op, stringify!($answer), out)
        }

        pub(super) fn $store(
            tx: &mut WriteTx<'_, '_>,
            args: &mut Args<'_>,
            out: &mut Reply,
        ) -> Result<Effect, Failure> {
            store(tx, args, Op::$op, stringify!($store), out)
        }
    )*};
}

combinations! {
    zunion, zunionstore: Union;
    zinter, zinterstore: Inter;
    zdiff, zdiffstore: Diff;
}

pub(super) fn zintercard(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut query = Query::read(tx, args, (Op::Inter, Aim::Count), "zintercard")?;
    query.sources.sort_by_key(|source| source.members.len());
    let mut count = 0;
    query.intersect(tx.packing(), |_, _| {
        count += 1;
        count < query.limit
    });
    out.int(count as i64);
    Ok(())
}
