//! The judge's record: what every name stands for, which writes are on whose disk, which were
//! acknowledged. It asks none of the machines it judges.

use base::ids::RunId;

/// The reply to a write that needs replicas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    /// Where it ends in the log it was done in.
    pub(crate) upto: usize,
    /// Who has ever had it on disk, one bit each.
    holders: u32,
    pub(crate) acknowledged: bool,
}

/// What a replica had when it asked for the stream.
pub(crate) struct Asked {
    pub(crate) id: RunId,
    pub(crate) log: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Book {
    /// What each name stands for.
    names: Vec<(RunId, Vec<u8>)>,
    /// By the writes' numbers.
    pub(crate) writes: Vec<Write>,
}

/// A write as the log has it.
pub(crate) fn record(number: usize, padding: usize) -> Vec<u8> {
    format!("w{number} {}\n", "x".repeat(padding)).into_bytes()
}

/// The number of a write, if the record is one.
fn number_of(record: &[u8]) -> Option<usize> {
    let rest = record.strip_prefix(b"w")?;
    let text = std::str::from_utf8(rest).ok()?;
    text.split(' ').next()?.parse().ok()
}

impl Book {
    fn stands_for(&mut self, id: RunId) -> &mut Vec<u8> {
        // The younger names are asked for more often.
        let found = self.names.iter().rposition(|(name, _)| *name == id);
        let at = found.unwrap_or_else(|| {
            self.names.push((id, Vec::new()));
            self.names.len() - 1
        });
        &mut self.names[at].1
    }

    /// Who writes by this name has this. *One name, one sequence.*
    pub(crate) fn writes_as(&mut self, who: usize, id: RunId, log: &[u8]) {
        let known = self.stands_for(id);
        assert!(
            log.starts_with(known),
            "server {who} writes by the name {id} what it does not stand for"
        );
        let len = known.len();
        known.extend_from_slice(&log[len..]);
    }

    /// Who follows has this by that name. *One name, one sequence*, and *a replica is a prefix of
    /// its primary*.
    pub(crate) fn has_as(&mut self, who: usize, id: RunId, log: &[u8]) {
        let known = self.stands_for(id);
        assert!(
            known.starts_with(log),
            "server {who} is no prefix of {id}: {:?} of {:?}",
            String::from_utf8_lossy(&log[log.len().saturating_sub(60)..]),
            String::from_utf8_lossy(&known[known.len().saturating_sub(60)..]),
        );
    }

    /// A new name for what was there already.
    pub(crate) fn name(&mut self, id: RunId, log: &[u8]) {
        let known = self.stands_for(id);
        if known.is_empty() {
            known.extend_from_slice(log);
        }
    }

    /// A new write that ends there; its number.
    pub(crate) fn add(&mut self, upto: usize) -> usize {
        self.writes.push(Write {
            upto,
            holders: 0,
            acknowledged: false,
        });
        self.writes.len() - 1
    }

    /// These bytes are on that server's disk.
    pub(crate) fn note_durable(&mut self, who: usize, bytes: &[u8]) {
        for record in bytes.split(|&byte| byte == b'\n') {
            if let Some(number) = number_of(record) {
                self.writes[number].holders |= 1 << who;
            }
        }
    }

    /// *A yes is true.*
    pub(crate) fn acknowledge(&mut self, number: usize, by: usize, replicas: usize) {
        let write = &mut self.writes[number];
        let others = write.holders & !(1 << by);
        assert!(
            others.count_ones() as usize >= replicas,
            "write {number} is acknowledged by server {by}, but {others:b} have it on disk"
        );
        write.acknowledged = true;
    }

    /// Whether a log has a write.
    pub(crate) fn is_in(&self, number: usize, log: &[u8]) -> bool {
        let upto = self.writes[number].upto;
        let Some(before) = log.get(..upto) else {
            return false;
        };
        let record = before.strip_suffix(b"\n").unwrap_or_default();
        let start = record.iter().rposition(|&byte| byte == b'\n');
        number_of(&record[start.map_or(0, |at| at + 1)..]) == Some(number)
    }

    pub(crate) fn acknowledged(&self) -> Vec<usize> {
        let numbers = 0..self.writes.len();
        numbers
            .filter(|&number| self.writes[number].acknowledged)
            .collect()
    }
}
