//! Taking pending entries over: XCLAIM and XAUTOCLAIM.

use base::strings::until_nul;
use resp::Reply;
use structs::stream::{ConsumerId, Group, Log, Stream, StreamId};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::effects::Effects;
use super::{ids, no_key_or_group, reply};

const BAD_IDLE: Failure = Failure::fixed("ERR Invalid min-idle-time argument for XCLAIM");
const BAD_IDLE_OPTION: Failure = Failure::fixed("ERR Invalid IDLE option argument for XCLAIM");
const BAD_TIME: Failure = Failure::fixed("ERR Invalid TIME option argument for XCLAIM");
const BAD_RETRYCOUNT: Failure = Failure::fixed("ERR Invalid RETRYCOUNT option argument for XCLAIM");

/// What XCLAIM was asked for.
struct Claim {
    min_idle_ms: i64,
    ids: Vec<StreamId>,
    delivered_ms: Option<i64>,
    /// None if negative: counted up then.
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

pub(super) fn xclaim(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (name, consumer) = (args.bytes(), args.bytes());
    let has_group = |stream: &Stream| stream.group(name).is_some();
    if !tx.reading().read::<Stream>(key)?.is_some_and(has_group) {
        return Err(no_key_or_group(key, name));
    }
    let now = tx.clock().0;
    let claim = read_claim(args, now)?;
    let mut effects = Effects::new(tx, key, name, consumer);
    let changes = tx.update_unseen(key, |stream: &mut Stream| {
        let Some((log, group)) = stream.group_mut(name) else {
            return 0;
        };
        run_claim(&claim, log, group, consumer, now, &mut effects, out)
    })?;
    effects.record(tx);
    Ok(Effect::instead(changes))
}

/// `min-idle-time id... [options]`
fn read_claim(args: &mut Args<'_>, now_ms: i64) -> Result<Claim, Failure> {
    let min_idle_ms = args.int_or(BAD_IDLE).max(0);
    args.check()?;
    let mut claim = Claim {
        min_idle_ms,
        ids: Vec::new(),
        delivered_ms: None,
        deliveries: None,
        force: false,
        just_id: false,
        last_id: StreamId::MIN,
    };
    while let Some(id) = args.peek().and_then(|word| StreamId::parse(word, 0)) {
        claim.ids.push(id);
        args.skip(1);
    }
    while args.left() > 0 {
        if args.accept("force") {
            claim.force = true;
        } else if args.accept("justid") {
            claim.just_id = true;
        } else if args.left() < 2 {
            return Err(unrecognized(args.bytes()));
        } else if args.accept("idle") {
            // A time that cannot be is as good as now.
            let idle = args.int_or(BAD_IDLE_OPTION);
            claim.delivered_ms = now_ms.checked_sub(idle).or(Some(now_ms));
        } else if args.accept("time") {
            claim.delivered_ms = Some(args.int_or(BAD_TIME));
        } else if args.accept("retrycount") {
            claim.deliveries = u64::try_from(args.int_or(BAD_RETRYCOUNT)).ok();
        } else if args.accept("lastid") {
            claim.last_id = ids::strict(args.bytes(), 0)?;
        } else {
            return Err(unrecognized(args.bytes()));
        }
        args.check()?;
    }
    Ok(claim)
}

fn unrecognized(word: &[u8]) -> Failure {
    let mut text = b"ERR Unrecognized XCLAIM option '".to_vec();
    text.extend_from_slice(until_nul(word));
    text.push(b'\'');
    Failure::owned(text)
}

/// Claims and answers; how many changes that were.
fn run_claim(
    claim: &Claim,
    log: &Log,
    group: &mut Group,
    consumer: &[u8],
    now_ms: i64,
    effects: &mut Effects<'_>,
    out: &mut Reply,
) -> usize {
    let advanced = claim.last_id > group.last_id;
    group.last_id = group.last_id.max(claim.last_id);
    // A time that is not sane means now: clients may compute it by a clock of their own.
    let sane = |ms: &i64| (0..=now_ms).contains(ms);
    let delivered_ms = claim.delivered_ms.filter(sane).unwrap_or(now_ms);
    let (owner, made) = group.consumer_or_new(consumer, now_ms);
    group.consumer_mut(owner).seen_ms = now_ms;
    if made {
        effects.consumer_made();
    }
    let header = out.array_later();
    let (mut claimed, mut dropped) = (0, 0);
    for &id in &claim.ids {
        let Some(entry) = log.get(id) else {
            if group.acknowledge(id) {
                effects.dropped(id);
                dropped += 1;
            }
            continue;
        };
        let before = group.pending().get(&id);
        let count = match before {
            Some(pending)
                if pending.owner.is_some()
                    && now_ms - pending.delivered_ms() < claim.min_idle_ms =>
            {
                continue;
            }
            Some(pending) => pending.deliveries,
            None if claim.force => 1,
            None => continue,
        };
        let counted = if claim.just_id {
            count
        } else {
            count.saturating_add(1)
        };
        group.assign(id, owner, delivered_ms, claim.deliveries.unwrap_or(counted));
        group.consumer_mut(owner).active_ms = Some(now_ms);
        effects.delivered(group, id);
        match claim.just_id {
            true => reply::id(id, out),
            false => reply::entry(&entry, out),
        }
        claimed += 1;
    }
    out.finish(header, claimed);
    if advanced && claimed == 0 {
        effects.advanced(group);
    }
    claimed + dropped + usize::from(made) + usize::from(advanced && claimed == 0)
}

/// Pending entries that XAUTOCLAIM looks at for each that it may claim.
const LOOKS_PER_CLAIM: usize = 10;
/// Entries that it claims unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 100;
/// The largest COUNT. Compat: what upstream can allocate an array for.
const COUNT_MAX: i64 = i64::MAX / 16;

const BAD_AUTO_IDLE: Failure = Failure::fixed("ERR Invalid min-idle-time argument for XAUTOCLAIM");
const BAD_COUNT: Failure = Failure::fixed("ERR COUNT must be > 0");

/// What XAUTOCLAIM was asked for.
struct AutoClaim {
    min_idle_ms: i64,
    start: StreamId,
    count: usize,
    just_id: bool,
}

/// What it found.
#[derive(Default)]
struct Found {
    claimed: Vec<StreamId>,
    dropped: Vec<StreamId>,
    /// Where to go on; 0-0 at the end.
    next: StreamId,
}

pub(super) fn xautoclaim(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (name, consumer) = (args.bytes(), args.bytes());
    let claim = read_auto_claim(args)?;
    let has_group = |stream: &Stream| stream.group(name).is_some();
    if !tx.reading().read::<Stream>(key)?.is_some_and(has_group) {
        return Err(no_key_or_group(key, name));
    }
    let now = tx.clock().0;
    let mut effects = Effects::new(tx, key, name, consumer);
    let changes = tx.update_unseen(key, |stream: &mut Stream| {
        let Some((log, group)) = stream.group_mut(name) else {
            return 0;
        };
        let (owner, made) = group.consumer_or_new(consumer, now);
        group.consumer_mut(owner).seen_ms = now;
        if made {
            effects.consumer_made();
        }
        let found = run_auto_claim(&claim, log, group, owner, now, &mut effects);
        answer_auto_claim(&claim, log, &found, out);
        found.claimed.len() + found.dropped.len() + usize::from(made)
    })?;
    effects.record(tx);
    Ok(Effect::instead(changes))
}

/// `min-idle-time start [COUNT n] [JUSTID]`
fn read_auto_claim(args: &mut Args<'_>) -> Result<AutoClaim, Failure> {
    let min_idle_ms = args.int_or(BAD_AUTO_IDLE).max(0);
    args.check()?;
    let mut claim = AutoClaim {
        min_idle_ms,
        start: ids::start(args.bytes())?,
        count: COUNT_DEFAULT,
        just_id: false,
    };
    while args.left() > 0 {
        if args.left() >= 2 && args.accept("count") {
            let count = args.int_or(BAD_COUNT);
            args.check()?;
            if !(1..=COUNT_MAX).contains(&count) {
                return Err(BAD_COUNT);
            }
            claim.count = count as usize; // Checked just above.
        } else if args.accept("justid") {
            claim.just_id = true;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    Ok(claim)
}

fn run_auto_claim(
    claim: &AutoClaim,
    log: &Log,
    group: &mut Group,
    owner: ConsumerId,
    now_ms: i64,
    effects: &mut Effects<'_>,
) -> Found {
    let mut found = Found::default();
    let mut looks = claim.count.saturating_mul(LOOKS_PER_CLAIM);
    let mut cursor = Some(claim.start);
    while let Some(start) = cursor {
        let Some((&id, &pending)) = group.pending().range(start..).next() else {
            break;
        };
        if looks == 0 || found.claimed.len() + found.dropped.len() == claim.count {
            found.next = id;
            break;
        }
        looks -= 1;
        cursor = id.next();
        if !log.contains(id) {
            group.acknowledge(id);
            effects.dropped(id);
            found.dropped.push(id);
        } else if now_ms - pending.delivered_ms() >= claim.min_idle_ms {
            let once_more = u64::from(!claim.just_id);
            let count = pending.deliveries.saturating_add(once_more);
            group.assign(id, owner, now_ms, count);
            group.consumer_mut(owner).active_ms = Some(now_ms);
            effects.delivered(group, id);
            found.claimed.push(id);
        }
    }
    found
}

fn answer_auto_claim(claim: &AutoClaim, log: &Log, found: &Found, out: &mut Reply) {
    out.array(3);
    reply::id(found.next, out);
    if claim.just_id {
        out.array(found.claimed.len());
        found.claimed.iter().for_each(|&id| reply::id(id, out));
    } else {
        reply::entries(found.claimed.iter().filter_map(|&id| log.get(id)), out);
    }
    out.array(found.dropped.len());
    found.dropped.iter().for_each(|&id| reply::id(id, out));
}
