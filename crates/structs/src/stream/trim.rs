//! Trimming: taking the oldest entries off.

use super::Stream;
use super::id::StreamId;
use super::log::Log;
use super::node::Node;

/// How far a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// To so many entries.
    Len(u64),
    /// To the entries from this id on.
    Id(StreamId),
}

/// What happens to the pending lists that name an entry which goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// They keep it.
    #[default]
    Keep,
    /// They lose it.
    Drop,
    /// The entry stays unless every group has read and acknowledged it.
    Acked,
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// How far.
    pub to: TrimTo,
    /// Only whole nodes.
    pub approximate: bool,
    /// At most so many entries; 0 = any number. For approximate trimming.
    pub limit: u64,
    /// What about pending lists.
    pub references: References,
}

impl Trim {
    /// Whether a stream as long as `log` is now is short enough.
    fn is_done(&self, log: &Log) -> bool {
        matches!(self.to, TrimTo::Len(len) if log.len() <= len)
    }

    /// Whether all of the first node goes.
    fn takes_node(&self, log: &Log, first: &Node) -> bool {
        match self.to {
            TrimTo::Len(len) => log.len() - first.live() >= len,
            TrimTo::Id(id) => first.last() < id,
        }
    }

    /// Whether the entry with this id stays, and with it all later ones.
    fn keeps(&self, log: &Log, entry: StreamId) -> bool {
        match self.to {
            TrimTo::Len(len) => log.len() <= len,
            TrimTo::Id(id) => entry >= id,
        }
    }
}

impl Stream {
    /// Trims; how many entries went. O(nodes) for whole nodes, else O(entries looked at).
    ///
    /// Compat: as in Redis 8.2, approximate trimming removes nothing unless references are kept.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let before = self.log().len();
        if trim.references == References::Keep {
            self.trim_blindly(trim);
        } else if !trim.approximate {
            self.trim_by_entry(trim);
        }
        let Some(body) = &mut self.body else { return 0 };
        let trimmed = before - body.log.len();
        if trimmed > 0 {
            body.log.find_first_id();
        }
        trimmed
    }

    fn trim_blindly(&mut self, trim: &Trim) {
        let Some(body) = &mut self.body else { return };
        let log = &mut body.log;
        let mut trimmed = 0;
        while let Some(node) = log.nodes.front() {
            let live = node.live();
            if trim.is_done(log) || trim.limit > 0 && trimmed + live > trim.limit {
                return;
            }
            if !trim.takes_node(log, node) {
                break;
            }
            trimmed += live;
            log.drop_first_node();
        }
        if trim.approximate {
            return;
        }
        let Some(node) = log.nodes.front() else {
            return;
        };
        let mut at = node.start();
        while let Some(node) = log.nodes.front().filter(|node| at < node.end()) {
            let record = node.record(at);
            if trim.keeps(log, record.id) {
                return;
            }
            at = node.after(&record);
            if !record.deleted {
                log.delete_in_first_node(&record);
            }
        }
    }

    /// Entry by entry, with a look at the groups.
    fn trim_by_entry(&mut self, trim: &Trim) {
        let mut next = Some(StreamId::MIN);
        while let Some(start) = next {
            let log = self.log();
            let Some(id) = log.range(start, StreamId::MAX).next().map(|e| e.id()) else {
                return;
            };
            if trim.keeps(log, id) {
                return;
            }
            next = id.next();
            if trim.references == References::Acked && self.is_referenced(id) {
                continue;
            }
            self.drop_references(id);
            if let Some(body) = &mut self.body {
                body.log.trim_entry(id);
            }
        }
    }
}

impl Log {
    /// Deletes an entry as trimming does: it does not count as a gap.
    fn trim_entry(&mut self, id: StreamId) {
        if let Some((index, record)) = self.find(id) {
            self.delete_record(index, &record);
        }
    }
}
