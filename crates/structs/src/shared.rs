//! Parts of a collection that its copies share until one of them changes them.
//!
//! A collection of such parts is copied in the time that it takes to count its parts, and each
//! change afterwards copies one part. So COPY of a large value costs little, and a snapshot can
//! hold one as it was while commands go on changing it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A part. Whoever writes to one that is shared gets a copy of his own first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared<T>(Arc<T>);

impl<T: Clone> Shared<T> {
    /// A part that nobody shares yet.
    pub(crate) fn new(part: T) -> Shared<T> {
        Shared(Arc::new(part))
    }

    /// The part itself, or a copy if it is shared.
    pub(crate) fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }

    /// Bytes that a part takes in its allocation, without what it owns.
    pub(crate) const fn allocated() -> usize {
        base::memory::size_class(size_of::<T>() + 2 * size_of::<usize>())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}
