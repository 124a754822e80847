//! BITOP: strings combined bit by bit.

use base::num::I64_TEXT_MAX;
use resp::Reply;
use structs::bits::{self, Combination};

use crate::args::Args;
use crate::entry::{INLINE_BYTES_MAX, NewValue, Text};
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Deadline, Effect, WriteTx};

const OPERATIONS: &[(&str, Combination)] = &[
    ("and", Combination::And),
    ("or", Combination::Or),
    ("xor", Combination::Xor),
    ("not", Combination::Not),
    ("diff", Combination::Diff),
    ("diff1", Combination::Diff1),
    ("andor", Combination::AndOr),
    ("one", Combination::One),
];

pub(super) fn bitop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let Some(how) = args.option(OPERATIONS) else {
        return Err(Failure::SYNTAX);
    };
    let destination = args.key();
    check_count(how, args.left())?;
    let reading = tx.reading();
    let mut values = Vec::with_capacity(args.left());
    while args.left() > 0 {
        values.push((reading.string(args.key())?, [0; I64_TEXT_MAX]));
    }
    args.end()?;
    let sources: Vec<&[u8]> = values
        .iter_mut()
        .map(|(value, digits)| value.map_or(&b""[..], |value| Text::bytes(value, digits)))
        .collect();
    let result = bits::combine(how, &sources);
    out.int(result.len() as i64);
    if result.is_empty() {
        return Ok(Effect::as_sent(usize::from(tx.delete(destination))));
    }
    let value = if result.len() <= INLINE_BYTES_MAX {
        NewValue::Edited(&result)
    } else {
        NewValue::Owned(result)
    };
    tx.put(destination, value, Deadline::Clear);
    tx.event(Classes::STRING, "set", destination);
    Ok(Effect::as_sent(1))
}

/// Whether the operation takes so many sources.
fn check_count(how: Combination, sources: usize) -> Result<(), Failure> {
    let name = match how {
        Combination::And | Combination::Or | Combination::Xor | Combination::One => return Ok(()),
        Combination::Not if sources == 1 => return Ok(()),
        Combination::Not => {
            let text = "ERR BITOP NOT must be called with a single source key.";
            return Err(Failure::fixed(text));
        }
        Combination::Diff => "DIFF",
        Combination::Diff1 => "DIFF1",
        Combination::AndOr => "ANDOR",
    };
    if sources >= 2 {
        return Ok(());
    }
    Err(Failure::owned(format!(
        "ERR BITOP {name} must be called with at least two source keys."
    )))
}
