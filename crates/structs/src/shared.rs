//! Parts of a collection that its copies share until one of them changes them.
//!
//! A collection of such parts is copied in the time that it takes to count its parts, and each
//! change afterwards copies one part. So COPY of a large value costs little, and a snapshot can
//! hold one as it was while commands go on changing it.
//!
//! What that costs is counted: a part that is copied because it is shared is marked, and its bytes
//! are added to the thread's [`copied_bytes`]. Whoever held the collection as it was learns from
//! [`Shared::release`] how many of them go with his copy.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static COPIED_BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Bytes of the parts that this thread has copied because they were shared, ever.
#[inline]
pub fn copied_bytes() -> u64 {
    COPIED_BYTES.get()
}

/// Something that knows what it owns on the heap.
pub(crate) trait Weighed {
    /// Bytes on the heap, its own not counted.
    fn heap_bytes(&self) -> usize;
}

impl Weighed for Vec<u8> {
    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Weighed for Box<[u8]> {
    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

impl<T> Weighed for VecDeque<T> {
    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl<T: Weighed, const N: usize> Weighed for [T; N] {
    fn heap_bytes(&self) -> usize {
        self.iter().map(T::heap_bytes).sum()
    }
}

#[derive(Debug, Default)]
struct Part<T> {
    /// Somebody who shared it has made a copy, and has that instead.
    left: AtomicBool,
    value: T,
}

impl<T: Clone> Clone for Part<T> {
    fn clone(&self) -> Part<T> {
        Part::new(self.value.clone())
    }
}

impl<T> Part<T> {
    fn new(value: T) -> Part<T> {
        let left = AtomicBool::new(false);
        Part { left, value }
    }
}

impl<T: Weighed> Part<T> {
    fn bytes(&self) -> usize {
        size_of::<Part<T>>() + self.value.heap_bytes()
    }

    #[cold]
    fn leave(&self) {
        if !self.left.swap(true, Ordering::Relaxed) {
            COPIED_BYTES.set(COPIED_BYTES.get() + self.bytes() as u64);
        }
    }
}

/// A part. Whoever writes to one that is shared gets a copy of his own first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared<T>(Arc<Part<T>>);

impl<T: Clone + Weighed> Shared<T> {
    /// A part that nobody shares yet.
    pub(crate) fn new(value: T) -> Shared<T> {
        Shared(Arc::new(Part::new(value)))
    }

    /// The part itself, or a copy if it is shared.
    pub(crate) fn into_inner(self) -> T {
        self.note_leaving();
        Arc::unwrap_or_clone(self.0).value
    }

    /// Lets go of a part; how many bytes that frees which were there twice.
    pub(crate) fn release(self) -> usize {
        match Arc::strong_count(&self.0) == 1 && self.0.left.load(Ordering::Relaxed) {
            true => self.0.bytes(),
            false => 0,
        }
    }

    /// Bytes that a part takes in its allocation, without what it owns.
    pub(crate) const fn allocated() -> usize {
        base::memory::size_class(size_of::<Part<T>>() + 2 * size_of::<usize>())
    }

    #[inline]
    fn note_leaving(&self) {
        if Arc::strong_count(&self.0) > 1 {
            self.0.leave();
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Clone + Weighed> DerefMut for Shared<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.note_leaving();
        &mut Arc::make_mut(&mut self.0).value
    }
}

/// How far a copy's reader has come, who does not go back: what is behind him can be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Nothing that could be.
    Nothing,
    /// So many parts: nodes of lists and of streams.
    Parts(usize),
    /// The entries of a table before this one.
    Entries(crate::table::Resume),
    /// The entries of a sorted set from this rank on.
    Down(usize),
    /// The values of an array before this index.
    Index(u64),
}

/// What has been released of a copy.
#[derive(Debug, Default)]
pub struct Release {
    /// Number of parts, if they go one after the other.
    pub(crate) parts: usize,
    /// By part, how many places of it have been passed, if they do not.
    pub(crate) places: Vec<u8>,
}

impl Release {
    /// Replaces the parts that have been passed, and were not before, by `empty` ones; how many
    /// bytes that frees which were there twice.
    pub(crate) fn advance<T: Clone + Weighed>(
        &mut self,
        parts: &mut [Shared<T>],
        passed: usize,
        empty: T,
    ) -> usize {
        let passed = passed.min(parts.len());
        let fresh = parts.get_mut(self.parts..passed).unwrap_or_default();
        self.parts = self.parts.max(passed);
        let empty = Shared::new(empty);
        let release = |part| std::mem::replace(part, empty.clone()).release();
        fresh.iter_mut().map(release).sum()
    }
}
