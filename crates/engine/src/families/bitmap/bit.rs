//! One bit: SETBIT, GETBIT.

use base::num::I64_TEXT_MAX;
use resp::Reply;
use structs::bits;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::bit_offset;

pub(super) fn setbit(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let offset = bit_offset(args.bytes(), tx.env())?;
    let value = match args.bytes() {
        b"0" => false,
        b"1" => true,
        _ => return Err(Failure::fixed("ERR bit is not an integer or out of range")),
    };
    let byte = (offset / 8) as usize;
    let edit = |bytes: &mut [u8], old_len: usize| {
        let (mask, held) = (bits::mask(offset), &mut bytes[byte]);
        let old = *held & mask != 0;
        *held = if value { *held | mask } else { *held & !mask };
        (old, old != value || byte >= old_len)
    };
    let (old, changed) = tx.edit_bytes(key, |_| Ok(byte + 1), edit)?;
    if changed {
        tx.event(Classes::STRING, "setbit", key);
    }
    out.int(i64::from(old));
    Ok(Effect::as_sent(usize::from(changed)))
}

pub(super) fn getbit(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let offset = bit_offset(args.bytes(), tx.env())?;
    let is_set = tx
        .string(key)?
        .is_some_and(|value| bits::is_set(value.bytes(&mut [0; I64_TEXT_MAX]), offset));
    out.int(i64::from(is_set));
    Ok(())
}
