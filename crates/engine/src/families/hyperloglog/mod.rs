//! HyperLogLogs: estimates of how many different elements were added. They are strings; what their
//! bytes mean is in `structs::hll`.
//!
//! This file has the table and the commands for users; `debug` has those for developers.

use resp::Reply;
use structs::hll::{self, Corrupt, Encoding, Mark, REGISTERS};

use crate::args::Args;
use crate::entry::{INLINE_BYTES_MAX, NewValue, Text};
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::spec::{Arg, ArgKind, DataRun, Flags, Group, KeySpec, Run, Spec};
use crate::tx::{Deadline, Effect, WriteTx};

mod debug;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: &[KeySpec::first(&["RW", "insert"])],
        since: "2.8.9",
        summary: "Adds elements to a HyperLogLog, which is made if the key is missing.",
        complexity: "O(1) for each element",
        args: &[
            Arg::KEY,
            Arg::new("element", ArgKind::String).optional().multiple(),
        ],
        ..row("pfadd", -2, DataRun::Write(pfadd))
    },
    Spec {
        flags: Flags::MAY_REPLICATE,
        keys: &[KeySpec {
            notes: Some(
                "RW because it may change the internal representation of the key, and propagate to \
                 replicas",
            ),
            ..KeySpec::range(1, -1, 1, &["RW", "access"])
        }],
        since: "2.8.9",
        summary: "Estimates how many different elements one or several HyperLogLogs have seen.",
        complexity: "O(1), O(N) with N keys if there are several",
        args: &[Arg::KEY.multiple()],
        ..row("pfcount", -2, DataRun::Refresh(pfcount))
    },
    Spec {
        flags: Flags::DENYOOM.or(Flags::ADMIN),
        keys: &[KeySpec::at(2, &["RW", "access"])],
        since: "2.8.9",
        summary: "Shows or changes how a HyperLogLog is kept.",
        complexity: "N/A",
        internal: true,
        args: &[Arg::new("subcommand", ArgKind::String), Arg::KEY],
        ..row("pfdebug", 3, DataRun::Write(debug::pfdebug))
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["RW", "access", "insert"]),
            KeySpec::range(2, -1, 1, &["RO", "access"]),
        ],
        since: "2.8.9",
        summary: "Makes a HyperLogLog that has seen what several others have seen.",
        complexity: "O(N) in the number of HyperLogLogs",
        args: &[
            Arg::new("destkey", ArgKind::Key).of_key_spec(0),
            Arg::new("sourcekey", ArgKind::Key)
                .of_key_spec(1)
                .optional()
                .multiple(),
        ],
        ..row("pfmerge", -2, DataRun::Write(pfmerge))
    },
    Spec {
        flags: Flags::ADMIN,
        since: "2.8.9",
        summary: "Tests the arithmetic of HyperLogLogs.",
        complexity: "N/A",
        internal: true,
        ..row("pfselftest", 1, DataRun::Bare(debug::pfselftest))
    },
];

const fn row(name: &'static str, arity: i16, run: DataRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::HyperLogLog, Run::Do(run))
}

const NOT_HLL: Failure = Failure::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");

fn corrupt(_: Corrupt) -> Failure {
    Failure::fixed("INVALIDOBJ Corrupted HLL object detected")
}

/// The bytes of a HyperLogLog.
fn bytes_of(text: Text<'_>) -> Result<(&[u8], Encoding), Failure> {
    let bytes = match text {
        Text::Int(_) => return Err(NOT_HLL),
        Text::Inline(bytes) => bytes,
        Text::Shared(shared) => shared.as_slice(),
    };
    let encoding = hll::encoding(bytes).ok_or(NOT_HLL)?;
    Ok((bytes, encoding))
}

/// Stores a HyperLogLog whose length may have changed. The deadline stays.
fn put(tx: &mut WriteTx<'_, '_>, key: Key<'_>, bytes: Vec<u8>) {
    let value = if bytes.len() <= INLINE_BYTES_MAX {
        NewValue::Edited(&bytes)
    } else {
        NewValue::Owned(bytes)
    };
    tx.renew(key, value, Deadline::Keep);
}

fn pfadd(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let raised = match tx.string(key)?.map(bytes_of).transpose()? {
        None => add_to(tx, key, hll::empty().to_vec(), args)? + 1,
        Some((_, Encoding::Dense)) => add_to_dense(tx, key, args)?,
        Some((bytes, Encoding::Sparse)) => {
            if adds_nothing(bytes, args).map_err(corrupt)? {
                0
            } else {
                let bytes = bytes.to_vec();
                add_to(tx, key, bytes, args)?
            }
        }
    };
    if raised > 0 {
        tx.event(Classes::STRING, "pfadd", key);
    }
    out.int(i64::from(raised > 0));
    Ok(Effect::as_sent(raised))
}

/// Adds the command's elements in place; the number of those that changed anything.
fn add_to_dense(tx: &mut WriteTx<'_, '_>, key: Key<'_>, args: &Args<'_>) -> Result<usize, Failure> {
    let add = |bytes: &mut [u8], _| {
        let raised = args
            .rest()
            .filter(|element| hll::raise_dense(bytes, Mark::of(element)))
            .count();
        if raised > 0 {
            hll::invalidate(bytes);
        }
        raised
    };
    tx.edit_bytes(key, |_| Ok(0), add)
}

/// Whether the command's elements leave no mark on a sparse HyperLogLog.
fn adds_nothing(bytes: &[u8], args: &Args<'_>) -> Result<bool, Corrupt> {
    for element in args.rest() {
        if hll::would_raise_sparse(bytes, Mark::of(element))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds the command's elements to a copy and stores it; the number of those that changed anything.
fn add_to(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    mut bytes: Vec<u8>,
    args: &Args<'_>,
) -> Result<usize, Failure> {
    let limit = tx.packing().hll_sparse_bytes_max;
    let mut raised = 0;
    for element in args.rest() {
        let mark = Mark::of(element);
        raised += usize::from(hll::raise(&mut bytes, mark, limit).map_err(corrupt)?);
    }
    hll::invalidate(&mut bytes);
    put(tx, key, bytes);
    Ok(raised)
}

fn pfcount(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    if args.left() > 1 {
        let mut merged = Merged::new();
        merged.add_rest(tx, args)?;
        out.int(hll::count_registers(&merged.registers) as i64);
        return Ok(Effect::NOTHING);
    }
    let key = args.key();
    let Some(text) = tx.reading().string(key)? else {
        out.int(0);
        return Ok(Effect::NOTHING);
    };
    let (bytes, _) = bytes_of(text)?;
    if let Some(count) = hll::cached(bytes) {
        out.int(count as i64);
        return Ok(Effect::NOTHING);
    }
    let count = hll::count(bytes).map_err(corrupt)?;
    tx.edit_bytes(key, |_| Ok(0), |bytes, _| hll::set_cached(bytes, count))?;
    out.int(count as i64);
    // Compat: the cached count is a part of the string, which replicas have too.
    Ok(Effect::as_sent(1))
}

/// What several HyperLogLogs have together.
struct Merged {
    registers: Box<[u8; REGISTERS]>,
    /// Whether any of them is dense.
    dense: bool,
}

impl Merged {
    fn new() -> Merged {
        Merged {
            registers: Box::new([0; REGISTERS]),
            dense: false,
        }
    }

    fn add(&mut self, text: Text<'_>) -> Result<(), Failure> {
        let (bytes, encoding) = bytes_of(text)?;
        self.dense |= encoding == Encoding::Dense;
        hll::merge(bytes, &mut self.registers).map_err(corrupt)
    }

    /// Adds all keys that are left; missing ones have nothing.
    fn add_rest(&mut self, tx: &WriteTx<'_, '_>, args: &mut Args<'_>) -> Result<(), Failure> {
        while args.left() > 0 {
            if let Some(text) = tx.reading().string(args.key())? {
                self.add(text)?;
            }
        }
        Ok(())
    }
}

fn pfmerge(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let destination = args.key();
    let mut merged = Merged::new();
    let mut bytes = match tx.reading().string(destination)? {
        None => hll::empty().to_vec(),
        Some(text) => {
            merged.add(text)?;
            bytes_of(text)?.0.to_vec()
        }
    };
    merged.add_rest(tx, args)?;
    if merged.dense && hll::encoding(&bytes) == Some(Encoding::Sparse) {
        hll::make_dense(&mut bytes).map_err(corrupt)?;
    }
    let limit = tx.packing().hll_sparse_bytes_max;
    hll::raise_all(&mut bytes, &merged.registers, limit).map_err(corrupt)?;
    hll::invalidate(&mut bytes);
    put(tx, destination, bytes);
    tx.event(Classes::STRING, "pfadd", destination);
    out.ok();
    Ok(Effect::as_sent(1))
}
