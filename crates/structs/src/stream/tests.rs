//! Streams against a model: an ordered map of entries, and a naive idea of groups.

use std::collections::BTreeMap;

use base::hash::Seed;
use proptest::prelude::*;

use super::*;
use crate::Packing;
use crate::packed::IntText;

type Words = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    /// Distance of the id from the last one, and fields and values.
    Add(u64, u64, Words),
    /// The n-th entry of those that ever were.
    Delete(usize),
    Trim(Trim),
    TrimToEntry(usize, bool, References),
    Deliver(u8, u8, u64),
    Acknowledge(u8, usize),
    Release(u8, usize),
    Claim(u8, u8, usize),
    DropConsumer(u8, u8),
    Compare(usize, usize),
}

fn words() -> impl Strategy<Value = Words> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (0..200_i64).prop_map(|n| n.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..20),
        (0..300_usize).prop_map(|len| vec![b'x'; len]),
    ];
    let usual = value.clone().prop_map(|a| vec![b"field".to_vec(), a]);
    let any_words = proptest::collection::vec(value, 1..4).prop_map(|values| {
        let pair = |value: Vec<u8>| [value.clone(), value];
        values.into_iter().flat_map(pair).collect()
    });
    prop_oneof![3 => usual, 1 => any_words]
}

fn references() -> impl Strategy<Value = References> {
    prop_oneof![
        Just(References::Keep),
        Just(References::Drop),
        Just(References::Acked)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let trim = (0..30_u64, any::<bool>(), 0..12_u64, references()).prop_map(
        |(len, approximate, limit, references)| {
            Step::Trim(Trim {
                to: TrimTo::Len(len),
                approximate,
                limit: if approximate { limit } else { 0 },
                references,
            })
        },
    );
    let group = 0..2_u8;
    let consumer = 0..3_u8;
    let trim_to_entry = (0..60_usize, any::<bool>(), references())
        .prop_map(|(n, approximate, it)| Step::TrimToEntry(n, approximate, it));
    let deliver =
        (group.clone(), consumer.clone(), 1..9_u64).prop_map(|(g, c, n)| Step::Deliver(g, c, n));
    let claim =
        (group.clone(), consumer.clone(), 0..60_usize).prop_map(|(g, c, n)| Step::Claim(g, c, n));
    prop_oneof![
        12 => (0..3_u64, 0..3_u64, words()).prop_map(|(ms, seq, it)| Step::Add(ms, seq, it)),
        4 => (0..60_usize).prop_map(Step::Delete),
        1 => trim,
        1 => trim_to_entry,
        3 => deliver,
        2 => (group.clone(), 0..60_usize).prop_map(|(g, n)| Step::Acknowledge(g, n)),
        1 => (group.clone(), 0..60_usize).prop_map(|(g, n)| Step::Release(g, n)),
        1 => claim,
        1 => (group, consumer).prop_map(|(g, c)| Step::DropConsumer(g, c)),
        4 => (0..60_usize, 0..60_usize).prop_map(|(a, b)| Step::Compare(a, b)),
    ]
}

/// What a stream should be.
#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Words>,
    /// All ids that ever were.
    ids: Vec<StreamId>,
    /// Group and id to owner.
    pending: BTreeMap<(u8, StreamId), Option<u8>>,
    last_delivered: [StreamId; 2],
}

impl Model {
    fn id(&self, number: usize) -> StreamId {
        let count = self.ids.len().max(1);
        self.ids.get(number % count).copied().unwrap_or_default()
    }
}

fn owned(entry: Entry<'_>) -> (StreamId, Words) {
    let text = |it: crate::packed::Element<'_>| {
        let mut buffer: IntText = [0; 20];
        it.text(&mut buffer).to_vec()
    };
    let words = entry
        .pairs()
        .flat_map(|(name, value)| [text(name), text(value)]);
    (entry.id(), words.collect())
}

fn packing(entries_max: usize, bytes_max: usize) -> Packing {
    Packing {
        stream_node_entries_max: entries_max,
        stream_node_bytes_max: bytes_max,
        ..Packing::with_seed(Seed::from_u64(1))
    }
}

struct Bench {
    stream: Stream,
    model: Model,
    packing: Packing,
    now: i64,
}

impl Bench {
    fn new(packing: Packing) -> Bench {
        let mut stream = Stream::default();
        for name in [b"0", b"1"] {
            assert!(stream.add_group(Group::new(name)));
        }
        Bench {
            stream,
            model: Model::default(),
            packing,
            now: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        self.now += 1;
        match step {
            Step::Add(ms, seq, words) => self.add(*ms, *seq, words),
            Step::Delete(number) => {
                let id = self.model.id(*number);
                let was_there = self.model.entries.remove(&id).is_some();
                assert_eq!(self.stream.log_mut().delete(id), was_there);
            }
            Step::Trim(trim) => self.trim(trim),
            Step::TrimToEntry(number, approximate, references) => self.trim(&Trim {
                to: TrimTo::Id(self.model.id(*number)),
                approximate: *approximate,
                limit: 0,
                references: *references,
            }),
            Step::Compare(start, end) => self.compare(*start, *end),
            _ => self.run_on_group(step),
        }
    }

    fn add(&mut self, ms: u64, seq: u64, words: &Words) {
        let last = self.stream.log().last_id();
        let id = StreamId {
            ms: last.ms + ms,
            seq: if ms == 0 { last.seq + 1 + seq } else { seq },
        };
        let word = |at: usize| &*words[at];
        let log = self.stream.log_mut();
        log.append(id, words.len() / 2, word, &self.packing)
            .expect("short");
        self.model.entries.insert(id, words.clone());
        self.model.ids.push(id);
    }

    fn trim(&mut self, trim: &Trim) {
        let trimmed = self.stream.trim(trim);
        let left: Vec<StreamId> = self
            .stream
            .log()
            .range(StreamId::MIN, StreamId::MAX)
            .map(|e| e.id())
            .collect();
        let before = self.model.entries.len();
        assert_eq!(trimmed as usize, before - left.len());
        let gone: Vec<StreamId> = self
            .model
            .entries
            .keys()
            .filter(|id| !left.contains(id))
            .copied()
            .collect();
        let goes = |id: StreamId, left: usize| match trim.to {
            TrimTo::Len(len) => left as u64 >= len,
            TrimTo::Id(limit) => id < limit,
        };
        if trim.references == References::Acked {
            assert!(gone.iter().all(|&id| !self.is_referenced(id)));
        } else {
            assert!(
                gone.iter()
                    .all(|id| left.first().is_none_or(|first| id < first))
            );
        }
        assert!(gone.iter().all(|&id| goes(id, left.len())));
        if trim.limit > 0 {
            assert!(trimmed <= trim.limit);
        } else if !trim.approximate && trim.references != References::Acked {
            let exact = match trim.to {
                TrimTo::Len(len) => left.len() as u64 == len.min(before as u64),
                TrimTo::Id(limit) => left.first().is_none_or(|&first| first >= limit),
            };
            assert!(exact);
        }
        for id in gone {
            self.model.entries.remove(&id);
            if trim.references == References::Drop {
                self.model.pending.retain(|&(_, pending), _| pending != id);
            }
        }
    }

    fn is_referenced(&self, id: StreamId) -> bool {
        (0..2).any(|group| {
            id > self.model.last_delivered[usize::from(group)]
                || self.model.pending.contains_key(&(group, id))
        })
    }

    fn compare(&self, start: usize, end: usize) {
        let (start, end) = (self.model.id(start), self.model.id(end));
        let log = self.stream.log();
        let expected: Vec<(StreamId, Words)> = if start <= end {
            let range = self.model.entries.range(start..=end);
            range.map(|(id, words)| (*id, words.clone())).collect()
        } else {
            Vec::new()
        };
        let forward: Vec<_> = log.range(start, end).map(owned).collect();
        assert_eq!(forward, expected);
        let mut back: Vec<_> = log.range_back(start, end).map(owned).collect();
        back.reverse();
        assert_eq!(back, expected);
        assert_eq!(log.contains(start), self.model.entries.contains_key(&start));
    }

    fn run_on_group(&mut self, step: &Step) {
        let (now, model) = (self.now, &mut self.model);
        let name = |group: u8| [b'0' + group];
        match *step {
            Step::Deliver(group, consumer, count) => {
                let (log, it) = self.stream.group_mut(&name(group)).expect("a group");
                let (owner, _) = it.consumer_or_new(&name(consumer), now);
                let start = it.last_id.next().expect("not the last");
                for entry in log.range(start, StreamId::MAX).take(count as usize) {
                    it.advance(log, entry.id());
                    it.assign(entry.id(), owner, now, 1);
                    model.pending.insert((group, entry.id()), Some(consumer));
                    model.last_delivered[usize::from(group)] = entry.id();
                }
            }
            Step::Acknowledge(group, number) => {
                let id = model.id(number);
                let (_, it) = self.stream.group_mut(&name(group)).expect("a group");
                let was_there = model.pending.remove(&(group, id)).is_some();
                assert_eq!(it.acknowledge(id), was_there);
            }
            Step::Release(group, number) => {
                let id = model.id(number);
                let (_, it) = self.stream.group_mut(&name(group)).expect("a group");
                if let Some(owner) = model.pending.get_mut(&(group, id)) {
                    it.release(id, 3);
                    *owner = None;
                }
            }
            Step::Claim(group, consumer, number) => {
                let id = model.id(number);
                let (_, it) = self.stream.group_mut(&name(group)).expect("a group");
                let (owner, _) = it.consumer_or_new(&name(consumer), now);
                it.assign(id, owner, now, 2);
                model.pending.insert((group, id), Some(consumer));
                let idle: Vec<StreamId> = it.idle_since(now - 5).collect();
                assert!(
                    idle.iter()
                        .all(|id| it.pending()[id].delivered_ms() <= now - 5)
                );
                it.deliver_again(id, now + 1);
            }
            Step::DropConsumer(group, consumer) => {
                let (_, it) = self.stream.group_mut(&name(group)).expect("a group");
                let removed = it.remove_consumer(&name(consumer));
                let before = model.pending.len();
                model
                    .pending
                    .retain(|&(of, _), owner| of != group || *owner != Some(consumer));
                assert_eq!(removed.unwrap_or(0), before - model.pending.len());
            }
            _ => {}
        }
    }

    fn check(&self) {
        self.stream.invariants();
        assert_eq!(self.stream.log().len() as usize, self.model.entries.len());
        for (group, it) in self.stream.groups().iter().enumerate() {
            let owner =
                |pending: &Pending| pending.owner.map(|id| it.consumer(id).name()[0] - b'0');
            let found: Vec<_> = it
                .pending()
                .iter()
                .map(|(id, it)| (*id, owner(it)))
                .collect();
            let of_group = self
                .model
                .pending
                .iter()
                .filter(|((of, _), _)| usize::from(*of) == group);
            let expected: Vec<_> = of_group.map(|(&(_, id), owner)| (id, *owner)).collect();
            assert_eq!(found, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_stream_is_what_the_model_is(
        steps in proptest::collection::vec(step(), 1..120),
        entries_max in prop_oneof![Just(3), Just(20), Just(0)],
        bytes_max in prop_oneof![Just(300), Just(4096)],
    ) {
        let mut bench = Bench::new(packing(entries_max, bytes_max));
        for step in &steps {
            bench.run(step);
            bench.check();
        }
        let again = Stream::from_nodes(bench.stream.log().listpacks()).expect("valid nodes");
        again.invariants();
        prop_assert_eq!(again.log().first_id(), bench.stream.log().first_id());
    }

    #[test]
    fn any_bytes_are_a_node_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = Stream::from_nodes([(StreamId::MIN, bytes)]);
    }

    #[test]
    fn damaged_bytes_are_a_node_or_none(at in 0..200_usize, value in any::<u8>()) {
        let mut stream = Stream::default();
        add_numbered(&mut stream, 9, &packing(100, 4096));
        let (first, mut bytes) = stream.log().listpacks().next().expect("a node");
        let at = at % bytes.len();
        bytes[at] = value;
        if let Some(damaged) = Stream::from_nodes([(first, bytes)]) {
            damaged.invariants();
        }
    }
}

/// Entries 1-0, 2-0, ... with one field.
fn add_numbered(stream: &mut Stream, count: u64, packing: &Packing) {
    let next = stream.log().last_id().ms + 1;
    for ms in next..next + count {
        let value = ms.to_string();
        let word = |at: usize| if at == 0 { b"f" } else { value.as_bytes() };
        let id = StreamId { ms, seq: 0 };
        stream
            .log_mut()
            .append(id, 1, word, packing)
            .expect("short");
    }
}

#[test]
fn nodes_have_the_bytes_that_redis_dumps() {
    let mut stream = Stream::default();
    let packing = packing(100, 4096);
    let mut add = |ms, seq, words: &[&'static str]| {
        let word = |at: usize| words[at].as_bytes();
        let id = StreamId { ms, seq };
        let log = stream.log_mut();
        log.append(id, words.len() / 2, word, &packing)
            .expect("short");
    };
    add(5, 5, &["a", "1", "bb", "x"]);
    add(5, 7, &["a", "-1", "bb", "y"]);
    add(700, 0, &["c", "300"]);
    assert!(stream.log_mut().delete(StreamId { ms: 5, seq: 7 }));
    let (first, bytes) = stream.log().listpacks().next().expect("a node");
    assert_eq!(first, StreamId { ms: 5, seq: 5 });
    // From DUMP of the same stream in Redis 8.2.3.
    let expected: &[u8] = EXPECTED_NODE;
    assert_eq!(bytes, expected);
}

const EXPECTED_NODE: &[u8] = &[
    0x02, 0x01, 0x01, 0x01, 0x02, 0x01, 0x81, 0x61, 0x02, 0x82, 0x62, 0x62, 0x03, 0x00, 0x01, 0x02,
    0x01, 0x00, 0x01, 0x00, 0x01, 0x01, 0x01, 0x81, 0x78, 0x02, 0x05, 0x01, 0x03, 0x01, 0x00, 0x01,
    0x02, 0x01, 0xdf, 0xff, 0x02, 0x81, 0x79, 0x02, 0x05, 0x01, 0x00, 0x01, 0xc2, 0xb7, 0x02, 0xdf,
    0xfb, 0x02, 0x01, 0x01, 0x81, 0x63, 0x02, 0xc1, 0x2c, 0x02, 0x06, 0x01,
];

#[test]
fn nodes_with_more_entries_than_a_byte_counts() {
    let mut stream = Stream::default();
    let packing = packing(0, 0);
    add_numbered(&mut stream, 500, &packing);
    stream.invariants();
    for ms in 1..=400 {
        assert!(stream.log_mut().delete(StreamId { ms, seq: 0 }));
        stream.invariants();
    }
    assert_eq!(stream.log().node_count(), 1);
    let rest = stream.log().range(StreamId::MIN, StreamId::MAX);
    assert_eq!(rest.count(), 100);
}

#[test]
fn an_entry_of_a_gigabyte_is_too_long() {
    let long = vec![0; (1 << 30) / 2 + 1];
    let mut log = Log::default();
    let id = StreamId { ms: 1, seq: 0 };
    let packing = packing(100, 4096);
    assert_eq!(log.append(id, 1, |_| &long, &packing), Err(TooLong));
    assert!(log.is_empty());
}
