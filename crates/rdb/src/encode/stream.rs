//! Streams to bytes, in pieces.

use structs::stream::{Consumer, Group, Producers, Stream, StreamId};

use super::{At, Encoder, Output};
use crate::format::{Kind, READ_UNKNOWN, Reader};
use crate::put;

/// How far a stream is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    part: Part,
    /// Number of the node, group or consumer within the part.
    node: usize,
    group: usize,
    consumer: usize,
    /// The last pending entry that is written.
    pending: Option<StreamId>,
}

impl Place {
    /// How many nodes are written.
    pub(super) fn nodes_passed(&self) -> usize {
        self.node
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Begin,
    Nodes,
    Facts,
    Group,
    Pending,
    Consumers,
    Consumer,
    Owned,
    Producers,
    End,
}

/// How a stream is encoded: newer forms where older ones cannot say all of it.
pub(super) fn kind(stream: &Stream, reader: Reader) -> Kind {
    if stream.groups().iter().any(|group| group.unowned() > 0) {
        Kind::Stream5
    } else if stream.producers().is_some() {
        Kind::Stream4
    } else if reader == Reader::Redis70 {
        Kind::Stream2
    } else {
        Kind::Stream3
    }
}

impl Encoder {
    pub(super) fn stream(
        &mut self,
        stream: &Stream,
        mut place: Place,
        output: &mut Output<'_>,
    ) -> Option<At> {
        loop {
            place.part = self.stream_part(stream, &mut place, output);
            if place.part == Part::End {
                return None;
            }
            if output.is_full() {
                return Some(At::Stream(place));
            }
        }
    }

    /// Writes a part, or a piece of one; says what comes next.
    fn stream_part(&mut self, stream: &Stream, place: &mut Place, output: &mut Output<'_>) -> Part {
        let log = stream.log();
        let group = stream.groups().get(place.group);
        match (place.part, group) {
            (Part::Begin, _) => {
                put::number(log.node_count() as u64, output.out);
                Part::Nodes
            }
            (Part::Nodes, _) => match log.listpack(place.node) {
                Some((first, body)) => {
                    self.strings.put_bytes(&put::raw_id(first), output.out);
                    let count = structs::packed::count(&body);
                    self.listpack(&body, count, output.out);
                    place.node += 1;
                    Part::Nodes
                }
                None => Part::Facts,
            },
            (Part::Facts, _) => {
                put::number(log.len(), output.out);
                for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
                    put::id(id, output.out);
                }
                put::number(log.entries_added(), output.out);
                put::number(stream.groups().len() as u64, output.out);
                Part::Group
            }
            (Part::Producers, _) => self.producers(stream, output.out),
            (Part::Group, None) => match kind(stream, self.target.reader) {
                Kind::Stream4 | Kind::Stream5 => Part::Producers,
                _ => Part::End,
            },
            (part, Some(group)) => {
                self.group(group, part, kind(stream, self.target.reader), place, output)
            }
            (_, None) => Part::End,
        }
    }

    fn group(
        &mut self,
        group: &Group,
        part: Part,
        kind: Kind,
        place: &mut Place,
        output: &mut Output<'_>,
    ) -> Part {
        let consumer = group.consumers().nth(place.consumer);
        match (part, consumer) {
            (Part::Group, _) => {
                self.strings.put(group.name(), output.out);
                put::id(group.last_id, output.out);
                put::number(group.entries_read.unwrap_or(READ_UNKNOWN), output.out);
                put::number(group.pending().len() as u64, output.out);
                Part::Pending
            }
            (Part::Pending, _) => {
                let done = pending(group, &mut place.pending, output);
                if done { Part::Consumers } else { Part::Pending }
            }
            (Part::Consumers, _) => {
                put::number(group.consumers().len() as u64, output.out);
                place.consumer = 0;
                Part::Consumer
            }
            (Part::Consumer, Some(consumer)) => {
                self.strings.put(consumer.name(), output.out);
                put::millis(consumer.seen_ms, output.out);
                if kind >= Kind::Stream3 {
                    put::millis(consumer.active_ms.unwrap_or(-1), output.out);
                }
                put::number(consumer.pending().len() as u64, output.out);
                Part::Owned
            }
            (Part::Owned, Some(consumer)) => {
                if !owned(consumer, &mut place.pending, output) {
                    return Part::Owned;
                }
                place.consumer += 1;
                Part::Consumer
            }
            _ => {
                if kind == Kind::Stream5 {
                    let released = group.released();
                    put::number(released.len() as u64, output.out);
                    for id in released {
                        output.out.extend_from_slice(&put::raw_id(id));
                    }
                }
                place.group += 1;
                Part::Group
            }
        }
    }

    fn producers(&mut self, stream: &Stream, out: &mut Vec<u8>) -> Part {
        let none = Producers::default();
        let producers = stream.producers().unwrap_or(&none);
        put::number(producers.memory().duration_s.into(), out);
        put::number(producers.memory().messages_max.into(), out);
        put::number(producers.len() as u64, out);
        for (name, messages) in producers.iter() {
            self.strings.put(name, out);
            put::number(messages.len() as u64, out);
            for (message, entry) in messages {
                self.strings.put(message, out);
                put::id(entry, out);
            }
        }
        put::number(producers.added, out);
        put::number(producers.duplicates, out);
        Part::End
    }
}

/// Writes pending entries of a group after `last`; whether those were all.
fn pending(group: &Group, last: &mut Option<StreamId>, output: &mut Output<'_>) -> bool {
    for (&id, pending) in group.pending().range(after(*last)) {
        output.out.extend_from_slice(&put::raw_id(id));
        put::millis(pending.delivered_ms(), output.out);
        put::number(pending.deliveries, output.out);
        *last = Some(id);
        if output.is_full() {
            return false;
        }
    }
    *last = None;
    true
}

/// Writes a consumer's pending entries after `last`; whether those were all.
fn owned(consumer: &Consumer, last: &mut Option<StreamId>, output: &mut Output<'_>) -> bool {
    for &id in consumer.pending().range(after(*last)) {
        output.out.extend_from_slice(&put::raw_id(id));
        *last = Some(id);
        if output.is_full() {
            return false;
        }
    }
    *last = None;
    true
}

fn after(last: Option<StreamId>) -> (std::ops::Bound<StreamId>, std::ops::Bound<StreamId>) {
    let begin = last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    (begin, std::ops::Bound::Unbounded)
}
