//! What producers have sent lately, so that an entry sent twice is added once (XADD IDMP).
//!
//! A producer's messages are remembered for some time and up to some number, whichever ends first.
//! A message's age is reckoned from its entry's id, so that whoever replays the same commands
//! remembers the same messages.
//!
//! Source: Redis 8.6, "Idempotent message processing".

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::id::StreamId;
use crate::shared::{Shared, Weighed};

/// How long and how many messages are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Seconds.
    pub duration_s: u32,
    /// Messages of each producer.
    pub messages_max: u32,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            duration_s: 100,
            messages_max: 100,
        }
    }
}

/// The producers of a stream.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    memory: Memory,
    by_name: BTreeMap<Box<[u8]>, Shared<Producer>>,
    /// Messages ever recorded.
    pub added: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Calls of `expire` since all producers were looked at.
    since_sweep: usize,
}

#[derive(Clone, Debug, Default)]
struct Producer {
    entries: BTreeMap<Arc<[u8]>, StreamId>,
    /// Oldest first.
    order: VecDeque<Arc<[u8]>>,
}

impl Producers {
    /// How long and how many messages are remembered.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Changes that; a real change forgets all messages.
    pub fn set_memory(&mut self, memory: Memory) {
        if memory != self.memory {
            self.memory = memory;
            self.by_name.clear();
        }
    }

    /// Number of producers with remembered messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no message is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Number of remembered messages.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.by_name.values().map(|it| it.order.len()).sum()
    }

    /// Forgets what is too old of this producer, and now and then of all: amortised O(1), and as
    /// many messages as are forgotten.
    pub fn expire(&mut self, producer: &[u8], now_ms: i64) {
        self.since_sweep += 1;
        if self.since_sweep > self.by_name.len() {
            self.since_sweep = 0;
            let memory = self.memory;
            self.by_name.retain(|_, producer| {
                // One that copies share is not touched for nothing.
                if producer.has_old(memory, now_ms) {
                    producer.expire(memory, now_ms);
                }
                !producer.order.is_empty()
            });
        } else if let Some(producer) = self.by_name.get_mut(producer)
            && producer.has_old(self.memory, now_ms)
        {
            producer.expire(self.memory, now_ms);
        }
    }

    /// The entry that was made of a message.
    #[must_use]
    pub fn find(&self, producer: &[u8], message: &[u8]) -> Option<StreamId> {
        self.by_name.get(producer)?.entries.get(message).copied()
    }

    /// Remembers which entry was made of a message.
    pub fn record(&mut self, producer: &[u8], message: &[u8], entry: StreamId) {
        if !self.by_name.contains_key(producer) {
            self.by_name
                .insert(producer.into(), Shared::new(Producer::default()));
        }
        let Some(producer) = self.by_name.get_mut(producer) else {
            return;
        };
        if producer.entries.contains_key(message) {
            return;
        }
        let message: Arc<[u8]> = message.into();
        producer.entries.insert(Arc::clone(&message), entry);
        producer.order.push_back(message);
        while producer.order.len() > self.memory.messages_max as usize {
            producer.forget_first();
        }
        self.added += 1;
    }

    /// The producers by name, each with its remembered messages, oldest first.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<
        Item = (
            &[u8],
            impl ExactSizeIterator<Item = (&[u8], StreamId)> + use<'_>,
        ),
    > + use<'_> {
        self.by_name.iter().map(|(name, producer)| {
            let messages = producer.order.iter().map(|message| {
                let entry = producer.entries.get(message).copied();
                (&**message, entry.unwrap_or_default())
            });
            (&**name, messages)
        })
    }

    /// Bytes on the heap, roughly.
    pub(super) fn allocated(&self) -> usize {
        self.by_name.values().map(|it| it.heap_bytes()).sum()
    }
}

impl Weighed for Producer {
    fn heap_bytes(&self) -> usize {
        const MESSAGE: usize = 64;
        let texts: usize = self.order.iter().map(|it| it.len()).sum();
        texts + MESSAGE * self.order.len()
    }
}

impl Producer {
    fn has_old(&self, memory: Memory, now_ms: i64) -> bool {
        let oldest = now_ms - 1000 * i64::from(memory.duration_s);
        let is_old = |id: StreamId| i64::try_from(id.ms).is_ok_and(|ms| ms <= oldest);
        self.first().is_some_and(is_old)
    }

    fn expire(&mut self, memory: Memory, now_ms: i64) {
        while self.has_old(memory, now_ms) {
            self.forget_first();
        }
    }

    fn first(&self) -> Option<StreamId> {
        let message = self.order.front()?;
        self.entries.get(message).copied()
    }

    fn forget_first(&mut self) {
        if let Some(message) = self.order.pop_front() {
            self.entries.remove(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    #[test]
    fn the_oldest_message_goes_when_there_are_too_many() {
        let mut producers = Producers::default();
        producers.set_memory(Memory {
            duration_s: 10,
            messages_max: 2,
        });
        for (number, message) in [b"a", b"b", b"c"].into_iter().enumerate() {
            producers.record(b"p", message, at(number as u64));
        }
        assert_eq!(producers.find(b"p", b"a"), None);
        assert_eq!(producers.find(b"p", b"c"), Some(at(2)));
        assert_eq!(producers.find(b"q", b"c"), None);
        assert_eq!(
            (producers.len(), producers.messages(), producers.added),
            (1, 2, 3)
        );
    }

    #[test]
    fn messages_are_forgotten_after_a_time() {
        let mut producers = Producers::default();
        producers.record(b"p", b"a", at(1000));
        producers.record(b"p", b"b", at(2000));
        producers.record(b"q", b"a", at(1000));
        producers.expire(b"p", 100_999);
        assert_eq!(producers.messages(), 3);
        producers.expire(b"p", 101_000);
        producers.expire(b"p", 101_000);
        producers.expire(b"p", 101_000);
        assert_eq!((producers.len(), producers.messages()), (1, 1));
        producers.set_memory(Memory::default());
        assert_eq!(producers.messages(), 1, "no change forgets nothing");
    }
}
