//! Members by chance: SPOP, SRANDMEMBER.

use base::rng::Rng;
use resp::Reply;
use structs::set::{Set, SetRef};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::{item_word, reply_item};

/// One effect removes at most so many items, as in Redis: nobody has to read a longer command.
const EFFECT_ITEMS_MAX: usize = 1024;
/// A count that must not be negative.
const NOT_POSITIVE: Failure = Failure::fixed("ERR value is out of range, must be positive");
/// The count whose sign cannot be taken off.
const COUNT_OUT_OF_RANGE: Failure = Failure::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);

pub(super) fn spop(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    if args.left() > 0 {
        return spop_count(tx, key, args, out);
    }
    let random = tx.env().random();
    let recording = tx.env().wants_effects();
    let mut word = Vec::new();
    let popped = tx.update(key, |set: &mut Set| {
        set.pop(random, |item| {
            reply_item(item, out);
            if recording {
                word = item_word(item);
            }
        })
    })?;
    if !popped {
        out.null();
        return Ok(Effect::NOTHING);
    }
    tx.event_taken(Classes::SET, "spop", key);
    tx.instead(|| vec![b"SREM".to_vec(), key.bytes.to_vec(), word]);
    Ok(Effect::instead(1))
}

fn spop_count(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    if args.left() > 1 {
        return Err(Failure::SYNTAX);
    }
    let count = args.int_or(NOT_POSITIVE);
    args.end()?;
    let count = usize::try_from(count).map_err(|_| NOT_POSITIVE)?;
    let set = tx.read::<Set>(key)?;
    let len = set.map_or(0, SetRef::len);
    out.set(count.min(len));
    if count == 0 || len == 0 {
        return Ok(Effect::NOTHING);
    }
    if count >= len {
        let items = set.into_iter().flat_map(SetRef::iter);
        items.for_each(|item| reply_item(item, out));
        tx.remove(key);
        tx.event_taken(Classes::SET, "spop", key);
        tx.instead(|| vec![b"DEL".to_vec(), key.bytes.to_vec()]);
        return Ok(Effect::instead(len));
    }
    let packing = tx.packing();
    let recording = tx.env().wants_effects();
    let mut rng = Rng::from_seed(tx.env().random());
    let mut taken = Vec::new();
    tx.update(key, |set: &mut Set| {
        set.pop_many(count, &mut rng, packing, |item| {
            reply_item(item, out);
            if recording {
                taken.push(item_word(item));
            }
        });
    })?;
    tx.event_taken(Classes::SET, "spop", key);
    for some in taken.chunks_mut(EFFECT_ITEMS_MAX) {
        let words = [b"SREM".to_vec(), key.bytes.to_vec()].into_iter();
        tx.instead(|| words.chain(some.iter_mut().map(std::mem::take)).collect());
    }
    Ok(Effect::instead(count))
}

pub(super) fn srandmember(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    if args.left() == 0 {
        let set = tx.read::<Set>(key)?;
        match set.and_then(|set| set.random(tx.env().random())) {
            Some(item) => reply_item(item, out),
            None => out.null(),
        }
        return Ok(());
    }
    if args.left() > 1 {
        return Err(Failure::SYNTAX);
    }
    let count = args.int();
    args.end()?;
    if count == i64::MIN {
        return Err(COUNT_OUT_OF_RANGE);
    }
    let Some(set) = tx.read::<Set>(key)? else {
        out.array(0);
        return Ok(());
    };
    let mut rng = Rng::from_seed(tx.env().random());
    match usize::try_from(count) {
        Ok(count) => {
            let count = count.min(set.len());
            out.array(count);
            set.choose(count, &mut rng, |item| reply_item(item, out));
        }
        // Negative: members may come again.
        Err(_) => {
            out.array(count.unsigned_abs() as usize);
            set.draw(count.unsigned_abs(), &mut rng, |item| reply_item(item, out));
        }
    }
    Ok(())
}
