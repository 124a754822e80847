//! What removes at an end and answers what it removed: LPOP, RPOP, LMPOP.
//!
//! `block` has those that wait for an element.

use resp::Reply;
use structs::Collection;
use structs::list::{End, List};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

use super::{COUNT_NOT_POSITIVE, MUST_BE_POSITIVE, count, end_of, pop_event, reply_element};

pub(super) fn lpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    pop(tx, args, out, End::Head)
}

pub(super) fn rpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    pop(tx, args, out, End::Tail)
}

#[inline]
fn pop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    end: End,
) -> Result<Effect, Failure> {
    match args.count() {
        2 => pop_one(tx, args.key(), out, end),
        3 => pop_several(tx, args, out, end),
        _ => Err(Failure::arity(match end {
            End::Head => "lpop",
            End::Tail => "rpop",
        })),
    }
}

#[inline]
fn pop_one(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    out: &mut Reply,
    end: End,
) -> Result<Effect, Failure> {
    let packing = tx.packing();
    let popped = tx.update(key, |list: &mut List| {
        let Some(element) = list.borrow().end(end) else {
            out.null();
            return false;
        };
        reply_element(element, out);
        list.pop(end, 1, packing);
        true
    })?;
    if !popped {
        return Ok(Effect::NOTHING);
    }
    tx.event_taken(Classes::LIST, pop_event(end), key);
    Ok(Effect::as_sent(1))
}

fn pop_several(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    end: End,
) -> Result<Effect, Failure> {
    let key = args.key();
    let wanted = count(args, MUST_BE_POSITIVE);
    args.end()?;
    let Some(list) = tx.read::<List>(key)? else {
        out.null_array();
        return Ok(Effect::NOTHING);
    };
    let popped = wanted.min(list.len());
    pop_and_reply(tx, key, end, popped, out)?;
    Ok(Effect::as_sent(popped))
}

pub(super) fn lmpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let request = read_request(args)?;
    Ok(pop_from_first(tx, args, request, out)?.unwrap_or(Effect::NOTHING))
}

/// From which end, and at most how many.
pub(super) type Request = (End, usize);

/// The words of LMPOP from the number of keys on.
pub(super) fn read_request(args: &mut Args<'_>) -> Result<Request, Failure> {
    let numkeys = args.int_or(NUMKEYS_NOT_POSITIVE);
    args.check()?;
    let numkeys = usize::try_from(numkeys).unwrap_or(0);
    if numkeys == 0 {
        return Err(NUMKEYS_NOT_POSITIVE);
    }
    if numkeys >= args.left() {
        return Err(Failure::SYNTAX);
    }
    args.skip(numkeys);
    let end = end_of(args);
    let mut wanted = 1;
    if args.left() >= 2 && args.accept("COUNT") {
        wanted = count(args, COUNT_NOT_POSITIVE);
        if wanted == 0 {
            args.fail(COUNT_NOT_POSITIVE);
        }
    }
    args.end()?;
    Ok((end, wanted))
}

/// Pops from the first of the keys that holds a list; without one the reply is nil.
pub(super) fn pop_from_first(
    tx: &mut WriteTx<'_, '_>,
    args: &Args<'_>,
    (end, wanted): Request,
    out: &mut Reply,
) -> Result<Option<Effect>, Failure> {
    for &word in args.keys() {
        let key = Key {
            bytes: args.word(word.word as usize),
            hash: word.hash,
        };
        let Some(list) = tx.read::<List>(key)? else {
            continue;
        };
        let popped = wanted.min(list.len());
        out.array(2);
        out.bulk(key.bytes);
        pop_and_reply(tx, key, end, popped, out)?;
        tx.instead(|| pop_words(key, end, popped));
        return Ok(Some(Effect::instead(popped)));
    }
    out.null_array();
    Ok(None)
}

/// Removes `count` elements of the list at `key`, which has as many, and answers them as array.
fn pop_and_reply(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    end: End,
    count: usize,
    out: &mut Reply,
) -> Result<(), Failure> {
    out.array(count);
    let Some(list) = tx.read::<List>(key)? else {
        return Ok(());
    };
    list.for_each(end, 0, count, |element| reply_element(element, out));
    if count == list.len() {
        // A whole list is freed in the background if it is large.
        tx.remove(key);
    } else if count > 0 {
        let packing = tx.packing();
        tx.update(key, |list: &mut List| list.pop(end, count, packing))?;
    }
    if count > 0 {
        tx.event_taken(Classes::LIST, pop_event(end), key);
    }
    Ok(())
}

/// The command that pops so many elements.
fn pop_words(key: Key<'_>, end: End, count: usize) -> Vec<Vec<u8>> {
    let name = match end {
        End::Head => "LPOP",
        End::Tail => "RPOP",
    };
    vec![
        name.into(),
        key.bytes.to_vec(),
        count.to_string().into_bytes(),
    ]
}

const NUMKEYS_NOT_POSITIVE: Failure = Failure::fixed("ERR numkeys should be greater than 0");
