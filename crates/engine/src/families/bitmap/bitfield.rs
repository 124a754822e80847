//! BITFIELD and BITFIELD_RO: a string as integers of any width, at any bit.
//!
//! The words are read twice and nothing is allocated: once to find errors and how far the command
//! writes, once to do it.

use base::num::{I64_TEXT_MAX, parse_i64};
use base::strings::eq_ignore_case;
use resp::Reply;
use structs::bits;

use crate::args::Args;
use crate::env::Env;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::{BAD_OFFSET, bit_offset};

/// What becomes of a number that does not fit its field.
#[derive(Clone, Copy)]
enum Overflow {
    /// Its low bits are kept.
    Wrap,
    /// The nearest number that fits is taken; see [`Operation::saturated`].
    Saturate,
    /// Nothing is changed, and nil answered.
    Fail,
}

const OVERFLOWS: &[(&str, Overflow)] = &[
    ("wrap", Overflow::Wrap),
    ("sat", Overflow::Saturate),
    ("fail", Overflow::Fail),
];

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// Where a field is and how its bits are read.
#[derive(Clone, Copy)]
struct Field {
    offset: u64,
    /// Bits: 1 to 64, unsigned 1 to 63.
    width: u32,
    signed: bool,
}

struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

/// The command's operations, in order; the first that makes no sense is the last.
struct Operations<'w, 'a> {
    args: &'w Args<'a>,
    env: &'w Env,
    next: usize,
    overflow: Overflow,
}

/// Index of the first word after the key.
const FIRST_WORD: usize = 2;

fn operations<'w, 'a>(args: &'w Args<'a>, env: &'w Env) -> Operations<'w, 'a> {
    Operations {
        args,
        env,
        next: FIRST_WORD,
        overflow: Overflow::Wrap,
    }
}

#[derive(Clone, Copy)]
enum Word {
    Get,
    Set,
    Increment,
    Overflow,
}

/// Names with the number of words that must follow.
const WORDS: &[(&str, Word, usize)] = &[
    ("get", Word::Get, 2),
    ("set", Word::Set, 3),
    ("incrby", Word::Increment, 3),
    ("overflow", Word::Overflow, 1),
];

impl Operations<'_, '_> {
    fn read(&mut self) -> Result<Option<Operation>, Failure> {
        while self.next < self.args.count() {
            let at = self.next;
            let name = self.args.word(at);
            let row = WORDS.iter().find(|(known, _, following)| {
                eq_ignore_case(name, known.as_bytes()) && at + following < self.args.count()
            });
            let &(_, word, following) = row.ok_or(Failure::SYNTAX)?;
            self.next += 1 + following;
            let action = match word {
                Word::Overflow => {
                    self.overflow = read_overflow(self.args.word(at + 1))?;
                    continue;
                }
                Word::Get => |_| Action::Get,
                Word::Set => Action::Set,
                Word::Increment => Action::Increment,
            };
            let field = Field::read(self.args.word(at + 1), self.args.word(at + 2), self.env)?;
            let number = match word {
                Word::Get | Word::Overflow => 0,
                Word::Set | Word::Increment => {
                    parse_i64(self.args.word(at + 3)).ok_or(Failure::NOT_INTEGER)?
                }
            };
            return Ok(Some(Operation {
                field,
                action: action(number),
                overflow: self.overflow,
            }));
        }
        Ok(None)
    }
}

impl Iterator for Operations<'_, '_> {
    type Item = Result<Operation, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn read_overflow(word: &[u8]) -> Result<Overflow, Failure> {
    let row = OVERFLOWS
        .iter()
        .find(|(name, _)| eq_ignore_case(word, name.as_bytes()));
    let unknown = Failure::fixed("ERR Invalid OVERFLOW type specified");
    row.map(|&(_, overflow)| overflow).ok_or(unknown)
}

impl Field {
    /// A type (`i16`, `u8`) and an offset in bits, or with `#` in fields of that width.
    fn read(kind: &[u8], offset: &[u8], env: &Env) -> Result<Field, Failure> {
        let (signed, width) = match kind {
            [b'i', width @ ..] => (
                true,
                parse_i64(width).filter(|width| (1..=64).contains(width)),
            ),
            [b'u', width @ ..] => (
                false,
                parse_i64(width).filter(|width| (1..64).contains(width)),
            ),
            _ => (false, None),
        };
        let width = width.ok_or(Failure::fixed(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        ))?;
        let offset = match offset {
            [b'#', index @ ..] => {
                let index = parse_i64(index).and_then(|index| u64::try_from(index).ok());
                let offset = index.and_then(|index| index.checked_mul(width as u64));
                let allowed = offset.filter(|offset| offset / 8 < env.limits.string_bytes_max);
                allowed.ok_or(BAD_OFFSET)?
            }
            offset => bit_offset(offset, env)?,
        };
        Ok(Field {
            offset,
            width: width as u32,
            signed,
        })
    }

    /// Bytes a string must have to hold it.
    fn end_bytes(self) -> usize {
        ((self.offset + u64::from(self.width)).div_ceil(8)) as usize
    }

    fn get(self, bytes: &[u8]) -> i64 {
        self.number(bits::field(bytes, self.offset, self.width))
    }

    /// The number that the field's low bits stand for.
    fn number(self, low_bits: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed {
            (low_bits << unused) as i64 >> unused
        } else {
            (low_bits << unused >> unused) as i64
        }
    }

    /// The least and the largest number that fit.
    fn bounds(self) -> (i128, i128) {
        if self.signed {
            let half = 1 << (self.width - 1);
            (-half, half - 1)
        } else {
            (0, (1 << self.width) - 1)
        }
    }
}

impl Operation {
    /// Does it; the answer, `None` for nil. A write to a string that has grown for it is a change,
    /// whatever was in the field.
    fn apply(&self, bytes: &mut [u8], grown: bool, changes: &mut usize) -> Option<i64> {
        let old = self.field.get(bytes);
        let wanted = match self.action {
            Action::Get => return Some(old),
            // Compat: an unsigned field takes a negative number for one beyond its largest.
            Action::Set(number) if number < 0 && !self.field.signed => i128::from(number as u64),
            Action::Set(number) => i128::from(number),
            Action::Increment(by) => i128::from(old) + i128::from(by),
        };
        let (low, high) = self.field.bounds();
        let new = match self.overflow {
            _ if (low..=high).contains(&wanted) => wanted as i64,
            Overflow::Wrap => self.field.number(wanted as u64),
            Overflow::Saturate => self.saturated(wanted),
            Overflow::Fail => return None,
        };
        *changes += usize::from(grown || new != old);
        bits::set_field(bytes, self.field.offset, self.field.width, new as u64);
        Some(match self.action {
            Action::Get | Action::Set(_) => old,
            Action::Increment(_) => new,
        })
    }

    /// The number that saturation makes of one that does not fit.
    ///
    /// Compat: a number to be set in a signed field, so low that its distance to the field's
    /// largest does not fit 64 bits, becomes the largest (`SET i8 0 -9223372036854775808`).
    fn saturated(&self, wanted: i128) -> i64 {
        let (low, high) = self.field.bounds();
        let wraps = matches!(self.action, Action::Set(_)) && high - wanted > i128::from(i64::MAX);
        if wanted > high || wraps {
            high as i64
        } else {
            low as i64
        }
    }
}

/// What the first look at the words finds.
#[derive(Default)]
struct Extent {
    operations: usize,
    /// Bytes that the string must have for all that is written; 0 if nothing is.
    written_bytes: usize,
}

fn extent(args: &Args<'_>, env: &Env) -> Result<Extent, Failure> {
    let mut extent = Extent::default();
    for operation in operations(args, env) {
        let operation = operation?;
        extent.operations += 1;
        if !matches!(operation.action, Action::Get) {
            let end = operation.field.end_bytes();
            extent.written_bytes = extent.written_bytes.max(end);
        }
    }
    Ok(extent)
}

pub(super) fn bitfield(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let extent = extent(args, tx.env())?;
    if extent.written_bytes == 0 {
        return get_all(&tx.reading(), key, args, &extent, out).map(|()| Effect::NOTHING);
    }
    let env = tx.env();
    let edit = |bytes: &mut [u8], old_len: usize| {
        let grown = bytes.len() > old_len;
        let mut changes = 0;
        out.array(extent.operations);
        for operation in operations(args, env).flatten() {
            match operation.apply(bytes, grown, &mut changes) {
                Some(number) => out.int(number),
                None => out.null(),
            }
        }
        (changes, grown)
    };
    let (changes, grown) = tx.edit_bytes(key, |_| Ok(extent.written_bytes), edit)?;
    if changes > 0 {
        tx.event(Classes::STRING, "setbit", key);
    } else {
        // Compat: nobody hears that the key has grown if every write failed. The journal does.
        tx.unseen();
    }
    Ok(Effect::as_sent(changes.max(usize::from(grown))))
}

pub(super) fn bitfield_ro(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let extent = extent(args, tx.env())?;
    if extent.written_bytes > 0 {
        let text = "ERR BITFIELD_RO only supports the GET subcommand";
        return Err(Failure::fixed(text));
    }
    get_all(tx, key, args, &extent, out)
}

/// Answers operations that are all GETs.
fn get_all(
    tx: &ReadTx<'_, '_>,
    key: Key<'_>,
    args: &Args<'_>,
    extent: &Extent,
    out: &mut Reply,
) -> Result<(), Failure> {
    let value = tx.string(key)?;
    let mut digits = [0; I64_TEXT_MAX];
    let bytes = value.map_or(&b""[..], |value| value.bytes(&mut digits));
    out.array(extent.operations);
    for operation in operations(args, tx.env()).flatten() {
        out.int(operation.field.get(bytes));
    }
    Ok(())
}
