//! Numbered places for a tree's nodes.
//!
//! Kept in chunks of a few, which copies of a tree share until one of them changes them (see
//! `shared`): that is what a change copies. Freed numbers are given out again, last freed first.

use crate::shared::{Release, Shared, Weighed};

/// Places of a chunk.
const CHUNK: usize = 4;

/// Things with numbers.
#[derive(Debug, Clone)]
pub(super) struct Slab<T> {
    /// Places not given out hold the default.
    chunks: Vec<Shared<[T; CHUNK]>>,
    /// Numbers ever given out.
    given: u32,
    free: Vec<u32>,
}

impl<T: Default + Clone + Weighed> Slab<T> {
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
        let id = self.given;
        self.given += 1;
        if self.chunks.len() == id as usize / CHUNK {
            self.chunks.push(Shared::new(Default::default()));
        }
        id
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

    /// Nobody will ask for the thing with this number any more. Its chunk goes with the last of its
    /// things; how many bytes that frees which were there twice.
    pub(super) fn release(&mut self, id: u32, release: &mut Release) -> usize {
        let chunk = id as usize / CHUNK;
        release.places.resize(self.chunks.len(), 0);
        let passed = &mut release.places[chunk];
        *passed += 1;
        if usize::from(*passed) < CHUNK {
            return 0;
        }
        let empty = Shared::new(Default::default());
        std::mem::replace(&mut self.chunks[chunk], empty).release()
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
        self.chunks.len() * Shared::<[T; CHUNK]>::allocated()
            + class(self.chunks.capacity() * size_of::<Shared<[T; CHUNK]>>())
            + class(self.free.capacity() * size_of::<u32>())
    }
}
