//! Numbered places for a tree's nodes.
//!
//! Kept in chunks, so that growing never copies more than one chunk's worth of nodes, and copies of
//! a tree share the chunks until one of them changes them (see `shared`). Freed numbers are given
//! out again, last freed first.

use std::sync::Arc;

/// Places of the first chunk at first.
const PLACES_MIN: usize = 4;

/// Things with numbers. `CHUNK` is a power of two of at least [`PLACES_MIN`].
#[derive(Debug, Clone)]
pub(super) struct Slab<T, const CHUNK: usize> {
    /// All but the last have `CHUNK` places; places not given out hold the default.
    chunks: Vec<Arc<[T]>>,
    /// Numbers ever given out.
    given: u32,
    free: Vec<u32>,
}

impl<T: Default + Clone, const CHUNK: usize> Slab<T, CHUNK> {
    /// Without any.
    pub(super) const fn new() -> Self {
        Slab {
            chunks: Vec::new(),
            given: 0,
            free: Vec::new(),
        }
    }

    /// Takes `thing` in and returns its number.
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        let id = match self.free.pop() {
            Some(id) => id,
            None => self.give(),
        };
        *self.get_mut(id) = thing;
        id
    }

    /// A number that was not given out before.
    fn give(&mut self) -> u32 {
        let id = self.given as usize;
        self.given += 1;
        let place = id % CHUNK;
        match self.chunks.last_mut() {
            Some(chunk) if place > 0 => {
                if place == chunk.len() {
                    let things = Arc::make_mut(chunk).iter_mut().map(std::mem::take);
                    let mut things: Vec<T> = things.collect();
                    things.resize_with((place * 2).min(CHUNK), T::default);
                    *chunk = things.into();
                }
            }
            _ => {
                let places = if id == 0 { PLACES_MIN } else { CHUNK };
                let places = (0..places).map(|_| T::default());
                self.chunks.push(places.collect());
            }
        }
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
        &mut Arc::make_mut(&mut self.chunks[id as usize / CHUNK])[id as usize % CHUNK]
    }

    /// Takes the thing out; its number may be given out again.
    pub(super) fn remove(&mut self, id: u32) -> T {
        let thing = std::mem::take(self.get_mut(id));
        self.free.push(id);
        thing
    }

    /// How many numbers are in use.
    pub(super) fn len(&self) -> usize {
        self.given as usize - self.free.len()
    }

    /// All places, those too that are not in use (they hold the default).
    pub(super) fn places(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Bytes of the places themselves, not of what the things own.
    pub(super) fn allocated(&self) -> usize {
        let class = base::memory::size_class;
        let counts = 2 * size_of::<usize>();
        let chunks = self.chunks.iter();
        chunks
            .map(|chunk| class(size_of_val(&**chunk) + counts))
            .sum::<usize>()
            + class(self.chunks.capacity() * size_of::<Arc<[T]>>())
            + class(self.free.capacity() * size_of::<u32>())
    }
}
