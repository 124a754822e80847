//! The commands that read fields: one, some, all, and how many there are.

use resp::Reply;
use structs::hash::{Hash, Text};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::{reply_text, reply_text_or_null};

pub(super) fn hget(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let field = args.member(tx.packing());
    args.end()?;
    let value = tx
        .read::<Hash>(key)?
        .and_then(|hash| hash.get(field, tx.now()));
    reply_text_or_null(value, out);
    Ok(())
}

pub(super) fn hmget(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let hash = tx.read::<Hash>(args.key())?;
    out.array(args.left());
    while args.left() > 0 {
        let field = args.member(tx.packing());
        reply_text_or_null(hash.and_then(|hash| hash.get(field, tx.now())), out);
    }
    Ok(())
}

pub(super) fn hexists(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let value = find(tx, args)?;
    out.int(value.is_some().into());
    Ok(())
}

pub(super) fn hstrlen(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let value = find(tx, args)?;
    out.int(value.map_or(0, Text::len) as i64);
    Ok(())
}

/// The value of the field that the words name.
fn find<'t>(tx: &ReadTx<'t, '_>, args: &mut Args<'_>) -> Result<Option<Text<'t>>, Failure> {
    let key = args.key();
    let field = args.member(tx.packing());
    args.end()?;
    let hash = tx.read::<Hash>(key)?;
    Ok(hash.and_then(|hash| hash.get(field, tx.now())))
}

/// Compat: fields that are due count until they are deleted.
pub(super) fn hlen(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let len = tx.read::<Hash>(key)?.map_or(0, |hash| hash.len());
    out.int(len as i64);
    Ok(())
}

pub(super) fn hgetall(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let Some(hash) = tx.read::<Hash>(key)? else {
        out.map(0);
        return Ok(());
    };
    let later = out.map_later();
    let count = hash.each(tx.now(), |field, value| {
        reply_text(field, out);
        reply_text(value, out);
    });
    out.finish(later, count);
    Ok(())
}

pub(super) fn hkeys(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    one_of_each(tx, args, out, |field, _| field)
}

pub(super) fn hvals(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    one_of_each(tx, args, out, |_, value| value)
}

fn one_of_each(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    choose: for<'a> fn(Text<'a>, Text<'a>) -> Text<'a>,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let Some(hash) = tx.read::<Hash>(key)? else {
        out.array(0);
        return Ok(());
    };
    let later = out.array_later();
    let count = hash.each(tx.now(), |field, value| {
        reply_text(choose(field, value), out)
    });
    out.finish(later, count);
    Ok(())
}
