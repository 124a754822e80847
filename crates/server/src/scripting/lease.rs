//! Which stripes a script runs under.
//!
//! Undeclared keys are allowed, so nobody knows beforehand what a script will touch. It is learned:
//! the first run leases everything and notes whether a key beyond the declared ones was touched. A
//! script that touches none runs under its declared keys from then on. Should it touch another one
//! after all, it is started again under everything if it has changed nothing yet; else the missing
//! stripe is taken if nobody holds it, or waited for if the order of locks allows that, and
//! otherwise the command is refused with an error that names the key.

use engine::args::KeyWord;
use engine::keyspace::Lease;
use engine::spec::{DataRun, Group};

use super::store::{Learned, Reach};
use crate::registry::{Handler, Row};

/// What a running script holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Everything.
    All,
    /// The stripes of the declared keys, and maybe more.
    Declared,
}

/// Whether a command may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaching {
    /// All that it needs is held.
    Covered,
    /// The script has to start again under everything.
    Restart,
    /// What it needs cannot be had: the word that names it.
    Missing(u32),
    /// Only declared keys are allowed, and this word is none.
    Undeclared(u32),
}

/// Leases what a script is likely to need.
pub(super) fn take(
    lease: &mut Lease<'_>,
    learned: &Learned,
    declared: &[KeyWord],
    only_declared: bool,
) -> Option<Held> {
    let narrow = only_declared || learned.get() == Reach::Declared;
    if lease.keyspace().stripe_count() == 1 || lease.is_pinned() || !narrow {
        return lease.try_cover_all().then_some(Held::All);
    }
    if declared.is_empty() {
        lease.release();
        return Some(Held::Declared);
    }
    let hashes = declared.iter().map(|key| key.hash);
    lease.try_cover(hashes).then_some(Held::Declared)
}

/// Whether the command looks at data beyond the keys among its words.
pub(super) fn looks_around(
    row: &Row,
    wide: impl Fn(fn(&engine::args::Args<'_>) -> bool) -> bool,
) -> bool {
    match row.handler {
        Handler::Data(run) => match run {
            DataRun::Read(_) | DataRun::Write(_) | DataRun::Refresh(_) => false,
            DataRun::Block(_) | DataRun::BlockRead(_) => false,
            DataRun::Bare(_) | DataRun::Help(_) => false,
            DataRun::ReadWide(_, asks) => wide(asks),
            DataRun::WriteWide(_, asks) => wide(asks),
            DataRun::ReadAll(_) | DataRun::WriteAll(_) | DataRun::Walk(_) => true,
        },
        Handler::Control(_) => !matches!(row.spec.group, Group::Connection | Group::PubSub),
        Handler::Container => false,
    }
}

/// The first of a command's keys that the script has not declared.
pub(super) fn undeclared(keys: &[KeyWord], declared: &[KeyWord]) -> Option<KeyWord> {
    let is_declared = |key: &&KeyWord| declared.iter().any(|known| known.hash == key.hash);
    keys.iter().find(|key| !is_declared(key)).copied()
}

/// Sees to it that a command's keys are held.
pub(super) fn reach(lease: &mut Lease<'_>, keys: &[KeyWord], changed: bool) -> Reaching {
    for key in keys {
        if lease.covers(key.hash) {
            continue;
        }
        if !changed {
            return Reaching::Restart;
        }
        if !lease.extend(key.hash) {
            return Reaching::Missing(key.word);
        }
    }
    Reaching::Covered
}
