//! Strings: SET, GET and friends. Values are byte strings or integers in binary.

use base::num::parse_i64;
use resp::Reply;

use crate::args::Args;
use crate::entry::{NewValue, Value};
use crate::failure::Failure;
use crate::spec::{Arg, ArgKind, DataRun, Flags, Group, KeySpec, Run, Spec};
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO", "access"])],
        summary: "Returns the string at a key.",
        args: &[Arg::KEY],
        ..Spec::new("get", 2, Group::String, Run::Do(DataRun::Read(get)))
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::first(&["OW", "update"])],
        summary: "Makes a key hold a string, whatever it held before.",
        args: &[Arg::KEY, Arg::new("value", ArgKind::String)],
        ..Spec::new("set", -3, Group::String, Run::Do(DataRun::Write(set)))
    },
];

/// The string as bulk reply.
fn reply_string(value: Value<'_>, out: &mut Reply) {
    match value {
        Value::Inline(bytes) => out.bulk(bytes),
        Value::Int(number) => out.bulk_int(number),
        Value::Shared(shared) => out.bulk_shared(shared.clone()),
    }
}

/// The form in which a client's bytes are kept.
fn stored(bytes: &[u8]) -> NewValue<'_> {
    parse_i64(bytes).map_or(NewValue::Bytes(bytes), NewValue::Int)
}

fn get(tx: &ReadTx<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    match tx.string(key)? {
        Some(value) => reply_string(value, out),
        None => out.null(),
    }
    Ok(())
}

fn set(tx: &mut WriteTx<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<Effect, Failure> {
    let key = args.key();
    let value = args.bytes();
    args.end()?;
    tx.put(key, stored(value), Deadline::Clear);
    out.ok();
    Ok(Effect::as_sent(1))
}
