//! INCREX: adds to a counter within bounds and sets its expiry, in one step (a rate limiter).
//!
//! Source: Redis 8.8's documentation. The options come in any order, so all are read before any is
//! looked at: whether a bound is an integer or a float is known only at the end.

use base::long_double::LongDouble;
use base::num::parse_i64;
use base::time::UnixMillis;
use resp::Reply;

use crate::args::Args;
use crate::entry::{NewValue, Text};
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::expiry::{self, Expiry, ExpiryWord};
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, WriteTx};

use super::number::{float, integer};
use super::{set_words, words};

pub(super) fn increx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let options = Options::read(args)?;
    let due = match options.expiry {
        Expiry::Due(form, text) => Some(expiry::deadline(form, text, tx.clock(), "increx")?),
        Expiry::Unsaid | Expiry::Keep | Expiry::Persist => None,
    };
    match options.by {
        By::Float(text) => count::<LongDouble>(tx, key, Some(text), &options, due, out),
        By::Int(text) => count::<i64>(tx, key, Some(text), &options, due, out),
        By::One => count::<i64>(tx, key, None, &options, due, out),
    }
}

/// The increment, as sent.
#[derive(Clone, Copy, Default)]
enum By<'a> {
    #[default]
    One,
    Int(&'a [u8]),
    Float(&'a [u8]),
}

#[derive(Default)]
struct Options<'a> {
    by: By<'a>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    expiry: Expiry<'a>,
    /// ENX: the expiry only counts for a key that has none.
    unless_volatile: bool,
}

#[derive(Clone, Copy)]
enum OptionWord {
    ByInt,
    ByFloat,
    Lower,
    Upper,
    Saturate,
    Expiry(ExpiryWord),
    UnlessVolatile,
}

const OPTIONS: &[(&str, OptionWord)] = &[
    ("byint", OptionWord::ByInt),
    ("byfloat", OptionWord::ByFloat),
    ("lbound", OptionWord::Lower),
    ("ubound", OptionWord::Upper),
    ("saturate", OptionWord::Saturate),
    ("ex", OptionWord::Expiry(ExpiryWord::EX)),
    ("px", OptionWord::Expiry(ExpiryWord::PX)),
    ("exat", OptionWord::Expiry(ExpiryWord::EXAT)),
    ("pxat", OptionWord::Expiry(ExpiryWord::PXAT)),
    ("persist", OptionWord::Expiry(ExpiryWord::Persist)),
    ("enx", OptionWord::UnlessVolatile),
];

impl<'a> Options<'a> {
    fn read(args: &mut Args<'a>) -> Result<Options<'a>, Failure> {
        let mut options = Options::default();
        while let Some(word) = args.option(OPTIONS) {
            let is_again = match word {
                OptionWord::ByInt | OptionWord::ByFloat => !matches!(options.by, By::One),
                OptionWord::Lower => options.lower.is_some(),
                OptionWord::Upper => options.upper.is_some(),
                OptionWord::Saturate => options.saturate,
                OptionWord::UnlessVolatile => options.unless_volatile,
                OptionWord::Expiry(_) => false,
            };
            if is_again {
                args.fail(Failure::SYNTAX);
            }
            match word {
                OptionWord::ByInt => options.by = By::Int(args.bytes()),
                OptionWord::ByFloat => options.by = By::Float(args.bytes()),
                OptionWord::Lower => options.lower = Some(args.bytes()),
                OptionWord::Upper => options.upper = Some(args.bytes()),
                OptionWord::Saturate => options.saturate = true,
                OptionWord::UnlessVolatile => options.unless_volatile = true,
                OptionWord::Expiry(word) => options.expiry.read_once(word, args),
            }
        }
        args.end()?;
        match (options.unless_volatile, options.expiry) {
            (true, Expiry::Unsaid) => Err(Failure::fixed("ERR ENX flag requires an expiration")),
            (true, Expiry::Persist) => Err(Failure::SYNTAX),
            _ => Ok(options),
        }
    }
}

/// What INCREX counts in: `i64` or [`LongDouble`].
trait Number: Copy + PartialOrd {
    const ZERO: Self;
    /// The bounds that hold when none are given.
    fn limits() -> (Self, Self);
    /// The increment that a text says; the default one without a text.
    fn increment(text: Option<&[u8]>) -> Result<Self, Failure>;
    /// A bound.
    fn bound(text: &[u8]) -> Option<Self>;
    /// The number in the key.
    fn stored(value: Text<'_>) -> Result<Self, Failure>;
    /// The sum, `None` outside the type's range.
    fn plus(self, other: Self) -> Option<Self>;
    /// The difference, `None` outside the type's range.
    fn minus(self, other: Self) -> Option<Self>;
    /// Whether the number is below zero, so that adding it leaves the range downwards.
    fn is_negative(self) -> bool {
        self < Self::ZERO
    }
    fn reply(self, out: &mut Reply);
    fn text(self) -> Vec<u8>;
    /// The event that says that a number was added.
    const EVENT: &'static str;
    fn put(self, tx: &mut WriteTx<'_, '_>, key: Key<'_>, deadline: Deadline);
}

impl Number for i64 {
    const ZERO: i64 = 0;
    const EVENT: &'static str = "incrby";

    fn limits() -> (i64, i64) {
        (i64::MIN, i64::MAX)
    }

    fn increment(text: Option<&[u8]>) -> Result<i64, Failure> {
        let failure = Failure::fixed("ERR Increment is not an integer or out of range");
        text.map_or(Some(1), parse_i64).ok_or(failure)
    }

    fn bound(text: &[u8]) -> Option<i64> {
        parse_i64(text)
    }

    fn stored(value: Text<'_>) -> Result<i64, Failure> {
        integer(value)
    }

    fn plus(self, other: i64) -> Option<i64> {
        self.checked_add(other)
    }

    fn minus(self, other: i64) -> Option<i64> {
        self.checked_sub(other)
    }

    fn reply(self, out: &mut Reply) {
        out.int(self);
    }

    fn text(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn put(self, tx: &mut WriteTx<'_, '_>, key: Key<'_>, deadline: Deadline) {
        tx.renew(key, NewValue::Int(self), deadline);
    }
}

impl Number for LongDouble {
    const ZERO: LongDouble = LongDouble::ZERO;
    const EVENT: &'static str = "incrbyfloat";

    fn limits() -> (LongDouble, LongDouble) {
        let largest = LongDouble::largest();
        (largest.negated(), largest)
    }

    fn increment(text: Option<&[u8]>) -> Result<LongDouble, Failure> {
        let failure = Failure::fixed("ERR Increment is not a valid float");
        let increment = text.and_then(LongDouble::parse).ok_or(failure)?;
        if increment.is_finite() {
            Ok(increment)
        } else {
            Err(Failure::fixed("ERR BYFLOAT increment cannot be Infinity"))
        }
    }

    fn bound(text: &[u8]) -> Option<LongDouble> {
        LongDouble::parse(text)
    }

    fn stored(value: Text<'_>) -> Result<LongDouble, Failure> {
        let number = float(value)?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(Failure::fixed("ERR value cannot be Infinity"))
        }
    }

    fn plus(self, other: LongDouble) -> Option<LongDouble> {
        Some(self.add(other)).filter(|sum| sum.is_finite())
    }

    fn minus(self, other: LongDouble) -> Option<LongDouble> {
        self.plus(other.negated())
    }

    fn reply(self, out: &mut Reply) {
        out.double_text(&self.format_human());
    }

    fn text(self) -> Vec<u8> {
        self.format_human()
    }

    fn put(self, tx: &mut WriteTx<'_, '_>, key: Key<'_>, deadline: Deadline) {
        tx.renew(key, NewValue::Bytes(&self.text()), deadline);
    }
}

/// Bounds of the result, both included.
struct Bounds<N> {
    lower: N,
    upper: N,
}

impl<N: Number> Bounds<N> {
    fn read(options: &Options<'_>) -> Result<Bounds<N>, Failure> {
        let (smallest, largest) = N::limits();
        let bound = |text: Option<&[u8]>, otherwise, failure| match text {
            Some(text) => N::bound(text).ok_or(failure),
            None => Ok(otherwise),
        };
        let not_a_number = |which| Failure::owned(format!("ERR {which} is not a valid number"));
        let lower = bound(options.lower, smallest, not_a_number("LBOUND"))?;
        let upper = bound(options.upper, largest, not_a_number("UBOUND"))?;
        if lower > upper {
            return Err(Failure::fixed("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok(Bounds { lower, upper })
    }

    /// The sum of `value` and `increment`, and what was really added. Outside the bounds: the
    /// nearest bound if that is wanted, else nothing is added (`None`).
    fn add(&self, value: N, increment: N, saturate: bool) -> Result<Option<(N, N)>, Failure> {
        let bound = match value.plus(increment) {
            Some(sum) if sum < self.lower => self.lower,
            Some(sum) if sum > self.upper => self.upper,
            Some(sum) => return Ok(Some((sum, increment))),
            None if increment.is_negative() => self.lower,
            None => self.upper,
        };
        if !saturate {
            return Ok(None);
        }
        let applied = bound.minus(value);
        let applied = applied.ok_or(Failure::fixed("ERR applied increment would overflow"))?;
        Ok(Some((bound, applied)))
    }
}

fn count<N: Number>(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    increment: Option<&[u8]>,
    options: &Options<'_>,
    due: Option<UnixMillis>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let increment = N::increment(increment)?;
    let bounds = Bounds::read(options)?;
    let value = tx.string(key)?.map_or(Ok(N::ZERO), N::stored)?;
    let sum = bounds.add(value, increment, options.saturate)?;
    let (result, applied) = sum.unwrap_or((value, N::ZERO));
    out.array(2);
    result.reply(out);
    applied.reply(out);
    if sum.is_none() {
        return Ok(Effect::NOTHING);
    }
    let entry = tx.find(key);
    let is_volatile = entry.is_some_and(|entry| entry.deadline().is_some());
    let deadline = match due {
        Some(at) if !(options.unless_volatile && is_volatile) => Deadline::At(at),
        None if matches!(options.expiry, Expiry::Persist) => Deadline::Clear,
        _ => Deadline::Keep,
    };
    // Deadlines are only observed, not enforced, on a replica.
    if matches!(deadline, Deadline::At(at) if at <= tx.now() && tx.env().expire) {
        return Ok(delete(tx, key));
    }
    result.put(tx, key, deadline);
    tx.event(Classes::STRING, N::EVENT, key);
    match deadline {
        Deadline::At(_) => tx.event(Classes::GENERIC, "expire", key),
        Deadline::Clear if is_volatile => tx.event(Classes::GENERIC, "persist", key),
        Deadline::Clear | Deadline::Keep => {}
    }
    tx.instead(|| set_words(key.bytes, &result.text(), deadline));
    Ok(Effect::instead(1))
}

/// A deadline in the past: the key is gone with its new value.
fn delete(tx: &mut WriteTx<'_, '_>, key: Key<'_>) -> Effect {
    if !tx.delete(key) {
        return Effect::NOTHING;
    }
    tx.instead(|| words(&[b"DEL", key.bytes]));
    Effect::instead(1)
}
