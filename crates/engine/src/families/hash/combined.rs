//! The commands that read or set fields and change their deadlines, or delete them, in one step:
//! HGETDEL, HGETEX, HSETEX.

use base::num::{I64_TEXT_MAX, format_i64, parse_i64};
use base::strings::until_nul;
use base::time::UnixMillis;
use resp::Reply;
use structs::hash::{Hash, Until};
use structs::{Collection, Member};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::expiry::{ExpiryWord, TimeForm};
use crate::keyspace::Key;
use crate::tx::{Effect, WriteTx};

use super::due::DropDue;
use super::effect::Changed;
use super::fields::{NOT_POSITIVE, moment, take_fields, take_word};
use super::{reply_text_or_null, words};

pub(super) fn hgetdel(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    tx.read::<Hash>(key)?;
    take_fields(args, NOT_POSITIVE)?;
    out.array(args.left());
    let (env, packing, due) = (tx.env(), tx.packing(), DropDue::of(tx, key));
    let deleted = tx.update(key, |hash: &mut Hash| {
        let mut deleted = Changed::new(env);
        while args.left() > 0 {
            let field = args.member(packing);
            due.look(hash, field);
            let value = hash.borrow().get(field, env.now);
            reply_text_or_null(value, out);
            if value.is_some() {
                hash.remove(field);
                deleted.push(field.bytes);
            }
        }
        deleted
    })?;
    Ok(deleted.deleted(tx, key))
}

/// What HGETEX makes of the deadlines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Persist,
    Expire(UnixMillis),
    Delete,
}

const HGETEX_OPTIONS: &[(&str, ExpiryWord)] = &[
    ("EX", ExpiryWord::EX),
    ("PX", ExpiryWord::PX),
    ("EXAT", ExpiryWord::EXAT),
    ("PXAT", ExpiryWord::PXAT),
    ("PERSIST", ExpiryWord::Persist),
];

pub(super) fn hgetex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    tx.read::<Hash>(key)?;
    let change = parse_change(tx, args)?;
    take_fields(args, NOT_POSITIVE)?;
    out.array(args.left());
    let (env, packing, due) = (tx.env(), tx.packing(), DropDue::of(tx, key));
    let changed = tx.update(key, |hash: &mut Hash| {
        // Compat: OBJECT ENCODING tells that deadlines were to change, though none has.
        if change != Change::Nothing && !hash.is_empty() {
            hash.make_timed();
        }
        let mut changed = Changed::new(env);
        while args.left() > 0 {
            let field = args.member(packing);
            due.look(hash, field);
            let found = hash.borrow().get_timed(field, env.now);
            reply_text_or_null(found.map(|(value, _)| value), out);
            let Some((_, old)) = found else {
                continue;
            };
            match change {
                Change::Persist if old.is_some() => hash.set_deadline(field, None),
                Change::Expire(at) => hash.set_deadline(field, Some(at)),
                Change::Delete => hash.remove(field),
                Change::Nothing | Change::Persist => continue,
            };
            changed.push(field.bytes);
        }
        changed
    })?;
    Ok(match change {
        Change::Nothing => Effect::NOTHING,
        Change::Persist => changed.persisted(tx, key),
        Change::Expire(at) => changed.due_at(tx, key, at),
        Change::Delete => changed.deleted(tx, key),
    })
}

fn parse_change(tx: &WriteTx<'_, '_>, args: &mut Args<'_>) -> Result<Change, Failure> {
    let change = match take_word(args, HGETEX_OPTIONS) {
        None | Some(ExpiryWord::Keep) => return Ok(Change::Nothing),
        Some(ExpiryWord::Persist) => Change::Persist,
        Some(ExpiryWord::Due(form)) => {
            let at = moment(form, args.bytes(), tx.clock(), args.word(0))?;
            // Deadlines are only observed, not enforced, on a replica.
            if at <= tx.now() && tx.env().expire {
                Change::Delete
            } else {
                Change::Expire(at)
            }
        }
    };
    match args.left() {
        0 | 1 => Err(Failure::arity("hgetex")),
        _ => Ok(change),
    }
}

/// What HSETEX asks for before it sets anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// All of the fields.
    Fields { exist: bool },
    /// The key. Only Valkey has this one.
    Key { exists: bool },
}

#[derive(Clone, Copy)]
enum SetOption {
    Condition(Condition),
    Expiry(ExpiryWord),
    Fields,
}

const HSETEX_OPTIONS: &[(&str, SetOption)] = &[
    (
        "FNX",
        SetOption::Condition(Condition::Fields { exist: false }),
    ),
    (
        "FXX",
        SetOption::Condition(Condition::Fields { exist: true }),
    ),
    ("NX", SetOption::Condition(Condition::Key { exists: false })),
    ("XX", SetOption::Condition(Condition::Key { exists: true })),
    ("EX", SetOption::Expiry(ExpiryWord::EX)),
    ("PX", SetOption::Expiry(ExpiryWord::PX)),
    ("EXAT", SetOption::Expiry(ExpiryWord::EXAT)),
    ("PXAT", SetOption::Expiry(ExpiryWord::PXAT)),
    ("KEEPTTL", SetOption::Expiry(ExpiryWord::Keep)),
    ("FIELDS", SetOption::Fields),
];

const TWO_CONDITIONS: Failure =
    Failure::fixed("ERR Only one of FXX or FNX arguments can be specified");
const TWO_EXPIRIES: Failure =
    Failure::fixed("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const BAD_NUMBER: Failure = Failure::fixed("ERR invalid number of fields");

/// The words of HSETEX before its fields and values.
struct Request {
    fields: Option<Condition>,
    key: Option<Condition>,
    until: Until,
    /// The words say the same wherever and whenever they are said.
    lasting: bool,
}

impl Request {
    fn parse(tx: &WriteTx<'_, '_>, args: &mut Args<'_>) -> Result<Request, Failure> {
        let mut request = Request {
            fields: None,
            key: None,
            until: Until::Forever,
            lasting: true,
        };
        let mut expiry_said = false;
        loop {
            let Some(option) = take_word(args, HSETEX_OPTIONS) else {
                let word = args.peek().ok_or_else(|| Failure::arity("hsetex"))?;
                let text = [b"ERR unknown argument: ", until_nul(word)].concat();
                return Err(Failure::owned(text));
            };
            match option {
                SetOption::Fields => break,
                SetOption::Condition(condition) => request.take(condition)?,
                SetOption::Expiry(_) if expiry_said => return Err(TWO_EXPIRIES),
                SetOption::Expiry(word) => {
                    expiry_said = true;
                    request.take_expiry(word, tx, args)?;
                }
            }
        }
        if args.left() < 3 {
            return Err(Failure::arity("hsetex"));
        }
        let number = parse_i64(args.bytes()).filter(|&number| number > 0);
        let number = number.ok_or(BAD_NUMBER)?;
        if number.checked_mul(2) != Some(args.left() as i64) {
            return Err(Failure::arity("hsetex"));
        }
        Ok(request)
    }

    fn take(&mut self, condition: Condition) -> Result<(), Failure> {
        let (place, twice) = match condition {
            Condition::Fields { .. } => (&mut self.fields, TWO_CONDITIONS),
            Condition::Key { .. } => (&mut self.key, Failure::SYNTAX),
        };
        match place.replace(condition) {
            None => Ok(()),
            Some(_) => Err(twice),
        }
    }

    fn take_expiry(
        &mut self,
        word: ExpiryWord,
        tx: &WriteTx<'_, '_>,
        args: &mut Args<'_>,
    ) -> Result<(), Failure> {
        let ExpiryWord::Due(form) = word else {
            self.until = Until::Kept;
            return Ok(());
        };
        self.lasting = matches!(form, TimeForm::UnixSeconds | TimeForm::UnixMillis);
        let text = args.peek().ok_or_else(|| Failure::arity("hsetex"))?;
        args.skip(1);
        self.until = Until::At(moment(form, text, tx.clock(), args.word(0))?);
        Ok(())
    }

    /// Whether the hash, before any change, is as it was asked for.
    fn holds(&self, hash: &mut Hash, args: &Args<'_>, due: DropDue<'_>) -> bool {
        if let Some(Condition::Key { exists }) = self.key
            && hash.is_empty() == exists
        {
            return false;
        }
        let Some(Condition::Fields { exist }) = self.fields else {
            return true;
        };
        args.rest().step_by(2).all(|field| {
            let field = Member::new(field, due.seed());
            due.look(hash, field);
            hash.borrow().get(field, due.now()).is_some() == exist
        })
    }
}

pub(super) fn hsetex(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let request = Request::parse(tx, args)?;
    let (env, packing, due) = (tx.env(), tx.packing(), DropDue::of(tx, key));
    let deletes = matches!(request.until, Until::At(at) if at <= env.now) && env.expire;
    let first = args.count() - args.left();
    let longest = args.rest().map(<[u8]>::len).max().unwrap_or(0);
    let mut was_missing = false;
    let changed = tx.update(key, |hash: &mut Hash| {
        was_missing = hash.is_empty();
        if !request.holds(hash, args, due) {
            return None;
        }
        let mut changed = Changed::new(env);
        if !hash.is_empty() || !deletes {
            hash.prepare(args.left() / 2, longest, packing);
            if matches!(request.until, Until::At(_)) {
                hash.make_timed();
            }
        }
        while args.left() > 0 {
            let (field, value) = (args.member(packing), args.bytes());
            due.look(hash, field);
            if !deletes {
                hash.set(field, value, request.until, packing);
                changed.push(field.bytes);
            } else {
                // Compat: even one that was not there has changed: it came and went.
                hash.remove(field);
                changed.push(field.bytes);
            }
        }
        Some(changed)
    })?;
    out.int(changed.is_some().into());
    let Some(changed) = changed else {
        return Ok(Effect::NOTHING);
    };
    if deletes {
        tx.seen(key);
        // Compat: what is told is that the fields were set first, even in a hash that is not made.
        if was_missing {
            tx.event(Classes::NEW, "new", key);
        }
        tx.event(Classes::HASH, "hset", key);
        tx.event_taken(Classes::HASH, "hdel", key);
        return Ok(changed.deleted_silently(tx, key));
    }
    tx.event(Classes::HASH, "hset", key);
    if matches!(request.until, Until::At(_)) {
        tx.event(Classes::HASH, "hexpire", key);
    }
    let pairs = (args.count() - first) / 2;
    if request.lasting {
        return Ok(Effect::as_sent(pairs));
    }
    tx.instead(|| set_words(key, request.until, pairs, args.words().skip(first)));
    Ok(Effect::instead(pairs))
}

/// The HSETEX that sets these fields, whatever is there before.
fn set_words<'a>(
    key: Key<'_>,
    until: Until,
    pairs: usize,
    fields: impl Iterator<Item = &'a [u8]>,
) -> Vec<Vec<u8>> {
    let mut recorded = words(&[b"HSETEX", key.bytes]);
    let mut digits = [0; I64_TEXT_MAX];
    match until {
        Until::Forever => {}
        Until::Kept => recorded.push(b"KEEPTTL".to_vec()),
        Until::At(at) => {
            recorded.extend(words(&[b"PXAT", format_i64(at.0, &mut digits)]));
        }
    }
    let number = format_i64(pairs as i64, &mut digits);
    recorded.extend(words(&[b"FIELDS", number]));
    recorded.extend(fields.map(<[u8]>::to_vec));
    recorded
}
