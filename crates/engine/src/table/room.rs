//! Room for entries that are announced before they come, as a snapshot file does: a table that is
//! made as large as it will be is filled without moving anything.

use super::{DEPTH_MAX, SIZES, Segment, Table, entries_max};

/// Entries for which it is not worth while.
const ENTRIES_MIN: usize = 256;
/// Most entries that a segment is laid out for: with those above the average it is full then.
const SEGMENT_ENTRIES_MAX: usize = 700;

impl Table {
    /// So many entries will come. A table that is not empty takes no notice.
    pub fn expect_entries(&mut self, entries: usize) {
        if self.is_empty() {
            self.expected = entries;
        }
    }

    /// Makes the first segments.
    pub(super) fn lay_out(&mut self) {
        let entries = std::mem::take(&mut self.expected);
        let mut depth = 0;
        while entries >> depth > SEGMENT_ENTRIES_MAX && depth < DEPTH_MAX {
            depth += 1;
        }
        let buckets = match entries {
            ENTRIES_MIN.. => size_for(entries >> depth),
            _ => SIZES[0],
        };
        self.depth = depth;
        for index in 0..1_u32 << depth {
            self.add_segment(Segment::new(buckets, depth));
            self.directory.push(index);
        }
    }
}

/// The smallest size that holds so many entries on average, and those that come to a segment by
/// chance.
fn size_for(entries: usize) -> u16 {
    let most = entries + 2 * entries.isqrt();
    let fits = |size: &&u16| entries_max(**size) as usize >= most;
    *SIZES.iter().find(fits).unwrap_or(&SIZES[SIZES.len() - 1])
}
