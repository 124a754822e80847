//! Publish/subscribe between workers.
//!
//! The [`Exchange`] knows for each channel and pattern how many subscribers each worker has; each
//! worker's [`Desk`] knows which of its connections they are. A publisher holds its channel's shard
//! of the exchange while it counts the receivers and puts one message into the mailbox of each
//! worker that has some, so that all subscribers of a channel see its messages in one order. A
//! worker's own messages go through its mailbox, too, and come out after the command that sent
//! them (`delivery`).
//!
//! Shard channels are another name space of the same kind (without patterns), as in Redis outside
//! of cluster mode.

use std::collections::HashMap;
use std::sync::Arc;

use base::glob::glob_match;
use base::hash::{Seed, hash_key};
use parking_lot::{Mutex, RwLock};
use resp::Reply;

use crate::mailbox::{Mailbox, Message, WorkerId};

/// Locks among which the channels are divided.
const SHARDS: usize = 64;

/// A channel or pattern.
pub type Name = Arc<[u8]>;

/// What a client can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A channel.
    Channel,
    /// All channels whose name matches.
    Pattern,
    /// A shard channel.
    Shard,
}

/// How many kinds there are.
const KINDS: usize = 3;

/// A message on its way to the subscribers of one worker.
#[derive(Debug)]
pub struct Publication {
    /// A channel's or a shard channel's.
    kind: Kind,
    channel: Name,
    payload: Arc<Vec<u8>>,
    /// The patterns that match and have subscribers anywhere.
    patterns: Vec<Name>,
}

impl Publication {
    /// What a message begins with for who listens to just this channel.
    fn word(&self) -> &'static [u8] {
        match self.kind {
            Kind::Shard => b"smessage",
            Kind::Channel | Kind::Pattern => b"message",
        }
    }
}

/// What a message begins with for who listens to a pattern.
const PATTERN_WORD: &[u8] = b"pmessage";

/// Subscribers of one channel or pattern on each worker.
type PerWorker = Box<[u32]>;
type Counts = HashMap<Name, PerWorker>;

/// See the module's head. Shared by the workers.
pub struct Exchange {
    workers: usize,
    seed: Seed,
    channels: Box<[Mutex<Counts>]>,
    shards: Box<[Mutex<Counts>]>,
    patterns: RwLock<Counts>,
}

fn change(counts: &mut Counts, workers: usize, name: &Name, worker: WorkerId, by: i32) {
    let per_worker = counts
        .entry(Arc::clone(name))
        .or_insert_with(|| vec![0; workers].into());
    let count = &mut per_worker[usize::from(worker.0)];
    *count = count.wrapping_add_signed(by);
    if per_worker.iter().all(|&count| count == 0) {
        counts.remove(name);
    }
}

fn total(per_worker: &PerWorker) -> usize {
    per_worker.iter().map(|&count| count as usize).sum()
}

impl Exchange {
    /// An exchange between so many workers.
    pub fn new(workers: usize, seed: Seed) -> Exchange {
        let maps = || (0..SHARDS).map(|_| Mutex::default()).collect();
        Exchange {
            workers,
            seed,
            channels: maps(),
            shards: maps(),
            patterns: RwLock::default(),
        }
    }

    fn place(&self, kind: Kind, channel: &[u8]) -> &Mutex<Counts> {
        let at = hash_key(&self.seed, channel) as usize % SHARDS;
        match kind {
            Kind::Shard => &self.shards[at],
            Kind::Channel | Kind::Pattern => &self.channels[at],
        }
    }

    fn maps(&self, kind: Kind) -> &[Mutex<Counts>] {
        match kind {
            Kind::Shard => &self.shards,
            Kind::Channel | Kind::Pattern => &self.channels,
        }
    }

    /// A worker has one subscriber more (`by` 1) or less (-1).
    fn change(&self, kind: Kind, name: &Name, worker: WorkerId, by: i32) {
        match kind {
            Kind::Pattern => change(&mut self.patterns.write(), self.workers, name, worker, by),
            Kind::Channel | Kind::Shard => {
                let mut counts = self.place(kind, name).lock();
                change(&mut counts, self.workers, name, worker, by);
            }
        }
    }

    /// Sends a message to all subscribers; returns how many they are. The worker `own` looks into
    /// its mailbox before it sleeps and needs not be woken.
    pub fn publish(
        &self,
        kind: Kind,
        channel: &[u8],
        payload: &[u8],
        mailboxes: &[Mailbox],
        own: WorkerId,
    ) -> usize {
        let counts = self.place(kind, channel).lock();
        let mut per_worker: Vec<usize> = vec![0; self.workers];
        let mut add = |more: &PerWorker| {
            for (sum, &count) in per_worker.iter_mut().zip(more) {
                *sum += count as usize;
            }
        };
        counts.get(channel).into_iter().for_each(&mut add);
        let mut matching = Vec::new();
        if kind == Kind::Channel {
            for (pattern, more) in &*self.patterns.read() {
                if glob_match(pattern, channel, false) {
                    matching.push(Arc::clone(pattern));
                    add(more);
                }
            }
        }
        let receivers = per_worker.iter().sum();
        if receivers == 0 {
            return 0;
        }
        let publication = Arc::new(Publication {
            kind,
            channel: channel.into(),
            payload: Arc::new(payload.to_vec()),
            patterns: matching,
        });
        for (worker, (mailbox, &count)) in mailboxes.iter().zip(&per_worker).enumerate() {
            let message = || Message::Publish(Arc::clone(&publication));
            match count {
                0 => {}
                _ if worker == usize::from(own.0) => mailbox.leave(message()),
                _ => mailbox.send(message()),
            }
        }
        receivers
    }

    /// The channels with subscribers whose name matches; `None` = all.
    pub fn list(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Name> {
        let mut names = Vec::new();
        for map in self.maps(kind) {
            let map = map.lock();
            let wanted = |name: &&Name| pattern.is_none_or(|p| glob_match(p, name, false));
            names.extend(map.keys().filter(wanted).cloned());
        }
        names
    }

    /// Number of channels with subscribers.
    pub fn channel_count(&self, kind: Kind) -> usize {
        self.maps(kind).iter().map(|map| map.lock().len()).sum()
    }

    /// Number of patterns with subscribers.
    pub fn pattern_count(&self) -> usize {
        self.patterns.read().len()
    }

    /// Number of subscribers of a channel, those by pattern not counted.
    pub fn subscribers(&self, kind: Kind, channel: &[u8]) -> usize {
        self.place(kind, channel)
            .lock()
            .get(channel)
            .map_or(0, total)
    }
}

/// The subscriptions of one client. Each is numbered, so that all of a kind can be given up in the
/// order in which they were made.
#[derive(Default)]
pub struct Subscriptions {
    names: [HashMap<Name, u64>; KINDS],
    made: u64,
    name_bytes: usize,
}

impl Subscriptions {
    /// Number of subscriptions of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// Bytes that their names take.
    pub fn bytes(&self) -> usize {
        let slots = self.names.iter().map(HashMap::capacity).sum::<usize>();
        slots * size_of::<(Name, u64)>() + self.name_bytes
    }

    /// Whether there is any.
    #[inline]
    pub fn any(&self) -> bool {
        self.made > 0 && self.names.iter().any(|names| !names.is_empty())
    }

    /// The names of this kind, oldest first, to give them up one by one.
    pub fn names(&self, kind: Kind) -> Vec<Name> {
        let mut numbered: Vec<_> = self.names[kind as usize].iter().collect();
        numbered.sort_unstable_by_key(|(_, number)| **number);
        let names = numbered.into_iter().map(|(name, _)| Arc::clone(name));
        names.collect()
    }
}

/// Above so many connections it is looked up where one of them is in the list.
const SEARCHED_MAX: usize = 16;

/// The connections that listen to one channel or pattern, each once, in any order.
#[derive(Default)]
struct Places {
    list: Vec<u32>,
    /// Where each is in `list`, as long as there are many.
    at: HashMap<u32, u32>,
}

impl Places {
    fn add(&mut self, place: u32) {
        self.list.push(place);
        if self.list.len() == SEARCHED_MAX + 1 {
            let numbered = self.list.iter().zip(0..);
            self.at = numbered.map(|(&place, at)| (place, at)).collect();
        } else if self.list.len() > SEARCHED_MAX {
            self.at.insert(place, self.list.len() as u32 - 1);
        }
    }

    fn remove(&mut self, place: u32) {
        let at = match self.list.len() {
            0..=SEARCHED_MAX => self.list.iter().position(|&known| known == place),
            _ => self.at.remove(&place).map(|at| at as usize),
        };
        let Some(at) = at else {
            return;
        };
        self.list.swap_remove(at);
        if self.list.len() <= SEARCHED_MAX {
            self.at = HashMap::new();
        } else if let Some(&moved) = self.list.get(at) {
            self.at.insert(moved, at as u32);
        }
    }
}

/// Which connections of a worker have subscribed to what.
#[derive(Default)]
pub struct Desk {
    subscribers: [HashMap<Name, Places>; KINDS],
    resolved: Vec<Resolved>,
    /// Those that are shown all commands (MONITOR).
    pub monitors: Vec<u32>,
}

/// A message whose receivers are known, because since it was published somebody has begun or ceased
/// to listen.
pub struct Resolved {
    publication: Arc<Publication>,
    /// Place, and the pattern that it is for, if any.
    receivers: Vec<(u32, Option<Name>)>,
}

impl Resolved {
    /// Gives the message to its receivers, as [`Desk::deliver`] does.
    pub fn deliver(&self, mut deliver: impl FnMut(u32, &mut Encoded<'_>)) {
        let Publication {
            channel, payload, ..
        } = &*self.publication;
        for (place, pattern) in &self.receivers {
            match pattern {
                None => {
                    let words = [self.publication.word(), channel];
                    deliver(*place, &mut Encoded::new(&words, payload));
                }
                Some(pattern) => {
                    let words = [PATTERN_WORD, pattern, channel];
                    deliver(*place, &mut Encoded::new(&words, payload));
                }
            }
        }
    }
}

impl Desk {
    /// Subscribes a client whose connection is at `place`; whether it had not before.
    pub fn subscribe(
        &mut self,
        exchange: &Exchange,
        worker: WorkerId,
        place: u32,
        mine: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) -> bool {
        let subscribers = &mut self.subscribers[kind as usize];
        let names = &mut mine.names[kind as usize];
        if names.contains_key(name) {
            return false;
        }
        let name = match subscribers.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => name.into(),
        };
        mine.made += 1;
        names.insert(Arc::clone(&name), mine.made);
        mine.name_bytes += name.len();
        exchange.change(kind, &name, worker, 1);
        subscribers.entry(name).or_default().add(place);
        true
    }

    /// Ends a subscription; whether there was one.
    pub fn unsubscribe(
        &mut self,
        exchange: &Exchange,
        worker: WorkerId,
        place: u32,
        mine: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) -> bool {
        let Some((name, _)) = mine.names[kind as usize].remove_entry(name) else {
            return false;
        };
        mine.name_bytes -= name.len();
        exchange.change(kind, &name, worker, -1);
        let subscribers = &mut self.subscribers[kind as usize];
        if let Some(places) = subscribers.get_mut(&name) {
            places.remove(place);
            if places.list.is_empty() {
                subscribers.remove(&name);
            }
        }
        true
    }

    /// Ends all subscriptions of a client.
    pub fn leave(
        &mut self,
        exchange: &Exchange,
        worker: WorkerId,
        place: u32,
        mine: &mut Subscriptions,
    ) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in mine.names(kind) {
                self.unsubscribe(exchange, worker, place, mine, kind, &name);
            }
        }
    }

    /// Decides who gets the messages that are in the worker's mailbox: who listens now, before that
    /// changes.
    pub fn resolve_mail(&mut self, mailbox: &Mailbox) {
        for publication in mailbox.drain_publications() {
            let mut receivers = Vec::new();
            let listening = |kind: Kind, name| self.subscribers[kind as usize].get(name);
            let mut add = |places: Option<&Places>, pattern: Option<&Name>| {
                let places = places.into_iter().flat_map(|places| &places.list);
                receivers.extend(places.map(|&place| (place, pattern.cloned())));
            };
            add(listening(publication.kind, &publication.channel), None);
            for pattern in &publication.patterns {
                add(listening(Kind::Pattern, pattern), Some(pattern));
            }
            self.resolved.push(Resolved {
                publication,
                receivers,
            });
        }
        if !self.resolved.is_empty() {
            mailbox.remind();
        }
    }

    /// What [`Desk::resolve_mail`] has gathered, in order.
    pub fn take_resolved(&mut self) -> Vec<Resolved> {
        std::mem::take(&mut self.resolved)
    }

    /// Gives a message to each of this worker's subscribers: `deliver` gets the place of the
    /// connection and the message.
    pub fn deliver(
        &self,
        publication: &Publication,
        mut deliver: impl FnMut(u32, &mut Encoded<'_>),
    ) {
        let Publication {
            kind,
            channel,
            payload,
            patterns,
        } = publication;
        if let Some(places) = self.subscribers[*kind as usize].get(channel) {
            let words = [publication.word(), channel];
            let mut message = Encoded::new(&words, payload);
            places.list.iter().for_each(|&at| deliver(at, &mut message));
        }
        for pattern in patterns {
            if let Some(places) = self.subscribers[Kind::Pattern as usize].get(pattern) {
                let words = [PATTERN_WORD, pattern, channel];
                let mut message = Encoded::new(&words, payload);
                places.list.iter().for_each(|&at| deliver(at, &mut message));
            }
        }
    }
}

/// A payload from this length on is not copied to each subscriber but borrowed by all.
const LONG_BYTES_MIN: usize = 4096;

/// A message as it is sent, encoded at most once for each protocol. A long payload is not copied.
pub struct Encoded<'m> {
    words: &'m [&'m [u8]],
    payload: &'m Arc<Vec<u8>>,
    /// By protocol: all of it, or all but the payload if that is long.
    bytes: [Option<Reply>; 2],
}

impl<'m> Encoded<'m> {
    fn new(words: &'m [&'m [u8]], payload: &'m Arc<Vec<u8>>) -> Encoded<'m> {
        Encoded {
            words,
            payload,
            bytes: [None, None],
        }
    }

    /// Appends the message to a connection's output.
    pub fn write(&mut self, out: &mut Reply) {
        let proto = out.proto();
        let is_long = self.payload.len() >= LONG_BYTES_MIN;
        let (words, payload) = (self.words, self.payload);
        let encoded = self.bytes[proto as usize].get_or_insert_with(|| {
            let mut encoded = Reply::new(proto);
            encoded.push(words.len() + 1);
            words.iter().for_each(|word| encoded.bulk(word));
            if !is_long {
                encoded.bulk(payload);
            }
            encoded
        });
        // Nothing borrowed is in it, so that it lies in one piece.
        out.raw(encoded.contiguous().unwrap_or_default());
        if is_long {
            out.bulk_shared(Arc::clone(payload));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adding and removing in any order keeps each place once, and finds it, on both sides of the
    /// number from which on places are looked up.
    #[test]
    fn places_come_and_go() {
        let mut places = Places::default();
        let mut known = Vec::new();
        for step in 0..2000_u32 {
            let growing = step % 200 < 100;
            if growing {
                places.add(step);
                known.push(step);
            } else {
                let gone = known.swap_remove(step as usize * 7 % known.len());
                places.remove(gone);
                places.remove(gone);
            }
            let mut listed = places.list.clone();
            listed.sort_unstable();
            known.sort_unstable();
            assert_eq!(listed, known, "step {step}");
            assert_eq!(
                places.at.len(),
                match known.len() {
                    0..=SEARCHED_MAX => 0,
                    many => many,
                }
            );
        }
    }

    #[test]
    fn names_come_oldest_first() {
        let exchange = Exchange::new(1, Seed::random());
        let (mut desk, mut mine) = (Desk::default(), Subscriptions::default());
        let worker = WorkerId(0);
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        for name in &names {
            let name = name.as_bytes();
            assert!(desk.subscribe(&exchange, worker, 1, &mut mine, Kind::Channel, name));
            assert!(!desk.subscribe(&exchange, worker, 1, &mut mine, Kind::Channel, name));
        }
        desk.unsubscribe(&exchange, worker, 1, &mut mine, Kind::Channel, b"0");
        let left = mine.names(Kind::Channel);
        let expected = names[1..].iter().map(String::as_bytes);
        assert!(left.iter().map(|name| &**name).eq(expected));
        desk.leave(&exchange, worker, 1, &mut mine);
        assert!(!mine.any());
        assert_eq!(exchange.channel_count(Kind::Channel), 0);
    }
}
