//! Lines for a worker's clients that monitor (`monitor`).

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
}
