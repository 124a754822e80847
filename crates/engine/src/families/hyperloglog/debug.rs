//! PFDEBUG and PFSELFTEST.

use base::strings::{eq_ignore_case, until_nul};
use resp::Reply;
use structs::hll::{self, Encoding, Mark, REGISTERS};

use crate::args::Args;
use crate::env::Env;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::{bytes_of, corrupt, put};

#[derive(Clone, Copy)]
enum Subcommand {
    Registers,
    Decode,
    Encoding,
    ToDense,
}

const SUBCOMMANDS: &[(&str, Subcommand)] = &[
    ("getreg", Subcommand::Registers),
    ("decode", Subcommand::Decode),
    ("encoding", Subcommand::Encoding),
    ("todense", Subcommand::ToDense),
];

pub(super) fn pfdebug(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let name = args.bytes();
    let key = args.key();
    if eq_ignore_case(name, b"simd") {
        return switch_simd(key.bytes, out);
    }
    let Some(text) = tx.string(key)? else {
        let text = "ERR The specified key does not exist";
        return Err(Failure::fixed(text));
    };
    let (bytes, encoding) = bytes_of(text)?;
    let row = SUBCOMMANDS
        .iter()
        .find(|(known, _)| eq_ignore_case(name, known.as_bytes()));
    let Some(&(_, subcommand)) = row else {
        let name = until_nul(name).to_vec();
        return Err(Failure::owned(
            [&b"ERR Unknown PFDEBUG subcommand '"[..], &name, b"'"].concat(),
        ));
    };
    match (subcommand, encoding) {
        (Subcommand::Encoding, Encoding::Dense) => out.simple(b"dense"),
        (Subcommand::Encoding, Encoding::Sparse) => out.simple(b"sparse"),
        (Subcommand::Decode, Encoding::Sparse) => out.bulk(hll::decode(bytes).as_bytes()),
        (Subcommand::Decode, Encoding::Dense) => {
            return Err(Failure::fixed("ERR HLL encoding is not sparse"));
        }
        (Subcommand::Registers, Encoding::Dense) => reply_registers(bytes, out),
        (Subcommand::ToDense, Encoding::Dense) => out.int(0),
        (Subcommand::Registers | Subcommand::ToDense, Encoding::Sparse) => {
            let mut dense = bytes.to_vec();
            hll::make_dense(&mut dense).map_err(corrupt)?;
            match subcommand {
                Subcommand::Registers => reply_registers(&dense, out),
                _ => out.int(1),
            }
            put(tx, key, dense);
            return Ok(Effect::as_sent(1));
        }
    }
    Ok(Effect::NOTHING)
}

fn reply_registers(dense: &[u8], out: &mut Reply) {
    out.array(REGISTERS);
    hll::dense_registers(dense).for_each(|register| out.int(i64::from(register)));
}

/// There is only one implementation to choose from.
fn switch_simd(word: &[u8], out: &mut Reply) -> Result<Effect, Failure> {
    if eq_ignore_case(word, b"on") {
        out.simple(b"enabled");
    } else if eq_ignore_case(word, b"off") {
        out.simple(b"disabled");
    } else {
        return Err(Failure::fixed("ERR Argument must be ON or OFF"));
    }
    Ok(Effect::NOTHING)
}

/// Elements that PFSELFTEST adds. Redis adds 10 million; that would hold a worker for seconds.
const TEST_ELEMENTS: u64 = 100_000;

/// Bytes up to which the test's sparse HyperLogLog stays sparse.
const TEST_SPARSE_BYTES_MAX: usize = 3000;

pub(super) fn pfselftest(env: &Env, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    args.end()?;
    let seed = env.random();
    let mut either = hll::empty().to_vec();
    let mut dense = either.clone();
    hll::make_dense(&mut dense).map_err(corrupt)?;
    let mut checkpoint = 1;
    for number in 1..=TEST_ELEMENTS {
        let mark = Mark::of(&(number ^ seed).to_le_bytes());
        hll::raise_dense(&mut dense, mark);
        hll::raise(&mut either, mark, TEST_SPARSE_BYTES_MAX).map_err(corrupt)?;
        if number < checkpoint {
            continue;
        }
        let count = hll::count(&dense).map_err(corrupt)?;
        if hll::count(&either).map_err(corrupt)? != count {
            let text = "ERR TESTFAILED dense/sparse disagree";
            return Err(Failure::fixed(text));
        }
        let error = count.abs_diff(number);
        if error as f64 > largest_error(number) {
            return Err(Failure::owned(format!(
                "ERR TESTFAILED Too big error. card:{number} abserr:{error}"
            )));
        }
        checkpoint *= 10;
    }
    out.ok();
    Ok(())
}

/// Six times the standard error of an estimate of `count`.
fn largest_error(count: u64) -> f64 {
    const STANDARD_ERROR: f64 = 1.04 / 128.0;
    (6.0 * STANDARD_ERROR * count as f64).ceil()
}
