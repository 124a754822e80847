//! Deleting single entries: XDEL, XDELEX, XACKDEL.

use std::ops::Range;

use resp::Reply;
use structs::stream::{References, Stream, StreamId};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::ids;
use super::trim::REFERENCES;

const NUMIDS_NOT_POSITIVE: Failure = Failure::fixed("ERR Number of IDs must be a positive integer");
const NUMIDS_WRONG: Failure =
    Failure::fixed("ERR The `numids` parameter must match the number of arguments");

/// Answers about an id: it is not there, it is gone, it stays because a group needs it.
const MISSING: i64 = -1;
const DELETED: i64 = 1;
const STAYS: i64 = 2;

pub(super) fn xdel(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    // Compat: the ids of a missing stream are not looked at.
    if tx.read::<Stream>(key)?.is_none() {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    let ids = ids::rest(args)?;
    let deleted = tx.update(key, |stream: &mut Stream| {
        let log = stream.log_mut();
        ids.iter().filter(|&&id| log.delete(id)).count()
    })?;
    if deleted > 0 {
        tx.event(Classes::STREAM, "xdel", key);
    }
    out.int(deleted as i64);
    Ok(Effect::as_sent(deleted))
}

pub(super) fn xdelex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let is_missing = tx.read::<Stream>(key)?.is_none();
    let (references, places) = read_options(args)?;
    if is_missing {
        return Ok(all_missing(places.len(), out));
    }
    let ids = ids::at(args, places)?;
    let changes = tx.update(key, |stream: &mut Stream| {
        out.array(ids.len());
        let mut delete = |&id: &StreamId| {
            let answer = delete_one(stream, id, references);
            out.int(answer);
            answer == DELETED
        };
        ids.iter().filter(|id| delete(id)).count()
    })?;
    if changes > 0 {
        tx.event(Classes::STREAM, "xdel", key);
    }
    Ok(Effect::as_sent(changes))
}

pub(super) fn xackdel(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let group = args.bytes();
    let has_group = |stream: &Stream| stream.group(group).is_some();
    let is_missing = !tx.reading().read::<Stream>(key)?.is_some_and(has_group);
    let (references, places) = read_options(args)?;
    if is_missing {
        return Ok(all_missing(places.len(), out));
    }
    let ids = ids::at(args, places)?;
    let mut deleted = false;
    let changes = tx.update(key, |stream: &mut Stream| {
        out.array(ids.len());
        let mut acknowledge = |&id: &StreamId| {
            let pending = stream
                .group_mut(group)
                .is_some_and(|(_, group)| group.acknowledge(id));
            let answer = match pending {
                true => delete_acknowledged(stream, id, references),
                false => MISSING,
            };
            out.int(answer);
            deleted |= answer == DELETED;
            pending
        };
        ids.iter().filter(|id| acknowledge(id)).count()
    })?;
    if deleted {
        tx.event(Classes::STREAM, "xdel", key);
    }
    Ok(Effect::as_sent(changes))
}

/// `[KEEPREF | DELREF | ACKED] IDS n id...`, in any order. All words are read; the ids are told by
/// their places, because those of a missing stream are not looked at. Compat: of several lists the
/// last one counts.
fn read_options(args: &mut Args<'_>) -> Result<(References, Range<usize>), Failure> {
    let mut references = None;
    let mut ids = None;
    while args.left() > 0 {
        if args.left() >= 2 && args.accept("ids") {
            ids = Some(read_places(args)?);
            continue;
        }
        let found = REFERENCES.iter().find(|(word, _)| args.accept(word));
        let said = found.ok_or(Failure::SYNTAX)?.1;
        if references.replace(said).is_some() {
            return Err(Failure::SYNTAX);
        }
    }
    Ok((references.unwrap_or_default(), ids.ok_or(Failure::SYNTAX)?))
}

/// `n id...`
fn read_places(args: &mut Args<'_>) -> Result<Range<usize>, Failure> {
    let count = args.int_or(NUMIDS_NOT_POSITIVE);
    args.check()?;
    if count <= 0 {
        return Err(NUMIDS_NOT_POSITIVE);
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > args.left() {
        return Err(NUMIDS_WRONG);
    }
    let start = args.count() - args.left();
    args.skip(count);
    Ok(start..start + count)
}

fn all_missing(count: usize, out: &mut Reply) -> Effect {
    out.array(count);
    (0..count).for_each(|_| out.int(MISSING));
    Effect::NOTHING
}

/// Compat: an entry that a group has not got yet stays, even if it is not there.
fn delete_one(stream: &mut Stream, id: StreamId, references: References) -> i64 {
    if references == References::Acked && stream.is_referenced(id) {
        return STAYS;
    }
    if !stream.log().contains(id) {
        return MISSING;
    }
    delete_acknowledged(stream, id, references)
}

/// Deletes an entry that its group has acknowledged; whether it is still there is not told.
fn delete_acknowledged(stream: &mut Stream, id: StreamId, references: References) -> i64 {
    match references {
        References::Acked if stream.is_referenced(id) => return STAYS,
        References::Drop => stream.drop_references(id),
        References::Acked | References::Keep => {}
    }
    stream.log_mut().delete(id);
    DELETED
}
