//! FLUSHALL, FLUSHDB, SWAPDB: whole databases at once, under a lease on every stripe.
//!
//! Flushing takes the tables out and hands them to the background thread, whichever word the client
//! gave; the lease is held for microseconds.

use base::ids::DbIndex;
use base::num::parse_i64;
use resp::Reply;

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

/// The words after FLUSHALL and FLUSHDB: none, or one of two.
fn parse_mode(args: &mut Args<'_>) -> Result<(), Failure> {
    let _ = args.accept("ASYNC") || args.accept("SYNC");
    args.end()
}

pub(super) fn flushall(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    parse_mode(args)?;
    let deleted = (0..tx.databases()).map(|db| tx.flush(DbIndex(db))).sum();
    out.ok();
    Ok(flushed(tx, args, deleted))
}

pub(super) fn flushdb(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    parse_mode(args)?;
    let deleted = tx.flush(tx.db());
    out.ok();
    Ok(flushed(tx, args, deleted))
}

/// Compat: flushing is recorded even when there was nothing to delete, so that a replica which had
/// something has nothing either.
fn flushed(tx: &WriteTx<'_, '_>, args: &Args<'_>, deleted: usize) -> Effect {
    tx.instead(|| args.words().map(<[u8]>::to_vec).collect());
    Effect::instead(deleted)
}

pub(super) fn swapdb(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let first = number(args, "ERR invalid first DB index");
    let second = number(args, "ERR invalid second DB index");
    args.end()?;
    let database = |number: i32| match u32::try_from(number) {
        Ok(number) if number < tx.databases() => Ok(DbIndex(number)),
        _ => Err(Failure::DB_INDEX),
    };
    let (first, second) = (database(first)?, database(second)?);
    // Compat: a database exchanged with itself is a change, but not of any key.
    if first != second {
        tx.swap(first, second);
    }
    out.ok();
    Ok(Effect::as_sent(1))
}

fn number(args: &mut Args<'_>, failure: &'static str) -> i32 {
    let number = parse_i64(args.bytes()).and_then(|number| i32::try_from(number).ok());
    number.unwrap_or_else(|| {
        args.fail(Failure::fixed(failure));
        0
    })
}
