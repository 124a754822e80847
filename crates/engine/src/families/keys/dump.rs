//! DUMP and RESTORE: a value as bytes, and back.

use base::num::{format_i64, parse_i64};
use base::strings::repr;
use base::time::UnixMillis;
use rdb::file::Usage;
use rdb::payload::{self, Refusal};
use rdb::{Decoded, Encoder};
use resp::Reply;

use crate::args::Args;
use crate::dump::{access_of, value_of, with_value};
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::object::Type;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

const BUSY_KEY: Failure = Failure::fixed("BUSYKEY Target key name already exists.");
const INVALID_TTL: Failure = Failure::fixed("ERR Invalid TTL value, must be >= 0");
const INVALID_IDLE: Failure = Failure::fixed("ERR Invalid IDLETIME value, must be >= 0");
const INVALID_FREQUENCY: Failure =
    Failure::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
const WRONG_PAYLOAD: Failure = Failure::fixed("ERR DUMP payload version or checksum are wrong");
/// Bytes of a key that the log shows.
const KEY_SHOWN_MAX: usize = 128;
const BAD_FORMAT: Failure = Failure::fixed("ERR Bad data format");

pub(super) fn dump(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let Some(entry) = tx.find(key) else {
        out.null();
        return Ok(());
    };
    let mut encoder = Encoder::new(tx.env().limits.dump);
    let mut bytes = Vec::new();
    payload::write(value_of(entry.value()), &mut encoder, &mut bytes);
    out.bulk(&bytes);
    Ok(())
}

/// The words of RESTORE.
struct Order<'a> {
    key: Key<'a>,
    ttl: &'a [u8],
    payload: &'a [u8],
    replace: bool,
    absolute: bool,
    usage: Usage,
}

pub(super) fn restore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let order = read_order(args)?;
    let replaced = tx.find(order.key).map(|entry| entry.kind());
    if replaced.is_some() && !order.replace {
        return Err(BUSY_KEY);
    }
    let ttl = parse_i64(order.ttl).ok_or(Failure::NOT_INTEGER)?;
    if ttl < 0 {
        return Err(INVALID_TTL);
    }
    let value = payload::read(order.payload, tx.env().limits.payloads, tx.packing())
        .map_err(|refusal| refused(refusal, &order, tx))?;
    out.ok();
    let deadline = match (ttl, order.absolute) {
        (0, _) => None,
        (ttl, true) => Some(UnixMillis(ttl)),
        (ttl, false) => Some(tx.clock().saturating_add(ttl)),
    };
    if deadline.is_some_and(|deadline| deadline <= tx.now()) {
        return Ok(delete(tx, order.key));
    }
    put(tx, &order, value, deadline, replaced);
    match deadline {
        Some(deadline) if !order.absolute => {
            tx.instead(|| absolute_words(args, deadline));
            Ok(Effect::instead(1))
        }
        _ => Ok(Effect::as_sent(1)),
    }
}

fn refused(refusal: Refusal, order: &Order<'_>, tx: &WriteTx<'_, '_>) -> Failure {
    match refusal {
        Refusal::VersionOrChecksum => WRONG_PAYLOAD,
        Refusal::Kind | Refusal::Format => {
            let bytes = order.key.bytes;
            let key = repr(&bytes[..bytes.len().min(KEY_SHOWN_MAX)]);
            let (key, why) = (
                String::from_utf8_lossy(&key),
                payload::explain(order.payload, tx.packing()),
            );
            tx.env()
                .complain(format!("RESTORE of key {key} is refused: {why}"));
            BAD_FORMAT
        }
    }
}

fn read_order<'a>(args: &mut Args<'a>) -> Result<Order<'a>, Failure> {
    let mut order = Order {
        key: args.key(),
        ttl: args.bytes(),
        payload: args.bytes(),
        replace: false,
        absolute: false,
        usage: Usage::Unknown,
    };
    while args.left() > 0 {
        let has_value = args.left() > 1;
        if args.accept("REPLACE") {
            order.replace = true;
        } else if args.accept("ABSTTL") {
            order.absolute = true;
        } else if has_value
            && !matches!(order.usage, Usage::Frequency(_))
            && args.accept("IDLETIME")
        {
            let seconds = args.int();
            args.check()?;
            let seconds = u64::try_from(seconds).map_err(|_| INVALID_IDLE)?;
            order.usage = Usage::Idle(seconds);
        } else if has_value && !matches!(order.usage, Usage::Idle(_)) && args.accept("FREQ") {
            let count = args.int();
            args.check()?;
            let count = u8::try_from(count).map_err(|_| INVALID_FREQUENCY)?;
            order.usage = Usage::Frequency(count);
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    args.end()?;
    Ok(order)
}

/// What was due already takes an old value with it.
fn delete(tx: &mut WriteTx<'_, '_>, key: Key<'_>) -> Effect {
    if !tx.remove(key) {
        return Effect::NOTHING;
    }
    tx.event(Classes::GENERIC, "del", key);
    tx.instead(|| vec![b"DEL".to_vec(), key.bytes.to_vec()]);
    Effect::instead(1)
}

fn put(
    tx: &mut WriteTx<'_, '_>,
    order: &Order<'_>,
    value: Decoded,
    deadline: Option<UnixMillis>,
    replaced: Option<Type>,
) {
    let key = order.key;
    tx.remove(key);
    let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
    with_value(value, |value| tx.put(key, value, deadline));
    tx.set_access(key, access_of(order.usage, tx.env()));
    tx.event(Classes::GENERIC, "restore", key);
    if let Some(before) = replaced {
        tx.event_replaced(key, before);
    }
}

/// The same command with a deadline instead of a time to live.
fn absolute_words(args: &Args<'_>, deadline: UnixMillis) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = args.words().map(<[u8]>::to_vec).collect();
    if let Some(ttl) = words.get_mut(2) {
        *ttl = format_i64(deadline.0, &mut [0; base::num::I64_TEXT_MAX]).to_vec();
    }
    words.push(b"ABSTTL".to_vec());
    words
}
