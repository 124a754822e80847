//! GET, and the commands that read a string while they take it away or change its expiry.

use base::num::{I64_TEXT_MAX, format_i64};
use resp::Reply;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::expiry::{self, Expiry, ExpiryWord};
use crate::tx::{Effect, ReadTx, WriteTx};

use super::{reply_string, reply_string_or_null, words};

pub(super) fn get(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    reply_string_or_null(tx.string(key)?, out);
    Ok(())
}

pub(super) fn getdel(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    args.end()?;
    let Some(value) = tx.reading().string(key)? else {
        out.null();
        return Ok(Effect::NOTHING);
    };
    reply_string(value, out);
    tx.delete(key);
    tx.instead(|| words(&[b"DEL", key.bytes]));
    Ok(Effect::instead(1))
}

const GETEX_OPTIONS: &[(&str, ExpiryWord)] = &[
    ("ex", ExpiryWord::EX),
    ("px", ExpiryWord::PX),
    ("exat", ExpiryWord::EXAT),
    ("pxat", ExpiryWord::PXAT),
    ("persist", ExpiryWord::Persist),
];

pub(super) fn getex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let mut expiry = Expiry::Unsaid;
    while let Some(word) = args.option(GETEX_OPTIONS) {
        expiry.read(word, args);
    }
    args.end()?;
    // Compat: a missing key or a wrong type is told before a wrong number is.
    let Some(value) = tx.reading().string(key)? else {
        out.null();
        return Ok(Effect::NOTHING);
    };
    let due = match expiry {
        Expiry::Due(form, text) => Some(expiry::deadline(form, text, tx.clock(), "getex")?),
        Expiry::Persist => None,
        Expiry::Unsaid | Expiry::Keep => {
            reply_string(value, out);
            return Ok(Effect::NOTHING);
        }
    };
    reply_string(value, out);
    match due {
        // Deadlines are only observed, not enforced, on a replica.
        Some(at) if at <= tx.now() && tx.env().expire => {
            tx.delete(key);
            tx.instead(|| words(&[b"DEL", key.bytes]));
        }
        Some(at) => {
            tx.set_deadline(key, due);
            tx.event(Classes::GENERIC, "expire", key);
            tx.instead(|| {
                let mut digits = [0; I64_TEXT_MAX];
                words(&[b"PEXPIREAT", key.bytes, format_i64(at.0, &mut digits)])
            });
        }
        None if tx.find(key).is_some_and(|entry| entry.deadline().is_some()) => {
            tx.set_deadline(key, None);
            tx.event(Classes::GENERIC, "persist", key);
            tx.instead(|| words(&[b"PERSIST", key.bytes]));
        }
        None => return Ok(Effect::NOTHING),
    }
    Ok(Effect::instead(1))
}
