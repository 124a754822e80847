//! Publish/subscribe between workers.
//!
//! The [`Exchange`] knows for each channel and pattern how many subscribers each worker has; each
//! worker's [`Desk`] knows which of its connections they are. A publisher holds its channel's shard
//! of the exchange while it counts the receivers and puts one message into the mailbox of each
//! worker that has some, so that all subscribers of a channel see its messages in one order. A
//! worker's own messages go through its mailbox, too.
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

/// A message on its way to the subscribers of one worker.
#[derive(Debug)]
pub struct Publication {
    shard: bool,
    channel: Name,
    payload: Arc<[u8]>,
    /// The patterns that match and have subscribers anywhere.
    patterns: Vec<Name>,
}

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
            shard: kind == Kind::Shard,
            channel: channel.into(),
            payload: payload.into(),
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

/// The subscriptions of one client.
#[derive(Default)]
pub struct Subscriptions {
    channels: Vec<Name>,
    patterns: Vec<Name>,
    shards: Vec<Name>,
    name_bytes: usize,
}

impl Subscriptions {
    fn of(&mut self, kind: Kind) -> &mut Vec<Name> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    /// Number of subscriptions of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel => self.channels.len(),
            Kind::Pattern => self.patterns.len(),
            Kind::Shard => self.shards.len(),
        }
    }

    /// Bytes that their names take.
    pub fn bytes(&self) -> usize {
        let names = self.channels.capacity() + self.patterns.capacity() + self.shards.capacity();
        names * size_of::<Name>() + self.name_bytes
    }

    /// Whether there is any.
    #[inline]
    pub fn any(&self) -> bool {
        !(self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty())
    }

    /// The names of this kind, to give them up one by one.
    pub fn names(&self, kind: Kind) -> Vec<Name> {
        match kind {
            Kind::Channel => self.channels.clone(),
            Kind::Pattern => self.patterns.clone(),
            Kind::Shard => self.shards.clone(),
        }
    }
}

/// Which connections of a worker have subscribed to what.
#[derive(Default)]
pub struct Desk {
    subscribers: HashMap<(Kind, Name), Vec<u32>>,
    /// Those that are shown all commands (MONITOR).
    pub monitors: Vec<u32>,
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
        let names = mine.of(kind);
        if names.iter().any(|known| **known == *name) {
            return false;
        }
        let name: Name = name.into();
        names.push(Arc::clone(&name));
        mine.name_bytes += name.len();
        exchange.change(kind, &name, worker, 1);
        self.subscribers
            .entry((kind, name))
            .or_default()
            .push(place);
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
        let names = mine.of(kind);
        let Some(at) = names.iter().position(|known| **known == *name) else {
            return false;
        };
        let name = names.remove(at);
        mine.name_bytes -= name.len();
        exchange.change(kind, &name, worker, -1);
        let key = (kind, name);
        if let Some(places) = self.subscribers.get_mut(&key) {
            places.retain(|&known| known != place);
            if places.is_empty() {
                self.subscribers.remove(&key);
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

    /// Gives a message to each of this worker's subscribers: `deliver` gets the place of the
    /// connection and writes with the given function.
    pub fn deliver(
        &self,
        publication: &Publication,
        mut deliver: impl FnMut(u32, &dyn Fn(&mut Reply)),
    ) {
        let Publication {
            shard,
            channel,
            payload,
            patterns,
        } = publication;
        let (kind, word) = match shard {
            true => (Kind::Shard, &b"smessage"[..]),
            false => (Kind::Channel, &b"message"[..]),
        };
        for &place in self.places(kind, channel) {
            deliver(place, &|out| {
                out.push(3);
                for part in [word, channel, payload] {
                    out.bulk(part);
                }
            });
        }
        for pattern in patterns {
            for &place in self.places(Kind::Pattern, pattern) {
                deliver(place, &|out| {
                    out.push(4);
                    for part in [b"pmessage", &**pattern, channel, payload] {
                        out.bulk(part);
                    }
                });
            }
        }
    }

    fn places(&self, kind: Kind, name: &Name) -> &[u32] {
        let key = (kind, Arc::clone(name));
        self.subscribers.get(&key).map_or(&[], Vec::as_slice)
    }
}
