//! The commands that set and delete fields, and count in them.

use base::long_double::LongDouble;
use base::num::I64_TEXT_MAX;
use resp::Reply;
use structs::Collection;
use structs::hash::{Hash, Text, Until};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::due::DropDue;
use super::words;

pub(super) fn hset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let pairs = args.count().saturating_sub(2) / 2;
    let new = set_pairs(tx, args, "hset")?;
    out.int(new as i64);
    Ok(Effect::as_sent(pairs))
}

pub(super) fn hmset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let pairs = args.count().saturating_sub(2) / 2;
    set_pairs(tx, args, "hmset")?;
    out.ok();
    Ok(Effect::as_sent(pairs))
}

/// Sets the fields that the words name; how many are new.
fn set_pairs(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    command: &str,
) -> Result<usize, Failure> {
    let key = args.key();
    let words = args.left();
    if !words.is_multiple_of(2) {
        return Err(Failure::arity(command));
    }
    args.check()?;
    let longest = args.rest().map(<[u8]>::len).max().unwrap_or(0);
    let (packing, due) = (tx.packing(), DropDue::of(tx, key));
    let new = tx.update(key, |hash: &mut Hash| {
        hash.prepare(words / 2, longest, packing);
        let mut new = 0;
        while args.left() > 0 {
            let field = args.member(packing);
            due.look(hash, field);
            new += usize::from(hash.set(field, args.bytes(), Until::Forever, packing));
        }
        new
    })?;
    tx.event(Classes::HASH, "hset", key);
    Ok(new)
}

pub(super) fn hsetnx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (packing, now) = (tx.packing(), tx.now());
    let key = args.key();
    let field = args.member(packing);
    let value = args.bytes();
    args.end()?;
    let due = DropDue::of(tx, key);
    let set = tx.update(key, |hash: &mut Hash| {
        due.look(hash, field);
        let absent = hash.borrow().get(field, now).is_none();
        absent && hash.set(field, value, Until::Forever, packing)
    })?;
    if set {
        tx.event(Classes::HASH, "hset", key);
    }
    out.int(set.into());
    Ok(Effect::as_sent(set.into()))
}

pub(super) fn hdel(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (packing, due) = (tx.packing(), DropDue::of(tx, key));
    let removed = tx.update(key, |hash: &mut Hash| {
        let mut removed = 0;
        while args.left() > 0 && !hash.is_empty() {
            let field = args.member(packing);
            due.look(hash, field);
            removed += usize::from(hash.remove(field));
        }
        removed
    })?;
    if removed > 0 {
        tx.event_taken(Classes::HASH, "hdel", key);
    }
    out.int(removed as i64);
    Ok(Effect::as_sent(removed))
}

pub(super) fn hincrby(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (packing, now) = (tx.packing(), tx.now());
    let key = args.key();
    let field = args.member(packing);
    let increment = args.int();
    args.end()?;
    let due = DropDue::of(tx, key);
    let sum = tx.update(key, |hash: &mut Hash| {
        due.look(hash, field);
        let number = match hash.borrow().get(field, now) {
            Some(value) => value.int().ok_or(NOT_INTEGER)?,
            None => 0,
        };
        let sum = number.checked_add(increment).ok_or(OVERFLOW)?;
        let digits = &mut [0; I64_TEXT_MAX];
        hash.set(field, Text::Int(sum).bytes(digits), Until::Kept, packing);
        Ok::<_, Failure>(sum)
    })??;
    tx.event(Classes::HASH, "hincrby", key);
    out.int(sum);
    Ok(Effect::as_sent(1))
}

const NOT_INTEGER: Failure = Failure::fixed("ERR hash value is not an integer");
const NOT_FLOAT: Failure = Failure::fixed("ERR hash value is not a float");
const OVERFLOW: Failure = Failure::fixed("ERR increment or decrement would overflow");
const INFINITE: Failure = Failure::fixed("ERR increment would produce NaN or Infinity");
const INFINITE_INCREMENT: Failure = Failure::fixed("ERR value is NaN or Infinity");

pub(super) fn hincrbyfloat(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (packing, now) = (tx.packing(), tx.now());
    let key = args.key();
    let field = args.member(packing);
    let increment = LongDouble::parse(args.bytes()).ok_or(Failure::NOT_FLOAT)?;
    args.end()?;
    if !increment.is_finite() {
        return Err(INFINITE_INCREMENT);
    }
    let due = DropDue::of(tx, key);
    let (text, timed) = tx.update(key, |hash: &mut Hash| {
        due.look(hash, field);
        let number = match hash.borrow().get(field, now) {
            Some(Text::Int(number)) => LongDouble::from(number),
            Some(value) => {
                let digits = &mut [0; I64_TEXT_MAX];
                LongDouble::parse(value.bytes(digits)).ok_or(NOT_FLOAT)?
            }
            None => LongDouble::ZERO,
        };
        let sum = number.add(increment);
        if !sum.is_finite() {
            return Err(INFINITE);
        }
        let text = sum.format_human();
        hash.set(field, &text, Until::Kept, packing);
        let kept = hash.borrow().get_timed(field, now);
        let timed = kept.is_some_and(|(_, deadline)| deadline.is_some());
        Ok::<_, Failure>((text, timed))
    })??;
    tx.event(Classes::HASH, "hincrbyfloat", key);
    out.bulk(&text);
    // Another machine might compute other digits.
    tx.instead(|| {
        let head: &[&[u8]] = match timed {
            true => &[b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", b"1"],
            // Which older versions know, too.
            false => &[b"HSET", key.bytes],
        };
        words(&[head, &[field.bytes, &text]].concat())
    });
    Ok(Effect::instead(1))
}
