//! What a worker's clients are told besides replies: lines for those that monitor (`monitor`), and
//! the writing of messages to those that listen, whom `delivery` has given them to.

use super::Worker;

impl Worker<'_> {
    /// Gives a line to this worker's monitors.
    pub(super) fn show_command(&mut self, line: &[u8]) {
        for &place in &self.desk.monitors {
            let at = place as usize;
            let Some(connection) = self.connections.get_mut(at) else {
                continue;
            };
            connection.waiting.news_to(&mut connection.out).simple(line);
            connection.dirty = true;
            if !connection.queued {
                connection.queued = true;
                self.ready.push(at);
            }
        }
    }

    /// Writes messages to those whose turn it is.
    pub(super) fn settle_told(&mut self) {
        // What is not written counts as used memory: the next command would evict keys for it.
        let all = self.settings.maxmemory_bytes != 0 || self.stopping;
        let share = match all {
            true => self.told.count(),
            false => self.told.share(),
        };
        for _ in 0..share {
            let Some(id) = self.told.pop() else {
                break;
            };
            if let Some(connection) = self.connections.get_mut(id) {
                connection.told = false;
                self.settle(id);
            }
        }
    }
}
