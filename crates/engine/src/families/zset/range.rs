//! Ranges of entries: ZRANGE and the commands that do a part of it, ZRANGESTORE.

use std::ops::Range;

use base::num::parse_i64;
use resp::Reply;
use structs::packed::Element;
use structs::zset::{Zset, ZsetRef};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

use super::bounds::{Interval, ranks};
use super::entries::{Gathered, Shape};

const LIMIT_BY_RANK: Failure = Failure::fixed(
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
);
const SCORES_BY_LEX: Failure =
    Failure::fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ranks,
    Scores,
    Members,
}

/// What a command leaves to its options.
#[derive(Clone, Copy)]
struct Form {
    /// `None`: BYSCORE and BYLEX say.
    kind: Option<Kind>,
    /// `None`: REV says.
    reverse: Option<bool>,
    /// Whether WITHSCORES is an option.
    scores: bool,
}

const ANY_FORM: Form = Form {
    kind: None,
    reverse: None,
    scores: true,
};

enum Ends<'a> {
    /// First and last.
    Ranks(i64, i64),
    Between(Interval<'a>),
}

/// A range as a command asks for it.
struct Query<'a> {
    ends: Ends<'a>,
    reverse: bool,
    /// Entries of the range to be passed over; negative: all.
    offset: i64,
    /// Entries after those; negative: all.
    limit: i64,
    with_scores: bool,
}

#[derive(Clone, Copy)]
enum Word {
    WithScores,
    Limit,
    Rev,
    By(Kind),
}

const WORDS: &[(&str, Word)] = &[
    ("WITHSCORES", Word::WithScores),
    ("LIMIT", Word::Limit),
    ("REV", Word::Rev),
    ("BYLEX", Word::By(Kind::Members)),
    ("BYSCORE", Word::By(Kind::Scores)),
];

impl<'a> Query<'a> {
    fn read(args: &mut Args<'a>, form: Form) -> Result<Query<'a>, Failure> {
        let (mut first, mut second) = (args.bytes(), args.bytes());
        let (mut kind, mut reverse) = (form.kind, form.reverse);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        while let Some(word) = args.option(WORDS) {
            match word {
                Word::WithScores if form.scores => with_scores = true,
                Word::Limit if args.left() >= 2 => {
                    offset = args.int();
                    limit = args.int();
                    args.check()?;
                }
                Word::Rev if reverse.is_none() => reverse = Some(true),
                Word::By(by) if kind.is_none() => kind = Some(by),
                _ => args.fail(Failure::SYNTAX),
            }
        }
        args.end()?;
        let (kind, reverse) = (kind.unwrap_or(Kind::Ranks), reverse.unwrap_or(false));
        if limit != -1 && kind == Kind::Ranks {
            return Err(LIMIT_BY_RANK);
        }
        if with_scores && kind == Kind::Members {
            return Err(SCORES_BY_LEX);
        }
        if reverse && kind != Kind::Ranks {
            (first, second) = (second, first);
        }
        let ends = match kind {
            Kind::Ranks => Ends::Ranks(rank(first)?, rank(second)?),
            Kind::Scores => Ends::Between(Interval::of_scores(first, second)?),
            Kind::Members => Ends::Between(Interval::of_members(first, second)?),
        };
        Ok(Query {
            ends,
            reverse,
            offset,
            limit,
            with_scores,
        })
    }

    /// The ranks of the entries, unless those are as easily found one after the other from the
    /// range's end on: one search, not two.
    fn ranks(&self, zset: ZsetRef<'_>) -> Option<Range<usize>> {
        match self.ends {
            Ends::Ranks(start, end) => {
                let len = zset.len();
                let found = ranks(start, end, len);
                Some(match self.reverse {
                    true => len - found.end..len - found.start,
                    false => found,
                })
            }
            Ends::Between(_) if self.offset == 0 => None,
            Ends::Between(interval) => {
                let found = interval.ranks(zset);
                let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
                let offset = offset.min(found.len());
                let count = self.limit().min(found.len() - offset);
                Some(match self.reverse {
                    true => found.end - offset - count..found.end - offset,
                    false => found.start + offset..found.start + offset + count,
                })
            }
        }
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Visits the entries; `ranks` is what `ranks` said.
    fn visit<'z>(
        &self,
        zset: ZsetRef<'z>,
        ranks: Option<Range<usize>>,
        mut visit: impl FnMut(Element<'z>, f64),
    ) {
        let visit = |(member, score)| visit(member, score);
        match (ranks, &self.ends) {
            (Some(ranks), _) if self.reverse => zset.range_back(ranks).for_each(visit),
            (Some(ranks), _) => zset.range(ranks).for_each(visit),
            (None, Ends::Between(interval)) if self.reverse => zset
                .before(interval.high)
                .take(self.limit())
                .take_while(|&(member, score)| interval.starts_before(member, score))
                .for_each(visit),
            (None, Ends::Between(interval)) => zset
                .after(interval.low)
                .take(self.limit())
                .take_while(|&(member, score)| interval.reaches(member, score))
                .for_each(visit),
            (None, Ends::Ranks(..)) => {}
        }
    }

    fn reply(&self, zset: ZsetRef<'_>, out: &mut Reply) {
        let shape = Shape::of(self.with_scores, out);
        match self.ranks(zset) {
            Some(ranks) => {
                out.array(shape.len(ranks.len()));
                self.visit(zset, Some(ranks), |member, score| {
                    shape.reply(member, score, out)
                });
            }
            None => {
                let later = out.array_later();
                let mut count = 0;
                self.visit(zset, None, |member, score| {
                    shape.reply(member, score, out);
                    count += 1;
                });
                out.finish(later, shape.len(count));
            }
        }
    }
}

fn rank(word: &[u8]) -> Result<i64, Failure> {
    parse_i64(word).ok_or(Failure::NOT_INTEGER)
}

fn range(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    form: Form,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let query = Query::read(args, form)?;
    match tx.read::<Zset>(key)? {
        Some(zset) => query.reply(zset, out),
        None => out.array(0),
    }
    Ok(())
}

macro_rules! ranges {
    ($($name:ident: $kind:ident, $reverse:literal;)*) => {$(
        pub(super) fn $name(
            tx: &ReadTx<'_, '_>,
            args: &mut Args<'_>,
            out: &mut Reply,
        ) -> Result<(), Failure> {
            let form = Form {
                kind: Some(Kind::$kind),
                reverse: Some($reverse),
                scores: true,
            };
            range(tx, args, form, out)
        }
    )*};
}

ranges! {
    zrevrange: Ranks, true;
    zrangebyscore: Scores, false;
    zrevrangebyscore: Scores, true;
    zrangebylex: Members, false;
    zrevrangebylex: Members, true;
}

pub(super) fn zrange(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    range(tx, args, ANY_FORM, out)
}

pub(super) fn zrangestore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let destination = args.key();
    let source = args.key();
    let form = Form {
        scores: false,
        ..ANY_FORM
    };
    let query = Query::read(args, form)?;
    let packing = tx.packing();
    let mut found = Gathered::default();
    if let Some(zset) = tx.reading().read::<Zset>(source)? {
        query.visit(zset, query.ranks(zset), |member, score| {
            found.push_element(member, score, packing);
        });
    }
    let count = found.len();
    // Compat: Redis adds one by one, to a large set only if it knows the number before.
    if matches!(query.ends, Ends::Between(_)) || count <= packing.zset_entries_max {
        found.as_if_packed(packing);
    }
    if query.reverse {
        found.sort();
    }
    out.int(count as i64);
    if count == 0 {
        return Ok(Effect::as_sent(usize::from(tx.delete(destination))));
    }
    tx.put_collection(destination, found.into_zset(packing), Deadline::Clear);
    tx.event(Classes::ZSET, "zrangestore", destination);
    Ok(Effect::as_sent(count.max(1)))
}
