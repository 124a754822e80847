//! Strings at several keys: MGET, MSET, MSETNX, MSETEX.

use resp::Reply;

use crate::args::Args;
use crate::failure::Failure;
use crate::families::expiry::{Expiry, ExpiryWord};
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

use super::{append_deadline, reply_string_or_null, set_events, stored};

pub(super) fn mget(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    out.array(args.left());
    while args.left() > 0 {
        // Compat: another type counts as missing here.
        let value = tx.string(args.key()).unwrap_or(None);
        reply_string_or_null(value, out);
    }
    args.end()
}

pub(super) fn mset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    // An even number of words is all that can be wrong, so the pairs need no list.
    let pairs = pair_count(args, "mset")?;
    for _ in 0..pairs {
        let key = args.key();
        tx.put(key, stored(args.bytes()), Deadline::Clear);
        set_events(tx, key, Deadline::Clear);
    }
    out.ok();
    Ok(Effect::as_sent(pairs))
}

pub(super) fn msetnx(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let count = pair_count(args, "msetnx")?;
    let pairs = read_pairs(args, count);
    args.end()?;
    if pairs.iter().any(|&(key, _)| tx.find(key).is_some()) {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    put_all(tx, &pairs, Deadline::Clear);
    out.int(1);
    Ok(Effect::as_sent(count))
}

/// How many pairs the rest of the words are.
fn pair_count(args: &Args<'_>, command: &str) -> Result<usize, Failure> {
    if args.left().is_multiple_of(2) {
        Ok(args.left() / 2)
    } else {
        Err(Failure::arity(command))
    }
}

type Pair<'a> = (Key<'a>, &'a [u8]);

fn read_pairs<'a>(args: &mut Args<'a>, count: usize) -> Vec<Pair<'a>> {
    (0..count).map(|_| (args.key(), args.bytes())).collect()
}

fn put_all(tx: &mut WriteTx<'_, '_>, pairs: &[Pair<'_>], deadline: Deadline) {
    for &(key, value) in pairs {
        tx.put(key, stored(value), deadline);
        set_events(tx, key, deadline);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    AllMissing,
    AllPresent,
}

#[derive(Clone, Copy)]
enum OptionWord {
    Condition(Condition),
    Expiry(ExpiryWord),
}

const OPTIONS: &[(&str, OptionWord)] = &[
    ("ex", OptionWord::Expiry(ExpiryWord::EX)),
    ("px", OptionWord::Expiry(ExpiryWord::PX)),
    ("exat", OptionWord::Expiry(ExpiryWord::EXAT)),
    ("pxat", OptionWord::Expiry(ExpiryWord::PXAT)),
    ("keepttl", OptionWord::Expiry(ExpiryWord::Keep)),
    ("nx", OptionWord::Condition(Condition::AllMissing)),
    ("xx", OptionWord::Condition(Condition::AllPresent)),
];

/// The largest number of keys that upstream's integer type holds.
const PAIRS_MAX: i64 = i32::MAX as i64;

pub(super) fn msetex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let bad_count = Failure::fixed("ERR invalid numkeys value or out of range");
    let count = args.int_or(bad_count.clone());
    args.check()?;
    if !(1..=PAIRS_MAX).contains(&count) {
        return Err(bad_count);
    }
    // The range was checked just above.
    let count = count as usize;
    if count > args.left() / 2 {
        return Err(Failure::SYNTAX);
    }
    let pairs = read_pairs(args, count);
    let (condition, expiry) = read_options(args)?;
    let deadline = expiry.for_put(tx.clock(), "msetex")?;
    let is_there = |&(key, _): &Pair<'_>| tx.find(key).is_some();
    let admitted = match condition {
        Condition::Always => true,
        Condition::AllMissing => !pairs.iter().any(is_there),
        Condition::AllPresent => pairs.iter().all(is_there),
    };
    out.int(i64::from(admitted));
    if !admitted {
        return Ok(Effect::NOTHING);
    }
    put_all(tx, &pairs, deadline);
    tx.instead(|| mset_words(&pairs, deadline));
    Ok(Effect::instead(count))
}

fn read_options<'a>(args: &mut Args<'a>) -> Result<(Condition, Expiry<'a>), Failure> {
    let mut condition = Condition::Always;
    let mut expiry = Expiry::Unsaid;
    while let Some(word) = args.option(OPTIONS) {
        match word {
            OptionWord::Expiry(word) => expiry.read(word, args),
            OptionWord::Condition(said) if condition == Condition::Always || condition == said => {
                condition = said;
            }
            OptionWord::Condition(_) => args.fail(Failure::SYNTAX),
        }
    }
    args.end()?;
    Ok((condition, expiry))
}

/// The command that sets all pairs with this deadline: MSET where that does, since every server
/// knows it.
fn mset_words(pairs: &[Pair<'_>], deadline: Deadline) -> Vec<Vec<u8>> {
    let mut words = if deadline == Deadline::Clear {
        vec![b"MSET".to_vec()]
    } else {
        vec![b"MSETEX".to_vec(), pairs.len().to_string().into_bytes()]
    };
    for (key, value) in pairs {
        words.extend([key.bytes.to_vec(), value.to_vec()]);
    }
    append_deadline(deadline, &mut words);
    words
}
