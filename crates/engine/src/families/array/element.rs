//! Single indexes: ARSET, ARMSET, ARGET, ARMGET, ARDEL; ARDELRANGE, and the sizes ARLEN, ARCOUNT.

use resp::Reply;
use structs::array::{Array, INDEX_MAX};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::{index, reply_value};

pub(super) fn arset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let start = index(args);
    args.check()?;
    let count = args.left();
    let last = start
        .checked_add(count as u64 - 1)
        .filter(|&last| last <= INDEX_MAX)
        .ok_or(Failure::fixed("ERR array index overflow"))?;
    let added = tx.update(key, |array: &mut Array| {
        let before = array.count();
        for (index, value) in (start..=last).zip(args.rest()) {
            array.set(index, value);
        }
        array.count() - before
    })?;
    out.unsigned(added);
    Ok(Effect::as_sent(count))
}

pub(super) fn armset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    if !args.left().is_multiple_of(2) {
        return Err(Failure::arity("armset"));
    }
    let mut pairs = Vec::with_capacity(args.left() / 2);
    while args.left() > 0 {
        pairs.push((index(args), args.bytes()));
    }
    args.end()?;
    let added = tx.update(key, |array: &mut Array| {
        let before = array.count();
        for &(index, value) in &pairs {
            array.set(index, value);
        }
        array.count() - before
    })?;
    out.unsigned(added);
    Ok(Effect::as_sent(pairs.len()))
}

pub(super) fn arget(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let array = tx.read::<Array>(args.key())?;
    let index = index(args);
    args.end()?;
    reply_value(array.and_then(|array| array.get(index)), out);
    Ok(())
}

pub(super) fn armget(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let array = tx.read::<Array>(args.key())?;
    out.array(args.left());
    while args.left() > 0 {
        let index = index(args);
        reply_value(array.and_then(|array| array.get(index)), out);
    }
    args.end()
}

pub(super) fn ardel(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let mut indexes = Vec::with_capacity(args.left());
    while args.left() > 0 {
        indexes.push(index(args));
    }
    args.end()?;
    let removed = tx.update(key, |array: &mut Array| {
        indexes.iter().filter(|&&index| array.remove(index)).count()
    })?;
    out.int(removed as i64);
    Ok(Effect::as_sent(removed))
}

pub(super) fn ardelrange(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    if !args.left().is_multiple_of(2) {
        return Err(Failure::arity("ardelrange"));
    }
    let mut ranges = Vec::with_capacity(args.left() / 2);
    while args.left() > 0 {
        let (start, end) = (index(args), index(args));
        ranges.push(start.min(end)..=start.max(end));
    }
    args.end()?;
    let removed: u64 = tx.update(key, |array: &mut Array| {
        let remove = |range| array.remove_range(range);
        ranges.into_iter().map(remove).sum()
    })?;
    out.unsigned(removed);
    Ok(Effect::as_sent(removed as usize))
}

pub(super) fn arlen(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let array = tx.read::<Array>(args.key())?;
    out.unsigned(array.map_or(0, Array::end));
    Ok(())
}

pub(super) fn arcount(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let array = tx.read::<Array>(args.key())?;
    out.unsigned(array.map_or(0, Array::count));
    Ok(())
}
