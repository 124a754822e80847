//! What waits for a member: BZPOPMIN, BZPOPMAX, BZMPOP.
//!
//! To the journal they are what they do once they are served: ZPOPMIN, ZPOPMAX.

use resp::Reply;
use structs::zset::Zset;

use crate::args::Args;
use crate::failure::Failure;
use crate::families::{timeout, words};
use crate::keyspace::Key;
use crate::spec::Served;
use crate::tx::{Effect, WriteTx};
use crate::waiters::{Needs, Wait, Wants};

use super::entries::Shape;
use super::remove::{End, pop_from_first, read_request, take_ranks};

pub(super) fn bzpopmin(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    pop_one(tx, args, End::Min, out)
}

pub(super) fn bzpopmax(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    pop_one(tx, args, End::Max, out)
}

/// Pops from the first key that holds a sorted set.
fn pop_one(
    tx: &mut WriteTx<'_, '_>,
    args: &Args<'_>,
    end: End,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let timeout_ms = timeout::of_seconds(args.word(args.count() - 1), tx.env())?;
    for &word in args.keys() {
        let key = Key {
            bytes: args.word(word.word as usize),
            hash: word.hash,
        };
        if tx.read::<Zset>(key)?.is_none() {
            continue;
        }
        out.array(3);
        out.bulk(key.bytes);
        take_ranks(tx, key, end.pop_event(), |zset| {
            let rank = match end {
                End::Min => 0,
                End::Max => zset.len() - 1,
            };
            let entries = zset.range(rank..rank + 1);
            entries.for_each(|(member, score)| Shape::Flat.reply(member, score, out));
            rank..rank + 1
        })?;
        let name: &[u8] = match end {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        };
        tx.instead(|| words(&[name, key.bytes]));
        return Ok(Served::Done(Effect::instead(1)));
    }
    out.null_array();
    Ok(Served::Wait(Effect::NOTHING, any_zset(timeout_ms, args)))
}

pub(super) fn bzmpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let timeout_word = args.bytes();
    let request = read_request(args)?;
    let timeout_ms = timeout::of_seconds(timeout_word, tx.env())?;
    Ok(match pop_from_first(tx, args, request, out)? {
        Some(effect) => Served::Done(effect),
        None => Served::Wait(Effect::NOTHING, any_zset(timeout_ms, args)),
    })
}

/// Waits for a sorted set at any of the keys.
fn any_zset(timeout_ms: Option<i64>, args: &Args<'_>) -> Box<Wait> {
    Box::new(Wait {
        timeout_ms,
        wants: Wants::Zset,
        needs: Needs::AnyKey,
        keys: args.keys().len(),
        exclusive: true,
        words: Vec::new(),
    })
}
