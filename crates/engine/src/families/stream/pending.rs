//! XPENDING: what a group or a consumer has not acknowledged.

use resp::Reply;
use structs::stream::{Group, Pending, Stream, StreamId};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::{ids, no_key_or_group, reply};

/// Which pending entries are listed.
struct Filter<'a> {
    start: StreamId,
    end: StreamId,
    count: usize,
    idle_ms: i64,
    consumer: Option<&'a [u8]>,
}

/// Words of XPENDING without and with all of the filter.
const SUMMARY_WORDS: usize = 3;
const FILTER_WORDS: std::ops::RangeInclusive<usize> = 6..=9;

pub(super) fn xpending(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let name = args.bytes();
    let filter = match args.count() {
        SUMMARY_WORDS => None,
        count if FILTER_WORDS.contains(&count) => Some(read_filter(args)?),
        _ => return Err(Failure::SYNTAX),
    };
    let stream = tx.read::<Stream>(key)?;
    let group = stream
        .and_then(|stream| stream.group(name))
        .ok_or_else(|| no_key_or_group(key, name))?;
    match filter {
        None => summary(group, out),
        Some(filter) => list(group, &filter, tx.clock().0, out),
    }
    Ok(())
}

/// `[IDLE ms] start end count [consumer]`. Compat: words after those are ignored.
fn read_filter<'a>(args: &mut Args<'a>) -> Result<Filter<'a>, Failure> {
    let mut idle_ms = 0;
    if args.accept("idle") {
        idle_ms = args.int();
        args.check()?;
        if args.left() < 3 {
            return Err(Failure::SYNTAX);
        }
    }
    let (start, end) = (args.bytes(), args.bytes());
    let count = args.int();
    args.check()?;
    Ok(Filter {
        start: ids::start(start)?,
        end: ids::end(end)?,
        count: usize::try_from(count).unwrap_or(0),
        idle_ms,
        consumer: args.peek(),
    })
}

fn summary(group: &Group, out: &mut Reply) {
    out.array(4);
    out.int(group.pending().len() as i64);
    let ends = (
        group.pending().first_key_value(),
        group.pending().last_key_value(),
    );
    let (Some((&first, _)), Some((&last, _))) = ends else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    reply::id(first, out);
    reply::id(last, out);
    let header = out.array_later();
    let mut count = 0;
    for consumer in group.consumers().filter(|it| !it.pending().is_empty()) {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_int(consumer.pending().len() as i64);
        count += 1;
    }
    out.finish(header, count);
}

fn list(group: &Group, filter: &Filter<'_>, now_ms: i64, out: &mut Reply) {
    let header = out.array_later();
    let mut count = 0;
    // Whether to go on.
    let mut list_one = |id: StreamId, pending: &Pending| {
        if count == filter.count {
            return false;
        }
        let idle_ms = now_ms - pending.delivered_ms();
        if filter.idle_ms == 0 || idle_ms >= filter.idle_ms {
            list_entry(group, id, pending, idle_ms, out);
            count += 1;
        }
        true
    };
    if filter.start <= filter.end {
        let range = filter.start..=filter.end;
        let all = group.pending();
        match filter.consumer {
            None => {
                all.range(range).all(|(&id, pending)| list_one(id, pending));
            }
            Some(name) => {
                if let Some(consumer) = group.find_consumer(name) {
                    let mut ids = group.consumer(consumer).pending().range(range);
                    ids.all(|id| list_one(*id, &all[id]));
                }
            }
        }
    }
    out.finish(header, count);
}

fn list_entry(group: &Group, id: StreamId, pending: &Pending, idle_ms: i64, out: &mut Reply) {
    out.array(4);
    reply::id(id, out);
    match pending.owner {
        Some(owner) => {
            out.bulk(group.consumer(owner).name());
            out.int(idle_ms.max(0));
        }
        None => {
            out.bulk(b"");
            out.int(-1);
        }
    }
    out.int(pending.deliveries as i64);
}
