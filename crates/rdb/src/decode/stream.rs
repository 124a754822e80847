//! Streams: nodes, what is known of the past, groups, and in newer forms producers.

use std::collections::BTreeMap;

use structs::packed;
use structs::stream::{Group, Memory, Stream, StreamId};

use super::{Decoded, Decoder};
use crate::fault::Fault;
use crate::format::{Kind, READ_UNKNOWN};

/// A pending entry whose owner is not known yet.
struct Unassigned {
    delivered_ms: i64,
    deliveries: u64,
}

impl Decoder<'_, '_> {
    pub(super) fn stream(&mut self, kind: Kind) -> Result<Decoded, Fault> {
        let mut stream = self.log(kind)?;
        for _ in 0..self.input.number()? {
            let group = self.group(&stream, kind)?;
            if !stream.add_group(group) {
                return Err(self
                    .input
                    .corrupt("a stream with two groups of the same name"));
            }
        }
        if kind >= Kind::Stream4 {
            self.producers(&mut stream)?;
        }
        Ok(Decoded::Stream(stream))
    }

    /// The nodes and what is known of the past.
    fn log(&mut self, kind: Kind) -> Result<Stream, Fault> {
        let mut nodes = Vec::new();
        for _ in 0..self.input.number()? {
            self.input.string(&mut self.text)?;
            let Ok(first) = <[u8; 16]>::try_from(&*self.text) else {
                return Err(self.input.corrupt("a stream's node without a right id"));
            };
            self.input.string(&mut self.value)?;
            let Some((body, _)) = packed::from_listpack(&self.value) else {
                return Err(self.input.corrupt("a stream's node that is no listpack"));
            };
            let number = u128::from_be_bytes(first);
            let (ms, seq) = ((number >> 64) as u64, number as u64);
            nodes.push((StreamId { ms, seq }, body.into_owned()));
        }
        let Some(mut stream) = Stream::from_nodes(nodes) else {
            return Err(self.input.corrupt("a stream's nodes that cannot be"));
        };
        let len = self.input.number()?;
        let last_id = self.input.id()?;
        let (mut max_deleted, mut added) = (StreamId::MIN, len);
        if kind >= Kind::Stream2 {
            // The first id, which the nodes say themselves.
            self.input.id()?;
            max_deleted = self.input.id()?;
            added = self.input.number()?;
        }
        let log = stream.log();
        if len != log.len() || log.last().is_some_and(|last| last.id() > last_id) {
            return Err(self
                .input
                .corrupt("a stream whose entries are not as many as it says"));
        }
        stream.log_mut().set_past(last_id, max_deleted, added);
        Ok(stream)
    }

    fn group(&mut self, stream: &Stream, kind: Kind) -> Result<Group, Fault> {
        self.input.string(&mut self.text)?;
        let mut group = Group::new(&self.text);
        let last_id = self.input.id()?;
        if kind >= Kind::Stream2 {
            let read = self.input.number()?;
            group.last_id = last_id;
            group.entries_read = (read != READ_UNKNOWN).then_some(read);
        } else if last_id == StreamId::MIN {
            group.entries_read = Some(0);
        } else {
            group.advance(stream.log(), last_id);
        }
        let mut unassigned = self.pending()?;
        for _ in 0..self.input.number()? {
            self.consumer(&mut group, kind, &mut unassigned)?;
        }
        if kind >= Kind::Stream5 {
            for _ in 0..self.input.number()? {
                let id = self.input.raw_id()?;
                let Some(entry) = unassigned.remove(&id) else {
                    return Err(self.input.corrupt("a released entry that is not pending"));
                };
                group.release(id, entry.deliveries);
            }
        }
        match unassigned.is_empty() {
            true => Ok(group),
            false => Err(self.input.corrupt("a pending entry that nobody has")),
        }
    }

    fn pending(&mut self) -> Result<BTreeMap<StreamId, Unassigned>, Fault> {
        let mut pending = BTreeMap::new();
        for _ in 0..self.input.number()? {
            let id = self.input.raw_id()?;
            let entry = Unassigned {
                delivered_ms: self.input.millis()?,
                deliveries: self.input.number()?,
            };
            if pending.insert(id, entry).is_some() {
                return Err(self.input.corrupt("an entry that is pending twice"));
            }
        }
        Ok(pending)
    }

    fn consumer(
        &mut self,
        group: &mut Group,
        kind: Kind,
        unassigned: &mut BTreeMap<StreamId, Unassigned>,
    ) -> Result<(), Fault> {
        self.input.string(&mut self.text)?;
        let seen_ms = self.input.millis()?;
        let active_ms = match kind {
            Kind::Stream1 | Kind::Stream2 => seen_ms,
            _ => self.input.millis()?,
        };
        let (id, is_new) = group.consumer_or_new(&self.text, seen_ms);
        if !is_new {
            return Err(self
                .input
                .corrupt("Duplicate stream consumer detected: a group has two of the same name"));
        }
        group.consumer_mut(id).active_ms = (active_ms >= 0).then_some(active_ms);
        for _ in 0..self.input.number()? {
            let entry = self.input.raw_id()?;
            let Some(pending) = unassigned.remove(&entry) else {
                return Err(self
                    .input
                    .corrupt("a consumer with an entry that is not pending"));
            };
            group.assign(entry, id, pending.delivered_ms, pending.deliveries);
        }
        Ok(())
    }

    fn producers(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let (duration, most) = (self.input.number()?, self.input.number()?);
        // Nobody can set either to zero, and a memory for no messages would be full of producers
        // without any.
        let in_range = |number: u64| u32::try_from(number).ok().filter(|&number| number > 0);
        let (Some(duration_s), Some(messages_max)) = (in_range(duration), in_range(most)) else {
            return Err(self.input.corrupt("a memory of producers out of range"));
        };
        let memory = Memory {
            duration_s,
            messages_max,
        };
        let count = self.input.number()?;
        if memory != Memory::default() {
            stream.producers_mut().set_memory(memory);
        }
        for _ in 0..count {
            self.input.string(&mut self.text)?;
            for _ in 0..self.input.number()? {
                self.input.string(&mut self.value)?;
                let entry = self.input.id()?;
                let producers = stream.producers_mut();
                producers.record(&self.text, &self.value, entry);
            }
        }
        let (added, duplicates) = (self.input.number()?, self.input.number()?);
        if added > 0 || duplicates > 0 || stream.producers().is_some() {
            let producers = stream.producers_mut();
            (producers.added, producers.duplicates) = (added, duplicates);
        }
        Ok(())
    }
}
