//! All members: SCARD, SMEMBERS, SSCAN.

use resp::Reply;
use structs::packed::IntText;
use structs::set::{Item, Set, SetRef};

use crate::args::Args;
use crate::failure::Failure;
use crate::families::scanning::{self, Options};
use crate::tx::ReadTx;

use super::reply_item;

pub(super) fn scard(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    out.int(tx.read::<Set>(key)?.map_or(0, SetRef::len) as i64);
    Ok(())
}

pub(super) fn smembers(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let Some(set) = tx.read::<Set>(key)? else {
        out.set(0);
        return Ok(());
    };
    out.set(set.len());
    set.iter().for_each(|item| reply_item(item, out));
    Ok(())
}

pub(super) fn sscan(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let cursor = scanning::cursor(args);
    args.check()?;
    // Compat: the options of a scan of a missing key are not looked at.
    let Some(set) = tx.read::<Set>(key)? else {
        scanning::reply_empty(out);
        return Ok(());
    };
    let options = Options::parse_without_values(args)?;
    if let SetRef::Table(table) = set {
        let (next, found) = options.visit(table, cursor, |_| true);
        scanning::begin_reply(out, next);
        out.array(found.len());
        found.iter().for_each(|entry| out.bulk(entry.key));
        return Ok(());
    }
    scanning::begin_reply(out, 0);
    let later = out.array_later();
    let mut digits = IntText::default();
    let wanted = |item: &Item<'_>| options.wants(item.text(&mut digits));
    let mut count = 0;
    for item in set.iter().filter(wanted) {
        reply_item(item, out);
        count += 1;
    }
    out.finish(later, count);
    Ok(())
}
