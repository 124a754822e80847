//! One entry of a stream, as it is read.

use super::id::StreamId;
use super::node::Elements;
use crate::packed::Element;

/// An entry: its id, and its fields and values where they are in the node.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    id: StreamId,
    pairs: Pairs<'a>,
}

impl<'a> Entry<'a> {
    /// `names_at`: where the fields are, if not in turn with the values at `data_at`.
    #[inline]
    pub(super) fn new(
        id: StreamId,
        bytes: &'a [u8],
        names_at: Option<usize>,
        data_at: usize,
        len: usize,
    ) -> Entry<'a> {
        let pairs = Pairs {
            names: names_at.map(|at| Elements::new(bytes, at)),
            data: Elements::new(bytes, data_at),
            left: len,
        };
        Entry { id, pairs }
    }

    /// Its id.
    #[inline]
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Its fields with their values, in the order in which they were added.
    #[inline]
    #[must_use]
    pub fn pairs(&self) -> Pairs<'a> {
        self.pairs
    }
}

/// Fields and values of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a> {
    names: Option<Elements<'a>>,
    data: Elements<'a>,
    left: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.take(),
            None => self.data.take(),
        };
        Some((name, self.data.take()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}
