//! OBJECT: how a value is kept and when it was used. Looking does not count as using.

use resp::Reply;

use crate::access;
use crate::access::Recency;
use crate::args::Args;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::tx::ReadTx;

/// OBJECT HELP.
pub(super) const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Name the form in which the value of <key> is kept.",
    "FREQ <key>",
    "    Tell how often <key> is used, on a logarithmic scale. Needs an LFU policy.",
    "IDLETIME <key>",
    "    Tell how many seconds ago <key> was last used. Needs a policy other than LFU.",
    "REFCOUNT <key>",
    "    Tell how many places refer to the value of <key>.",
    "HELP",
    "    Show these lines.",
];

const NOT_LFU: Failure = Failure::fixed(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
     Please note that when switching between policies at runtime LRU and LFU data will take \
     some time to adjust.",
);
const NOT_LRU: Failure = Failure::fixed(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. \
     Please note that when switching between policies at runtime LRU and LFU data will take \
     some time to adjust.",
);

/// The entry of the key after the subcommand's name; `None` has been answered.
fn entry<'t>(
    tx: &ReadTx<'t, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Option<&'t Entry>, Failure> {
    args.skip(1);
    let key = args.key();
    args.end()?;
    let found = tx.find_unnoticed(key);
    if found.is_none() {
        out.null();
    }
    Ok(found)
}

pub(super) fn idletime(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let Some(entry) = entry(tx, args, out)? else {
        return Ok(());
    };
    match tx.env().limits.recency {
        Recency::Lru => out.int(access::idle_seconds(entry.access(), tx.now()).into()),
        Recency::Lfu { .. } => return Err(NOT_LRU),
    }
    Ok(())
}

/// Always 1: values are not shared between keys, except by a reply that is being sent.
pub(super) fn refcount(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if entry(tx, args, out)?.is_some() {
        out.int(1);
    }
    Ok(())
}

pub(super) fn encoding(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if let Some(entry) = entry(tx, args, out)? {
        out.bulk(entry.encoding().as_bytes());
    }
    Ok(())
}

pub(super) fn freq(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let Some(entry) = entry(tx, args, out)? else {
        return Ok(());
    };
    match tx.env().limits.recency {
        Recency::Lfu { decay_minutes, .. } => {
            out.int(access::decayed(entry.access(), decay_minutes, tx.now()).into());
        }
        Recency::Lru => return Err(NOT_LFU),
    }
    Ok(())
}
