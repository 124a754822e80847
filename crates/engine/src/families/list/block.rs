//! What waits for an element: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH, BLMOVEM.
//!
//! To the journal they are what they do once they are served: LPOP, RPOP, LMOVE, ...

use resp::Reply;
use structs::Collection;
use structs::list::{End, List};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::{timeout, words};
use crate::keyspace::Key;
use crate::spec::Served;
use crate::tx::{Effect, WriteTx};
use crate::waiters::{Needs, Wait, Wants};

use super::transfer::{HowMany, move_one, move_several, read_amount};
use super::{end_of, pop, pop_event, reply_element};

pub(super) fn blpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    pop_one(tx, args, End::Head, out)
}

pub(super) fn brpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    pop_one(tx, args, End::Tail, out)
}

/// Pops from the first key that holds a list.
fn pop_one(
    tx: &mut WriteTx<'_, '_>,
    args: &Args<'_>,
    end: End,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let timeout_ms = timeout::of_seconds(args.word(args.count() - 1), tx.env())?;
    let packing = tx.packing();
    for &word in args.keys() {
        let key = Key {
            bytes: args.word(word.word as usize),
            hash: word.hash,
        };
        let popped = tx.update(key, |list: &mut List| {
            let Some(element) = list.borrow().end(end) else {
                return false;
            };
            out.array(2);
            out.bulk(key.bytes);
            reply_element(element, out);
            list.pop(end, 1, packing);
            true
        })?;
        if popped {
            tx.event_taken(Classes::LIST, pop_event(end), key);
            let name: &[u8] = match end {
                End::Head => b"LPOP",
                End::Tail => b"RPOP",
            };
            tx.instead(|| words(&[name, key.bytes]));
            return Ok(Served::Done(Effect::instead(1)));
        }
    }
    out.null_array();
    Ok(Served::Wait(Effect::NOTHING, any_list(timeout_ms, args)))
}

pub(super) fn blmpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let timeout_word = args.bytes();
    let request = pop::read_request(args)?;
    let timeout_ms = timeout::of_seconds(timeout_word, tx.env())?;
    Ok(match pop::pop_from_first(tx, args, request, out)? {
        Some(effect) => Served::Done(effect),
        None => Served::Wait(Effect::NOTHING, any_list(timeout_ms, args)),
    })
}

pub(super) fn blmove(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let keys = (args.key(), args.key());
    let ends = (end_of(args), end_of(args));
    args.check()?;
    let timeout_ms = timeout::of_seconds(args.bytes(), tx.env())?;
    let Some(effect) = move_one(tx, keys, ends, out)? else {
        return Ok(Served::Wait(Effect::NOTHING, source(timeout_ms, true)));
    };
    tx.instead(|| {
        let side = |index| args.word(index);
        words(&[b"LMOVE", keys.0.bytes, keys.1.bytes, side(3), side(4)])
    });
    Ok(Served::Done(Effect::instead(effect.changes as usize)))
}

pub(super) fn brpoplpush(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let keys = (args.key(), args.key());
    let timeout_ms = timeout::of_seconds(args.bytes(), tx.env())?;
    let Some(effect) = move_one(tx, keys, (End::Tail, End::Head), out)? else {
        return Ok(Served::Wait(Effect::NOTHING, source(timeout_ms, true)));
    };
    tx.instead(|| words(&[b"RPOPLPUSH", keys.0.bytes, keys.1.bytes]));
    Ok(Served::Done(Effect::instead(effect.changes as usize)))
}

pub(super) fn blmovem(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let keys = (args.key(), args.key());
    let ends = (end_of(args), end_of(args));
    args.check()?;
    let timeout_word = args.bytes();
    let amount = read_amount(args)?;
    let timeout_ms = timeout::of_seconds(timeout_word, tx.env())?;
    let Some(effect) = move_several(tx, keys, ends, amount, out)? else {
        out.null_array();
        // Fewer elements than this one waits for may be enough for the next one.
        let exclusive = amount.how == HowMany::UpTo;
        return Ok(Served::Wait(Effect::NOTHING, source(timeout_ms, exclusive)));
    };
    tx.instead(|| {
        let sent = args.words().enumerate();
        let kept = sent.filter(|(index, _)| *index != 0 && *index != TIMEOUT_OF_BLMOVEM);
        let kept = kept.map(|(_, word)| word.to_vec());
        std::iter::once(b"LMOVEM".to_vec()).chain(kept).collect()
    });
    Ok(Served::Done(Effect::instead(effect.changes as usize)))
}

/// Where BLMOVEM has the word that LMOVEM has not.
const TIMEOUT_OF_BLMOVEM: usize = 5;

/// Waits for a list at any of the keys.
fn any_list(timeout_ms: Option<i64>, args: &Args<'_>) -> Box<Wait> {
    Box::new(Wait {
        timeout_ms,
        wants: Wants::List,
        needs: Needs::AnyKey,
        keys: args.keys().len(),
        exclusive: true,
        words: Vec::new(),
    })
}

/// Waits for a list at the first of two keys.
fn source(timeout_ms: Option<i64>, exclusive: bool) -> Box<Wait> {
    Box::new(Wait {
        timeout_ms,
        wants: Wants::List,
        needs: Needs::AllKeys,
        keys: 1,
        exclusive,
        words: Vec::new(),
    })
}
