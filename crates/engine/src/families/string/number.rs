//! Counters: INCR, DECR and their kin on 64-bit integers, INCRBYFLOAT on long doubles.

use base::long_double::LongDouble;
use base::num::{I64_TEXT_MAX, parse_i64};
use resp::Reply;

use crate::args::Args;
use crate::entry::{NewValue, Text};
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Deadline, Effect, WriteTx};

use super::set_words;

pub(super) fn incr(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    add_to(tx, args, 1, out)
}

pub(super) fn decr(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    add_to(tx, args, -1, out)
}

pub(super) fn incrby(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let increment = parse_i64(args.word(2)).ok_or(Failure::NOT_INTEGER)?;
    add_to(tx, args, increment, out)
}

pub(super) fn decrby(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let decrement = parse_i64(args.word(2)).ok_or(Failure::NOT_INTEGER)?;
    let increment = decrement
        .checked_neg()
        .ok_or(Failure::fixed("ERR decrement would overflow"))?;
    add_to(tx, args, increment, out)
}

/// Adds to the integer at the command's key; the number, if the command has one, is read already.
fn add_to(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    increment: i64,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let sum = tx.update_int(key, |value| {
        let number = value.map_or(Ok(0), integer)?;
        let overflow = Failure::fixed("ERR increment or decrement would overflow");
        number.checked_add(increment).ok_or(overflow)
    })?;
    tx.event(Classes::STRING, "incrby", key);
    out.int(sum);
    Ok(Effect::as_sent(1))
}

/// The value as an integer.
#[inline]
pub(super) fn integer(value: Text<'_>) -> Result<i64, Failure> {
    match value {
        Text::Int(number) => Some(number),
        Text::Inline(bytes) => parse_i64(bytes),
        // No integer has so many digits.
        Text::Shared(_) => None,
    }
    .ok_or(Failure::NOT_INTEGER)
}

/// The value as a long double.
pub(super) fn float(value: Text<'_>) -> Result<LongDouble, Failure> {
    match value {
        Text::Int(number) => Some(LongDouble::from(number)),
        value => LongDouble::parse(value.bytes(&mut [0; I64_TEXT_MAX])),
    }
    .ok_or(Failure::NOT_FLOAT)
}

pub(super) fn incrbyfloat(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let increment = args.bytes();
    args.end()?;
    let value = tx.string(key)?.map_or(Ok(LongDouble::ZERO), float)?;
    let sum = value.add(LongDouble::parse(increment).ok_or(Failure::NOT_FLOAT)?);
    if !sum.is_finite() {
        let text = "ERR increment would produce NaN or Infinity";
        return Err(Failure::fixed(text));
    }
    let text = sum.format_human();
    tx.renew(key, NewValue::Bytes(&text), Deadline::Keep);
    tx.event(Classes::STRING, "incrbyfloat", key);
    out.bulk(&text);
    // Another machine might compute other digits.
    tx.instead(|| set_words(key.bytes, &text, Deadline::Keep));
    Ok(Effect::instead(1))
}
