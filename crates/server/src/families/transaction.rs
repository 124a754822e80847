//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! EXEC leases the union of its commands' keys and of the watched keys, looks at the flag of the
//! watched ones, and runs the commands under that one lease: atomic and isolated with any number
//! of workers.

use engine::args::Args;
use engine::dispatch::expire_if_due;
use engine::failure::Failure;
use engine::spec::{Arg, Flags, Group, KeySpec, Run, Spec};
use engine::tx::{Step, WalkTx};
use resp::Reply;

use crate::call;
use crate::connection::Waiting;
use crate::session::{ControlRun, Session, Within};
use crate::transaction::{BROKEN, Transaction, Watched, discard as forget, unwatch as forget_keys};

/// Flags of all commands of the family.
const QUICK: Flags = Flags::NOSCRIPT
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::FAST)
    .or(Flags::ALLOW_BUSY);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: QUICK,
        since: "2.0.0",
        summary: "Forgets the queued commands and the watched keys.",
        complexity: "O(N), N being the number of queued commands",
        ..Spec::new("discard", 1, Group::Transactions, Run::Do(discard))
    },
    Spec {
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SKIP_SLOWLOG),
        since: "1.2.0",
        summary: "Runs the queued commands as one, unless a watched key was changed.",
        complexity: "That of the queued commands",
        ..Spec::new("exec", 1, Group::Transactions, Run::Do(exec))
    },
    Spec {
        flags: QUICK,
        since: "1.2.0",
        summary: "Begins a transaction: what follows is queued until EXEC.",
        ..Spec::new("multi", 1, Group::Transactions, Run::Do(multi))
    },
    Spec {
        flags: QUICK,
        since: "2.2.0",
        summary: "Forgets the watched keys.",
        ..Spec::new("unwatch", 1, Group::Transactions, Run::Do(unwatch))
    },
    Spec {
        flags: QUICK,
        keys: &[KeySpec::range(1, -1, 1, &["RO"])],
        since: "2.2.0",
        summary: "Lets the next EXEC do nothing if one of these keys is changed before it.",
        complexity: "O(1) for each key",
        args: &[Arg::KEY.multiple()],
        ..Spec::new("watch", -2, Group::Transactions, Run::Do(watch))
    },
];

const NESTED: Failure = Failure::fixed("ERR MULTI calls can not be nested");
const DISCARD_ALONE: Failure = Failure::fixed("ERR DISCARD without MULTI");
const EXEC_ALONE: Failure = Failure::fixed("ERR EXEC without MULTI");
const WATCH_INSIDE: Failure = Failure::fixed("ERR WATCH inside MULTI is not allowed");

fn multi(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    if session.client.transaction.is_some() {
        return Err(NESTED);
    }
    session.client.transaction = Some(session.spare.take());
    out.ok();
    Ok(())
}

fn discard(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if session.client.transaction.is_none() {
        return Err(DISCARD_ALONE);
    }
    forget(session.client, session.lease);
    out.ok();
    Ok(())
}

fn watch(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if session.client.transaction.is_some() {
        return Err(WATCH_INSIDE);
    }
    let db = session.client.db;
    let mut watched: Box<Watched> = session.client.watched.take().unwrap_or_default();
    while args.left() > 0 {
        let key = args.key();
        let stripe = session.lease.keyspace().stripe_of(key.hash);
        if !session.lease.try_cover_one(stripe) {
            session.client.watched = Some(watched);
            return Err(Failure::BUSY);
        }
        // A key that is due is watched as a missing one.
        if session.env.expire {
            expire_if_due(key, db, session.lease, session.env);
        }
        watched.watch(db, key, session.lease);
    }
    let seen = (watched.key_count(), watched.flag.clone());
    *session.client.card.watching.lock() = Some(seen);
    session.client.watched = Some(watched);
    out.ok();
    Ok(())
}

fn unwatch(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    forget_keys(session.client, session.lease);
    out.ok();
    Ok(())
}

fn exec(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let Some(transaction) = session.client.transaction.take() else {
        return Err(EXEC_ALONE);
    };
    let broken = transaction.broken;
    if broken {
        forget_keys(session.client, session.lease);
    } else {
        run_leased(&transaction, session, out);
    }
    session.spare.keep(transaction);
    if broken { Err(BROKEN) } else { Ok(()) }
}

/// Runs a transaction under the lease of all its keys. That lease is held until the next command,
/// for that one may need the same.
fn run_leased(transaction: &Transaction, session: &mut Session<'_, '_>, out: &mut Reply) {
    let watched = session.client.watched.as_deref();
    let hashes: Vec<u64> = watched
        .into_iter()
        .flat_map(Watched::keys)
        .map(|(_, key)| key.hash)
        .collect();
    transaction.cover(&hashes, session.lease);
    session.lease.pin();
    if is_outdated(session) {
        out.null_array();
    } else {
        out.array(transaction.command_count());
        let within = std::mem::replace(&mut session.within, Within::Transaction);
        run_all(transaction, session, out);
        session.within = within;
    }
    // Before the lease is given back: the transaction counts as one command.
    session.settle();
    forget_keys(session.client, session.lease);
    session.lease.unpin_kept();
}

/// Whether a watched key was changed, or is due. The lease covers them all.
fn is_outdated(session: &mut Session<'_, '_>) -> bool {
    let Some(watched) = session.client.watched.as_deref() else {
        return false;
    };
    if session.env.expire {
        for (db, key) in watched.keys() {
            expire_if_due(key, db, session.lease, session.env);
        }
    }
    watched.flag.is_raised()
}

fn run_all(transaction: &Transaction, session: &mut Session<'_, '_>, out: &mut Reply) {
    for command in transaction.commands() {
        let mut args = Args::hashed(command.buffer, command.words, command.keys, command.member);
        let waiting = call::run(command.row, &mut args, session, out);
        if let Some(Waiting::Walk { mut walk, .. }) = waiting {
            let mut tx = WalkTx::new(session.lease, session.env, session.client.db);
            while walk.step(&mut tx, out) == Step::More {}
        }
    }
}
