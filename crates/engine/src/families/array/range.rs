//! Ranges: ARGETRANGE, ARSCAN, AROP; and ARINFO.

use std::ops::ControlFlow;

use base::long_double::LongDouble;
use base::num::I64_TEXT_MAX;
use base::strings::eq_ignore_case;
use resp::Reply;
use structs::array::{Array, INDEX_MAX, SLICE_LEN, Value};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::{POSITIONS_MAX, TOO_MANY_POSITIONS, index, limit, reply_value};

pub(super) fn argetrange(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let (start, end) = (index(args), index(args));
    args.end()?;
    let array = tx.read::<Array>(key)?;
    let steps = start.abs_diff(end);
    if steps >= POSITIONS_MAX {
        return Err(TOO_MANY_POSITIONS);
    }
    out.array(steps as usize + 1);
    for step in 0..=steps {
        let index = if start <= end {
            start + step
        } else {
            start - step
        };
        reply_value(array.and_then(|array| array.get(index)), out);
    }
    Ok(())
}

pub(super) fn arscan(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let (start, end) = (index(args), index(args));
    args.check()?;
    if args.left() == 1 || args.left() > 2 {
        return Err(Failure::arity("arscan"));
    }
    let most = if args.accept("limit") {
        limit(args)
    } else {
        u64::MAX
    };
    args.end()?;
    let Some(array) = tx.read::<Array>(key)? else {
        out.array(0);
        return Ok(());
    };
    let header = out.array_later();
    let mut found = 0;
    // Whether it ended early makes no difference.
    let _ = array.visit(start, end, |index, value| {
        reply_pair(index, value, out);
        found += 1;
        enough(found == most)
    });
    out.finish(header, found as usize);
    Ok(())
}

/// An index and its value, as an array of two.
pub(super) fn reply_pair(index: u64, value: Value<'_>, out: &mut Reply) {
    out.array(2);
    out.unsigned(index);
    reply_value(Some(value), out);
}

/// Whether a visit goes on.
pub(super) fn enough(is_enough: bool) -> ControlFlow<()> {
    if is_enough {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

#[derive(Clone, Copy)]
enum Operation<'a> {
    Sum,
    Least,
    Greatest,
    Bits(fn(i64, i64) -> i64),
    Match(&'a [u8]),
    Used,
}

const OPERATIONS: &[(&str, Operation<'static>)] = &[
    ("sum", Operation::Sum),
    ("min", Operation::Least),
    ("max", Operation::Greatest),
    ("and", Operation::Bits(|a, b| a & b)),
    ("or", Operation::Bits(|a, b| a | b)),
    ("xor", Operation::Bits(|a, b| a ^ b)),
    ("match", Operation::Match(b"")),
    ("used", Operation::Used),
];

fn read_operation<'a>(args: &mut Args<'a>) -> Result<Operation<'a>, Failure> {
    let name = args.bytes();
    let row = OPERATIONS
        .iter()
        .find(|(known, _)| eq_ignore_case(name, known.as_bytes()));
    let &(_, operation) = row.ok_or(Failure::fixed("ERR unknown operation"))?;
    match (operation, args.left()) {
        (Operation::Match(_), 1) => Ok(Operation::Match(args.bytes())),
        (Operation::Match(_), _) => Err(Failure::fixed("ERR MATCH requires a value argument")),
        (operation, 0) => Ok(operation),
        _ => Err(Failure::arity("arop")),
    }
}

/// What has come together so far.
#[derive(Default)]
struct Total {
    number: Option<LongDouble>,
    bits: Option<i64>,
    count: u64,
}

impl Total {
    fn add(&mut self, operation: Operation<'_>, value: Value<'_>) {
        match operation {
            Operation::Used => self.count += 1,
            Operation::Match(text) => {
                self.count += u64::from(value.bytes(&mut [0; I64_TEXT_MAX]) == text);
            }
            Operation::Bits(combine) => {
                let bits = match value {
                    Value::Int(number) => Some(number),
                    Value::Bytes(text) => LongDouble::parse(text).and_then(LongDouble::trunc_i64),
                };
                if let Some(bits) = bits {
                    self.bits = Some(self.bits.map_or(bits, |held| combine(held, bits)));
                }
            }
            Operation::Sum | Operation::Least | Operation::Greatest => {
                let number = match value {
                    Value::Int(number) => Some(LongDouble::from(number)),
                    Value::Bytes(text) => LongDouble::parse(text),
                };
                if let Some(number) = number {
                    self.number = Some(match (self.number, operation) {
                        (None, _) => number,
                        (Some(held), Operation::Sum) => held.add(number),
                        (Some(held), Operation::Least) if number < held => number,
                        (Some(held), Operation::Greatest) if number > held => number,
                        (Some(held), _) => held,
                    });
                }
            }
        }
    }

    fn reply(&self, operation: Operation<'_>, out: &mut Reply) {
        match operation {
            Operation::Used | Operation::Match(_) => out.unsigned(self.count),
            Operation::Bits(_) => match self.bits {
                Some(bits) => out.int(bits),
                None => out.null(),
            },
            Operation::Sum | Operation::Least | Operation::Greatest => match self.number {
                Some(number) => out.bulk(&number.format_general()),
                None => out.null(),
            },
        }
    }
}

pub(super) fn arop(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let (start, end) = (index(args), index(args));
    args.check()?;
    let operation = read_operation(args)?;
    let mut total = Total::default();
    if let Some(array) = tx.read::<Array>(key)? {
        // Nothing breaks the visit.
        let _ = array.visit(start.min(end), start.max(end), |_, value| {
            total.add(operation, value);
            ControlFlow::Continue(())
        });
    }
    total.reply(operation, out);
    Ok(())
}

pub(super) fn arinfo(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let full = args.accept("full");
    args.end()?;
    let array = tx.read::<Array>(key)?.ok_or(Failure::NO_SUCH_KEY)?;
    let next = match array.cursor() {
        None | Some(INDEX_MAX) => 0,
        Some(cursor) => cursor + 1,
    };
    let slices = array.slice_count() as u64;
    let mean = |sum: u64, count: u64| {
        if count == 0 {
            0.0
        } else {
            sum as f64 / count as f64
        }
    };
    out.map(if full { 12 } else { 7 });
    for (name, value) in [
        ("count", array.count()),
        ("len", array.end()),
        ("next-insert-index", next),
        ("slices", slices),
        ("directory-size", slices),
        ("super-dir-entries", 0),
        ("slice-size", SLICE_LEN),
    ] {
        out.bulk(name.as_bytes());
        out.unsigned(value);
    }
    if !full {
        return Ok(());
    }
    let stats = array.slice_stats();
    for (name, value) in [
        ("dense-slices", stats.dense),
        ("sparse-slices", stats.sparse),
    ] {
        out.bulk(name.as_bytes());
        out.unsigned(value);
    }
    for (name, sum, count) in [
        ("avg-dense-size", stats.dense_cells, stats.dense),
        ("avg-dense-fill", stats.dense_values, stats.dense_cells),
        ("avg-sparse-size", stats.sparse_room, stats.sparse),
    ] {
        out.bulk(name.as_bytes());
        out.double(mean(sum, count));
    }
    Ok(())
}
