//! What only looks at a list: LINDEX, LLEN, LPOS, LRANGE.

use resp::Reply;
use structs::list::{End, List, ListRef};
use structs::packed::Element;

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::{count, integer, reply_element, resolve, resolve_range};

pub(super) fn lindex(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let Some(list) = tx.read::<List>(args.key())? else {
        out.null();
        return Ok(());
    };
    match resolve(integer(args)?, list.len()) {
        Some(index) => list.for_each(End::Head, index, 1, |element| reply_element(element, out)),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn llen(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let list = tx.read::<List>(args.key())?;
    out.int(list.map_or(0, ListRef::len) as i64);
    Ok(())
}

pub(super) fn lrange(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let (start, stop) = (args.int(), args.int());
    args.end()?;
    let Some(list) = tx.read::<List>(key)? else {
        out.array(0);
        return Ok(());
    };
    let (first, count) = resolve_range(start, stop, list.len());
    out.array(count);
    list.for_each(End::Head, first, count, |element| {
        reply_element(element, out);
    });
    Ok(())
}

/// What LPOS looks for besides the element.
struct Wanted {
    from: End,
    /// The first match that counts; 1 = the first one.
    rank: u64,
    /// How many matches are answered as an array, 0 = all; `None`: one, by itself.
    count: Option<usize>,
    /// How many elements are compared.
    compared_max: usize,
}

pub(super) fn lpos(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let element = Element::of(args.bytes());
    let wanted = lpos_options(args)?;
    match (tx.read::<List>(key)?, wanted.count) {
        (None, None) => out.null(),
        (None, Some(_)) => out.array(0),
        (Some(list), None) => {
            let mut found = None;
            search(list, element, &wanted, |index| {
                found = Some(index);
                false
            });
            match found {
                Some(index) => out.int(index as i64),
                None => out.null(),
            }
        }
        (Some(list), Some(count)) => {
            let later = out.array_later();
            let mut found = 0;
            search(list, element, &wanted, |index| {
                out.int(index as i64);
                found += 1;
                found != count
            });
            out.finish(later, found);
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum LposOption {
    Rank,
    Count,
    MaxLen,
}

fn lpos_options(args: &mut Args<'_>) -> Result<Wanted, Failure> {
    let mut wanted = Wanted {
        from: End::Head,
        rank: 1,
        count: None,
        compared_max: usize::MAX,
    };
    while args.left() >= 2 {
        let option = args.option(&[
            ("RANK", LposOption::Rank),
            ("COUNT", LposOption::Count),
            ("MAXLEN", LposOption::MaxLen),
        ]);
        match option {
            Some(LposOption::Rank) => {
                let rank = args.int();
                args.check()?;
                if rank == 0 {
                    return Err(RANK_IS_ZERO);
                }
                if rank == i64::MIN {
                    return Err(RANGE_OF_RANK);
                }
                wanted.rank = rank.unsigned_abs();
                wanted.from = if rank < 0 { End::Tail } else { End::Head };
            }
            Some(LposOption::Count) => wanted.count = Some(count(args, NEGATIVE_COUNT)),
            Some(LposOption::MaxLen) => {
                wanted.compared_max = match count(args, NEGATIVE_MAXLEN) {
                    0 => usize::MAX,
                    max => max,
                };
            }
            None => {}
        }
        args.check()?;
    }
    args.end()?;
    Ok(wanted)
}

/// Calls `found` with the index, counted from the head, of each match that counts, until it returns
/// false.
fn search(
    list: ListRef<'_>,
    element: Element<'_>,
    wanted: &Wanted,
    mut found: impl FnMut(usize) -> bool,
) {
    let mut nth = 0;
    list.search(element, wanted.from, wanted.compared_max, |index| {
        nth += 1;
        if index >= wanted.compared_max {
            return false;
        }
        if nth < wanted.rank {
            return true;
        }
        found(match wanted.from {
            End::Head => index,
            End::Tail => list.len() - 1 - index,
        })
    });
}

const RANK_IS_ZERO: Failure = Failure::fixed(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
     negative to start from the end of the list",
);
const RANGE_OF_RANK: Failure = Failure::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);
const NEGATIVE_COUNT: Failure = Failure::fixed("ERR COUNT can't be negative");
const NEGATIVE_MAXLEN: Failure = Failure::fixed("ERR MAXLEN can't be negative");
