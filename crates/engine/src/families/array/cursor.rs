//! Appending: ARINSERT, ARRING, and the cursor they share: ARNEXT, ARSEEK, ARLASTITEMS.

use base::num::I64_TEXT_MAX;
use resp::Reply;
use structs::array::{Array, INDEX_MAX};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::{POSITIONS_MAX, TOO_MANY_POSITIONS, index_up_to, reply_value};

pub(super) fn arinsert(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let count = args.left();
    let last = tx.update(key, |array: &mut Array| {
        let start = array.cursor().map_or(0, |cursor| cursor + 1);
        let last = start
            .checked_add(count as u64 - 1)
            .filter(|&last| last <= INDEX_MAX)
            .ok_or(Failure::fixed("ERR insert index overflow"))?;
        for (index, value) in (start..=last).zip(args.rest()) {
            array.set(index, value);
        }
        array.set_cursor(Some(last));
        Ok(last)
    })??;
    out.unsigned(last);
    Ok(Effect::as_sent(count))
}

pub(super) fn arring(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let size = args.int_or(Failure::fixed("ERR invalid size"));
    if size <= 0 {
        args.fail(Failure::fixed("ERR size must be positive"));
    }
    args.check()?;
    let size = size as u64;
    let count = args.left();
    let last = tx.update(key, |array: &mut Array| {
        resize_ring(array, size);
        let mut last = 0;
        for value in args.rest() {
            last = array.cursor().map_or(0, |cursor| cursor + 1) % size;
            array.set(last, value);
            array.set_cursor(Some(last));
        }
        last
    })?;
    out.unsigned(last);
    Ok(Effect::as_sent(count))
}

/// Makes a ring of another size of one that had all indexes below the array's end: if values would
/// lie beyond the new end, or the next one would overwrite an old one although there is new room.
/// What was appended last, back to the first empty index, then begins at 0.
///
/// A cursor that was moved to 0 stays there when the ring grows.
fn resize_ring(array: &mut Array, size: u64) {
    let old_size = array.end();
    let wrapped = array.cursor().is_some_and(|cursor| cursor + 1 < old_size);
    if old_size == 0 || size == old_size || (size > old_size && !wrapped) {
        return;
    }
    let newest = array.cursor().unwrap_or(old_size - 1) % old_size;
    let before = |index: u64| index.checked_sub(1).unwrap_or(old_size - 1);
    let kept: Vec<u64> = std::iter::successors(Some(newest), |&index| Some(before(index)))
        .take(size.min(old_size) as usize)
        .take_while(|&index| array.get(index).is_some())
        .collect();
    let mut resized = Array::default();
    for (to, &from) in kept.iter().rev().enumerate() {
        if let Some(value) = array.get(from) {
            resized.set(to as u64, value.bytes(&mut [0; I64_TEXT_MAX]));
        }
    }
    resized.set_cursor((kept.len() as u64).checked_sub(1));
    *array = resized;
}

pub(super) fn arnext(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let array = tx.read::<Array>(args.key())?;
    match array.and_then(Array::cursor) {
        None => out.int(0),
        Some(INDEX_MAX) => out.null(),
        Some(cursor) => out.unsigned(cursor + 1),
    }
    Ok(())
}

pub(super) fn arseek(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    // One beyond the last index says that there is no next one.
    let index = index_up_to(INDEX_MAX + 1, args);
    args.end()?;
    if tx.read::<Array>(key)?.is_none() {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    tx.update(key, |array: &mut Array| {
        array.set_cursor(index.checked_sub(1))
    })?;
    out.int(1);
    Ok(Effect::as_sent(1))
}

pub(super) fn arlastitems(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let count = args.int_or(Failure::fixed("ERR invalid COUNT"));
    args.check()?;
    let reverse = args.accept("rev");
    args.end()?;
    let array = tx.read::<Array>(key)?.filter(|_| count > 0);
    let Some(array) = array else {
        out.array(0);
        return Ok(());
    };
    let end = array.end();
    let count = (count as u64).min(end);
    if count > POSITIONS_MAX {
        return Err(TOO_MANY_POSITIONS);
    }
    let newest = array.cursor().unwrap_or(end - 1);
    // Steps back from the newest; before index 0 comes the last one.
    let position = |steps: u64| match newest.checked_sub(steps) {
        Some(index) => index,
        None => end - (steps - newest),
    };
    out.array(count as usize);
    for nth in 0..count {
        let steps = if reverse { nth } else { count - 1 - nth };
        reply_value(array.get(position(steps)), out);
    }
    Ok(())
}
