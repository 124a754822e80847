//! Strings: SET, GET and friends. Values are byte strings or integers in binary.

use base::num::parse_i64;
use resp::Reply;

use crate::args::Args;
use crate::entry::{NewValue, Value};
use crate::failure::Failure;
use crate::spec::{Arg, ArgKind, Begin, DataRun, Find, Flags, Group, KeySpec, Run, Spec};
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

/// What most rows of this family have in common.
const ROW: Spec<DataRun> = Spec {
    name: "",
    arity: 0,
    flags: Flags::NONE,
    keys: &[],
    group: Group::String,
    categories: &[],
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    deprecated: None,
    tips: &[],
    history: &[],
    args: &[],
    run: Run::Do(DataRun::Read(get)),
};

const ONE_KEY: Find = Find::Range { last: 0, step: 1, limit: 0 };
const READ_KEY: KeySpec =
    KeySpec { flags: &["RO", "access"], begin: Begin::Index(1), find: ONE_KEY, notes: None };
const WRITE_KEY: KeySpec =
    KeySpec { flags: &["OW", "update"], begin: Begin::Index(1), find: ONE_KEY, notes: None };

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        name: "get",
        arity: 2,
        flags: Flags::FAST,
        keys: &[READ_KEY],
        summary: "Returns the string at a key.",
        args: &[Arg::KEY],
        run: Run::Do(DataRun::Read(get)),
        ..ROW
    },
    Spec {
        name: "set",
        arity: -3,
        flags: Flags::DENYOOM,
        keys: &[WRITE_KEY],
        summary: "Makes a key hold a string, whatever it held before.",
        args: &[Arg::KEY, Arg::new("value", ArgKind::String)],
        run: Run::Do(DataRun::Write(set)),
        ..ROW
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
