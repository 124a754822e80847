//! Many bits at once: BITCOUNT, BITPOS.

use std::ops::RangeInclusive;

use base::num::I64_TEXT_MAX;
use resp::Reply;
use structs::bits;

use crate::args::Args;
use crate::failure::Failure;
use crate::popcount;
use crate::tx::ReadTx;

/// What the ends of a range count.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

const UNITS: &[(&str, Unit)] = &[("bit", Unit::Bit), ("byte", Unit::Byte)];

impl Unit {
    /// Bits in one of them.
    fn bits(self) -> i64 {
        match self {
            Unit::Byte => 8,
            Unit::Bit => 1,
        }
    }
}

/// A part of a string, both ends included; negative ones count from the end of the string.
#[derive(Clone, Copy)]
struct Part {
    start: i64,
    end: i64,
    unit: Unit,
}

impl Part {
    const WHOLE: Part = Part {
        start: 0,
        end: -1,
        unit: Unit::Byte,
    };

    /// The bits it has of a string; `None` if there are none.
    fn bits_of(self, bytes: &[u8]) -> Option<RangeInclusive<u64>> {
        let unit = self.unit.bits();
        let total = bytes.len() as i64 * 8 / unit;
        let from_start = |index: i64| {
            if index < 0 {
                (total + index).max(0)
            } else {
                index
            }
        };
        let (start, end) = (from_start(self.start), from_start(self.end).min(total - 1));
        (start <= end).then(|| (start * unit) as u64..=(end * unit + unit - 1) as u64)
    }
}

pub(super) fn bitcount(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let mut part = Part::WHOLE;
    if args.left() == 1 {
        // Compat: a start without an end is a syntax error whatever it is; Valkey reads it.
        return Err(Failure::SYNTAX);
    }
    if args.left() >= 2 && args.left() <= 3 {
        (part.start, part.end) = (args.int(), args.int());
        if let Some(unit) = args.option(UNITS) {
            part.unit = unit;
        }
    }
    args.end()?;
    let value = tx.string(key)?;
    // Compat: of two negative ends in the wrong order, nothing is counted, even if both lie before
    // the string's start.
    let reversed = part.start < 0 && part.end < 0 && part.start > part.end;
    let count = value.filter(|_| !reversed).map_or(0, |value| {
        let mut digits = [0; I64_TEXT_MAX];
        let bytes = value.bytes(&mut digits);
        part.bits_of(bytes).map_or(0, |within| {
            let touched = (within.start() / 8) as usize..=(within.end() / 8) as usize;
            popcount::count(&bytes[touched]) - bits::count_outside(bytes, &within)
        })
    });
    out.int(count as i64);
    Ok(())
}

pub(super) fn bitpos(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let wanted = match args.int() {
        0 => false,
        1 => true,
        _ => {
            args.fail(Failure::fixed("ERR The bit argument must be 1 or 0."));
            false
        }
    };
    args.check()?;
    let has_end = args.left() >= 2;
    let part = bitpos_part(args)?;
    let Some(value) = tx.string(key)? else {
        out.int(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let mut digits = [0; I64_TEXT_MAX];
    let bytes = value.bytes(&mut digits);
    let position = part.bits_of(bytes).and_then(|within| {
        // Without an end, the string goes on in zeros.
        let beyond = (!wanted && !has_end).then_some(bytes.len() as u64 * 8);
        bits::position_within(bytes, within, wanted).or(beyond)
    });
    out.int(position.map_or(-1, |position| position as i64));
    Ok(())
}

/// `[start [end [BIT|BYTE]]]`.
fn bitpos_part(args: &mut Args<'_>) -> Result<Part, Failure> {
    let mut part = Part::WHOLE;
    match args.left() {
        0 => {}
        1 => part.start = args.int(),
        2 => (part.start, part.end) = (args.int(), args.int()),
        3 => {
            part.start = args.int();
            // Compat: the unit is looked at before the end.
            let end = args.bytes();
            if let Some(unit) = args.option(UNITS) {
                part.unit = unit;
            }
            part.end = base::num::parse_i64(end).unwrap_or_else(|| {
                args.fail(Failure::NOT_INTEGER);
                0
            });
        }
        _ => return Err(Failure::SYNTAX),
    }
    args.end()?;
    Ok(part)
}
