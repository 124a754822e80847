//! EXPIRE and its three siblings, TTL and its three, PERSIST: deadlines in seconds or milliseconds,
//! as a duration or as a Unix time. Entries keep them as a Unix time in milliseconds.

use base::num::{append_i64, parse_i64};
use base::strings::eq_ignore_case;
use base::strings::until_nul;
use base::time::UnixMillis;
use resp::Reply;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Effect, ReadTx, WriteTx};

/// How a command writes a moment.
#[derive(Clone, Copy)]
struct Notation {
    /// Milliseconds of its unit.
    unit: i64,
    /// A duration from now, not a time since 1970.
    relative: bool,
}

const SECONDS: Notation = Notation {
    unit: 1000,
    relative: true,
};
const MILLIS: Notation = Notation {
    unit: 1,
    relative: true,
};
const UNIX_SECONDS: Notation = Notation {
    unit: 1000,
    relative: false,
};
const UNIX_MILLIS: Notation = Notation {
    unit: 1,
    relative: false,
};

impl Notation {
    /// The moment that `number` means; `None` when it does not fit.
    fn moment(self, number: i64, now: UnixMillis) -> Option<UnixMillis> {
        let start = if self.relative { now.0 } else { 0 };
        let millis = number.checked_mul(self.unit)?.checked_add(start)?;
        Some(UnixMillis(millis))
    }
}

pub(super) fn expire(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    change(tx, args, out, SECONDS)
}

pub(super) fn pexpire(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    change(tx, args, out, MILLIS)
}

pub(super) fn expireat(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    change(tx, args, out, UNIX_SECONDS)
}

pub(super) fn pexpireat(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    change(tx, args, out, UNIX_MILLIS)
}

fn change(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    notation: Notation,
) -> Result<Effect, Failure> {
    let key = args.key();
    let number = args.bytes();
    let conditions = Conditions::parse(args);
    // Compat: bad conditions are reported before a bad number.
    args.end()?;
    let number = parse_i64(number).ok_or(Failure::NOT_INTEGER)?;
    let moment = notation
        .moment(number, tx.clock())
        .ok_or_else(|| invalid_time(args.word(0)))?;
    let allowed = match tx.find(key) {
        Some(entry) => conditions.allow(moment, entry.deadline()),
        None => false,
    };
    out.int(allowed.into());
    Ok(if allowed {
        apply(tx, key, moment)
    } else {
        Effect::NOTHING
    })
}

fn invalid_time(command: &[u8]) -> Failure {
    let name = command.to_ascii_lowercase();
    Failure::owned([b"ERR invalid expire time in '", &name[..], b"' command"].concat())
}

/// A moment that has passed deletes the key, unless deadlines are only observed here (a replica).
fn apply(tx: &mut WriteTx<'_, '_>, key: Key<'_>, moment: UnixMillis) -> Effect {
    if moment <= tx.now() && tx.env().expire {
        tx.delete(key);
        tx.instead(|| vec![b"DEL".to_vec(), key.bytes.to_vec()]);
    } else {
        tx.set_deadline(key, Some(moment));
        tx.event(Classes::GENERIC, "expire", key);
        tx.instead(|| {
            let mut digits = Vec::new();
            append_i64(moment.0, &mut digits);
            vec![b"PEXPIREAT".to_vec(), key.bytes.to_vec(), digits]
        });
    }
    Effect::instead(1)
}

/// What must hold for a deadline to be set; several may be given.
#[derive(Clone, Copy, Default)]
struct Conditions(u8);

const NX: u8 = 1;
const XX: u8 = 2;
const GT: u8 = 4;
const LT: u8 = 8;
const CONDITIONS: &[(&str, u8)] = &[("NX", NX), ("XX", XX), ("GT", GT), ("LT", LT)];

impl Conditions {
    /// Reads the rest of the words.
    fn parse(args: &mut Args<'_>) -> Conditions {
        let mut given = 0;
        while let Some(word) = args.peek() {
            let known = |(name, _): &&(&str, u8)| eq_ignore_case(word, name.as_bytes());
            let Some((_, bit)) = CONDITIONS.iter().find(known) else {
                args.fail(Failure::owned(
                    [b"ERR Unsupported option ", until_nul(word)].concat(),
                ));
                break;
            };
            given |= bit;
            args.skip(1);
        }
        if given & NX != 0 && given != NX {
            args.fail(NX_AND_OTHERS);
        } else if given & (GT | LT) == GT | LT {
            args.fail(GT_AND_LT);
        }
        Conditions(given)
    }

    /// Whether a key with deadline `old` may get `new`. A key without one expires after any other.
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

const NX_AND_OTHERS: Failure =
    Failure::fixed("ERR NX and XX, GT or LT options at the same time are not compatible");
const GT_AND_LT: Failure =
    Failure::fixed("ERR GT and LT options at the same time are not compatible");

pub(super) fn ttl(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, SECONDS)
}

pub(super) fn pttl(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, MILLIS)
}

pub(super) fn expiretime(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, UNIX_SECONDS)
}

pub(super) fn pexpiretime(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    tell(tx, args, out, UNIX_MILLIS)
}

/// -2 without a key, -1 without a deadline, else the deadline; seconds are rounded to the nearest.
fn tell(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    notation: Notation,
) -> Result<(), Failure> {
    let key = args.key();
    args.end()?;
    out.int(match tx.find_untouched(key).map(|entry| entry.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let start = if notation.relative { tx.now().0 } else { 0 };
            let millis = deadline.0.saturating_sub(start).max(0);
            millis.saturating_add(notation.unit / 2) / notation.unit
        }
    });
    Ok(())
}

pub(super) fn persist(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    args.end()?;
    let volatile = tx.find(key).is_some_and(|entry| entry.deadline().is_some());
    if volatile {
        tx.set_deadline(key, None);
        tx.event(Classes::GENERIC, "persist", key);
    }
    out.int(volatile.into());
    Ok(Effect::as_sent(volatile.into()))
}
