//! What moves elements from an end of a list to an end of another, or of the same: LMOVE,
//! RPOPLPUSH, LMOVEM. `block` has those that wait for an element.

use resp::Reply;
use structs::list::{End, List};
use structs::packed::{self, Element};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

use super::{COUNT_NOT_POSITIVE, count, end_of, pop_event, push_event, reply_element};

pub(super) fn lmove(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let keys = (args.key(), args.key());
    let ends = (end_of(args), end_of(args));
    args.end()?;
    Ok(move_one(tx, keys, ends, out)?.unwrap_or(Effect::NOTHING))
}

pub(super) fn rpoplpush(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let keys = (args.key(), args.key());
    let moved = move_one(tx, keys, (End::Tail, End::Head), out)?;
    Ok(moved.unwrap_or(Effect::NOTHING))
}

/// Moves one element, and answers it; without one the reply is nil. Keys and ends: where from,
/// where to.
pub(super) fn move_one(
    tx: &mut WriteTx<'_, '_>,
    (source, destination): (Key<'_>, Key<'_>),
    (from, to): (End, End),
    out: &mut Reply,
) -> Result<Option<Effect>, Failure> {
    let packing = tx.packing();
    let Some(element) = tx.read::<List>(source)?.and_then(|list| list.end(from)) else {
        out.null();
        return Ok(None);
    };
    let (mut short, long);
    let moved = match element {
        Element::Int(value) => Element::Int(value),
        Element::Bytes(text) if text.len() <= SHORT_BYTES => {
            short = [0; SHORT_BYTES];
            short[..text.len()].copy_from_slice(text);
            Element::Bytes(&short[..text.len()])
        }
        Element::Bytes(text) => {
            long = text.to_vec();
            Element::Bytes(&long)
        }
    };
    if source.bytes == destination.bytes {
        tx.update(source, |list: &mut List| {
            list.rotate(from, to, moved, packing);
        })?;
    } else {
        tx.update(destination, |list: &mut List| {
            list.push_one(to, moved, packing);
        })?;
        tx.update(source, |list: &mut List| list.pop(from, 1, packing))?;
    }
    events(tx, (source, destination), (from, to));
    reply_element(moved, out);
    Ok(Some(Effect::as_sent(1)))
}

/// Tells of a move. Compat: the arrival comes first.
fn events(tx: &WriteTx<'_, '_>, (source, destination): (Key<'_>, Key<'_>), (from, to): (End, End)) {
    tx.event(Classes::LIST, push_event(to), destination);
    tx.event_taken(Classes::LIST, pop_event(from), source);
}

/// Elements up to this length are copied to the stack on their way.
const SHORT_BYTES: usize = 256;

/// How many elements LMOVEM moves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HowMany {
    /// COUNT: as many as there are, up to this.
    UpTo,
    /// EXACTLY: this many or none.
    Exactly,
}

/// In which order they arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// OBO: each is taken and added before the next one.
    OneByOne,
    /// BULK: in the order in which they were in the source.
    Bulk,
}

pub(super) fn lmovem(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let keys = (args.key(), args.key());
    let ends = (end_of(args), end_of(args));
    let amount = read_amount(args)?;
    if let Some(effect) = move_several(tx, keys, ends, amount, out)? {
        return Ok(effect);
    }
    match amount.how {
        HowMany::Exactly => out.null_array(),
        HowMany::UpTo => out.array(0),
    }
    Ok(Effect::NOTHING)
}

/// How many elements are moved, and how.
#[derive(Clone, Copy)]
pub(super) struct Amount {
    pub(super) how: HowMany,
    wanted: usize,
    order: Order,
}

/// The last words of LMOVEM, if there are any.
pub(super) fn read_amount(args: &mut Args<'_>) -> Result<Amount, Failure> {
    let (mut how, mut wanted, mut order) = (HowMany::UpTo, 1, Order::OneByOne);
    if args.left() > 0 {
        let options = [("COUNT", HowMany::UpTo), ("EXACTLY", HowMany::Exactly)];
        how = args.option(&options).unwrap_or(how);
        wanted = count(args, COUNT_NOT_POSITIVE);
        if wanted == 0 {
            args.fail(COUNT_NOT_POSITIVE);
        }
        if args.left() == 0 {
            args.fail(Failure::SYNTAX);
        }
        let orders = [("OBO", Order::OneByOne), ("BULK", Order::Bulk)];
        order = args.option(&orders).unwrap_or(order);
    }
    args.end()?;
    Ok(Amount { how, wanted, order })
}

/// Moves elements, and answers them; without enough of them there is no reply. Keys and ends: where
/// from, where to.
pub(super) fn move_several(
    tx: &mut WriteTx<'_, '_>,
    (source, destination): (Key<'_>, Key<'_>),
    (from, to): (End, End),
    amount: Amount,
    out: &mut Reply,
) -> Result<Option<Effect>, Failure> {
    let Amount { how, wanted, order } = amount;
    let source_len = tx.read::<List>(source)?.map_or(0, |list| list.len());
    let moved = wanted.min(source_len);
    if moved == 0 || how == HowMany::Exactly && moved < wanted {
        return Ok(None);
    }
    out.array(moved);
    // The order in which they are taken; a packed body is a vector of elements.
    let mut taken = Vec::new();
    tx.read::<List>(destination)?;
    if let Some(list) = tx.read::<List>(source)? {
        list.for_each(from, 0, moved, |element| {
            packed::push_back(&mut taken, element);
        });
    }
    let taken_first_is_first = match order {
        Order::OneByOne => to == End::Tail,
        Order::Bulk => from == End::Head,
    };
    let arrived: Vec<Element<'_>> = if taken_first_is_first {
        packed::iter(&taken).collect()
    } else {
        packed::iter(&taken).rev().collect()
    };
    carry(tx, (source, destination), (from, to), &arrived)?;
    events(tx, (source, destination), (from, to));
    for element in arrived {
        reply_element(element, out);
    }
    Ok(Some(Effect::as_sent(moved)))
}

/// Removes as many elements as `arrived` has from the source and adds those to the destination, so
/// that they are there in this order.
fn carry(
    tx: &mut WriteTx<'_, '_>,
    (source, destination): (Key<'_>, Key<'_>),
    (from, to): (End, End),
    arrived: &[Element<'_>],
) -> Result<(), Failure> {
    let packing = tx.packing();
    let add = |list: &mut List| match to {
        End::Tail => arrived
            .iter()
            .for_each(|&element| list.push_one(to, element, packing)),
        End::Head => arrived
            .iter()
            .rev()
            .for_each(|&element| list.push_one(to, element, packing)),
    };
    if source.bytes == destination.bytes {
        tx.update(source, |list: &mut List| {
            list.pop(from, arrived.len(), packing);
            add(list);
        })
    } else {
        tx.update(destination, add)?;
        tx.update(source, |list: &mut List| {
            list.pop(from, arrived.len(), packing);
        })
    }
}
