//! Doing something only if a string equals another: the comparisons of SET and DELEX, DELIFEQ, and
//! DIGEST, which lets a client compare without sending the value.
//!
//! Source: Redis 8.4 (IFEQ, IFNE, IFDEQ, IFDNE), Valkey 9.0 (DELIFEQ; its IFEQ is the same).

use base::hash::digest_xxh3;
use base::num::I64_TEXT_MAX;
use resp::Reply;

use crate::args::Args;
use crate::entry::Text;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::words;

/// Hexadecimal digits of a digest, leading zeros included.
const DIGEST_DIGITS: usize = 16;

/// How a value is compared with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// IFEQ
    Equal,
    /// IFNE
    Unequal,
    /// IFDEQ
    DigestEqual,
    /// IFDNE
    DigestUnequal,
}

/// A condition on a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison<'a> {
    operator: Operator,
    operand: &'a [u8],
}

impl<'a> Comparison<'a> {
    /// # Errors
    /// A digest that has not 16 digits. Other letters than hexadecimal ones just equal no digest.
    pub(super) fn new(operator: Operator, operand: &'a [u8]) -> Result<Comparison<'a>, Failure> {
        let of_digest = matches!(operator, Operator::DigestEqual | Operator::DigestUnequal);
        if of_digest && operand.len() != DIGEST_DIGITS {
            let text = "ERR must be exactly 16 hexadecimal characters";
            return Err(Failure::fixed(text));
        }
        Ok(Comparison { operator, operand })
    }

    /// Whether the condition is met; a missing value is unequal to everything.
    pub(super) fn holds(self, value: Option<Text<'_>>) -> bool {
        let mut digits = [0; I64_TEXT_MAX];
        let value = value.map(|value| value.bytes(&mut digits));
        let equal = |value| value == self.operand;
        let digest_equal = |value| digest_text(value).eq_ignore_ascii_case(self.operand);
        match self.operator {
            Operator::Equal => value.is_some_and(equal),
            Operator::Unequal => !value.is_some_and(equal),
            Operator::DigestEqual => value.is_some_and(digest_equal),
            Operator::DigestUnequal => !value.is_some_and(digest_equal),
        }
    }
}

fn digest_text(value: &[u8]) -> [u8; DIGEST_DIGITS] {
    let digest = digest_xxh3(value);
    std::array::from_fn(|at| {
        let nibble = digest >> (4 * (DIGEST_DIGITS - 1 - at)) & 0xf;
        b"0123456789abcdef"[nibble as usize]
    })
}

const OPERATORS: &[(&str, Operator)] = &[
    ("ifeq", Operator::Equal),
    ("ifne", Operator::Unequal),
    ("ifdeq", Operator::DigestEqual),
    ("ifdne", Operator::DigestUnequal),
];

pub(super) fn delex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    if args.left() == 0 {
        args.end()?;
        let there = tx.find(key).is_some();
        return Ok(delete_if(there, tx, key, out));
    }
    if args.left() != 2 {
        return Err(Failure::arity("delex"));
    }
    let Some(operator) = args.option(OPERATORS) else {
        let text = "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE";
        return Err(Failure::fixed(text));
    };
    let operand = args.bytes();
    args.end()?;
    delete_on(Comparison::new(operator, operand)?, tx, key, out)
}

pub(super) fn delifeq(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let operand = args.bytes();
    args.end()?;
    delete_on(Comparison::new(Operator::Equal, operand)?, tx, key, out)
}

/// Deletes `key` if it is there and its value meets the condition.
fn delete_on(
    condition: Comparison<'_>,
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let value = tx.string(key)?;
    let met = value.is_some() && condition.holds(value);
    Ok(delete_if(met, tx, key, out))
}

fn delete_if(met: bool, tx: &mut WriteTx<'_, '_>, key: Key<'_>, out: &mut Reply) -> Effect {
    out.int(i64::from(met));
    if !met {
        return Effect::NOTHING;
    }
    tx.delete(key);
    tx.instead(|| words(&[b"DEL", key.bytes]));
    Effect::instead(1)
}

pub(super) fn digest(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    let mut digits = [0; I64_TEXT_MAX];
    match tx.string(key)? {
        Some(value) => out.bulk(&digest_text(value.bytes(&mut digits))),
        None => out.null(),
    }
    Ok(())
}
