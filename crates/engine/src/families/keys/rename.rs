//! RENAME, RENAMENX, COPY, MOVE: the same value under another key or in another database.

use base::ids::DbIndex;
use resp::Reply;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

pub(super) fn rename(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (source, target) = (args.key(), args.key());
    args.end()?;
    if tx.find(source).is_none() {
        return Err(Failure::NO_SUCH_KEY);
    }
    out.ok();
    if source.bytes == target.bytes {
        return Ok(Effect::NOTHING);
    }
    Ok(move_entry(tx, source, target))
}

pub(super) fn renamenx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (source, target) = (args.key(), args.key());
    args.end()?;
    if tx.find(source).is_none() {
        return Err(Failure::NO_SUCH_KEY);
    }
    if tx.find(target).is_some() {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    out.int(1);
    Ok(move_entry(tx, source, target))
}

fn move_entry(tx: &mut WriteTx<'_, '_>, source: Key<'_>, target: Key<'_>) -> Effect {
    let Some(entry) = tx.take(source) else {
        return Effect::NOTHING;
    };
    let replaced = tx.put_entry(target, entry.renamed(target.bytes));
    tx.event(Classes::GENERIC, "rename_from", source);
    tx.event(Classes::GENERIC, "rename_to", target);
    if let Some(before) = replaced {
        tx.event_replaced(target, before);
    }
    Effect::as_sent(1)
}

pub(super) fn copy(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (source, target) = (args.key(), args.key());
    let mut db = tx.db();
    let mut replace = false;
    while args.left() > 0 {
        if args.accept("REPLACE") {
            replace = true;
        } else if args.left() > 1 && args.accept("DB") {
            db = database(tx, args).unwrap_or(db);
        } else {
            args.fail(Failure::SYNTAX);
            break;
        }
    }
    args.end()?;
    if db == tx.db() && source.bytes == target.bytes {
        return Err(Failure::SAME_OBJECT);
    }
    let copied = tx
        .reading()
        .find(source)
        .map(|entry| entry.copied(target.bytes));
    let mut there = tx.in_db(db);
    there.expire_if_due(target);
    match copied {
        Some(entry) if replace || there.find(target).is_none() => {
            let replaced = there.put_entry(target, entry);
            there.event(Classes::GENERIC, "copy_to", target);
            if let Some(before) = replaced {
                there.event_replaced(target, before);
            }
            out.int(1);
            Ok(Effect::as_sent(1))
        }
        _ => {
            out.int(0);
            Ok(Effect::NOTHING)
        }
    }
}

pub(super) fn move_to_db(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let db = database(tx, args);
    args.end()?;
    // Invariant: without a database `end` has failed.
    let db = db.unwrap_or(tx.db());
    if db == tx.db() {
        return Err(Failure::SAME_OBJECT);
    }
    tx.in_db(db).expire_if_due(key);
    if tx.find(key).is_none() || tx.in_db(db).find(key).is_some() {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    if let Some(entry) = tx.take(key) {
        tx.in_db(db).put_entry(key, entry);
        tx.event(Classes::GENERIC, "move_from", key);
        tx.in_db(db).event(Classes::GENERIC, "move_to", key);
    }
    out.int(1);
    Ok(Effect::as_sent(1))
}

/// The next word as the number of a database; `None` has latched a failure.
fn database(tx: &WriteTx<'_, '_>, args: &mut Args<'_>) -> Option<DbIndex> {
    let number = base::num::parse_i64(args.bytes());
    let failure = match number.map(i32::try_from) {
        None => Failure::NOT_INTEGER,
        Some(Err(_)) => OUTSIDE_I32,
        Some(Ok(number)) => match u32::try_from(number) {
            Ok(number) if number < tx.databases() => return Some(DbIndex(number)),
            _ => Failure::DB_INDEX,
        },
    };
    args.fail(failure);
    None
}

const OUTSIDE_I32: Failure =
    Failure::fixed("ERR value is out of range, value must between -2147483648 and 2147483647");
