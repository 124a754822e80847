//! Numbered places for a tree's nodes.
//!
//! Kept in chunks, so that growing never copies more than one chunk's worth of nodes; freed numbers
//! are given out again, last freed first.

/// Things with numbers. `CHUNK` is a power of two.
#[derive(Debug, Clone)]
pub(super) struct Slab<T, const CHUNK: usize> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T: Default, const CHUNK: usize> Slab<T, CHUNK> {
    /// Without any.
    pub(super) const fn new() -> Self {
        Slab {
            chunks: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Takes `thing` in and returns its number.
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        if let Some(id) = self.free.pop() {
            *self.get_mut(id) = thing;
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::new());
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let id = match self.chunks.last_mut() {
            Some(chunk) => {
                chunk.push(thing);
                before + chunk.len() - 1
            }
            None => 0,
        };
        id as u32
    }

    /// The thing with this number, which `insert` gave.
    #[inline]
    pub(super) fn get(&self, id: u32) -> &T {
        &self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }

    /// The thing with this number, which `insert` gave.
    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> &mut T {
        &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }

    /// Takes the thing out; its number may be given out again.
    pub(super) fn remove(&mut self, id: u32) -> T {
        let thing = std::mem::take(self.get_mut(id));
        self.free.push(id);
        thing
    }

    /// How many numbers are in use.
    pub(super) fn len(&self) -> usize {
        let given = self.chunks.iter().map(Vec::len).sum::<usize>();
        given - self.free.len()
    }

    /// All places, the freed ones too (they hold the default).
    pub(super) fn places(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Bytes of the places themselves, not of what the things own.
    pub(super) fn allocated(&self) -> usize {
        let class = base::memory::size_class;
        let chunks = self.chunks.iter();
        chunks
            .map(|chunk| class(chunk.capacity() * size_of::<T>()))
            .sum::<usize>()
            + class(self.chunks.capacity() * size_of::<Vec<T>>())
            + class(self.free.capacity() * size_of::<u32>())
    }
}
