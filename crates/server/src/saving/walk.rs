//! Taking a snapshot of the keyspace beside the commands: one thread walks, another writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use engine::keyspace::{Keyspace, Lease};
use engine::snapshot::{Snapshot, UnderWay};

use super::pieces::Pieces;

/// What others may see and say while a snapshot is taken.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to end it early.
    pub cancelled: AtomicBool,
    /// Keys there were when it began.
    pub keys: AtomicU64,
    /// Of a thousand parts, how many are done.
    pub permille: AtomicU64,
}

/// Takes a snapshot. `begin` runs at its very moment, with all stripes leased; `write` gets what it
/// returned, and the pieces, on a thread of its own, and if it returns before the end the rest is
/// given up.
///
/// # Errors
/// Another one is under way. Then neither was called.
pub fn take<B: Send, R: Send>(
    keyspace: &Keyspace,
    control: &Control,
    begin: impl FnOnce(&mut Lease<'_>) -> B,
    write: impl FnOnce(&Pieces, B) -> R + Send,
) -> Result<R, UnderWay> {
    let pieces = Pieces::default();
    let mut lease = keyspace.lease();
    let mut snapshot = Snapshot::begin(&mut lease, Box::new(pieces.clone()))?;
    let begun = begin(&mut lease);
    lease.release();
    let taken = &pieces;
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let result = write(taken, begun);
            taken.abandon();
            result
        });
        walk(&mut snapshot, &pieces, &mut lease, control);
        pieces.complete();
        match writer.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Walks to the end, whoever still wants it: what is of the past must be marked.
fn walk(snapshot: &mut Snapshot, pieces: &Pieces, lease: &mut Lease<'_>, control: &Control) {
    let keyspace = lease.keyspace();
    loop {
        let wanted = pieces.wait_for_room() && !control.cancelled.load(Ordering::Relaxed);
        if !wanted {
            snapshot.cancel();
        }
        let more = snapshot.step(lease);
        lease.release();
        let permille = (snapshot.progress(keyspace) * 1000.0) as u64;
        control.permille.store(permille, Ordering::Relaxed);
        if !more {
            return;
        }
    }
}
