//! What a consumer says of entries it got: XACK and XNACK.

use resp::Reply;
use structs::stream::{Group, Log, Stream, StreamId};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::{ids, no_key_or_group};

pub(super) fn xack(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let name = args.bytes();
    let has_group = |stream: &Stream| stream.group(name).is_some();
    // Compat: the ids of a missing group are not looked at.
    if !tx.reading().read::<Stream>(key)?.is_some_and(has_group) {
        out.int(0);
        return Ok(Effect::NOTHING);
    }
    let ids = ids::rest(args)?;
    let count = tx.update_unseen(key, |stream: &mut Stream| {
        let Some((_, group)) = stream.group_mut(name) else {
            return 0;
        };
        ids.iter().filter(|&&id| group.acknowledge(id)).count()
    })?;
    out.int(count as i64);
    Ok(Effect::as_sent(count))
}

/// What XNACK does to the count of deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One less: the delivery does not count.
    Silent,
    /// As it is.
    Fail,
    /// The largest number: nobody will manage it.
    Fatal,
}

const MODES: &[(&str, Mode)] = &[
    ("silent", Mode::Silent),
    ("fail", Mode::Fail),
    ("fatal", Mode::Fatal),
];

/// The largest count of deliveries.
const DELIVERIES_MAX: u64 = i64::MAX as u64;

const NO_MODE: Failure = Failure::fixed("ERR mode must be SILENT, FAIL, or FATAL");
const NO_IDS: Failure = Failure::fixed("ERR syntax error, expected IDS keyword");
const NUMIDS_NOT_POSITIVE: Failure = Failure::fixed("ERR numids must be a positive integer");
const NUMIDS_WRONG: Failure = Failure::fixed("ERR number of IDs doesn't match numids");
const NEGATIVE_COUNT: Failure = Failure::fixed("ERR Invalid RETRYCOUNT value, must be >= 0");

/// The options of XNACK.
struct Release {
    mode: Mode,
    deliveries: Option<u64>,
    force: bool,
    ids: Vec<StreamId>,
}

/// Source: Redis 8.8.
pub(super) fn xnack(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let name = args.bytes();
    let has_group = |stream: &Stream| stream.group(name).is_some();
    if !tx.read::<Stream>(key)?.is_some_and(has_group) {
        return Err(no_key_or_group(key, name));
    }
    let release = read_release(args)?;
    let count = tx.update_unseen(key, |stream: &mut Stream| {
        let Some((log, group)) = stream.group_mut(name) else {
            return 0;
        };
        let ids = release.ids.iter();
        ids.filter(|&&id| release_one(log, group, id, &release))
            .count()
    })?;
    out.int(count as i64);
    Ok(Effect::as_sent(count))
}

fn read_release(args: &mut Args<'_>) -> Result<Release, Failure> {
    let mode = MODES.iter().find(|(word, _)| args.accept(word));
    let mut release = Release {
        mode: mode.ok_or(NO_MODE)?.1,
        deliveries: None,
        force: false,
        ids: Vec::new(),
    };
    while args.left() > 0 {
        if args.accept("force") {
            release.force = true;
        } else if args.left() >= 2 && args.accept("retrycount") {
            let count = u64::try_from(args.int());
            args.check()?;
            release.deliveries = Some(count.map_err(|_| NEGATIVE_COUNT)?);
        } else if args.left() >= 2 && release.ids.is_empty() && args.accept("ids") {
            let count = args.int_or(NUMIDS_NOT_POSITIVE);
            args.check()?;
            if count <= 0 {
                return Err(NUMIDS_NOT_POSITIVE);
            }
            let start = args.count() - args.left();
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if count > args.left() {
                return Err(NUMIDS_WRONG);
            }
            release.ids = ids::at(args, start..start + count)?;
            args.skip(count);
        } else {
            let mut text = b"ERR Unrecognized XNACK option '".to_vec();
            text.extend_from_slice(base::strings::until_nul(args.bytes()));
            text.push(b'\'');
            return Err(Failure::owned(text));
        }
    }
    if release.ids.is_empty() {
        return Err(NO_IDS);
    }
    Ok(release)
}

/// Releases a pending entry, or with FORCE one that is just there; whether it did.
fn release_one(log: &Log, group: &mut Group, id: StreamId, release: &Release) -> bool {
    let before = group.pending().get(&id).map(|pending| pending.deliveries);
    if before.is_none() && !(release.force && log.contains(id)) {
        return false;
    }
    let before = before.unwrap_or(0);
    let count = release.deliveries.unwrap_or(match release.mode {
        Mode::Silent => before.saturating_sub(1),
        Mode::Fail => before,
        Mode::Fatal => DELIVERIES_MAX,
    });
    group.release(id, count);
    true
}
