//! ZRANDMEMBER and ZSCAN.

use std::collections::BTreeSet;

use base::double::{DoubleText, append_17_digits, format_double};
use base::glob::glob_match;
use resp::Reply;
use structs::packed::IntText;
use structs::zset::{Zset, ZsetRef};

use crate::args::Args;
use crate::env::Env;
use crate::failure::Failure;
use crate::families::scanning;
use crate::tx::ReadTx;

use super::entries::{Shape, reply_member};

const OUT_OF_RANGE: Failure = Failure::fixed("ERR value is out of range");
const NOT_IN_RANGE: Failure = Failure::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);

pub(super) fn zrandmember(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    if args.left() == 0 {
        match tx.read::<Zset>(key)? {
            Some(zset) => {
                let rank = tx.env().random_below(zset.len() as u64) as usize;
                for (member, _) in zset.range(rank..rank + 1) {
                    reply_member(member, out);
                }
            }
            None => out.null(),
        }
        return Ok(());
    }
    let count = args.int();
    args.check()?;
    if count == i64::MIN {
        return Err(NOT_IN_RANGE);
    }
    let with_scores = args.accept("WITHSCORES");
    args.end()?;
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE);
    }
    let shape = Shape::of(with_scores, out);
    match tx.read::<Zset>(key)? {
        Some(zset) if count >= 0 => different(zset, count as u64, shape, tx.env(), out),
        Some(zset) => repeating(zset, count.unsigned_abs(), shape, tx.env(), out),
        None => out.array(0),
    }
    Ok(())
}

/// Members drawn one by one, each from all.
fn repeating(zset: ZsetRef<'_>, count: u64, shape: Shape, env: &Env, out: &mut Reply) {
    let len = zset.len() as u64;
    out.array(shape.len(count as usize));
    for _ in 0..count {
        let rank = env.random_below(len) as usize;
        for (member, score) in zset.range(rank..rank + 1) {
            shape.reply(member, score, out);
        }
    }
}

/// Different members, in the order of the set; each selection of so many is as likely as any other.
fn different(zset: ZsetRef<'_>, count: u64, shape: Shape, env: &Env, out: &mut Reply) {
    let len = zset.len() as u64;
    let count = count.min(len);
    out.array(shape.len(count as usize));
    if count * DENSE_SHARE < len {
        for rank in distinct_ranks(count, len, env) {
            let rank = rank as usize;
            for (member, score) in zset.range(rank..rank + 1) {
                shape.reply(member, score, out);
            }
        }
        return;
    }
    // Each entry is taken with the chance that completes the selection (Knuth, algorithm S).
    let (mut wanted, mut left) = (count, len);
    for (member, score) in zset.iter() {
        if env.random_below(left) < wanted {
            shape.reply(member, score, out);
            wanted -= 1;
        }
        left -= 1;
    }
}

/// Beyond one in so many, entries are chosen on the way through the whole set.
const DENSE_SHARE: u64 = 16;

/// Some of the numbers below `len` (Floyd's algorithm: Bentley, 1987).
fn distinct_ranks(count: u64, len: u64, env: &Env) -> BTreeSet<u64> {
    let mut ranks = BTreeSet::new();
    for highest in len - count..len {
        let rank = env.random_below(highest + 1);
        if !ranks.insert(rank) {
            ranks.insert(highest);
        }
    }
    ranks
}

struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: u64,
    with_scores: bool,
}

#[derive(Clone, Copy)]
enum Word {
    Match,
    Count,
    NoScores,
    NoValues,
}

const WORDS: &[(&str, Word)] = &[
    ("MATCH", Word::Match),
    ("COUNT", Word::Count),
    ("NOSCORES", Word::NoScores),
    ("NOVALUES", Word::NoValues),
];

impl<'a> Options<'a> {
    fn read(args: &mut Args<'a>) -> Result<Options<'a>, Failure> {
        let mut options = Options {
            pattern: None,
            count: scanning::COUNT_DEFAULT,
            with_scores: true,
        };
        while let Some(word) = args.option(WORDS) {
            match word {
                Word::Match => options.pattern = Some(args.bytes()).filter(|p| p != b"*"),
                Word::Count => options.count = scanning::count(args),
                Word::NoScores => options.with_scores = false,
                Word::NoValues => args.fail(scanning::NO_VALUES),
            }
        }
        args.end()?;
        Ok(options)
    }
}

pub(super) fn zscan(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let cursor = scanning::cursor(args);
    args.check()?;
    // Compat: the options of a scan of a missing key are not looked at.
    let Some(zset) = tx.read::<Zset>(key)? else {
        scanning::reply_empty(out);
        return Ok(());
    };
    let options = Options::read(args)?;
    let mut found = Vec::new();
    let mut text = IntText::default();
    let count = usize::try_from(options.count).unwrap_or(usize::MAX);
    let next = zset.scan(cursor, count, |member, score| {
        let wanted = options
            .pattern
            .is_none_or(|pattern| glob_match(pattern, member.text(&mut text), false));
        if wanted {
            found.push((member, score));
        }
    });
    scanning::begin_reply(out, next);
    out.array(found.len() * if options.with_scores { 2 } else { 1 });
    let mut digits = Vec::new();
    for (member, score) in found {
        reply_member(member, out);
        if options.with_scores {
            reply_scanned_score(score, zset.is_packed(), &mut digits, out);
        }
    }
    Ok(())
}

/// Compat: a scan answers scores as text in both protocols, and those of large sets with 17 digits.
fn reply_scanned_score(score: f64, packed: bool, digits: &mut Vec<u8>, out: &mut Reply) {
    if packed {
        return out.bulk(format_double(score, &mut DoubleText::default()));
    }
    digits.clear();
    append_17_digits(score, digits);
    out.bulk(digits);
}
