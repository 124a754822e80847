//! XREADGROUP: what a group has not got yet, or what a consumer has not acknowledged.

use base::strings::until_nul;
use resp::Reply;
use structs::stream::{ConsumerId, Group, Log, Stream, StreamId};

use crate::args::Args;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::spec::Served;
use crate::tx::{Effect, WriteTx};
use crate::waiters::{Needs, Wait, Wants};

use super::effects::Effects;
use super::read::{Reading, Request, Streams, read_request};
use super::{ids, reply};

/// What a consumer wants of a stream.
#[derive(Clone, Copy)]
enum Wanted {
    /// `>`: what nobody in the group got.
    New,
    /// Its own pending entries from this id on.
    Own(StreamId),
    /// Its own after the largest id: nothing.
    Nothing,
}

pub(super) fn xreadgroup(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Served, Failure> {
    let mut request = read_request(args, Reading::InGroup, tx.env(), out)?;
    let (group, consumer) = request.group.unwrap_or_default();
    for number in 0..request.len() {
        let key = request.key(args, number);
        let reading = tx.reading();
        let stream = reading.read::<Stream>(key)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(no_group(key, group));
        }
        read_wanted(request.id(args, number))?;
    }
    let now = tx.clock().0;
    let mut streams = Streams::begin(out);
    let mut changes = 0;
    for number in 0..request.len() {
        let key = request.key(args, number);
        let wanted = read_wanted(request.id(args, number))?;
        let mut effects = Effects::new(tx, key, group, consumer);
        changes += tx.update_unseen(key, |stream: &mut Stream| {
            let Some((log, group)) = stream.group_mut(group) else {
                return 0;
            };
            let (id, made) = group.consumer_or_new(consumer, now);
            group.consumer_mut(id).seen_ms = now;
            if made {
                effects.consumer_made();
            }
            let mut delivery = Delivery {
                key: key.bytes,
                log,
                group,
                consumer: id,
                now,
                request: &mut request,
                effects: &mut effects,
                streams: &mut streams,
            };
            usize::from(delivery.run(wanted, out)) + usize::from(made)
        })?;
        effects.record(tx);
    }
    let (answered, effect) = (streams.finish(out), Effect::instead(changes));
    match request.block {
        Some(timeout_ms) if !answered => {
            let wait = Wait {
                timeout_ms,
                wants: Wants::Group(group.into()),
                needs: Needs::AllKeys,
                keys: request.len(),
                // With CLAIM, what is too young for one may be old enough for the next.
                exclusive: request.claim_ms.is_none(),
                words: Vec::new(),
            };
            Ok(Served::Wait(effect, Box::new(wait)))
        }
        _ => Ok(Served::Done(effect)),
    }
}

const DOLLAR: Failure = Failure::fixed(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of \
     this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would \
     just return an empty result set.",
);
const PLUS: Failure = Failure::fixed(
    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of \
     this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would \
     just return an empty result set.",
);

fn read_wanted(id: &[u8]) -> Result<Wanted, Failure> {
    match id {
        b">" => Ok(Wanted::New),
        b"$" => Err(DOLLAR),
        b"+" => Err(PLUS),
        id => Ok(match ids::strict(id, 0)? {
            // Compat: upstream's mark for `>`.
            StreamId::MAX => Wanted::New,
            id => id.next().map_or(Wanted::Nothing, Wanted::Own),
        }),
    }
}

fn no_group(key: Key<'_>, group: &[u8]) -> Failure {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        until_nul(key.bytes),
        b"' or consumer group '",
        until_nul(group),
        b"' in XREADGROUP with GROUP option",
    ];
    Failure::owned(parts.concat())
}

/// One stream's part of the command.
struct Delivery<'d, 'r> {
    key: &'d [u8],
    log: &'d Log,
    group: &'d mut Group,
    consumer: ConsumerId,
    now: i64,
    request: &'d mut Request<'r>,
    effects: &'d mut Effects<'r>,
    streams: &'d mut Streams,
}

impl Delivery<'_, '_> {
    /// Answers what there is; whether there was anything.
    fn run(&mut self, wanted: Wanted, out: &mut Reply) -> bool {
        let start = match wanted {
            Wanted::Own(start) => Some(start),
            Wanted::Nothing => None,
            Wanted::New => return self.deliver(out),
        };
        if !self.request.budget.allows(out) {
            return false;
        }
        self.streams.stream(self.key, out);
        let header = out.array_later();
        let count = start.map_or(0, |start| self.repeat_own(start, out));
        out.finish(header, count);
        true
    }

    /// The consumer's pending entries once more; how many.
    fn repeat_own(&mut self, start: StreamId, out: &mut Reply) -> usize {
        let own = self.group.consumer(self.consumer).pending();
        let ids: Vec<StreamId> = own
            .range(start..)
            .take(self.request.count)
            .copied()
            .collect();
        let mut count = 0;
        for id in ids {
            if !self.request.budget.allows(out) {
                break;
            }
            match self.log.get(id) {
                Some(entry) => {
                    reply::entry(&entry, out);
                    self.group.deliver_again(id, self.now);
                    self.effects.delivered(self.group, id);
                }
                None => {
                    out.array(2);
                    reply::id(id, out);
                    out.null_array();
                }
            }
            self.request.budget.spend();
            count += 1;
        }
        count
    }

    /// What is new, and before it with CLAIM what is pending for too long; whether there was any.
    fn deliver(&mut self, out: &mut Reply) -> bool {
        let claimed = self.claimable();
        let last = self.log.last().map(|entry| entry.id());
        let has_new = last > Some(self.group.last_id);
        if claimed.is_empty() && !has_new || !self.request.budget.allows(out) {
            return false;
        }
        self.streams.stream(self.key, out);
        let header = out.array_later();
        let mut count = 0;
        for id in claimed {
            if !self.request.budget.allows(out) {
                break;
            }
            self.claim(id, out);
            count += 1;
        }
        if has_new {
            count += self.deliver_new(self.request.count - count, out);
        }
        out.finish(header, count);
        true
    }

    /// The entries that are pending for long enough, at most as many as are wanted. Those that are
    /// gone from the stream are dropped.
    fn claimable(&mut self) -> Vec<StreamId> {
        let Some(idle_ms) = self.request.claim_ms else {
            return Vec::new();
        };
        let idle = self.group.idle_since(self.now.saturating_sub(idle_ms));
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for id in idle {
            if found.len() == self.request.count {
                break;
            }
            match self.log.contains(id) {
                true => found.push(id),
                false => gone.push(id),
            }
        }
        for id in gone {
            self.group.acknowledge(id);
            self.effects.dropped(id);
        }
        found
    }

    fn claim(&mut self, id: StreamId, out: &mut Reply) {
        let (Some(entry), Some(&pending)) = (self.log.get(id), self.group.pending().get(&id))
        else {
            return;
        };
        out.array(4);
        reply::parts(&entry, out);
        out.int(self.now - pending.delivered_ms());
        out.int(pending.deliveries as i64);
        let count = pending.deliveries.saturating_add(1);
        self.group.assign(id, self.consumer, self.now, count);
        self.group.consumer_mut(self.consumer).active_ms = Some(self.now);
        self.effects.delivered(self.group, id);
        self.request.budget.spend();
    }

    /// At most `count` entries after those that the group has got; how many.
    fn deliver_new(&mut self, count: usize, out: &mut Reply) -> usize {
        let Some(start) = self.group.last_id.next() else {
            return 0;
        };
        let mut delivered = 0;
        for entry in self.log.range(start, StreamId::MAX).take(count) {
            if !self.request.budget.allows(out) {
                break;
            }
            let id = entry.id();
            self.group.advance(self.log, id);
            if self.request.claim_ms.is_some() {
                out.array(4);
                reply::parts(&entry, out);
                out.int(0);
                out.int(0);
            } else {
                reply::entry(&entry, out);
            }
            if !self.request.no_ack {
                self.group.assign(id, self.consumer, self.now, 1);
                self.effects.delivered(self.group, id);
            }
            self.request.budget.spend();
            delivered += 1;
        }
        if delivered > 0 {
            if !self.request.no_ack {
                self.group.consumer_mut(self.consumer).active_ms = Some(self.now);
            }
            self.effects.advanced(self.group);
        }
        delivered
    }
}
