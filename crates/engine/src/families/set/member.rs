//! Members by name: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER.

use resp::Reply;
use structs::set::Set;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, ReadTx, WriteTx};

pub(super) fn sadd(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let packing = tx.packing();
    let added = tx.update(key, |set: &mut Set| {
        let count = args.left();
        set.prepare(args.peek().unwrap_or_default(), count, packing);
        let added = (0..count).filter(|_| set.add(args.member(packing), packing));
        added.count()
    })?;
    if added > 0 {
        tx.event(Classes::SET, "sadd", key);
    }
    out.int(added as i64);
    Ok(Effect::as_sent(added))
}

pub(super) fn srem(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let packing = tx.packing();
    let removed = tx.update(key, |set: &mut Set| {
        let removed = (0..args.left()).filter(|_| set.remove(args.member(packing)));
        removed.count()
    })?;
    if removed > 0 {
        tx.event_taken(Classes::SET, "srem", key);
    }
    out.int(removed as i64);
    Ok(Effect::as_sent(removed))
}

pub(super) fn smove(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (source, destination) = (args.key(), args.key());
    let packing = tx.packing();
    let member = args.member(packing);
    args.end()?;
    let Some(set) = tx.read::<Set>(source)? else {
        out.int(0);
        return Ok(Effect::NOTHING);
    };
    let is_there = set.contains(member);
    let is_known = tx
        .read::<Set>(destination)?
        .is_some_and(|set| set.contains(member));
    out.int(i64::from(is_there));
    if !is_there || source.bytes == destination.bytes {
        return Ok(Effect::NOTHING);
    }
    // Neither fails: the types have been checked.
    tx.update(source, |set: &mut Set| set.remove(member))?;
    tx.event_taken(Classes::SET, "srem", source);
    if !is_known {
        tx.update(destination, |set: &mut Set| {
            set.prepare(member.bytes, 1, packing);
            set.add(member, packing);
        })?;
        tx.event(Classes::SET, "sadd", destination);
    }
    Ok(Effect::as_sent(1 + usize::from(!is_known)))
}

pub(super) fn sismember(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let member = args.member(tx.packing());
    args.end()?;
    let set = tx.read::<Set>(key)?;
    out.int(i64::from(set.is_some_and(|set| set.contains(member))));
    Ok(())
}

pub(super) fn smismember(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let set = tx.read::<Set>(args.key())?;
    let count = args.left();
    out.array(count);
    for _ in 0..count {
        let member = args.member(tx.packing());
        out.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    args.end()
}
