//! The pieces of a snapshot on their way from the stripes to whoever writes them.
//!
//! The queue is bounded from both sides. Above [`WALK_BYTES_MAX`] the walk waits: it is in no
//! hurry. Commands that change what has not been saved must save it now, so above
//! [`HELD_BYTES_MAX`] they wait too, for at most [`PATIENCE`] a chunk: a writer that is slower than
//! the changes slows them down rather than fill the memory. What is copied for the snapshot stays
//! below [`COPIED_BYTES_MAX`] unless nothing at all is written for [`LAST_PATIENCE`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::snapshot::{Frozen, Piece, Sink};
use parking_lot::{Condvar, Mutex};

/// The walk goes on below this.
const WALK_BYTES_MAX: usize = 8 << 20;
/// Commands are slowed down above this.
pub const HELD_BYTES_MAX: usize = 56 << 20;
/// By how much, for each chunk or large value.
const PATIENCE: Duration = Duration::from_millis(5);
/// Commands wait until less than this is held in chunks and texts; a slow disk leads there.
const COPIED_BYTES_MAX: usize = 62 << 20;
/// But not longer than this.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Clone, Default)]
pub struct Pieces(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// There is a piece, or the end.
    news: Condvar,
    /// There is room for the walk.
    room: Condvar,
    /// There is room for what commands save.
    last_room: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// Of these, those of chunks and texts. Of a collection, only what has changed is there twice.
    copied_bytes: usize,
    peak_bytes: usize,
    /// The walk is through.
    complete: bool,
    /// Nobody takes pieces any more.
    abandoned: bool,
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

/// The part of it that is certainly there twice.
fn copied(piece: &Piece) -> usize {
    match piece {
        Piece::Large(_, large) if matches!(large.value, Frozen::Object(_)) => 0,
        _ => weight(piece),
    }
}

impl Pieces {
    /// The next piece, waited for; `None` when there are no more.
    pub fn take(&self) -> Option<Piece> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(piece) = state.pieces.pop_front() {
                state.bytes -= weight(&piece);
                state.copied_bytes -= copied(&piece);
                let room = state.bytes < WALK_BYTES_MAX;
                // Who is woken takes the processor from this thread, and needs the lock.
                drop(state);
                self.0.last_room.notify_all();
                if room {
                    self.0.room.notify_all();
                }
                return Some(piece);
            }
            if state.complete {
                return None;
            }
            self.0.news.wait(&mut state);
        }
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
        state.abandoned = true;
        (state.bytes, state.copied_bytes) = (0, 0);
        let pieces = std::mem::take(&mut state.pieces);
        drop(state);
        self.0.room.notify_all();
        self.0.last_room.notify_all();
        drop(pieces);
    }

    /// The most bytes that were waiting at one time.
    pub fn peak_bytes(&self) -> usize {
        self.0.state.lock().peak_bytes
    }
}

impl Sink for Pieces {
    fn accept(&self, piece: Piece) {
        let mut state = self.0.state.lock();
        if state.bytes >= HELD_BYTES_MAX && !state.abandoned {
            self.0.room.wait_for(&mut state, PATIENCE);
            let is_full =
                |state: &mut State| state.copied_bytes >= COPIED_BYTES_MAX && !state.abandoned;
            let last_room = &self.0.last_room;
            last_room.wait_while_for(&mut state, is_full, LAST_PATIENCE);
        }
        if state.abandoned {
            return;
        }
        state.bytes += weight(&piece);
        state.copied_bytes += copied(&piece);
        state.peak_bytes = state.peak_bytes.max(state.bytes);
        state.pieces.push_back(piece);
        if state.pieces.len() == 1 {
            self.0.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use base::ids::DbIndex;
    use engine::snapshot::LargeEntry;

    use super::*;

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
        pieces.accept(piece(COPIED_BYTES_MAX));
        std::thread::scope(|scope| {
            scope.spawn(|| pieces.accept(piece(COPIED_BYTES_MAX)));
            assert!(pieces.take().is_some(), "makes room");
        });
        assert!(pieces.take().is_some(), "the second one");
        assert_eq!(pieces.peak_bytes(), COPIED_BYTES_MAX);
    }

    #[test]
    fn who_abandons_lets_the_walk_go_and_takes_nothing_more() {
        let pieces = Pieces::default();
        pieces.accept(piece(HELD_BYTES_MAX));
        std::thread::scope(|scope| {
            let walk = scope.spawn(|| pieces.wait_for_room());
            pieces.abandon();
            assert!(!walk.join().expect("the walk ends"));
        });
        pieces.accept(piece(HELD_BYTES_MAX));
        pieces.complete();
        assert!(pieces.take().is_none());
    }
}
