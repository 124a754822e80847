//! Taking members out: ZREM, the ZREMRANGE commands, ZPOPMIN, ZPOPMAX, ZMPOP. `block` has those
//! that wait for a member.

use std::ops::Range;

use base::num::parse_i64;
use resp::Reply;
use structs::Collection;
use structs::zset::{Zset, ZsetRef};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

use super::bounds::{Interval, ranks};
use super::entries::Shape;

const NOT_POSITIVE: Failure = Failure::fixed("ERR value is out of range, must be positive");
const NUMKEYS: Failure = Failure::fixed("ERR numkeys should be greater than 0");
const COUNT: Failure = Failure::fixed("ERR count should be greater than 0");

pub(super) fn zrem(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let packing = tx.packing();
    let removed = tx.update(key, |zset: &mut Zset| {
        let mut removed = 0;
        while args.left() > 0 {
            removed += usize::from(zset.remove(args.member(packing)).is_some());
        }
        removed
    })?;
    args.end()?;
    if removed > 0 {
        tx.event_taken(Classes::ZSET, "zrem", key);
    }
    out.int(removed as i64);
    Ok(Effect::as_sent(removed))
}

pub(super) fn zremrangebyrank(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (start, end) = (args.int(), args.int());
    args.end()?;
    let choose = |zset: ZsetRef<'_>| ranks(start, end, zset.len());
    remove_range(tx, key, "zremrangebyrank", choose, out)
}

pub(super) fn zremrangebyscore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let interval = Interval::of_scores(args.bytes(), args.bytes())?;
    args.end()?;
    remove_range(
        tx,
        key,
        "zremrangebyscore",
        |zset| interval.ranks(zset),
        out,
    )
}

pub(super) fn zremrangebylex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let interval = Interval::of_members(args.bytes(), args.bytes())?;
    args.end()?;
    remove_range(tx, key, "zremrangebylex", |zset| interval.ranks(zset), out)
}

fn remove_range(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    event: &'static str,
    choose: impl FnOnce(ZsetRef<'_>) -> Range<usize>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let count = take_ranks(tx, key, event, choose)?;
    out.int(count as i64);
    Ok(Effect::as_sent(count))
}

/// Takes the ranks that `choose` wants out and tells of it as `event`; their number. What takes all
/// deletes the key instead, so that a large set is freed in the background.
pub(super) fn take_ranks(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    event: &'static str,
    choose: impl FnOnce(ZsetRef<'_>) -> Range<usize>,
) -> Result<usize, Failure> {
    let (count, all) = tx.update(key, |zset: &mut Zset| {
        let ranks = choose(zset.borrow());
        let (count, len) = (ranks.len(), zset.len());
        if count < len {
            zset.remove_ranks(ranks);
        }
        (count, count == len)
    })?;
    if all && count > 0 {
        tx.remove(key);
    }
    if count > 0 {
        tx.event_taken(Classes::ZSET, event, key);
    }
    Ok(count)
}

/// Which end entries are popped from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Min,
    Max,
}

impl End {
    /// The event of popping there.
    pub(super) fn pop_event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }
}

pub(super) fn zpopmin(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    pop(tx, args, End::Min, out)
}

pub(super) fn zpopmax(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    pop(tx, args, End::Max, out)
}

fn pop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    end: End,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    // Compat: without a count, RESP3 has no array around the one entry.
    let (count, shape) = match args.left() {
        0 => (1, Shape::Flat),
        1 => (positive(args)?, Shape::of(true, out)),
        _ => return Err(Failure::SYNTAX),
    };
    args.end()?;
    let reply = |zset: ZsetRef<'_>| reply_popped(zset, end, count, shape, out);
    let count = take_ranks(tx, key, end.pop_event(), reply)?;
    Ok(Effect::as_sent(count))
}

/// The next word as a number that is not negative.
fn positive(args: &mut Args<'_>) -> Result<usize, Failure> {
    let number = parse_i64(args.bytes()).and_then(|number| usize::try_from(number).ok());
    number.ok_or(NOT_POSITIVE)
}

/// Writes the entries at one end; their ranks.
fn reply_popped(
    zset: ZsetRef<'_>,
    end: End,
    count: usize,
    shape: Shape,
    out: &mut Reply,
) -> Range<usize> {
    let len = zset.len();
    let count = count.min(len);
    out.array(shape.len(count));
    let (ranks, entries) = match end {
        End::Min => (0..count, zset.range(0..count)),
        End::Max => (len - count..len, zset.range_back(len - count..len)),
    };
    entries.for_each(|(member, score)| shape.reply(member, score, out));
    ranks
}

pub(super) fn zmpop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let request = read_request(args)?;
    Ok(pop_from_first(tx, args, request, out)?.unwrap_or(Effect::NOTHING))
}

/// From which end, and at most how many.
pub(super) type Request = (End, usize);

/// The words of ZMPOP from the number of keys on.
pub(super) fn read_request(args: &mut Args<'_>) -> Result<Request, Failure> {
    let at_least_one = |word: &[u8]| {
        let number = parse_i64(word).and_then(|number| usize::try_from(number).ok());
        number.filter(|&number| number > 0)
    };
    let keys = at_least_one(args.bytes()).ok_or(NUMKEYS)?;
    if keys >= args.left() {
        return Err(Failure::SYNTAX);
    }
    args.skip(keys);
    let end = match args {
        _ if args.accept("MIN") => End::Min,
        _ if args.accept("MAX") => End::Max,
        _ => return Err(Failure::SYNTAX),
    };
    let mut count = None;
    while args.left() > 0 {
        if count.is_some() || args.left() < 2 || !args.accept("COUNT") {
            return Err(Failure::SYNTAX);
        }
        count = Some(at_least_one(args.bytes()).ok_or(COUNT)?);
    }
    args.end()?;
    Ok((end, count.unwrap_or(1)))
}

/// Pops from the first of the keys that holds a sorted set; without one the reply is nil.
pub(super) fn pop_from_first(
    tx: &mut WriteTx<'_, '_>,
    args: &Args<'_>,
    (end, count): Request,
    out: &mut Reply,
) -> Result<Option<Effect>, Failure> {
    for &word in args.keys() {
        let key = Key {
            bytes: args.word(word.word as usize),
            hash: word.hash,
        };
        if tx.read::<Zset>(key)?.is_some() {
            return pop_from(tx, key, end, count, out).map(Some);
        }
    }
    out.null_array();
    Ok(None)
}

fn pop_from(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    end: End,
    count: usize,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    out.array(2);
    out.bulk(key.bytes);
    let count = take_ranks(tx, key, end.pop_event(), |zset| {
        reply_popped(zset, end, count, Shape::Pairs, out)
    })?;
    let name: &[u8] = match end {
        End::Min => b"ZPOPMIN",
        End::Max => b"ZPOPMAX",
    };
    tx.instead(|| {
        let count = count.to_string().into_bytes();
        vec![name.to_vec(), key.bytes.to_vec(), count]
    });
    Ok(Effect::instead(count))
}
