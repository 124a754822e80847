//! HRANDFIELD and HSCAN.

use base::num::I64_TEXT_MAX;
use resp::{Proto, Reply};
use structs::hash::{Hash, HashRef, Text};
use structs::table::Entry;

use crate::args::Args;
use crate::env::Env;
use crate::failure::Failure;
use crate::families::scanning::{self, Options};
use crate::tx::ReadTx;

use super::reply_text;

const BELOW_LONG_MIN: Failure = Failure::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);
const OUT_OF_RANGE: Failure = Failure::fixed("ERR value is out of range");

pub(super) fn hrandfield(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    if args.left() > 0 {
        let (count, with_values) = parse_count(args)?;
        return several(tx, tx.read::<Hash>(key)?, count, with_values, out);
    }
    let below = |bound| tx.env().random_below(bound);
    let drawn = tx
        .read::<Hash>(key)?
        .and_then(|hash| hash.sample(tx.now(), below));
    match drawn {
        Some((field, _)) => reply_text(field, out),
        None => out.null(),
    }
    Ok(())
}

/// How many are wanted (negative: with repetitions), and whether with their values.
fn parse_count(args: &mut Args<'_>) -> Result<(i64, bool), Failure> {
    let count = args.int();
    args.check()?;
    if count == i64::MIN {
        return Err(BELOW_LONG_MIN);
    }
    let with_values = args.accept("WITHVALUES");
    args.end()?;
    // Compat: twice as many elements must still be a number.
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE);
    }
    Ok((count, with_values))
}

fn several(
    tx: &ReadTx<'_, '_>,
    hash: Option<HashRef<'_>>,
    count: i64,
    with_values: bool,
    out: &mut Reply,
) -> Result<(), Failure> {
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(hash) = hash.filter(|_| wanted > 0) else {
        out.array(0);
        return Ok(());
    };
    let mut found = Found::new(with_values, out);
    if count < 0 {
        repeat(tx.env(), hash, wanted, &mut found);
    } else {
        let below = |bound| tx.env().random_below(bound);
        hash.choose(tx.now(), wanted, below, |field, value| {
            found.push(field, value);
        });
    }
    found.finish();
    Ok(())
}

/// Draws `count` times; the same field may come again.
fn repeat(env: &Env, hash: HashRef<'_>, count: usize, found: &mut Found<'_>) {
    if let HashRef::Table(_) = hash
        && !hash.may_have_due(env.now)
    {
        for _ in 0..count {
            let below = |bound| env.random_below(bound);
            if let Some((field, value)) = hash.sample(env.now, below) {
                found.push(field, value);
            }
        }
        return;
    }
    let mut fields = Vec::new();
    hash.each(env.now, |field, value| fields.push((field, value)));
    if fields.is_empty() {
        return;
    }
    for _ in 0..count {
        let (field, value) = fields[env.random_below(fields.len() as u64) as usize];
        found.push(field, value);
    }
}

/// The reply: fields, or fields and values; in RESP3 these are pairs.
struct Found<'o> {
    out: &'o mut Reply,
    later: resp::Later,
    elements: usize,
    with_values: bool,
}

impl<'o> Found<'o> {
    fn new(with_values: bool, out: &'o mut Reply) -> Found<'o> {
        Found {
            later: out.array_later(),
            elements: 0,
            with_values,
            out,
        }
    }

    fn push(&mut self, field: Text<'_>, value: Text<'_>) {
        self.elements += 1;
        if self.with_values {
            match self.out.proto() {
                Proto::Resp2 => self.elements += 1,
                Proto::Resp3 => self.out.array(2),
            }
        }
        reply_text(field, self.out);
        if self.with_values {
            reply_text(value, self.out);
        }
    }

    fn finish(self) {
        self.out.finish(self.later, self.elements);
    }
}

pub(super) fn hscan(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let cursor = scanning::cursor(args);
    args.check()?;
    // Compat: the options of a scan of nothing are not looked at.
    let Some(hash) = tx.read::<Hash>(key)? else {
        scanning::reply_empty(out);
        return Ok(());
    };
    let options = Options::parse(args)?;
    let HashRef::Table(table) = hash else {
        return scan_packed(tx, hash, &options, out);
    };
    let live = |entry: &Entry<'_>| entry.deadline.is_none_or(|at| at > tx.now());
    let (next, found) = options.visit(table, cursor, live);
    scanning::begin_reply(out, next);
    out.array(found.len() * if options.no_values { 1 } else { 2 });
    for entry in found {
        reply_text(Text::key_of(entry), out);
        if !options.no_values {
            reply_text(Text::value_of(entry), out);
        }
    }
    Ok(())
}

/// A packed hash comes as a whole.
fn scan_packed(
    tx: &ReadTx<'_, '_>,
    hash: HashRef<'_>,
    options: &Options<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    scanning::begin_reply(out, 0);
    let later = out.array_later();
    let mut elements = 0;
    hash.each(tx.now(), |field, value| {
        if options.wants(field.bytes(&mut [0; I64_TEXT_MAX])) {
            reply_text(field, out);
            if !options.no_values {
                reply_text(value, out);
            }
            elements += if options.no_values { 1 } else { 2 };
        }
    });
    out.finish(later, elements);
    Ok(())
}
