//! One thread that reads, several that decode: keys travel in batches.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use rdb::file::{KeyHead, Reader};
use rdb::{Dialect, Input, decode};

use super::{Failure, Job, broken, environment, read, store};
use crate::scripting::libraries::Libraries;

/// A batch is handed over when its values have so many bytes ...
const BATCH_BYTES: usize = 256 << 10;
/// ... or when it has so many keys.
const BATCH_KEYS: usize = 2048;
/// Threads that decode: more would wait for the reader.
const DECODERS_MAX: usize = 8;
/// Batches that wait for each of them.
const WAITING_EACH: usize = 2;

/// Keys whose values are not decoded yet.
#[derive(Default)]
struct Batch {
    keys: Vec<Record>,
    values: Vec<u8>,
}

struct Record {
    head: KeyHead,
    /// Where the value is among the batch's.
    value: Range<usize>,
    /// Where it was in the file.
    offset: u64,
}

/// What the threads share.
struct Shared<'s> {
    job: &'s Job<'s>,
    dialect: Dialect,
    batches: Mutex<Receiver<Batch>>,
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

/// Loads what `reader` reads.
pub(super) fn load(
    reader: &mut Reader<'_>,
    job: &Job<'_>,
    libraries: &mut Libraries,
    ended: &mut dyn FnMut() -> bool,
) -> Result<(), Failure> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let decoders = cores.min(DECODERS_MAX);
    let (sender, receiver) = sync_channel(decoders * WAITING_EACH);
    let shared = Shared {
        job,
        dialect: reader.dialect(),
        batches: Mutex::new(receiver),
        failed: AtomicBool::new(false),
        failure: Mutex::new(None),
    };
    let outcome = thread::scope(|scope| {
        for _ in 0..decoders {
            let builder = thread::Builder::new().name("loader".to_owned());
            let spawned = builder.spawn_scoped(scope, || insert_all(&shared));
            spawned.map_err(|error| Failure::Refused(error.to_string()))?;
        }
        // The sender goes with this, and then the threads end.
        fill(reader, &shared, libraries, sender, ended)
    });
    match shared.failure.into_inner() {
        Some(failure) => Err(failure),
        None => outcome,
    }
}

/// Reads the file into batches.
fn fill(
    reader: &mut Reader<'_>,
    shared: &Shared<'_>,
    libraries: &mut Libraries,
    sender: SyncSender<Batch>,
    ended: &mut dyn FnMut() -> bool,
) -> Result<(), Failure> {
    let mut batch = Batch::default();
    let server = shared.job.server;
    let progress = &server.loading;
    read(reader, server, libraries, false, &mut |reader, head| {
        let (begin, offset) = (batch.values.len(), reader.offset());
        reader
            .raw_value(head.kind, &mut batch.values)
            .map_err(|why| broken(&head, &why))?;
        batch.keys.push(Record {
            value: begin..batch.values.len(),
            head,
            offset,
        });
        if batch.values.len() < BATCH_BYTES && batch.keys.len() < BATCH_KEYS {
            return Ok(());
        }
        progress.read_bytes.store(reader.offset(), Relaxed);
        if ended() || shared.failed.load(Relaxed) {
            return Err(Failure::Ended);
        }
        // Refused only if all decoders are gone, and then one has failed.
        let sent = sender.send(std::mem::take(&mut batch));
        sent.map_err(|_| Failure::Ended)
    })?;
    progress.read_bytes.store(reader.offset(), Relaxed);
    sender.send(batch).map_err(|_| Failure::Ended)
}

/// Takes batches until there are no more.
fn insert_all(shared: &Shared<'_>) {
    while !shared.failed.load(Relaxed) {
        let Ok(batch) = shared.batches.lock().recv() else {
            return;
        };
        if let Err(failure) = insert_batch(batch, shared) {
            shared.failure.lock().get_or_insert(failure);
            shared.failed.store(true, Relaxed);
        }
    }
    // The reader may be waiting for room.
    while shared.batches.lock().recv().is_ok() {}
}

fn insert_batch(batch: Batch, shared: &Shared<'_>) -> Result<(), Failure> {
    let job = shared.job;
    let env = environment(job.server, job.settings, job.overdue);
    let mut lease = job.keyspace.lease();
    for record in batch.keys {
        let bytes = batch.values.get(record.value).unwrap_or_default();
        let mut input = Input::of_bytes(bytes, record.offset);
        let packing = &env.limits.packing;
        let value = decode(&mut input, record.head.kind, shared.dialect, packing)
            .map_err(|why| broken(&record.head, &why))?;
        store(job.server, &mut lease, &env, &record.head, value, false)?;
        lease.release();
    }
    Ok(())
}
