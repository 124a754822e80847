//! Parts of a string: APPEND, GETRANGE (and SUBSTR), SETRANGE, STRLEN.

use std::ops::Range;

use base::num::I64_TEXT_MAX;
use resp::Reply;

use crate::args::Args;
use crate::entry::Text;
use crate::env::Env;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

use super::{reply_string, stored};

pub(super) fn append(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let tail = args.bytes();
    args.end()?;
    let len = match tx.string(key)?.map(Text::len) {
        Some(len) => {
            let len = checked_end(tx.env(), len as u64, tail.len())?;
            tx.append(key, tail);
            len
        }
        None => {
            tx.put(key, stored(tail), Deadline::Clear);
            tail.len()
        }
    };
    tx.event(Classes::STRING, "append", key);
    out.int(len as i64);
    Ok(Effect::as_sent(1))
}

pub(super) fn getrange(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let start = args.int();
    let end = args.int();
    args.end()?;
    let Some(value) = tx.string(key)? else {
        out.bulk(b"");
        return Ok(());
    };
    let part = resolve(start, end, value.len());
    if part.len() == value.len() {
        reply_string(value, out);
    } else {
        out.bulk(&value.bytes(&mut [0; I64_TEXT_MAX])[part]);
    }
    Ok(())
}

pub(super) fn setrange(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let offset = args.int();
    let part = args.bytes();
    args.end()?;
    let Ok(offset) = u64::try_from(offset) else {
        return Err(Failure::fixed("ERR offset is out of range"));
    };
    let len = tx.string(key)?.map_or(0, Text::len);
    if part.is_empty() {
        out.int(len as i64);
        return Ok(Effect::NOTHING);
    }
    let end = checked_end(tx.env(), offset, part.len())?;
    tx.edit_string(key, |buffer| {
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        buffer[end - part.len()..end].copy_from_slice(part);
    });
    tx.event(Classes::STRING, "setrange", key);
    out.int(len.max(end) as i64);
    Ok(Effect::as_sent(1))
}

pub(super) fn strlen(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    out.int(tx.string(key)?.map_or(0, Text::len) as i64);
    Ok(())
}

/// Where `added` bytes from `start` on end.
///
/// # Errors
/// The string would become longer than `proto-max-bulk-len`.
fn checked_end(env: &Env, start: u64, added: usize) -> Result<usize, Failure> {
    start
        .checked_add(added as u64)
        .filter(|&end| end <= env.limits.string_bytes_max)
        .and_then(|end| usize::try_from(end).ok())
        .ok_or(Failure::STRING_TOO_LONG)
}

/// The bytes from `start` to `end`, both included; negative ones count from the end of the string.
///
/// Compat: an end before the first byte means the first byte (`GETRANGE abc 0 -100` is `a`), unless
/// both are negative in the wrong order.
fn resolve(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_start = |index: i64| {
        if index >= 0 {
            usize::try_from(index).unwrap_or(usize::MAX)
        } else {
            len.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
        }
    };
    let end = from_start(end).saturating_add(1).min(len);
    let start = from_start(start).min(end);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_never_leave_the_string() {
        let edges = [i64::MIN, i64::MIN + 1, -4, -3, -1, 0, 1, 2, 3, i64::MAX];
        for len in 0..4 {
            for start in edges {
                for end in edges {
                    let range = resolve(start, end, len);
                    assert!(
                        range.start <= range.end && range.end <= len,
                        "{start} {end} {len}"
                    );
                }
            }
        }
        assert_eq!(resolve(0, -100, 3), 0..1);
        assert_eq!(resolve(-100, -200, 3), 0..0);
        assert_eq!(resolve(-2, -1, 3), 1..3);
        assert_eq!(resolve(2, 1, 3).len(), 0);
    }
}
