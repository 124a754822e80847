//! DEBUG OBJECT, LISTPACK and HTSTATS-KEY: how one value is kept.

use std::fmt::Write;

use engine::access::{self, Recency};
use engine::args::Args;
use engine::describe;
use engine::dump::value_of;
use engine::entry::Entry;
use engine::failure::Failure;
use log::warn;
use rdb::{Cursor, Encoder, Progress, Target};
use resp::Reply;

use crate::session::Session;

/// The entry of the key that is the next word, without a trace; also one whose time is up.
fn entry<'s>(session: &'s mut Session<'_, '_>, args: &mut Args<'_>) -> Result<&'s Entry, Failure> {
    let key = session.lease.keyspace().key(args.bytes());
    session.lease.cover(std::iter::once(key.hash));
    let table = session.lease.stripe(key.hash).table(session.client.db);
    let place = table.find(key.hash, key.bytes);
    place
        .map(|place| table.at(place))
        .ok_or(Failure::NO_SUCH_KEY)
}

pub(super) fn object(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let compress = session.server.config.lock().settings().rdbcompression;
    let (recency, now, packing) = {
        let limits = &session.env.limits;
        (limits.recency, session.env.now, limits.packing)
    };
    let entry = entry(session, args)?;
    let access = entry.access();
    let mut line = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{access} ",
        entry.address(),
        entry.encoding(),
        serialized_bytes(entry, compress),
    );
    // Writing to a string does not fail.
    let _ = match recency {
        Recency::Lru => write!(
            line,
            "lru_seconds_idle:{}",
            access::idle_seconds(access, now)
        ),
        Recency::Lfu { decay_minutes, .. } => {
            write!(line, "freq:{}", access::decayed(access, decay_minutes, now))
        }
    };
    if let Some(list) = describe::long_list(entry.value()) {
        let _ = write!(
            line,
            " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} \
             ql_uncompressed_size:{}",
            list.nodes,
            list.elements as f64 / list.nodes.max(1) as f64,
            packing.list_node_max,
            u8::from(packing.list_compress_depth > 0),
            list.bytes,
        );
    }
    out.simple(line.as_bytes());
    Ok(())
}

/// Bytes that are encoded before they are counted and forgotten.
const PIECE_BYTES: usize = 64 * 1024;

/// Bytes that the value takes in a snapshot file.
fn serialized_bytes(entry: &Entry, compress: bool) -> usize {
    let mut encoder = Encoder::new(Target {
        compress,
        ..Target::default()
    });
    let (mut cursor, mut piece, mut sum) = (Cursor::default(), Vec::new(), 0);
    loop {
        let value = value_of(entry.value());
        let progress = encoder.value(value, &mut cursor, &mut piece, PIECE_BYTES);
        sum += piece.len();
        piece.clear();
        if progress == Progress::Done {
            return sum;
        }
    }
}

/// Most elements that LISTPACK shows.
const ELEMENTS_SHOWN: usize = 1000;

pub(super) fn listpack(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let entry = entry(session, args)?;
    let mut index = 0;
    let is_packed = describe::packed_elements(entry.value(), |text| {
        if index < ELEMENTS_SHOWN {
            warn!("DEBUG LISTPACK: {index}: {}", text.escape_ascii());
        }
        index += 1;
    });
    if !is_packed {
        return Err(Failure::fixed("ERR Not a listpack encoded object."));
    }
    warn!("DEBUG LISTPACK: {index} elements");
    out.simple(b"Listpack structure written to the log");
    Ok(())
}

pub(super) fn table_stats(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let large = describe::large(entry(session, args)?.value()).ok_or(NO_TABLE)?;
    let slots = large.slots.map(|slots| format!("slots: {slots}\n"));
    let text = format!(
        "elements: {}\npieces: {}\n{}bytes: {}\n",
        large.elements,
        large.pieces,
        slots.unwrap_or_default(),
        large.bytes
    );
    out.verbatim(b"txt", text.as_bytes());
    Ok(())
}

const NO_TABLE: Failure = Failure::fixed(
    "ERR The value stored at the specified key is not represented using an hash table",
);
