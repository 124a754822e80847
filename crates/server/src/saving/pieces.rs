//! The pieces of a snapshot on their way from the stripes to whoever writes them.
//!
//! The memory that a snapshot takes besides the data is bounded (see [`bound`]), and counted here:
//! what lies copied in the queue, and the parts of large collections that commands have copied
//! because the snapshot shares them ("aside"). Above [`WALK_BYTES_MAX`] the walk waits: it is in no
//! hurry. Commands that change what has not been saved cannot wait for that, so near the bound they
//! are slowed down, by [`PATIENCE`] a chunk or [`PART_PATIENCE`] a part at most: a writer that is
//! slower than the changes slows them down rather than fill the memory. At the bound they wait,
//! unless nothing at all is written for [`LAST_PATIENCE`].
//!
//! Several threads may take small pieces; one at a time takes the others, and is done with one when
//! it comes for the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::snapshot::{Chunk, Frozen, Piece, Sink};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// The walk goes on below this.
const WALK_BYTES_MAX: usize = 8 << 20;
/// The least bound.
const BOUND_BYTES_MIN: usize = 64 << 20;
/// Else the bound is this part of the data.
const BOUND_PART: usize = 20;
/// Commands that save a chunk are slowed down when so little is left of the bound.
const SPARE_BYTES: usize = 8 << 20;
/// By how much, for each chunk or large value.
const PATIENCE: Duration = Duration::from_millis(5);
/// Commands that copy a part of a collection are slowed down when so little is left: a part is up
/// to 70 KiB, and the next ones are perhaps copied, too.
const SPARE_BYTES_PARTS: usize = 16 << 20;
/// By how much, for each part.
const PART_PATIENCE: Duration = Duration::from_millis(1);
/// Commands wait when so little is left; a slow disk leads there.
const SPARE_BYTES_MIN: usize = 2 << 20;
/// But not longer than this.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Chunks that are taken at once: those who take them are in no hurry and may lose the processor
/// while they have the lock, which the walk and commands want. So that is to happen seldom.
const CHUNKS_AT_ONCE: usize = 16;

/// The most bytes that a snapshot of so many takes besides them.
const fn bound(data_bytes: u64) -> usize {
    let part = data_bytes as usize / BOUND_PART;
    match part > BOUND_BYTES_MIN {
        true => part,
        false => BOUND_BYTES_MIN,
    }
}

/// See the module's head.
#[derive(Clone)]
pub struct Pieces(Arc<Inner>);

struct Inner {
    bound_bytes: usize,
    state: Mutex<State>,
    /// There is a piece, or the end.
    news: Condvar,
    /// There is room for the walk.
    room: Condvar,
    /// There is room for what commands save or copy.
    last_room: Condvar,
}

/// A piece that is no chunk, and its weight.
struct Heavy {
    piece: Piece,
    bytes: usize,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Chunk>,
    heavy: VecDeque<Heavy>,
    /// Weight of all of them.
    bytes: usize,
    /// Of these, those of chunks and texts. Of a collection, only what has changed is there twice.
    copied_bytes: usize,
    /// Weight of the collections that are here or being written.
    shared_bytes: usize,
    /// Of the one being written.
    writing_bytes: usize,
    /// What commands have copied of them, and has not been written.
    aside_bytes: usize,
    peak_bytes: usize,
    /// The walk is through.
    complete: bool,
    /// Nobody takes pieces any more.
    abandoned: bool,
}

impl State {
    fn held_bytes(&self) -> usize {
        self.copied_bytes + self.aside_bytes
    }

    fn note_peak(&mut self) {
        self.peak_bytes = self.peak_bytes.max(self.held_bytes());
    }

    /// The next chunks, if there are any, and their weight.
    fn pop_chunks(&mut self) -> Option<(Vec<Chunk>, usize)> {
        let count = self.chunks.len().min(CHUNKS_AT_ONCE);
        let chunks: Vec<Chunk> = self.chunks.drain(..count).collect();
        let bytes = chunks.iter().map(Chunk::len_bytes).sum();
        self.copied_bytes -= bytes;
        (count > 0).then_some((chunks, bytes))
    }

    /// The collection that was being written is.
    fn end_writing(&mut self) {
        self.shared_bytes -= std::mem::take(&mut self.writing_bytes);
        // What was copied of others than the snapshot's is not noticed before.
        self.aside_bytes = self.aside_bytes.min(self.shared_bytes);
    }
}

/// Memory that a piece keeps which would be free, or the writer's, without the snapshot.
fn weight(piece: &Piece) -> usize {
    match piece {
        Piece::Small(chunk) => chunk.len_bytes(),
        Piece::Large(_, large) => match &large.value {
            Frozen::Text(text) => text.capacity(),
            Frozen::Object(object) => object.allocated(),
        },
        // What it holds is being freed elsewhere otherwise; nobody waits for that either.
        Piece::Flushed(..) => 0,
    }
}

fn is_collection(piece: &Piece) -> bool {
    matches!(piece, Piece::Large(_, large) if matches!(large.value, Frozen::Object(_)))
}

impl Default for Pieces {
    fn default() -> Pieces {
        Pieces::beside(0)
    }
}

impl Pieces {
    /// Of a snapshot of so many bytes of data.
    pub(super) fn beside(data_bytes: u64) -> Pieces {
        Pieces::with_bound(bound(data_bytes))
    }

    fn with_bound(bound_bytes: usize) -> Pieces {
        Pieces(Arc::new(Inner {
            bound_bytes,
            state: Mutex::default(),
            news: Condvar::new(),
            room: Condvar::new(),
            last_room: Condvar::new(),
        }))
    }

    /// The next pieces, waited for; `None` when there are no more. Large ones first, one at a time:
    /// what was copied of them can go. For one thread.
    pub fn take(&self) -> Option<Vec<Piece>> {
        let mut state = self.0.state.lock();
        state.end_writing();
        loop {
            if let Some(Heavy { piece, bytes }) = state.heavy.pop_front() {
                match is_collection(&piece) {
                    true => state.writing_bytes = bytes,
                    false => state.copied_bytes -= bytes,
                }
                self.make_room(state, bytes);
                return Some(vec![piece]);
            }
            if let Some((chunks, bytes)) = state.pop_chunks() {
                self.make_room(state, bytes);
                return Some(chunks.into_iter().map(Piece::Small).collect());
            }
            if state.complete || state.abandoned {
                return None;
            }
            self.0.news.wait(&mut state);
        }
    }

    /// The next chunks, waited for; `None` when there are no more. For any number of threads.
    pub(super) fn take_chunks(&self) -> Option<Vec<Chunk>> {
        let mut state = self.0.state.lock();
        loop {
            if let Some((chunks, bytes)) = state.pop_chunks() {
                self.make_room(state, bytes);
                return Some(chunks);
            }
            if state.complete || state.abandoned {
                return None;
            }
            self.0.news.wait(&mut state);
        }
    }

    /// So many bytes do not wait any more.
    fn make_room(&self, mut state: MutexGuard<'_, State>, bytes: usize) {
        state.bytes -= bytes;
        let walk_goes_on = state.bytes < WALK_BYTES_MAX;
        // Whoever is woken may take the processor from this thread, and wants the lock.
        drop(state);
        self.0.last_room.notify_all();
        if walk_goes_on {
            self.0.room.notify_all();
        }
    }

    /// Of a collection that is being written so many bytes have been let go which were there twice.
    pub(super) fn let_go(&self, bytes: usize) {
        if bytes > 0 {
            let mut state = self.0.state.lock();
            state.aside_bytes = state.aside_bytes.saturating_sub(bytes);
            drop(state);
            self.0.last_room.notify_all();
        }
    }

    /// Whether commands wait, or are about to, until more is written.
    pub(super) fn is_pressed(&self) -> bool {
        self.0.state.lock().held_bytes() > self.0.bound_bytes / 2
    }

    /// Waits until the walk may go on; whether anybody wants it to.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut state = self.0.state.lock();
        while state.bytes >= WALK_BYTES_MAX && !state.abandoned {
            self.0.room.wait(&mut state);
        }
        !state.abandoned
    }

    /// The walk is through.
    pub fn complete(&self) {
        self.0.state.lock().complete = true;
        self.0.news.notify_all();
    }

    /// Nobody will take pieces any more.
    pub(super) fn abandon(&self) {
        let mut state = self.0.state.lock();
        let abandoned = State {
            abandoned: true,
            peak_bytes: state.peak_bytes,
            complete: state.complete,
            ..State::default()
        };
        let pieces = std::mem::replace(&mut *state, abandoned);
        drop(state);
        self.0.news.notify_all();
        self.0.room.notify_all();
        self.0.last_room.notify_all();
        drop(pieces);
    }

    /// The most bytes that were held at one time.
    pub fn peak_bytes(&self) -> usize {
        self.0.state.lock().peak_bytes
    }

    /// Whether less than `spare` bytes of the bound are left.
    fn is_short(&self, state: &State, spare: usize) -> bool {
        state.held_bytes() + spare >= self.0.bound_bytes && !state.abandoned
    }
}

impl Sink for Pieces {
    fn accept(&self, piece: Piece) {
        let bytes = weight(&piece);
        let last_room = &self.0.last_room;
        let mut state = self.0.state.lock();
        if self.is_short(&state, SPARE_BYTES) {
            self.0.room.wait_for(&mut state, PATIENCE);
            let is_short = |state: &mut State| self.is_short(state, SPARE_BYTES_MIN);
            last_room.wait_while_for(&mut state, is_short, LAST_PATIENCE);
        }
        if state.abandoned {
            return;
        }
        state.bytes += bytes;
        match is_collection(&piece) {
            true => state.shared_bytes += bytes,
            false => state.copied_bytes += bytes,
        }
        state.note_peak();
        match piece {
            Piece::Small(chunk) => state.chunks.push_back(chunk),
            piece => state.heavy.push_back(Heavy { piece, bytes }),
        }
        drop(state);
        // To those who take chunks others are no news, and the next one may be one of those.
        self.0.news.notify_all();
    }

    fn copied(&self, bytes: u64) {
        let mut state = self.0.state.lock();
        // Copies of other collections do not count: those have no more than is shared here.
        let aside = state.aside_bytes.saturating_add(bytes as usize);
        state.aside_bytes = aside.min(state.shared_bytes);
        state.note_peak();
        for (spare, patience) in [
            (SPARE_BYTES_PARTS, PART_PATIENCE),
            (SPARE_BYTES_MIN, LAST_PATIENCE),
        ] {
            let is_short = |state: &mut State| self.is_short(state, spare);
            self.0
                .last_room
                .wait_while_for(&mut state, is_short, patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use base::hash::Seed;
    use base::ids::DbIndex;
    use engine::object::Object;
    use engine::snapshot::LargeEntry;
    use structs::Packing;
    use structs::list::{End, List};

    use super::*;

    /// With so much nobody is let in any more.
    const FULL_BYTES: usize = BOUND_BYTES_MIN - SPARE_BYTES_MIN;

    fn piece(bytes: usize) -> Piece {
        let large = LargeEntry {
            key: b"key"[..].into(),
            deadline: None,
            access: 0,
            value: Frozen::Text(Arc::new(Vec::with_capacity(bytes))),
        };
        Piece::Large(DbIndex(0), Box::new(large))
    }

    #[test]
    fn the_walk_waits_for_room_and_the_writer_for_pieces() {
        let pieces = Pieces::default();
        pieces.accept(piece(WALK_BYTES_MAX));
        std::thread::scope(|scope| {
            let walk = scope.spawn(|| {
                let wanted = pieces.wait_for_room();
                pieces.complete();
                wanted
            });
            assert!(pieces.take().is_some(), "makes room");
            assert!(pieces.take().is_none(), "the end");
            assert!(walk.join().expect("the walk ends"));
        });
        assert!(pieces.peak_bytes() >= WALK_BYTES_MAX);
    }

    #[test]
    fn who_must_save_waits_for_the_writer_in_the_end() {
        let pieces = Pieces::default();
        pieces.accept(piece(FULL_BYTES));
        std::thread::scope(|scope| {
            scope.spawn(|| pieces.accept(piece(FULL_BYTES)));
            assert!(pieces.take().is_some(), "makes room");
        });
        assert!(pieces.take().is_some(), "the second one");
        assert_eq!(pieces.peak_bytes(), FULL_BYTES);
    }

    fn collection(bytes: usize) -> Piece {
        let mut list = List::default();
        let packing = Packing::with_seed(Seed::from_u64(1));
        list.push(End::Tail, std::iter::once(&vec![b'e'; bytes][..]), &packing);
        let large = LargeEntry {
            key: b"list"[..].into(),
            deadline: None,
            access: 0,
            value: Frozen::Object(Box::new(Object::List(list))),
        };
        Piece::Large(DbIndex(0), Box::new(large))
    }

    #[test]
    fn who_copies_parts_waits_until_others_are_let_go() {
        const SHARED: usize = 8 << 20;
        let pieces = Pieces::with_bound(SPARE_BYTES_MIN + SHARED / 2);
        pieces.copied(SHARED as u64);
        assert_eq!(
            pieces.peak_bytes(),
            0,
            "nothing is shared: others were copied"
        );
        pieces.accept(collection(SHARED));
        assert_eq!(pieces.peak_bytes(), 0, "what is shared is not there twice");
        assert!(pieces.take().is_some(), "it is being written");
        std::thread::scope(|scope| {
            let copier = scope.spawn(|| pieces.copied(SHARED as u64 / 2));
            while pieces.peak_bytes() == 0 {
                std::thread::yield_now();
            }
            assert!(pieces.is_pressed());
            pieces.let_go(SHARED / 2);
            copier.join().expect("no panic");
        });
        assert!(!pieces.is_pressed());
        pieces.copied(10 * SHARED as u64);
        let most = pieces.peak_bytes();
        assert!((SHARED..2 * SHARED).contains(&most), "{most}");
        pieces.complete();
        assert!(pieces.take().is_none());
        assert!(!pieces.is_pressed(), "it is written");
    }

    #[test]
    fn a_bound_is_a_part_of_the_data_or_what_is_always_allowed() {
        assert_eq!(bound(1 << 30), BOUND_BYTES_MIN);
        assert_eq!(bound(20 << 30), 1 << 30);
    }

    #[test]
    fn who_abandons_lets_the_walk_go_and_takes_nothing_more() {
        let pieces = Pieces::default();
        pieces.accept(piece(FULL_BYTES));
        std::thread::scope(|scope| {
            let walk = scope.spawn(|| pieces.wait_for_room());
            pieces.abandon();
            assert!(!walk.join().expect("the walk ends"));
        });
        pieces.accept(piece(FULL_BYTES));
        pieces.complete();
        assert!(pieces.take().is_none());
    }
}
