//! XREAD: what has been added to several streams.
//!
//! Also what it has in common with XREADGROUP: the options, and the streams with their ids.

use resp::{Later, Proto, Reply};
use structs::stream::{Log, Stream, StreamId};

use crate::args::{Args, KeyWord};
use crate::env::Env;
use crate::failure::Failure;
use crate::families::timeout;
use crate::keyspace::Key;
use crate::spec::Served;
use crate::tx::{Effect, ReadTx, view_of};
use crate::waiters::{Needs, Wait, Wants};

use super::{ids, reply};

/// The options before STREAMS, and where the streams are.
pub(super) struct Request<'a> {
    /// Entries of each stream.
    pub(super) count: usize,
    pub(super) budget: Budget,
    /// Group and consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    pub(super) no_ack: bool,
    /// BLOCK: for how long, if not for ever. Milliseconds.
    pub(super) block: Option<Option<i64>>,
    /// Take entries over that are pending for so long. Milliseconds.
    pub(super) claim_ms: Option<i64>,
    streams: &'a [KeyWord],
    ids_at: usize,
}

impl Request<'_> {
    /// Number of streams.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// The n-th key.
    pub(super) fn key<'a>(&self, args: &Args<'a>, number: usize) -> Key<'a> {
        let KeyWord { word, hash } = self.streams[number];
        Key {
            bytes: args.word(word as usize),
            hash,
        }
    }

    /// The id with the n-th key.
    pub(super) fn id<'a>(&self, args: &Args<'a>, number: usize) -> &'a [u8] {
        args.word(self.ids_at + number)
    }
}

/// What all streams together may answer (MAXCOUNT, MAXSIZE). At least one entry is answered.
pub(super) struct Budget {
    count: usize,
    bytes: usize,
    answered: usize,
    /// Bytes in the reply before this command's.
    start: usize,
}

impl Budget {
    /// Whether one more entry may be answered.
    pub(super) fn allows(&self, out: &Reply) -> bool {
        self.answered == 0
            || self.answered < self.count && out.len_bytes() - self.start < self.bytes
    }

    /// Counts an entry.
    pub(super) fn spend(&mut self) {
        self.answered += 1;
    }
}

const GROUP_FOR_XREAD: Failure = Failure::fixed(
    "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
);
const NOACK_FOR_XREAD: Failure = Failure::fixed(
    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
);
const CLAIM_FOR_XREAD: Failure = Failure::fixed(
    "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
);
const NO_GROUP_OPTION: Failure = Failure::fixed("ERR Missing GROUP option for XREADGROUP");
const BAD_CLAIM: Failure = Failure::fixed("ERR min-idle-time is not an integer or out of range");
const NEGATIVE_CLAIM: Failure = Failure::fixed("ERR min-idle-time must be a positive integer");
const BAD_MAXCOUNT: Failure = Failure::fixed("ERR MAXCOUNT must be a positive integer");
const BAD_MAXSIZE: Failure = Failure::fixed("ERR MAXSIZE must be a positive integer");
const SMALL_MAXCOUNT: Failure =
    Failure::fixed("ERR MAXCOUNT must be greater than or equal to COUNT");

const UNBALANCED: Failure = Failure::fixed(
    "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be \
     specified.",
);
const UNBALANCED_IN_GROUP: Failure = Failure::fixed(
    "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be \
     specified.",
);

/// Which of the two commands it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// XREAD
    Alone,
    /// XREADGROUP
    InGroup,
}

/// Reads all words but keys and ids.
pub(super) fn read_request<'a>(
    args: &mut Args<'a>,
    reading: Reading,
    env: &Env,
    out: &Reply,
) -> Result<Request<'a>, Failure> {
    let mut request = Request {
        count: usize::MAX,
        budget: Budget {
            count: usize::MAX,
            bytes: usize::MAX,
            answered: 0,
            start: out.len_bytes(),
        },
        group: None,
        no_ack: false,
        block: None,
        claim_ms: None,
        streams: &[],
        ids_at: 0,
    };
    while args.left() < 2 || !args.accept("streams") {
        read_option(args, reading, env, &mut request)?;
    }
    read_streams(args, reading, &mut request)?;
    if reading == Reading::InGroup && request.group.is_none() {
        return Err(NO_GROUP_OPTION);
    }
    if request.budget.count < request.count && request.count != usize::MAX {
        return Err(SMALL_MAXCOUNT);
    }
    Ok(request)
}

/// Reads one option.
fn read_option<'a>(
    args: &mut Args<'a>,
    reading: Reading,
    env: &Env,
    request: &mut Request<'a>,
) -> Result<(), Failure> {
    let alone = reading == Reading::Alone;
    if args.left() >= 2 && args.accept("block") {
        request.block = Some(timeout::of_millis(args.bytes(), env)?);
    } else if args.left() >= 2 && args.accept("count") {
        let count = usize::try_from(args.int()).unwrap_or(0);
        request.count = if count == 0 { usize::MAX } else { count };
    } else if args.left() >= 3 && args.accept("group") {
        if alone {
            return Err(GROUP_FOR_XREAD);
        }
        request.group = Some((args.bytes(), args.bytes()));
    } else if args.accept("noack") {
        if alone {
            return Err(NOACK_FOR_XREAD);
        }
        request.no_ack = true;
    } else if args.left() >= 2 && args.accept("claim") {
        if alone {
            return Err(CLAIM_FOR_XREAD);
        }
        let idle_ms = args.int_or(BAD_CLAIM);
        if idle_ms < 0 {
            return Err(NEGATIVE_CLAIM);
        }
        request.claim_ms = Some(idle_ms);
    } else if args.left() >= 2 && args.accept("maxcount") {
        request.budget.count = read_positive(args, BAD_MAXCOUNT)?;
    } else if args.left() >= 2 && args.accept("maxsize") {
        request.budget.bytes = read_positive(args, BAD_MAXSIZE)?;
    } else {
        return Err(Failure::SYNTAX);
    }
    args.check()
}

fn read_positive(args: &mut Args<'_>, failure: Failure) -> Result<usize, Failure> {
    let value = args.int_or(failure.clone());
    args.check()?;
    let value = usize::try_from(value).ok();
    value.filter(|&value| value > 0).ok_or(failure)
}

/// The words after STREAMS: keys, and as many ids.
fn read_streams<'a>(
    args: &mut Args<'a>,
    reading: Reading,
    request: &mut Request<'a>,
) -> Result<(), Failure> {
    if !args.left().is_multiple_of(2) {
        return Err(match reading {
            Reading::Alone => UNBALANCED,
            Reading::InGroup => UNBALANCED_IN_GROUP,
        });
    }
    let keys_at = args.count() - args.left();
    let found = args.keys();
    // The key spec finds the first STREAMS, which may be the name of a group or a consumer, and is
    // not searched for before the fifth word of XREADGROUP. Those are not our keys then.
    if found.first().is_none_or(|key| key.word as usize != keys_at) {
        return Err(Failure::SYNTAX);
    }
    request.streams = found;
    request.ids_at = keys_at + args.left() / 2;
    args.skip(args.left());
    Ok(())
}

/// The reply of both commands: streams with what is new in them, or nil if there is nothing.
pub(super) struct Streams {
    start: resp::Mark,
    header: Later,
    count: usize,
}

impl Streams {
    pub(super) fn begin(out: &mut Reply) -> Streams {
        let start = out.mark();
        let header = match out.proto() {
            Proto::Resp2 => out.array_later(),
            Proto::Resp3 => out.map_later(),
        };
        Streams {
            start,
            header,
            count: 0,
        }
    }

    /// A stream; its entries follow.
    pub(super) fn stream(&mut self, key: &[u8], out: &mut Reply) {
        if out.proto() == Proto::Resp2 {
            out.array(2);
        }
        out.bulk(key);
        self.count += 1;
    }

    /// Whether anything was answered.
    pub(super) fn finish(self, out: &mut Reply) -> bool {
        if self.count == 0 {
            out.truncate(self.start);
            out.null_array();
        } else {
            out.finish(self.header, self.count);
        }
        self.count > 0
    }
}

const NEW_ALONE: Failure = Failure::fixed(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
     <consumer> option.",
);

pub(super) fn xread(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let mut request = read_request(args, Reading::Alone, tx.env(), out)?;
    for number in 0..request.len() {
        let stream = tx.read::<Stream>(request.key(args, number))?;
        after(request.id(args, number), stream)?;
    }
    let mut streams = Streams::begin(out);
    for number in 0..request.len() {
        let key = request.key(args, number);
        let Some(stream) = tx.read::<Stream>(key)? else {
            continue;
        };
        let last = stream.log().last().map(|entry| entry.id());
        let id = request.id(args, number);
        let Some(start) = after(id, Some(stream))?.filter(|&start| last >= Some(start)) else {
            continue;
        };
        if !request.budget.allows(out) {
            break;
        }
        streams.stream(key.bytes, out);
        let header = out.array_later();
        let mut count = 0;
        for entry in stream.log().range(start, StreamId::MAX).take(request.count) {
            if !request.budget.allows(out) {
                break;
            }
            reply::entry(&entry, out);
            request.budget.spend();
            count += 1;
        }
        out.finish(header, count);
    }
    let answered = streams.finish(out);
    match request.block {
        Some(timeout_ms) if !answered => {
            let wait = Wait {
                timeout_ms,
                wants: Wants::Entries,
                needs: Needs::AllKeys,
                keys: request.len(),
                exclusive: false,
                words: fix_ids(tx, args, &request)?,
            };
            Ok(Served::Wait(Effect::NOTHING, Box::new(wait)))
        }
        _ => Ok(Served::Done(Effect::NOTHING)),
    }
}

/// The ids in place of those that mean what is there now: what comes later is wanted.
fn fix_ids(
    tx: &ReadTx<'_, '_>,
    args: &Args<'_>,
    request: &Request<'_>,
) -> Result<Vec<(usize, Vec<u8>)>, Failure> {
    let mut fixed = Vec::new();
    for number in 0..request.len() {
        if !matches!(request.id(args, number), b"$" | b"+") {
            continue;
        }
        // Looked at, and told of, already.
        let entry = tx.peek(request.key(args, number));
        let stream = entry.map(view_of::<Stream>).transpose()?;
        let last = stream.map_or(StreamId::MIN, |stream| stream.log().last_id());
        fixed.push((request.ids_at + number, last.to_word()));
    }
    Ok(fixed)
}

/// The first id after the one that a client has; `None` if there can be none.
fn after(id: &[u8], stream: Option<&Stream>) -> Result<Option<StreamId>, Failure> {
    let log = stream.map(Stream::log);
    match id {
        b"$" => Ok(log.and_then(|log| log.last_id().next())),
        b"+" => Ok(log.and_then(Log::last).map(|entry| entry.id())),
        b">" => Err(NEW_ALONE),
        id => Ok(ids::strict(id, 0)?.next()),
    }
}
