//! SET with its options, and the older commands that do a part of it.

use resp::Reply;

use crate::args::Args;
use crate::failure::Failure;
use crate::families::expiry::{Expiry, ExpiryWord, TimeForm};
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, WriteTx};

use super::conditional::{Comparison, Operator};
use super::{reply_string_or_null, set_events, set_words, stored};

pub(super) fn set(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let value = args.bytes();
    if args.left() > 0 {
        let options = Options::read(args)?;
        return set_with(tx, key, value, &options, out);
    }
    args.end()?;
    tx.put(key, stored(value), Deadline::Clear);
    set_events(tx, key, Deadline::Clear);
    out.ok();
    Ok(Effect::as_sent(1))
}

/// When SET sets.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Always,
    Missing,
    Present,
    If(Comparison<'a>),
}

struct Options<'a> {
    condition: Condition<'a>,
    get: bool,
    expiry: Expiry<'a>,
}

#[derive(Clone, Copy)]
enum OptionWord {
    Missing,
    Present,
    If(Operator),
    Get,
    Expiry(ExpiryWord),
}

const OPTIONS: &[(&str, OptionWord)] = &[
    ("ex", OptionWord::Expiry(ExpiryWord::EX)),
    ("px", OptionWord::Expiry(ExpiryWord::PX)),
    ("nx", OptionWord::Missing),
    ("xx", OptionWord::Present),
    ("get", OptionWord::Get),
    ("exat", OptionWord::Expiry(ExpiryWord::EXAT)),
    ("pxat", OptionWord::Expiry(ExpiryWord::PXAT)),
    ("keepttl", OptionWord::Expiry(ExpiryWord::Keep)),
    ("ifeq", OptionWord::If(Operator::Equal)),
    ("ifne", OptionWord::If(Operator::Unequal)),
    ("ifdeq", OptionWord::If(Operator::DigestEqual)),
    ("ifdne", OptionWord::If(Operator::DigestUnequal)),
];

impl<'a> Options<'a> {
    fn read(args: &mut Args<'a>) -> Result<Options<'a>, Failure> {
        let mut options = Options {
            condition: Condition::Always,
            get: false,
            expiry: Expiry::Unsaid,
        };
        let mut comparison = None;
        while let Some(word) = args.option(OPTIONS) {
            match (word, options.condition, comparison) {
                // Compat: NX twice is fine, and so is XX; a comparison stands alone.
                (OptionWord::Missing, Condition::Always | Condition::Missing, None) => {
                    options.condition = Condition::Missing;
                }
                (OptionWord::Present, Condition::Always | Condition::Present, None) => {
                    options.condition = Condition::Present;
                }
                (OptionWord::If(operator), Condition::Always, None) => {
                    comparison = Some((operator, args.bytes()));
                }
                (OptionWord::Missing | OptionWord::Present | OptionWord::If(_), ..) => {
                    args.fail(Failure::SYNTAX);
                }
                (OptionWord::Get, ..) => options.get = true,
                (OptionWord::Expiry(word), ..) => options.expiry.read(word, args),
            }
        }
        args.end()?;
        if let Some((operator, operand)) = comparison {
            options.condition = Condition::If(Comparison::new(operator, operand)?);
        }
        Ok(options)
    }

    /// Whether the command's own words reproduce what it did, wherever and whenever they are run.
    fn is_reproducible(&self) -> bool {
        !self.get
            && !matches!(self.condition, Condition::If(_))
            && !matches!(self.expiry, Expiry::Due(..))
    }
}

fn set_with(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    value: &[u8],
    options: &Options<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let deadline = options.expiry.for_put(tx.clock(), "set")?;
    if options.get {
        reply_string_or_null(tx.reading().string(key)?, out);
    }
    let admitted = match options.condition {
        Condition::Always => true,
        Condition::Missing => tx.find(key).is_none(),
        Condition::Present => tx.find(key).is_some(),
        Condition::If(comparison) => comparison.holds(tx.string(key)?),
    };
    if !admitted {
        if !options.get {
            out.null();
        }
        return Ok(Effect::NOTHING);
    }
    tx.put(key, stored(value), deadline);
    set_events(tx, key, deadline);
    if !options.get {
        out.ok();
    }
    if options.is_reproducible() {
        return Ok(Effect::as_sent(1));
    }
    tx.instead(|| set_words(key.bytes, value, deadline));
    Ok(Effect::instead(1))
}

pub(super) fn setex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    set_for(TimeForm::Seconds, "setex", tx, args, out)
}

pub(super) fn psetex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    set_for(TimeForm::Millis, "psetex", tx, args, out)
}

fn set_for(
    form: TimeForm,
    command: &str,
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let expiry = Expiry::Due(form, args.bytes());
    let value = args.bytes();
    args.end()?;
    let deadline = expiry.for_put(tx.clock(), command)?;
    tx.put(key, stored(value), deadline);
    set_events(tx, key, deadline);
    tx.instead(|| set_words(key.bytes, value, deadline));
    out.ok();
    Ok(Effect::instead(1))
}

pub(super) fn setnx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let value = args.bytes();
    args.end()?;
    if tx.find(key).is_some() {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    tx.put(key, stored(value), Deadline::Clear);
    set_events(tx, key, Deadline::Clear);
    out.int(1);
    Ok(Effect::as_sent(1))
}

pub(super) fn getset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let value = args.bytes();
    args.end()?;
    reply_string_or_null(tx.reading().string(key)?, out);
    tx.put(key, stored(value), Deadline::Clear);
    set_events(tx, key, Deadline::Clear);
    tx.instead(|| set_words(key.bytes, value, Deadline::Clear));
    Ok(Effect::instead(1))
}
