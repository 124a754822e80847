//! What changes a list elsewhere than at its ends, or more than that: LINSERT, LREM, LSET, LTRIM.

use resp::Reply;
use structs::Collection;
use structs::list::{End, List, Side};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::{integer, resolve, resolve_range};

pub(super) fn linsert(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let side = args.option(&[("BEFORE", Side::Before), ("AFTER", Side::After)]);
    args.check()?;
    // Invariant: without a side `check` has failed.
    let side = side.unwrap_or(Side::Before);
    let (pivot, text) = (args.bytes(), args.bytes());
    let packing = tx.packing();
    let (reply, effect) = tx.update(key, |list: &mut List| {
        if list.is_empty() {
            (0, Effect::NOTHING)
        } else if list.insert(side, pivot, text, packing) {
            (list.len() as i64, Effect::as_sent(1))
        } else {
            (-1, Effect::NOTHING)
        }
    })?;
    out.int(reply);
    if effect != Effect::NOTHING {
        tx.event(Classes::LIST, "linsert", key);
    }
    Ok(effect)
}

pub(super) fn lrem(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let count = args.int();
    let text = args.bytes();
    args.end()?;
    if count == i64::MIN {
        return Err(RANGE_OF_COUNT);
    }
    let from = if count < 0 { End::Tail } else { End::Head };
    let max = match count.unsigned_abs() {
        0 => usize::MAX,
        max => usize::try_from(max).unwrap_or(usize::MAX),
    };
    let packing = tx.packing();
    let removed = tx.update(key, |list: &mut List| list.remove(text, max, from, packing))?;
    out.int(removed as i64);
    if removed > 0 {
        tx.event_taken(Classes::LIST, "lrem", key);
    }
    Ok(Effect::as_sent(removed))
}

pub(super) fn lset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let packing = tx.packing();
    tx.update(key, |list: &mut List| {
        if list.is_empty() {
            return Err(Failure::NO_SUCH_KEY);
        }
        let index = integer(args)?;
        let text = args.bytes();
        // Compat: the new element may make the list long even if there is no place for it.
        list.announce(text.len(), packing);
        let index = resolve(index, list.len()).ok_or(INDEX_OUT_OF_RANGE)?;
        list.replace(index, text, packing);
        Ok(())
    })??;
    out.ok();
    tx.event(Classes::LIST, "lset", key);
    Ok(Effect::as_sent(1))
}

pub(super) fn ltrim(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (start, stop) = (args.int(), args.int());
    args.end()?;
    out.ok();
    let Some(list) = tx.read::<List>(key)? else {
        return Ok(Effect::NOTHING);
    };
    let len = list.len();
    let (first, kept) = resolve_range(start, stop, len);
    if kept == 0 {
        // A whole list is freed in the background if it is large.
        tx.remove(key);
    } else {
        // Compat: even if nothing goes, since the list may become packed then.
        let packing = tx.packing();
        tx.update(key, |list: &mut List| list.trim(first, kept, packing))?;
        tx.seen(key);
    }
    // Compat: even if nothing goes.
    tx.event_taken(Classes::LIST, "ltrim", key);
    Ok(Effect::as_sent(len - kept))
}

const INDEX_OUT_OF_RANGE: Failure = Failure::fixed("ERR index out of range");
const RANGE_OF_COUNT: Failure = Failure::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);
