//! DEL, UNLINK, EXISTS, TOUCH, TYPE, RANDOMKEY: is a key there, and away with it.

use resp::Reply;

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::{Effect, ReadTx, WriteTx};

/// DEL and UNLINK: large values are freed on another thread either way.
/// Compat: the effect names all keys, missing ones too, as Redis's does.
pub(super) fn del(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let mut deleted = 0;
    while args.left() > 0 {
        deleted += usize::from(tx.delete(args.key()));
    }
    out.int(deleted as i64);
    Ok(Effect::as_sent(deleted))
}

/// A key named twice counts twice.
pub(super) fn exists(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut found = 0;
    while args.left() > 0 {
        found += i64::from(tx.find_untouched(args.key()).is_some());
    }
    out.int(found);
    Ok(())
}

pub(super) fn touch(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut found = 0;
    while args.left() > 0 {
        found += i64::from(tx.find(args.key()).is_some());
    }
    out.int(found);
    Ok(())
}

pub(super) fn type_of(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let found = tx.find_untouched(key);
    out.simple(found.map_or(b"none", |entry| entry.kind().name().as_bytes()));
    Ok(())
}

pub(super) fn randomkey(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    args.end()?;
    match tx.random_key() {
        Some(key) => out.bulk(&key),
        None => out.null(),
    }
    Ok(Effect::NOTHING)
}
