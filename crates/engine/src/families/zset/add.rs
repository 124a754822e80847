//! ZADD and ZINCRBY.

use base::num::parse_f64;
use base::strings::eq_ignore_case;
use resp::Reply;
use structs::zset::Zset;
use structs::{Member, Packing};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

pub(super) const NAN_SCORE: Failure = Failure::fixed("ERR resulting score is not a number (NaN)");
const XX_AND_NX: Failure =
    Failure::fixed("ERR XX and NX options at the same time are not compatible");
const GT_LT_NX: Failure =
    Failure::fixed("ERR GT, LT, and/or NX options at the same time are not compatible");
const ONE_PAIR: Failure =
    Failure::fixed("ERR INCR option supports a single increment-element pair");

/// Which changes ZADD makes, and what it answers.
#[derive(Clone, Copy, Default)]
pub(in crate::families) struct Options {
    pub(in crate::families) only_new: bool,
    pub(in crate::families) only_known: bool,
    only_greater: bool,
    only_less: bool,
    pub(in crate::families) count_changed: bool,
    increment: bool,
}

#[derive(Clone, Copy)]
enum Word {
    Nx,
    Xx,
    Gt,
    Lt,
    Ch,
    Incr,
}

const WORDS: &[(&str, Word)] = &[
    ("nx", Word::Nx),
    ("xx", Word::Xx),
    ("gt", Word::Gt),
    ("lt", Word::Lt),
    ("ch", Word::Ch),
    ("incr", Word::Incr),
];

impl Options {
    fn read(args: &mut Args<'_>) -> Options {
        let mut options = Options::default();
        while let Some(word) = args.peek()
            && word.first().is_some_and(u8::is_ascii_alphabetic)
            && let Some(&(_, word)) = WORDS
                .iter()
                .find(|(name, _)| eq_ignore_case(word, name.as_bytes()))
        {
            args.skip(1);
            *match word {
                Word::Nx => &mut options.only_new,
                Word::Xx => &mut options.only_known,
                Word::Gt => &mut options.only_greater,
                Word::Lt => &mut options.only_less,
                Word::Ch => &mut options.count_changed,
                Word::Incr => &mut options.increment,
            } = true;
        }
        options
    }

    /// Whether they make sense together, for so many pairs.
    fn check(self, pairs: usize) -> Result<(), Failure> {
        let (greater, less) = (self.only_greater, self.only_less);
        if self.only_new && self.only_known {
            Err(XX_AND_NX)
        } else if self.only_new && (greater || less) || greater && less {
            Err(GT_LT_NX)
        } else if self.increment && pairs > 1 {
            Err(ONE_PAIR)
        } else {
            Ok(())
        }
    }
}

/// What became of one member.
#[derive(Clone, Copy)]
enum Fate {
    /// The options forbade it.
    Refused,
    /// It was there; its score is this, changed or not.
    Known(f64),
    Added(f64),
}

/// What became of all.
#[derive(Default)]
pub(in crate::families) struct Tally {
    pub(in crate::families) added: usize,
    pub(in crate::families) changed: usize,
    /// The score of the last member that was not refused.
    score: Option<f64>,
}

impl Options {
    /// Adds or changes one member.
    #[inline]
    pub(in crate::families) fn apply(
        self,
        zset: &mut Zset,
        member: Member<'_>,
        number: f64,
        packing: &Packing,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let mut fate = Ok(Fate::Refused);
        zset.upsert(member, packing, |old| {
            fate = self.decide(old, number);
            match fate {
                Ok(Fate::Known(score)) => Some(score).filter(|&score| old != Some(score)),
                Ok(Fate::Added(score)) => Some(score),
                Ok(Fate::Refused) | Err(_) => None,
            }
            .inspect(|_| match old {
                Some(_) => tally.changed += 1,
                None => tally.added += 1,
            })
        });
        if let Fate::Known(score) | Fate::Added(score) = fate? {
            tally.score = Some(score);
        }
        Ok(())
    }

    #[inline]
    fn decide(self, old: Option<f64>, number: f64) -> Result<Fate, Failure> {
        let Some(old) = old else {
            return Ok(match self.only_known {
                true => Fate::Refused,
                false => Fate::Added(number),
            });
        };
        if self.only_new {
            return Ok(Fate::Refused);
        }
        let score = if self.increment { old + number } else { number };
        if score.is_nan() {
            return Err(NAN_SCORE);
        }
        let refused = self.only_greater && score <= old || self.only_less && score >= old;
        Ok(if refused {
            Fate::Refused
        } else {
            Fate::Known(score)
        })
    }
}

pub(super) fn zadd(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let options = Options::read(args);
    add(tx, key, options, args, out)
}

pub(super) fn zincrby(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let options = Options {
        increment: true,
        ..Options::default()
    };
    add(tx, key, options, args, out)
}

fn add(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    options: Options,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let words = args.left();
    let pairs = words / 2;
    if words == 0 || words % 2 == 1 {
        return Err(Failure::SYNTAX);
    }
    options.check(pairs)?;
    let packing = tx.packing();
    let mut tally = Tally::default();
    if pairs == 1 {
        let number = number(args)?;
        let member = args.member(packing);
        args.end()?;
        tx.update(key, |zset: &mut Zset| {
            zset.reserve(1, member.bytes.len(), packing);
            options.apply(zset, member, number, packing, &mut tally)
        })??;
    } else {
        let mut numbers = Vec::with_capacity(pairs);
        let members = args.rest().skip(1).step_by(2);
        for _ in 0..pairs {
            numbers.push(number(args)?);
            args.skip(1);
        }
        args.end()?;
        let first = members.clone().next().map_or(0, <[u8]>::len);
        tx.update(key, |zset: &mut Zset| {
            zset.reserve(pairs, first, packing);
            let mut each = numbers.iter().zip(members);
            each.try_for_each(|(&number, bytes)| {
                let member = Member::new(bytes, &packing.seed);
                options.apply(zset, member, number, packing, &mut tally)
            })
        })??;
    }
    if tally.added + tally.changed > 0 {
        let name = if options.increment { "zincr" } else { "zadd" };
        tx.event(Classes::ZSET, name, key);
    }
    reply(options, &tally, out);
    Ok(Effect::as_sent(tally.added + tally.changed))
}

/// The next word as a score.
fn number(args: &mut Args<'_>) -> Result<f64, Failure> {
    parse_f64(args.bytes()).ok_or(Failure::NOT_FLOAT)
}

fn reply(options: Options, tally: &Tally, out: &mut Reply) {
    match (options.increment, tally.score) {
        (true, Some(score)) => out.double(score),
        (true, None) => out.null(),
        (false, _) if options.count_changed => out.int((tally.added + tally.changed) as i64),
        (false, _) => out.int(tally.added as i64),
    }
}
