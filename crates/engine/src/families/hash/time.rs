//! The commands about the deadlines of fields: HEXPIRE and its kin, HTTL and its kin, HPERSIST.

use base::time::UnixMillis;
use resp::Reply;
use structs::Collection;
use structs::hash::Hash;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::expiry::TimeForm;
use crate::tx::{Effect, ReadTx, WriteTx};

use super::due::DropDue;
use super::effect::Changed;
use super::fields::{MISPLACED, NOT_ABOVE_ZERO, NOT_POSITIVE, moment, take_fields, take_word};

pub(super) fn hexpire(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    expire(tx, args, out, TimeForm::Seconds)
}

pub(super) fn hpexpire(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    expire(tx, args, out, TimeForm::Millis)
}

pub(super) fn hexpireat(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    expire(tx, args, out, TimeForm::UnixSeconds)
}

pub(super) fn hpexpireat(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    expire(tx, args, out, TimeForm::UnixMillis)
}

/// What must hold for a field's deadline to be set.
#[derive(Clone, Copy, Default)]
struct Conditions(u8);

const NX: u8 = 1;
const XX: u8 = 2;
const GT: u8 = 4;
const LT: u8 = 8;
const CONDITIONS: &[(&str, u8)] = &[("NX", NX), ("XX", XX), ("GT", GT), ("LT", LT)];

impl Conditions {
    /// Reads the words before FIELDS. Redis takes one; Valkey also XX with GT or LT.
    fn parse(args: &mut Args<'_>) -> Result<Conditions, Failure> {
        let mut given = 0;
        while let Some(bit) = take_word(args, CONDITIONS) {
            let both = given | bit;
            if given != 0 && (given == both || both != XX | GT && both != XX | LT) {
                return Err(MISPLACED);
            }
            given = both;
        }
        Ok(Conditions(given))
    }

    /// Whether a field with deadline `old` may get `new`. One without ends after any other.
    fn allow(self, new: UnixMillis, old: Option<UnixMillis>) -> bool {
        let refused = match old {
            Some(old) => {
                self.0 & NX != 0 || self.0 & GT != 0 && new <= old || self.0 & LT != 0 && new >= old
            }
            None => self.0 & (XX | GT) != 0,
        };
        !refused
    }
}

/// What HEXPIRE answers for a field.
mod answer {
    pub(super) const MISSING: i64 = -2;
    pub(super) const REFUSED: i64 = 0;
    pub(super) const SET: i64 = 1;
    pub(super) const DELETED: i64 = 2;
}

fn expire(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    form: TimeForm,
) -> Result<Effect, Failure> {
    let key = args.key();
    let parsed = parse_expire(tx, args, form);
    let (at, conditions) = match parsed {
        Ok(parsed) => parsed,
        Err(failure) => {
            // Compat: a wrong type is told before anything else that is wrong.
            tx.read::<Hash>(key)?;
            return Err(failure);
        }
    };
    let start = out.mark();
    out.array(args.left());
    let (env, packing, due) = (tx.env(), tx.packing(), DropDue::of(tx, key));
    let now = env.now;
    let deletes = at <= now && env.expire;
    let changed = tx.update(key, |hash: &mut Hash| {
        if !hash.is_empty() {
            hash.make_timed();
        }
        let mut changed = Changed::new(env);
        while args.left() > 0 {
            let field = args.member(packing);
            due.look(hash, field);
            let found = hash.borrow().get_timed(field, now);
            out.int(match found {
                None => answer::MISSING,
                Some((_, old)) if !conditions.allow(at, old) => answer::REFUSED,
                Some(_) if deletes => {
                    hash.remove(field);
                    changed.push(field.bytes);
                    answer::DELETED
                }
                Some(_) => {
                    hash.set_deadline(field, Some(at));
                    changed.push(field.bytes);
                    answer::SET
                }
            });
        }
        changed
    });
    let changed = changed.inspect_err(|_| out.truncate(start))?;
    Ok(if deletes {
        changed.deleted(tx, key)
    } else {
        changed.due_at(tx, key, at)
    })
}

fn parse_expire(
    tx: &WriteTx<'_, '_>,
    args: &mut Args<'_>,
    form: TimeForm,
) -> Result<(UnixMillis, Conditions), Failure> {
    let at = moment(form, args.bytes(), tx.clock(), args.word(0))?;
    let conditions = Conditions::parse(args)?;
    take_fields(args, NOT_ABOVE_ZERO)?;
    Ok((at, conditions))
}

pub(super) fn hpersist(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    tx.read::<Hash>(key)?;
    take_fields(args, NOT_POSITIVE)?;
    out.array(args.left());
    let (packing, now, due) = (tx.packing(), tx.now(), DropDue::of(tx, key));
    let persisted = tx.update(key, |hash: &mut Hash| {
        let mut persisted = 0;
        while args.left() > 0 {
            let field = args.member(packing);
            due.look(hash, field);
            out.int(match hash.borrow().get_timed(field, now) {
                None => answer::MISSING,
                Some((_, None)) => -1,
                Some((_, Some(_))) => {
                    hash.set_deadline(field, None);
                    persisted += 1;
                    1
                }
            });
        }
        persisted
    })?;
    if persisted > 0 {
        tx.event(Classes::HASH, "hpersist", key);
    }
    Ok(Effect::as_sent(persisted))
}

pub(super) fn httl(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, TimeForm::Seconds)
}

pub(super) fn hpttl(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, TimeForm::Millis)
}

pub(super) fn hexpiretime(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, TimeForm::UnixSeconds)
}

pub(super) fn hpexpiretime(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, TimeForm::UnixMillis)
}

/// -2 without a field, -1 without a deadline, else the deadline; seconds are rounded up.
fn tell(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    form: TimeForm,
) -> Result<(), Failure> {
    let hash = tx.read::<Hash>(args.key())?;
    take_fields(args, NOT_POSITIVE)?;
    out.array(args.left());
    while args.left() > 0 {
        let field = args.member(tx.packing());
        let found = hash.and_then(|hash| hash.get_timed(field, tx.now()));
        out.int(match found {
            None => answer::MISSING,
            Some((_, None)) => -1,
            Some((_, Some(at))) => match form {
                TimeForm::Seconds => seconds(at.millis_since(tx.now())),
                TimeForm::Millis => at.millis_since(tx.now()),
                TimeForm::UnixSeconds => seconds(at.0),
                TimeForm::UnixMillis => at.0,
            },
        });
    }
    Ok(())
}

/// Begun seconds count.
fn seconds(millis: i64) -> i64 {
    millis.saturating_add(999) / 1000
}
