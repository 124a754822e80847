//! Consumer groups: who got which entry and has not acknowledged it.
//!
//! A group has one ordered list of its pending entries, with what is known of each, and every
//! consumer the set of the ids that it owns. Consumers are numbered; a number is reused after its
//! consumer is gone. An index by delivery time is made when somebody first asks for the longest
//! idle entries (XREADGROUP ... CLAIM), and kept from then on. All of them are shared with copies
//! of the group (`ordered`), so that a snapshot can keep a long list as it was.
//!
//! Invariants: a pending entry with an owner is in that consumer's set and in no other's; `order`
//! has every consumer once, by name.

use super::id::StreamId;
use super::log::Log;
use crate::ordered::{Ordered, OrderedSet};

/// Number of a consumer within its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerId(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Who got it; `None` after XNACK.
    pub owner: Option<ConsumerId>,
    /// How often.
    pub deliveries: u64,
    /// When, in milliseconds since 1970; of those without owner, their turn: negative numbers, so
    /// that they come first.
    turn: i64,
}

impl Pending {
    /// When it was delivered, in milliseconds since 1970; 0 if nobody owns it.
    #[must_use]
    pub fn delivered_ms(&self) -> i64 {
        self.turn.max(0)
    }
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to get entries, in milliseconds since 1970.
    pub seen_ms: i64,
    /// When it last got some.
    pub active_ms: Option<i64>,
    pending: OrderedSet<StreamId>,
}

impl Consumer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The ids of its pending entries, in order.
    #[must_use]
    pub fn pending(&self) -> &OrderedSet<StreamId> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    name: Box<[u8]>,
    /// The last entry that was delivered.
    pub last_id: StreamId,
    /// How many entries of the stream were read, up to `last_id`; `None` if that is not known.
    pub entries_read: Option<u64>,
    pending: Ordered<StreamId, Pending>,
    consumers: Vec<Option<Consumer>>,
    /// The consumers in use, by name.
    order: Vec<ConsumerId>,
    by_turn: Option<OrderedSet<(i64, StreamId)>>,
    /// Pending entries without owner.
    unowned: usize,
    /// How often an entry was released.
    releases: i64,
}

impl Group {
    /// A group without consumers that has got nothing yet.
    #[must_use]
    pub fn new(name: &[u8]) -> Group {
        Group {
            name: name.into(),
            last_id: StreamId::MIN,
            entries_read: None,
            pending: Ordered::new(),
            consumers: Vec::new(),
            order: Vec::new(),
            by_turn: None,
            unowned: 0,
            releases: 0,
        }
    }

    /// A copy for a snapshot: without what is made when somebody asks for it.
    pub(super) fn freeze(&self) -> Group {
        Group {
            name: self.name.clone(),
            pending: self.pending.clone(),
            consumers: self.consumers.clone(),
            order: self.order.clone(),
            by_turn: None,
            ..*self
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its pending entries, in order.
    #[must_use]
    pub fn pending(&self) -> &Ordered<StreamId, Pending> {
        &self.pending
    }

    /// How many of them nobody owns.
    #[must_use]
    pub fn unowned(&self) -> usize {
        self.unowned
    }

    /// Those that nobody owns, the one released first coming first.
    #[must_use]
    pub fn released(&self) -> Vec<StreamId> {
        let unowned = self.pending.iter().filter(|(_, it)| it.owner.is_none());
        let mut released: Vec<(i64, StreamId)> = unowned.map(|(&id, it)| (it.turn, id)).collect();
        released.sort_unstable();
        released.into_iter().map(|(_, id)| id).collect()
    }

    /// Its consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.order.iter().map(|&id| self.consumer(id))
    }

    /// The number of the consumer with this name.
    #[must_use]
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        let at = self.search(name).ok()?;
        Some(self.order[at])
    }

    /// The consumer with this number, which is in use.
    #[must_use]
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize]
            .as_ref()
            .expect("numbers in `order` and in pending entries are in use")
    }

    /// The same, to change its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize]
            .as_mut()
            .expect("numbers in `order` and in pending entries are in use")
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.order
            .binary_search_by(|&id| self.consumer(id).name().cmp(name))
    }

    /// The consumer with this name, made if it is not there, and whether it was made.
    pub fn consumer_or_new(&mut self, name: &[u8], now_ms: i64) -> (ConsumerId, bool) {
        let at = match self.search(name) {
            Ok(at) => return (self.order[at], false),
            Err(at) => at,
        };
        let consumer = Some(Consumer {
            name: name.into(),
            seen_ms: now_ms,
            active_ms: None,
            pending: OrderedSet::default(),
        });
        let free = self.consumers.iter().position(Option::is_none);
        let number = free.unwrap_or(self.consumers.len());
        match free {
            Some(number) => self.consumers[number] = consumer,
            None => self.consumers.push(consumer),
        }
        let id = ConsumerId(number as u32);
        self.order.insert(at, id);
        (id, true)
    }

    /// Removes a consumer and its pending entries; how many those were. `None` if there is none.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.search(name).ok()?;
        let id = self.order.remove(at);
        let consumer = self.consumers[id.0 as usize].take()?;
        for entry in consumer.pending.iter() {
            if let Some(pending) = self.pending.remove(entry) {
                self.forget_turn(*entry, pending.turn);
            }
        }
        Some(consumer.pending.len())
    }

    /// Makes `entry` a pending entry of `owner`, whoever had it before.
    pub fn assign(&mut self, entry: StreamId, owner: ConsumerId, delivered_ms: i64, count: u64) {
        let pending = Pending {
            owner: Some(owner),
            deliveries: count,
            turn: delivered_ms.max(0),
        };
        let old = self.put(entry, pending);
        if old.and_then(|old| old.owner) != Some(owner) {
            self.consumer_mut(owner).pending.insert(entry);
        }
    }

    /// Makes `entry` a pending entry that nobody owns; the last of those.
    pub fn release(&mut self, entry: StreamId, count: u64) {
        let pending = Pending {
            owner: None,
            deliveries: count,
            turn: i64::MIN + self.releases,
        };
        self.releases += 1;
        self.put(entry, pending);
        self.unowned += 1;
    }

    /// Notes that a pending entry was delivered to its owner once more.
    pub fn deliver_again(&mut self, entry: StreamId, now_ms: i64) {
        let Some(pending) = self.pending.get_mut(&entry) else {
            return;
        };
        let before = pending.turn;
        pending.turn = now_ms;
        pending.deliveries = pending.deliveries.saturating_add(1);
        if let Some(by_turn) = &mut self.by_turn {
            by_turn.remove(&(before, entry));
            by_turn.insert((now_ms, entry));
        }
    }

    /// Puts what is known of a pending entry; what was known. The new owner's set is not touched,
    /// nor is the count of those without owner raised.
    fn put(&mut self, entry: StreamId, pending: Pending) -> Option<Pending> {
        let old = self.pending.insert(entry, pending);
        if let Some(old) = old {
            self.disown(entry, old, pending.owner);
            self.forget_turn(entry, old.turn);
        }
        if let Some(by_turn) = &mut self.by_turn {
            by_turn.insert((pending.turn, entry));
        }
        old
    }

    /// Takes an entry from its owner, unless that is `except`.
    fn disown(&mut self, entry: StreamId, pending: Pending, except: Option<ConsumerId>) {
        match pending.owner {
            None => self.unowned -= 1,
            Some(_) if pending.owner == except => {}
            Some(owner) => {
                self.consumer_mut(owner).pending.remove(&entry);
            }
        }
    }

    fn forget_turn(&mut self, entry: StreamId, turn: i64) {
        if let Some(by_turn) = &mut self.by_turn {
            by_turn.remove(&(turn, entry));
        }
    }

    /// Takes an entry off the pending list; whether it was there.
    pub fn acknowledge(&mut self, entry: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&entry) else {
            return false;
        };
        self.disown(entry, pending, None);
        self.forget_turn(entry, pending.turn);
        true
    }

    /// The pending entries delivered at `latest_ms` or before, longest ago first, and before them
    /// those that nobody owns. The first call makes an index: O(pending entries).
    pub fn idle_since(&mut self, latest_ms: i64) -> impl Iterator<Item = StreamId> {
        let pending = &self.pending;
        let by_turn = self.by_turn.get_or_insert_with(|| {
            let times = pending.iter().map(|(&id, it)| (it.turn, id));
            times.collect()
        });
        by_turn
            .range(..=(latest_ms, StreamId::MAX))
            .map(|&(_, entry)| entry)
    }

    /// Goes on after `last_id`; `read` entries of `log` are said to have been read up to there.
    /// They are not more than there ever were.
    pub fn set_progress(&mut self, log: &Log, last_id: StreamId, read: Option<u64>) {
        self.last_id = last_id;
        self.entries_read = read.map(|read| read.min(log.entries_added()));
    }

    /// Notes that `entry` of `log` is delivered, if it is newer than those before.
    ///
    /// The count of what was read goes on as long as it is known that no entry ahead is missing;
    /// else it is found anew where the log knows it.
    pub fn advance(&mut self, log: &Log, entry: StreamId) {
        if entry <= self.last_id {
            return;
        }
        match self.entries_read {
            Some(read) if self.last_id >= log.first_id() && !log.has_gap_from(self.last_id) => {
                self.entries_read = Some(read + 1);
            }
            _ if log.entries_added() > 0 => self.entries_read = log.entries_up_to(entry),
            _ => {}
        }
        self.last_id = entry;
    }

    /// How many entries of `log` the group has not got yet, if that is known. Negative if the group
    /// was told (XGROUP SETID) that it read more than there were.
    #[must_use]
    pub fn lag(&self, log: &Log) -> Option<i64> {
        if log.is_empty() {
            return Some(0);
        }
        if self.last_id < log.first_id() && log.max_deleted_id() < log.first_id() {
            return Some(log.len() as i64);
        }
        let read = match self.entries_read {
            Some(read) if !log.has_gap_from(self.last_id) => Some(read),
            _ => log.entries_up_to(self.last_id),
        };
        read.map(|read| log.entries_added().wrapping_sub(read) as i64)
    }

    /// Number of parts of the pending lists.
    pub(super) fn part_count(&self) -> usize {
        let owned = self.consumers().map(|it| it.pending.part_count() + 1);
        let by_turn = self.by_turn.as_ref().map_or(0, OrderedSet::part_count);
        self.pending.part_count() + owned.sum::<usize>() + by_turn
    }

    /// Bytes on the heap, roughly.
    pub(super) fn allocated(&self) -> usize {
        // Parts are about two thirds full.
        let tree = |len: usize, element: usize| len * element * 3 / 2;
        let consumers: usize = self.consumers().map(|it| 16 + it.name.len()).sum();
        let pair = size_of::<(StreamId, Pending)>();
        let time = size_of::<(i64, StreamId)>();
        self.name.len()
            + tree(self.pending.len(), pair + size_of::<StreamId>())
            + self.by_turn.as_ref().map_or(0, |it| tree(it.len(), time))
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + consumers
    }

    /// Checks what must always hold.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        let names: Vec<&[u8]> = self.consumers().map(Consumer::name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert_eq!(names.len(), self.consumers.iter().flatten().count());
        for &id in &self.order {
            for entry in self.consumer(id).pending.iter() {
                assert_eq!(self.pending[entry].owner, Some(id));
            }
        }
        let owned: usize = self.consumers().map(|it| it.pending.len()).sum();
        assert_eq!(owned + self.unowned, self.pending.len());
        if let Some(by_turn) = &self.by_turn {
            let times = self.pending.iter().map(|(&id, it)| (it.turn, id));
            let times: OrderedSet<_> = times.collect();
            assert!(by_turn.iter().eq(times.iter()));
        }
    }
}

impl Log {
    /// Whether an entry from `start` on is known to have been deleted.
    fn has_gap_from(&self, start: StreamId) -> bool {
        let deleted = self.max_deleted_id();
        !self.is_empty() && deleted != StreamId::MIN && start <= deleted
    }

    /// How many entries were ever added up to `id`, that one included, where that is known: at the
    /// ends of a log without gaps ahead.
    fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        let added = self.entries_added();
        if added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id() {
            return Some(added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id() {
            return None;
        }
        if id >= self.last_id() {
            return (id == self.last_id()).then_some(added);
        }
        let deleted = self.max_deleted_id();
        if deleted != StreamId::MIN && deleted >= self.first_id() {
            return None;
        }
        // XSETID may claim that fewer were added than there are.
        let before = added.wrapping_sub(self.len());
        match id.cmp(&self.first_id()) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }
}
