//! What adds at an end: LPUSH, RPUSH, LPUSHX, RPUSHX.

use resp::Reply;
use structs::Collection;
use structs::list::{End, List};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::push_event;

pub(super) fn lpush(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    push(tx, args, out, End::Head, Missing::IsMade)
}

pub(super) fn lpushx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    push(tx, args, out, End::Head, Missing::StaysMissing)
}

pub(super) fn rpush(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    push(tx, args, out, End::Tail, Missing::IsMade)
}

pub(super) fn rpushx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    push(tx, args, out, End::Tail, Missing::StaysMissing)
}

/// What becomes of a list that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsMade,
    StaysMissing,
}

#[inline]
fn push(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    end: End,
    missing: Missing,
) -> Result<Effect, Failure> {
    let key = args.key();
    let texts = args.rest();
    let count = args.left();
    let packing = tx.packing();
    let len = tx.update(key, |list: &mut List| {
        // Lists in the data set are never empty: this one is missing.
        if missing == Missing::IsMade || !list.is_empty() {
            list.push(end, texts, packing);
        }
        list.len()
    })?;
    out.int(len as i64);
    if len == 0 {
        return Ok(Effect::NOTHING);
    }
    tx.event(Classes::LIST, push_event(end), key);
    Ok(Effect::as_sent(count))
}
