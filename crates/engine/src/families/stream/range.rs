//! Reading a stream by ids: XRANGE, XREVRANGE, XLEN.

use resp::Reply;
use structs::stream::Stream;

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::{ids, reply};

pub(super) fn xlen(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let stream = tx.read::<Stream>(key)?;
    out.int(stream.map_or(0, |stream| stream.log().len() as i64));
    Ok(())
}

pub(super) fn xrange(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let start = ids::start(args.bytes())?;
    let end = ids::end(args.bytes())?;
    let count = read_count(args)?;
    let Some(stream) = tx.read::<Stream>(key)? else {
        out.array(0);
        return Ok(());
    };
    if count == Some(0) {
        out.null_array();
        return Ok(());
    }
    let range = stream.log().range(start, end);
    reply::entries(range.take(count.unwrap_or(usize::MAX)), out);
    Ok(())
}

pub(super) fn xrevrange(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let end = args.bytes();
    let start = ids::start(args.bytes())?;
    let end = ids::end(end)?;
    let count = read_count(args)?;
    let Some(stream) = tx.read::<Stream>(key)? else {
        out.array(0);
        return Ok(());
    };
    if count == Some(0) {
        out.null_array();
        return Ok(());
    }
    let range = stream.log().range_back(start, end);
    reply::entries(range.take(count.unwrap_or(usize::MAX)), out);
    Ok(())
}

/// `COUNT n`, the last one of several; negative is 0.
fn read_count(args: &mut Args<'_>) -> Result<Option<usize>, Failure> {
    let mut count = None;
    while args.left() >= 2 && args.accept("count") {
        count = Some(usize::try_from(args.int()).unwrap_or(0));
        args.check()?;
    }
    args.end()?;
    Ok(count)
}
