//! One thread that reads, several that decode: keys travel in batches.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use base::ids::DbIndex;
use engine::keyspace::Keyspace;
use parking_lot::Mutex;
use rdb::file::{KeyHead, Reader};
use rdb::{Decoded, Dialect, Input, decode};

use super::{Failure, Job, broken, environment, read, store};
use crate::allocator;
use crate::scripting::libraries::Libraries;
use crate::settings::eviction;

/// A batch is handed over when its values have so many bytes ...
const BATCH_BYTES: usize = 256 << 10;
/// ... or when it has so many keys.
const BATCH_KEYS: usize = 2048;
/// Threads that decode: more would wait for the reader.
const DECODERS_MAX: usize = 8;
/// Batches that wait for each of them.
const WAITING_EACH: usize = 2;
/// The reader waits for eviction while memory is beyond the limit by more than this share of it ...
const EXCESS_SHARE: u64 = 20;
/// ... unless so long nothing gets better.
const EVICTION_PATIENCE: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(1);
/// The memory that so many keys go to is asked for at once, before the first is put in.
const PREFETCH_KEYS: usize = 64;
/// A key with its value takes more bytes of a file, as a rule. Its place in a table takes up to 16,
/// so that the room made is at most twice as large as the file.
const KEY_BYTES_MIN: u64 = 8;
/// Of a stream nobody knows how long it is: what it says is believed up to so many keys, whose room
/// is less than a gigabyte.
const BELIEVED_KEYS_MAX: u64 = 1 << 26;

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
    let job = shared.job;
    let mut patience = EVICTION_PATIENCE;
    let progress = &job.server.loading;
    let total = progress.total_bytes.load(Relaxed);
    let mut sizes = |db, keys: u64, offset: u64| match total {
        0 => make_room(job.keyspace, db, keys.min(BELIEVED_KEYS_MAX)),
        _ => {
            let rest_bytes = total.saturating_sub(offset);
            make_room(job.keyspace, db, keys.min(rest_bytes / KEY_BYTES_MIN));
        }
    };
    let mut key = |reader: &mut Reader<'_>, head: KeyHead| {
        let (begin, offset) = (batch.values.len(), reader.offset());
        reader
            .raw_value(head.kind, &mut batch.values)
            .map_err(|why| broken(&head, &why))?;
        batch.keys.push(Record {
            value: begin..batch.values.len(),
            head,
            offset,
        });
        progress.pace.key(ended);
        let is_small = batch.values.len() < BATCH_BYTES && batch.keys.len() < BATCH_KEYS;
        if is_small && !progress.pace.is_slow() {
            return Ok(());
        }
        progress.advance(reader.offset(), job.server.now());
        wait_for_memory(shared, &mut patience, ended);
        if ended() || shared.failed.load(Relaxed) {
            return Err(Failure::Ended);
        }
        // Refused only if all decoders are gone, and then one has failed.
        let sent = sender.send(std::mem::take(&mut batch));
        sent.map_err(|_| Failure::Ended)
    };
    read(reader, job.server, (libraries, false), &mut sizes, &mut key)?;
    progress.advance(reader.offset(), job.server.now());
    sender.send(batch).map_err(|_| Failure::Ended)
}

/// Lets the workers evict down to the memory limit, if they may. `patience` is what is left of it:
/// it is used up where nothing can be evicted.
fn wait_for_memory(shared: &Shared<'_>, patience: &mut Duration, ended: &mut dyn FnMut() -> bool) {
    let settings = shared.job.settings;
    let limit = settings.maxmemory_bytes;
    let may_evict = eviction(settings.maxmemory_policy).is_some();
    if limit == 0 || !may_evict || shared.job.server.loading.keeps_all() {
        return;
    }
    let high = limit + limit / EXCESS_SHARE;
    let mut used = allocator::used_bytes();
    while used > high && !patience.is_zero() && !ended() {
        thread::park_timeout(NAP);
        let now = allocator::used_bytes();
        match now < used {
            true => *patience = EVICTION_PATIENCE,
            false => *patience = patience.saturating_sub(NAP),
        }
        used = now;
    }
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

/// A key that is decoded.
struct Ready {
    head: KeyHead,
    value: Decoded,
    hash: u64,
}

/// Decodes a batch, and puts it in stripe by stripe: each is locked once, and the memory that keys
/// go to is asked for ahead.
fn insert_batch(batch: Batch, shared: &Shared<'_>) -> Result<(), Failure> {
    let job = shared.job;
    let env = environment(job.server, job.settings, job.overdue);
    let keyspace = job.keyspace;
    let mut ready = Vec::with_capacity(batch.keys.len());
    for record in batch.keys {
        let bytes = batch.values.get(record.value).unwrap_or_default();
        let mut input = Input::of_bytes(bytes, record.offset);
        let packing = &env.limits.packing;
        let head = record.head;
        let value = decode(&mut input, head.kind, shared.dialect, packing)
            .map_err(|why| broken(&head, &why))?;
        let hash = keyspace.hash(&head.key);
        ready.push(Some(Ready { head, value, hash }));
    }
    let hashes: Vec<u64> = ready.iter().flatten().map(|key| key.hash).collect();
    let order = by_stripe(keyspace, &hashes);
    let mut lease = keyspace.lease();
    let same =
        |a: &usize, b: &usize| keyspace.stripe_of(hashes[*a]) == keyspace.stripe_of(hashes[*b]);
    for keys in order
        .chunk_by(same)
        .flat_map(|run| run.chunks(PREFETCH_KEYS))
    {
        lease.cover(keys.iter().take(1).map(|&at| hashes[at]));
        for key in keys.iter().filter_map(|&at| ready[at].as_ref()) {
            // Invariant: `read` has refused larger numbers.
            let table = lease.stripe(key.hash).table(DbIndex(key.head.db as u32));
            table.prefetch_bucket(key.hash);
        }
        // Each is there once.
        for Ready { head, value, hash } in keys.iter().filter_map(|&at| ready[at].take()) {
            store(job.server, &mut lease, &env, (&head, hash), value, false)?;
        }
    }
    lease.release();
    Ok(())
}

/// The places of these hashes, those of a stripe side by side.
fn by_stripe(keyspace: &Keyspace, hashes: &[u64]) -> Vec<usize> {
    let stripe = |hash: u64| keyspace.stripe_of(hash).0 as usize;
    let mut ends = vec![0; keyspace.stripe_count() as usize];
    hashes.iter().for_each(|&hash| ends[stripe(hash)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut order = vec![0; hashes.len()];
    // From the last on, so that those of a stripe stay in their order.
    for (at, &hash) in hashes.iter().enumerate().rev() {
        let end = &mut ends[stripe(hash)];
        *end -= 1;
        order[*end] = at;
    }
    order
}

/// So many keys will come into a database.
fn make_room(keyspace: &Keyspace, db: DbIndex, keys: u64) {
    let each = keys as usize / keyspace.stripe_count() as usize;
    let mut lease = keyspace.lease();
    for stripe in keyspace.stripes() {
        lease.only(stripe).expect_entries(db, each);
    }
}

#[cfg(test)]
mod tests {
    use base::hash::Seed;

    use super::*;

    #[test]
    fn those_of_a_stripe_are_side_by_side_in_their_order() {
        let keyspace = Keyspace::new(8, 1, Seed::from_u64(7));
        let keys = (0..1000_u32).map(|n| n.to_le_bytes());
        let hashes: Vec<u64> = keys.map(|key| keyspace.hash(&key)).collect();
        let order = by_stripe(&keyspace, &hashes);
        let mut expected: Vec<usize> = (0..hashes.len()).collect();
        expected.sort_by_key(|&at| (keyspace.stripe_of(hashes[at]), at));
        assert_eq!(order, expected);
        assert_eq!(by_stripe(&keyspace, &[]), Vec::<usize>::new());
    }
}
