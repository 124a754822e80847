//! Adding entries: XADD; and what is remembered of producers, so that what is sent twice is added
//! once: XCFGSET, XIDMPRECORD.
//!
//! Source of the latter: Redis 8.6, which neither peer here is.

use std::borrow::Cow;

use base::hash::digest_xxh3;
use resp::Reply;
use structs::Packing;
use structs::stream::{Memory, Sequence, Stream, StreamId};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, WriteTx};

use super::{ids, reply, trim, words};

const ID_ZERO: Failure = Failure::fixed("ERR The ID specified in XADD must be greater than 0-0");
const ID_TOO_SMALL: Failure = Failure::fixed(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);
const NO_MORE_IDS: Failure =
    Failure::fixed("ERR The stream has exhausted the last possible ID, unable to add more items");
const TOO_LONG: Failure = Failure::fixed("ERR Elements are too large to be stored");
const TWO_MESSAGES: Failure = Failure::fixed("ERR IDMP/IDMPAUTO specified multiple times");
const MESSAGE_WITH_ID: Failure =
    Failure::fixed("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");

/// The id that a client wants.
#[derive(Clone, Copy)]
enum Wanted {
    /// `*`
    Next,
    /// `ms-*`
    NextIn(u64),
    /// `ms-seq`
    Exactly(StreamId),
}

/// Who sent what, so that it is not added again.
#[derive(Clone, Copy)]
struct Message<'a> {
    producer: &'a [u8],
    /// `None`: told by the fields and values.
    id: Option<&'a [u8]>,
}

/// The options of XADD, and where the fields begin.
struct Request<'a> {
    must_exist: bool,
    trim: trim::Options,
    message: Option<Message<'a>>,
    wanted: Wanted,
    fields_at: usize,
}

/// A message's producer and id.
type Told<'a> = (&'a [u8], Cow<'a, [u8]>);

impl<'a> Message<'a> {
    /// With the id that follows from the content, if none was told.
    fn told(self, request: &Request<'_>, args: &Args<'_>) -> Told<'a> {
        let word = |at: usize| args.word(request.fields_at + at);
        let id = match self.id {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(content_digest(request.pairs(args), word).to_vec()),
        };
        (self.producer, id)
    }
}

impl Request<'_> {
    /// Number of fields.
    fn pairs(&self, args: &Args<'_>) -> usize {
        (args.count() - self.fields_at) / 2
    }
}

/// What XADD did.
enum Added {
    /// This entry is new.
    New(StreamId),
    /// The message was there already.
    Before(StreamId),
}

pub(super) fn xadd(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let request = read_request(args)?;
    let trim = request.trim.resolve(tx.packing())?;
    let word_count = args.left();
    if word_count < 2 || !word_count.is_multiple_of(2) {
        return Err(Failure::arity("xadd"));
    }
    if matches!(request.wanted, Wanted::Exactly(StreamId::MIN)) {
        return Err(ID_ZERO);
    }
    if request.must_exist && tx.read::<Stream>(key)?.is_none() {
        out.null();
        return Ok(Effect::NOTHING);
    }
    let message = request.message.map(|it| it.told(&request, args));
    let (now, packing) = (tx.clock().0, tx.packing());
    let (mut emptied, mut trimmed) = (None, 0);
    let added = tx.update(key, |stream: &mut Stream| {
        let added = add(stream, &request, args, message.as_ref(), now, packing)?;
        if let (Added::New(_), Some(trim)) = (&added, &trim) {
            trimmed = stream.trim(trim);
        }
        if stream.log().is_empty() {
            // A fresh stream that stays empty would not be kept.
            emptied = Some(std::mem::take(stream));
            return Ok((added, 0));
        }
        Ok((added, stream.log().len()))
    })?;
    if let Some(stream) = emptied {
        tx.renew_collection(key, stream, Deadline::Keep);
    }
    let (added, len) = added?;
    let (Added::New(id) | Added::Before(id)) = added;
    reply::id(id, out);
    if matches!(added, Added::Before(_)) {
        return Ok(Effect::NOTHING);
    }
    tx.event(Classes::STREAM, "xadd", key);
    if trimmed > 0 {
        tx.event(Classes::STREAM, "xtrim", key);
    }
    let exact = trim.is_none_or(|trim| !trim.approximate);
    if exact && message.is_none() && matches!(request.wanted, Wanted::Exactly(_)) {
        return Ok(Effect::as_sent(1));
    }
    tx.instead(|| add_words(key, id, (!exact).then_some(len), &request, args));
    if let Some((producer, message)) = message {
        tx.instead(|| record_words(key, producer, &message, id));
    }
    Ok(Effect::instead(1))
}

/// Adds the entry, unless its message was added before.
fn add(
    stream: &mut Stream,
    request: &Request<'_>,
    args: &Args<'_>,
    message: Option<&Told<'_>>,
    now_ms: i64,
    packing: &Packing,
) -> Result<Added, Failure> {
    if let Some((producer, message)) = message {
        let producers = stream.producers_mut();
        producers.expire(producer, now_ms);
        if let Some(before) = producers.find(producer, message) {
            producers.duplicates += 1;
            return Ok(Added::Before(before));
        }
    }
    let id = choose_id(request.wanted, stream.log().last_id(), now_ms)?;
    let word = |at: usize| args.word(request.fields_at + at);
    let appended = stream
        .log_mut()
        .append(id, request.pairs(args), word, packing);
    appended.map_err(|_| TOO_LONG)?;
    if let Some((producer, message)) = message {
        stream.producers_mut().record(producer, message, id);
    }
    Ok(Added::New(id))
}

/// Reads up to the id.
fn read_request<'a>(args: &mut Args<'a>) -> Result<Request<'a>, Failure> {
    let mut must_exist = false;
    let mut trim = trim::Options::default();
    let mut message = None;
    let wanted = loop {
        if args.peek() == Some(b"*") {
            args.skip(1);
            break Wanted::Next;
        }
        if trim.read(args)? {
        } else if args.accept("nomkstream") {
            must_exist = true;
        } else if let Some(said) = read_message(args)? {
            if message.replace(said).is_some() {
                return Err(TWO_MESSAGES);
            }
        } else if args.left() == 0 {
            return Err(Failure::arity("xadd"));
        } else {
            break read_id(args.bytes())?;
        }
    };
    if message.is_some() && !matches!(wanted, Wanted::Next) {
        return Err(MESSAGE_WITH_ID);
    }
    Ok(Request {
        must_exist,
        trim,
        message,
        wanted,
        fields_at: args.count() - args.left(),
    })
}

fn read_id(word: &[u8]) -> Result<Wanted, Failure> {
    let (ms, seq) = StreamId::parse_parts(word).ok_or(ids::invalid())?;
    Ok(match seq {
        Sequence::Auto => Wanted::NextIn(ms),
        Sequence::Missing => Wanted::Exactly(StreamId { ms, seq: 0 }),
        Sequence::Given(seq) => Wanted::Exactly(StreamId { ms, seq }),
    })
}

/// `IDMP producer message` or `IDMPAUTO producer`, if that is what comes.
fn read_message<'a>(args: &mut Args<'a>) -> Result<Option<Message<'a>>, Failure> {
    let message = if args.left() >= 3 && args.accept("idmp") {
        Message {
            producer: args.bytes(),
            id: Some(args.bytes()),
        }
    } else if args.left() >= 2 && args.accept("idmpauto") {
        Message {
            producer: args.bytes(),
            id: None,
        }
    } else {
        return Ok(None);
    };
    let text = match message {
        Message { producer: b"", id } if id.is_some() => {
            "ERR IDMP requires a non-empty producer ID"
        }
        Message { producer: b"", .. } => "ERR IDMPAUTO requires a non-empty producer ID",
        Message { id: Some(b""), .. } => "ERR IDMP requires a non-empty idempotent ID",
        Message { .. } => return Ok(Some(message)),
    };
    Err(Failure::fixed(text))
}

/// 16 bytes that tell the fields and values, in whatever order.
fn content_digest<'w>(pairs: usize, word: impl Fn(usize) -> &'w [u8]) -> [u8; 16] {
    let mut text = Vec::new();
    let mut sums = [0_u64; 2];
    for pair in 0..pairs {
        text.clear();
        let (name, value) = (word(2 * pair), word(2 * pair + 1));
        text.extend_from_slice(&(name.len() as u64).to_le_bytes());
        text.extend_from_slice(name);
        text.extend_from_slice(value);
        for sum in &mut sums {
            *sum = sum.wrapping_add(digest_xxh3(&text));
            text.push(1);
        }
    }
    let [low, high] = sums.map(u64::to_le_bytes);
    std::array::from_fn(|at| if at < 8 { low[at] } else { high[at - 8] })
}

fn choose_id(wanted: Wanted, last: StreamId, now_ms: i64) -> Result<StreamId, Failure> {
    let next = last.next().ok_or(NO_MORE_IDS)?;
    let id = match wanted {
        Wanted::Exactly(id) => id,
        // The last possible number of a millisecond has no next one within it.
        Wanted::NextIn(ms) if ms == last.ms && next.ms != ms => return Err(ID_TOO_SMALL),
        Wanted::NextIn(ms) if ms == last.ms => next,
        Wanted::NextIn(ms) => StreamId { ms, seq: 0 },
        Wanted::Next => {
            let ms = u64::try_from(now_ms).unwrap_or(0);
            next.max(StreamId { ms, seq: 0 })
        }
    };
    if id <= last {
        return Err(ID_TOO_SMALL);
    }
    Ok(id)
}

/// The XADD that adds this entry, and trims to `len` where that had not to be exact.
fn add_words(
    key: Key<'_>,
    id: StreamId,
    len: Option<u64>,
    request: &Request<'_>,
    args: &Args<'_>,
) -> Vec<Vec<u8>> {
    let mut all = words(&[b"XADD", key.bytes]);
    match len {
        Some(len) => all.extend(words(&[b"MAXLEN", b"=", len.to_string().as_bytes()])),
        None => request.trim.append_to(&mut all),
    }
    all.push(id.to_word());
    let fields = request.fields_at..args.count();
    all.extend(fields.map(|at| args.word(at).to_vec()));
    all
}

fn record_words(key: Key<'_>, producer: &[u8], message: &[u8], id: StreamId) -> Vec<Vec<u8>> {
    words(&[b"XIDMPRECORD", key.bytes, producer, message, &id.to_word()])
}

const NO_IDMP_OPTION: Failure = Failure::fixed("ERR At least one parameter must be specified");
const BAD_DURATION: Failure =
    Failure::fixed("ERR IDMP-DURATION must be between 1 and 86400 seconds");
const BAD_MAXSIZE: Failure = Failure::fixed("ERR IDMP-MAXSIZE must be between 1 and 10000 entries");

pub(super) fn xcfgset(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (mut duration_s, mut messages_max) = (None, None);
    if args.left() == 0 {
        return Err(NO_IDMP_OPTION);
    }
    while args.left() > 0 {
        if args.left() >= 2 && args.accept("idmp-duration") {
            duration_s = Some(read_bounded(args, 86_400, BAD_DURATION)?);
        } else if args.left() >= 2 && args.accept("idmp-maxsize") {
            messages_max = Some(read_bounded(args, 10_000, BAD_MAXSIZE)?);
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    if tx.read::<Stream>(key)?.is_none() {
        return Err(Failure::NO_SUCH_KEY);
    }
    tx.update(key, |stream: &mut Stream| {
        let producers = stream.producers_mut();
        let before = producers.memory();
        producers.set_memory(Memory {
            duration_s: duration_s.unwrap_or(before.duration_s),
            messages_max: messages_max.unwrap_or(before.messages_max),
        });
    })?;
    out.ok();
    Ok(Effect::as_sent(1))
}

fn read_bounded(args: &mut Args<'_>, max: u32, failure: Failure) -> Result<u32, Failure> {
    let value = args.int();
    args.check()?;
    let value = u32::try_from(value).ok();
    value
        .filter(|value| (1..=max).contains(value))
        .ok_or(failure)
}

const EMPTY_MESSAGE: Failure =
    Failure::fixed("ERR producer ID and idempotent ID must not be empty");
const NO_ENTRY: Failure =
    Failure::fixed("ERR The specified stream ID was deleted or doesn't exist");
const OTHER_ENTRY: Failure = Failure::fixed(
    "ERR The specified IDMP producer-id/idempotent-id pair maps to a different stream ID",
);

/// Compat: unlike in Redis the entry may be gone already: an XADD that trims all of the stream is
/// replayed with this after it.
pub(super) fn xidmprecord(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let (producer, message) = (args.bytes(), args.bytes());
    let id = ids::strict(args.bytes(), 0)?;
    args.end()?;
    if producer.is_empty() || message.is_empty() {
        return Err(EMPTY_MESSAGE);
    }
    let Some(stream) = tx.read::<Stream>(key)? else {
        return Err(Failure::NO_SUCH_KEY);
    };
    if !stream.log().contains(id) && id != stream.log().last_id() {
        return Err(NO_ENTRY);
    }
    let before = stream
        .producers()
        .and_then(|producers| producers.find(producer, message));
    if before.is_some_and(|before| before != id) {
        return Err(OTHER_ENTRY);
    }
    tx.update(key, |stream: &mut Stream| {
        stream.producers_mut().record(producer, message, id);
    })?;
    out.ok();
    Ok(match before {
        Some(_) => Effect::NOTHING,
        None => Effect::as_sent(1),
    })
}
