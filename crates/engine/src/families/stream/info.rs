//! XINFO: what there is to know of a stream, its groups and its consumers.

use resp::Reply;
use structs::stream::{Consumer, Group, Log, Producers, Stream, StreamId};

use crate::args::Args;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::ReadTx;

use super::{no_group_in, reply, subcommand_syntax};

pub(super) const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <group>",
    "    List the consumers of a group.",
    "GROUPS <key>",
    "    List the groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    Tell about a stream; with FULL about its groups and their consumers too.",
    "HELP",
    "    Show these lines.",
];

fn stream_at<'t>(tx: &ReadTx<'t, '_>, key: Key<'_>) -> Result<&'t Stream, Failure> {
    tx.read::<Stream>(key)?.ok_or(Failure::NO_SUCH_KEY)
}

pub(super) fn consumers(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.skip(1);
    let (key, name) = (args.key(), args.bytes());
    args.end()?;
    let stream = stream_at(tx, key)?;
    let group = stream.group(name).ok_or_else(|| no_group_in(name, key))?;
    let now = tx.clock().0;
    out.array(group.consumers().len());
    for consumer in group.consumers() {
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.int(consumer.pending().len() as i64);
        out.bulk(b"idle");
        out.int((now - consumer.seen_ms).max(0));
        out.bulk(b"inactive");
        out.int(consumer.active_ms.map_or(-1, |ms| now - ms));
    }
    Ok(())
}

pub(super) fn groups(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.skip(1);
    let key = args.key();
    args.end()?;
    let stream = stream_at(tx, key)?;
    out.array(stream.groups().len());
    for group in stream.groups() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(group.name());
        out.bulk(b"consumers");
        out.int(group.consumers().len() as i64);
        out.bulk(b"pending");
        out.int(group.pending().len() as i64);
        progress(group, stream.log(), out);
    }
    Ok(())
}

/// How far a group has come: three pairs of a map.
fn progress(group: &Group, log: &Log, out: &mut Reply) {
    out.bulk(b"last-delivered-id");
    reply::id(group.last_id, out);
    out.bulk(b"entries-read");
    int_or_null(group.entries_read.map(|read| read as i64), out);
    out.bulk(b"lag");
    int_or_null(group.lag(log), out);
}

fn int_or_null(value: Option<i64>, out: &mut Reply) {
    match value {
        Some(value) => out.int(value),
        None => out.null(),
    }
}

/// Entries and pending entries that FULL lists, unless COUNT says otherwise.
const FULL_COUNT: i64 = 10;

/// How many of each FULL lists; `None` without FULL.
fn read_full(args: &mut Args<'_>) -> Result<Option<usize>, Failure> {
    if args.left() == 0 {
        return Ok(None);
    }
    if args.left() == 2 || args.left() > 3 || !args.accept("full") {
        return Err(subcommand_syntax("XINFO", args));
    }
    if args.left() == 0 {
        return Ok(Some(FULL_COUNT as usize));
    }
    if !args.accept("count") {
        return Err(subcommand_syntax("XINFO", args));
    }
    let count = args.int();
    args.end()?;
    let count = if count < 0 { FULL_COUNT } else { count };
    Ok(Some(match usize::try_from(count) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    }))
}

pub(super) fn stream(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.skip(1);
    let key = args.key();
    let stream = stream_at(tx, key)?;
    let full = read_full(args)?;
    let log = stream.log();
    let common = 7 + if stream.producers().is_some() { 6 } else { 0 };
    out.map(common + if full.is_some() { 2 } else { 3 });
    describe_log(log, out);
    if let Some(producers) = stream.producers() {
        describe_producers(producers, out);
    }
    match full {
        Some(count) => {
            out.bulk(b"entries");
            reply::entries(log.range(StreamId::MIN, StreamId::MAX).take(count), out);
            out.bulk(b"groups");
            out.array(stream.groups().len());
            for group in stream.groups() {
                describe_group(group, log, count, out);
            }
        }
        None => {
            out.bulk(b"groups");
            out.int(stream.groups().len() as i64);
            let mut all = log.range(StreamId::MIN, StreamId::MAX);
            for (name, entry) in [("first-entry", all.next()), ("last-entry", log.last())] {
                out.bulk(name.as_bytes());
                match entry {
                    Some(entry) => reply::entry(&entry, out),
                    None => out.null(),
                }
            }
        }
    }
    Ok(())
}

fn describe_log(log: &Log, out: &mut Reply) {
    out.bulk(b"length");
    out.int(log.len() as i64);
    // There is no radix tree here. As if it were of two levels, as it is for few nodes.
    let nodes = log.node_count() as i64;
    out.bulk(b"radix-tree-keys");
    out.int(nodes);
    out.bulk(b"radix-tree-nodes");
    out.int(nodes + 1);
    out.bulk(b"last-generated-id");
    reply::id(log.last_id(), out);
    out.bulk(b"max-deleted-entry-id");
    reply::id(log.max_deleted_id(), out);
    out.bulk(b"entries-added");
    out.int(log.entries_added() as i64);
    out.bulk(b"recorded-first-entry-id");
    reply::id(log.first_id(), out);
}

fn describe_producers(producers: &Producers, out: &mut Reply) {
    let memory = producers.memory();
    let numbers = [
        ("idmp-duration", i64::from(memory.duration_s)),
        ("idmp-maxsize", i64::from(memory.messages_max)),
        ("pids-tracked", producers.len() as i64),
        ("iids-tracked", producers.messages() as i64),
        ("iids-added", producers.added as i64),
        ("iids-duplicates", producers.duplicates as i64),
    ];
    for (name, number) in numbers {
        out.bulk(name.as_bytes());
        out.int(number);
    }
}

/// A group with at most `count` of its pending entries. `nacked-count` is told if there are any:
/// clients of servers before 8.8 do not know it.
fn describe_group(group: &Group, log: &Log, count: usize, out: &mut Reply) {
    let unowned = group.unowned();
    out.map(7 + usize::from(unowned > 0));
    out.bulk(b"name");
    out.bulk(group.name());
    progress(group, log, out);
    out.bulk(b"pel-count");
    out.int(group.pending().len() as i64);
    if unowned > 0 {
        out.bulk(b"nacked-count");
        out.int(unowned as i64);
    }
    out.bulk(b"pending");
    out.array(group.pending().len().min(count));
    for (&id, pending) in group.pending().iter().take(count) {
        out.array(4);
        reply::id(id, out);
        let owner = pending.owner.map(|owner| group.consumer(owner).name());
        out.bulk(owner.unwrap_or_default());
        out.int(pending.delivered_ms());
        out.int(pending.deliveries as i64);
    }
    out.bulk(b"consumers");
    out.array(group.consumers().len());
    for consumer in group.consumers() {
        describe_consumer(consumer, group, count, out);
    }
}

fn describe_consumer(consumer: &Consumer, group: &Group, count: usize, out: &mut Reply) {
    out.map(5);
    out.bulk(b"name");
    out.bulk(consumer.name());
    out.bulk(b"seen-time");
    out.int(consumer.seen_ms);
    out.bulk(b"active-time");
    out.int(consumer.active_ms.unwrap_or(-1));
    out.bulk(b"pel-count");
    out.int(consumer.pending().len() as i64);
    out.bulk(b"pending");
    out.array(consumer.pending().len().min(count));
    for id in consumer.pending().iter().take(count) {
        out.array(3);
        reply::id(*id, out);
        let pending = &group.pending()[id];
        out.int(pending.delivered_ms());
        out.int(pending.deliveries as i64);
    }
}
