//! Sparse arrays: values at any index from 0 to 2^64 - 2, and a cursor for those who append.
//!
//! ```text
//!  Array -- slices, by number: BTreeMap
//!             |
//!             +- Slice: SLICE_LEN indexes, sparse (few of them: sorted offsets, and their cells)
//!                       or dense (a window of cells, some of them empty)
//! ```
//!
//! A slice is sparse until half of the stretch between its first and its last value is used, and
//! dense until less than a quarter is. A cell has 16 bytes: integers and up to 14 bytes of text are
//! in it. Get, set and remove take O(log(slices)) and at most a move of one slice's cells; a range
//! costs what is in it, not what it spans.
//!
//! Invariants: no slice is empty; a dense window begins and ends with a value; the counts are those
//! of the values.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, RangeInclusive};

use base::memory::size_class;
use base::num::{I64_TEXT_MAX, format_i64, parse_i64};

use crate::collection::{Collection, Form};
use crate::shared::{Passed, Release, Shared, Weighed};

/// Indexes of a slice.
pub const SLICE_LEN: u64 = 4096;

/// The largest index. One more would be no length.
pub const INDEX_MAX: u64 = u64::MAX - 1;

/// Bytes of text that fit a cell.
const SHORT_BYTES_MAX: usize = 14;

/// What is at an index.
#[derive(Clone, Debug, Default)]
enum Cell {
    #[default]
    Empty,
    Int(i64),
    Short(u8, [u8; SHORT_BYTES_MAX]),
    /// Two steps away, so that a cell stays small.
    Long(Box<Box<[u8]>>),
}

const _: () = assert!(size_of::<Cell>() == 16);

impl Cell {
    fn new(value: &[u8]) -> Cell {
        if let Some(number) = parse_i64(value) {
            return Cell::Int(number);
        }
        if value.len() > SHORT_BYTES_MAX {
            return Cell::Long(Box::new(value.into()));
        }
        let mut short = [0; SHORT_BYTES_MAX];
        short[..value.len()].copy_from_slice(value);
        Cell::Short(value.len() as u8, short)
    }

    fn value(&self) -> Option<Value<'_>> {
        match self {
            Cell::Empty => None,
            Cell::Int(number) => Some(Value::Int(*number)),
            Cell::Short(len, bytes) => Some(Value::Bytes(&bytes[..usize::from(*len)])),
            Cell::Long(bytes) => Some(Value::Bytes(bytes)),
        }
    }

    fn allocated(&self) -> usize {
        match self {
            Cell::Long(bytes) => size_class(size_of::<Box<[u8]>>()) + size_class(bytes.len()),
            Cell::Empty | Cell::Int(_) | Cell::Short(..) => 0,
        }
    }
}

/// A value, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The text of this integer.
    Int(i64),
    /// Any other text.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The text; the digits of an integer are written to `digits`.
    #[inline]
    pub fn bytes(self, digits: &'a mut [u8; I64_TEXT_MAX]) -> &'a [u8] {
        match self {
            Value::Int(number) => format_i64(number, digits),
            Value::Bytes(bytes) => bytes,
        }
    }
}

/// The values of [`SLICE_LEN`] indexes, by offset.
#[derive(Clone, Debug)]
enum Slice {
    Sparse {
        offsets: Vec<u16>,
        cells: Vec<Cell>,
    },
    Dense {
        first: u16,
        cells: VecDeque<Cell>,
        count: u16,
    },
}

/// A dense slice has a value at one index in so many at least.
const DENSE_PART_MIN: usize = 4;
/// A sparse one becomes dense when it has one at so many.
const SPARSE_PART_MAX: usize = 2;
/// Fewer values than this are not worth a window.
const DENSE_COUNT_MIN: usize = 8;

impl Slice {
    fn new() -> Slice {
        Slice::Sparse {
            offsets: Vec::new(),
            cells: Vec::new(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Slice::Sparse { offsets, .. } => offsets.len(),
            Slice::Dense { count, .. } => usize::from(*count),
        }
    }

    /// The offset of the last value.
    fn last(&self) -> u16 {
        match self {
            Slice::Sparse { offsets, .. } => offsets.last().copied().unwrap_or(0),
            Slice::Dense { first, cells, .. } => first + cells.len() as u16 - 1,
        }
    }

    fn get(&self, offset: u16) -> Option<Value<'_>> {
        match self {
            Slice::Sparse { offsets, cells } => {
                let at = offsets.binary_search(&offset).ok()?;
                cells[at].value()
            }
            Slice::Dense { first, cells, .. } => {
                let at = usize::from(offset.checked_sub(*first)?);
                cells.get(at)?.value()
            }
        }
    }

    /// Whether there was nothing before.
    fn set(&mut self, offset: u16, cell: Cell) -> bool {
        let is_new = match self {
            Slice::Sparse { offsets, cells } => match offsets.binary_search(&offset) {
                Ok(at) => {
                    cells[at] = cell;
                    false
                }
                Err(at) => {
                    offsets.insert(at, offset);
                    cells.insert(at, cell);
                    true
                }
            },
            Slice::Dense {
                first,
                cells,
                count,
            } => {
                let (start, end) = (*first, *first + cells.len() as u16);
                let span = usize::from(end.max(offset + 1) - start.min(offset));
                if span > (usize::from(*count) + 1) * DENSE_PART_MIN {
                    self.make_sparse();
                    return self.set(offset, cell);
                }
                for _ in offset..start {
                    cells.push_front(Cell::Empty);
                }
                for _ in end..=offset {
                    cells.push_back(Cell::Empty);
                }
                *first = start.min(offset);
                let held = &mut cells[usize::from(offset - *first)];
                let is_new = matches!(held, Cell::Empty);
                *held = cell;
                *count += u16::from(is_new);
                is_new
            }
        };
        if is_new {
            self.make_dense_if_full();
        }
        is_new
    }

    /// Whether there was something.
    fn remove(&mut self, offset: u16) -> bool {
        match self {
            Slice::Sparse { offsets, cells } => {
                let Ok(at) = offsets.binary_search(&offset) else {
                    return false;
                };
                offsets.remove(at);
                cells.remove(at);
                true
            }
            Slice::Dense {
                first,
                cells,
                count,
            } => {
                let at = offset.checked_sub(*first).map(usize::from);
                let Some(held) = at.and_then(|at| cells.get_mut(at)) else {
                    return false;
                };
                if matches!(std::mem::take(held), Cell::Empty) {
                    return false;
                }
                *count -= 1;
                while let Some(Cell::Empty) = cells.front() {
                    cells.pop_front();
                    *first += 1;
                }
                while let Some(Cell::Empty) = cells.back() {
                    cells.pop_back();
                }
                if cells.len() > usize::from(*count) * DENSE_PART_MIN {
                    self.make_sparse();
                }
                true
            }
        }
    }

    fn make_dense_if_full(&mut self) {
        let Slice::Sparse { offsets, cells } = self else {
            return;
        };
        let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
            return;
        };
        let span = usize::from(last - first) + 1;
        if offsets.len() < DENSE_COUNT_MIN || span > offsets.len() * SPARSE_PART_MAX {
            return;
        }
        let mut window = VecDeque::with_capacity(span);
        window.resize(span, Cell::Empty);
        for (offset, cell) in offsets.iter().zip(std::mem::take(cells)) {
            window[usize::from(offset - first)] = cell;
        }
        let count = offsets.len() as u16;
        *self = Slice::Dense {
            first,
            cells: window,
            count,
        };
    }

    fn make_sparse(&mut self) {
        let Slice::Dense { first, cells, .. } = self else {
            return;
        };
        let (mut offsets, mut kept) = (Vec::new(), Vec::new());
        for (offset, cell) in (*first..).zip(std::mem::take(cells)) {
            if !matches!(cell, Cell::Empty) {
                offsets.push(offset);
                kept.push(cell);
            }
        }
        *self = Slice::Sparse {
            offsets,
            cells: kept,
        };
    }

    /// The values at these offsets, in order.
    fn values(
        &self,
        within: RangeInclusive<u16>,
    ) -> impl DoubleEndedIterator<Item = (u16, Value<'_>)> {
        let (start, end) = within.into_inner();
        let (sparse, dense) = match self {
            Slice::Sparse { offsets, cells } => {
                let from = offsets.partition_point(|&offset| offset < start);
                let to = offsets.partition_point(|&offset| offset <= end);
                let values = offsets[from..to].iter().copied().zip(&cells[from..to]);
                (Some(values), None)
            }
            Slice::Dense { first, cells, .. } => {
                let from = usize::from(start.saturating_sub(*first)).min(cells.len());
                let to = (usize::from(end) + 1).saturating_sub(usize::from(*first));
                let to = to.clamp(from, cells.len());
                let first = usize::from(*first);
                let at = move |at: usize| ((first + at) as u16, &cells[at]);
                (None, Some((from..to).map(at)))
            }
        };
        let all = sparse
            .into_iter()
            .flatten()
            .chain(dense.into_iter().flatten());
        all.filter_map(|(offset, cell)| Some((offset, cell.value()?)))
    }

    fn allocated(&self) -> usize {
        let cell = size_of::<Cell>();
        match self {
            Slice::Sparse { offsets, cells } => {
                size_class(offsets.capacity() * 2)
                    + size_class(cells.capacity() * cell)
                    + cells.iter().map(Cell::allocated).sum::<usize>()
            }
            Slice::Dense { cells, .. } => {
                size_class(cells.capacity() * cell)
                    + cells.iter().map(Cell::allocated).sum::<usize>()
            }
        }
    }
}

/// What ARINFO FULL tells of the slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceStats {
    /// Slices with a window.
    pub dense: u64,
    /// The others.
    pub sparse: u64,
    /// Cells of all windows, used or not.
    pub dense_cells: u64,
    /// Values in windows.
    pub dense_values: u64,
    /// Room for values in the others.
    pub sparse_room: u64,
}

impl Weighed for Slice {
    fn heap_bytes(&self) -> usize {
        self.allocated()
    }
}

/// A sparse array.
#[derive(Clone, Debug, Default)]
pub struct Array {
    slices: BTreeMap<u64, Shared<Slice>>,
    count: u64,
    /// The index that was appended to last, or as if; `None`: the next one is 0.
    cursor: Option<u64>,
}

impl Array {
    /// The index behind the last value; 0 if there is none.
    pub fn end(&self) -> u64 {
        let last = self.slices.last_key_value();
        last.map_or(0, |(number, slice)| {
            number * SLICE_LEN + u64::from(slice.last()) + 1
        })
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Number of slices that have values.
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// The index that was appended to last; `None` if the next one is 0.
    pub fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// Moves the cursor; `None`: the next index is 0.
    pub fn set_cursor(&mut self, cursor: Option<u64>) {
        self.cursor = cursor;
    }

    /// The value at `index`.
    pub fn get(&self, index: u64) -> Option<Value<'_>> {
        self.slices
            .get(&(index / SLICE_LEN))?
            .get((index % SLICE_LEN) as u16)
    }

    /// Sets the value at `index`, at most [`INDEX_MAX`]; whether there was none.
    pub fn set(&mut self, index: u64, value: &[u8]) -> bool {
        debug_assert!(index <= INDEX_MAX);
        let slice = self
            .slices
            .entry(index / SLICE_LEN)
            .or_insert_with(|| Shared::new(Slice::new()));
        let is_new = slice.set((index % SLICE_LEN) as u16, Cell::new(value));
        self.count += u64::from(is_new);
        is_new
    }

    /// Removes the value at `index`; whether there was one.
    pub fn remove(&mut self, index: u64) -> bool {
        let number = index / SLICE_LEN;
        let Some(slice) = self.slices.get_mut(&number) else {
            return false;
        };
        let removed = slice.remove((index % SLICE_LEN) as u16);
        if slice.count() == 0 {
            self.slices.remove(&number);
        }
        self.count -= u64::from(removed);
        removed
    }

    /// Removes all values in a range; their number.
    pub fn remove_range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let before = self.count;
        let (first, last) = (range.start() / SLICE_LEN, range.end() / SLICE_LEN);
        let touched: Vec<u64> = match first <= last {
            true => self
                .slices
                .range(first..=last)
                .map(|(&number, _)| number)
                .collect(),
            false => Vec::new(),
        };
        for number in touched {
            let within = offsets_of(&range, number);
            if within == (0..=SLICE_LAST) {
                let slice = self.slices.remove(&number);
                self.count -= slice.map_or(0, |slice| slice.count() as u64);
                continue;
            }
            let offsets: Vec<u16> = self.slices[&number]
                .values(within)
                .map(|(offset, _)| offset)
                .collect();
            for offset in offsets {
                self.remove(number * SLICE_LEN + u64::from(offset));
            }
        }
        before - self.count
    }

    /// Shows `visit` the values from `from` to `to`, both included, backwards if `to` is before
    /// `from`, until it breaks.
    pub fn visit(
        &self,
        from: u64,
        to: u64,
        mut visit: impl FnMut(u64, Value<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let range = from.min(to)..=from.max(to);
        let numbers = range.start() / SLICE_LEN..=range.end() / SLICE_LEN;
        let mut one =
            |offset: u16, number: &u64, value| visit(number * SLICE_LEN + u64::from(offset), value);
        if from <= to {
            for (number, slice) in self.slices.range(numbers) {
                for (offset, value) in slice.values(offsets_of(&range, *number)) {
                    one(offset, number, value)?;
                }
            }
        } else {
            for (number, slice) in self.slices.range(numbers).rev() {
                for (offset, value) in slice.values(offsets_of(&range, *number)).rev() {
                    one(offset, number, value)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Figures about the slices. O(slices).
    pub fn slice_stats(&self) -> SliceStats {
        let mut stats = SliceStats::default();
        for slice in self.slices.values() {
            match &**slice {
                Slice::Sparse { cells, .. } => {
                    stats.sparse += 1;
                    stats.sparse_room += cells.capacity() as u64;
                }
                Slice::Dense { cells, count, .. } => {
                    stats.dense += 1;
                    stats.dense_cells += cells.len() as u64;
                    stats.dense_values += u64::from(*count);
                }
            }
        }
        stats
    }

    /// Panics if anything is not as the module's head says.
    pub fn invariants(&self) {
        let mut count = 0;
        for (number, slice) in &self.slices {
            let values = slice.values(0..=SLICE_LAST).count();
            assert!(values > 0 && values == slice.count(), "slice {number}");
            count += values as u64;
            match &**slice {
                Slice::Sparse { offsets, cells } => {
                    assert!(offsets.is_sorted_by(|a, b| a < b) && offsets.len() == cells.len());
                }
                Slice::Dense { cells, .. } => {
                    assert!(cells.len() <= values * DENSE_PART_MIN);
                    let edges = [cells.front(), cells.back()];
                    assert!(edges.iter().all(|cell| !matches!(cell, Some(Cell::Empty))));
                }
            }
        }
        assert_eq!(count, self.count);
    }
}

const SLICE_LAST: u16 = SLICE_LEN as u16 - 1;

/// The offsets of slice `number` that a range of indexes touches (it touches some).
fn offsets_of(range: &RangeInclusive<u64>, number: u64) -> RangeInclusive<u16> {
    let first = number * SLICE_LEN;
    let start = range.start().saturating_sub(first);
    let end = (range.end() - first).min(u64::from(SLICE_LAST));
    start as u16..=end as u16
}

impl Collection for Array {
    type Ref<'a> = &'a Array;

    fn has_form(_: Form) -> bool {
        false
    }

    fn view(_: Form, _: &[u8]) -> &'static Array {
        // No entry has packed bytes of an array.
        static NONE: Array = Array {
            slices: BTreeMap::new(),
            count: 0,
            cursor: None,
        };
        &NONE
    }

    fn from_packed(_: Form, _: Vec<u8>) -> Array {
        Array::default()
    }

    fn with_buffer(_: Vec<u8>) -> Array {
        Array::default()
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        None
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        None
    }

    fn borrow(&self) -> &Array {
        self
    }

    fn len(&self) -> usize {
        self.count as usize
    }

    fn encoding(&self) -> &'static str {
        "sliced-array"
    }

    fn allocated(&self) -> usize {
        // A tree's node has six slices or so.
        let tree = self.slices.len() * 24 * 11 / 6;
        let own = |slice: &Shared<Slice>| Shared::<Slice>::allocated() + slice.allocated();
        tree + self.slices.values().map(own).sum::<usize>()
    }

    fn free_effort(&self) -> usize {
        self.slices.len() * 3 + self.count as usize / 4 + 1
    }

    fn duplicate(&self) -> Array {
        self.clone()
    }

    fn release(&mut self, passed: Passed, _: &mut Release) -> usize {
        let Passed::Index(index) = passed else {
            return 0;
        };
        let mut freed = 0;
        while let Some(first) = self.slices.first_entry()
            && *first.key() < index / SLICE_LEN
        {
            freed += first.remove().release();
        }
        freed
    }
}

#[cfg(test)]
mod tests;
