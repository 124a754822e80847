//! What is asked of members: ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK; and ZCOUNT, ZLEXCOUNT.

use resp::Reply;
use structs::zset::Zset;

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::bounds::Interval;

pub(super) fn zcard(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let len = tx.read::<Zset>(key)?.map_or(0, |zset| zset.len());
    out.int(len as i64);
    Ok(())
}

pub(super) fn zscore(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let member = args.member(tx.packing());
    args.end()?;
    let zset = tx.read::<Zset>(key)?;
    reply_score(zset.and_then(|zset| zset.score(member)), out);
    Ok(())
}

pub(super) fn zmscore(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let zset = tx.read::<Zset>(key)?;
    out.array(args.left());
    while args.left() > 0 {
        let member = args.member(tx.packing());
        reply_score(zset.and_then(|zset| zset.score(member)), out);
    }
    args.end()
}

fn reply_score(score: Option<f64>, out: &mut Reply) {
    match score {
        Some(score) => out.double(score),
        None => out.null(),
    }
}

/// From which end ranks are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

pub(super) fn zrank(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    rank(tx, args, Order::Ascending, out)
}

pub(super) fn zrevrank(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    rank(tx, args, Order::Descending, out)
}

fn rank(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    order: Order,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let member = args.member(tx.packing());
    if args.left() > 1 {
        return Err(Failure::arity(match order {
            Order::Ascending => "zrank",
            Order::Descending => "zrevrank",
        }));
    }
    let with_score = args.accept("WITHSCORE");
    args.end()?;
    let found = tx.read::<Zset>(key)?.and_then(|zset| {
        let (rank, score) = zset.rank(member)?;
        Some(match order {
            Order::Ascending => (rank, score),
            Order::Descending => (zset.len() - 1 - rank, score),
        })
    });
    match found {
        Some((rank, score)) if with_score => {
            out.array(2);
            out.int(rank as i64);
            out.double(score);
        }
        Some((rank, _)) => out.int(rank as i64),
        None if with_score => out.null_array(),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn zcount(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let interval = Interval::of_scores(args.bytes(), args.bytes())?;
    args.end()?;
    let zset = tx.read::<Zset>(key)?;
    out.int(zset.map_or(0, |zset| interval.ranks(zset).len()) as i64);
    Ok(())
}

pub(super) fn zlexcount(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let interval = Interval::of_members(args.bytes(), args.bytes())?;
    args.end()?;
    let zset = tx.read::<Zset>(key)?;
    out.int(zset.map_or(0, |zset| interval.ranks(zset).len()) as i64);
    Ok(())
}
